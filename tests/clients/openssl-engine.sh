#!/usr/bin/env bash
# OpenSSL by way of libp11's engine, which curl and programs older than OpenSSL's providers use: signatures, requests,
# CMS, TLS logins; and what a user reads when something is wrong.
#
# needs: curl:curl /usr/lib/*/engines-3/pkcs11.so:libengine-pkcs11-openssl
source "$(dirname "$0")/lib.sh"

readonly AUTH_KEY='pkcs11:token=JPKI%20User%20Authentication;type=private'
readonly SIGN_KEY='pkcs11:token=JPKI%20Digital%20Signature;type=private'

prepare() {
    PKCS11_MODULE_PATH=$MODULE
    export PKCS11_MODULE_PATH
    head -c 1000 /dev/urandom | base64 >message
    openssl dgst -sha256 -binary message >digest
    openssl req -x509 -newkey rsa:2048 -noenc -keyout server.key -out server.pem -subj /CN=localhost -days 2 \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
    pkcs11-tool --module "$MODULE" --token-label "$AUTH_TOKEN" --read-object --type cert --id 01 --output-file auth.der
    openssl x509 -inform DER -in auth.der -out auth.pem
}

# with_engine COMMAND OPTION...: openssl
with_engine() {
    openssl "$1" -engine pkcs11 -keyform engine "${@:2}"
}

# --- signatures -------------------------------------------------------------------------------------------------

# sign KEY PIN [DGST-OPTION...]
sign() {
    with_engine dgst -sign "$1" -passin "pass:$2" -out signature "${@:3}" message
}

# signs KEY PIN CREDENTIAL HASH [DGST-OPTION...]
signs() {
    sign "$1" "$2" "-$4" "${@:5}"
    verified_by "$WORK/identity/$3.pem" signature message "-$4" "${@:5}"
}

signs_with_pin_in_uri() {
    with_engine dgst -sha256 -sign "$1;pin-value=$2" -out signature message
    verified_by "$WORK/identity/$3.pem" signature message
}

signs_digest() {
    with_engine pkeyutl -sign -inkey "$1" -passin "pass:$2" -in digest -pkeyopt digest:sha256 -out signature
    verified_by "$WORK/identity/$3.pem" signature message
}

makes_request() {
    with_engine req -new -key "$AUTH_KEY" -passin "pass:$AUTH_PIN" -subj /CN=somebody -out request.pem
    openssl req -in request.pem -noout -verify
    equal "$(openssl x509 -in auth.pem -noout -pubkey)" "$(openssl req -in request.pem -noout -pubkey)"
}

makes_cms() {
    with_engine cms -sign -in message -signer "$WORK/identity/signature.pem" -inkey "$SIGN_KEY" \
        -passin "pass:$SIGN_PIN" -binary -outform DER -out cms.der
    openssl cms -verify -in cms.der -inform DER -content message -binary -CAfile "$WORK/identity/signature-ca.pem" \
        -purpose any -out content
    cmp content message
}

# --- TLS --------------------------------------------------------------------------------------------------------

# The servers insist on a certificate of the authentication CA, and tell on a page who came.
serve() {
    local version
    for version in 1_2 1_3; do
        background "tls$version.log" openssl s_server -accept 127.0.0.1:0 -cert server.pem -key server.key \
            "-tls$version" -Verify 1 -verify_return_error -CAfile "$WORK/identity/authentication-ca.pem" -www
        wait_until grep -q '^ACCEPT' "tls$version.log"
        sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' "tls$version.log" >"tls$version.port"
    done
}

says_who_came() {
    grep -E 'Subject:|Peer signature type' "$1"
    grep -q 'Subject: .*CN *= *TEST' "$1"
    grep -Eq "Peer signature type: $PSS$" "$1"
}

# s_client_logs_in VERSION
s_client_logs_in() {
    printf 'GET / HTTP/1.0\r\n\r\n' | with_engine s_client -connect "127.0.0.1:$(<"tls$1.port")" -CAfile server.pem \
        -verify_return_error -cert auth.pem -key "$AUTH_KEY;pin-value=$AUTH_PIN" -brief -ign_eof >page
    says_who_came page
}

# curl_logs_in VERSION CERTIFICATE [OPTION...]
curl_logs_in() {
    curl --silent --show-error --noproxy '*' --cacert server.pem --cert "$2" "${@:3}" \
        "https://localhost:$(<"tls$1.port")/" >page
    says_who_came page
}

begin
prepare

check_figure dgst "dgst" signs "$AUTH_KEY" "$AUTH_PIN" authentication sha256
for hash in sha1 sha256 sha384 sha512; do
    check "dgst $hash" signs "$AUTH_KEY" "$AUTH_PIN" authentication "$hash"
    check "dgst $hash, signature key" signs "$SIGN_KEY" "$SIGN_PIN" signature "$hash"
done
check "dgst PSS" signs "$AUTH_KEY" "$AUTH_PIN" authentication sha256 -sigopt rsa_padding_mode:pss \
    -sigopt rsa_pss_saltlen:32
check "dgst PSS, signature key" signs "$SIGN_KEY" "$SIGN_PIN" signature sha256 -sigopt rsa_padding_mode:pss \
    -sigopt rsa_pss_saltlen:32
check "PIN in the URI" signs_with_pin_in_uri "$AUTH_KEY" "$AUTH_PIN" authentication
check "key by id" signs_with_pin_in_uri 'pkcs11:token=JPKI%20User%20Authentication;id=%01;type=private' "$AUTH_PIN" \
    authentication
check "key by label" signs_with_pin_in_uri \
    'pkcs11:token=JPKI%20Digital%20Signature;object=Digital%20Signature%20Key;type=private' "$SIGN_PIN" signature
check "pkeyutl" signs_digest "$AUTH_KEY" "$AUTH_PIN" authentication
check "pkeyutl, signature key" signs_digest "$SIGN_KEY" "$SIGN_PIN" signature
check "req" makes_request
check "cms" makes_cms

serve
for version in 1_2 1_3; do
    check_figure s_client "s_client, TLS ${version/_/.}" s_client_logs_in "$version"
    check_figure curl "curl, TLS ${version/_/.}" curl_logs_in "$version" \
        "pkcs11:token=JPKI%20User%20Authentication;type=cert;id=%01;pin-value=$AUTH_PIN" \
        --key "$AUTH_KEY;pin-value=$AUTH_PIN"
    check "curl with a certificate file, TLS ${version/_/.}" curl_logs_in "$version" auth.pem --engine pkcs11 --key-type ENG \
        --key "$AUTH_KEY" --pass "$AUTH_PIN"
done
check "no PIN try was used up" equal '3 5' "$(card tries auth) $(card tries sign)"

refused "a malformed PIN" 'PKCS#11 module:ERR_CKR_error:PIN incorrect' sign "$AUTH_KEY" "$SIGN_PIN"
check "it cost no try" equal 3 "$(card tries auth)"
refused "a wrong PIN" 'PKCS#11 module:ERR_CKR_error:PIN incorrect' sign "$AUTH_KEY" 1111
check "one try is used up" equal 2 "$(card tries auth)"
card set-tries auth 0
refused "a blocked PIN" 'PKCS#11 module:ERR_CKR_error:PIN locked' sign "$AUTH_KEY" "$AUTH_PIN"
refused "a blocked PIN for curl" 'curl: \(58\) failed to load private key from crypto engine' \
    curl_logs_in 1_3 auth.pem --key "$AUTH_KEY;pin-value=$AUTH_PIN"
card set-tries auth 3
take_card_out
refused "no card" 'No matching initialized token was found for private key' sign "$AUTH_KEY" "$AUTH_PIN"
put_card_in
check "the card is back" signs "$AUTH_KEY" "$AUTH_PIN" authentication sha256
PCSCLITE_CSOCK_NAME=$PWD/nobody refused "no pcscd" 'No matching initialized token was found' sign "$AUTH_KEY" "$AUTH_PIN"

finish 1
