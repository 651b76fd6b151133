#!/usr/bin/env bash
# A signature or a login each by programs and languages that are not driven in full: osslsigncode, Python's PyKCS11,
# Rust's cryptoki, strongSwan's pki, pam_pkcs11.
#
# needs: /usr/bin/python3:python3 /usr/lib/python3/dist-packages/PyKCS11:python3-pykcs11 osslsigncode:osslsigncode
# needs: /usr/lib/*/engines-3/pkcs11.so:libengine-pkcs11-openssl rust_client
# needs: pki:strongswan-pki /usr/lib/ipsec/plugins/libstrongswan-pkcs11.so:libstrongswan-extra-plugins
# needs: /lib/*/security/pam_pkcs11.so:libpam-pkcs11 pamtester:pamtester /usr/lib/*/libpam_wrapper.so:libpam-wrapper
# needs: /usr/lib/*/libnss_wrapper.so:libnss-wrapper
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
    rm -f signature signature.der
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

# with_pin PIN COMMAND...: away from the terminal, at which it would ask.
with_pin() {
    printf '%s\n' "$1" | setsid --wait "${@:2}"
}

# --- strongSwan's pki -------------------------------------------------------------------------------------------

prepare_pki() {
    printf 'libstrongswan {\nplugins {\npkcs11 {\nmodules {\njpki {\npath = %s\n}\n}\n}\n}\n}\n' "$MODULE" \
        >strongswan.conf
    export STRONGSWAN_CONF=$PWD/strongswan.conf
}

pki_prints_the_key() {
    with_pin "$AUTH_PIN" pki --pub --type rsa --keyid 01 --outform pem >pki.pub
    openssl x509 -in "$WORK/identity/authentication.pem" -noout -pubkey | cmp - pki.pub
}

pki_signs() {
    with_pin "${1:-$AUTH_PIN}" pki --self --type rsa --keyid 01 --dn 'CN=smoke' --outform pem >self.pem
    openssl verify -CAfile self.pem self.pem
    openssl x509 -in "$WORK/identity/authentication.pem" -noout -pubkey >wanted
    openssl x509 -in self.pem -noout -pubkey | cmp - wanted
}

# --- pam_pkcs11 -------------------------------------------------------------------------------------------------

# A PAM configuration and a user of this place's own: nothing in /etc is read or changed. pam_pkcs11 0.6.13 loads only a
# module that is root's and that no group may write to. What cargo builds is this user's, and follows the user's own
# umask.
prepare_pam() {
    cp "$MODULE" jpki-pkcs11-auth.so
    sed -e "s|module = /usr.*;|module = $PWD/jpki-pkcs11-auth.so;|" -e "s|ca_dir = .*;|ca_dir = $PWD/ca.pem;|" \
        -e "s|file://.*;|\"file://$PWD/users\";|" "$ROOT/conf/pam_pkcs11.conf" >pam_pkcs11.conf
    "$COMMAND" ca-certificate authentication >ca.pem
    openssl x509 -in "$WORK/identity/authentication.pem" -noout -subject -nameopt multiline |
        sed -n 's/.*commonName *= \(.*\)/\1 -> somebody/p' >users
    mkdir services
    printf 'auth required pam_pkcs11.so config_file=%s\naccount required pam_permit.so\n' "$PWD/pam_pkcs11.conf" \
        >services/jpki
    printf 'somebody:x:%s:%s:Somebody:%s:/bin/sh\n' "$(id -u)" "$(id -g)" "$PWD" >passwd
    printf 'somebody:x:%s:\n' "$(id -g)" >group
}

pam_logs_in() {
    PAM_WRAPPER=1 PAM_WRAPPER_SERVICE_DIR=$PWD/services NSS_WRAPPER_PASSWD=$PWD/passwd NSS_WRAPPER_GROUP=$PWD/group \
        LD_PRELOAD='libpam_wrapper.so libnss_wrapper.so' with_pin "${1:-$AUTH_PIN}" \
        timeout --signal=KILL 20 "${AS_ROOT[@]}" pamtester jpki somebody authenticate
}

# pam_distrusts: the CA of other certificates vouches for none of ours.
pam_distrusts() {
    cp "$WORK/identity/signature-ca.pem" ca.pem
    pam_logs_in
}

# --- tries ------------------------------------------------------------------------------------------------------

tries_left() {
    equal "$1" "$(card tries auth)"
}

# counts_tries NAME PATTERN COMMAND...: an entry that cannot be the PIN costs no try, a wrong PIN costs one, and the
# right one sets the count back. PATTERN is what the program says of the first two.
counts_tries() {
    local name=$1 said=$2
    shift 2
    PIN=12a4 refused "a malformed PIN, $name" "$said" "$@"
    check "it cost no try" tries_left 3
    PIN=9999 refused "a wrong PIN, $name" "$said" "$@"
    check "it cost one try" tries_left 2
    check "the right PIN, $name" "$@"
    check "it restored the tries" tries_left 3
}

with_its_pin() {
    "$1" "${PIN:-$AUTH_PIN}"
}

begin
prepare
prepare_pki
prepare_pam

check_figure osslsigncode "osslsigncode" osslsigncode_signs
check_figure PyKCS11 "PyKCS11" python_signs authentication
check "PyKCS11, signature key" python_signs signature
check_figure cryptoki "cryptoki" rust_signs authentication
check "cryptoki, signature key" rust_signs signature
check "cryptoki, PSS" rust_signs_pss
refused "osslsigncode finds a changed program" 'MISMATCH|mismatch|Failed' verify_changed_program
check_figure 'pki --self' "strongSwan's pki" pki_signs
check "pki prints the key" pki_prints_the_key
check_figure pam_pkcs11 "pam_pkcs11" pam_logs_in
counts_tries PyKCS11 CKR_PIN_INCORRECT python_signs authentication
counts_tries cryptoki 'The specified PIN is incorrect|PinIncorrect' rust_signs authentication
counts_tries pki 'login to .* failed: PIN_INCORRECT' with_its_pin pki_signs
counts_tries pam_pkcs11 'Wrong smart ?card PIN' with_its_pin pam_logs_in
refused "pam_pkcs11, another CA" 'certificate is invalid|verify' pam_distrusts
card remove
refused "no card, PyKCS11" 'StopIteration' python_signs authentication
refused "no card, cryptoki" 'no such token' rust_signs authentication
refused "no card, pki" 'no PKCS#11 module found having a keyid 01' pki_signs
refused "no card, pam_pkcs11" 'no card|smart card|Smart card|no suitable token' pam_logs_in
card insert

finish 4
