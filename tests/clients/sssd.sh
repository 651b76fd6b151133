#!/usr/bin/env bash
# sssd: p11_child, the program that sssd starts to look for certificates on cards and to log in with their keys, started
# as sssd starts it.
#
# needs: p11-kit:p11-kit logins
source "$(dirname "$0")/lib.sh"
# shellcheck source=logins.sh
source "$CLIENTS/logins.sh"

prepare() {
    take_logins p11_child
    install_for_p11_kit
    cp "$WORK/identity/authentication-ca.pem" ca.pem
    cp "$WORK/identity/signature-ca.pem" other-ca.pem
    chmod 644 ca.pem other-ca.pem
}

# setting NAME: what the example configuration says.
setting() {
    sed -n "s/^$1 = //p" "$ROOT/conf/sssd.conf"
}

# child OPTION...: p11_child with the settings of the example configuration, or with another verification.
child() {
    "${WITHOUT_ROOT[@]}" p11_child --debug-level=9 --logger=stderr --ca_db "$PWD/${CA:-ca.pem}" --uri "$(setting p11_uri)" \
        --verify "${VERIFICATION:-$(setting certificate_verification)}" "$@" >output 2>log || {
        cat output log
        return 1
    }
    cat output
}

# Finds the certificate of the authentication key, and no other.
finds_certificate() {
    child --pre
    equal 0 "$(sed -n 1p output)"
    equal "$AUTH_TOKEN,User Authentication Certificate,6" \
        "$(sed -n 2p output),$(sed -n 5p output),$(wc -l <output)"
    sed -n 6p output | base64 --decode | cmp - "$WORK/identity/authentication.der"
}

# With OCSP the certificate is not taken: its responder answers to certified verifiers only. Here none answers.
asks_the_responder() {
    VERIFICATION=ocsp_default_responder=http://127.0.0.1:1/,ocsp_default_responder_signing_cert=unused finds_none
    cat log
    grep -q 'Error querying OCSP responder' log
}

finds_none() {
    child --pre
    equal 0 "$(cat output)"
}

# logs_in [PIN]: with the key that was found.
logs_in() {
    child --auth --pin --token_name "$(sed -n 2p found)" --module_name "$(sed -n 3p found)" --key_id "$(sed -n 4p found)" \
        --label "$(sed -n 5p found)" < <(printf %s "${1:-$AUTH_PIN}")
    cmp output found
}

begin
prepare

check_figure 'finding the certificate' "the certificate is found" finds_certificate
cp output found || true
CA=other-ca.pem check "another CA's certificates are wanted" finds_none
check_figure 'a login' "login" logs_in
check "with OCSP the certificate is not taken" asks_the_responder

check "no PIN try was used up" tries_left 3
refused "a malformed PIN" 'C_Login failed \[160\]\[The password or PIN is incorrect\]' logs_in 12a4
check "it cost no try" tries_left 3
refused "a wrong PIN" 'C_Login failed \[160\]\[The password or PIN is incorrect\]' logs_in 1111
check "it cost one try" tries_left 2
check "the right PIN" logs_in
check "it restored the tries" tries_left 3
card set-tries auth 0
refused "a blocked PIN" 'C_Login failed: PIN locked' logs_in
card set-tries auth 3
refused "the card is pulled out during the signature" \
    'C_Sign failed \[50\]\[The device was removed or unplugged\]' pulled_out logs_in
refused "no card" 'Token not present' logs_in
put_card_in
check "the card is back" logs_in

finish 1
