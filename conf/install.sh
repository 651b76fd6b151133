#!/usr/bin/env bash
# Installs the module that has been built, takes it away, or packs it for Debian: `pkcs11-tests.sh --help` explains.
#
# All three begin with the same tree of files in an empty directory. It is copied, or its names are removed, or it
# becomes the package.
set -euo pipefail

# shellcheck source=tests/clients/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/../tests/clients/environment.sh"

readonly NAMES=(jpki-pkcs11.so jpki-pkcs11-auth.so jpki-pkcs11-sign.so)

die() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

# Where programs look for PKCS#11 modules, if it were /usr that we install to.
system_module_directory() {
    local directory multiarch
    directory=$(pkg-config --variable=p11_module_path p11-kit-1 2>/dev/null || true)
    multiarch=$(cc -print-multiarch 2>/dev/null || true)
    if [[ $directory == /usr/* ]]; then
        printf '%s\n' "$directory"
    elif [[ -n $multiarch ]]; then
        printf '/usr/lib/%s/pkcs11\n' "$multiarch"
    elif [[ -d /usr/lib64 && ! -L /usr/lib64 ]]; then
        printf '/usr/lib64/pkcs11\n'
    else
        printf '/usr/lib/pkcs11\n'
    fi
}

# --- the files --------------------------------------------------------------------------------------------------

# stage LIBRARY: everything that is installed, below $stage.
stage() {
    local name
    umask 022
    work=$(mktemp -d)
    trap 'rm -rf -- "$work"' EXIT
    stage=$work/tree
    mkdir "$stage"
    modules=$prefix${system_modules#/usr}
    install -D -m 644 "$1" "$stage$modules/${NAMES[0]}"
    # No symbolic links: ssh-agent follows them, and then all names are the first.
    for name in "${NAMES[@]:1}"; do
        ln "$stage$modules/${NAMES[0]}" "$stage$modules/$name"
    done
    # The loader looks here, and in no folder of another prefix, for a name without a directory.
    if [[ $prefix == /usr ]]; then
        for name in "${NAMES[@]}"; do
            ln -s "$(basename "$modules")/$name" "$stage$(dirname "$modules")/$name"
        done
    fi
    stage_p11_kit
    stage_documents
}

# p11-kit reads two folders, /usr/share/p11-kit/modules for packages and /etc/pkcs11/modules for the administrator.
stage_p11_kit() {
    local directory=$prefix/share/p11-kit/modules
    [[ $prefix != /usr/local ]] || directory=/etc/pkcs11/modules
    install -D -m 644 "$ROOT/conf/jpki.module" "$stage$directory/jpki.module"
    [[ $prefix == /usr ]] || sed -i "s|^module: |&$modules/|" "$stage$directory/jpki.module"
}

# The examples name the folders of Debian on a PC; they are to name those of this system.
stage_documents() {
    local directory=$stage$prefix/share/doc/jpki-pkcs11 file
    install -D -m 644 -t "$directory" "$ROOT/README.md" "$ROOT/CHANGELOG.md"
    install -D -m 644 "$ROOT/LICENSE" "$directory/copyright"
    for file in "$ROOT"/conf/*; do
        case $file in
        *.sh | *.module) ;;
        *)
            install -D -m 644 -t "$directory/examples" "$file"
            sed -i -e "s|/usr/lib/x86_64-linux-gnu/pkcs11|$modules|g" \
                -e "s|/usr/lib/x86_64-linux-gnu|$(dirname "$system_modules")|g" "$directory/examples/${file##*/}"
            ;;
        esac
    done
}

# --- commands ---------------------------------------------------------------------------------------------------

require_library() {
    [[ -r $MODULE ]] || die "$MODULE is missing. Build it first: cargo build --release --locked"
}

command_install() {
    local name
    require_library
    stage "$MODULE"
    # Files in use are replaced, not written over, and directories that exist stay as they are.
    find "$stage" ! -type d -printf '/%P\0' | while IFS= read -r -d '' name; do
        mkdir -p "$(dirname "$destdir$name")"
        cp -P --remove-destination "$stage$name" "$destdir$name"
    done
    for name in "${NAMES[@]:1}"; do
        ln -f "$destdir$modules/${NAMES[0]}" "$destdir$modules/$name"
    done
    printf 'installed %s\n' "${NAMES[@]/#/$destdir$modules/}"
    case $prefix in
    /usr | /usr/local) ;;
    *) printf 'p11-kit does not look there: copy %s to /etc/pkcs11/modules\n' "$prefix/share/p11-kit/modules/jpki.module" ;;
    esac
}

# Files, and directories that are empty without them: below PREFIX/lib and PREFIX/share, and in a DIR of --destdir all.
command_uninstall() {
    local top=$prefix depth=2 name
    stage /dev/null
    [[ -z $destdir ]] || top=/ depth=1
    find "$stage" ! -type d -printf '/%P\0' | while IFS= read -r -d '' name; do
        rm -f -- "$destdir$name"
    done
    find "$stage$top" -mindepth "$depth" -depth -type d -printf '%p\0' | while IFS= read -r -d '' name; do
        name=$destdir${name#"$stage"}
        [[ ! -d $name ]] || rmdir --ignore-fail-on-non-empty -- "$name"
    done
}

# The libraries that are needed, as packages with versions.
dependencies() {
    mkdir "$work/debian"
    touch "$work/debian/control"
    (cd "$work" && dpkg-shlibdeps -O "$MODULE" 2>/dev/null) | sed -n 's/^shlibs:Depends=//p'
}

command_package() {
    local version architecture depends
    require_library
    command -v dpkg-shlibdeps >/dev/null || die "please install dpkg-dev"
    stage "$MODULE"
    version=$(sed -n '/^\[package\]/,/^\[/ s/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
    architecture=$(dpkg --print-architecture)
    depends=$(dependencies)
    [[ -n $depends ]] || die "the libraries that $MODULE needs are in no package"
    install -d "$stage/DEBIAN" "$TARGET/debian"
    (cd "$stage" && find usr -type f -exec md5sum {} + >DEBIAN/md5sums)
    cat >"$stage/DEBIAN/control" <<END_OF_CONTROL
Package: jpki-pkcs11
Version: $version
Architecture: $architecture
Maintainer: The jpki-pkcs11 authors <jpki-pkcs11@localhost>
Installed-Size: $(du -k -s "$stage/usr" | cut -f 1)
Depends: $depends
Recommends: pcscd
Suggests: opensc, p11-kit
Section: utils
Priority: optional
Description: PKCS#11 module for the Japanese My Number card
 Lets browsers, mail programs, OpenSSL, GnuTLS, ssh and signing tools use the two
 certificates of JPKI on the My Number card, for user authentication and for
 digital signatures. Needs a smart card reader and pcscd.
END_OF_CONTROL
    package=$TARGET/debian/jpki-pkcs11_${version}_$architecture.deb
    dpkg-deb --root-owner-group --build "$stage" "$package" >&2
    printf '%s\n' "$package"
}

command=${1:-}
(($# == 0)) || shift
prefix=/usr
destdir=
while (($#)); do
    case $command:$1 in
    install:--prefix | uninstall:--prefix | install:--destdir | uninstall:--destdir)
        [[ ${2:-} == /* ]] || die "$1 wants a path that begins with /"
        declare "${1#--}=$(realpath -m "$2")"
        shift 2
        ;;
    *) die "no option $1" ;;
    esac
done
destdir=${destdir%/}
system_modules=$(system_module_directory)
case $command in
install | uninstall | package) "command_$command" ;;
*) die "no command ${command:-given}" ;;
esac
