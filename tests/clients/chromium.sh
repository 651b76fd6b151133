#!/usr/bin/env bash
# Chromium: shows the certificate to sites that ask for one, after one PIN dialog; what it does when things go wrong.
# The dialogs are its own, read over its protocols and answered by keys of an X server that shows nothing.
#
# needs: chromium:chromium certutil:libnss3-tools python3:python3-minimal Xvfb:xvfb xdotool:xdotool
source "$(dirname "$0")/lib.sh"
source "$CLIENTS/browser/sites.sh"
source "$CLIENTS/desktop/display.sh"

# --- Chromium -----------------------------------------------------------------------------------------------------

# database DIRECTORY: the certificates of all its profiles, made as README says.
database() {
    mkdir -p "$1"
    modutil -force -dbdir "sql:$1" -add JPKI -libfile "$PWD/jpki-pkcs11-auth.so" >modutil.log 2>&1 || die "$(cat modutil.log)"
    certutil -A -d "sql:$1" -n server-ca -i server-ca.pem -t C,,
}

# Starts it, and waits until it takes commands. All that it would ask of the network goes to a proxy that is not there.
# Its sandbox, which root cannot have, is for pages. It opens no connections for later, which would count as signatures.
start() {
    rm -f profile/DevToolsActivePort profile/UIDevToolsActivePort
    if [[ ! -e profile ]]; then
        mkdir -p profile/Default
        echo '{"net": {"network_prediction_options": 2}}' >profile/Default/Preferences
    fi
    background chromium.log chromium --user-data-dir="$PWD/profile" --remote-debugging-port=0 \
        --enable-ui-devtools=0 --no-sandbox --test-type --no-first-run --disable-gpu \
        --disable-background-networking --disable-component-update --disable-default-apps --disable-sync \
        --proxy-server=127.0.0.1:9 about:blank
    APPLICATION=$!
    wait_until takes_commands || die "Chromium does not start: $(cat chromium.log)"
}

# It has written which ports it listens on, for pages and for its own windows.
takes_commands() {
    [[ -s profile/DevToolsActivePort && -s profile/UIDevToolsActivePort ]]
}

restart() {
    quit
    start
}

# drive COMMAND...: what was shown is in the file `seen`.
drive() {
    python3 -B "$CLIENTS/chromium/drive.py" profile "$@" >seen || {
        cat seen
        return 1
    }
    cat seen
}

# visit URL [PIN...]: opens the page; Cancel follows the last PIN. What was shown is in `seen`, the page in `page`.
visit() {
    drive visit page "$@"
}

# --- what was shown -------------------------------------------------------------------------------------------------

# What drive.py prints of a dialog whose text an older Chromium (150) does not tell.
readonly NO_TEXT='\(this version does not tell what it says\)$'

# asked_for COUNT: there were so many PIN dialogs, all for the authentication token.
asked_for() {
    equal "$1" "$(grep -Ec "^PIN: (Please unlock $AUTH_TOKEN to authenticate to |$NO_TEXT)" seen)"
    equal "$1" "$(grep -c '^PIN: ' seen)"
}

# page URL PATTERN...: comes without a PIN dialog.
page_without_pin() {
    visit "$1"
    shift
    asked_for 0
    page_is_for_the_card "$@"
}

# page_with_pin URL PATTERN...: comes after one.
page_with_pin() {
    visit "$1" "$AUTH_PIN"
    shift
    asked_for 1
    page_is_for_the_card "$@"
}

# An error page comes, the same for all that can go wrong with a card. With TLS 1.2: in TLS 1.3 the server says so after
# the handshake, and what Chromium shows and remembers depends on whether it hears that before the connection is closed.
page_is_refused() {
    shows '^not loaded: net::ERR_BAD_SSL_CLIENT_AUTH_CERT$'
}

# --- one PIN for all --------------------------------------------------------------------------------------------------

first_page() {
    page_with_pin "$TLS_13" 'Protocol +: TLSv1.3' "Peer signature type: $PSS$"
    shows "^certificate dialog: (Select a certificate to authenticate yourself to localhost:|$NO_TEXT)"
}

five_more() {
    for _ in 1 2 3 4 5; do
        page_without_pin "$TLS_13"
        equal 0 "$(grep -c '^certificate dialog' seen)"
    done
}

# --- things go wrong --------------------------------------------------------------------------------------------------

# It says nothing of the first PIN: the same dialog comes again.
wrong_pin_then_right() {
    visit "$TLS_12" 9876 "$AUTH_PIN"
    asked_for 2
    page_is_for_the_card
    equal "1 3" "$(card count failed-verifies auth since "$mark") $(card tries auth)"
}

malformed_pin_then_right() {
    visit "$TLS_12" "$SIGN_PIN" "$AUTH_PIN"
    asked_for 2
    page_is_for_the_card
    equal 0 "$(card count failed-verifies auth since "$mark")"
}

# A user who does not see that the PIN was wrong enters it again.
same_wrong_pin_twice() {
    visit "$TLS_12" 9876 9876 "$AUTH_PIN"
    asked_for 2
    page_is_refused
    equal "1 2" "$(card count failed-verifies auth since "$mark") $(card tries auth)"
}

cancelled() {
    visit "$TLS_12"
    asked_for 1
    page_is_refused
    equal 0 "$(card count verifies auth since "$mark")"
}

last_try_blocks_the_pin() {
    card set-tries auth 1
    visit "$TLS_12" 9876 "$AUTH_PIN"
    asked_for 1
    page_is_refused
    equal "1 0" "$(card count failed-verifies auth since "$mark") $(card tries auth)"
}

blocked_pin() {
    visit "$TLS_12" "$AUTH_PIN"
    page_is_refused
    equal 0 "$(card count verifies auth since "$mark")"
}

# The dialog that comes back without a word would have Chromium's user spend all tries.
last_try_is_kept() {
    visit "$TLS_12" 9876 8765 7654
    asked_for 3
    page_is_refused
    equal "2 1" "$(card count failed-verifies auth since "$mark") $(card tries auth)"
}

visit_without_card() {
    card remove
    visit "$TLS_12" "$AUTH_PIN"
    page_is_refused
}

visit_without_pcscd() {
    card kill-pcscd
    visit "$TLS_12"
    page_is_refused
}

# Waits until Chromium can see the token: its NSS asks a slot once a second at most. Without a token it would ask for
# nothing, and remember that for the site.
token_is_back() {
    wait_until a_token_is_listed
    sleep 1.1
}

# Chromium reads the list of slots once, at its start. Its reader comes when pcscd does.
reader_comes_later() {
    visit "$TLS_12"
    asked_for 0
    page_is_refused
    card restart-pcscd
    token_is_back
    page_with_pin "$TLS_12"
}

# ----------------------------------------------------------------------------------------------------------------------

begin
mkdir -p "$XDG_CONFIG_HOME"
ln -s "$MODULE" jpki-pkcs11-auth.so
serve_sites
start_display
database "$HOME/.pki/nssdb"
mark=$(card mark)
start
check "TLS 1.3: a page after one PIN dialog, signed with PSS" first_page
near_figure_since "$mark" 'from its start to the first page' "from Chromium's start to its first page"
# On a busy machine each page asks for the tries left once more.
check_within "$((5 * $(figure 'each further page') + 10))" "five more pages: no dialog" five_more
check "TLS 1.2: no PIN dialog, signed with PKCS #1 v1.5" \
    page_without_pin "$TLS_12" 'Protocol +: TLSv1.2' "Peer signature type: $PKCS1$"
check "another site: no PIN dialog" page_without_pin "$SECOND_SITE"
check "card removed: an error page" visit_without_card
card insert
token_is_back
marked "card inserted: a wrong PIN, the same dialog, the right one: one try used" wrong_pin_then_right
check "no pcscd: an error page" visit_without_pcscd
card restart-pcscd
token_is_back
marked "pcscd is back: a malformed PIN, the same dialog, the right one: no try used" malformed_pin_then_right
quit
check "Chromium ends by itself" ended_well
start
marked "the same wrong PIN twice: one try used, an error page" same_wrong_pin_twice
marked "Cancel: an error page, nothing sent" cancelled
check "then the right PIN: one PIN dialog" page_with_pin "$TLS_12"
restart
marked "the last try: an error page, not asked again" last_try_blocks_the_pin
marked "a blocked PIN: an error page, nothing sent" blocked_pin
quit
card set-tries auth 3
echo 'reserve_tries = 1' >"$XDG_CONFIG_HOME/jpki-pkcs11.toml"
start
marked "reserve_tries = 1: two wrong PINs, the third is not sent" last_try_is_kept
quit
rm "$XDG_CONFIG_HOME/jpki-pkcs11.toml"

card kill-pcscd
start
check "no pcscd and no reader at the start: they come later, one PIN dialog" reader_comes_later
quit

finish 5
