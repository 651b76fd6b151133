#!/usr/bin/env bash
# `jpki-pkcs11 register` and `unregister` with NSS's own modutil, on the profiles of Firefox, Thunderbird and Chromium
# in homes of their own. OpenSC's real pkcs11-register puts OpenSC's module there first, as Debian's desktop does.
#
# needs: modutil:libnss3-tools pkcs11-register:opensc python3:python3
source "$(dirname "$0")/lib.sh"
# shellcheck source=register/homes.sh
source "$CLIENTS/register/homes.sh"
# shellcheck source=register/other_homes.sh
source "$CLIENTS/register/other_homes.sh"

# Profiles in a home, from there.
readonly FIREFOX=.mozilla/firefox/abc.default-esr WORK_FIREFOX=elsewhere/work NEW_FIREFOX='.config/mozilla/firefox/a プロ'
readonly THUNDERBIRD=.thunderbird/x.default CHROMIUM=.pki/nssdb
readonly OPENSC='onepin-opensc-pkcs11.so|opensc-pkcs11.so'

# --- the command --------------------------------------------------------------------------------------------------

# run STATUS ARGUMENT...: the command ends with this status; what it said is in the file `said`.
run() {
    local expected=$1 status=0
    shift
    at_home "$COMMAND" "$@" >said 2>&1 || status=$?
    cat said
    equal "$expected" "$status"
}

in_japanese() {
    LOCALE=ja_JP.UTF-8 "$@"
}

# registers STATUS ARGUMENT...: from the folder of this script's own copies.
registers() {
    run "$1" register "${@:2}" --library-dir lib
}

says() {
    local text
    for text in "$@"; do
        grep -Fq -- "$text" said || {
            printf 'it does not say: %s\n' "$text"
            return 1
        }
    done
}

# --- checks -------------------------------------------------------------------------------------------------------

dry_run_changes_no_byte() {
    everything >before
    registers 0 all --dry-run
    says "Firefox, $HOUSE/$FIREFOX" "Firefox, $HOUSE/$WORK_FIREFOX" "Firefox, $HOUSE/$NEW_FIREFOX" \
        "would be registered: $PWD/lib/jpki-pkcs11-auth.so (JPKI)" \
        "would be registered: $PWD/lib/jpki-pkcs11-sign.so (JPKI)" 'Dry run: nothing was changed.'
    in_japanese registers 0 all --dry-run --remove-opensc
    says "登録する対象: $PWD/lib/jpki-pkcs11-auth.so (JPKI)" "登録を外す対象: $(opensc_library)" \
        "書き込む対象: $HOUSE/.config/autostart/pkcs11-register.desktop" '何も変更していません。'
    run 0 unregister all --dry-run
    everything | cmp before -
}

registers_everywhere() {
    registers 0
    says "registered: $PWD/lib/jpki-pkcs11-auth.so (JPKI)" "registered: $PWD/lib/jpki-pkcs11-sign.so (JPKI)" \
        "Next: have Thunderbird trust the certificate's CA" "OpenSC's module serves this card too." "it is registered in: Thunderbird, $HOUSE/$THUNDERBIRD" \
        "it is registered at each login by: $autostart" "OpenSC's module stays."
}

# lists PROFILE MODULE TOKEN: the module shows this token, and no other one.
lists() {
    modutil -dbdir "sql:$HOUSE/$1" -list >list
    cat list
    equal "$3" "$(sed -En "/^ *[0-9]+\. $2\$/,/^ *[0-9]+\. |^---/s/^\ttoken: (JPKI.*)/\1/p" list)"
}

others_are_kept() {
    local profile
    for profile in "$FIREFOX" "$WORK_FIREFOX" "$CHROMIUM"; do
        [[ $(libraries "$profile") =~ ^other\.so\ ($OPENSC)\ jpki-pkcs11-auth\.so$ ]]
    done
    [[ $(libraries "$THUNDERBIRD") =~ ^other\.so\ ($OPENSC)\ jpki-pkcs11-sign\.so$ ]]
    equal jpki-pkcs11-auth.so "$(libraries "$NEW_FIREFOX")"
    [[ ! -e $HOUSE/.config/autostart ]]
}

again_changes_nothing() {
    everything >before
    registers 0
    says "already registered: $PWD/lib/jpki-pkcs11-auth.so" "already registered: $PWD/lib/jpki-pkcs11-sign.so"
    in_japanese registers 0
    says "登録済みです: $PWD/lib/jpki-pkcs11-auth.so" 'OpenSC のモジュールはそのままです。'
    everything | cmp before -
}

# answers QUESTION ANSWER PROGRAM: at a terminal.
answers() {
    at_terminal "$1" "$2" "$(printf '%q ' env LC_ALL="$LOCALE" HOME="$HOUSE" XDG_CONFIG_HOME="$HOUSE/.config" \
        XDG_CONFIG_DIRS="$HOUSE/xdg" "$COMMAND" register "$3" --library-dir "$PWD/lib")"
}

answering_no_keeps_opensc() {
    everything >before
    answers 'Take it out and keep it out\?.*\[y/N\] ' n chromium
    grep -aq "OpenSC's module stays" terminal
    answers 'Take it out and keep it out\?.*\[y/N\] ' '' chromium
    everything | cmp before -
}

answering_yes_removes_opensc() {
    in_japanese answers '再登録も止めますか\?.*\[y/N\] ' はい chromium
    equal 'other.so jpki-pkcs11-auth.so' "$(libraries "$CHROMIUM")"
    grep -q '^Hidden=true' "$HOUSE/.config/autostart/pkcs11-register.desktop"
    # Of the programs that were not named OpenSC's module is not taken.
    [[ $(libraries "$FIREFOX") =~ $OPENSC ]]
}

option_removes_opensc_without_a_question() {
    registers 0 firefox --remove-opensc
    says "taken out: $library (OpenSC"
    equal 'other.so jpki-pkcs11-auth.so' "$(libraries "$FIREFOX")"
    equal 'other.so jpki-pkcs11-auth.so' "$(libraries "$WORK_FIREFOX")"
    [[ $(libraries "$THUNDERBIRD") =~ $OPENSC ]]
    registers 0 all --remove-opensc
    equal 'other.so jpki-pkcs11-sign.so' "$(libraries "$THUNDERBIRD")"
    # Now nothing is in the way, and nothing is said of it.
    registers 0
    ! grep OpenSC said
}

unregister_takes_out_ours_only() {
    run 0 unregister firefox
    says "taken out: $PWD/lib/jpki-pkcs11-auth.so (JPKI)"
    equal other.so "$(libraries "$FIREFOX")"
    equal other.so "$(libraries "$WORK_FIREFOX")"
    equal '' "$(libraries "$NEW_FIREFOX")"
    equal 'other.so jpki-pkcs11-auth.so' "$(libraries "$CHROMIUM")"
    [[ -e $HOUSE/.config/autostart/pkcs11-register.desktop ]]
    run 0 unregister
    says 'not registered here.' "removed $HOUSE/.config/autostart/pkcs11-register.desktop"
    equal other.so "$(libraries "$CHROMIUM")"
    equal other.so "$(libraries "$THUNDERBIRD")"
    [[ ! -e $HOUSE/.config/autostart/pkcs11-register.desktop ]]
    in_japanese run 0 unregister
    says '登録されていません。'
}

# A file of that name which the person wrote is left alone.
unregister_keeps_the_persons_entry() {
    mkdir -p "$HOUSE/.config/autostart"
    printf '[Desktop Entry]\nHidden=true\n' >"$HOUSE/.config/autostart/pkcs11-register.desktop"
    run 0 unregister
    equal 'Hidden=true' "$(tail -n 1 "$HOUSE/.config/autostart/pkcs11-register.desktop")"
    rm "$HOUSE/.config/autostart/pkcs11-register.desktop"
}

# An old version's path, the library with both slots, and the wrong one; and a module of others that has our name.
replaces_what_is_ours() {
    add "$FIREFOX" JPKI "$PWD/old/jpki-pkcs11-auth.so"
    add "$FIREFOX" 'My card' "$PWD/old/jpki-pkcs11.so"
    add "$THUNDERBIRD" JPKI "$PWD/lib/jpki-pkcs11-auth.so"
    cp other.so others.so
    add "$WORK_FIREFOX" JPKI "$PWD/others.so"
    rm old/jpki-pkcs11-auth.so
    registers 0
    says "taken out: $PWD/old/jpki-pkcs11-auth.so (JPKI)" "taken out: $PWD/old/jpki-pkcs11.so (My card)" \
        "taken out: $PWD/lib/jpki-pkcs11-auth.so (JPKI)" "registered: $PWD/lib/jpki-pkcs11-auth.so (JPKI 2)"
    equal 'other.so jpki-pkcs11-auth.so' "$(libraries "$FIREFOX")"
    equal 'other.so others.so jpki-pkcs11-auth.so' "$(libraries "$WORK_FIREFOX")"
    equal 'other.so jpki-pkcs11-sign.so' "$(libraries "$THUNDERBIRD")"
    grep -q "^library=$PWD/lib/jpki-pkcs11-auth.so" "$HOUSE/$FIREFOX/pkcs11.txt"
}

puts_back_what_it_cannot_replace() {
    mkdir -p broken
    echo nonsense | tee broken/jpki-pkcs11-auth.so >broken/jpki-pkcs11-sign.so
    run 2 register firefox --library-dir broken
    says 'failed: modutil: ERROR: Failed to add module "JPKI".'
    equal 'other.so jpki-pkcs11-auth.so' "$(libraries "$FIREFOX")"
    grep -q "^library=$PWD/lib/jpki-pkcs11-auth.so" "$HOUSE/$FIREFOX/pkcs11.txt"
}

# hold PROFILE: as Firefox holds it: a record lock, and a link to address and process.
hold() {
    background lock.log python3 -c '
import fcntl, os, sys
lock = open(sys.argv[1] + "/.parentlock", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
os.symlink("127.0.1.1:+%d" % os.getpid(), sys.argv[1] + "/lock")
sys.stdin.read()' "$HOUSE/$1"
    echo "$!" >holder
    wait_until test -L "$HOUSE/$1/lock" || die "$(cat lock.log)"
}

release() {
    kill "$(<holder)"
    wait_until all_gone "$(<holder)"
}

profile_in_use_is_left_alone() {
    hold "$FIREFOX"
    everything >before
    run 1 unregister firefox --dry-run
    everything | cmp before -
    run 1 unregister firefox
    says "Firefox, $HOUSE/$FIREFOX" "is in use (process $(<holder)). Nothing was changed here. Close Firefox"
    equal 'other.so jpki-pkcs11-auth.so' "$(libraries "$FIREFOX")"
    # The other profile is not in use.
    equal 'other.so others.so' "$(libraries "$WORK_FIREFOX")"
    # What is right already needs no change.
    registers 0 firefox
    release
    # The link stays, as after a crash.
    [[ -L $HOUSE/$FIREFOX/lock ]]
    run 0 unregister firefox
    equal other.so "$(libraries "$FIREFOX")"
}

thunderbird_in_use_is_left_alone() {
    hold "$THUNDERBIRD"
    in_japanese run 1 unregister thunderbird
    says "使用中です(プロセス $(<holder))。何も変更していません。Thunderbird を終了して"
    equal 'other.so jpki-pkcs11-sign.so' "$(libraries "$THUNDERBIRD")"
    release
}

chromium_in_use_is_left_alone() {
    mkdir -p "$HOUSE/.config/google-chrome"
    ln -s "$(</proc/sys/kernel/hostname)-$BASHPID" "$HOUSE/.config/google-chrome/SingletonLock"
    everything >before
    run 1 unregister chromium
    says "is in use (process $BASHPID)"
    ln -sfn elsewhere-1 "$HOUSE/.config/google-chrome/SingletonLock"
    run 1 unregister chromium
    says "perhaps on another machine" "remove $HOUSE/.config/google-chrome/SingletonLock"
    rm "$HOUSE/.config/google-chrome/SingletonLock"
    equal 'other.so jpki-pkcs11-auth.so' "$(libraries "$CHROMIUM")"
    run 0 unregister chromium
}

# While modutil works, Firefox cannot start with the profile. This modutil looks whether it could.
firefox_cannot_start_meanwhile() {
    mkdir -p path
    cat >path/modutil <<END
#!/bin/sh
python3 -c 'import fcntl; fcntl.lockf(open("$HOUSE/$FIREFOX/.parentlock", "a"), fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>&1 |
    grep -o BlockingIOError >>"$PWD/attempts"
exec "$(command -v modutil)" "\$@"
END
    chmod +x path/modutil
    PATH=$PWD/path:$PATH registers 0 firefox
    # Two profiles of three have such a file by now; one attempt fails, that on the profile in work.
    equal BlockingIOError "$(<attempts)"
}

modutil_is_missing() {
    mkdir -p empty
    without_programs 1 unregister
    says 'sudo apt install libnss3-tools' 'sudo dnf install nss-tools' 'Nothing was changed.'
    in_japanese without_programs 1 unregister
    says 'modutil がありません' 'sudo apt install libnss3-tools'
    # Without it nothing else is worth saying.
    cp -r lib third
    without_programs 1 register firefox --library-dir third
    equal '' "$(grep OpenSC said)"
    equal 'other.so jpki-pkcs11-auth.so' "$(libraries "$FIREFOX")"
}

# without_programs STATUS ARGUMENT...: as `run`, where PATH leads to no program.
without_programs() {
    local status=0
    at_home env PATH="$PWD/empty" "$COMMAND" "${@:2}" >said 2>&1 || status=$?
    cat said
    equal "$1" "$status"
}

library_is_missing() {
    run 1 register firefox --library-dir empty
    says 'jpki-pkcs11-auth.so was not found.' "searched: $PWD/empty"
    in_japanese run 1 register thunderbird --library-dir empty
    says 'jpki-pkcs11-sign.so が見つかりません。' "探した場所: $PWD/empty"
}

libraries_beside_the_command_are_found() {
    local prefix=$PWD/prefix folder
    folder=$prefix/lib/$(uname -m)-linux-gnu/pkcs11
    mkdir -p "$prefix/bin" "$folder"
    cp "$COMMAND" "$prefix/bin/"
    cp lib/* "$folder/"
    at_home "$prefix/bin/jpki-pkcs11" register >said
    says "registered: $folder/jpki-pkcs11-auth.so (JPKI)" "registered: $folder/jpki-pkcs11-sign.so (JPKI)"
    grep -q "^library=$folder/jpki-pkcs11-sign.so" "$HOUSE/$THUNDERBIRD/pkcs11.txt"
}

begin
mkdir lib old
for name in jpki-pkcs11.so jpki-pkcs11-auth.so jpki-pkcs11-sign.so; do
    cp "$MODULE" "lib/$name"
    cp "$MODULE" "old/$name"
done
cp "$MODULE" other.so

new_home home
library=$(opensc_library)
check "a dry run changes no byte" dry_run_changes_no_byte
check "it registers in every profile, and keeps OpenSC" registers_everywhere
check "modutil lists the token in a profile of Firefox" lists "$FIREFOX" JPKI "$AUTH_TOKEN"
check "in a second one, at another place" lists "$WORK_FIREFOX" JPKI "$AUTH_TOKEN"
check "in a new one, at the newer place" lists "$NEW_FIREFOX" JPKI "$AUTH_TOKEN"
check "in Chromium's" lists "$CHROMIUM" JPKI "$AUTH_TOKEN"
check "the other token in Thunderbird's" lists "$THUNDERBIRD" JPKI "$SIGN_TOKEN"
check "other modules are kept, OpenSC's too" others_are_kept
check "once more changes nothing" again_changes_nothing
check "no keeps OpenSC" answering_no_keeps_opensc
check "yes takes OpenSC out, and ends its autostart" answering_yes_removes_opensc
check "so does the option, without a question" option_removes_opensc_without_a_question
check "unregister takes out this project's modules only" unregister_takes_out_ours_only
check "unregister keeps an autostart entry of the person" unregister_keeps_the_persons_entry
check "an old path and other libraries of this project are replaced" replaces_what_is_ours
check "what cannot be replaced is put back" puts_back_what_it_cannot_replace
check "a profile that Firefox uses is left alone" profile_in_use_is_left_alone
check "one that Thunderbird uses too" thunderbird_in_use_is_left_alone
check "Chromium's, while a browser of its kin runs" chromium_in_use_is_left_alone
check "Firefox cannot start while its profile is changed" firefox_cannot_start_meanwhile
check "modutil is missing" modutil_is_missing
check "the libraries are missing" library_is_missing
check "the libraries beside the command are found" libraries_beside_the_command_are_found

empty_home nothing
check "no profile" nothing_to_register_in
check "no database is made while Chromium runs" makes_no_database_while_chromium_runs
check "Chromium's database is made" makes_chromiums_database
check "OpenSC's autostart is ended before it ran" autostart_is_ended_before_its_first_run
empty_home newer
check "Chromium's newer database is used" uses_chromiums_newer_database
empty_home boxed
check "programs from snap and Flatpak" sandboxed_programs_are_said_to_be_out_of_reach
empty_home another
check "another user's profile is left alone" another_users_profile_is_left_alone
empty_home old-firefox
check "a profile of an old Firefox is left alone" old_profile_is_left_alone

finish
