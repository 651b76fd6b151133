#!/usr/bin/env bash
# Makes the pictures of docs from the real programs on the virtual card. Run by `./pkcs11-tests.sh pictures`.
#
# needs: firefox-esr:firefox-esr certutil:libnss3-tools python3:python3-minimal Xvfb:xvfb import:imagemagick
# needs: /usr/share/fonts/truetype/dejavu:fonts-dejavu-core
source "$(dirname "$0")/clients/lib.sh"
# shellcheck source=clients/browser/sites.sh
source "$CLIENTS/browser/sites.sh"
# shellcheck source=clients/desktop/display.sh
source "$CLIENTS/desktop/display.sh"
# shellcheck source=clients/mozilla/application.sh
source "$CLIENTS/mozilla/application.sh"

readonly DOCS=$ROOT/docs PICTURES=$ROOT/tests/pictures

# picture NAME: what the display shows, with few colours.
picture() {
    import -silent -window root png:- |
        convert - -crop 860x460+0+0 +repage -strip +dither -colors 64 -define png:compression-level=9 "PNG8:$DOCS/$1.png"
}

page_is_there() {
    drive page >/dev/null && grep -q 'you are logged in' seen
}

# Firefox asks for the PIN, and shows the page after it.
browser() {
    local port
    port=$(free_port)
    make_server_certificate 2>/dev/null
    background site.log python3 -B "$PICTURES/site.py" "$port" server.pem server.key "$WORK/identity/authentication-ca.pem"
    wait_until is_listening "$port" || die "$(cat site.log)"
    start_display
    new_profile browser server-ca.pem C,,
    add_module jpki-pkcs11-auth.so
    # Nothing blinks or moves.
    printf 'user_pref("%s", %s);\n' ui.caretBlinkTime 0 ui.prefersReducedMotion 1 >>"$PROFILE/user.js"
    start "$(type -P firefox-esr || type -P firefox)" --display "$DISPLAY" --width 860 --height 460
    drive ../pictures/open.js "https://localhost:$port/" "$PWD/asked" "$AUTH_PIN"
    wait_until test -e asked || die "no PIN dialog"
    wait_until display_is_still
    picture firefox-pin
    rm asked
    wait_until page_is_there || die "no page: $(cat seen)"
    wait_until display_is_still
    picture firefox-page
    quit
}

# What moves has come to its end.
display_is_still() {
    import -silent -window root before.png
    sleep 0.3
    import -silent -window root after.png
    compare -metric AE before.png after.png null:
}

# terminal NAME LOCALE LANGUAGE: what the status command says.
terminal() {
    LC_ALL=$2 "$COMMAND" status >said || true
    python3 -B "$PICTURES/terminal.py" 'jpki-pkcs11 status' "$3" <said >"$DOCS/$1.svg"
}

begin
link_module
mkdir -p "$DOCS"
terminal status C.UTF-8 en
terminal status-ja ja_JP.UTF-8 ja
browser
ls -l "$DOCS"
