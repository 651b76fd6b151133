#!/usr/bin/env bash
# In the chroot: lists both tokens of a virtual card and signs with each key by pkcs11-tool. OpenSSL verifies.
#
# usage: sign.sh VIRTUAL_CARD MODULE COMMAND...    COMMAND runs pkcs11-tool of the module's own machine
virtual_card=$1
module=$2
shift 2
# shellcheck source=tests/ports/stack.sh
source "$(dirname "$0")/stack.sh"

tool=("$@" --module "$module")

# sign TOKEN PIN NAME
sign() {
    "${tool[@]}" --token-label "$1" --login --pin "$2" --sign --mechanism SHA256-RSA-PKCS \
        --input-file letter --output-file pkcs1
    verify "$3" pkcs1
    "${tool[@]}" --token-label "$1" --login --pin "$2" --sign --mechanism SHA256-RSA-PKCS-PSS \
        --input-file letter --output-file pss
    verify "$3" pss pss
    rm pkcs1 pss
}

"${tool[@]}" --list-token-slots
sign 'JPKI User Authentication' 1234 authentication
sign 'JPKI Digital Signature' ABC123 signature
card_is_well
end_stack
