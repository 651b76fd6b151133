#!/usr/bin/env bash
# pyHanko: signs PDF with the signature key, verified by pdfsig and by pyHanko itself.
#
# needs: /usr/lib/python3*/ensurepip:python3-venv pdfsig:poppler-utils certutil:libnss3-tools pyhanko
source "$(dirname "$0")/lib.sh"

# Where pkcs11-tests.sh has installed it.
readonly PYHANKO=$TARGET/pyhanko/bin/pyhanko

# The example configuration, with the path of this place and the CA that the card has.
prepare() {
    [[ -x $PYHANKO ]] || die "pyHanko is missing: ./pkcs11-tests.sh prepare"
    ln -s "$MODULE" jpki-pkcs11-sign.so
    sed "s|module-path: .*|module-path: $PWD/jpki-pkcs11-sign.so|" "$ROOT/conf/pyhanko.yml" >pyhanko.yml
    "$COMMAND" ca-certificate signature >jpki-ca.pem
    cp "$CLIENTS/letter.pdf" .
    mkdir nss
    certutil -N -d sql:nss --empty-password
    certutil -A -d sql:nss -n jpki -t C,C,C -i "$WORK/identity/signature-ca.pem"
}

# Away from the terminal, at which it would ask for the password.
pyhanko() {
    setsid --wait "$PYHANKO" "$@"
}

# sign PASSWORD [OPTION...]
sign() {
    local password=$1
    shift
    (($#)) || set -- --p11-setup jpki
    rm -f signed.pdf
    pyhanko sign addsig --field "${FIELD:-Signature}" --use-pades pkcs11 "$@" "${INPUT:-letter.pdf}" signed.pdf \
        <<<"$password"
}

by_pdfsig() {
    pdfsig -nssdir sql:nss signed.pdf >output
    cat output
    grep -q 'Signer Certificate Common Name: TEST' output
    grep -q 'Signature Type: ETSI.CAdES.detached' output
    grep -q 'Total document signed' output
    grep -q 'Signature Validation: Signature is Valid.' output
    grep -q 'Certificate Validation: Certificate is Trusted.' output
}

by_pyhanko() {
    pyhanko sign validate --validation-context jpki --no-revocation-check --pretty-print "${1:-signed.pdf}" >output
    cat output
    grep -qx "The signer's certificate is trusted." output
    grep -qx 'The signature covers the entire file.' output
    grep -qx 'The signature is judged VALID.' output
}

signs() {
    sign "$SIGN_PIN" "$@"
    by_pdfsig
    by_pyhanko
}

signs_a_second_time() {
    mv signed.pdf once.pdf
    INPUT=once.pdf FIELD=Second sign "$SIGN_PIN"
    pyhanko sign validate --validation-context jpki --no-revocation-check signed.pdf >output
    cat output
    equal 2 "$(grep -c 'INTACT:TRUSTED' output)"
}

# Without the CA in the document and in the other one's store, no program could build the chain.
has_the_chain() {
    mkdir -p parts
    (cd parts && pdfsig -dump ../signed.pdf)
    openssl cms -cmsout -inform DER -in parts/*.sig0 -certsout chain.pem -noout
    grep -v ':' chain.pem | cat
    equal 2 "$(grep -c 'BEGIN CERTIFICATE' chain.pem)"
}

finds_change() {
    sed 's/A letter to sign/A letter to burn/' signed.pdf >changed.pdf
    pyhanko sign validate --validation-context jpki --no-revocation-check --pretty-print changed.pdf
}

distrusts_other_authority() {
    pyhanko sign validate --trust "$WORK/identity/authentication-ca.pem" --trust-replace --no-revocation-check \
        --pretty-print signed.pdf
}

tries_left() {
    equal "$1" "$(card tries sign)"
}

without_pcscd() {
    PCSCLITE_CSOCK_NAME=$PWD/nobody "$@"
}

begin
prepare

check_figure 'a PDF' "a PDF is signed" sign "$SIGN_PIN"
check "pdfsig verifies" by_pdfsig
check "pyHanko verifies" by_pyhanko
check "the chain is in the document" has_the_chain
check "key and certificate by label" signs --lib "$MODULE" --token-label "$SIGN_TOKEN" \
    --cert-label 'Digital Signature Certificate' --key-label 'Digital Signature Key'
check "pyHanko hashes" signs --lib "$MODULE" --token-label "$SIGN_TOKEN" --raw-mechanism \
    --cert-label 'Digital Signature Certificate' --key-label 'Digital Signature Key'
check "a second signature in the document" signs_a_second_time
refused "a changed document" 'The signature is judged INVALID' finds_change
refused "another CA" "The signer's certificate is untrusted" distrusts_other_authority

check "no PIN try was used up" tries_left 5
refused "a malformed password" '\[PinIncorrect\]' sign "$AUTH_PIN"
check "it cost no try" tries_left 5
refused "a wrong password" '\[PinIncorrect\]' sign WRONG123
check "it cost one try" tries_left 4
check "the right password in lower case" sign "${SIGN_PIN,,}"
check "it restored the tries" tries_left 5
card set-tries sign 0
refused "a blocked password" '\[PinLocked\]' sign "$SIGN_PIN"
card set-tries sign 5
refused "the card is pulled out during the signature" '^Error: Generic processing error' pulled_out sign "$SIGN_PIN"
refused "no card" "No token matching criteria TokenCriteria\(label='$SIGN_TOKEN'" sign "$SIGN_PIN"
refused "no reader" "No token matching criteria TokenCriteria\(label='$SIGN_TOKEN'" without_pcscd sign "$SIGN_PIN"
card insert

finish 1
