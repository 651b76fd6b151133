#!/usr/bin/env bash
# Firefox: shows its certificate to sites that ask for one, after one PIN dialog; what it does when things go wrong;
# Change Password; all ways to make the module known to it.
#
# needs: firefox-esr:firefox-esr certutil:libnss3-tools python3:python3-minimal
source "$(dirname "$0")/lib.sh"
source "$CLIENTS/browser/sites.sh"
source "$CLIENTS/mozilla/application.sh"
source "$CLIENTS/firefox/pages.sh"

# --- pages -------------------------------------------------------------------------------------------------------

# In place of the page there is an error page; the same for all that can go wrong with a card. Firefox puts the words in
# after it has shown the page.
page_is_refused() {
    shows '^not loaded$'
    wait_until error_page_is_complete || error_page_says_why
}

error_page_is_complete() {
    read_page
    error_page_says_why
}

error_page_says_why() {
    page_says 'Secure Connection Failed' 'SSL_ERROR_RX_CERTIFICATE_REQUIRED_ALERT'
}

# signed COUNT COMMAND...: the card makes this many signatures meanwhile.
signed() {
    local count=$1 mark
    mark=$(card mark)
    shift
    "$@"
    equal "$count" "$(card count signatures auth since "$mark")"
}

log_out() {
    drive mozilla/log-out.js "$AUTH_TOKEN"
}

# --- one PIN for all --------------------------------------------------------------------------------------------

first_page() {
    visit "$TLS_13" "$AUTH_PIN"
    asked_for "$AUTH_TOKEN"
    shows '^certificates: TEST'
    page_is_for_the_card 'Protocol +: TLSv1.3' "Peer signature type: $PSS$"
}

# page URL PATTERN...: comes without a PIN dialog.
page_without_pin() {
    local url=$1
    shift
    visit "$url"
    asked_for
    page_is_for_the_card "$@"
}

five_more() {
    for _ in 1 2 3 4 5; do
        page_without_pin "$TLS_13"
    done
}

two_sites() {
    page_without_pin "$SECOND_SITE"
    shows '^certificates: TEST'
    page_without_pin "${TLS_12/localhost/third.localhost}"
}

# --- things go wrong --------------------------------------------------------------------------------------------

pin_is_asked_again_after_logging_out() {
    log_out
    visit "$TLS_13" "$AUTH_PIN"
    asked_for "$AUTH_TOKEN"
    page_is_for_the_card
}

wrong_pin_then_right() {
    log_out
    visit "$TLS_13" 9876 "$AUTH_PIN"
    asked_for "$AUTH_TOKEN" "$AUTH_TOKEN"
    page_is_for_the_card
    equal "1 3" "$(card count failed-verifies auth since "$mark") $(card tries auth)"
}

malformed_pin_then_right() {
    log_out
    visit "$TLS_13" "$SIGN_PIN" "$AUTH_PIN"
    asked_for "$AUTH_TOKEN" "$AUTH_TOKEN"
    page_is_for_the_card
    equal 0 "$(card count failed-verifies auth since "$mark")"
}

cancel_then_right() {
    log_out
    visit "$TLS_13"
    asked_for "$AUTH_TOKEN"
    page_is_refused
    equal 0 "$(card count verifies auth since "$mark")"
    visit "$TLS_13" "$AUTH_PIN"
    page_is_for_the_card
}

visit_without_card() {
    card remove
    wait_until has_no_token
    visit "$TLS_13"
    asked_for
    page_is_refused
}

visit_with_card_again() {
    card insert
    wait_until has_token "$AUTH_TOKEN"
    visit "$TLS_13" "$AUTH_PIN"
    asked_for "$AUTH_TOKEN"
    page_is_for_the_card
    page_without_pin "$SECOND_SITE"
}

# Taken out and put in again so fast that NSS does not notice by itself: one page may fail, nothing else.
card_for_a_moment_out() {
    card remove
    card insert
    visit "$TLS_13" "$AUTH_PIN"
    cat seen
    wait_until has_token "$AUTH_TOKEN"
    visit "$TLS_13" "$AUTH_PIN"
    page_is_for_the_card
}

without_pcscd() {
    card kill-pcscd
    wait_until has_no_token
    visit "$TLS_13"
    asked_for
    page_is_refused
    card restart-pcscd
    wait_until has_token "$AUTH_TOKEN"
    visit "$TLS_13" "$AUTH_PIN"
    asked_for "$AUTH_TOKEN"
    page_is_for_the_card
}

last_try_blocks_the_pin() {
    log_out
    card set-tries auth 1
    visit "$TLS_13" 9876 "$AUTH_PIN"
    asked_for "$AUTH_TOKEN"
    page_is_refused
    equal "1 0" "$(card count failed-verifies auth since "$mark") $(card tries auth)"
}

blocked_pin() {
    visit "$TLS_13" "$AUTH_PIN"
    asked_for "$AUTH_TOKEN"
    page_is_refused
    equal 0 "$(card count verifies auth since "$mark")"
}

unblocked_pin() {
    card set-tries auth 3
    visit "$TLS_13" "$AUTH_PIN"
    asked_for "$AUTH_TOKEN"
    page_is_for_the_card
}

# --- Change Password ----------------------------------------------------------------------------------------------

wrong_old_pin() {
    change_password "$AUTH_TOKEN" 9876 2580 'You did not enter the correct current password'
    equal 1 "$(card count failed-verifies auth since "$mark")"
}

malformed_new_pin() {
    change_password "$AUTH_TOKEN" "$AUTH_PIN" 25801 'Unable to change password'
}

changed_pin_works() {
    change_password "$AUTH_TOKEN" "$AUTH_PIN" 2580 'Password successfully changed'
    page_without_pin "$TLS_13"
    log_out
    visit "$TLS_13" 2580
    asked_for "$AUTH_TOKEN"
    page_is_for_the_card
    change_password "$AUTH_TOKEN" 2580 "$AUTH_PIN" 'Password successfully changed'
}

# --- ways to make the module known ----------------------------------------------------------------------------------

policy_loads_the_module() {
    has_token "$AUTH_TOKEN"
    shows "$PWD/jpki-pkcs11-auth.so"
}

card_comes_after_firefox() {
    drive mozilla/devices.js
    shows 'nothing: NOT_PRESENT'
    card insert
    wait_until has_token "$AUTH_TOKEN"
    first_page
}

load_button() {
    drive mozilla/load.js JPKI "$PWD/jpki-pkcs11.so"
    has_token "$AUTH_TOKEN"
    has_token "$SIGN_TOKEN"
    shows '^slot: Authentication, Virtual' '^slot: Signature, Virtual'
}

# With both slots NSS looks for certificates in the one whose certificate shows after a login only; Cancel is harmless.
both_slots_ask_more() {
    visit "$TLS_13" - "$AUTH_PIN"
    asked_for "$SIGN_TOKEN" "$AUTH_TOKEN"
    page_is_for_the_card
    page_without_pin "$TLS_13"
    visit "$SECOND_SITE" -
    asked_for "$SIGN_TOKEN"
    page_is_for_the_card
}

both_slots_friendly() {
    first_page
    page_without_pin "$SECOND_SITE"
}

# --------------------------------------------------------------------------------------------------------------------

begin
FIREFOX=$(type -P firefox-esr || type -P firefox || die "Firefox is missing")
link_module
serve_sites

new_profile modutil server-ca.pem C,,
add_module jpki-pkcs11-auth.so
mark=$(card mark)
start "$FIREFOX"
check "modutil: the authentication token is there" has_token "$AUTH_TOKEN"
check "TLS 1.3: a page after one PIN dialog, signed with PSS" first_page
near_figure_since "$mark" 'from its start to the first page' "from Firefox's start to its first page"
check_within "$((5 * $(figure 'each further connection')))" "five more connections: a signature each, no dialog" signed 5 five_more
check "TLS 1.2: no dialog, signed with PSS" page_without_pin "$TLS_12" 'Protocol +: TLSv1.2' "Peer signature type: $PSS$"
check "TLS 1.2: no dialog, signed with PKCS #1 v1.5" \
    page_without_pin "$TLS_12_PKCS1" 'Protocol +: TLSv1.2' "Peer signature type: $PKCS1$"
check "two other sites: the certificate is chosen, no PIN dialog" two_sites
check "after Log Out the PIN is asked for again, once" pin_is_asked_again_after_logging_out
marked "a wrong PIN, then the right one: one try used" wrong_pin_then_right
marked "a malformed PIN, then the right one: no try used" malformed_pin_then_right
marked "Cancel: an error page, nothing sent; the next visit asks again" cancel_then_right
marked "the last try: an error page, not asked again" last_try_blocks_the_pin
marked "a blocked PIN: an error page, nothing sent" blocked_pin
check "a PIN that was blocked and is not any more" unblocked_pin
marked "Change Password: wrong old PIN" wrong_old_pin
marked "Change Password: malformed new PIN" malformed_new_pin
marked "Change Password: the new PIN works" changed_pin_works
check "card removed: an error page, no dialog" visit_without_card
check "card inserted: one PIN dialog" visit_with_card_again
check "card out for a moment: works after a PIN dialog" card_for_a_moment_out
check "pcscd gone and back: one PIN dialog" without_pcscd
quit
check "Firefox ends by itself" ended_well

copy_application "$FIREFOX" "$ROOT/conf/firefox-policies.json"
new_profile policy server-ca.pem C,,
card remove
start "$COPY"
check "policy: a card that comes later, one PIN dialog" card_comes_after_firefox
check "policy: the module is that of the policy" policy_loads_the_module
quit

new_profile load server-ca.pem C,,
start "$FIREFOX"
check "Security Devices, Load: both tokens are there" load_button
check "both slots: the other token asks once for each site, too" both_slots_ask_more
quit

new_profile friendly server-ca.pem C,,
add_module jpki-pkcs11.so -mechanisms FRIENDLY
start "$FIREFOX"
check "both slots, FRIENDLY: one PIN dialog" both_slots_friendly
quit

finish 3
