# shellcheck shell=bash
# Systems for which Debian has no compiled standard library: Rust builds it from its source, which needs options that
# only RUSTC_BOOTSTRAP gives. To be sourced by tests/ports.sh.

# The version of the package ziglang, for what is known of macOS.
readonly ZIGLANG=0.13.0

# What builds the standard library.
readonly STD_PACKAGES=("${COMMON_PACKAGES[@]}" rust-src)

# std_cargo TARGET VARIABLE=VALUE... -- ARGUMENT...: cargo in the chroot with a standard library of its own.
std_cargo() {
    local target=$1 variables=() parts=std,panic_unwind
    shift
    while [[ $1 != -- ]]; do
        variables+=("$1")
        shift
    done
    shift
    [[ $1 != test && " $* " != *' --profile test '* ]] || parts+=,test
    in_chroot /src env RUSTC_BOOTSTRAP=1 "${TEST_PROFILE[@]}" "${variables[@]}" \
        cargo "$@" --locked "-Zbuild-std=$parts" --target "$target"
}

# The C library of musl, with this machine's own kernel. The client is a C program of that library.
port_musl() {
    local target=x86_64-unknown-linux-musl variables
    install_in_chroot "${STD_PACKAGES[@]}" musl-tools binutils xz-utils libp11-kit-dev pcscd vsmartcard-vpcd openssl
    step musl prepared in_chroot / /src/tests/ports/musl-libraries.sh
    # shellcheck disable=SC2054 # the commas are the compiler's
    variables=(
        PCSC_LIB_DIR=/opt/ports/musl/lib LD_LIBRARY_PATH=/opt/ports/musl/lib
        CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=musl-gcc
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS=-Ctarget-feature=-crt-static -Clink-self-contained=no -L/opt/ports/musl/lib"
    )
    step musl built std_cargo "$target" "${variables[@]}" -- build --release --lib
    # shellcheck disable=SC2016 # the shell in the chroot expands it
    step musl signed in_chroot /tmp bash -c '
        musl-gcc -std=c11 -Wall -o client-musl -idirafter /usr/include/p11-kit-1 /src/tests/ports/client.c &&
            LD_LIBRARY_PATH=/opt/ports/musl/lib exec /src/tests/ports/run-client.sh /build/virtual-card \
                /tmp/client-musl "$1"' _ "/build/$target/release/libjpki_pkcs11.so"
    step musl tested std_cargo "$target" "${variables[@]}" -- test --lib --test module --test abi --no-fail-fast
    done_line musl
}

# names_are WHAT NAME... -- NAME...: whether a library has the second names, all of them and no others.
names_are() {
    local what=$1 names=() found wanted
    shift
    while [[ $1 != -- ]]; do
        names+=("$1")
        shift
    done
    shift
    found=$(printf '%s\n' "${names[@]}" | sort -u)
    wanted=$(printf '%s\n' "$@" | sort -u)
    [[ $found == "$wanted" ]] || {
        echo "$what: found (-) and wanted (+)"
        diff -u <(echo "$found") <(echo "$wanted")
    } >&2
}

readonly WINDOWS=x86_64-pc-windows-gnu

# What the library may need: parts of Windows. What the compiler brings (libgcc, libwinpthread) must be in it.
readonly WINDOWS_LIBRARIES=(
    advapi32.dll api-ms-win-core-synch-l1-2-0.dll bcrypt.dll bcryptprimitives.dll kernel32.dll msvcrt.dll ntdll.dll
    userenv.dll winscard.dll ws2_32.dll
)

# What begins and ends a library of Windows: it comes with the source of the standard library, and cargo does not build
# it.
windows_objects() {
    local directory=/usr/lib/rustlib/$WINDOWS/lib
    [[ ! -e $CHROOT$directory/rsend.o ]] || return 0
    # shellcheck disable=SC2016 # the shell in the chroot expands it
    in_chroot /usr/lib/rustlib/src/rust/library/rtstartup bash -c '
        mkdir -p "$2" && for name in rsbegin rsend; do
            RUSTC_BOOTSTRAP=1 rustc --target "$1" --emit=obj -o "$2/$name.o" "$name.rs" || exit
        done' _ "$WINDOWS" "$directory"
}

# windows_cargo ARGUMENT...
windows_cargo() {
    install_in_chroot "${STD_PACKAGES[@]}" gcc-mingw-w64-x86-64-win32
    windows_objects
    std_cargo "$WINDOWS" CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc \
        CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=wine WINEPREFIX=/build/wine WINEDEBUG=-all -- "$@"
}

# windows_exports FILE: as macos_exports. DllMain is exported too, as every function that keeps its name in Rust; the
# loader finds it another way.
windows_exports() {
    local headers
    headers=$(in_chroot / x86_64-w64-mingw32-objdump --private-headers "$1")
    # shellcheck disable=SC2046 # the names are words
    names_are exports $(sed -n '/Name Pointer\] Table/,/^$/s/^\t\[.*[] ]\([A-Za-z_]*\)$/\1/p' <<<"$headers") -- \
        C_GetFunctionList C_GetInterface C_GetInterfaceList DllMain || return
    # shellcheck disable=SC2046
    names_are libraries $(sed -n 's/^\tDLL Name: //p' <<<"$headers" | tr '[:upper:]' '[:lower:]') -- "${WINDOWS_LIBRARIES[@]}"
}

# Windows on x86-64. Wine has the calls of Windows; its PC/SC service is the pcscd of the chroot.
port_windows() {
    install_in_chroot wine wine64 libp11-kit-dev pcscd vsmartcard-vpcd openssl
    step windows built windows_cargo build --release --lib
    step windows exports windows_exports "/build/$WINDOWS/release/jpki_pkcs11.dll"
    # shellcheck disable=SC2016 # as above
    step windows signed in_chroot /tmp bash -c '
        x86_64-w64-mingw32-gcc -std=c11 -Wall -o client.exe -idirafter /usr/include/p11-kit-1 /src/tests/ports/client.c &&
            WINEPREFIX=/build/wine WINEDEBUG=-all exec /src/tests/ports/run-client.sh /build/virtual-card \
                wine /tmp/client.exe "Z:\\build\\$1\\release\\jpki_pkcs11.dll"' _ "$WINDOWS"
    step windows tested windows_cargo test --lib
    done_line windows
}

# FreeBSD on x86-64: there is no compiler and no library of it here.
port_freebsd() {
    install_in_chroot "${STD_PACKAGES[@]}"
    step freebsd checked std_cargo x86_64-unknown-freebsd PCSC_LIB_DIR=/nonexistent -- check --lib
    step freebsd unit-tests-checked std_cargo x86_64-unknown-freebsd PCSC_LIB_DIR=/nonexistent -- check --lib --profile test
    done_line freebsd
}

# The libraries that the module may need.
readonly MACOS_LIBRARIES=(
    /System/Library/Frameworks/PCSC.framework/Versions/A/PCSC /usr/lib/libSystem.B.dylib /usr/lib/libiconv.2.dylib
)

# What the linker is given of the libraries of macOS: their names, and which functions they export. That list of
# libSystem comes with the package ziglang; those of PC/SC and iconv are written here.
macos_libraries() {
    local sdk=$CHROOT/opt/ports/macos zig=$PORTS/ziglang
    [[ ! -e $sdk/usr/lib/libSystem.tbd ]] || return 0
    mkdir -p "$sdk/usr/lib" "$sdk/System/Library/Frameworks/PCSC.framework" "$zig"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$zig" "ziglang==$ZIGLANG"
    python3 - "$zig" "$sdk/usr/lib/libSystem.tbd.new" <<'END'
import pathlib, sys, zipfile
with zipfile.ZipFile(next(pathlib.Path(sys.argv[1]).glob("*.whl"))) as wheel:
    name = next(name for name in wheel.namelist() if name.endswith("/darwin/libSystem.tbd"))
    pathlib.Path(sys.argv[2]).write_bytes(wheel.read(name))
END
    rm -rf -- "$zig"
    write_tbd "$sdk/System/Library/Frameworks/PCSC.framework/PCSC.tbd" \
        /System/Library/Frameworks/PCSC.framework/Versions/A/PCSC \
        SCard{BeginTransaction,Cancel,Connect,Control132,Disconnect,EndTransaction,EstablishContext,GetAttrib} \
        SCard{GetStatusChange,IsValidContext,ListReaders,Reconnect,ReleaseContext,SetAttrib,Status,Transmit} \
        g_rgSCard{Raw,T0,T1}Pci
    write_tbd "$sdk/usr/lib/libiconv.tbd" /usr/lib/libiconv.2.dylib iconv iconv_open iconv_close
    # There they are parts of libSystem.
    ln -sf libSystem.tbd "$sdk/usr/lib/libc.tbd"
    ln -sf libSystem.tbd "$sdk/usr/lib/libm.tbd"
    mv "$sdk/usr/lib/libSystem.tbd.new" "$sdk/usr/lib/libSystem.tbd"
}

# write_tbd FILE INSTALL_NAME SYMBOL...: a library as the linkers of macOS are told of it.
write_tbd() {
    local file=$1 name=$2 symbols
    shift 2
    printf -v symbols '_%s, ' "$@"
    cat >"$file" <<END
--- !tapi-tbd
tbd-version: 4
targets: [ x86_64-macos, arm64-macos ]
install-name: '$name'
exports:
  - targets: [ x86_64-macos, arm64-macos ]
    symbols: [ ${symbols%, } ]
...
END
}

# macos_exports FILE: whether the library exports what PKCS#11 wants and nothing else, and needs no other libraries than
# those that come with the system.
macos_exports() {
    # shellcheck disable=SC2046 # the names are words
    names_are exports $(in_chroot / llvm-nm-19 --extern-only --defined-only --format=just-symbols "$1") -- \
        _C_GetFunctionList _C_GetInterface _C_GetInterfaceList || return
    # Its own name is in that list too.
    # shellcheck disable=SC2046
    names_are libraries $(in_chroot / llvm-objdump-19 --macho --dylibs-used "$1" |
        sed -n '/libjpki_pkcs11/d; s/^\t\([^ ]*\) .*/\1/p') -- \
        "${MACOS_LIBRARIES[@]}"
}

# macOS on both processors: linked, and not run.
port_macos() {
    local target variable
    install_in_chroot "${STD_PACKAGES[@]}" lld-19 llvm-19
    step macos prepared macos_libraries
    for target in aarch64-apple-darwin x86_64-apple-darwin; do
        variable=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$target")
        step macos "linked-${target%%-*}" std_cargo "$target" SDKROOT=/opt/ports/macos CARGO_PROFILE_RELEASE_STRIP=none \
            "${variable}_LINKER=ld64.lld-19" \
            "${variable}_RUSTFLAGS=-Clinker-flavor=ld64.lld -Zunstable-options -Clink-arg=-F/opt/ports/macos/System/Library/Frameworks -Clink-arg=-L/opt/ports/macos/usr/lib" \
            -- build --release --lib
        step macos "exports-${target%%-*}" macos_exports "/build/$target/release/libjpki_pkcs11.dylib"
        step macos "unit-tests-checked-${target%%-*}" std_cargo "$target" -- check --lib --profile test
    done
    done_line macos
}
