#!/usr/bin/env bash
# The chroot in which other systems' libraries are built and tried: Debian 13 with its own Rust, which is the oldest
# that builds the module. It is kept below the target directory. To be sourced by tests/ports.sh, which needs root's
# rights.

# Tests that a variable of tests/clients/environment.sh is there.
: "${TARGET:?}" "${ROOT:?}"

readonly PORTS=$TARGET/ports
readonly CHROOT=$PORTS/trixie
export ROOT PORTS CHROOT

# Makes the chroot, from the mirror that this machine's own sources of apt name.
make_chroot() {
    local mirror
    [[ ! -e $CHROOT/.made ]] || return 0
    # shellcheck disable=SC2016 # the name is apt's
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | grep '/debian/*$' | head -n 1)
    [[ $mirror ]] || die "no source of apt names a mirror of Debian"
    say "making a chroot of Debian 13 in $CHROOT"
    rm -rf --one-file-system -- "$CHROOT"
    mkdir -p "$CHROOT"
    debootstrap --variant=minbase trixie "$CHROOT" "$mirror" >"$PORTS/chroot.log"
    cat >"$CHROOT/etc/apt/apt.conf.d/80ports" <<END
APT::Install-Recommends "false";
APT::Sandbox::User "root";
END
    # No service is started.
    printf '#!/bin/sh\nexit 101\n' >"$CHROOT/usr/sbin/policy-rc.d"
    chmod 755 "$CHROOT/usr/sbin/policy-rc.d"
    touch "$CHROOT/.made"
}

# install_in_chroot PACKAGE...: those that are not there yet. A word like :armhf after a name adds that architecture.
install_in_chroot() {
    local package missing=() updated=
    for package in "$@"; do
        [[ -e $CHROOT/.packages/$package ]] || missing+=("$package")
        if [[ $package == *:* && ! -e $CHROOT/.packages/${package##*:} ]]; then
            in_chroot / dpkg --add-architecture "${package##*:}"
            mkdir -p "$CHROOT/.packages"
            touch "$CHROOT/.packages/${package##*:}"
            updated=no
        fi
    done
    ((${#missing[@]})) || return 0
    say "installing in the chroot: ${missing[*]}"
    [[ ! $updated && -e $CHROOT/.packages/updated ]] || in_chroot / apt-get update -q >/dev/null
    mkdir -p "$CHROOT/.packages"
    touch "$CHROOT/.packages/updated"
    in_chroot / apt-get install -qq --yes -o Dpkg::Use-Pty=0 "${missing[@]}" >"$PORTS/apt.log" 2>&1 || {
        tail -n 20 "$PORTS/apt.log" >&2
        die "apt-get failed in the chroot"
    }
    in_chroot / apt-get clean
    for package in "${missing[@]}"; do touch "$CHROOT/.packages/$package"; done
    # The package ca-certificates would bring a list of its own, and the machine may need another one.
    mkdir -p "$CHROOT/etc/ssl/certs"
    cp /etc/ssl/certs/ca-certificates.crt "$CHROOT/etc/ssl/certs/"
}

# in_chroot DIRECTORY COMMAND...: runs a command in the chroot. The source is at /src, to be read; what is built is at
# /build. Mounts and processes are in namespaces of their own: none is left when the command ends.
in_chroot() {
    mkdir -p "$PORTS/build" "$PORTS/cargo" "$CHROOT/src" "$CHROOT/build" "$CHROOT/cargo"
    cp /etc/resolv.conf /etc/hosts "$CHROOT/etc/"
    # shellcheck disable=SC2016 # the inner shells expand it
    unshare --mount --propagation private --pid --fork --kill-child bash -c '
        set -e
        mount -t proc proc "$CHROOT/proc"
        mount --rbind /dev "$CHROOT/dev"
        mount --bind "$ROOT" "$CHROOT/src"
        mount --bind "$PORTS/build" "$CHROOT/build"
        mount --bind "$PORTS/cargo" "$CHROOT/cargo"
        exec chroot "$CHROOT" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
            DEBIAN_FRONTEND=noninteractive CARGO_HOME=/cargo CARGO_TARGET_DIR=/build CARGO_TERM_COLOR=never \
            SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt CARGO_HTTP_CAINFO=/etc/ssl/certs/ca-certificates.crt \
            bash -c '\''cd "$1"; shift; exec "$@"'\'' _ "$@"
    ' _ "$@"
}
