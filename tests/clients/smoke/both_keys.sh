# shellcheck shell=bash
# What a language's program is put through that signs with either key. To be sourced by a script that has
# `sign TOKEN PIN`, which signs the file `message` into the file `signature`.

# signs TOKEN PIN CREDENTIAL
signs() {
    sign "$1" "$2"
    verified_by "$WORK/identity/$3.pem" signature message
}

# Checks all but the first signature, whose commands the script counts.
check_the_rest() {
    check "the signature key signs" signs "$SIGN_TOKEN" "$SIGN_PIN" signature
    refused "a malformed PIN" 'CKR_PIN_INCORRECT' sign "$AUTH_TOKEN" 12a4
    check "it cost no try" equal 3 "$(card tries auth)"
    card remove
    refused "no card" "no token $AUTH_TOKEN" sign "$AUTH_TOKEN" "$AUTH_PIN"
    card insert
}
