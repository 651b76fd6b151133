# shellcheck shell=bash
# Checks of `register` in homes that have little, or something unusual. To be sourced by register.sh.

empty_home() {
    HOUSE=$PWD/$1
    mkdir "$HOUSE"
}

nothing_to_register_in() {
    registers 1 firefox
    says 'Firefox: no profile found. If you use Firefox, start it once'
    in_japanese registers 1 thunderbird
    says 'Thunderbird: プロファイルがありません。'
    run 0 unregister
    equal '' "$(ls -A "$HOUSE")"
}

# A Chromium that runs and has no database yet may be about to make one.
makes_no_database_while_chromium_runs() {
    mkdir -p "$HOUSE/.config/chromium"
    ln -s "$(</proc/sys/kernel/hostname)-$BASHPID" "$HOUSE/.config/chromium/SingletonLock"
    registers 1 chromium
    rm -r "$HOUSE/.config"
    equal '' "$(ls -A "$HOUSE")"
}

# OpenSC is not there yet, and will be after the next login.
autostart_is_ended_before_its_first_run() {
    autostart=$HOUSE/xdg/autostart/pkcs11-register.desktop
    mkdir -p "${autostart%/*}"
    printf '[Desktop Entry]\nType=Application\nExec=/bin/sh\n' >"$autostart"
    registers 0 chromium
    says "it is registered at each login by: $autostart" "To keep OpenSC's module out: "
    answers 'Keep it out\?.*\[y/N\] ' yes chromium
    grep -q '^Hidden=true' "$HOUSE/.config/autostart/pkcs11-register.desktop"
}

# Chromium's database is made, for this user alone.
makes_chromiums_database() {
    registers 0
    equal 'jpki-pkcs11-auth.so 700 700' \
        "$(libraries "$CHROMIUM") $(stat -c %a "$HOUSE/.pki") $(stat -c %a "$HOUSE/$CHROMIUM")"
    lists "$CHROMIUM" JPKI "$AUTH_TOKEN"
}

# Newer versions begin with a database at another place.
uses_chromiums_newer_database() {
    mkdir -p "$HOUSE/.local/share/pki/nssdb"
    registers 0 chromium
    equal jpki-pkcs11-auth.so "$(libraries .local/share/pki/nssdb)"
    [[ ! -e $HOUSE/.pki ]]
}

sandboxed_programs_are_said_to_be_out_of_reach() {
    local root
    for root in snap/firefox/common/.mozilla/firefox .var/app/org.mozilla.Thunderbird/.thunderbird; do
        mkdir -p "$HOUSE/$root/p"
        printf '[Profile0]\nPath=p\nIsRelative=1\n' >"$HOUSE/$root/profiles.ini"
    done
    everything >before
    registers 1 firefox
    says "Firefox, $HOUSE/snap/firefox/common/.mozilla/firefox/p" 'comes as a snap and cannot load' 'package of the system'
    in_japanese registers 1 thunderbird
    says 'Flatpak のため、システムのモジュールを読み込めません。'
    everything | cmp before -
}

# `sudo jpki-pkcs11 register` with the home of a user would leave files of root there.
another_users_profile_is_left_alone() {
    mkdir -p "$HOUSE/$CHROMIUM"
    if ((EUID == 0)); then
        chown 65534 "$HOUSE/$CHROMIUM"
    else
        HOUSE=/
    fi
    registers 1 chromium
    says 'belongs to another user' 'without sudo'
    [[ ! -e $HOUSE/$CHROMIUM/pkcs11.txt ]]
}

# Firefox older than 58 has another form of database, which it turns into the new one.
old_profile_is_left_alone() {
    mkdir -p "$HOUSE/$FIREFOX"
    printf '[Profile0]\nPath=abc.default-esr\nIsRelative=1\n' >"$HOUSE/.mozilla/firefox/profiles.ini"
    : >"$HOUSE/$FIREFOX/cert8.db"
    registers 1 firefox
    says 'was made by an old version.' 'Start Firefox once'
    equal cert8.db "$(ls -A "$HOUSE/$FIREFOX")"
}
