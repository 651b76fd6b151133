# shellcheck shell=bash
# Linux on other processors: the compilers and libraries of Debian, and qemu to run what they make. To be sourced by
# tests/ports.sh.

port_armhf() {
    linux_port armhf armv7-unknown-linux-gnueabihf arm-linux-gnueabihf qemu-arm
}

port_arm64() {
    linux_port arm64 aarch64-unknown-linux-gnu aarch64-linux-gnu qemu-aarch64
}

# Where the kernel of this machine runs it itself, no qemu is needed.
port_i386() {
    linux_packages i386 i686-linux-gnu
    if in_chroot / /lib/ld-linux.so.2 --version >/dev/null 2>&1; then
        linux_port i386 i686-unknown-linux-gnu i386-linux-gnu env
    else
        linux_port i386 i686-unknown-linux-gnu i386-linux-gnu qemu-i386
    fi
}

# What builds the module for a Debian architecture.
linux_packages() {
    local architecture=$1 compiler=$2
    install_in_chroot "${COMMON_PACKAGES[@]}" "gcc-$compiler" "libc6-dev:$architecture" \
        "libpcsclite-dev:$architecture" "libstd-rust-dev:$architecture"
}

# linux_cargo TARGET GNU_TRIPLET EMULATOR ARGUMENT...: cargo in the chroot, for another processor.
linux_cargo() {
    local target=$1 triplet=$2 emulator=$3 variable emulated=()
    variable=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$target")
    shift 3
    [[ $emulator != qemu-* ]] || emulated=("JPKI_TEST_EMULATOR=/usr/bin/$emulator" CARGO_PROFILE_DEV_OPT_LEVEL=1)
    in_chroot /src env "PCSC_LIB_DIR=/usr/lib/$triplet" "${variable}_LINKER=${triplet/i386/i686}-gcc" \
        "${variable}_RUNNER=$emulator" "${TEST_PROFILE[@]}" "${emulated[@]}" PROPTEST_CASES=16 \
        cargo "$1" --locked --target "$target" "${@:2}"
}

# What is left out under qemu: what tries each of the 65,536 status words, which would take hours, and what asks the
# kernel about the memory, of which qemu does not tell all and has some itself.
readonly UNDER_QEMU=(
    --skip status_words::of_all
    --skip fork::a_child_finds_zeros_where_its_parent_keeps_the_pin
    --skip fork::logging_out_takes_the_pin_out_of_memory
    --skip leave_no_file_and_no_mapping
)

# linux_tests TARGET GNU_TRIPLET EMULATOR: the unit tests, those in one process and those of the C functions.
linux_tests() {
    local arguments=(--lib --test module --test abi --no-fail-fast)
    [[ $3 != qemu-* ]] || arguments+=(-- "${UNDER_QEMU[@]}")
    linux_cargo "$1" "$2" "$3" test "${arguments[@]}"
}

# linux_port ARCHITECTURE TARGET GNU_TRIPLET EMULATOR, which is `env` where there need be none. The model's random
# sequences are few: qemu takes ten times as long.
linux_port() {
    local architecture=$1 target=$2 triplet=$3 emulator=$4
    local directory=/opt/ports/$architecture
    linux_packages "$architecture" "${triplet/i386/i686}"
    install_in_chroot pcscd vsmartcard-vpcd openssl qemu-user "opensc-pkcs11:$architecture"
    step "$architecture" built linux_cargo "$target" "$triplet" "$emulator" build --release --lib
    # The tool of two architectures cannot be installed at once: it is unpacked.
    # shellcheck disable=SC2016 # the shell in the chroot expands it
    in_chroot /tmp bash -c '[[ -x $1/usr/bin/pkcs11-tool ]] ||
        { apt-get download -qq "opensc:$2" && dpkg-deb --extract opensc_*_"$2".deb "$1" && rm opensc_*; }' \
        _ "$directory" "$architecture" >"$PORTS/apt.log" 2>&1
    step "$architecture" signed in_chroot / /src/tests/ports/sign.sh /build/virtual-card \
        "/build/$target/release/libjpki_pkcs11.so" "$emulator" "$directory/usr/bin/pkcs11-tool"
    step "$architecture" tested linux_tests "$target" "$triplet" "$emulator"
    if [[ $emulator == env ]]; then done_line "$architecture"; else done_line "$architecture ($emulator)"; fi
}
