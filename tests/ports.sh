#!/usr/bin/env bash
# Builds the module for other systems, and tries it as far as this machine can: in a chroot of Debian 13 below the
# target directory, with cross compilers, qemu and Wine. Says one line for each target. It needs root's rights for the
# chroot.
#
# usage: tests/ports.sh [TARGET...]          builds and tries
#        tests/ports.sh --package TARGET     makes a package, and prints where it is
set -euo pipefail

# shellcheck source=tests/clients/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/clients/environment.sh"

readonly TARGETS=(armhf arm64 i386 musl windows macos freebsd)

# What every target needs in the chroot.
readonly COMMON_PACKAGES=(ca-certificates cargo rustc gcc libc6-dev pkg-config libpcsclite-dev)

# Tests are built without what only a debugger reads.
readonly TEST_PROFILE=(CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0)

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "ports.sh: $*"
    exit 1
}

# shellcheck source=tests/ports/chroot.sh
source "$ROOT/tests/ports/chroot.sh"
# shellcheck source=tests/ports/linux.sh
source "$ROOT/tests/ports/linux.sh"
# shellcheck source=tests/ports/others.sh
source "$ROOT/tests/ports/others.sh"
# shellcheck source=tests/ports/package.sh
source "$ROOT/tests/ports/package.sh"

# What a target has reached, and what kept it from the rest.
reached=()
failed=()

# step TARGET WORD COMMAND...: runs a command with its output in a file of its own. The word is what it reaches.
step() {
    local target=$1 word=$2 log=$PORTS/$1-$2.log
    shift 2
    say "$target: $word?"
    if "$@" >"$log" 2>&1; then
        reached+=("$word$(passed_in "$log")")
    else
        failed+=("$word (see $log)")
    fi
}

# How many tests a log of cargo tells of, as " (75 tests)".
passed_in() {
    sed -n 's/^test result: .* \([0-9]*\) passed; .*/\1/p' "$1" |
        awk '{ sum += $1 } END { if (sum) printf " (%d tests)", sum }'
}

# The line of a target.
done_line() {
    local list
    printf -v list '%s, ' "${reached[@]}"
    printf '%s: %s' "$1" "${list%, }"
    if ((${#failed[@]})); then
        printf -v list '%s, ' "${failed[@]}"
        printf '; FAILED: %s' "${list%, }"
        status=1
    fi
    printf '\n'
    reached=()
    failed=()
}

main() {
    local target what=port
    if [[ ${1:-} == --package ]]; then
        what=package
        shift
        (($#)) || die "a package for which target?"
    fi
    ((EUID == 0)) || die "the chroot needs root's rights: run it by sudo"
    (($#)) || set -- "${TARGETS[@]}"
    for target in "$@"; do
        declare -F "${what}_$target" >/dev/null || die "no $what for $target; the targets are: ${TARGETS[*]}"
    done
    command -v debootstrap >/dev/null || die "please install debootstrap"
    make_chroot
    [[ $what == package ]] || install -D "$VIRTUAL_CARD" "$PORTS/build/virtual-card"
    for target in "$@"; do
        "${what}_$target"
    done
    return "$status"
}

status=0
main "$@"
