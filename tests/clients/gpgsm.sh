#!/usr/bin/env bash
# GnuPG's gpgsm by way of gnupg-pkcs11-scd: learns the authentication key and signs with it.
#
# needs: gpgsm:gpgsm gnupg-pkcs11-scd:gnupg-pkcs11-scd
source "$(dirname "$0")/lib.sh"

prepare() {
    ln -s "$MODULE" jpki-pkcs11-auth.so
    echo 'a letter' >letter
    mkdir -m 700 "$GNUPGHOME"
    sed "s|^provider-jpki-library .*|provider-jpki-library $PWD/jpki-pkcs11-auth.so|" \
        "$ROOT/conf/gnupg-pkcs11-scd.conf" >"$GNUPGHOME/gnupg-pkcs11-scd.conf"
    printf '%s\n' "scdaemon-program $(command -v gnupg-pkcs11-scd)" "pinentry-program $PWD/pinentry" \
        >"$GNUPGHOME/gpg-agent.conf"
    # JPKI's CRLs are not for everybody, and its certificates have a policy.
    printf '%s\n' disable-crl-checks disable-policy-checks batch >"$GNUPGHOME/gpgsm.conf"
    # A person who knows what stands in the file `pin`, and gives up if it is empty.
    cat >pinentry <<END
#!/bin/sh
echo OK
while read -r command rest; do
    case \$command in
    GETPIN)
        if [ -s $PWD/pin ]; then echo "D \$(cat $PWD/pin)"; echo OK; else echo "ERR 83886179 canceled"; fi
        : >$PWD/pin
        ;;
    SETDESC | SETERROR) echo "\$rest" >>$PWD/asked; echo OK ;;
    BYE) echo OK; exit ;;
    *) echo OK ;;
    esac
done
END
    chmod +x pinentry
    openssl x509 -in "$WORK/identity/authentication-ca.pem" -noout -fingerprint -sha1 |
        sed 's/.*=//; s/$/ S relax/' >"$GNUPGHOME/trustlist.txt"
    gpgsm --quiet --import "$WORK/identity/authentication-ca.pem" 2>/dev/null
}

learns_card() {
    timeout 30 gpgsm --learn-card
    gpgsm --list-secret-keys --with-colons >list
    cat list
    grep -q '^fpr:' list
    grep -q 'CN=TEST' list
}

# sign [PIN]: the agent has forgotten the PIN.
sign() {
    gpgconf --kill gpg-agent scdaemon
    # What still reaches the agent that ends is lost.
    wait_until test ! -e "$(gpgconf --list-dirs agent-socket)"
    printf %s "${1-$AUTH_PIN}" >pin
    rm -f asked letter.p7s
    timeout 30 gpgsm --detach-sign --output letter.p7s --local-user \
        "$(gpgsm --list-secret-keys --with-colons | sed -n 's/^fpr:*\([^:]*\):.*/\1/p' | head -n 1)" letter
}

signs() {
    sign
    gpgsm --verify letter.p7s letter
}

# GnuPG 2.2 writes a signature whose first bit is set, about every fifth with this key, with a zero byte in front: gpgsm
# accepts that and openssl does not. So there are some more letters.
openssl_verifies_one() {
    local number
    for number in {1..20}; do
        echo "letter $number" >letter
        sign
        if openssl cms -verify -in letter.p7s -inform DER -content letter -binary -purpose any \
            -CAfile "$WORK/identity/authentication-ca.pem" -out content; then
            cmp content letter
            return
        fi
        openssl asn1parse -in letter.p7s -inform DER | grep -E '257 prim: OCTET STRING +\[HEX DUMP\]:00[89A-F]'
    done
    return 1
}

asks_again() {
    if sign "$1"; then return 1; fi
    equal 2 "$(grep -c 'Please enter the PIN' asked)"
}

tries_left() {
    equal "$1" "$(card tries auth)"
}

begin
prepare

check "gpgsm learns the card" learns_card
# Version 2.4 looks at the card more often than 2.2 before it signs.
if has_tested_versions; then
    check_figure 'a signature' "gpgsm signs and verifies" signs
else
    check_within 32 "gpgsm signs and verifies" signs
fi
check "openssl verifies what gpgsm signed" openssl_verifies_one
check "no PIN try was used up" tries_left 3
check "after a malformed PIN gpgsm asks again" asks_again 12a4
check "it cost no try" tries_left 3
check "after a wrong PIN gpgsm asks again" asks_again 1111
check "it cost one try" tries_left 2
check "the right PIN" signs
card set-tries auth 0
refused "a blocked PIN" 'PIN blocked' sign
card set-tries auth 3
refused "the card is pulled out during the signature" 'error creating signature' pulled_out sign
# Version 2.4 waits until it is told to stop.
refused "no card" "error creating signature: End of file|signal Terminated caught" sign
card insert

# Its daemons would notice by themselves that their home is gone.
gpgconf --kill all
finish 1
