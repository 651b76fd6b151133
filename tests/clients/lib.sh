# shellcheck shell=bash
# shellcheck disable=SC2034  # used by those who source this
# What every client script begins with: a virtual card of its own, an empty home, and checks that are counted.
#
#     source "$(dirname "$0")/lib.sh"
#     begin
#     check "the token is listed" list_tokens
#     finish
#
# A check is a command or a function; it passes if it ends with 0, and its output is shown if it does not. In a function
# each command must succeed (`set -e` holds). Checks run in a subshell: what they want to leave behind goes into files
# of the current directory, which is empty at first and removed at the end.
#
# What a script needs stands in lines "# needs:", as "test for its presence:Debian package", or as the name of a
# function unpack_* or build_* of tests/needs.sh. Every script needs:
#
# needs: pkcs11-tool:opensc openssl:openssl script:bsdutils
set -euo pipefail

# shellcheck source=environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# The PINs of the virtual card.
readonly AUTH_PIN=1234 SIGN_PIN=ABC123
# The tokens' names.
readonly AUTH_TOKEN='JPKI User Authentication' SIGN_TOKEN='JPKI Digital Signature'
# What OpenSSL's servers call the types of a client's signature, before version 3.5 and since (patterns of grep -E).
readonly PSS='(RSA-PSS|rsa_pss_rsae_sha256)' PKCS1='(RSA|rsa_pkcs1_sha(256|384|512))'

NAME=$(basename "$0" .sh)
readonly NAME

# What insists on root is root in a namespace of its own, where this user's files are root's.
AS_ROOT=()
((EUID == 0)) || AS_ROOT=(unshare --user --map-user=0)
readonly AS_ROOT

passed=0
failed=0

# Starts the private pcscd and moves into an empty directory. Takes the options of `virtual-card stack`.
begin() {
    # The module ignores a configuration that a group may write to, and a user's own umask may be 002.
    umask 022
    WORK=$(new_directory "$NAME")
    readonly WORK
    trap clean_up EXIT
    trap 'exit 143' TERM
    trap 'exit 130' INT
    mkdir -p "$WORK/home" "$WORK/tmp" "$WORK/run" "$WORK/files" "$WORK/identity"
    chmod 700 "$WORK/home" "$WORK/run"
    cd "$WORK/files"
    private_environment
    start_card "$@"
    "$VIRTUAL_CARD" identity "$WORK/identity" >/dev/null
}

# Nothing of the user's own settings may reach a client, and nothing of a client's may reach them.
private_environment() {
    local variable
    for variable in $(compgen -e); do
        case $variable in
        XDG_* | SSH_* | GIT_* | GPG_* | OPENSSL_* | SSL_* | PKCS11_* | P11_KIT_* | NSS_* | JAVA_* | JDK_* | PYTHON* | \
            JPKI_PKCS11_* | PCSCLITE_CSOCK_NAME | DISPLAY | WAYLAND_DISPLAY | DBUS_* | *_proxy | *_PROXY)
            unset "$variable"
            ;;
        esac
    done
    export HOME=$WORK/home TMPDIR=$WORK/tmp XDG_RUNTIME_DIR=$WORK/run
    export XDG_CONFIG_HOME=$HOME/.config XDG_DATA_HOME=$HOME/.local/share XDG_CACHE_HOME=$HOME/.cache
    export GNUPGHOME=$HOME/.gnupg LC_ALL=C.UTF-8 TZ=UTC
    export GIT_CONFIG_NOSYSTEM=1
}

start_card() {
    local output=$WORK/stack.log
    # It also ends when its input does, that is when this script and all its children are gone.
    exec {card_input}> >("$VIRTUAL_CARD" stack --dir "$WORK/card" --identity "$TARGET/identity" "$@" >"$output" 2>&1)
    remember "$!"
    wait_until grep -qx ready "$output" || die "the virtual card did not start: $(cat "$output")"
    # shellcheck source=/dev/null
    source "$WORK/card/env"
}

die() {
    printf '%s: %s\n' "$NAME" "$*" >&2
    exit 1
}

# --- processes --------------------------------------------------------------------------------------------------

# Has a process ended when the script ends. Its start is kept with its number: another process may have the number then.
remember() {
    printf '%s %s\n' "$1" "$(started_at "$1")" >>"$WORK/pids"
}

# started_at PID: prints when it started, as the kernel counts the time; nothing if it has ended.
started_at() {
    local stat='' fields
    # It may end meanwhile.
    { IFS= read -r -d '' stat <"/proc/$1/stat"; } 2>/dev/null || true
    # Its name, in brackets, may have any letters in it.
    read -r -a fields <<<"${stat##*) }"
    # A process that nothing waits for stays as a zombie.
    [[ ${fields[0]-Z} == Z ]] || printf '%s\n' "${fields[19]}"
}

# runs PID START: the process that started then has not ended.
runs() {
    [[ $2 && $2 == "$(started_at "$1")" ]]
}

# Starts a command in the background, its output in LOG. Its input is silent: some servers end when it does.
background() {
    local log=$1
    shift
    [[ -p $WORK/silence ]] || mkfifo "$WORK/silence"
    "$@" >"$log" 2>&1 <>"$WORK/silence" &
    remember "$!"
}

# Repeats a command until it succeeds, for a minute at most: a busy machine takes long to start a browser.
wait_until() {
    wait_up_to 60 "$@"
}

# wait_up_to SECONDS COMMAND...: the same, for another time.
wait_up_to() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || return 1
        sleep 0.05
    done
}

# Prints a port of the loopback interface that no program listens on.
free_port() {
    local port
    while port=$((RANDOM % 10000 + 20000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    printf '%s\n' "$port"
}

# serve_holders NAME OPTION...: a server that insists on a certificate of the authentication CA; its page tells who
# came.
serve_holders() {
    local name=$1
    shift
    background "$name.log" openssl s_server -www -accept 127.0.0.1:0 -cert server.pem -key server.key "$@" \
        -Verify 1 -verify_return_error -CAfile "$WORK/identity/authentication-ca.pem" -no_ticket -num_tickets 0 -no_cache
    wait_until grep -q '^ACCEPT' "$name.log" || die "$(cat "$name.log")"
    sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' "$name.log" >"$name.port"
}

is_listening() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# all_gone PID...: these processes have ended, which are remembered.
all_gone() {
    local pid start
    while read -r pid start; do
        [[ " $* " != *" $pid "* ]] || ! runs "$pid" "$start" || return 1
    done <"$WORK/pids"
}

# Prints which of the processes that are remembered have not ended.
still_running() {
    local pid start
    [[ -e $WORK/pids ]] || return 0
    while read -r pid start; do
        ! runs "$pid" "$start" || printf '%s\n' "$pid"
    done <"$WORK/pids"
}

# Ends an application as its menu does; its status is left in the file `status`. The script has `drive`, which gives it
# commands, and its process in APPLICATION.
quit() {
    drive quit
    wait_until all_gone "$APPLICATION" || die "it does not end"
    wait "$APPLICATION" && echo 0 >status || echo $? >status
}

ended_well() {
    equal 0 "$(cat status)"
}

clean_up() {
    local status=$? pids=()
    trap '' TERM INT
    mapfile -t pids < <(still_running)
    if ((${#pids[@]})); then
        kill "${pids[@]}" 2>/dev/null || true
        if ! wait_until all_gone "${pids[@]}"; then
            mapfile -t pids < <(still_running)
            kill -KILL "${pids[@]}" 2>/dev/null || true
        fi
    fi
    cd /
    if [[ -n ${JPKI_TEST_KEEP:-} ]]; then
        printf 'kept: %s\n' "$WORK" >&2
    else
        rm -rf -- "$WORK"
    fi
    exit "$status"
}

# --- checks -----------------------------------------------------------------------------------------------------

# check NAME COMMAND...: the command succeeds.
check() {
    local name=$1 status=0
    shift
    # Not in a condition: there `set -e` would not hold inside the command.
    set +e
    (
        set -e
        "$@"
    ) >"$WORK/check.log" 2>&1 </dev/null
    status=$?
    set -e
    count_check "$name" "$status"
}

# refused NAME PATTERN COMMAND...: the command fails, and its output matches the pattern (of grep -E).
refused() {
    local name=$1 pattern=$2 status=0
    shift 2
    ("$@") >"$WORK/check.log" 2>&1 </dev/null || status=$?
    if ((status != 0)) && grep -Eq -- "$pattern" "$WORK/check.log"; then
        count_check "$name" 0
    else
        printf 'ended with %s, expected a failure with: %s\n' "$status" "$pattern" >>"$WORK/check.log"
        count_check "$name" 1
    fi
}

count_check() {
    if (($2 == 0)); then
        passed=$((passed + 1))
        printf 'ok      %s\n' "$1"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n' "$1"
        sed 's/^/        | /' "$WORK/check.log"
    fi
}

# check_within MOST NAME COMMAND...: the command succeeds, and the card gets no more commands than that meanwhile. Says
# how many it got.
check_within() {
    local most=$1 name=$2 before
    shift 2
    before=$(card count commands)
    check "$name" "$@"
    at_most "$most" "$(($(card count commands) - before))" "$name"
}

# at_most MOST COUNT NAME: a check of the number of commands, which is shown.
at_most() {
    printf 'exchanges: %s (%s)\n' "$2" "$3"
    printf 'the card got %s commands\n' "$2" >"$WORK/check.log"
    count_check "$3: at most $1 exchanges" "$(($2 > $1))"
}

# figure LABEL: how many commands README's table of programs says for this script. A rule in tests/rules checks that
# every number there has its check here.
figure() {
    local script="(tests/clients/$NAME.sh): " row
    row=$(grep -F -- "$script" "$ROOT/README.md") || die "README's table has no row with $script"
    row="; ${row##*"$script"}"
    row=${row//\`/}
    [[ "${row% |}; " =~ "; $1 "([0-9]+)"; " ]] || die "README has no number for: $1"
    printf '%s\n' "${BASH_REMATCH[1]}"
}

# The figures are those of the programs in Debian 12. Others may look at the card once more.
has_tested_versions() {
    grep -qx 'VERSION_CODENAME=bookworm' /etc/os-release
}

# check_figure LABEL NAME COMMAND...: the command succeeds, and the card gets as many commands meanwhile as README says.
# A program that a busy machine holds up for a second asks for the tries left once more: what is counted otherwise is
# done again a second later, at most seven times.
check_figure() {
    local label=$1 name=$2 expected counted before attempt
    shift 2
    expected=$(figure "$label")
    before=$(card count commands)
    check "$name" "$@"
    counted=$(($(card count commands) - before))
    if ! has_tested_versions; then
        at_most "$((expected + 2))" "$counted" "$name"
        return
    fi
    for attempt in {2..8}; do
        ((counted != expected)) || break
        printf 'exchanges: %s (%s); attempt %s\n' "$counted" "$name" "$attempt"
        sleep 1
        before=$(card count commands)
        ("$@") >/dev/null 2>&1 </dev/null || true
        counted=$(($(card count commands) - before))
    done
    printf 'exchanges: %s (%s)\n' "$counted" "$name"
    check "$name: as many exchanges as README says" equal "$expected" "$counted"
}

# near_figure_since MARK LABEL NAME: what the card got since the mark is no more than README says, and at most two
# questions for the tries left (SELECT, count) less. For what cannot be done again.
near_figure_since() {
    local expected counted
    expected=$(figure "$2")
    counted=$(card count commands since "$1")
    at_most "$expected" "$counted" "$3"
    check "$3: README does not say too many" test "$counted" -ge "$((expected - 4))"
}

# marked NAME COMMAND...: a check that finds the ledger's end before it in `mark`.
marked() {
    mark=$(card mark)
    check "$@"
}

# shows PATTERN...: each was to be seen, as the file `seen` says.
shows() {
    local pattern
    for pattern in "$@"; do
        grep -Eq -- "$pattern" seen || {
            printf 'not to be seen: %s\n' "$pattern"
            return 1
        }
    done
}

# at_terminal PROMPT INPUT COMMAND: runs a shell command at a terminal of its own, where INPUT is typed once it has
# printed PROMPT (a pattern of grep -E). What was to be seen there is in the file `terminal`.
at_terminal() {
    : >terminal
    rm -f terminal.done terminal.name
    script --quiet --return --flush \
        --command "tty >terminal.name; $3; status=\$?; : >terminal.done; exit \$status" terminal < <(
        wait_until asks_or_is_done "$1"
        # OpenVPN throws away what is typed before it has turned the echo off. A question may leave it on.
        wait_up_to 5 hides_input_or_is_done || true
        printf '%s\n' "$2"
        # At the end of its input, script would end the command.
        wait_until is_done_at_terminal
    )
}

is_done_at_terminal() {
    [[ -e terminal.done ]]
}

hides_input_or_is_done() {
    is_done_at_terminal || [[ $(stty --all --file "$(<terminal.name)") =~ [[:space:]]-echo[[:space:]] ]]
}

asks_or_is_done() {
    is_done_at_terminal || grep -aEq -- "$1" terminal
}

# equal EXPECTED ACTUAL, for use in checks.
equal() {
    [[ $1 == "$2" ]] || {
        printf 'expected: %s\nactual:   %s\n' "$1" "$2"
        return 1
    }
}

# --- the card ---------------------------------------------------------------------------------------------------

# What `virtual-card control` offers.
card() {
    "$VIRTUAL_CARD" control "$WORK/card" "$@"
}

# Takes the card out, or puts it in again, and waits until a program sees that.
take_card_out() {
    card remove
    wait_until no_token_is_listed
}

put_card_in() {
    card insert
    wait_until a_token_is_listed
}

a_token_is_listed() {
    pkcs11-tool --module "$MODULE" --list-token-slots | grep JPKI
}

no_token_is_listed() {
    ! a_token_is_listed
}

failed_verifies() {
    printf '%s\n' $(($(card count failed-verifies auth) + $(card count failed-verifies sign)))
}

no_pin_is_verified() {
    equal "false false" "$(card verified auth) $(card verified sign)"
}

# pulled_out COMMAND...: a command that signs, with the card pulled out just when it is to make the signature.
pulled_out() {
    card fault sign remove
    "$@"
}

# verified_by CERTIFICATE SIGNATURE FILE [DGST-OPTION...]: openssl finds the signature good. The hash is SHA-256 if the
# options name no other.
verified_by() {
    local certificate=$1 signature=$2 file=$3
    shift 3
    [[ " $*" == *' -sha'* ]] || set -- -sha256 "$@"
    openssl x509 -in "$certificate" -noout -pubkey >"$signature.pub"
    openssl dgst "$@" -verify "$signature.pub" -signature "$signature" "$file"
}

# Ends the script: no more VERIFY than this may have failed on the card, and no program may have left the card verified.
finish() {
    local failed_verifies=${1:-0}
    check "$failed_verifies PIN tries were used up" equal "$failed_verifies" "$(failed_verifies)"
    check "the card is not left verified" no_pin_is_verified
    printf '%s passed, %s failed\n' "$passed" "$failed"
    ((failed == 0 && passed > 0))
}
