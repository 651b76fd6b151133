# shellcheck shell=bash
# What firefox.sh and thunderbird.sh have in common. To be sourced after lib.sh, in its directory of files.

# The module under its three names.
link_module() {
    ln -s "$MODULE" jpki-pkcs11.so
    ln -s "$MODULE" jpki-pkcs11-auth.so
    ln -s "$MODULE" jpki-pkcs11-sign.so
}

# new_profile NAME [CA-FILE TRUST]...: an empty profile that knows these CAs; PROFILE is set to it.
new_profile() {
    PROFILE=$PWD/$1
    shift
    mkdir "$PROFILE"
    cp "$CLIENTS/mozilla/quiet.js" "$PROFILE/user.js"
    certutil -N -d "sql:$PROFILE" --empty-password
    while (($#)); do
        certutil -A -d "sql:$PROFILE" -n "$(basename "$1" .pem)" -i "$1" -t "$2"
        shift 2
    done
}

# add_module LIBRARY [MODUTIL-OPTION...]: into the profile, as a user does it in a shell.
add_module() {
    local library=$PWD/$1
    shift
    modutil -force -dbdir "sql:$PROFILE" -add JPKI -libfile "$library" "$@" >modutil.log 2>&1 ||
        die "modutil: $(cat modutil.log)"
}

# copy_application PROGRAM POLICIES: an application reads policies next to its program, so this makes a copy of it, with
# everything large linked, and with these policies for the module that is tested. COPY is set to it.
copy_application() {
    local from file name
    from=$(readlink -f "$1")
    name=${from##*/}
    from=${from%/*}
    mkdir -p application/distribution
    for file in "$from"/*; do
        case ${file##*/} in
        distribution) ;;
        "$name"*) cp "$file" application/ ;;
        *) ln -s "$file" application/ ;;
        esac
    done
    sed "s|\"/.*/\(jpki[^\"/]*\)\"|\"$PWD/\1\"|" "$2" >application/distribution/policies.json
    # shellcheck disable=SC2034  # for the caller
    COPY=$PWD/application/$name
}

# start PROGRAM [OPTION...]: with PROFILE, and without a display if there are no options. Waits until it takes commands.
start() {
    local program=$1
    shift
    (($#)) || set -- --headless
    rm -f "$PROFILE/MarionetteActivePort"
    background "$PROFILE.log" env MOZ_CRASHREPORTER_DISABLE=1 \
        "$program" "$@" --no-remote --marionette --remote-allow-system-access --profile "$PROFILE"
    # shellcheck disable=SC2034  # for lib.sh
    APPLICATION=$!
    wait_until test -s "$PROFILE/MarionetteActivePort" || die "$program does not start: $(cat "$PROFILE.log")"
}

# Has the application do something, see drive.py; what was shown is in the file `seen`.
drive() {
    python3 -B "$CLIENTS/mozilla/drive.py" "$PROFILE" "$@" >seen || {
        cat seen
        return 1
    }
    cat seen
}

# change_password TOKEN OLD NEW ANSWER: what Change Password of Security Devices answers.
change_password() {
    drive mozilla/change-password.js "$1" "$2" "$3"
    shows "^alert: $4"
}

# asked_for TOKEN...: there was one PIN dialog for each of these, in this order, and no other. The name stands in
# brackets, or, in version 140, at the end.
asked_for() {
    equal "$(IFS=,; printf '%s' "$*")" "$(sed -En 's/^PIN: .*[( ](JPKI [A-Za-z ]*)[).].*/\1/p' seen | paste -s -d,)"
}

# The token is there, as Security Devices shows it. NSS looks once a second at most.
has_token() {
    drive mozilla/devices.js
    shows "$1: (NOT_LOGGED_IN|LOGGED_IN)"
}

# No token is there. Until NSS has looked, the PIN of one that was just taken out may still be asked for.
has_no_token() {
    drive mozilla/devices.js
    ! grep 'LOGGED_IN' seen
}
