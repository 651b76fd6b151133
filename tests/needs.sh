# shellcheck shell=bash
# shellcheck disable=SC2034  # used by those who source this
# What pkcs11-tests.sh installs, unpacks and builds before it runs anything. To be sourced after environment.sh.
set -euo pipefail

# What building and the Rust tests need, as "test for its presence:Debian package". What a client needs stands in its
# script, in lines that begin with "# needs:". Packages that would start a service are not installed: they are unpacked
# below the target directory.
readonly BUILD_PACKAGES=(
    cc:build-essential pkg-config:pkg-config /usr/include/PCSC/winscard.h:libpcsclite-dev
)
readonly RUST_TEST_PACKAGES=(openssl:openssl pkcs11-tool:opensc /usr/lib/gnupg/scdaemon:scdaemon strace:strace)

# Tools that are installed below the target directory, in the newest versions that Rust 1.85 builds (cargo-deb 3.8 says
# so, but does not).
readonly CARGO_DEB=3.6.3 CARGO_GENERATE_RPM=0.16.1 CARGO_DENY=0.18.3 CARGO_FUZZ=0.13.1

# A download that the net loses is tried again, more often than these programs do by themselves.
export CARGO_NET_RETRY=${CARGO_NET_RETRY:-10} PIP_RETRIES=${PIP_RETRIES:-10}
export npm_config_fetch_retries=${npm_config_fetch_retries:-5}
readonly APT_GET=(apt-get -o Acquire::Retries=10)

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "pkcs11-tests.sh: $*"
    exit 1
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

may_be_root() {
    ((EUID == 0)) || command -v sudo >/dev/null
}

is_present() {
    case $1 in
    /*) compgen -G "$1" >/dev/null ;;
    *) command -v "$1" >/dev/null || [[ -x /usr/sbin/$1 ]] ;;
    esac
}

# Installs the packages of this list that are missing.
install_packages() {
    local entry missing=()
    for entry in "$@"; do
        is_present "${entry%:*}" || missing+=("${entry##*:}")
    done
    ((${#missing[@]})) || return 0
    apt_install "${missing[@]}"
}

apt_install() {
    command -v apt-get >/dev/null || die "please install: $*"
    may_be_root || die "there is no sudo; please run, as root: apt-get update; apt-get install --no-install-recommends $*"
    say "installing $*"
    as_root "${APT_GET[@]}" update -q >/dev/null
    as_root env DEBIAN_FRONTEND=noninteractive "${APT_GET[@]}" install -qq --yes --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >/dev/null
}

# Where apt looks, if not where the system does.
apt_options=()

# unpack_packages DIRECTORY PACKAGE...: unpacks packages into a directory below the target directory, those that have
# not been; needs no rights. One download for all of them, since apt takes seconds to begin.
unpack_packages() {
    local directory=$1 package missing=()
    shift
    for package in "$@"; do
        [[ -e $directory/.$package ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "unpacking ${missing[0]}$( ((${#missing[@]} == 1)) || printf " and %s more" $((${#missing[@]} - 1))) into $directory"
    mkdir -p "$directory/download"
    (
        cd "$directory/download"
        for package in "${missing[@]}"; do rm -f -- "$package"_*.deb; done
        # It may be that nothing had to be installed, and the lists of packages are old, or not there at all.
        download "${missing[@]}" 2>errors || {
            may_be_root || {
                cat errors >&2
                die "there is no sudo; please run, as root: apt-get update"
            }
            as_root "${APT_GET[@]}" update -q >/dev/null
            download "${missing[@]}"
        }
    )
    for package in "${missing[@]}"; do
        dpkg-deb --extract "$directory/download/$package"_*.deb "$directory"
        touch "$directory/.$package"
    done
}

download() {
    "${APT_GET[@]}" "${apt_options[@]}" -o APT::Sandbox::User=root -qq download "$@"
}

# Installs the libraries that these package files depend on. Where a library is one of several that would do, it is not
# one that a program is linked with; pcscd's reader drivers are such.
install_libraries() {
    local file dependency missing=()
    for file in "$@"; do
        [[ -e $file ]] || continue
        while read -r dependency; do
            is_installed "$dependency" || missing+=("$dependency")
        done < <(dpkg-deb --field "$file" Depends | tr ',' '\n' | sed -n '/|/d; s/^ *\(lib[^ :]*\).*/\1/p')
    done
    ((${#missing[@]} == 0)) || apt_install "${missing[@]}"
}

is_installed() {
    [[ $(dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# The reader driver must not be installed: it would add a reader to the system's pcscd. Nor must pcscd, which would be
# started.
unpack_pcscd() {
    command -v apt-get >/dev/null || return 0
    unpack_packages "$TARGET/pcsc" vsmartcard-vpcd
    [[ -x /usr/sbin/pcscd ]] || unpack_packages "$TARGET/pcsc" pcscd
    install_libraries "$TARGET"/pcsc/download/pcscd_*.deb
}

# Other programs that clients need, and that would be started if they were installed.
unpack_sshd() {
    unpack_server sshd /usr/sbin/sshd:openssh-server
}

unpack_network() {
    unpack_server network /usr/sbin/openvpn:openvpn /usr/sbin/hostapd:hostapd /usr/bin/stunnel4:stunnel4
}

# unpack_server DIRECTORY PROGRAM:PACKAGE...
unpack_server() {
    local directory=$TARGET/$1 entry missing=()
    shift
    command -v apt-get >/dev/null || return 0
    for entry in "$@"; do
        [[ -x ${entry%:*} ]] || missing+=("${entry##*:}")
    done
    unpack_packages "$directory" "${missing[@]}"
    install_libraries "$directory"/download/*.deb
}

# unpack_with_libraries DIRECTORY PACKAGE...: unpacks them with those libraries that installing them would install or
# renew. Nothing is installed, because that would renew what the system runs with, such as udev for openconnect.
unpack_with_libraries() {
    local directory=$TARGET/$1 libraries
    shift
    command -v apt-get >/dev/null || return 0
    [[ ! -e $directory/.complete ]] || return 0
    libraries=$(libraries_of "$@" 2>/dev/null) || {
        may_be_root || die "there is no sudo; please run, as root: apt-get update"
        as_root "${APT_GET[@]}" update -q >/dev/null
        libraries=$(libraries_of "$@")
    }
    # shellcheck disable=SC2086 # one word for each package
    unpack_packages "$directory" "$@" $libraries
    touch "$directory/.complete"
}

libraries_of() {
    apt-get install --simulate --no-install-recommends -qq "$@" | sed -n 's/^Inst \(lib[^ ]*\) .*/\1/p'
}

# unpack_from_backports DIRECTORY PACKAGE...: what Debian 12 has in its backports only, which its mirrors have too.
unpack_from_backports() {
    local apt=$TARGET/backports mirror apt_options
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    apt_options=(
        -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache"
    )
    if [[ ! -e $apt/sources.list ]]; then
        # shellcheck disable=SC2016 # the names are apt's
        mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' | sed -n 's/^\(bookworm\|stable\) //p' | head -n 1)
        [[ $mirror ]] || die "no source of apt names a mirror of Debian 12"
        printf 'deb [signed-by=%s] %s bookworm-backports main\n' \
            /usr/share/keyrings/debian-archive-keyring.gpg "$mirror" >"$apt/new"
        "${APT_GET[@]}" "${apt_options[@]}" -o "Dir::Etc::sourcelist=$apt/new" -o APT::Sandbox::User=root -q update \
            >/dev/null
        mv "$apt/new" "$apt/sources.list"
    fi
    unpack_packages "$@"
}

is_debian_12() {
    [[ $(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}") == bookworm ]]
}

# The OpenSSL provider is not in Debian 12 itself.
unpack_provider() {
    command -v apt-get >/dev/null || return 0
    compgen -G '/usr/lib/*/ossl-modules/pkcs11.so' >/dev/null && return 0
    if is_debian_12; then
        unpack_from_backports "$TARGET/provider" pkcs11-provider
    else
        unpack_packages "$TARGET/provider" pkcs11-provider
    fi
}

# Debian 12's own curl knows no providers.
unpack_curl() {
    if is_debian_12; then
        unpack_from_backports "$TARGET/curl" curl libcurl4
    else
        install_packages curl:curl
    fi
}

# Login programs with their servers.
unpack_logins() {
    unpack_with_libraries logins openconnect ocserv krb5-kdc krb5-admin-server krb5-user krb5-pkinit sssd-common
}

prepare() {
    need_cargo
    install_packages "${BUILD_PACKAGES[@]}" "$@"
    unpack_pcscd
    build
}

# begin_to_build FUNCTION...: compiles the module, and with each of these functions a tool, while packages come over the
# net.
begin_to_build() {
    need_cargo
    install_packages "${BUILD_PACKAGES[@]}"
    (
        build
        for tool in "$@"; do "$tool"; done
    ) &
    building=$!
    trap 'kill "$building" 2>/dev/null || true' EXIT
}

# Waits for it.
finish_to_build() {
    wait "$building" || die "the build failed"
    trap - EXIT
}

# pyHanko, in the versions that its file names.
unpack_pyhanko() {
    local requirements=$CLIENTS/pyhanko/requirements.txt directory=$TARGET/pyhanko
    cmp -s "$requirements" "$directory/requirements.txt" && return 0
    say "installing pyHanko into $directory"
    python3 -m venv --clear "$directory"
    "$directory/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
    cp "$requirements" "$directory/"
}

# Debian's Go with the package that loads PKCS#11 modules.
unpack_go() {
    local go
    [[ ! -e $TARGET/go/.complete ]] || return 0
    install_packages cc:build-essential
    go=$(apt-cache depends golang-go | sed -n 's/^ *Depends: \(golang-[0-9.]*-go\)$/\1/p')
    unpack_packages "$TARGET/go" "$go" "${go%-go}-src" golang-github-miekg-pkcs11-dev
    touch "$TARGET/go/.complete"
}

# What node.js needs to load PKCS#11 modules, in the versions of its file.
unpack_node_client() {
    local directory=$TARGET/node
    cmp -s "$CLIENTS/smoke/package.json" "$directory/package.json" && [[ -d $directory/node_modules ]] && return 0
    install_packages cc:build-essential
    say "installing graphene-pk11 into $directory"
    mkdir -p "$directory"
    cp "$CLIENTS/smoke/package.json" "$directory"
    (cd "$directory" && npm_config_nodedir=/usr npm install --loglevel=error --no-audit --no-fund)
}

# A client of the module that shares no code with it.
build_rust_client() {
    (cd "$ROOT" && cargo build --quiet --locked --package rust-client)
}

# A PC/SC library that plays what no card does.
build_pcsc_stand_in() {
    (cd "$ROOT" && cargo build --quiet --locked --package pcsc-stand-in)
}

# install_tool NAME VERSION [OPTION...]: a subcommand of cargo, in $TARGET/tools/bin. It is built without optimisation,
# which takes a third of the time.
install_tool() {
    local name=$1 version=$2
    shift 2
    [[ ! -e $TARGET/tools/.$name-$version ]] || return 0
    say "building $name $version"
    env CARGO_TARGET_DIR="$TARGET/tools/build-$name" CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=false \
        cargo install --quiet --locked --force --root "$TARGET/tools" "$name" --version "=$version" "$@"
    touch "$TARGET/tools/.$name-$version"
    rm -rf "$TARGET/tools/build-$name"
}

build_cargo_deb() {
    install_tool cargo-deb "$CARGO_DEB"
}

build_cargo_generate_rpm() {
    install_tool cargo-generate-rpm "$CARGO_GENERATE_RPM"
}

# needs_of CLIENT...: what lib.sh and their scripts say they need.
needs_of() {
    local name
    for name in lib "$@"; do
        sed -n 's/^# needs: //p' "$CLIENTS/$name.sh"
    done | tr ' ' '\n' | sort -u
}

# Installs and unpacks what these clients need. A word without a colon is one of the functions unpack_* or build_*.
prepare_clients() {
    local entry packages=() unpacked=() tools=()
    while read -r entry; do
        if [[ $entry == *:* ]]; then
            packages+=("$entry")
        elif declare -F "build_$entry" >/dev/null; then
            tools+=("build_$entry")
        else
            unpacked+=("unpack_$entry")
        fi
    done < <(needs_of "$@")
    begin_to_build "${tools[@]}"
    install_packages "${packages[@]}"
    unpack_pcscd
    for entry in "${unpacked[@]}"; do "$entry"; done
    finish_to_build
}

# Rust: of the distribution's packages, where one is new enough.
need_cargo() {
    local package
    ! command -v cargo >/dev/null || return 0
    package=$(rust_package) || {
        ! may_be_root || ! command -v apt-get >/dev/null || as_root "${APT_GET[@]}" update -q >/dev/null
        package=$(rust_package) || die "please install Rust, 1.85 or newer: see rustup.rs"
    }
    apt_install "$package"
}

# Prints the package of Debian that has Rust 1.85 or newer. Debian 12 has it for its browsers, with a name of its own.
rust_package() {
    local package version
    command -v apt-cache >/dev/null || return 1
    for package in cargo cargo-web; do
        version=$(apt-cache policy "$package" | sed -n 's/^ *Candidate: \([0-9].*\)/\1/p')
        if [[ $version ]] && dpkg --compare-versions "$version" ge 1.85; then
            printf '%s\n' "$package"
            return
        fi
    done
    return 1
}

build() {
    need_cargo
    say "building"
    (cd "$ROOT" && cargo build --quiet --release --locked --package jpki-pkcs11 --package virtual-card \
        --features jpki-pkcs11/command)
}
