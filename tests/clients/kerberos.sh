#!/usr/bin/env bash
# Kerberos: kinit gets a ticket from a KDC on the loopback interface with the authentication key (PKINIT).
#
# needs: logins
source "$(dirname "$0")/lib.sh"
# shellcheck source=logins.sh
source "$CLIENTS/logins.sh"

# It says no more of a PIN or a card.
readonly FAILED='Pre-authentication failed: Preauthentication failed'

prepare() {
    take_logins kinit klist krb5kdc kdb5_util kadmin.local
    ln -s "$MODULE" jpki-pkcs11-auth.so
    issue_kdc_certificate
    port=$(free_port)
    write_krb5_conf
    write_kdc_conf
    export KRB5_CONFIG=$PWD/krb5.conf KRB5_KDC_PROFILE=$PWD/kdc.conf KRB5CCNAME=FILE:$PWD/tickets
    kdb5_util create -s -W -P secret >kdc.log 2>&1 || die "$(cat kdc.log)"
    # Its certificate ties the holder of this card to the principal taro.
    kadmin.local addprinc -nokey +requires_preauth taro >/dev/null 2>&1
    kadmin.local set_string taro pkinit_cert_match '<SUBJECT>CN=TEST.*' >/dev/null
    kadmin.local addprinc -nokey +requires_preauth jiro >/dev/null 2>&1
    kadmin.local set_string jiro pkinit_cert_match '<SUBJECT>CN=JIRO.*' >/dev/null
    background krb5kdc.log krb5kdc -n
    wait_until grep -q 'commencing operation' kdc.log || die "$(cat kdc.log krb5kdc.log)"
}

# The KDC's certificate says which realm it is for.
issue_kdc_certificate() {
    openssl req -x509 -newkey rsa:2048 -noenc -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2 2>/dev/null
    openssl req -newkey rsa:2048 -noenc -keyout kdc.key -subj /CN=kdc 2>/dev/null |
        openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out kdc.pem -extfile <(
            cat <<'END'
extendedKeyUsage=1.3.6.1.5.2.3.5
subjectAltName=otherName:1.3.6.1.5.2.2;SEQUENCE:name
[name]
realm=EXP:0,GeneralString:EXAMPLE.ORG
name=EXP:1,SEQUENCE:principal
[principal]
type=EXP:0,INTEGER:1
parts=EXP:1,SEQUENCE:parts
[parts]
service=GeneralString:krbtgt
realm=GeneralString:EXAMPLE.ORG
END
        ) 2>/dev/null
}

# The example configuration, with the paths of this place. The plugins are where these programs have been unpacked, and
# nothing is asked of DNS.
write_krb5_conf() {
    sed -e "s|kdc = .*|kdc = 127.0.0.1:$port|" -e "s|PKCS11:.*|PKCS11:$PWD/jpki-pkcs11-auth.so|" \
        -e "s|/etc/krb5/kdc-ca.pem|$PWD/ca.pem|" -e "s|/etc/krb5/jpki-ca.pem|$WORK/identity/authentication-ca.pem|" \
        -e "s|^\[libdefaults\]|&\n    plugin_base_dir = $PWD/lib/krb5/plugins\n    dns_lookup_kdc = false|" \
        "$ROOT/conf/krb5.conf" >krb5.conf
}

write_kdc_conf() {
    cat >kdc.conf <<END
[kdcdefaults]
    kdc_listen = 127.0.0.1:$port
    kdc_tcp_listen = 127.0.0.1:$port
[realms]
    EXAMPLE.ORG = {
        database_name = $PWD/principal
        key_stash_file = $PWD/stash
        acl_file = /dev/null
        pkinit_identity = FILE:$PWD/kdc.pem,$PWD/kdc.key
        pkinit_anchors = FILE:$WORK/identity/authentication-ca.pem
        pkinit_eku_checking = none
    }
[dbmodules]
    db_module_dir = $PWD/lib/krb5/plugins/kdb
[logging]
    kdc = FILE:$PWD/kdc.log
END
}

# gets_ticket [PIN [OPTION...]]: kinit gets taro one.
gets_ticket() {
    rm -f tickets
    at_terminal "$AUTH_TOKEN +PIN.*: |kinit: " "${1:-$AUTH_PIN}" "timeout --foreground 20 kinit ${*:2} ${PRINCIPAL:-taro}"
    klist >list
    cat list
    grep -qx 'Default principal: taro@EXAMPLE.ORG' list
    grep -q ' krbtgt/EXAMPLE.ORG@EXAMPLE.ORG$' list
}

for_jiro() {
    PRINCIPAL=jiro "$@"
}

# With the CA's certificate on the token there are two that could be meant.
with_ca_certificates() {
    echo 'ca_certificates = true' >authorities.toml
    JPKI_PKCS11_CONF=$PWD/authorities.toml "$@"
}

without_own_ca() {
    grep -v authentication-ca.pem krb5.conf >without.conf
    KRB5_CONFIG=$PWD/without.conf "$@"
}

# warned OF: the last prompt did.
warned() {
    cat terminal
    grep -aq "$AUTH_TOKEN .*$1" terminal
}

begin
prepare

check_figure kinit "kinit gets a ticket" gets_ticket
check "an identity that an option names" gets_ticket "$AUTH_PIN" -X "X509_user_identity=PKCS11:$PWD/jpki-pkcs11-auth.so"
refused "another principal's certificate" 'Certificate mismatch' for_jiro gets_ticket
refused "with the CA's certificate on the token" 'Pre-authentication failed: Invalid argument' with_ca_certificates gets_ticket
refused "without the CA of the card's certificate" 'Failed to verify own certificate' without_own_ca gets_ticket

check "no PIN try was used up" tries_left 3
refused "a malformed PIN" "$FAILED" gets_ticket 12a4
check "it cost no try" tries_left 3
refused "a wrong PIN" "$FAILED" gets_ticket 1111
check "it cost one try" tries_left 2
check "the right PIN" gets_ticket
check "the prompt warned of the count" warned 'PIN count low'
check "it restored the tries" tries_left 3
card set-tries auth 1
check "the last try" gets_ticket
check "the prompt warned of it" warned 'PIN final try'
card set-tries auth 0
refused "a blocked PIN" "$FAILED" gets_ticket
check "the prompt said so" warned 'PIN locked'
card set-tries auth 3
refused "the card is pulled out during the signature" "$FAILED" pulled_out gets_ticket
refused "no card" "$FAILED" gets_ticket
card insert
check "the card is back" gets_ticket

finish 1
