#!/usr/bin/env bash
# Installs what the tests need, builds the module, runs every test, and says how many passed. See --help.
set -euo pipefail

# shellcheck source=tests/clients/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/tests/clients/environment.sh"

# What is needed, as "test for its presence:Debian package". Packages that would start a service are not here: they
# are unpacked below the target directory instead (unpack_pcscd, unpack_servers).
readonly BUILD_PACKAGES=(
    cc:build-essential pkg-config:pkg-config /usr/include/PCSC/winscard.h:libpcsclite-dev
)
readonly TEST_PACKAGES=(
    shellcheck:shellcheck dpkg-shlibdeps:dpkg-dev valgrind:valgrind
    pkcs11-tool:opensc openssl:openssl curl:curl git:git ssh-keygen:openssh-client
    '/usr/lib/*/engines-3/pkcs11.so:libengine-pkcs11-openssl'
    firefox-esr:firefox-esr thunderbird:thunderbird
    certtool:gnutls-bin certutil:libnss3-tools pdfsig:poppler-utils javac:default-jdk-headless
    p11-kit:p11-kit '/usr/lib/*/pkcs11/p11-kit-client.so:p11-kit-modules' /usr/lib/gnupg/scdaemon:scdaemon
    '/usr/lib/*/libnss_wrapper.so:libnss-wrapper' '/usr/lib/python3*/ensurepip:python3-venv'
    script:bsdutils eapol_test:eapoltest '/usr/lib/*/libsocket_wrapper.so:libsocket-wrapper'
    '/lib/*/security/pam_p11.so:libpam-p11' pamtester:pamtester '/usr/lib/*/libpam_wrapper.so:libpam-wrapper'
    gpgsm:gpgsm gnupg-pkcs11-scd:gnupg-pkcs11-scd
)

usage() {
    cat <<END
usage: ./pkcs11-tests.sh [COMMAND]

Commands:
  test             all of it: install what is missing, build, Rust tests, clients (the default)
  prepare          install what is missing and build
  client NAME...   install, build, and run only these scripts of tests/clients
  demo             install, build, then list and sign with both keys of a virtual card
  soak             the long runs, with their figures: 10,000 signatures and eight hours of polls by one host and what
                   it holds before and after, many threads, other programs at the card, a thief for a minute
  model            10,000 random sequences of calls against a model of what must happen
  fuzz [TARGET...] fuzz the module, a minute for each target (JPKI_FUZZ_SECONDS); needs Rust's nightly toolchain
  stack            keep a private pcscd with a virtual card up, to try programs by hand
  install          install the module that cargo has built, for p11-kit and everybody else
  uninstall        remove what install has put there
  package          build a Debian package, and print where it is

Options of install and uninstall:
  --prefix PREFIX  where to, /usr if not given
  --destdir DIR    put DIR before every path, to make a package

The tests use a pcscd of their own with virtual cards in it. They touch no running pcscd, no reader, and nothing in
your home. Everything they make is below the target directory (CARGO_TARGET_DIR, else target).
END
}

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

# --- what is needed ---------------------------------------------------------------------------------------------

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
    as_root apt-get update -q >/dev/null
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >/dev/null
}

# Unpacks a package into a directory below the target directory, unless that has been done; needs no rights.
unpack_package() {
    local package=$1 directory=$2
    local done_mark=$directory/.$package
    shift 2
    [[ ! -e $done_mark ]] || return 0
    say "unpacking $package into $directory"
    mkdir -p "$directory/download"
    (
        cd "$directory/download"
        rm -f -- "$package"_*.deb
        # It may be that nothing had to be installed, and the lists of packages are old, or not there at all.
        download "$package" "$@" 2>/dev/null || {
            may_be_root || die "there is no sudo; please run, as root: apt-get update"
            as_root apt-get update -q >/dev/null
            download "$package" "$@"
        }
    )
    dpkg-deb --extract "$directory/download/$package"_*.deb "$directory"
    touch "$done_mark"
}

# download PACKAGE APT-OPTION...
download() {
    apt-get "${@:2}" -o APT::Sandbox::User=root -qq download "$1"
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
    unpack_package vsmartcard-vpcd "$TARGET/pcsc"
    [[ -x /usr/sbin/pcscd ]] || unpack_package pcscd "$TARGET/pcsc"
    install_libraries "$TARGET"/pcsc/download/pcscd_*.deb
}

# Other programs that the clients need, and that would be started if they were installed.
unpack_servers() {
    command -v apt-get >/dev/null || return 0
    [[ -x /usr/sbin/sshd ]] || unpack_package openssh-server "$TARGET/sshd"
    [[ -x /usr/sbin/openvpn ]] || unpack_package openvpn "$TARGET/network"
    [[ -x /usr/sbin/hostapd ]] || unpack_package hostapd "$TARGET/network"
    [[ -x /usr/bin/stunnel4 ]] || unpack_package stunnel4 "$TARGET/network"
    install_libraries "$TARGET"/{sshd,network}/download/*.deb
    unpack_provider
}

# The OpenSSL provider is not in Debian 12 itself.
unpack_provider() {
    local apt=$TARGET/provider/apt release options=()
    compgen -G '/usr/lib/*/ossl-modules/pkcs11.so' >/dev/null && return 0
    [[ ! -e $TARGET/provider/.pkcs11-provider ]] || return 0
    release=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    if [[ $release == bookworm ]]; then
        mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
        printf 'deb [signed-by=%s] http://deb.debian.org/debian bookworm-backports main\n' \
            /usr/share/keyrings/debian-archive-keyring.gpg >"$apt/sources.list"
        options=(
            -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
            -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache"
        )
        apt-get "${options[@]}" -o APT::Sandbox::User=root -q update >/dev/null
    fi
    unpack_package pkcs11-provider "$TARGET/provider" "${options[@]}"
}

prepare() {
    install_packages "${BUILD_PACKAGES[@]}" "$@"
    unpack_pcscd
    build
}

# pyHanko, from PyPI, in the versions that its file names.
install_pyhanko() {
    local requirements=$CLIENTS/pyhanko/requirements.txt directory=$TARGET/pyhanko
    cmp -s "$requirements" "$directory/requirements.txt" && return 0
    say "installing pyHanko into $directory"
    python3 -m venv --clear "$directory"
    "$directory/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
    cp "$requirements" "$directory/"
}

build() {
    command -v cargo >/dev/null || die "please install Rust, see https://rustup.rs"
    say "building"
    (cd "$ROOT" && cargo build --quiet --release --locked --package jpki-pkcs11 --package virtual-card)
}

# --- tests ------------------------------------------------------------------------------------------------------

passed=0
failed=0

count() {
    passed=$((passed + $1))
    failed=$((failed + $2))
}

# Adds up the results that cargo printed; a build that failed is one failure.
count_rust_tests() {
    local log=$1 status=$2 sums
    sums=$(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed;.*/\1 \2/p' "$log" |
        awk '{ passed += $1; failed += $2 } END { print passed + 0, failed + 0 }')
    # shellcheck disable=SC2086
    count $sums
    if ((status != 0 && ${sums#* } == 0)); then count 0 1; fi
    say "Rust tests: ${sums% *} passed, ${sums#* } failed$( ((status == 0)) || printf ', cargo ended with %s' "$status")"
}

run_rust_tests() {
    local log=$TARGET/rust-tests.log status=0
    say "running the Rust tests"
    (cd "$ROOT" && cargo test --locked --workspace --no-fail-fast) >"$log" 2>&1 || status=$?
    ((status == 0)) || grep -v '^test .* ok$' "$log" >&2
    count_rust_tests "$log" "$status"
}

# Becomes one client script, in a process group of its own so that nothing of it can stay.
start_client() {
    local name=$1
    exec timeout --kill-after=10 "$CLIENT_SECONDS" "$CLIENTS/$name.sh" >"$TARGET/clients/$name.log" 2>&1
}

# Prints what a client script said and adds its closing line to the sums; without one it has failed.
report_client() {
    local name=$1 status=$2 seconds=$3
    local log=$TARGET/clients/$name.log last
    printf -- '--- %s (%s s)\n' "$name" "$seconds"
    cat "$log"
    last=$(tail -n 1 "$log")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        count "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
        if ((status != 0 && BASH_REMATCH[2] == 0)); then count 0 1; fi
    else
        printf 'FAILED: ended with %s and no result%s\n' "$status" "$( ((status != 124)) || printf ' (time is up)')"
        count 0 1
    fi
}

run_clients() {
    local names=("$@") name pid status
    local -A running=() started=()
    mkdir -p "$TARGET/clients"
    trap 'kill "${!running[@]}" 2>/dev/null || true' EXIT
    trap 'exit 130' INT TERM
    while ((${#names[@]} + ${#running[@]})); do
        while ((${#names[@]} && ${#running[@]} < $(nproc))); do
            name=${names[0]}
            names=("${names[@]:1}")
            start_client "$name" &
            running[$!]=$name
            started[$!]=$SECONDS
        done
        status=0
        wait -n -p pid "${!running[@]}" || status=$?
        report_client "${running[$pid]}" "$status" "$((SECONDS - started[$pid]))"
        unset "running[$pid]"
    done
    trap - EXIT INT TERM
}

client_names() {
    local script
    for script in "$CLIENTS"/*.sh; do
        [[ ! -x $script ]] || basename "$script" .sh
    done
}

finish() {
    printf '%s passed, %s failed\n' "$passed" "$failed"
    ((failed == 0 && passed > 0))
}

command_prepare() {
    prepare "${TEST_PACKAGES[@]}"
    unpack_servers
    install_pyhanko
}

command_test() {
    local names
    command_prepare
    run_rust_tests
    mapfile -t names < <(client_names)
    run_clients "${names[@]}"
    finish
}

command_client() {
    local name
    (($#)) || die "which client? $(client_names | tr '\n' ' ')"
    for name in "$@"; do
        [[ -x $CLIENTS/$name.sh ]] || die "no client $name"
    done
    command_prepare
    run_clients "$@"
    finish
}

command_demo() {
    prepare pkcs11-tool:opensc openssl:openssl
    "$ROOT/tests/demo.sh"
}

command_stack() {
    prepare pkcs11-tool:opensc
    exec "$ROOT/tests/stack.sh" "$@"
}

command_package() {
    install_packages "${BUILD_PACKAGES[@]}" dpkg-shlibdeps:dpkg-dev
    build
    exec "$ROOT/conf/install.sh" package "$@"
}

command_soak() {
    prepare
    (cd "$ROOT" && JPKI_SOAK=full JPKI_THREAD_SIGNATURES=1000 JPKI_ISOLATION_SECONDS=60 cargo test --locked --release \
        --test soak --test sessions --test process_threads --test process_isolation -- --nocapture --test-threads=1)
}

command_model() {
    prepare
    (cd "$ROOT" && PROPTEST_CASES=10000 cargo test --locked --release --test model)
}

command_fuzz() {
    local target corpus targets=("$@")
    prepare
    cargo +nightly --version >/dev/null 2>&1 || die "fuzzing needs Rust's nightly toolchain: rustup toolchain install nightly"
    command -v cargo-fuzz >/dev/null || cargo install --quiet --locked cargo-fuzz
    ((${#targets[@]})) || targets=(answers calls files templates configuration)
    for target in "${targets[@]}"; do
        corpus=$TARGET/fuzz/corpus/$target
        mkdir -p "$corpus" "$TARGET/fuzz/findings/$target"
        # Without -len_control=0 the inputs stay too short to be a login.
        (cd "$ROOT" && cargo +nightly fuzz run --fuzz-dir tests/fuzz --target-dir "$TARGET/fuzz" "$target" \
            "$corpus" "tests/fuzz/seeds/$target" -- -max_total_time="${JPKI_FUZZ_SECONDS:-60}" -len_control=0 \
            -max_len=4096 -timeout=20 -artifact_prefix="$TARGET/fuzz/findings/$target/")
    done
}

main() {
    local name=${1:-test}
    (($# == 0)) || shift
    case $name in
    test | prepare | client | demo | soak | model | fuzz | stack | package) "command_$name" "$@" ;;
    install | uninstall) exec "$ROOT/conf/install.sh" "$name" "$@" ;;
    help | --help | -h) usage ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
}

main "$@"
