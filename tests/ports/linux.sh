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
    local target=$1 triplet=$2 emulator=$3 variable
    variable=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$target")
    shift 3
    in_chroot /src env "PCSC_LIB_DIR=/usr/lib/$triplet" "${variable}_LINKER=${triplet/i386/i686}-gcc" \
        "${variable}_RUNNER=$emulator" "${TEST_PROFILE[@]}" PROPTEST_CASES=16 cargo "$@" --locked --target "$target"
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
    step "$architecture" tested linux_cargo "$target" "$triplet" "$emulator" test --lib --test module --test abi \
        --no-fail-fast
    if [[ $emulator == env ]]; then done_line "$architecture"; else done_line "$architecture ($emulator)"; fi
}
