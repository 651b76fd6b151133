#!/usr/bin/env bash
# Installs what the tests need, builds the module, runs every test, and says how many passed. See --help.
set -euo pipefail

# shellcheck source=tests/clients/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/tests/clients/environment.sh"
# shellcheck source=tests/needs.sh
source "$ROOT/tests/needs.sh"

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
  ports [TARGET..] build for other systems, and try that by qemu and Wine: armhf arm64 i386 musl windows macos freebsd. It
                   needs root's rights for a chroot below the target directory, and some gigabytes there
  pictures         make the pictures of docs from the real programs and a virtual card
  stack            keep a private pcscd with a virtual card up, to try programs by hand
  install          build the Debian package, and install it
  package          build a Debian package (cargo deb), and print where it is; with --target amd64, arm64 or armhf one
                   for that processor, with --target windows a zip
  rpm              build an RPM package (cargo generate-rpm), and print where it is

conf/install.sh installs without a package.

The tests use a pcscd of their own with virtual cards in it. They touch no running pcscd, no reader, and nothing in
your home. Everything they make is below the target directory (CARGO_TARGET_DIR, else target).
END
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

# The tests of exchanged cards run three times: also over services with the ways of macOS and of Windows. Most tests
# wait for a process or a clock, and two for each processor take little longer than one.
run_rust_tests() {
    local -x RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 2))}
    local log=$TARGET/rust-tests.log status=0 options=(--locked --workspace --features "command process-tests") system
    say "running the Rust tests"
    (cd "$ROOT" && cargo test "${options[@]}" --no-fail-fast) >"$log" 2>&1 || status=$?
    for system in macos windows; do
        (cd "$ROOT" && JPKI_TEST_SERVICE=$system cargo test "${options[@]}" --test module -- \
            removal:: cards:: adversary::) >>"$log" 2>&1 || status=$?
    done
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

# The names of all clients but those on request, whose programs are large.
client_names() {
    local script
    for script in "$CLIENTS"/*.sh; do
        [[ ! -x $script ]] || grep -q '^# on request' "$script" || basename "$script" .sh
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
    (($#)) || die "which client? $(client_names | tr '\n' ' '); on request: $(grep -l '^# on request' "$CLIENTS"/*.sh |
        xargs -n 1 basename -s .sh | tr '\n' ' ')"
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

command_pictures() {
    local packages
    mapfile -t packages < <(sed -n 's/^# needs: //p' "$ROOT/tests/pictures.sh" | tr ' ' '\n')
    prepare pkcs11-tool:opensc "${packages[@]}"
    "$ROOT/tests/pictures.sh"
}

command_stack() {
    prepare pkcs11-tool:opensc
    exec "$ROOT/tests/stack.sh" "$@"
}

# Needs root's rights: the chroot has mounts of its own.
ports() {
    as_root env "CARGO_TARGET_DIR=$TARGET" "$ROOT/tests/ports.sh" "$@"
}

command_ports() {
    install_packages "${BUILD_PACKAGES[@]}" debootstrap:debootstrap unshare:util-linux
    build
    ports "$@"
}

# package_for TARGET: in the chroot of the ports.
package_for() {
    install_packages "${BUILD_PACKAGES[@]}" debootstrap:debootstrap unshare:util-linux
    if [[ $1 != windows ]]; then
        build_cargo_deb
        build
    fi
    ports --package "$1"
}

# The libraries that the package needs are found by dpkg-shlibdeps.
command_package() {
    if [[ ${1:-} == --target ]]; then
        (($# == 2)) || die "a package for which target?"
        # This machine's own needs no chroot.
        if [[ $2 != "$(dpkg --print-architecture)" ]]; then
            package_for "$2"
            return
        fi
    fi
    need_cargo
    install_packages "${BUILD_PACKAGES[@]}" dpkg-shlibdeps:dpkg-dev
    build_cargo_deb
    build
    "$ROOT/conf/install.sh" documents "$TARGET/release/share"
    (cd "$ROOT" && umask 022 && "$TARGET/tools/bin/cargo-deb" deb --quiet --locked --no-build --multiarch foreign \
        --output "$TARGET/debian/")
}

command_install() {
    local package
    command -v apt-get >/dev/null || die "this is for Debian; see ./pkcs11-tests.sh rpm, or conf/install.sh"
    may_be_root || die "there is no sudo; please run ./pkcs11-tests.sh package, and apt install as root"
    # In a process of its own a failure ends it.
    package=$("$ROOT/pkcs11-tests.sh" package)
    say "installing $package"
    as_root env DEBIAN_FRONTEND=noninteractive "${APT_GET[@]}" install -qq --yes --install-recommends --reinstall \
        -o APT::Sandbox::User=root -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$package" >/dev/null
}

command_rpm() {
    need_cargo
    install_packages "${BUILD_PACKAGES[@]}"
    build_cargo_generate_rpm
    build
    "$ROOT/conf/install.sh" documents "$TARGET/release/share"
    mkdir -p "$TARGET/generate-rpm"
    (cd "$ROOT" && "$TARGET/tools/bin/cargo-generate-rpm" generate-rpm --target-dir "$TARGET" --output "$TARGET/generate-rpm/")
    printf '%s\n' "$TARGET"/generate-rpm/*.rpm
}

# Advisories change without a change of ours, and are left out.
command_deny() {
    need_cargo
    install_packages cc:build-essential pkg-config:pkg-config
    # Without its own TLS: it works offline here.
    install_tool cargo-deny "$CARGO_DENY" --no-default-features
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

# With the address sanitizer, by cargo-fuzz and Rust's nightly toolchain where there is one; elsewhere RUSTC_BOOTSTRAP
# lets the stable one take the options that cargo-fuzz needs. Without a sanitizer (JPKI_FUZZ_SANITIZER=none) cargo alone
# will do, which spares the minutes that cargo-fuzz takes to build. An input that takes more than 20 seconds by the
# clock (JPKI_FUZZ_TIMEOUT) is a finding.
command_fuzz() {
    local target corpus targets=("$@") cargo=(env RUSTC_BOOTSTRAP=1 cargo) run
    prepare
    if [[ ${JPKI_FUZZ_SANITIZER:-address} == none ]]; then
        build_fuzz_targets
        run=(run_fuzz_target)
    else
        if cargo +nightly --version >/dev/null 2>&1; then cargo=(cargo +nightly); fi
        install_tool cargo-fuzz "$CARGO_FUZZ"
        run=(env PATH="$TARGET/tools/bin:$PATH" "${cargo[@]}" fuzz run --fuzz-dir tests/fuzz --target-dir "$TARGET/fuzz")
    fi
    ((${#targets[@]})) || targets=(answers calls files templates configuration)
    for target in "${targets[@]}"; do
        corpus=$TARGET/fuzz/corpus/$target
        mkdir -p "$corpus" "$TARGET/fuzz/findings/$target"
        # Without -len_control=0 the inputs stay too short to be a login.
        (cd "$ROOT" && "${run[@]}" "$target" "$corpus" "tests/fuzz/seeds/$target" -- \
            -max_total_time="${JPKI_FUZZ_SECONDS:-60}" -len_control=0 -max_len=4096 \
            -timeout="${JPKI_FUZZ_TIMEOUT:-20}" \
            -artifact_prefix="$TARGET/fuzz/findings/$target/")
    done
}

# The options by which libFuzzer sees where a program goes, as cargo-fuzz gives them. Given a target, cargo keeps them
# from build scripts.
build_fuzz_targets() {
    local option flags=(--cfg fuzzing -Cpasses=sancov-module)
    for option in level=4 inline-8bit-counters pc-table trace-compares; do
        flags+=("-Cllvm-args=-sanitizer-coverage-$option")
    done
    # Little optimisation, so that the build is short. The module under the other tests is built as usual.
    (cd "$ROOT" && export CARGO_PROFILE_RELEASE_{OPT_LEVEL=1,LTO=off,DEBUG=false,CODEGEN_UNITS=16} &&
        RUSTFLAGS=${flags[*]} cargo build --quiet --release --locked --manifest-path tests/fuzz/Cargo.toml \
        --bins --target "$(host_triple)" --target-dir "$TARGET/fuzz")
}

# run_fuzz_target TARGET CORPUS SEEDS -- OPTION...
run_fuzz_target() {
    local target=$1 corpus=$2 seeds=$3
    shift 4
    "$TARGET/fuzz/$(host_triple)/release/$target" "$@" "$corpus" "$seeds"
}

host_triple() {
    rustc --version --verbose | sed -n 's/^host: //p'
}

main() {
    local name=${1:-test}
    (($# == 0)) || shift
    case $name in
    test | prepare | rust | client | demo | soak | bench | model | fuzz | deny | pictures | stack | install | package | \
        ports | rpm) "command_$name" "$@" ;;
    help | --help | -h) usage ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
}

main "$@"
