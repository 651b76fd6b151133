#!/usr/bin/env bash
# Firefox beside a card that gives no answer, which takes a second to be known: pages that need no card do not wait for
# it.
#
# needs: firefox-esr:firefox-esr certutil:libnss3-tools python3:python3-minimal pcsc_stand_in
source "$(dirname "$0")/lib.sh"
source "$CLIENTS/browser/sites.sh"
source "$CLIENTS/mozilla/application.sh"
source "$CLIENTS/firefox/pages.sh"

# Where the PC/SC library has another one in its place: a reader with a card that gives no answer, and a second passes
# at each attempt before that is known. Attempts are counted in the file `attempts`.
use_card_upside_down() {
    local fault=$'do=inject\tSCardConnect\t1\tendless'
    mkdir upside-down
    ln -s "$TARGET/debug/libpcsc_stand_in.so" upside-down/libpcsclite.so.1
    : >attempts
    export LD_LIBRARY_PATH=$PWD/upside-down
    export JPKI_STAND_IN="reader=Reader;card=full"
    JPKI_STAND_IN+=";$fault"$'\tbefore\tnote\t'"$PWD/attempts;$fault"$'\tbefore\tpause\t1000'
    JPKI_STAND_IN+=";$fault"$'\tfail\tUNRESPONSIVE_CARD'
}

# A page that asks for no certificate. NSS asks all its tokens for the server's CA nevertheless, many times.
plain_page() {
    visit "$PLAIN_SITE"
    asked_for
    shows '^loaded$'
    page_says 'Protocol +: TLSv1.3' 'no client certificate available'
}

further_plain_pages() {
    plain_page
    plain_page
    has_no_token
    plain_page
}

# --------------------------------------------------------------------------------------------------------------------

begin
FIREFOX=$(type -P firefox-esr || type -P firefox || die "Firefox is missing")
link_module
make_server_certificate 2>/dev/null
port=$(free_port)
PLAIN_SITE=https://localhost:$port/
serve_anyone "$port"
new_profile profile server-ca.pem C,,
add_module jpki-pkcs11.so
use_card_upside_down
start "$FIREFOX"
check "a card upside down: a page that needs no card comes" plain_page
check "a card upside down: further pages come" further_plain_pages
check "a card upside down: one attempt to reach it in all" equal 1 "$(wc -l <attempts)"
quit

finish
