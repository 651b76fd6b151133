# shellcheck shell=bash
# shellcheck disable=SC2034  # used by those who source this
# Where things are, for pkcs11-tests.sh and for the client scripts. To be sourced.

CLIENTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$CLIENTS/../.." && pwd)
TARGET=$(realpath -m "${CARGO_TARGET_DIR:-$ROOT/target}")
MODULE=${JPKI_TEST_MODULE:-$TARGET/release/libjpki_pkcs11.so}
VIRTUAL_CARD=${JPKI_TEST_VIRTUAL_CARD:-$TARGET/release/virtual-card}
COMMAND=${JPKI_TEST_COMMAND:-$TARGET/release/jpki-pkcs11}
readonly CLIENTS ROOT TARGET MODULE VIRTUAL_CARD COMMAND

# More than this for one client script counts as a failure. On a busy machine each takes several times as long.
readonly CLIENT_SECONDS=600

# Some pcscd (1.9) finds USB readers even with a configuration of its own, and has no setting against that. It leaves
# out readers with one of these in their name: the letters that "Virtual JPKI" can do without.
PCSCLITE_FILTER_IGNORE_READER_NAMES=$(printf '%s:' {a..z} {A..Z} | sed 's/[VirtualJPKI]://g')
export PCSCLITE_FILTER_IGNORE_READER_NAMES

# Where the Debian packages of the readers' side have been unpacked.
unpacked_pcscd=$TARGET/pcsc/usr/sbin/pcscd
if [[ -x $unpacked_pcscd ]]; then export JPKI_TEST_PCSCD=${JPKI_TEST_PCSCD:-$unpacked_pcscd}; fi
export JPKI_TEST_VPCD=${JPKI_TEST_VPCD:-$TARGET/pcsc/usr/lib/pcsc/drivers/serial/libifdvpcd.so}

# Makes an empty directory below the target directory and prints its name. Sockets are made in it, and a socket's name
# has room for 107 bytes: with a deep target directory it is in /tmp.
new_directory() {
    local parent=$TARGET/clients
    ((${#parent} < 60)) || parent=/tmp
    mkdir -p "$parent"
    mktemp -d "$parent/$1.XXXXXX"
}
