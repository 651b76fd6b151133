#!/usr/bin/env bash
# The tools of NSS, with the profile that Firefox, Thunderbird and LibreOffice have too: modutil, certutil, a TLS
# client, CMS; and pdfsig, which signs PDF with it.
#
# needs: certutil:libnss3-tools pdfsig:poppler-utils
source "$(dirname "$0")/lib.sh"

# The names of the certificates.
AUTH_NICKNAME="$AUTH_TOKEN:User Authentication Certificate"
SIGN_NICKNAME="$SIGN_TOKEN:Digital Signature Certificate"

# What NSS's tools ask.
NSS_PROMPT="^Enter Password or Pin for \"$SIGN_TOKEN\":"

prepare() {
    ln -s "$MODULE" jpki-pkcs11-auth.so
    ln -s "$MODULE" jpki-pkcs11-sign.so
    printf %s "$AUTH_PIN" >pin
    printf %s "$SIGN_PIN" >password
    echo 'a letter' >letter
    cp "$CLIENTS/letter.pdf" .
    openssl req -x509 -newkey rsa:2048 -noenc -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2 2>/dev/null
    openssl req -newkey rsa:2048 -noenc -keyout server.key -subj /CN=localhost 2>/dev/null |
        openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out server.pem 2>/dev/null \
            -extfile <(printf 'subjectAltName=DNS:localhost\n')
    new_profile auth
    certutil -A -d sql:auth -n ca -t C,, -i ca.pem
    certutil -A -d sql:auth -n jpki -t CT,C,C -i "$WORK/identity/authentication-ca.pem"
    new_profile sign
    "$COMMAND" ca-certificate signature | certutil -A -a -d sql:sign -n jpki -t C,C,C
    new_profile verifier
    certutil -A -d sql:verifier -n jpki -t C,C,C -i "$WORK/identity/signature-ca.pem"
    serve_holders old -tls1_2 -client_sigalgs RSA+SHA256
    serve_holders tls1.2 -tls1_2
    serve_holders tls1.3 -tls1_3
}

new_profile() {
    mkdir "$1"
    certutil -N -d "sql:$1" --empty-password
}

# --- the module -------------------------------------------------------------------------------------------------

# add_module PROFILE [OPTION...]: the one for the profile's purpose.
add_module() {
    local profile=$1
    shift
    modutil -force -dbdir "sql:$profile" -add JPKI -libfile "$PWD/jpki-pkcs11-$profile.so" "$@"
    grep -q "^library=$PWD/jpki-pkcs11-$profile.so" "$profile/pkcs11.txt"
}

# With `modutil -list JPKI` a reader without a card, which the private pcscd has, makes it fail.
lists_module() {
    modutil -dbdir "sql:$1" -list >list
    cat list
    equal "$2" "$(sed -n 's/^\ttoken: \(JPKI.*\)/\1/p' list)"
}

is_friendly() {
    modutil -dbdir sql:auth -list JPKI >list 2>&1 || true
    cat list
    grep -q 'Default Mechanism Flags: FRIENDLY' list
    grep -q 'Slot Mechanism Flags: FRIENDLY' list
}

# modutil knows a slot by its description.
disables_one_slot() {
    new_profile both
    modutil -force -dbdir sql:both -add JPKI -libfile "$MODULE"
    modutil -force -dbdir sql:both -disable JPKI -slot 'Authentication, Virtual JPKI 0 00 00'
    modutil -dbdir sql:both -list JPKI >list 2>&1 || true
    cat list
    equal "Authentication, Virtual JPKI 0 00 00: DISABLED" "$(sed -n 's/^ *Slot: //p; s/^ *Status: \(DISABLED\).*/\1/p' list |
        grep -B 1 DISABLED | paste -s -d : | sed 's/:/: /')"
}

deletes_module() {
    modutil -force -dbdir "sql:$1" -delete JPKI
    equal '' "$(modutil -dbdir "sql:$1" -list | grep JPKI)"
}

# --- certificates -----------------------------------------------------------------------------------------------

# lists PROFILE NICKNAME TRUST [OPTION...]
lists() {
    local profile=$1 nickname=$2 trust=$3
    shift 3
    certutil -L -d "sql:$profile" -h all "$@" >list
    cat list
    grep -Eq "^$nickname +$trust *$" list
}

shows_certificate() {
    certutil -L -d sql:auth -n "$AUTH_NICKNAME" -r >actual.der
    cmp actual.der "$WORK/identity/authentication.der"
}

lists_key() {
    certutil -K -d sql:auth -h "$AUTH_TOKEN" -f pin >list
    cat list
    grep -Eq '^< 0> rsa +01 +User Authentication Key$' list
}

is_valid() {
    certutil -V -d sql:auth -u C -e -n "$AUTH_NICKNAME" -f pin >output
    cat output
    grep -q 'certificate is valid' output
}

# NSS looks for names without a place to take a PIN from, so that it asks at the terminal whatever the options say.
is_valid_at_terminal() {
    at_terminal "$NSS_PROMPT" "$SIGN_PIN" "certutil -V -d sql:sign -u S -e -n '$SIGN_NICKNAME'"
    grep -aq 'certificate is valid' terminal
}

is_invalid_by_the_older_check() {
    env --unset=NSS_ENABLE_PKIX_VERIFY NSS_DISABLE_PKIX_VERIFY=1 certutil -V -d sql:auth -u C -n "$AUTH_NICKNAME" -f pin
}

# --- TLS --------------------------------------------------------------------------------------------------------

# get SERVER VERSION [PIN]: prints the page.
get() {
    printf 'GET / HTTP/1.0\r\n\r\n' >request
    timeout 20 tstclnt -4 -h localhost -p "$(<"$1.port")" -d sql:auth -n "$AUTH_NICKNAME" -w "${3:-$AUTH_PIN}" \
        -V "$2:$2" <request
}

# gets SERVER VERSION SIGNATURE-TYPE
gets() {
    get "$1" "$2" >page
    grep -a -e error -e Protocol -e 'signature type' page
    grep -aEq "Peer signature type: $3$" page
    grep -aq 'Verify return code: 0 (ok)' page
    sed -n '/BEGIN CERTIFICATE/,/END CERTIFICATE/p' page | openssl x509 -outform DER |
        cmp - "$WORK/identity/authentication.der"
}

# --- CMS and PDF ------------------------------------------------------------------------------------------------

# `-Y NONE` because cmsutil wants to recommend a certificate for answers, and this one cannot encrypt.
sign_cms() {
    rm -f cms.der
    cmsutil -S -T -G -H SHA256 -Y NONE -d sql:sign -N "$SIGN_NICKNAME" -f "${1:-password}" -i letter -o cms.der
}

signs_cms() {
    sign_cms
    openssl cms -verify -in cms.der -inform DER -content letter -binary -purpose any \
        -CAfile "$WORK/identity/signature-ca.pem" -out content
    cmp content letter
}

verifies_cms() {
    equal 'a letter' "$(cmsutil -D -d sql:verifier -i cms.der -c letter)"
}

signs_with_p7sign() {
    at_terminal "$NSS_PROMPT" "$SIGN_PIN" "p7sign -e -d sql:sign -p $SIGN_PIN -k '$SIGN_NICKNAME' -i letter -o p7.der"
    openssl cms -verify -in p7.der -inform DER -purpose any -CAfile "$WORK/identity/signature-ca.pem" -out content
    cmp content letter
    p7verify -d sql:verifier -c letter -s p7.der -u 4 | grep 'Signature is valid'
}

sign_pdf() {
    rm -f signed.pdf
    pdfsig -nssdir sql:sign -nss-pwd "${1:-$SIGN_PIN}" -add-signature -nick "$SIGN_NICKNAME" letter.pdf signed.pdf
}

lists_nicknames() {
    pdfsig -nssdir sql:sign -nss-pwd "$SIGN_PIN" -list-nicks >nicknames
    cat nicknames
    # Newer versions say more of each.
    grep -Eq "^ *$SIGN_NICKNAME" nicknames
}

signs_pdf() {
    sign_pdf
    pdfinfo signed.pdf
}

# The signature certificate names no OCSP server, so that nothing leaves this machine. (With -no-ocsp poppler 22.12 has
# an "unknown issue" with it.)
verifies_pdf() {
    pdfsig -nssdir sql:verifier signed.pdf >output
    cat output
    grep -q 'Signer Certificate Common Name: TEST' output
    grep -q 'Total document signed' output
    grep -q 'Signature Validation: Signature is Valid.' output
    grep -q 'Certificate Validation: Certificate is Trusted.' output
}

finds_changed_pdf() {
    sed 's/A letter to sign/A letter to burn/' signed.pdf >changed.pdf
    pdfsig -nssdir sql:verifier changed.pdf >output || true
    cat output
    grep -q 'Signature Validation: Digest Mismatch' output
}

# --- PINs and cards ---------------------------------------------------------------------------------------------

tries_left() {
    equal "$1 $2" "$(card tries auth) $(card tries sign)"
}

card_is_seen() {
    grep -q JPKI < <(pkcs11-tool --module "$MODULE" --list-token-slots)
}

insert_card() {
    card insert
    wait_until card_is_seen
}

# Newer versions of pdfsig say that they cannot sign, and not why.
fails_without_a_reason() {
    local status=0
    "$@" >output 2>&1 || status=$?
    cat output
    equal '3 ' "$status $(grep -vx 'signDocument: error getting signature info' output)"
}

without_pcscd() {
    PCSCLITE_CSOCK_NAME=$PWD/nobody "$@"
}

begin
# NSS's older way to check a chain refuses every JPKI certificate, because its critical certificatePolicies extension is
# unknown to it. This turns to the newer one, which NSS 3.101 has made the usual one.
export NSS_ENABLE_PKIX_VERIFY=1
prepare

check "modutil adds the module" add_module auth
check "the token is listed" lists_module auth "$AUTH_TOKEN"
check "modutil deletes the module" deletes_module auth
check "modutil adds the module as FRIENDLY" add_module auth -mechanisms FRIENDLY
check "it stays FRIENDLY" is_friendly
check "modutil adds the other key's module" add_module sign
check "the other token is listed" lists_module sign "$SIGN_TOKEN"

check "modutil disables one slot of the two" disables_one_slot
check_within 8 "NSS's start asks the card who it is, and no more" certutil -L -d sql:auth -h internal

check_figure 'certutil -L' "FRIENDLY: certificates are listed without a PIN" lists auth "$AUTH_NICKNAME" u,u,u
check "certificates behind a PIN are listed with it" lists sign "$SIGN_NICKNAME" u,u,u -f password
check "the certificate is the card's" shows_certificate
check "certutil lists the key" lists_key
check "certutil finds the certificate valid" is_valid
check "certutil finds the other certificate valid, and asks for the PIN" is_valid_at_terminal
refused "NSS's older check accepts no JPKI certificate" 'unknown critical extension' is_invalid_by_the_older_check

check_figure tstclnt "TLS 1.3" gets tls1.3 tls1.3 "$PSS"
check_figure tstclnt "TLS 1.2" gets tls1.2 tls1.2 "$PSS"
check "TLS 1.2 with a server that does not know PSS" gets old tls1.2 "$PKCS1"

check_figure cmsutil "cmsutil signs, openssl verifies" signs_cms
check "cmsutil verifies" verifies_cms
check "p7sign signs, openssl and p7verify verify" signs_with_p7sign
check "pdfsig lists the certificate" lists_nicknames
check_figure pdfsig "pdfsig signs" signs_pdf
check "pdfsig verifies" verifies_pdf
check "pdfsig finds the change" finds_changed_pdf

check "no PIN try was used up" tries_left 3 5
refused "a malformed PIN" 'Incorrect password/PIN entered' get tls1.2 tls1.2 12a4
refused "the other key's PIN" 'Incorrect password/PIN entered' sign_cms pin
check "they cost no try" tries_left 3 5
echo WRONG123 >wrong
refused "a wrong PIN, cmsutil" 'Incorrect password/PIN entered' sign_cms wrong
refused "a wrong PIN, pdfsig" 'Password was not accepted to open the NSS database' sign_pdf WRONG123
refused "a wrong PIN, tstclnt" 'Incorrect password/PIN entered' get tls1.3 tls1.3 1111
check "each cost one try" tries_left 2 3
check "the right PIN" signs_cms
check "the right PIN for TLS" gets tls1.3 tls1.3 "$PSS"
check "they restored the tries" tries_left 3 5
card set-tries auth 0
card set-tries sign 0
refused "a blocked PIN, cmsutil" SEC_ERROR_BAD_PASSWORD sign_cms
check "a blocked PIN, pdfsig, which does not say so" fails_without_a_reason sign_pdf
refused "a blocked PIN, tstclnt, which blames the server" SSL_ERROR_RX_CERTIFICATE_REQUIRED_ALERT get tls1.3 tls1.3
check "certificates are listed nevertheless" lists auth "$AUTH_NICKNAME" u,u,u
card set-tries auth 3
card set-tries sign 5

refused "the card is pulled out, cmsutil" SEC_ERROR_NO_TOKEN pulled_out sign_cms
insert_card
refused "the card is pulled out, tstclnt" 'tstclnt: .*(SSL_ERROR|SEC_ERROR_NO_TOKEN)' pulled_out get tls1.2 tls1.2
refused "no card, cmsutil" SEC_ERROR_NO_TOKEN sign_cms
refused "no card, tstclnt" SSL_ERROR_HANDSHAKE_FAILURE_ALERT get tls1.2 tls1.2
refused "no reader, cmsutil" SEC_ERROR_NO_TOKEN without_pcscd sign_cms
insert_card
check "the card is back" signs_cms

finish 3
