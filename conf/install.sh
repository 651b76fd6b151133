#!/usr/bin/env bash
# Installs the module and the command that cargo has built, or takes them away again. See --help.
#
# Both commands first lay out all files in an empty directory. `install` copies them, `uninstall` removes their names.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$HERE")
readonly HERE ROOT
readonly NAMES=(jpki-pkcs11.so jpki-pkcs11-auth.so jpki-pkcs11-sign.so)
# What the command prints of itself: the file below share, the locale, the arguments.
readonly PRINTED=(
    'man/man1/jpki-pkcs11.1 C manual'
    'man/ja/man1/jpki-pkcs11.1 ja_JP.UTF-8 manual'
    'bash-completion/completions/jpki-pkcs11 C completions bash'
    'zsh/site-functions/_jpki-pkcs11 C completions zsh'
    'fish/vendor_completions.d/jpki-pkcs11.fish C completions fish'
)

usage() {
    cat <<END
usage: conf/install.sh [install | uninstall] [OPTION...]
       conf/install.sh documents DIR    manual pages and completions, for a package: DIR/man and so on

  --prefix PREFIX   where to: /usr if not given, else PREFIX or \$PREFIX. /usr and /usr/local need root's rights;
                    \$HOME/.local does not.
  --destdir DIR     put DIR before every path, to make a package (or \$DESTDIR)
  --library FILE    the library that cargo has built, target/release/libjpki_pkcs11.so if not given; the command
                    jpki-pkcs11 is beside it

First: cargo build --release --locked --features command
END
}

die() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

# Where programs look for PKCS#11 modules, if the prefix is /usr.
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

# The folder of p11-kit's module files: one for packages, one for the administrator, one for each user. Another prefix
# gets a folder that p11-kit does not read.
p11_kit_directory() {
    case $prefix in
    /usr/local) printf '/etc/pkcs11/modules\n' ;;
    "${HOME:-/nonexistent}/.local") printf '%s/pkcs11/modules\n' "${XDG_CONFIG_HOME:-$HOME/.config}" ;;
    *) printf '%s/share/p11-kit/modules\n' "$prefix" ;;
    esac
}

# --- the files --------------------------------------------------------------------------------------------------

# stage LIBRARY: lays out everything that is installed, below $stage.
stage() {
    local name
    umask 022
    work=$(mktemp -d)
    trap 'rm -rf -- "$work"' EXIT
    stage=$work/tree
    mkdir "$stage"
    modules=$prefix${system_modules#/usr}
    # Three files. The loader takes a hard link or a symbolic link for the library that it has already loaded: a
    # process that loads two names would get the slots of the first name twice.
    for name in "${NAMES[@]}"; do
        install -D -m 644 "$1" "$stage$modules/$name"
    done
    # The loader looks here, and in no folder of another prefix, for a name without a directory.
    if [[ $prefix == /usr ]]; then
        for name in "${NAMES[@]}"; do
            ln -s "$(basename "$modules")/$name" "$stage$(dirname "$modules")/$name"
        done
    fi
    install -D -m 755 "$(program_of "$1")" "$stage$prefix/bin/jpki-pkcs11"
    stage_p11_kit
    stage_documents
    print_documents "$1" "$stage$prefix/share"
    # Debian's zsh looks elsewhere than others for what packages bring.
    if [[ $prefix == /usr && -e /etc/debian_version ]]; then
        mv "$stage/usr/share/zsh/site-functions" "$stage/usr/share/zsh/vendor-completions"
    fi
}

# program_of LIBRARY: the command, which cargo puts beside it.
program_of() {
    if [[ $1 == /dev/null ]]; then
        printf '%s\n' "$1"
    else
        printf '%s/jpki-pkcs11\n' "$(dirname "$1")"
    fi
}

# print_documents LIBRARY DIRECTORY: what the command prints of itself; empty files without a library.
print_documents() {
    local entry file locale arguments program
    program=$(program_of "$1")
    for entry in "${PRINTED[@]}"; do
        read -r file locale arguments <<<"$entry"
        install -D -m 644 /dev/null "$2/$file"
        # shellcheck disable=SC2086 # two words
        [[ $program == /dev/null ]] || LC_ALL=$locale "$program" $arguments >"$2/$file"
    done
}

stage_p11_kit() {
    local file
    file=$stage$(p11_kit_directory)/jpki.module
    install -D -m 644 "$HERE/jpki.module" "$file"
    [[ $prefix == /usr ]] || sed -i "s|^module: |&$modules/|" "$file"
}

# The examples name the folders of Debian on a PC. The installed ones name the folders of this system.
stage_documents() {
    local directory=$stage$prefix/share/doc/jpki-pkcs11 file
    install -D -m 644 -t "$directory" "$ROOT"/{README.md,README.ja.md,CHANGELOG.md,LICENSE}
    install -D -m 644 -t "$directory/docs" "$ROOT"/docs/*.{png,svg}
    for file in "$HERE"/*.{cfg,cnf,conf,json,toml,yml}; do
        install -D -m 644 -t "$directory/examples" "$file"
        sed -i -e "s|/usr/lib/x86_64-linux-gnu/pkcs11|$modules|g" \
            -e "s|/usr/lib/x86_64-linux-gnu|$(dirname "$system_modules")|g" "$directory/examples/${file##*/}"
    done
}

# --- commands ---------------------------------------------------------------------------------------------------

command_install() {
    local name
    must_be_built
    stage "$library"
    # Files in use are replaced, not written over. Directories that exist stay as they are.
    find "$stage" ! -type d -printf '/%P\0' | while IFS= read -r -d '' name; do
        mkdir -p "$(dirname "$destdir$name")"
        cp -P --remove-destination "$stage$name" "$destdir$name"
    done
    printf 'installed %s\n' "${NAMES[@]/#/$destdir$modules/}"
    if [[ $prefix != /usr && $(p11_kit_directory) == "$prefix"/* ]]; then
        printf 'p11-kit does not look there: copy %s to /etc/pkcs11/modules\n' "$(p11_kit_directory)/jpki.module"
    fi
}

command_documents() {
    must_be_built
    umask 022
    print_documents "$library" "$documents"
}

must_be_built() {
    local file
    for file in "$library" "$(program_of "$library")"; do
        [[ -r $file ]] || die "$file is missing. Build it first: cargo build --release --locked --features command"
    done
}

# Removes the files, and the directories that are empty without them: below PREFIX/lib and PREFIX/share, and in a DIR of
# --destdir all.
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

# path OPTION VALUE: prints an absolute path without dots in it.
path() {
    [[ ${2:-} == /* ]] || die "$1 wants a path that begins with /"
    realpath -m "$2"
}

command=install
case ${1:-} in
install | uninstall)
    command=$1
    shift
    ;;
documents)
    command=$1
    documents=${2:-}
    [[ $documents ]] || die "documents wants a directory"
    shift 2
    ;;
help | --help | -h)
    usage
    exit
    ;;
esac
prefix=${PREFIX:-/usr}
destdir=${DESTDIR:-}
library=${CARGO_TARGET_DIR:-$ROOT/target}/release/libjpki_pkcs11.so
while (($#)); do
    case $1 in
    --prefix) prefix=${2:-} ;;
    --destdir) destdir=${2:-} ;;
    --library) library=${2:-} ;;
    *) die "no option $1; see conf/install.sh --help" ;;
    esac
    (($# > 1)) || die "$1 wants a value"
    shift 2
done
prefix=$(path --prefix "$prefix")
[[ -z $destdir ]] || destdir=$(path --destdir "$destdir")
destdir=${destdir%/}
system_modules=$(system_module_directory)
"command_$command"
