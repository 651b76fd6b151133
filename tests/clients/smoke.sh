#!/usr/bin/env bash
# One signature each by programs and languages that are not driven in full: osslsigncode, Python's PyKCS11, Rust's
# cryptoki.
#
# needs: /usr/bin/python3:python3 /usr/lib/python3/dist-packages/PyKCS11:python3-pykcs11 osslsigncode:osslsigncode
# needs: /usr/lib/*/engines-3/pkcs11.so:libengine-pkcs11-openssl rust_client
source "$(dirname "$0")/lib.sh"

prepare() {
    head -c 1000 /dev/urandom >message
    # What osslsigncode takes for a program: the headers of one for Windows, without anything to run.
    {
        printf 'MZ%058d\x40\0\0\0' 0
        printf 'PE\0\0\x64\x86\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0\0\x22\0'
        printf '\x0b\x02'
        head -c 58 /dev/zero
        printf '\0\x02\0\0'
        head -c 44 /dev/zero
        printf '\x10\0\0\0'
        head -c 640 /dev/zero
    } >program.exe
}

# signs CREDENTIAL COMMAND...: the command is given the module, the token, the file, and the signature to make.
signs() {
    local token=$AUTH_TOKEN
    export PIN=${PIN:-$AUTH_PIN}
    if [[ $1 == signature ]]; then
        token=$SIGN_TOKEN PIN=$SIGN_PIN
    fi
    rm -f signature
    "${@:2}" "$MODULE" "$token" message signature
    verified_by "$WORK/identity/$1.pem" signature message
}

python_signs() {
    signs "$1" /usr/bin/python3 "$CLIENTS/smoke/sign.py"
}

rust_signs() {
    signs "$1" "$TARGET/debug/rust-client"
    cmp signature.der "$WORK/identity/$1.der"
}

rust_signs_pss() {
    PIN=$SIGN_PIN "$TARGET/debug/rust-client" "$MODULE" "$SIGN_TOKEN" message signature pss
    verified_by "$WORK/identity/signature.pem" signature message -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32
}

sign_program() {
    printf %s "$SIGN_PIN" >password
    rm -f signed.exe
    osslsigncode sign -pkcs11module "$MODULE" -certs "$WORK/identity/signature.pem" \
        -key 'pkcs11:token=JPKI%20Digital%20Signature;type=private' \
        -readpass password -h sha256 -in program.exe -out signed.exe
}

osslsigncode_signs() {
    sign_program
    osslsigncode verify -CAfile "$WORK/identity/${1:-signature-ca}.pem" -in signed.exe
}

verify_changed_program() {
    printf x | dd of=signed.exe bs=1 seek=700 conv=notrunc
    osslsigncode verify -CAfile "$WORK/identity/signature-ca.pem" -in signed.exe
}

begin
prepare

check_figure osslsigncode "osslsigncode" osslsigncode_signs
check_figure PyKCS11 "PyKCS11" python_signs authentication
check "PyKCS11, signature key" python_signs signature
check_figure cryptoki "cryptoki" rust_signs authentication
check "cryptoki, signature key" rust_signs signature
check "cryptoki, PSS" rust_signs_pss
refused "osslsigncode finds a changed program" 'MISMATCH|mismatch|Failed' verify_changed_program
PIN=12a4 refused "a malformed PIN, PyKCS11" 'CKR_PIN_INCORRECT' python_signs authentication
PIN=12a4 refused "a malformed PIN, cryptoki" 'The specified PIN is incorrect|PinIncorrect' rust_signs authentication
card remove
refused "no card, PyKCS11" 'StopIteration' python_signs authentication
refused "no card, cryptoki" 'no such token' rust_signs authentication
card insert

finish
