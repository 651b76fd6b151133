#!/usr/bin/env bash
# OpenSSH: the key's public half, logins to an sshd by ssh and by ssh-agent, the agent's list of allowed modules,
# commits signed with git, files signed with the signature key, and what a user reads when something is wrong.
#
# needs: ssh-keygen:openssh-client git:git /usr/lib/*/libnss_wrapper.so:libnss-wrapper sshd
source "$(dirname "$0")/lib.sh"
# shellcheck source=sshd.sh
source "$CLIENTS/sshd.sh"

# Everything that a user would have installed, and the other side.
prepare() {
    "$ROOT/conf/install.sh" install --destdir "$PWD/system" >/dev/null
    LIBRARIES=$(dirname "$(find "$PWD/system" -name jpki-pkcs11-auth.so -type f)")
    BOTH=$LIBRARIES/jpki-pkcs11.so AUTH=$LIBRARIES/jpki-pkcs11-auth.so SIGN=$LIBRARIES/jpki-pkcs11-sign.so
    export SSH_AUTH_SOCK=$PWD/agent.socket
    prepare_askpass
    public_key authentication >auth.pub
    public_key signature >sign.pub
}

# The PIN comes from the file `pin`, and what ssh asked is in the file `prompts`.
prepare_askpass() {
    # shellcheck disable=SC2016  # the askpass program's own $1
    printf '#!/bin/sh\nprintf "%%s\\n" "$1" >>%q/prompts\ncat %q/pin\n' "$PWD" "$PWD" >askpass
    chmod +x askpass
    export SSH_ASKPASS=$PWD/askpass SSH_ASKPASS_REQUIRE=force
    : >prompts
    pin "$AUTH_PIN"
}

pin() {
    printf '%s\n' "$1" >"$WORK/files/pin"
}

# public_key CREDENTIAL: as ssh writes it, made from the card's certificate without the module.
public_key() {
    openssl x509 -in "$WORK/identity/$1.pem" -noout -pubkey >"$1.spki"
    ssh-keygen -i -m PKCS8 -f "$1.spki"
}

# count_since MARK WHAT...: what the card was asked to do since then.
count_since() {
    local mark=$1
    shift
    card count "$@" since "$mark"
}

# ssh-copy-id says what it would add to a server's authorized_keys.
copies_one_key() {
    [[ -d $HOME/.ssh ]] || mkdir -m 700 "$HOME/.ssh"
    ssh-keygen -D "$AUTH" >jpki.pub
    ssh-copy-id -f -n -i jpki.pub server >copied
    cat copied
    equal 1 "$(grep -c '^ssh-rsa ' copied)"
    grep -qF "$(cut -d ' ' -f 2 auth.pub)" copied
}

# README's command puts the key on a host that has no ~/.ssh yet. A shell is that host.
host_takes_the_key() {
    local command
    command=$(sed -n "s/^jpki-pkcs11 ssh-key | ssh user@host '\(.*\)'\$/\1/p" "$ROOT/README.md")
    mkdir other-home
    (cd other-home && HOME=$PWD sh -c "$command" <../auth.pub)
    cmp auth.pub other-home/.ssh/authorized_keys
    equal '700 600' "$(stat -c %a other-home/.ssh other-home/.ssh/authorized_keys | paste -s -d ' ')"
}

# --- ssh-keygen -D ----------------------------------------------------------------------------------------------

# prints_one_key MODULE: the user's own key, nothing else, and no VERIFY.
prints_one_key() {
    local mark
    mark=$(card mark)
    ssh-keygen -D "$1" >keys 2>errors
    cat keys errors
    equal '' "$(<errors)"
    equal "$(<auth.pub) User Authentication Public Key" "$(<keys)"
    equal 0 "$(($(count_since "$mark" verifies auth) + $(count_since "$mark" verifies sign)))"
}

# The signature key shows after its PIN. The key of the CA's certificate follows it.
prints_signature_key() {
    pin "$SIGN_PIN"
    : >prompts
    ssh-keygen -D "$SIGN" >keys
    equal "$(<sign.pub)" "$(head -n 1 keys | cut -d ' ' -f 1,2)"
    equal 2 "$(wc -l <keys)"
    cat prompts
    grep -q "$SIGN_TOKEN" prompts
}

# --- ssh --------------------------------------------------------------------------------------------------------

# The server says who logged in.
reaches() {
    ssh -F ssh_config "$@" server 'echo $USER' >output
    cat output
    equal somebody "$(<output)"
}

# logs_in MODULE: one PIN prompt, which names the token. The card verifies at the login and again at the signature.
logs_in() {
    local mark
    mark=$(card mark)
    : >prompts
    reaches -I "$1"
    equal "Enter PIN for '$AUTH_TOKEN': " "$(<prompts)"
    equal '2 1 0' "$(count_since "$mark" verifies auth) $(count_since "$mark" signatures) $(count_since "$mark" \
        verifies sign)"
}

logs_in_by_configuration() {
    printf '    PKCS11Provider %s\n' "$AUTH" | cat ssh_config - >provider-config
    ssh -F provider-config server true
}

uploads_a_file() {
    head -c 100000 /dev/urandom >file
    ssh -F ssh_config -I "$AUTH" server 'cat >upload' <file
    cmp file server/upload
}

# --- ssh-agent --------------------------------------------------------------------------------------------------

# start_agent OPTION...: an agent of its own; the earlier one, if any, ends.
start_agent() {
    [[ ! -s agent.pid ]] || kill "$(<agent.pid)"
    wait_until test ! -e agent.socket
    background agent.log ssh-agent -D -a "$PWD/agent.socket" "$@"
    printf '%s\n' "$!" >agent.pid
    wait_until agent_answers
}

# ssh-add ends with 1 if the agent is empty, with 2 if there is none.
agent_answers() {
    local status=0
    ssh-add -l || status=$?
    ((status < 2))
}

# adds MODULE PIN: the agent takes the module.
adds() {
    pin "$2"
    ssh-add -s "$1"
    ssh-add -L
}

# The agent sends the one PIN that it was given to both slots.
adds_both_slots_with_one_pin() {
    local mark
    mark=$(card mark)
    adds "$BOTH" "$AUTH_PIN"
    equal 0 "$(count_since "$mark" verifies sign)"
    equal '3 5' "$(card tries auth) $(card tries sign)"
    ssh-add -L >keys
    grep -qF "$(<auth.pub)" keys
}

# logs_in_by_agent: without a question.
logs_in_by_agent() {
    local mark
    mark=$(card mark)
    : >prompts
    reaches
    equal '' "$(<prompts)"
    equal 1 "$(count_since "$mark" signatures)"
}

four_logins_at_once() {
    local i pids=()
    for i in 1 2 3 4; do
        ssh -F ssh_config server true &
        pids+=("$!")
    done
    for i in "${pids[@]}"; do wait "$i"; done
}

lists_nothing() {
    ssh-add -L >output || true
    equal 'The agent has no identities.' "$(<output)"
}

removes() {
    ssh-add -e "$1"
    lists_nothing
}

# --- signatures -------------------------------------------------------------------------------------------------

prepare_repository() {
    git init -q repository
    printf 'somebody@example.org %s\n' "$(<auth.pub)" >allowed
    cat >repository/.git/config <<END_OF_CONFIG
[core]
    repositoryformatversion = 0
[user]
    name = Somebody
    email = somebody@example.org
    signingKey = key::$(ssh-keygen -D "$AUTH")
[gpg]
    format = ssh
[gpg "ssh"]
    allowedSignersFile = $PWD/allowed
[commit]
    gpgSign = true
END_OF_CONFIG
}

signs_a_commit() {
    cd repository
    date >file
    git add file
    git commit -q -m 'A signed commit'
    git verify-commit HEAD >../output 2>&1
    cat ../output
    grep -q 'Good "git" signature for somebody@example.org with RSA key' ../output
}

signs_a_tag() {
    git -C repository tag -s -m 'A signed tag' v1
    git -C repository verify-tag v1
}

# A commit that was written over is not verified.
finds_a_changed_commit() {
    cd repository
    git cat-file commit HEAD | sed 's/A signed commit/A changed commit/' >../changed
    git verify-commit "$(git hash-object -t commit -w ../changed)"
}

# signs_a_file KEY-FILE: with a key of the agent.
signs_a_file() {
    local key
    key=$(<"$1")
    echo 'a contract' >contract
    rm -f contract.sig
    ssh-keygen -Y sign -n file -f "$1" contract
    printf 'somebody@example.org namespaces="file" %s\n' "$key" >signers
    ssh-keygen -Y verify -n file -f signers -I somebody@example.org -s contract.sig <contract
}

signs_with_the_signature_key() {
    local mark
    adds "$SIGN" "$SIGN_PIN"
    mark=$(card mark)
    signs_a_file sign.pub
    equal 1 "$(count_since "$mark" signatures sign)"
}

finds_a_changed_file() {
    ! ssh-keygen -Y verify -n file -f signers -I somebody@example.org -s contract.sig <<<'another contract'
}

# --- when something is wrong ------------------------------------------------------------------------------------

tries_left() {
    equal "$1" "$(card tries auth)"
}

# tries_pin PIN
tries_pin() {
    pin "$1"
    ssh -F ssh_config -o IdentityAgent=none -I "$AUTH" server true
}

logs_in_with_right_pin() {
    tries_pin "$AUTH_PIN"
    tries_left 3
}

signs_by_agent() {
    SSH_ASKPASS_REQUIRE=never ssh -F ssh_config server true
}

lists_keys() {
    ssh-keygen -D "$AUTH"
}

# The login has gone with the card; the agent has to be told the PIN again.
adds_again() {
    ssh-add -e "$AUTH"
    adds "$AUTH" "$AUTH_PIN"
    logs_in_by_agent
}

begin
prepare

check "ssh-keygen -D prints the authentication key alone" prints_one_key "$BOTH"
check_figure 'ssh-keygen -D' "one key of the authentication slot" prints_one_key "$AUTH"
check "the signature key after its PIN" prints_signature_key
check "ssh-copy-id copies the authentication key alone" copies_one_key
refused "ssh-copy-id without a file and without an agent" 'ERROR: No identities found' ssh-copy-id -n server
refused "ssh-copy-id with the name of a file that is not there" 'failed to open ID file' ssh-copy-id -n -i missing server
check "a host without ~/.ssh takes the key" host_takes_the_key

check "sshd is up" start_sshd auth.pub
pin "$AUTH_PIN"
check_figure 'ssh -I' "a login by ssh -I" logs_in "$AUTH"
check "a login by ssh -I, both slots" logs_in "$BOTH"
check "a login by PKCS11Provider" logs_in_by_configuration
check "a file goes over" uploads_a_file

start_agent
refused "the agent takes no module from elsewhere" 'agent refused operation' adds "$AUTH" "$AUTH_PIN"
start_agent -P "$PWD/system/usr/lib*/*"
check "the agent takes an installed module" adds "$AUTH" "$AUTH_PIN"
check_figure 'ssh by the agent' "the agent logs in" logs_in_by_agent
check "the agent logs in four at once" four_logins_at_once
check "the agent forgets the module" removes "$AUTH"
check "the agent takes it again" adds "$AUTH" "$AUTH_PIN"
start_agent -P "$PWD/system/usr/lib*/*"
check "a new agent is empty" lists_nothing
check "the agent gives one PIN to both slots, at no cost" adds_both_slots_with_one_pin
check "the agent logs in, both slots" logs_in_by_agent

prepare_repository
check_figure 'git commit -S by the agent' "git signs a commit" signs_a_commit
check "git signs a tag" signs_a_tag
refused "git finds a changed commit" 'incorrect signature' finds_a_changed_commit
check "ssh-keygen -Y sign" signs_a_file auth.pub
start_agent -P "$PWD/system/usr/lib*/*"
check "ssh-keygen -Y sign, signature key" signs_with_the_signature_key
check "ssh-keygen -Y verify finds a changed file" finds_a_changed_file
check "no PIN try was used up" tries_left 3

refused "a malformed PIN" 'login failed: PIN incorrect' tries_pin "$SIGN_PIN"
check "it cost no try" tries_left 3
refused "a wrong PIN" 'login failed: PIN incorrect' tries_pin 1111
check "one try is used up" tries_left 2
check "the right PIN restores it" logs_in_with_right_pin
start_agent -P "$PWD/system/usr/lib*/*"
refused "a wrong PIN for the agent" 'agent refused operation' adds "$AUTH" 2222
check "another try is used up" tries_left 2
check "the right PIN for the agent" adds "$AUTH" "$AUTH_PIN"
check "it restored the tries" tries_left 3

take_card_out
refused "no card, by the agent" 'Permission denied' signs_by_agent
refused "no card" 'cannot read public key from pkcs11' lists_keys
put_card_in
refused "the login has gone with the card" 'Permission denied' signs_by_agent
check "the PIN, once more, makes the agent log in" adds_again
card set-tries auth 0
refused "a blocked PIN" 'login failed: PIN locked' tries_pin "$AUTH_PIN"
check "the key is still shown" prints_one_key "$AUTH"
PCSCLITE_CSOCK_NAME=$PWD/nobody refused "no pcscd" 'cannot read public key from pkcs11' lists_keys

finish 2
