#!/usr/bin/env bash
# The command jpki-pkcs11 as people use it, with a real pcscd: what it says while a card comes, goes and is locked, that
# it costs no try, the key that it gives to ssh, and PINs that are changed at a terminal. The states that one brings
# about without a pcscd are in tests/command.
#
# needs: ssh-keygen:openssh-client python3:python3
source "$(dirname "$0")/lib.sh"

japanese() {
    LC_ALL=ja_JP.UTF-8 "$COMMAND" "$@"
}

# ends_with STATUS PATTERN COMMAND...: its exit status, and a line of its output (a pattern of grep -E).
ends_with() {
    local expected=$1 pattern=$2 status=0
    shift 2
    "$@" >output 2>&1 || status=$?
    cat output
    equal "$expected" "$status"
    grep -Eq -- "$pattern" output
}

# json PATH: a value of the report, as Python writes it.
json() {
    "$COMMAND" --json >report.json || true
    python3 -c 'import json, sys, functools
steps = [int(step) if step.isdigit() else step for step in sys.argv[1].split(".")]
print(functools.reduce(lambda value, step: value[step], steps, json.load(open("report.json"))))' "$1"
}

all_is_well() {
    ends_with 0 '^問題ありません。$' japanese status
    equal ready "$(json readers.0.state)"
    equal well "$(json result)"
    equal "$(openssl x509 -in "$WORK/identity/authentication.pem" -noout -enddate -dateopt iso_8601 | cut -c10-19)" \
        "$(json readers.0.card.authentication.validity.until)"
}

# A look asks for the counts, and for nothing that a PIN opens.
nothing_was_sent() {
    equal "0 0 0" "$(card count verifies auth) $(card count verifies sign) $(card count signatures)"
    no_pin_is_verified
}

card_is_out() {
    card remove
    wait_until ends_with 1 '^  ! Put the card in$' "$COMMAND"
    ends_with 1 '^  ! カードを置くか差し込んでください$' japanese
    card insert
    wait_until ends_with 0 '^All is well\.$' "$COMMAND"
}

pin_is_locked() {
    card set-tries auth 0
    ends_with 1 '! The municipal office sets a new PIN\. Or, if you know the PIN of the digital signature' "$COMMAND"
    ends_with 1 '! 市区町村の窓口で再設定を受けてください。署名用電子証明書の暗証番号が分かる場合' japanese
    equal locked "$(json readers.0.card.authentication.pin.state)"
    card set-tries auth 3
}

# ssh-keygen reads the same key through the module; the comments differ.
key_is_that_of_ssh() {
    "$COMMAND" ssh-key >ours
    ssh-keygen -D "$MODULE" >theirs
    cat ours theirs
    ssh-keygen -l -f ours
    grep -qF "$(cut -d ' ' -f 1,2 ours)" theirs
    equal 1 "$(wc -l <ours)"
}

# Typed at a terminal: three entries, each when it is asked for.
change_pin() {
    local which=$1 old=$2 new=$3
    : >terminal
    rm -f terminal.done
    script --quiet --return --flush --command "$COMMAND change-pin $which; status=\$?; : >terminal.done; exit \$status" \
        terminal < <(
        wait_until grep -aq 'Current PIN: ' terminal
        printf '%s\r' "$old"
        wait_until grep -aq 'New PIN: ' terminal
        printf '%s\r' "$new"
        wait_until grep -aq 'New PIN, again: ' terminal
        printf '%s\r' "$new"
        wait_until test -e terminal.done
    )
    cat terminal
    grep -aq 'The PIN was changed\.' terminal
    ! grep -aqF "$new" terminal
}

changed_pin_holds() {
    change_pin authentication "$AUTH_PIN" 8642
    echo message >message
    pkcs11-tool --module "$MODULE" --token-label "$AUTH_TOKEN" --login --pin 8642 --sign --mechanism SHA256-RSA-PKCS \
        --input-file message --output-file signature
    verified_by "$WORK/identity/authentication.pem" signature message
    change_pin authentication 8642 "$AUTH_PIN"
}

password_is_changed_in_capitals() {
    change_pin signature abc123 newPass7
    pkcs11-tool --module "$MODULE" --token-label "$SIGN_TOKEN" --login --pin NEWPASS7 --list-objects --type cert
    change_pin signature NEWPASS7 "$SIGN_PIN"
}

login_shows_the_signature_certificate() {
    at_terminal 'PIN for digital signatures: ' "$SIGN_PIN" "$COMMAND status --login"
    cat terminal
    equal 2 "$(grep -ac 'Valid until 20' terminal)"
    no_pin_is_verified
}

no_pin_is_taken_from_a_pipe() {
    local status=0
    printf '%s\n' "$SIGN_PIN" | setsid --wait "$COMMAND" status --login >output 2>&1 || status=$?
    cat output
    equal 2 "$status"
    grep -q 'A PIN is asked for at a terminal only' output
}

pcscd_is_gone() {
    card kill-pcscd
    ends_with 1 '^PC/SC service: does not answer$' "$COMMAND"
    ends_with 1 '^  ! pcscd をインストールして起動してください' japanese
    equal missing "$(json service)"
    card restart-pcscd
    wait_until ends_with 0 '^All is well\.$' "$COMMAND"
}

begin

check_within 16 "a look" ends_with 0 '^All is well\.$' "$COMMAND"
check "all is well, in both languages and as JSON" all_is_well
check "a look sends no PIN and signs nothing" nothing_was_sent
check "a card that is out" card_is_out
check "a PIN that is locked" pin_is_locked
check "the key for ssh" key_is_that_of_ssh
check "a PIN is changed, and holds" changed_pin_holds
check "a password is changed, and is in capitals" password_is_changed_in_capitals
check "a login shows until when the signature certificate is valid" login_shows_the_signature_certificate
check "no PIN is taken from a pipe" no_pin_is_taken_from_a_pipe
check "pcscd is gone, and comes back" pcscd_is_gone

finish
