#!/usr/bin/env bash
# Lists both tokens of a virtual card, signs a file with each key, and lets OpenSSL verify it: `pkcs11-tests.sh demo`.
source "$(dirname "$0")/clients/lib.sh"

show() {
    printf '\n$%s\n' "$(printf ' %q' "$@")"
    "$@" 2>&1
}

# sign_and_verify TOKEN PIN CERTIFICATE FILE: FILE is the credential's name in what is printed and made.
sign_and_verify() {
    local token=$1 pin=$2 certificate=$3 name=$4
    show pkcs11-tool --module "$MODULE" --token-label "$token" --login --pin "$pin" --list-objects
    show pkcs11-tool --module "$MODULE" --token-label "$token" --login --pin "$pin" \
        --sign --mechanism SHA256-RSA-PKCS --input-file letter.txt --output-file "$name.sig"
    openssl x509 -in "$certificate" -noout -pubkey >"$name.pub"
    show openssl dgst -sha256 -verify "$name.pub" -signature "$name.sig" letter.txt
}

begin
printf 'A letter, to be signed.\n' >letter.txt
show pkcs11-tool --module "$MODULE" --list-token-slots
sign_and_verify "$AUTH_TOKEN" "$AUTH_PIN" "$WORK/identity/authentication.pem" authentication
sign_and_verify "$SIGN_TOKEN" "$SIGN_PIN" "$WORK/identity/signature.pem" signature

printf '\nThe card was asked to do %s commands, %s of them signatures; %s PIN tries were used up.\n\n' \
    "$(card count commands)" "$(card count signatures)" "$(failed_verifies)"
check "OpenSSL verifies the signature of the authentication key" verified_by \
    "$WORK/identity/authentication.pem" authentication.sig letter.txt
check "OpenSSL verifies the signature of the signature key" verified_by \
    "$WORK/identity/signature.pem" signature.sig letter.txt
finish
