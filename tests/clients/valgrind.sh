#!/usr/bin/env bash
# Valgrind over the loaded module: pkcs11-tool logs in, lists and signs with both keys. What pkcs11-tool and other
# libraries do wrong is theirs; in nothing that valgrind reports may the module stand.
#
# needs: valgrind:valgrind
source "$(dirname "$0")/lib.sh"

# Runs pkcs11-tool under valgrind, which writes to the file `report`.
watched() {
    valgrind --leak-check=full --show-leak-kinds=definite --num-callers=60 --log-file=report \
        pkcs11-tool --module "$MODULE" "$@"
}

# Paragraphs of the report in which the module stands. It also stands in the command that valgrind repeats.
findings() {
    sed -e 's/^==[0-9]*== *//' -e '/^Command:/d' report | awk -v RS= '/libjpki_pkcs11/'
}

is_clean() {
    grep -q 'ERROR SUMMARY' report
    findings >found
    cat found
    [[ ! -s found ]]
}

lists() {
    watched --login --token-label "$1" --pin "$2" --list-objects
    is_clean
}

signs() {
    watched --login --token-label "$1" --pin "$2" --sign --mechanism SHA256-RSA-PKCS --input-file letter \
        --output-file "$3.sig"
    verified_by "$WORK/identity/$3.pem" "$3.sig" letter
    is_clean
}

# The check itself must see the module where it stands: a leak of a library is found by its name.
sees_the_module() {
    printf '==1== 8 bytes in 1 blocks are definitely lost\n==1==    by 0x1: f (in %s)\n==1==\n==1== ERROR SUMMARY: 1\n' \
        "$MODULE" >report
    ! is_clean
}

begin
echo 'a letter' >letter
check "a leak of the module would be seen" sees_the_module
check "no error and no leak in listing the authentication token" lists "$AUTH_TOKEN" "$AUTH_PIN"
check "no error and no leak in listing the signature token" lists "$SIGN_TOKEN" "$SIGN_PIN"
check "no error and no leak in an authentication signature" signs "$AUTH_TOKEN" "$AUTH_PIN" authentication
check "no error and no leak in a digital signature" signs "$SIGN_TOKEN" "$SIGN_PIN" signature
finish
