#!/usr/bin/env bash
# GnuTLS: p11tool lists, exports and signs, certtool makes requests, certificates and PKCS #7, gnutls-cli logs in to
# servers of OpenSSL and of GnuTLS; and what a user reads when something is wrong.
#
# needs: certtool:gnutls-bin p11-kit:p11-kit
source "$(dirname "$0")/lib.sh"

readonly AUTH='pkcs11:token=JPKI%20User%20Authentication' SIGN='pkcs11:token=JPKI%20Digital%20Signature'
readonly AUTH_KEY="$AUTH;id=%01;type=private" SIGN_KEY="$SIGN;id=%02;type=private"
readonly AUTH_CERT="$AUTH;id=%01;type=cert" SIGN_CERT="$SIGN;id=%02;type=cert"

# p11 PIN OPTION...: p11tool, which is given the PIN should it need one.
p11() {
    GNUTLS_PIN=$1 p11tool --provider "$MODULE" --batch "${@:2}"
}

# The URI of a key with its PIN.
with_pin() {
    printf '%s?pin-value=%s\n' "$1" "$2"
}

prepare() {
    head -c 1000 /dev/urandom | base64 >message
    printf 'cn = "somebody"\nexpiration_days = 2\nsigning_key\n' >template
    openssl req -x509 -newkey rsa:2048 -noenc -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2 2>/dev/null
    openssl req -newkey rsa:2048 -noenc -keyout server.key -subj /CN=localhost 2>/dev/null |
        openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out server.pem 2>/dev/null \
            -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
}

# --- p11tool ----------------------------------------------------------------------------------------------------

lists_tokens() {
    p11 '' --list-tokens >list
    cat list
    equal "$AUTH_TOKEN,$SIGN_TOKEN" "$(sed -n 's/^.*Label: //p' list | paste -s -d ,)"
    equal 2 "$(grep -c 'Requires login' list)"
}

# shows LABELS: these objects were listed. Newer p11tools also show what they do not know, and call it so: the token's
# profiles, which have no label.
shows() {
    cat list errors
    equal "$1" "$(sed -n 's/^.*Label: \(.\)/\1/p' list | sort | paste -s -d ,)"
    equal "$(grep -c 'Label: $' list)" "$(grep -c 'Type: Unknown' list)"
}

# lists URI PIN LABELS [OPTION...]: these objects, without a warning or a VERIFY unless a login is asked for.
lists() {
    local uri=$1 pin=$2 labels=$3 mark
    shift 3
    mark=$(card mark)
    p11 "$pin" --list-all "$@" "$uri" >list 2>errors
    shows "$labels"
    [[ $* == *--login* ]] || equal 0 "$(($(card count verifies auth since "$mark") + $(card count verifies sign since \
        "$mark")))"
}

# exports URI CREDENTIAL [OPTION...]: the certificate is the card's.
exports() {
    local uri=$1 credential=$2
    shift 2
    p11 "$SIGN_PIN" --export "$@" --outfile exported.pem "$uri"
    openssl x509 -in "$WORK/identity/$credential.pem" -out expected.pem
    openssl x509 -in exported.pem -out actual.pem
    cmp expected.pem actual.pem
}

exports_public_key() {
    p11 '' --export "$AUTH;id=%01;type=public" --outfile exported.pem
    openssl pkey -pubin -in exported.pem -out actual.pem
    openssl x509 -in "$WORK/identity/authentication.pem" -noout -pubkey | cmp - actual.pem
}

# Without a login the signature token has its profiles at most. An older p11tool fails where it knows no object.
shows_no_object() {
    p11 '' --list-all "$SIGN" >list 2>errors || grep -q 'No matching objects found' errors
    shows ''
}

# test_signs URI PIN [OPTION...]: p11tool signs and verifies.
test_signs() {
    p11 "$2" --login --test-sign "${@:3}" "$1" >output 2>&1
    cat output
    equal 3 "$(grep -c '\.\.\. ok$' output)"
}

# --- certtool ---------------------------------------------------------------------------------------------------

cert() {
    certtool --provider "$MODULE" "$@"
}

# makes_request URI CREDENTIAL [OPTION...]
makes_request() {
    cert --generate-request --load-privkey "$1" --template template --outfile request.pem "${@:3}"
    openssl req -in request.pem -noout -verify >output 2>&1
    cat output
    grep -q 'verify OK' output
    equal "$(openssl x509 -in "$WORK/identity/$2.pem" -noout -pubkey)" "$(openssl req -in request.pem -noout -pubkey)"
}

# makes_certificate URI [OPTION...]
makes_certificate() {
    cert --generate-self-signed --load-privkey "$1" --template template --outfile self.pem "${@:2}" >/dev/null
    openssl verify -CAfile self.pem self.pem
}

# certtool takes the key by URI, but the certificate from a file.
makes_pkcs7() {
    p11 "$SIGN_PIN" --login --export "$SIGN_CERT" --outfile signer.pem
    cert --p7-sign --load-privkey "$(with_pin "$SIGN_KEY" "$SIGN_PIN")" --load-certificate signer.pem --infile message \
        --outfile p7 "$@"
    certtool --p7-verify --infile p7 --load-ca-certificate "$WORK/identity/signature-ca.pem"
    openssl cms -verify -in p7 -inform PEM -binary -CAfile "$WORK/identity/signature-ca.pem" -purpose any -out content
    cmp content message
}

makes_detached_pkcs7() {
    cert --p7-detached-sign --load-privkey "$(with_pin "$SIGN_KEY" "$SIGN_PIN")" \
        --load-certificate "$WORK/identity/signature.pem" --infile message --outfile p7
    openssl cms -verify -in p7 -inform PEM -binary -content message -CAfile "$WORK/identity/signature-ca.pem" \
        -purpose any -out content
}

finds_a_changed_file() {
    echo changed >>message
    openssl cms -verify -in p7 -inform PEM -binary -content message -CAfile "$WORK/identity/signature-ca.pem" \
        -purpose any -out content
}

# --- TLS --------------------------------------------------------------------------------------------------------

# The servers insist on a certificate of the authentication CA.
# serve_openssl NAME VERSION [OPTION...]
serve_openssl() {
    background "$1.log" openssl s_server -accept 127.0.0.1:0 -cert server.pem -key server.key \
        "-tls${2/./_}" -Verify 1 -verify_return_error -CAfile "$WORK/identity/authentication-ca.pem" "${@:3}"
    wait_until grep -q '^ACCEPT' "$1.log"
    sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' "$1.log" >"$1.port"
}

serve_gnutls() {
    free_port >gnutls.port
    background gnutls.log gnutls-serv --port "$(<gnutls.port)" --echo --x509certfile server.pem \
        --x509keyfile server.key --require-client-cert --verify-client-cert \
        --x509cafile "$WORK/identity/authentication-ca.pem"
    wait_until is_listening "$(<gnutls.port)"
}

# log_in SERVER VERSION [OPTION...]: PRIORITY says what it offers.
log_in() {
    printf 'hello from the card\n' | gnutls-cli --provider "$MODULE" --x509cafile ca.pem --port "$(<"$1.port")" \
        --priority "${PRIORITY:-NORMAL}:-VERS-ALL:+VERS-TLS$2" --logfile client.log "${@:3}" localhost
}

# logs_in SERVER VERSION KEY: with the card's certificate.
logs_in() {
    local mark
    mark=$(card mark)
    log_in "$1" "$2" --x509certfile "$AUTH_CERT" --x509keyfile "$3"
    cat client.log
    grep -q "Description: (TLS$2" client.log
    wait_until grep -q 'hello from the card' "$1.log"
    equal 1 "$(card count signatures auth since "$mark")"
}

# What s_server says about the client.
says_who_came() {
    cat "$1.log"
    grep -q 'subject=.*CN *= *TEST' "$1.log"
    grep -Eq "Peer signature type: $2$" "$1.log"
}

# --- when something is wrong ------------------------------------------------------------------------------------

tries_left() {
    equal "$1" "$(card tries auth)"
}

# A user who enters the same wrong PIN as long as p11tool asks.
enter_again_and_again() {
    yes "$1" | head -n 20 | p11tool --provider "$MODULE" --login --test-sign "$AUTH_KEY"
}

log_in_with_pin() {
    log_in openssl-1.2 1.2 --x509certfile "$AUTH_CERT" --x509keyfile "$(with_pin "$AUTH_KEY" "$1")"
}

# warns_of_few_tries PIN: p11tool refuses that PIN, and warns before it asks again.
warns_of_few_tries() {
    printf '%s\n' "$1" 1 | p11tool --provider "$MODULE" --login --test-sign "$AUTH_KEY" >output 2>&1 && return 1
    cat output
    grep -q 'Only few tries left before locking!' output
}

lists_no_token() {
    p11 '' --list-tokens >list
    ! grep 'JPKI' list
}

begin
prepare

check "p11tool lists both tokens" lists_tokens
check "the authentication token's public objects" lists "$AUTH" '' \
    'User Authentication Certificate,User Authentication Public Key'
check "the authentication token's objects" lists "$AUTH" "$AUTH_PIN" \
    'User Authentication Certificate,User Authentication Key,User Authentication Public Key' --login
check "the signature token's objects need a login" shows_no_object
check "the signature token's objects" lists "$SIGN" "$SIGN_PIN" \
    'Digital Signature Certificate,Digital Signature Certificate CA,Digital Signature Key,Digital Signature Public Key' --login
check "the authentication certificate" exports "$AUTH_CERT" authentication
check "the signature certificate" exports "$SIGN_CERT" signature --login
check "a CA's certificate" exports "$SIGN;id=%04;type=cert" signature-ca --login
check "the public key" exports_public_key
check_figure 'p11tool --test-sign' "p11tool signs" test_signs "$AUTH_KEY" "$AUTH_PIN"
check "p11tool signs, signature key" test_signs "$SIGN_KEY" "$SIGN_PIN"
check "p11tool signs, SHA-512" test_signs "$AUTH_KEY" "$AUTH_PIN" --hash SHA512
check "p11tool signs, PSS" test_signs "$AUTH_KEY" "$AUTH_PIN" --hash SHA256 --sign-params=rsa-pss

check "certtool makes a request" makes_request "$(with_pin "$AUTH_KEY" "$AUTH_PIN")" authentication
export GNUTLS_PIN=$AUTH_PIN
check "certtool makes a request, PIN in the environment" makes_request "$AUTH_KEY" authentication
unset GNUTLS_PIN
check "certtool makes a certificate" makes_certificate "$(with_pin "$SIGN_KEY" "$SIGN_PIN")"
check "certtool makes a certificate, PSS" makes_certificate "$(with_pin "$AUTH_KEY" "$AUTH_PIN")" --sign-params=rsa-pss
check_figure 'p11tool --export and certtool --p7-sign' "p11tool exports, certtool signs PKCS #7" makes_pkcs7
check "certtool signs PKCS #7 with a time" makes_pkcs7 --p7-time
check "certtool signs PKCS #7, SHA-512" makes_pkcs7 --hash SHA512
check "certtool signs PKCS #7, detached" makes_detached_pkcs7
refused "a changed file is found" 'verif' finds_a_changed_file

serve_openssl openssl-1.2 1.2
serve_openssl openssl-1.3 1.3
# The card makes PSS signatures with SHA-256 only.
serve_openssl larger-hashes 1.3 -client_sigalgs RSA-PSS+SHA512:RSA-PSS+SHA384:RSA-PSS+SHA256
serve_gnutls
check_figure gnutls-cli "TLS 1.2 login" logs_in openssl-1.2 1.2 "$(with_pin "$AUTH_KEY" "$AUTH_PIN")"
check "OpenSSL saw the certificate" says_who_came openssl-1.2 "$PSS"
check_figure gnutls-cli "TLS 1.3 login" logs_in openssl-1.3 1.3 "$(with_pin "$AUTH_KEY" "$AUTH_PIN")"
check "OpenSSL saw the certificate, TLS 1.3" says_who_came openssl-1.3 "$PSS"
check "TLS 1.2 login to GnuTLS" logs_in gnutls 1.2 "$(with_pin "$AUTH_KEY" "$AUTH_PIN")"
check "TLS 1.3 login to GnuTLS" logs_in gnutls 1.3 "$(with_pin "$AUTH_KEY" "$AUTH_PIN")"
refused "a server that prefers PSS with SHA-512" 'Fatal error: The request is invalid' \
    log_in larger-hashes 1.3 --x509certfile "$AUTH_CERT" --x509keyfile "$(with_pin "$AUTH_KEY" "$AUTH_PIN")"
PRIORITY=NORMAL:-SIGN-RSA-PSS-SHA384:-SIGN-RSA-PSS-SHA512:-SIGN-RSA-PSS-RSAE-SHA384:-SIGN-RSA-PSS-RSAE-SHA512 \
    check "SHA-256 for a server that prefers SHA-512" logs_in larger-hashes 1.3 "$(with_pin "$AUTH_KEY" "$AUTH_PIN")"
refused "no login without a certificate" 'A TLS fatal alert has been received' log_in openssl-1.2 1.2
check "no PIN try was used up" tries_left 3

refused "a malformed PIN" 'Wrong PIN has been provided' test_signs "$AUTH_KEY" "$SIGN_PIN"
check "GnuTLS warns after a malformed PIN too" warns_of_few_tries 12a4
check "it cost no try" tries_left 3
refused "a wrong PIN" 'Wrong PIN has been provided' test_signs "$AUTH_KEY" 1111
check "one try is used up" tries_left 2
check "the right PIN" test_signs "$AUTH_KEY" "$AUTH_PIN"
refused "a wrong PIN again and again" 'Cannot import private key: PKCS #11 error' enter_again_and_again 2222
check "only one try is used up" tries_left 2
check "the right PIN, again" test_signs "$AUTH_KEY" "$AUTH_PIN"
refused "a wrong PIN for gnutls-cli" 'Error in provided PIN' log_in_with_pin 3333
check "one more try is used up" tries_left 2
card set-tries auth 0
refused "a blocked PIN" 'PKCS #11 PIN locked' test_signs "$AUTH_KEY" "$AUTH_PIN"
refused "a blocked PIN for gnutls-cli" 'PKCS #11 PIN locked' log_in_with_pin "$AUTH_PIN"
check "the certificate is still shown" exports "$AUTH_CERT" authentication
card set-tries auth 3
take_card_out
refused "no card" 'The requested PKCS #11 object is not available' test_signs "$AUTH_KEY" "$AUTH_PIN"
refused "no card for gnutls-cli" 'Error loading cert file' log_in_with_pin "$AUTH_PIN"
put_card_in
check "the card is back" test_signs "$AUTH_KEY" "$AUTH_PIN"
PCSCLITE_CSOCK_NAME=$PWD/nobody check "no pcscd, no token" lists_no_token

finish 3
