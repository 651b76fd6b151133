# shellcheck shell=bash
# shellcheck disable=SC2034  # used by those who source this
# Login programs that pkcs11-tests.sh has unpacked, with their servers, for scripts that have sourced lib.sh; to be
# sourced.

# Where a user without rights may go.
new_directory() {
    mktemp -d "/tmp/$1.XXXXXX"
}

WITHOUT_ROOT=()
((EUID != 0)) || WITHOUT_ROOT=(setpriv --reuid 65534 --regid 65534 --clear-groups)
readonly WITHOUT_ROOT

# take_logins PROGRAM...: puts these programs into the path. They and all libraries are copied, because a user without
# rights may not reach the target directory. The path that a library gives for those of its own package is an installed
# one: every directory with libraries is named instead. Debian 13 has two makes of Kerberos, whose names end
# differently.
take_logins() {
    local program path libraries
    path=$(compgen -G "$TARGET/logins/usr/lib/*-linux-gnu*") || die "the login programs are missing"
    mkdir bin programs
    cp -r "$path" lib
    libraries=$(find "$PWD/lib" -name 'lib*.so*' -printf '%h\n' | sort -u | paste -s -d :)
    for program in "$@"; do
        path=$(compgen -G "$TARGET/logins/usr/*bin/$program" || compgen -G "$TARGET/logins/usr/*bin/$program.mit" ||
            compgen -G "$TARGET/logins/usr/libexec/*/$program") || die "$program is missing"
        cp "$path" "programs/$program"
        printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$libraries" "$PWD/programs/$program" >"bin/$program"
        chmod 755 "bin/$program"
    done
    PATH=$PWD/bin:$PATH
    chmod 711 "$WORK" "$WORK/files"
    ((EUID != 0)) || chown 65534:65534 "$WORK/tmp" "$WORK/run"
}

# Installs the module and has p11-kit know it and no other. p11-kit does not read root's own configuration: what uses it
# must run without root's rights.
install_for_p11_kit() {
    "$ROOT/conf/install.sh" install --prefix "$PWD/prefix" >/dev/null
    mkdir -p "$XDG_CONFIG_HOME/pkcs11/modules"
    echo 'user-config: only' >"$XDG_CONFIG_HOME/pkcs11/pkcs11.conf"
    cp "$PWD/prefix/share/p11-kit/modules/jpki.module" "$XDG_CONFIG_HOME/pkcs11/modules"
    ((EUID != 0)) || chown -R 65534:65534 "$WORK/home"
}

tries_left() {
    equal "$1" "$(card tries auth)"
}
