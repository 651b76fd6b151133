# shellcheck shell=bash
# Packages for other systems, in target/debian and target/windows. To be sourced by tests/ports.sh.

: "${TARGET:?}"

package_armhf() {
    debian_package armhf armv7-unknown-linux-gnueabihf arm-linux-gnueabihf
}

package_arm64() {
    debian_package arm64 aarch64-unknown-linux-gnu aarch64-linux-gnu
}

# debian_package ARCHITECTURE TARGET GNU_TRIPLET
debian_package() {
    local architecture=$1 target=$2 triplet=$3
    linux_packages "$architecture" "$triplet"
    install_in_chroot dpkg-dev
    linux_cargo "$target" "$triplet" env build --quiet --release --lib --bin jpki-pkcs11 --features command
    # The command prints its manual page, and says the same on every processor.
    "$ROOT/conf/install.sh" documents "$PORTS/build/$target/release/share"
    # What the package needs is found by dpkg-shlibdeps, which asks the packages of that architecture.
    cp "$TARGET/tools/bin/cargo-deb" "$PORTS/build/"
    rm -rf -- "$PORTS/build/debian"
    in_chroot /src env PATH=/build:/usr/bin:/bin cargo-deb deb --quiet --locked --no-build --multiarch foreign \
        --target "$target" --output /build/debian/
    mkdir -p "$TARGET/debian"
    cp "$PORTS"/build/debian/*_"$architecture".deb "$TARGET/debian/"
    printf '%s\n' "$TARGET"/debian/*_"$architecture".deb
}

# One library in three files, as on Linux: Windows takes a second name of a loaded file for that file too.
package_windows() {
    local version name directory
    install_in_chroot zip
    windows_cargo build --quiet --release --lib
    version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
    name=jpki-pkcs11-$version-windows-x86_64
    directory=$PORTS/build/windows/$name
    rm -rf -- "$directory"
    mkdir -p "$directory" "$TARGET/windows"
    for file in jpki-pkcs11 jpki-pkcs11-auth jpki-pkcs11-sign; do
        cp "$PORTS/build/$WINDOWS/release/jpki_pkcs11.dll" "$directory/$file.dll"
    done
    cp "$ROOT"/README.md "$ROOT"/README.ja.md "$ROOT"/CHANGELOG.md "$ROOT"/LICENSE "$directory/"
    # Under its own name it would be the configuration, since it lies beside the library.
    cp "$ROOT/conf/jpki-pkcs11.toml" "$directory/jpki-pkcs11.example.toml"
    rm -f -- "$PORTS/build/windows/$name.zip"
    in_chroot /build/windows zip --quiet --recurse-paths "$name.zip" "$name"
    cp "$PORTS/build/windows/$name.zip" "$TARGET/windows/"
    printf '%s\n' "$TARGET/windows/$name.zip"
}
