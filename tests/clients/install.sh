#!/usr/bin/env bash
# What a user installs: the Debian package, the RPM package and what conf/install.sh installs. pkcs11-tool uses the
# module from where they put it, under each of its names; the command runs, with its manual pages and completions.
# Removing leaves nothing.
#
# needs: dpkg-shlibdeps:dpkg-dev modutil:libnss3-tools rpm:rpm p11-kit:p11-kit cargo_deb cargo_generate_rpm
source "$(dirname "$0")/lib.sh"

readonly BOTH="$AUTH_TOKEN $SIGN_TOKEN"

# cargo and its tools are in the user's home, which `begin` hides.
readonly USERS_HOME=$HOME
run() {
    HOME=$USERS_HOME "$ROOT/pkcs11-tests.sh" "$@"
}

install_script() {
    "$ROOT/conf/install.sh" "$@"
}

# tokens MODULE...: the labels that pkcs11-tool shows, in their order.
tokens() {
    pkcs11-tool --module "$1" --list-token-slots | sed -n 's/.*token label *: //p' | paste -s -d ' '
}

# The folder of the modules below DIRECTORY.
modules_in() {
    dirname "$(find "$1" -name jpki-pkcs11-auth.so -type f)"
}

each_name_shows_its_slots() {
    local folder
    folder=$(modules_in "$1")
    equal "$BOTH" "$(tokens "$folder/jpki-pkcs11.so")"
    equal "$AUTH_TOKEN" "$(tokens "$folder/jpki-pkcs11-auth.so")"
    equal "$SIGN_TOKEN" "$(tokens "$folder/jpki-pkcs11-sign.so")"
}

# The loader finds a name without a directory beside the system's libraries; here it must be told where that is.
bare_names_work() {
    local folder
    folder=$(dirname "$(modules_in "$1")")
    equal "$BOTH" "$(LD_LIBRARY_PATH=$folder tokens jpki-pkcs11.so)"
    equal "$AUTH_TOKEN" "$(LD_LIBRARY_PATH=$folder tokens jpki-pkcs11-auth.so)"
    equal "$SIGN_TOKEN" "$(LD_LIBRARY_PATH=$folder tokens jpki-pkcs11-sign.so)"
}

# ssh-agent follows symbolic links, and the loader takes every link for the library that it has already loaded.
names_are_three_files() {
    local folder name
    folder=$(modules_in "$1")
    for name in jpki-pkcs11.so jpki-pkcs11-auth.so jpki-pkcs11-sign.so; do
        equal "$(realpath "$folder")/$name" "$(realpath "$folder/$name")"
        cmp "$folder/jpki-pkcs11.so" "$folder/$name"
    done
    equal 3 "$(stat -c %i "$folder"/*.so | sort -u | wc -l)"
}

# NSS loads every module of a profile into one process.
two_names_in_one_process() {
    local folder profile
    folder=$(realpath "$(modules_in "$1")")
    profile=$PWD/$1.profile
    mkdir "$profile"
    certutil -N -d "sql:$profile" --empty-password
    modutil -force -dbdir "sql:$profile" -add auth -libfile "$folder/jpki-pkcs11-auth.so"
    modutil -force -dbdir "sql:$profile" -add sign -libfile "$folder/jpki-pkcs11-sign.so"
    modutil -dbdir "sql:$profile" -list >modules
    cat modules
    equal "$BOTH" "$(sed -n 's/^[[:space:]]*token: \(JPKI .*\)/\1/p' modules | paste -s -d ' ')"
}

# signs_from DIRECTORY NAME TOKEN PIN CERTIFICATE
signs_from() {
    pkcs11-tool --module "$(modules_in "$1")/$2" --token-label "$3" --login --pin "$4" --sign \
        --mechanism SHA256-RSA-PKCS --input-file message --output-file signature
    verified_by "$WORK/identity/$5.pem" signature message
}

both_keys_sign() {
    signs_from "$1" jpki-pkcs11-auth.so "$AUTH_TOKEN" "$AUTH_PIN" authentication
    signs_from "$1" jpki-pkcs11-sign.so "$SIGN_TOKEN" "$SIGN_PIN" signature
}

# The examples name files and folders that are installed.
examples_fit() {
    local file path
    file=$(find "$1" -name openssl.cnf)
    path=$(sed -n 's/^pkcs11-module-path = //p' "$file")
    [[ -r $1$path ]] || { printf '%s: %s is missing\n' "$file" "$path" && return 1; }
    JPKI_PKCS11_LOG=warn JPKI_PKCS11_CONF=$(find "$1" -name jpki-pkcs11.toml) tokens "$1$path" >output 2>&1
    equal "$BOTH" "$(cat output)"
}

p11_kit_file_fits() {
    local file=$1/$2 module
    module=$(sed -n 's/^module: //p' "$file")
    [[ $module == /* ]] || module=$(modules_in "$1" | sed "s|^$1||")/$module
    [[ -r $1$module ]]
}

# command_is_there PREFIX ZSH-FOLDER: the command sees the card, and brings a manual page in two languages, and what
# three shells complete with.
command_is_there() {
    "$1/bin/jpki-pkcs11" >status
    grep -qx 'All is well.' status
    equal 1 "$("$1/bin/jpki-pkcs11" ssh-key | grep -c '^ssh-rsa ')"
    grep -q 'Change a PIN' < <(manual "$1/share/man/man1")
    grep -q '暗証番号を変更します' < <(manual "$1/share/man/ja/man1")
    bash -n "$1/share/bash-completion/completions/jpki-pkcs11"
    grep -q '^#compdef jpki-pkcs11' "$1/share/zsh/$2/_jpki-pkcs11"
    grep -q 'complete -c jpki-pkcs11' "$1/share/fish/vendor_completions.d/jpki-pkcs11.fish"
}

# manual DIRECTORY: the page there, which a package may have compressed.
manual() {
    gzip --decompress --stdout --force "$1"/jpki-pkcs11.1*
}

only_owner_may_write() {
    [[ -z $(find "$1" ! -type l -perm /022) ]] && [[ -z $(find "$1" ! -type l ! -perm -444) ]]
}

is_empty() {
    local rest
    rest=$(find "$1" -mindepth 1 2>/dev/null || true)
    equal '' "$rest"
}

# --- the Debian package -----------------------------------------------------------------------------------------

builds_the_package() {
    run package >package.path
    cat package.path
    [[ -s $(<package.path) ]]
}

package_says_what_it_needs() {
    dpkg-deb --field "$(<package.path)" >control
    cat control
    grep -q '^Depends: .*libpcsclite1' control
    grep -q '^Recommends: pcscd' control
    grep -q "^Architecture: $(dpkg --print-architecture)$" control
}

documents_are_there() {
    local name
    for name in README.md README.ja.md CHANGELOG.md LICENSE copyright examples/jpki-pkcs11.toml; do
        [[ -s $1/usr/share/doc/jpki-pkcs11/$name ]] || { printf '%s is missing\n' "$name" && return 1; }
    done
    equal "$(find "$ROOT"/conf -name '*.c*' -o -name '*.json' -o -name '*.toml' -o -name '*.yml' | wc -l)" \
        "$(find "$1/usr/share/doc/jpki-pkcs11/examples" -type f | wc -l)"
}

# pictures_are_there DIRECTORY: both READMEs find their pictures beside them.
pictures_are_there() {
    local folder picture
    folder=$(dirname "$(find "$1" -name README.md)")
    grep -oh '](docs/[^)]*)' "$folder/README.md" "$folder/README.ja.md" >pictures
    [[ -s pictures ]]
    while read -r picture; do
        picture=$folder/${picture//[]()]/}
        [[ -s $picture ]] || { printf '%s is missing\n' "$picture" && return 1; }
    done <pictures
}

# Everything that the package needs is in this distribution.
apt_would_install_it() {
    apt-get install --simulate -o Debug::NoLocking=true "$(<package.path)" >output 2>&1
    cat output
    grep -q '^Inst jpki-pkcs11 ' output
}

# dpkg with a database of its own, in which no other package is installed.
private_dpkg() {
    mkdir -p dpkg/updates dpkg/info dpkg/triggers
    touch dpkg/status dpkg/available
    PATH=$PATH:/usr/sbin:/sbin dpkg --root="$PWD/root" --admindir="$PWD/dpkg" --log=/dev/null --force-depends \
        --force-not-root '--path-include=*' "$@"
}

installs_the_package() {
    mkdir root
    private_dpkg --install "$(<package.path)"
    equal 'install ok installed' "$(dpkg-query --admindir="$PWD/dpkg" --show --showformat '${Status}' jpki-pkcs11)"
}

# Also reports what differs from the package.
is_intact() {
    equal '' "$(private_dpkg --verify jpki-pkcs11)"
}

removes_the_package() {
    private_dpkg --purge jpki-pkcs11
    is_empty root
}

# --- the RPM package --------------------------------------------------------------------------------------------

builds_the_rpm() {
    run rpm >rpm.path
    cat rpm.path
    [[ -s $(<rpm.path) ]]
}

rpm_says_what_it_needs() {
    rpm --query --package --requires "$(<rpm.path)" >requires
    cat requires
    grep -q '^libpcsclite.so.1' requires
}

unpacks_the_rpm() {
    mkdir rpm
    rpm2archive - <"$(<rpm.path)" | tar -xz -C rpm
}

# --- conf/install.sh --------------------------------------------------------------------------------------------

p11_kit_shows_both() {
    p11-kit list-modules >modules
    cat modules
    grep -q "$AUTH_TOKEN" modules
    grep -q "$SIGN_TOKEN" modules
}

install_keeps_what_is_there() {
    mkdir -p kept/usr/share/doc/other
    chmod 700 kept/usr/share
    echo theirs >kept/usr/share/doc/other/README
    install_script install --destdir "$PWD/kept"
    install_script install --destdir "$PWD/kept"
    equal 700 "$(stat -c %a kept/usr/share)"
    install_script uninstall --destdir "$PWD/kept"
    equal kept/usr/share/doc/other/README "$(find kept ! -type d)"
    install_script uninstall --destdir "$PWD/kept"
}

begin
echo message >message

if command -v dpkg-deb >/dev/null; then
    check "the package is built" builds_the_package
    check "the package says what it needs" package_says_what_it_needs
    check "apt would install it" apt_would_install_it
    check "dpkg installs it" installs_the_package
    check "what is installed is the package's" is_intact
    check "package: each name shows its slots" each_name_shows_its_slots root
    check "package: names without a directory" bare_names_work root
    check "package: three files" names_are_three_files root
    check "package: two names in one process" two_names_in_one_process root
    check "package: both keys sign" both_keys_sign root
    check "package: documents and examples" documents_are_there root
    check "package: the pictures of the READMEs" pictures_are_there root
    check "package: the command" command_is_there root/usr vendor-completions
    check "package: the p11-kit file names the module" p11_kit_file_fits root usr/share/p11-kit/modules/jpki.module
    check "dpkg removes it without a rest" removes_the_package
fi

check "the RPM package is built" builds_the_rpm
check "the RPM package says what it needs" rpm_says_what_it_needs
check "the RPM package is unpacked" unpacks_the_rpm
check "RPM: each name shows its slots" each_name_shows_its_slots rpm
check "RPM: three files" names_are_three_files rpm
check "RPM: the command" command_is_there rpm/usr site-functions
check "RPM: the p11-kit file is there" test -r rpm/usr/share/p11-kit/modules/jpki.module

check "install" install_script install --destdir "$PWD/usr"
check "each name shows its slots" each_name_shows_its_slots usr
check "names without a directory" bare_names_work usr
check "three files" names_are_three_files usr
check "two names in one process" two_names_in_one_process usr
check "both keys sign" both_keys_sign usr
check "the p11-kit file names the module" p11_kit_file_fits usr usr/share/p11-kit/modules/jpki.module
check "the examples fit" examples_fit usr
check "the pictures of the READMEs" pictures_are_there usr
check "the command" command_is_there usr/usr vendor-completions
check "all users may read, only the owner may write" only_owner_may_write usr
check "uninstall" install_script uninstall --destdir "$PWD/usr"
check "nothing is left" is_empty usr

check "install --prefix /usr/local" install_script install --prefix /usr/local --destdir "$PWD/local"
check "each name shows its slots, /usr/local" each_name_shows_its_slots local
check "the p11-kit file names the module, /usr/local" p11_kit_file_fits local etc/pkcs11/modules/jpki.module
check "the examples fit, /usr/local" examples_fit local
check "the command, /usr/local" command_is_there local/usr/local site-functions
check "uninstall --prefix /usr/local" install_script uninstall --prefix /usr/local --destdir "$PWD/local"
check "nothing is left of /usr/local" is_empty local

check "install --prefix, without --destdir" install_script install --prefix "$PWD/own"
check "each name shows its slots, own prefix" each_name_shows_its_slots own
check "uninstall --prefix, without --destdir" install_script uninstall --prefix "$PWD/own"
check "no file is left in the own prefix" equal '' "$(find own ! -type d)"

check "install --prefix ~/.local" install_script install --prefix "$HOME/.local"
check "the command, ~/.local" command_is_there "$HOME/.local" site-functions
check "each name shows its slots, ~/.local" each_name_shows_its_slots "$HOME/.local"
# p11-kit does not read root's own module files.
if ((EUID != 0)); then check "p11-kit finds the module, ~/.local" p11_kit_shows_both; fi
check "the p11-kit file names the module, ~/.local" grep -q "^module: $HOME/.local/" "$HOME/.config/pkcs11/modules/jpki.module"
check "uninstall --prefix ~/.local" install_script uninstall --prefix "$HOME/.local"
check "no file is left in ~/.local" equal '' "$(find "$HOME/.local" "$HOME/.config/pkcs11" ! -type d)"

check "files of others stay" install_keeps_what_is_there
refused "an option that does not exist" 'no option --prefx' install_script install --prefx /usr
refused "a relative prefix" 'wants a path' install_script install --prefix usr
refused "a module that was not built" 'Build it first' install_script install --library "$PWD/missing" --destdir "$PWD/no"

finish
