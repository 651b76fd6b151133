#!/usr/bin/env bash
# OpenSC's pkcs11-tool: lists, every mechanism with both keys, its own tests, wrong PINs, a changed PIN.
source "$(dirname "$0")/lib.sh"

tool() {
    pkcs11-tool --module "$MODULE" "$@"
}

auth_tool() {
    tool --token-label "$AUTH_TOKEN" --login --pin "${PIN:-$AUTH_PIN}" "$@"
}

sign_tool() {
    tool --token-label "$SIGN_TOKEN" --login --pin "${PIN:-$SIGN_PIN}" "$@"
}

# prints PATTERN COMMAND...: the command succeeds and prints something that matches.
prints() {
    local pattern=$1
    shift
    "$@" >output
    cat output
    grep -Eq -- "$pattern" output
}

# --- lists ------------------------------------------------------------------------------------------------------

authentication_comes_first() {
    tool --list-token-slots >slots
    cat slots
    equal "$AUTH_TOKEN $SIGN_TOKEN" "$(sed -n 's/.*token label *: //p' slots | paste -s -d' ')"
}

count_flags_are_clear() {
    tool --list-token-slots >slots
    cat slots
    ! grep -E 'count low|final user PIN|PIN locked' slots
}

# objects TOKEN-TOOL...: the labels and ids, sorted.
objects() {
    "$@" --list-objects >list
    cat list >&2
    awk '/^  label:/ { $1 = ""; label = substr($0, 2) } /^  ID:/ { print $2 " " label }' list | sort
}

public_objects() {
    equal "01 User Authentication Certificate
01 User Authentication Public Key" "$(objects tool --token-label "$AUTH_TOKEN")"
    equal '' "$(objects tool --token-label "$SIGN_TOKEN")"
}

# With `ca_certificates = true` the CAs' certificates are there before a login, too.
shown_authorities() {
    export JPKI_PKCS11_CONF=$PWD/authorities.toml
    equal "01 User Authentication Certificate
01 User Authentication Public Key
03 User Authentication Certificate CA" "$(objects tool --token-label "$AUTH_TOKEN")"
    equal "04 Digital Signature Certificate CA" "$(objects tool --token-label "$SIGN_TOKEN")"
    tool --token-label "$AUTH_TOKEN" --read-object --type cert --id 03 --output-file auth-ca.der
    tool --token-label "$SIGN_TOKEN" --read-object --type cert --id 04 --output-file sign-ca.der
    cmp auth-ca.der "$WORK/identity/authentication-ca.der"
    cmp sign-ca.der "$WORK/identity/signature-ca.der"
}

authentication_objects() {
    equal "01 User Authentication Certificate
01 User Authentication Key
01 User Authentication Public Key" "$(objects auth_tool)"
}

signature_objects() {
    equal "02 Digital Signature Certificate
02 Digital Signature Key
02 Digital Signature Public Key
04 Digital Signature Certificate CA" "$(objects sign_tool)"
}

# The certificates as read through the module are those of the card.
certificates_are_the_cards() {
    tool --token-label "$AUTH_TOKEN" --read-object --type cert --id 01 --output-file auth.der
    sign_tool --read-object --type cert --id 02 --output-file sign.der
    sign_tool --read-object --type cert --id 04 --output-file sign-ca.der
    cmp auth.der "$WORK/identity/authentication.der"
    cmp sign.der "$WORK/identity/signature.der"
    cmp sign-ca.der "$WORK/identity/signature-ca.der"
}

public_keys_are_the_certificates() {
    tool --token-label "$AUTH_TOKEN" --read-object --type pubkey --id 01 --output-file auth.pub
    sign_tool --read-object --type pubkey --id 02 --output-file sign.pub
    for key in auth:authentication sign:signature; do
        openssl x509 -in "$WORK/identity/${key#*:}.pem" -noout -pubkey >expected.pem
        openssl pkey -pubin -inform DER -in "${key%:*}.pub" -out actual.pem
        cmp expected.pem actual.pem
    done
}

# Descriptions begin with the slot's purpose, because lists cut them at the end.
descriptions_differ() {
    tool --list-slots >slots
    cat slots
    equal 'Authentication,Signature' "$(sed -n 's/^Slot [01] (0x[01]): \(Authentication\|Signature\), Virtual .*/\1/p' slots |
        paste -s -d ,)"
}

# --- signatures -------------------------------------------------------------------------------------------------

# signs_hashed TOOL CERTIFICATE HASH: the module hashes.
signs_hashed() {
    "$1" --sign --mechanism "SHA${3#sha}-RSA-PKCS" --input-file message --output-file signature
    verified_by "$2" signature message "-$3"
}

# The caller brings a DigestInfo.
signs_digest_info() {
    {
        printf '\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20'
        openssl dgst -sha256 -binary message
    } >info
    "$1" --sign --mechanism RSA-PKCS --input-file info --output-file signature
    verified_by "$2" signature message -sha256
}

signs_pss() {
    openssl dgst -sha256 -binary message >digest
    "$1" --sign --mechanism RSA-PKCS-PSS --hash-algorithm SHA256 --mgf MGF1-SHA256 --salt-len 32 \
        --input-file digest --output-file signature
    verified_by "$2" signature message -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32
}

signs_pss_hashed() {
    "$1" --sign --mechanism SHA256-RSA-PKCS-PSS --input-file message --output-file signature
    verified_by "$2" signature message -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32
}

# Hashed in pieces: pkcs11-tool sends what is longer than its buffer with C_SignUpdate.
signs_long_message() {
    head -c 300000 /dev/urandom >long
    auth_tool --sign --mechanism SHA256-RSA-PKCS --input-file long --output-file signature
    verified_by "$WORK/identity/authentication.pem" signature long
}

verifies_itself() {
    auth_tool --sign --mechanism SHA256-RSA-PKCS --input-file message --output-file signature
    prints 'Signature is valid' tool --token-label "$AUTH_TOKEN" --verify --mechanism SHA256-RSA-PKCS --id 01 \
        --input-file message --signature-file signature
}

own_tests() {
    "$1" --test >output
    cat output
    grep -q 'No errors' output
    ! grep -E 'ERR|[1-9][0-9]* errors' output
}

hashes() {
    tool --hash --mechanism SHA256 --input-file message --output-file digest
    openssl dgst -sha256 -binary message | cmp - digest
}

# --- PINs -------------------------------------------------------------------------------------------------------

tries_left() {
    equal "$1" "$(card tries auth)"
    equal "$2" "$(card tries sign)"
}

changed_pin_holds() {
    tool --token-label "$AUTH_TOKEN" --login --pin "$AUTH_PIN" --change-pin --new-pin 9876
    PIN=9876 signs_hashed auth_tool "$WORK/identity/authentication.pem" sha256
    tool --token-label "$AUTH_TOKEN" --login --pin 9876 --change-pin --new-pin "$AUTH_PIN"
    signs_hashed auth_tool "$WORK/identity/authentication.pem" sha256
}

changed_password_holds() {
    tool --token-label "$SIGN_TOKEN" --login --pin "$SIGN_PIN" --change-pin --new-pin NEWPASSWORD12345
    PIN=NEWPASSWORD12345 signs_hashed sign_tool "$WORK/identity/signature.pem" sha256
    tool --token-label "$SIGN_TOKEN" --login --pin NEWPASSWORD12345 --change-pin --new-pin "$SIGN_PIN"
}

begin
head -c 1000 /dev/urandom >message
echo 'ca_certificates = true' >authorities.toml

check_figure -L "authentication comes first" authentication_comes_first
check "each slot's description says what it is for" descriptions_differ
check_figure -O "the authentication token is listed" tool --token-label "$AUTH_TOKEN" --list-objects
check_figure --sign "a signature" auth_tool --sign --mechanism SHA256-RSA-PKCS --input-file message --output-file signature
check_figure '--sign with the signature key' "a signature, signature key" \
    sign_tool --sign --mechanism SHA256-RSA-PKCS --input-file message --output-file signature
check "no login is needed for what is public" public_objects
check "the CAs' certificates, as configured" shown_authorities
check "the authentication token's objects" authentication_objects
check "the signature token's objects" signature_objects
check "certificates are the card's" certificates_are_the_cards
check "public keys are the certificates'" public_keys_are_the_certificates
check "a fork may use the module" prints 'forked child' tool --test-fork --login --pin "$AUTH_PIN"
check "interfaces are listed" prints 'version: 3\.' tool --list-interfaces

for credential in auth:authentication sign:signature; do
    tool=${credential%:*}_tool certificate=$WORK/identity/${credential#*:}.pem
    for hash in sha1 sha224 sha256 sha384 sha512; do
        check "$hash, hashed by the module, ${credential#*:}" signs_hashed "$tool" "$certificate" "$hash"
    done
    check "DigestInfo of the caller, ${credential#*:}" signs_digest_info "$tool" "$certificate"
    check "PSS, ${credential#*:}" signs_pss "$tool" "$certificate"
    check "PSS, hashed by the module, ${credential#*:}" signs_pss_hashed "$tool" "$certificate"
    check "its own tests, ${credential#*:}" own_tests "$tool"
done
check "a long message" signs_long_message
check "the module verifies its signature" verifies_itself
check "the module hashes" hashes
refused "no random bytes" 'Could not generate random bytes' tool --generate-random 32
refused "decryption is refused" 'CKR_(FUNCTION_NOT_SUPPORTED|MECHANISM_INVALID|KEY_FUNCTION_NOT_PERMITTED)' \
    auth_tool --decrypt --mechanism RSA-PKCS --input-file signature
check "no PIN try was used up" tries_left 3 5

for pin in 123 12345 12a4 "$SIGN_PIN"; do
    refused "no PIN for authentication: $pin" CKR_PIN_INCORRECT tool --token-label "$AUTH_TOKEN" --login --pin "$pin" -O
done
for pin in "$AUTH_PIN" ABC12 'ABC 123' ABCDEFGHIJKLMNOPQ; do
    refused "no PIN for signature: $pin" CKR_PIN_INCORRECT tool --token-label "$SIGN_TOKEN" --login --pin "$pin" -O
done
check "malformed PINs use no try" tries_left 3 5
PIN=${SIGN_PIN,,} check "a lower-case password is the same" signs_hashed sign_tool "$WORK/identity/signature.pem" sha256

refused "a wrong PIN" CKR_PIN_INCORRECT tool --token-label "$AUTH_TOKEN" --login --pin 1111 -O
check "one try is used up" tries_left 2 5
check "the token says that the count is low" prints 'user PIN count low' tool --list-token-slots
check "the right PIN" authentication_objects
check "it restored the tries" tries_left 3 5
check "the count is no longer low" count_flags_are_clear

check "a PIN is changed, and back" changed_pin_holds
check "a password is changed, and back" changed_password_holds
refused "a malformed new PIN" CKR_PIN_LEN_RANGE \
    tool --token-label "$AUTH_TOKEN" --login --pin "$AUTH_PIN" --change-pin --new-pin 12345
refused "a new PIN with a letter" CKR_PIN_ \
    tool --token-label "$AUTH_TOKEN" --login --pin "$AUTH_PIN" --change-pin --new-pin 12a4
check "the PINs are the old ones" authentication_objects

take_card_out
refused "no card: no token is listed" 'No slots\.' tool --list-token-slots
check "no card: the slots are empty" prints '\(empty\)' tool --list-slots
refused "no card: no objects" 'No slot with a token was found\.' tool --list-objects
put_card_in
check "the card is back" authentication_objects

finish 1
