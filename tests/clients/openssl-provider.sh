#!/usr/bin/env bash
# OpenSSL 3 by way of pkcs11-provider: keys named by URI for signing, requests, CMS, S/MIME and TLS on both sides; and
# curl that uses it.
#
# needs: provider curl
source "$(dirname "$0")/lib.sh"

# The tokens, and the keys and certificates with their PINs; `prepare` completes them.
AUTH='pkcs11:token=JPKI%20User%20Authentication'
SIGN='pkcs11:token=JPKI%20Digital%20Signature'
# What a server may prefer; the card makes PSS signatures with the last of these only.
readonly LARGER_HASHES=RSA-PSS+SHA512:RSA-PSS+SHA384:RSA-PSS+SHA256

# OpenSSL with the provider. Without it nothing can mistake the card for the verifier.
card_openssl() {
    OPENSSL_CONF=$WORK/files/openssl.cnf openssl "$@"
}

# The example configuration, with the paths of this place.
prepare() {
    local provider
    provider=$(compgen -G "$TARGET/provider/usr/lib/*/ossl-modules/pkcs11.so" ||
        compgen -G '/usr/lib/*/ossl-modules/pkcs11.so') || die "pkcs11-provider is missing"
    PROVIDERS=$(dirname "$provider")
    sed -e "s|^module = .*|module = $provider|" -e "s|^pkcs11-module-path = .*|pkcs11-module-path = $MODULE|" \
        "$ROOT/conf/openssl.cnf" >openssl.cnf
    printf %s "$AUTH_PIN" >pin
    printf %s "$SIGN_PIN" >password
    AUTH_KEY="$AUTH;type=private?pin-source=file:$PWD/pin"
    AUTH_CERT="$AUTH;type=cert"
    SIGN_KEY="$SIGN;type=private?pin-source=file:$PWD/password"
    SIGN_CERT="$SIGN;type=cert?pin-source=file:$PWD/password"
    head -c 1000 /dev/urandom | base64 >message
    openssl dgst -sha256 -binary message >digest
    openssl req -x509 -newkey rsa:2048 -noenc -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2 2>/dev/null
    issue_server_certificate server "$(openssl genrsa -out server.key 2048 2>/dev/null && openssl req -new -key server.key \
        -subj /CN=localhost)"
}

# issue_server_certificate NAME REQUEST: NAME.pem, issued by the test CA.
issue_server_certificate() {
    openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out "$1.pem" <<<"$2" 2>/dev/null \
        -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
}

# --- naming -----------------------------------------------------------------------------------------------------

lists_the_token() {
    card_openssl storeutl -noout "$AUTH?pin-source=file:$PWD/pin" >list
    cat list
    equal '1 1 1' "$(grep -c ': Certificate' list) $(grep -c ': Public key' list) $(grep -c ': Pkey' list)"
    card_openssl storeutl -noout "$SIGN?pin-source=file:$PWD/password" >list
    cat list
    equal '2 1 1' "$(grep -c ': Certificate' list) $(grep -c ': Public key' list) $(grep -c ': Pkey' list)"
}

# same_certificate URI FILE
same_certificate() {
    card_openssl x509 -in "$1" -out actual.pem
    openssl x509 -in "$2" -out expected.pem
    cmp actual.pem expected.pem
}

# signs_as URI CREDENTIAL [OPTION...]: signs with this URI, verified with this credential's certificate.
signs_as() {
    local uri=$1 credential=$2
    shift 2
    card_openssl dgst -sha256 -sign "$uri" -out signature "$@" message
    verified_by "$WORK/identity/$credential.pem" signature message
}

serial() {
    pkcs11-tool --module "$MODULE" --list-token-slots | sed -n 's/.*serial num *: *//p' | head -n 1
}

# The configuration may hold a reference to an environment variable.
pin_from_environment_by_configuration() {
    sed "s|^pkcs11-module-path.*|&\npkcs11-module-token-pin = file:\$ENV::PIN_FILE|" openssl.cnf >environment.cnf
    PIN_FILE=$PWD/pin OPENSSL_CONF=$PWD/environment.cnf openssl dgst -sha256 -sign "$AUTH;type=private" \
        -out signature message
    verified_by "$WORK/identity/authentication.pem" signature message
}

# --- signing ----------------------------------------------------------------------------------------------------

# signs_hash KEY CREDENTIAL HASH
signs_hash() {
    card_openssl dgst "-$3" -sign "$1" -out signature message
    verified_by "$WORK/identity/$2.pem" signature message "-$3"
}

signs_hash_pss() {
    card_openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -sign "$1" \
        -out signature message
    verified_by "$WORK/identity/$2.pem" signature message -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest
}

signs_digest() {
    card_openssl pkeyutl -sign -inkey "$1" -in digest -pkeyopt digest:sha256 -out signature
    verified_by "$WORK/identity/$2.pem" signature message
}

signs_digest_pss() {
    card_openssl pkeyutl -sign -inkey "$1" -in digest -pkeyopt digest:sha256 -pkeyopt rsa_padding_mode:pss \
        -pkeyopt rsa_pss_saltlen:32 -out signature
    verified_by "$WORK/identity/$2.pem" signature message -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32
}

signs_without_hash() {
    printf 'as it is' >text
    card_openssl pkeyutl -sign -inkey "$AUTH_KEY" -in text -out signature
    openssl pkeyutl -verifyrecover -certin -inkey "$WORK/identity/authentication.pem" -in signature | cmp - text
}

makes_request() {
    card_openssl req -new -key "$AUTH_KEY" -subj /CN=somebody -out request.pem
    grep -q 'verify OK' < <(openssl req -in request.pem -noout -verify 2>&1)
    equal "$(openssl x509 -in "$WORK/identity/authentication.pem" -noout -pubkey)" \
        "$(openssl req -in request.pem -noout -pubkey)"
}

makes_self_signed_certificate() {
    card_openssl req -new -x509 -key "$SIGN_KEY" -subj /CN=somebody -days 1 -out self.pem
    openssl verify -CAfile self.pem self.pem
}

makes_cms() {
    card_openssl cms -sign -in message -signer "$SIGN_CERT" -inkey "$SIGN_KEY" -binary -outform DER -out cms.der "$@"
    openssl cms -verify -in cms.der -inform DER -content message -binary -CAfile "$WORK/identity/signature-ca.pem" \
        -purpose any -out content
    cmp content message
}

makes_smime() {
    card_openssl smime -sign -in message -signer "$SIGN_CERT" -inkey "$SIGN_KEY" -out mail
    openssl smime -verify -in mail -CAfile "$WORK/identity/signature-ca.pem" -purpose any -out content
    diff --strip-trailing-cr content message
}

# --- TLS --------------------------------------------------------------------------------------------------------

# serve NAME COMMAND...: runs a server until the script ends; its output is in NAME.log, its port in NAME.port.
serve() {
    local name=$1
    shift
    background "$name.log" "$@"
    wait_until grep -q '^ACCEPT' "$name.log"
    sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' "$name.log" >"$name.port"
}

# The server insists on a certificate of the authentication CA and says who came.
serve_certificate_takers() {
    local version
    for version in tls1_2 tls1_3; do
        serve "$version" openssl s_server -accept 127.0.0.1:0 -cert server.pem -key server.key "-$version" \
            -Verify 1 -verify_return_error -CAfile "$WORK/identity/authentication-ca.pem"
    done
    serve tls1_2_old openssl s_server -accept 127.0.0.1:0 -cert server.pem -key server.key -tls1_2 \
        -Verify 1 -verify_return_error -CAfile "$WORK/identity/authentication-ca.pem" -client_sigalgs RSA+SHA256
    serve larger_hashes openssl s_server -accept 127.0.0.1:0 -cert server.pem -key server.key -tls1_3 \
        -Verify 1 -verify_return_error -CAfile "$WORK/identity/authentication-ca.pem" -client_sigalgs "$LARGER_HASHES"
}

# logs_in SERVER SIGNATURE-TYPE [OPTION...]: the server accepts the card's certificate with a signature of this type.
logs_in() {
    printf 'hello from the card\n' | card_openssl s_client -connect "127.0.0.1:$(<"$1.port")" -CAfile ca.pem \
        -verify_return_error -cert "$AUTH_CERT" -key "$AUTH_KEY" -brief "${@:3}"
    wait_until grep -q 'hello from the card' "$1.log"
    cat "$1.log"
    grep -q 'subject=.*CN *= *TEST' "$1.log"
    grep -Eq "Peer signature type: $2$" "$1.log"
}

stays_out_without_certificate() {
    printf 'hello\n' | openssl s_client -connect "127.0.0.1:$(<tls1_2.port)" -CAfile ca.pem -brief
}

# card_curl SERVER KEY [OPTION...]: fetches the page that says who came. Where curl was unpacked, so was its library.
card_curl() {
    local port curl=curl libraries
    port=$(<"$1.port")
    libraries=$(compgen -G "$TARGET/curl/usr/lib/*-linux-gnu") && curl=$TARGET/curl/usr/bin/curl
    LD_LIBRARY_PATH=$libraries OPENSSL_MODULES=$PROVIDERS PKCS11_PROVIDER_MODULE=$MODULE "$curl" --silent --show-error --max-time 20 --cacert ca.pem \
        --cert-type PROV --cert "$AUTH_CERT" --key-type PROV --key "$2" "${@:3}" "https://localhost:$port/" >page
}

# curl_logs_in SERVER VERSION SIGNATURE-TYPE [OPTION...]
curl_logs_in() {
    card_curl "$1" "$AUTH_KEY" "${@:4}"
    grep -E 'Subject:|Protocol|Peer signature type' page
    grep -q 'Subject: .*CN *= *TEST' page
    grep -q "Protocol *: $2" page
    grep -Eq "Peer signature type: $3$" page
}

# serves_with_card VERSION: the card's key authenticates a server.
serves_with_card() {
    issue_server_certificate card-server "$(card_openssl req -new -key "$AUTH_KEY" -subj /CN=localhost)"
    OPENSSL_CONF=$PWD/openssl.cnf serve "card-$1" openssl s_server -accept 127.0.0.1:0 -cert card-server.pem \
        -key "$AUTH_KEY" "-$1" -www
    for _ in 1 2 3; do
        openssl s_client -connect "127.0.0.1:$(<"card-$1.port")" -CAfile ca.pem -verify_return_error -brief </dev/null
    done
}

# --- PINs -------------------------------------------------------------------------------------------------------

tries_left() {
    equal "$1" "$(card tries auth)"
    equal "$2" "$(card tries sign)"
}

# With a single PIN for all tokens and no token in the URI, the provider tries it with each of them.
one_pin_for_all() {
    sed "s|^pkcs11-module-path.*|&\npkcs11-module-token-pin = $AUTH_PIN|" openssl.cnf >global.cnf
    OPENSSL_CONF=$PWD/global.cnf openssl dgst -sha256 -sign 'pkcs11:type=private;id=%01' -out signature message
    verified_by "$WORK/identity/authentication.pem" signature message
}

begin
prepare

check_within 8 "the provider's start asks the card who it is, and no more" card_openssl list -providers
check "both tokens are listed" lists_the_token
check "certificate by token and id" same_certificate "$AUTH;type=cert;id=%01" "$WORK/identity/authentication.pem"
check "certificate by token" same_certificate "$AUTH_CERT" "$WORK/identity/authentication.pem"
check "certificate behind the PIN" same_certificate "$SIGN_CERT" "$WORK/identity/signature.pem"
check "certificate behind the PIN, by token" same_certificate "$SIGN;type=cert?pin-source=file:$PWD/password" \
    "$WORK/identity/signature.pem"
check "CA certificate by label" same_certificate \
    "$SIGN;type=cert;object=Digital%20Signature%20Certificate%20CA?pin-source=file:$PWD/password" \
    "$WORK/identity/signature-ca.pem"
check_figure dgst "key by token" signs_as "$AUTH_KEY" authentication
check "key by id" signs_as "$AUTH;id=%01;type=private?pin-source=file:$PWD/pin" authentication
check "key by label" signs_as \
    "pkcs11:object=User%20Authentication%20Key;type=private?pin-source=file:$PWD/pin" authentication
check "key by serial number and id" signs_as \
    "pkcs11:serial=$(serial);id=%02;type=private?pin-source=file:$PWD/password" signature
check "PIN in the URI" signs_as "$AUTH;type=private?pin-value=$AUTH_PIN" authentication
export PIN=$AUTH_PIN
check "PIN from the environment" signs_as "$AUTH;type=private" authentication -passin env:PIN
check "PIN by the configuration" pin_from_environment_by_configuration

for hash in sha1 sha224 sha256 sha384 sha512; do
    check "dgst $hash" signs_hash "$AUTH_KEY" authentication "$hash"
    check "dgst $hash, signature key" signs_hash "$SIGN_KEY" signature "$hash"
done
check "dgst PSS" signs_hash_pss "$AUTH_KEY" authentication
check "dgst PSS, signature key" signs_hash_pss "$SIGN_KEY" signature
check "pkeyutl of a digest" signs_digest "$AUTH_KEY" authentication
check "pkeyutl of a digest, signature key" signs_digest "$SIGN_KEY" signature
check "pkeyutl PSS" signs_digest_pss "$AUTH_KEY" authentication
check "pkeyutl PSS, signature key" signs_digest_pss "$SIGN_KEY" signature
check "pkeyutl of bytes" signs_without_hash
check "req" makes_request
check "req -x509" makes_self_signed_certificate
check "cms" makes_cms
check "cms with SHA-512" makes_cms -md sha512
check "cms PSS" makes_cms -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:32
check "smime" makes_smime

check "servers are up" serve_certificate_takers
check "TLS 1.2 login" logs_in tls1_2 "$PSS"
check "TLS 1.2 login without PSS" logs_in tls1_2_old "$PKCS1"
check "TLS 1.3 login" logs_in tls1_3 "$PSS"
refused "a server that prefers PSS with SHA-512" 'mechanism not allowed with this key' logs_in larger_hashes "$PSS"
check "SHA-256 for a server that prefers SHA-512" logs_in larger_hashes "$PSS" -client_sigalgs RSA-PSS+SHA256:RSA+SHA256
refused "no login without a certificate" 'handshake failure|alert' stays_out_without_certificate
serve_holders curl-1_2 -tls1_2
serve_holders curl-1_3 -tls1_3
serve_holders curl-larger -tls1_3 -client_sigalgs "$LARGER_HASHES"
check_figure curl "curl, TLS 1.2" curl_logs_in curl-1_2 TLSv1.2 "$PSS"
check_figure curl "curl, TLS 1.3" curl_logs_in curl-1_3 TLSv1.3 "$PSS"
refused "a server that prefers PSS with SHA-512, curl" 'curl: \(35\) TLS connect error' card_curl curl-larger "$AUTH_KEY"
check "SHA-256 for a server that prefers SHA-512, curl" curl_logs_in curl-larger TLSv1.3 "$PSS" \
    --sigalgs rsa_pss_rsae_sha256:rsa_pkcs1_sha256
check "TLS 1.2 server" serves_with_card tls1_2
check "TLS 1.3 server" serves_with_card tls1_3

check "no PIN try was used up" tries_left 3 5
check "one PIN for all tokens" one_pin_for_all
refused "the other token's PIN" '' signs_as "$SIGN;type=private?pin-value=$AUTH_PIN" signature
check "it cost no try" tries_left 3 5
refused "a wrong PIN" '' signs_as "$AUTH;type=private?pin-value=1111" authentication
check "one try is used up" tries_left 2 5
check "the right PIN" signs_as "$AUTH_KEY" authentication
check "it restored the tries" tries_left 3 5
refused "a malformed PIN, curl" 'curl: \(58\)' card_curl curl-1_3 "$AUTH;type=private?pin-value=12a4"
check "it cost no try" tries_left 3 5
refused "a wrong PIN, curl" 'curl: \(58\)' card_curl curl-1_3 "$AUTH;type=private?pin-value=1111"
check "one try is used up" tries_left 2 5
check "the right PIN, curl" card_curl curl-1_3 "$AUTH_KEY"
card set-tries auth 1
refused "the provider spares the last try" '' signs_as "$AUTH;type=private?pin-value=1111" authentication
check "it is still there" tries_left 1 5
card set-tries auth 0
refused "a blocked PIN" 'Could not (read|find|open) .*private key' signs_as "$AUTH_KEY" authentication
check "the certificate is still shown" same_certificate "$AUTH_CERT" "$WORK/identity/authentication.pem"
card set-tries auth 3

refused "the card is pulled out during a signature" 'Error signing data' pulled_out signs_as "$AUTH_KEY" authentication
put_card_in
refused "the card is pulled out during a signature, curl" 'curl: \(35\)' pulled_out card_curl curl-1_3 "$AUTH_KEY"
PROVIDERS=$PWD refused "no provider, curl" 'Failed to initialize provider' card_curl curl-1_3 "$AUTH_KEY"
refused "no card, curl" 'curl: \(58\)' card_curl curl-1_3 "$AUTH_KEY"
refused "no card" 'Could not (read|find|open) .*private key' signs_as "$AUTH_KEY" authentication
put_card_in
check "the card is back" signs_as "$AUTH_KEY" authentication
refused "no pcscd" 'Could not (read|find|open) .*private key' env PCSCLITE_CSOCK_NAME="$WORK/nobody" OPENSSL_CONF="$PWD/openssl.cnf" \
    openssl dgst -sha256 -sign "$AUTH_KEY" -out signature message

finish 2
