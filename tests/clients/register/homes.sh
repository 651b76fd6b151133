# shellcheck shell=bash
# Homes with profiles of Firefox, Thunderbird and Chromium. To be sourced by register.sh.

# new_home NAME: with two old profiles of Firefox, a new one, one of Thunderbird and Chromium's. A module of another
# project and OpenSC's stand in each but the new one, which Firefox has not started with yet. HOUSE is set to it.
new_home() {
    local profile opensc
    HOUSE=$PWD/$1
    mkdir -p "$HOUSE/.mozilla/firefox" "$HOUSE/.config/mozilla/firefox" "$HOUSE/.thunderbird" "$HOUSE/$NEW_FIREFOX"
    cat >"$HOUSE/.mozilla/firefox/profiles.ini" <<END
[Profile1]
Name=work
IsRelative=0
Path=$HOUSE/$WORK_FIREFOX

[Profile0]
Name=default-esr
IsRelative=1
Path=abc.default-esr
Default=1

[General]
StartWithLastProfile=1
END
    printf '[Profile0]\nName=new\nIsRelative=1\nPath=a プロ\n' >"$HOUSE/.config/mozilla/firefox/profiles.ini"
    printf '[Profile0]\nName=default\nIsRelative=1\nPath=x.default\n' >"$HOUSE/.thunderbird/profiles.ini"
    for profile in "$FIREFOX" "$WORK_FIREFOX" "$THUNDERBIRD" "$CHROMIUM"; do
        mkdir -p "$HOUSE/$profile"
        certutil -N -d "sql:$HOUSE/$profile" --empty-password
        add "$profile" Other "$PWD/other.so"
    done
    # As the autostart entry of its package does: newer ones name the programs.
    read -ra opensc < <(sed -n 's/^Exec=//p' /etc/xdg/autostart/pkcs11-register.desktop)
    at_home "${opensc[@]}" >/dev/null
    autostart=$HOUSE/xdg/autostart/pkcs11-register.desktop
    mkdir -p "${autostart%/*}"
    printf '[Desktop Entry]\nType=Application\nExec=/bin/sh\n' >"$autostart"
}

# What the command speaks; `in_japanese` changes it.
LOCALE=C.UTF-8

# A command with the home HOUSE.
at_home() {
    env LC_ALL="$LOCALE" HOME="$HOUSE" XDG_CONFIG_HOME="$HOUSE/.config" XDG_DATA_HOME="$HOUSE/.local/share" \
        XDG_CONFIG_DIRS="$HOUSE/xdg" "$@"
}

# add PROFILE NAME LIBRARY: by hand.
add() {
    modutil -force -dbdir "sql:$HOUSE/$1" -add "$2" -libfile "$3" >modutil.log 2>&1 || die "modutil: $(cat modutil.log)"
}

opensc_library() {
    sed -n 's/^library=\(.*opensc.*\)/\1/p' "$HOUSE/$FIREFOX/pkcs11.txt"
}

# The libraries in a profile, in their order, by their file names.
libraries() {
    sed -n 's|^library=.*/||p' "$HOUSE/$1/pkcs11.txt" | paste -s -d ' '
}

# Everything about every file of the home.
everything() {
    (cd "$HOUSE" && find . -printf '%p %y %m %i %s %T@ %l\n' | sort && find . -type f -exec sha256sum {} + | sort)
}
