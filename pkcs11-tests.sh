#!/usr/bin/env bash
# Installs what the tests need, builds the module, runs every test, and says how many passed. See --help.
set -euo pipefail

# shellcheck source=tests/clients/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/tests/clients/environment.sh"

# What building and the Rust tests need, as "test for its presence:Debian package". What a client needs stands in its script,
# in lines that begin with "# needs:". Packages that would start a service are not installed: they are unpacked below the
# target directory.
readonly BUILD_PACKAGES=(
    cc:build-essential pkg-config:pkg-config /usr/include/PCSC/winscard.h:libpcsclite-dev
)
readonly RUST_TEST_PACKAGES=(openssl:openssl pkcs11-tool:opensc /usr/lib/gnupg/scdaemon:scdaemon strace:strace)

# Tools that are installed below the target directory, in the newest versions that Rust 1.85 builds (cargo-deb 3.8 says so, but
# does not).
readonly CARGO_DEB=3.6.3 CARGO_GENERATE_RPM=0.16.1 CARGO_DENY=0.18.3 CARGO_FUZZ=0.13.1

usage() {
    cat <<END
usage: ./pkcs11-tests.sh [COMMAND]

Commands:
  test             all of it: install what is missing, build, Rust tests, clients (the default)
  prepare          install what is missing and build
  rust             install what the Rust tests need, build, and run them alone
  client NAME...   install what these scripts of tests/clients need, build, and run them alone
  demo             install, build, then list and sign with both keys of a virtual card
  soak             the long runs, with their figures: 10,000 signatures and eight hours of polls by one host and what
                   it holds before and after, many threads, other programs at the card, an attacker for a minute
  bench            how long a person waits, next to OpenSC's driver and to the bare commands; prints a table, and draws
                   docs/benchmark.svg
  model            10,000 random sequences of calls against a model, 10,000 chips drawn at random, and all histories of
                   a PIN in full
  fuzz [TARGET...] fuzz the module, a minute for each target (JPKI_FUZZ_SECONDS)
  deny             check the licences, the versions and the sources of the crates
  stack            keep a private pcscd with a virtual card up, to try programs by hand
  package          build a Debian package (cargo deb), and print where it is
  rpm              build an RPM package (cargo generate-rpm), and print where it is

conf/install.sh installs without a package.

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

# Where apt looks, if not where the system does.
apt_options=()

# unpack_packages DIRECTORY PACKAGE...: unpacks packages into a directory below the target directory, those that have not
# been; needs no rights. One download for all of them, since apt takes seconds to begin.
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
        download "${missing[@]}" 2>/dev/null || {
            may_be_root || die "there is no sudo; please run, as root: apt-get update"
            as_root apt-get update -q >/dev/null
            download "${missing[@]}"
        }
    )
    for package in "${missing[@]}"; do
        dpkg-deb --extract "$directory/download/$package"_*.deb "$directory"
        touch "$directory/.$package"
    done
}

download() {
    apt-get "${apt_options[@]}" -o APT::Sandbox::User=root -qq download "$@"
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
    libraries=$(libraries_of "$@") || {
        may_be_root || die "there is no sudo; please run, as root: apt-get update"
        as_root apt-get update -q >/dev/null
        libraries=$(libraries_of "$@")
    }
    # shellcheck disable=SC2086 # one word for each package
    unpack_packages "$directory" "$@" $libraries
    touch "$directory/.complete"
}

libraries_of() {
    apt-get install --simulate --no-install-recommends -qq "$@" 2>/dev/null | sed -n 's/^Inst \(lib[^ ]*\) .*/\1/p'
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
        apt-get "${apt_options[@]}" -o "Dir::Etc::sourcelist=$apt/new" -o APT::Sandbox::User=root -q update >/dev/null
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
    install_packages "${BUILD_PACKAGES[@]}" "$@"
    unpack_pcscd
    build
}

# begin_to_build FUNCTION...: compiles the module, and with each of these functions a tool, while packages come over the net.
begin_to_build() {
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

# install_tool NAME VERSION: a subcommand of cargo, in $TARGET/tools/bin. It is built without optimisation, which takes a
# third of the time.
install_tool() {
    local name=$1 version=$2
    [[ ! -e $TARGET/tools/.$name-$version ]] || return 0
    say "building $name $version"
    env CARGO_TARGET_DIR="$TARGET/tools/build" CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=false \
        cargo install --quiet --locked --force --root "$TARGET/tools" "$name" --version "=$version"
    touch "$TARGET/tools/.$name-$version"
    rm -rf "$TARGET/tools/build"
}

build_cargo_deb() {
    install_tool cargo-deb "$CARGO_DEB"
}

build_cargo_generate_rpm() {
    install_tool cargo-generate-rpm "$CARGO_GENERATE_RPM"
}

# needs_of CLIENT...: what their scripts and the scripts that they source say they need.
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

build() {
    command -v cargo >/dev/null || die "please install Rust, 1.85 or newer: Debian 13 has the package cargo, others see rustup.rs"
    say "building"
    (cd "$ROOT" && cargo build --quiet --release --locked --package jpki-pkcs11 --package virtual-card \
        --features jpki-pkcs11/command)
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
    (cd "$ROOT" && cargo test --locked --workspace --features command,process-tests --no-fail-fast) >"$log" 2>&1 || status=$?
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
    local names
    mapfile -t names < <(client_names)
    install_packages "${RUST_TEST_PACKAGES[@]}" shellcheck:shellcheck
    prepare_clients "${names[@]}"
}

command_test() {
    local names
    command_prepare
    run_rust_tests
    mapfile -t names < <(client_names)
    run_clients "${names[@]}"
    finish
}

command_rust() {
    prepare "${RUST_TEST_PACKAGES[@]}"
    run_rust_tests
    finish
}

command_client() {
    local name
    (($#)) || die "which client? $(client_names | tr '\n' ' ')"
    for name in "$@"; do
        [[ -x $CLIENTS/$name.sh ]] || die "no client $name"
    done
    prepare_clients "$@"
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

# The libraries that the package needs are found by dpkg-shlibdeps.
command_package() {
    install_packages "${BUILD_PACKAGES[@]}" dpkg-shlibdeps:dpkg-dev
    build_cargo_deb
    build
    (cd "$ROOT" && umask 022 && "$TARGET/tools/bin/cargo-deb" deb --quiet --locked --no-build --multiarch same \
        --output "$TARGET/debian/")
}

command_rpm() {
    install_packages "${BUILD_PACKAGES[@]}"
    build_cargo_generate_rpm
    build
    mkdir -p "$TARGET/generate-rpm"
    (cd "$ROOT" && "$TARGET/tools/bin/cargo-generate-rpm" generate-rpm --target-dir "$TARGET" --output "$TARGET/generate-rpm/")
    printf '%s\n' "$TARGET"/generate-rpm/*.rpm
}

# Advisories change without a change of ours, and are left out.
command_deny() {
    install_packages cc:build-essential pkg-config:pkg-config
    install_tool cargo-deny "$CARGO_DENY"
    (cd "$ROOT" && cargo fetch --quiet --locked && \
        "$TARGET/tools/bin/cargo-deny" --offline --locked check bans licenses sources)
}

command_soak() {
    prepare
    (cd "$ROOT" && JPKI_SOAK=full JPKI_THREAD_SIGNATURES=1000 JPKI_ISOLATION_SECONDS=60 \
        JPKI_MEMORY_SAMPLES=300 JPKI_ENDS=29 cargo test --locked --release \
        --features process-tests --test module --test process -- --nocapture --test-threads=1 \
        sessions:: soak:: threads:: isolation:: ends:: adversary_)
}

# Ratios hold on any machine that has nothing else to do.
command_bench() {
    local opensc
    prepare pkcs11-tool:opensc
    opensc=$(compgen -G '/usr/lib*/*/opensc-pkcs11.so' || compgen -G '/usr/lib*/opensc-pkcs11.so')
    (cd "$ROOT" && cargo build --quiet --release --locked --package bench)
    mkdir -p "$ROOT/docs"
    "$TARGET/release/bench" run "$MODULE" "${opensc%%$'\n'*}" "$ROOT/docs/benchmark.svg"
}

command_model() {
    prepare
    (cd "$ROOT" && PROPTEST_CASES=10000 JPKI_LOTTERY=10000 cargo test --locked --release --test module -- model:: lottery::)
    (cd "$ROOT" && JPKI_SEARCH=full cargo test --locked --release --test rules -- pin_search::)
}

# The targets are built with Rust's nightly toolchain where there is one. Elsewhere RUSTC_BOOTSTRAP lets the stable one take
# the options that cargo-fuzz needs.
command_fuzz() {
    local target corpus targets=("$@") cargo=(env RUSTC_BOOTSTRAP=1 cargo)
    prepare
    if cargo +nightly --version >/dev/null 2>&1; then cargo=(cargo +nightly); fi
    install_tool cargo-fuzz "$CARGO_FUZZ"
    ((${#targets[@]})) || targets=(answers calls files templates configuration)
    for target in "${targets[@]}"; do
        corpus=$TARGET/fuzz/corpus/$target
        mkdir -p "$corpus" "$TARGET/fuzz/findings/$target"
        # Without -len_control=0 the inputs stay too short to be a login.
        (cd "$ROOT" && PATH=$TARGET/tools/bin:$PATH "${cargo[@]}" fuzz run --fuzz-dir tests/fuzz --target-dir "$TARGET/fuzz" \
            --sanitizer "${JPKI_FUZZ_SANITIZER:-address}" "$target" "$corpus" "tests/fuzz/seeds/$target" -- -max_total_time="${JPKI_FUZZ_SECONDS:-60}" -len_control=0 \
            -max_len=4096 -timeout=20 -artifact_prefix="$TARGET/fuzz/findings/$target/")
    done
}

main() {
    local name=${1:-test}
    (($# == 0)) || shift
    case $name in
    test | prepare | rust | client | demo | soak | bench | model | fuzz | deny | stack | package | rpm) "command_$name" "$@" ;;
    help | --help | -h) usage ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
}

main "$@"
