#!/usr/bin/env bash
# Java's SunPKCS11: keytool, jarsigner, and a program that is a TLS client and signs; what they say when things go
# wrong.
#
# needs: javac:default-jdk-headless
source "$(dirname "$0")/lib.sh"

# The example configuration for both keys, with the path of this place.
prepare() {
    sed "s|^library = .*|library = $MODULE|" "$ROOT/conf/java-pkcs11.cfg" >auth.cfg
    sed -e 's|^name = .*|name = JPKI-sign|' -e 's|^slotListIndex = .*|slotListIndex = 1|' auth.cfg >sign.cfg
    mkdir classes jar
    javac -Xlint:all -Werror -d classes "$CLIENTS/java/CardClient.java"
    echo 'a letter' >jar/letter
    openssl req -x509 -newkey rsa:2048 -noenc -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2 2>/dev/null
    openssl req -newkey rsa:2048 -noenc -keyout server.key -subj /CN=localhost 2>/dev/null |
        openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out server.pem 2>/dev/null \
            -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
    serve_holders TLSv1.2 -tls1_2
    serve_holders TLSv1.3 -tls1_3
    serve_holders old -tls1_2 -client_sigalgs RSA+SHA256
}

# keys CONFIGURATION PIN [OPTION...]: the key store's list.
keys() {
    local configuration=$1 pin=$2
    shift 2
    keytool -list -keystore NONE -storetype PKCS11 -addprovider SunPKCS11 -providerarg "$configuration" \
        -storepass "$pin" "$@"
}

sign_jar() {
    jarsigner -keystore NONE -storetype PKCS11 -providerClass sun.security.pkcs11.SunPKCS11 -providerArg sign.cfg \
        -storepass "$@" signed.jar 'Digital Signature Certificate'
}

# --- keytool and jarsigner --------------------------------------------------------------------------------------

# lists CREDENTIAL ALIAS COMMAND...: its list has the key of this credential under this alias, and no other.
lists() {
    local credential=$1 alias=$2
    shift 2
    "$@" >list
    cat list
    grep -qx 'Your keystore contains 1 entry' list
    grep -qix "$alias, PrivateKeyEntry, " list
    grep -qF "$(openssl x509 -in "$WORK/identity/$credential.pem" -noout -fingerprint -sha256 | cut -d= -f2)" list
}

lists_after_asking() {
    lists authentication 'User Authentication Certificate' keytool -list -keystore NONE -storetype PKCS11 \
        -addprovider SunPKCS11 -providerarg auth.cfg <<<"$AUTH_PIN"
}

# The provider stands in a list of providers, and no option names it.
lists_by_security_properties() {
    echo "security.provider.13=SunPKCS11 $PWD/auth.cfg" >security
    lists authentication 'User Authentication Certificate' keytool -J-Djava.security.properties="$PWD/security" \
        -list -keystore NONE -storetype PKCS11 -storepass "$AUTH_PIN"
}

# has_the_chain CONFIGURATION PIN CERTIFICATE...: the key's chain has these certificates, and no other.
has_the_chain() {
    local certificate
    keys "$1" "$2" -rfc >list
    cat list
    shift 2
    for certificate in "$@"; do
        openssl x509 -in "$WORK/identity/$certificate.pem" | grep -v -e ----- >expected
        grep -qF "$(sed -n 2p expected)" list
    done
    grep -qx "Certificate chain length: $#" list
}

has_the_configured_chain() {
    echo 'ca_certificates = true' >authorities.toml
    export JPKI_PKCS11_CONF=$PWD/authorities.toml
    has_the_chain auth.cfg "$AUTH_PIN" authentication authentication-ca
}

signs_jar() {
    jar --create --file signed.jar -C jar letter
    sign_jar "$SIGN_PIN"
}

verifies_jar() {
    jarsigner -verify -verbose -certs signed.jar >output
    cat output
    grep -q '^jar verified' output
    grep -Eq '^sm .* letter$' output
    grep -q 'X.509, CN=TEST' output
}

# The signature is right for others too, as is its chain. For Java's own check of the chain see the next test.
openssl_verifies_jar() {
    rm -rf unpacked
    mkdir unpacked
    (cd unpacked && jar --extract --file ../signed.jar)
    openssl cms -verify -inform DER -in unpacked/META-INF/*.RSA -content unpacked/META-INF/*.SF -binary -purpose any \
        -CAfile "$WORK/identity/signature-ca.pem" -out /dev/null
}

# The critical certificatePolicies extension of JPKI's certificates has a qualifier.
strict_verification() {
    keytool -importcert -noprompt -alias ca -file "$WORK/identity/signature-ca.pem" -keystore authorities.p12 \
        -storepass changeit
    jarsigner -verify -strict -keystore authorities.p12 -storepass changeit signed.jar
}

# --- a program --------------------------------------------------------------------------------------------------

# A new program: one that has loaded the key store keeps its login. An earlier one ends.
start_program() {
    local earlier
    if [[ -e program.pid ]]; then
        earlier=$(<program.pid)
        all_gone "$earlier" || kill "$earlier"
        wait_until all_gone "$earlier"
    fi
    : >answers
    # Only this script writes its commands, which end with it.
    java -cp classes CardClient auth.cfg ca.pem <commands >>answers 2>&1 {to_program}>&- &
    echo "$!" >program.pid
    remember "$!"
}

# has_answered COUNT: the program has carried out that many commands.
has_answered() {
    (($(grep -c -e '^done$' -e '^failed: ' answers) >= $1))
}

# program COMMAND...: has the program do this; its answer is in the file `answer`. Fails if it does.
program() {
    local lines commands
    lines=$(wc -l <answers)
    commands=$(grep -c -e '^done$' -e '^failed: ' answers) || true
    echo "$*" >&"$to_program"
    wait_until has_answered $((commands + 1))
    tail -n +$((lines + 1)) answers >answer
    cat answer
    [[ $(tail -n 1 answer) == 'done' ]]
}

# gets SERVER VERSION SIGNATURE-TYPE: the page, as the owner of the card, with a signature of this type.
gets() {
    program get "$(<"$1.port")" "$2"
    grep -Eq "Peer signature type: $3$" answer
    grep -q 'Verify return code: 0 (ok)' answer
    sed -n '/BEGIN CERTIFICATE/,/END CERTIFICATE/p' answer | openssl x509 -outform DER |
        cmp - "$WORK/identity/authentication.der"
}

signs() {
    program sign "$1"
    grep -qx 'good: true' answer
}

logs_in() {
    program login "$AUTH_PIN"
    grep -qx 'aliases: \[User Authentication Certificate\]' answer
}

# From its start: that looks at the card, too.
loads_key_store() {
    start_program
    logs_in
}

gets_with_card_pulled_out() {
    card fault on 2a remove
    program get "$(<TLSv1.3.port)" TLSv1.3
}

# Java looks for a card every other second.
comes_back() {
    card insert
    wait_until logs_in
    gets TLSv1.3 TLSv1.3 "$PSS"
}

# --- PINs -------------------------------------------------------------------------------------------------------

tries_left() {
    equal "$1 $2" "$(card tries auth) $(card tries sign)"
}

without_reader() {
    PCSCLITE_CSOCK_NAME=$PWD/nobody keys auth.cfg "$AUTH_PIN"
}

begin
prepare

check_figure 'keytool -list' "keytool lists the authentication key" \
    lists authentication 'User Authentication Certificate' keys auth.cfg "$AUTH_PIN"
check "keytool lists the signature key" lists signature 'Digital Signature Certificate' keys sign.cfg "$SIGN_PIN"
check "keytool asks for the PIN" lists_after_asking
check "the provider in the security properties" lists_by_security_properties
check "the signature key's chain ends with the CA" has_the_chain sign.cfg "$SIGN_PIN" signature signature-ca
check "the authentication key's chain is its certificate" has_the_chain auth.cfg "$AUTH_PIN" authentication
check "it ends with the CA if that is configured" has_the_configured_chain
check_figure jarsigner "jarsigner signs" signs_jar
check "jarsigner verifies" verifies_jar
check "openssl verifies what jarsigner signed" openssl_verifies_jar
refused "Java's strict check accepts no JPKI certificate" 'critical policy qualifiers present' strict_verification

# For reading too, so that this does not wait for a program.
mkfifo commands
exec {to_program}<>commands
check_figure 'loading a key store' "a program loads the key store" loads_key_store
check_figure 'then each TLS login' "TLS 1.3" gets TLSv1.3 TLSv1.3 "$PSS"
check_figure 'then each TLS login' "TLS 1.2" gets TLSv1.2 TLSv1.2 "$PSS"
check "TLS 1.2 with a server that does not know PSS" gets old TLSv1.2 "$PKCS1"
for algorithm in SHA1withRSA SHA224withRSA SHA256withRSA SHA384withRSA SHA512withRSA; do
    check "$algorithm" signs "$algorithm"
done

refused "the card is pulled out during a signature" 'PKCS11Exception: CKR_DEVICE_REMOVED' gets_with_card_pulled_out
refused "without the card" 'failed: .*Token has been removed|certificate_required' signs SHA256withRSA
refused "no key store without the card" 'KeyStoreException: PKCS11 not found' logs_in
check "the card is back" comes_back

check "no PIN try was used up" tries_left 3 5
refused "a malformed PIN" '^Caused by: .*PKCS11Exception: CKR_PIN_INCORRECT$' keys auth.cfg 12a4 -v
refused "the other key's PIN" '^Caused by: .*PKCS11Exception: CKR_PIN_INCORRECT$' keys auth.cfg "$SIGN_PIN" -v
check "they cost no try" tries_left 3 5
refused "a wrong PIN" '^Caused by: .*PKCS11Exception: CKR_PIN_INCORRECT$' keys auth.cfg 1111 -v
refused "a wrong PIN for jarsigner" 'jarsigner error: .*keystore load: load failed' sign_jar WRONG123
check "each cost one try" tries_left 2 4
check "the right PIN" lists authentication 'User Authentication Certificate' keys auth.cfg "$AUTH_PIN"
check "it restored the tries" tries_left 3 4
card set-tries auth 0
refused "a blocked PIN" '^Caused by: .*PKCS11Exception: CKR_PIN_LOCKED$' keys auth.cfg "$AUTH_PIN" -v
card set-tries auth 3

card remove
refused "no card" 'KeyStoreException: PKCS11 not found' keys auth.cfg "$AUTH_PIN"
refused "no card for jarsigner" 'unable to instantiate keystore class: PKCS11 not found' sign_jar "$SIGN_PIN"
refused "no reader" 'PKCS11 not found' without_reader
card insert

finish 2
