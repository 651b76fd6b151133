#!/usr/bin/env bash
# p11-kit: the module file, the proxy with both slots, the server that lends the card to other processes and, by ssh, to
# other machines, and modules at the end of a pipe.
#
# needs: p11-kit:p11-kit /usr/lib/*/pkcs11/p11-kit-client.so:p11-kit-modules p11tool:gnutls-bin
# needs: ssh-keygen:openssh-client /usr/lib/*/libnss_wrapper.so:libnss-wrapper sshd
source "$(dirname "$0")/lib.sh"
# shellcheck source=sshd.sh
source "$CLIENTS/sshd.sh"

# The module as installed, and the file for p11-kit where a user puts it. Only that: what else is installed on this
# machine (OpenSC sees the same card) is left out. p11-kit does not read root's own configuration, so everything runs
# without root's rights.
prepare() {
    local file name
    "$ROOT/conf/install.sh" install --prefix "$PWD/prefix" >/dev/null
    BOTH=$(find "$PWD/prefix" -name jpki-pkcs11.so -type f)
    AUTH=$(dirname "$BOTH")/jpki-pkcs11-auth.so
    for name in p11-kit-proxy.so pkcs11/p11-kit-client.so; do
        file=$(compgen -G "/usr/lib/*/$name" || compgen -G "/usr/lib64/$name") || die "$name is missing"
        case $name in *proxy*) PROXY=$file ;; *) CLIENT=$file ;; esac
    done
    mkdir -p "$XDG_CONFIG_HOME/pkcs11/modules"
    echo 'user-config: only' >"$XDG_CONFIG_HOME/pkcs11/pkcs11.conf"
    cp "$PWD/prefix/share/p11-kit/modules/jpki.module" "$XDG_CONFIG_HOME/pkcs11/modules"
    head -c 1000 /dev/urandom >message
    chmod 711 "$WORK" "$WORK/files"
    ssh-keygen -q -t ed25519 -N '' -f key
    start_sshd key.pub
    ((EUID != 0)) || chown -R 65534:65534 "$WORK/home" "$WORK/run" "$WORK/files"
}

# tool MODULE OPTION...: pkcs11-tool
tool() {
    "${WITHOUT_ROOT[@]}" pkcs11-tool --module "$@"
}

# tokens COMMAND...: the labels in what it prints.
tokens() {
    "$@" | sed -n 's/.*token label *: //p' | paste -s -d ,
}

# signs MODULE TOKEN PIN CREDENTIAL: with pkcs11-tool.
signs() {
    tool "$1" --token-label "$2" --login --pin "$3" --sign --mechanism SHA256-RSA-PKCS --input-file message \
        --output-file signature
    verified_by "$WORK/identity/$4.pem" signature message
}

# --- the module file --------------------------------------------------------------------------------------------

lists_the_module() {
    "${WITHOUT_ROOT[@]}" p11-kit list-modules >modules
    cat modules
    equal "$BOTH" "$(sed -n -e 's/^jpki: //p' -e '/^module: jpki$/,/^module: / s/^ *path: //p' modules)"
    equal "$AUTH_TOKEN,$SIGN_TOKEN" "$(sed -n 's/^ *token: //p' modules | paste -s -d ,)"
}

# Other programs find the tokens without being told where the module is.
gnutls_finds_the_tokens() {
    "${WITHOUT_ROOT[@]}" p11tool --batch --list-token-urls >urls
    cat urls
    equal 2 "$(grep -c 'token=JPKI' urls)"
    GNUTLS_PIN=$AUTH_PIN "${WITHOUT_ROOT[@]}" p11tool --batch --login --test-sign \
        'pkcs11:token=JPKI%20User%20Authentication;id=%01;type=private'
}

# --- the proxy --------------------------------------------------------------------------------------------------

proxy_shows_both() {
    equal "$AUTH_TOKEN,$SIGN_TOKEN" "$(tokens tool "$PROXY" --list-token-slots)"
}

proxy_shows_nothing() {
    equal '' "$(tokens tool "$PROXY" --list-token-slots)"
}

# A program of that name does not see the module.
hidden_from() {
    local directory=$PWD/$1.directory
    mkdir -p "$directory"
    cp "$(command -v pkcs11-tool)" "$directory/$1"
    "${WITHOUT_ROOT[@]}" "$directory/$1" --module "$PROXY" --list-slots >slots 2>&1 || true
    cat slots
    ! grep JPKI slots
}

# --- the server -------------------------------------------------------------------------------------------------

# start_server URI...: its address goes into the file `address`. Its own processes outlive the command.
start_server() {
    "${WITHOUT_ROOT[@]}" p11-kit server --provider "$BOTH" "$@" >variables
    cat variables
    sed -n 's/^P11_KIT_SERVER_ADDRESS=\(.*\); export.*/\1/p' variables >address
    remember "$(sed -n 's/^P11_KIT_SERVER_PID=\([0-9]*\).*/\1/p' variables)"
    [[ -s address ]]
}

# client OPTION...: pkcs11-tool as on another machine, which reaches no pcscd of its own.
client() {
    P11_KIT_SERVER_ADDRESS=$(<address) PCSCLITE_CSOCK_NAME=$PWD/nobody tool "$CLIENT" "$@"
}

client_shows() {
    equal "$1" "$(tokens client --list-token-slots)"
}

# client_signs TOKEN PIN CREDENTIAL
client_signs() {
    client --token-label "$1" --login --pin "$2" --sign --mechanism SHA256-RSA-PKCS --input-file message \
        --output-file signature
    verified_by "$WORK/identity/$3.pem" signature message
}

client_logs_in() {
    client --token-label "$AUTH_TOKEN" --login --pin "$1" --list-objects
}

three_clients_at_once() {
    local i pids=()
    for i in 1 2 3; do
        client --token-label "$AUTH_TOKEN" --login --pin "$AUTH_PIN" --sign --mechanism SHA256-RSA-PKCS \
            --input-file message --output-file "signature$i" &
        pids+=("$!")
    done
    for i in "${pids[@]}"; do wait "$i"; done
    for i in 1 2 3; do verified_by "$WORK/identity/authentication.pem" "signature$i" message; done
}

# As a user does it who works on another machine: ssh makes the server's socket appear there. What runs there has no
# pcscd.
signs_on_the_other_machine() {
    local far=$PWD/server/card.socket address
    address=$(<address)
    rm -f "$far"
    "${WITHOUT_ROOT[@]}" ssh -F ssh_config -i key -R "$far:${address#unix:path=}" server "
        export P11_KIT_SERVER_ADDRESS=unix:path=$far PCSCLITE_CSOCK_NAME=/nobody
        pkcs11-tool --module $CLIENT --token-label '$AUTH_TOKEN' --login --pin $AUTH_PIN --sign \
            --mechanism SHA256-RSA-PKCS --output-file far-signature" <message
    verified_by "$WORK/identity/authentication.pem" server/far-signature message
}

# --- a module at the end of a pipe ------------------------------------------------------------------------------

# The same the other way round, with the card in the other machine: `remote: |ssh host p11-kit remote MODULE`.
pipe_shows_one() {
    printf 'remote: |p11-kit remote %s\n' "$AUTH" >"$XDG_CONFIG_HOME/pkcs11/modules/jpki.module"
    equal "$AUTH_TOKEN" "$(tokens tool "$PROXY" --list-token-slots)"
}

begin
prepare

check "p11-kit lists the module" lists_the_module
check "GnuTLS finds the tokens and signs" gnutls_finds_the_tokens
check "the proxy shows both slots" proxy_shows_both
check_figure 'a signature by the proxy' "the proxy signs" signs "$PROXY" "$AUTH_TOKEN" "$AUTH_PIN" authentication
check "the proxy signs, signature key" signs "$PROXY" "$SIGN_TOKEN" "$SIGN_PIN" signature
for name in firefox firefox-esr thunderbird chrome; do
    check "the proxy hides the module from $name" hidden_from "$name"
done
refused "a wrong PIN by way of the proxy" CKR_PIN_INCORRECT tool "$PROXY" \
    --token-label "$AUTH_TOKEN" --login --pin 1111 --list-objects
check "the right PIN" signs "$PROXY" "$AUTH_TOKEN" "$AUTH_PIN" authentication

check "a server for one token" start_server 'pkcs11:token=JPKI%20User%20Authentication'
check "the client sees one token" client_shows "$AUTH_TOKEN"
check_figure 'by the server' "the client signs" client_signs "$AUTH_TOKEN" "$AUTH_PIN" authentication
check "three clients at the same time" three_clients_at_once
refused "a wrong PIN by way of the server" CKR_PIN_INCORRECT client_logs_in 1111
check "the client signs with the right PIN" client_signs "$AUTH_TOKEN" "$AUTH_PIN" authentication
check "the card is not verified when the client has gone" no_pin_is_verified
check_figure 'over ssh' "a signature on the other side of ssh" signs_on_the_other_machine
check "a server for both tokens" start_server 'pkcs11:token=JPKI%20User%20Authentication' \
    'pkcs11:token=JPKI%20Digital%20Signature'
check "the client sees both tokens" client_shows "$AUTH_TOKEN,$SIGN_TOKEN"
check "the client signs with the signature key" client_signs "$SIGN_TOKEN" "$SIGN_PIN" signature

take_card_out
check "no card: no token in the proxy" proxy_shows_nothing
check "no card: no token at the client" client_shows ''
refused "no card: no login" 'No slots' client_logs_in "$AUTH_PIN"
put_card_in
check "the client signs when the card is back" client_signs "$AUTH_TOKEN" "$AUTH_PIN" authentication
card set-tries auth 0
refused "a blocked PIN by way of the server" CKR_PIN_LOCKED client_logs_in "$AUTH_PIN"
card set-tries auth 3
PCSCLITE_CSOCK_NAME=$PWD/nobody check "no pcscd: no token" proxy_shows_nothing

check "a module at the end of a pipe" pipe_shows_one
check "it signs" signs "$PROXY" "$AUTH_TOKEN" "$AUTH_PIN" authentication

finish 2
