#!/usr/bin/env bash
# What this module promises, next to what OpenSC's JPKI driver does in the same test with the same virtual card. The
# table that is printed stands in the README.
source "$(dirname "$0")/lib.sh"

OPENSC=$(compgen -G '/usr/lib*/*/opensc-pkcs11.so' || compgen -G '/usr/lib*/opensc-pkcs11.so')
readonly OPENSC=${OPENSC%%$'\n'*}

# Runs pkcs11-tool on the first (0) or second (1) token of the library that is measured.
tool() {
    local slot=$1
    shift
    pkcs11-tool --module "$library" --slot-index "$slot" "$@"
}

# What the library answered, as pkcs11-tool prints it.
return_code() {
    "$@" 2>&1 | grep -o 'CKR_[A-Z_]*' | head -n 1 || true
}

# A card as it comes from the office.
fresh_card() {
    card clear-faults
    card insert full
    wait_until card_is_seen
}

card_is_seen() {
    grep -q JPKI < <(pkcs11-tool --module "$MODULE" --list-token-slots)
}

# exchanges COMMAND...: how many commands the card got.
exchanges() {
    local before
    before=$(card count commands)
    "$@" >/dev/null 2>&1 || true
    printf '%s\n' $(($(card count commands) - before))
}

sign() {
    tool 0 --login --pin "$AUTH_PIN" --sign --mechanism "${1:-SHA256-RSA-PKCS}" --id 01 --input-file letter \
        --output-file signature
}

listing() {
    exchanges tool 0 --list-objects
}

first_signature() {
    exchanges sign
}

# tries_for SLOT CREDENTIAL PIN: the tries that one login costs.
tries_for() {
    local before
    before=$(card tries "$2")
    tool "$1" --login --pin "$3" --list-objects >/dev/null 2>&1 || true
    printf '%s\n' $((before - $(card tries "$2")))
}

malformed_pin() {
    tries_for 0 auth 12a4
}

password_for_the_other_slot() {
    tries_for 0 auth "$SIGN_PIN"
}

lower_case_password() {
    tries_for 1 sign abc123
}

left_after_exit() {
    sign >/dev/null 2>&1
    if [[ $(card verified auth) == true ]]; then echo 'open to everybody'; else echo 'closed'; fi
}

blocked_pin() {
    card set-tries auth 0
    return_code tool 0 --login --pin "$AUTH_PIN" --list-objects
}

# An answer of 256 bytes that is no signature. Always: pkcs11-tool tries in parts what failed at once.
wrong_signature() {
    local zeros
    zeros=$(printf '%0512d' 0)
    card fault on 2a repeated answer "${zeros}9000"
    local answer
    answer=$(return_code sign)
    printf '%s\n' "${answer:-given to the program}"
}

pss_signature() {
    if sign SHA256-RSA-PKCS-PSS >/dev/null 2>&1 &&
        verified_by "$WORK/identity/authentication.pem" signature letter \
            -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 >/dev/null 2>&1; then
        echo yes
    else
        echo no
    fi
}

changed_pin() {
    if tool 0 --login --pin "$AUTH_PIN" --change-pin --new-pin 4321 >/dev/null 2>&1; then echo yes; else echo no; fi
}

# row NAME TEST PATTERN: measures both; what this module does must match the pattern, and README must have the row. A
# busy machine may hold a program up for a second, so that it asks for the tries left once more: then both are measured
# again.
row() {
    local name=$1 measure=$2 pattern=$3 ours theirs line
    for _ in 1 2 3; do
        library=$OPENSC
        fresh_card
        theirs=$("$measure")
        library=$MODULE
        fresh_card
        ours=$("$measure")
        line="| $name | $ours | $theirs |"
        ! grep -Fqx -- "$line" "$ROOT/README.md" || break
    done
    printf '%s\n' "$line" >>table
    check "$name: $ours" grep -Eqx -- "$pattern" <(printf '%s\n' "$ours")
    if has_tested_versions; then
        check "$name: as README says" grep -Fqx -- "$line" "$ROOT/README.md"
    fi
}

begin
echo 'a letter' >letter
row 'commands to list the authentication token' listing '[0-5]'
row 'commands up to a first signature' first_signature '[0-9]|1[0-6]'
row 'tries that the PIN "12a4" costs' malformed_pin 0
row 'tries that the signature password costs at the authentication slot' password_for_the_other_slot 0
row 'tries that the right password in lower case costs' lower_case_password 0
row 'the key after the program has ended' left_after_exit closed
row 'what a blocked PIN is called' blocked_pin CKR_PIN_LOCKED
row 'an answer of the card that is no signature' wrong_signature CKR_DEVICE_ERROR
row 'a PSS signature (TLS 1.3)' pss_signature yes
row 'changing the PIN' changed_pin yes

printf '\n| | this module | OpenSC |\n|---|---|---|\n'
cat table
printf '\n'
fresh_card
finish
