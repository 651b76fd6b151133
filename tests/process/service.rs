//! A PC/SC service that dies, refuses, talks nonsense or whose reader another program holds, and
//! cards that come and go.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use crate::support::breakpoint::Breakpoint;
use crate::support::child::{Child, Dialogue};
use crate::support::{card, stack, stack_of};
use test_support::time::least_time;
use virtual_card::stack::Stack;
use virtual_card::{Credential, Fault, VirtualCard};

const SECOND: Duration = Duration::from_secs(1);

/// The time something takes.
fn time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (work(), start.elapsed())
}

fn assert_no_try_was_lost(card: &VirtualCard) {
    for (credential, tries) in [(Credential::Authentication, 3), (Credential::Signature, 5)] {
        assert_eq!((card.failed_verifies(credential), card.tries_left(credential)), (0, tries));
    }
}

/// After a daemon or a card has gone: the sessions are dead, there are no tokens, and nothing
/// hangs.
fn assert_without_token(host: &mut Child) {
    host.expect("session-info signature", "CKR_SESSION_HANDLE_INVALID");
    host.expect("sign signature", "CKR_SESSION_HANDLE_INVALID");
    host.expect("tokens", "CKR_OK 0");
    host.expect("token-info signature", "CKR_TOKEN_NOT_PRESENT");
    host.expect("open signature", "CKR_TOKEN_NOT_PRESENT");
}

/// A new session works without initializing anew.
fn assert_works_again(host: &mut Child) {
    host.expect_soon("tokens", "CKR_OK 2");
    host.expect_ok(&["open signature", "login signature", "sign signature"]);
}

// --- the daemon dies

#[test]
fn a_daemon_that_dies_while_nothing_goes_on_costs_the_sessions_only() {
    let mut stack = stack(true);
    let mut host = Child::logged_in(&stack, &["signature"]);
    stack.kill_pcscd();
    host.expect("sign signature", "CKR_DEVICE_REMOVED");
    assert_without_token(&mut host);
    stack.restart_pcscd().unwrap();
    assert_works_again(&mut host);
    assert_no_try_was_lost(&stack.card(0));
}

/// Kills the daemon while the card carries out the `number`th command of the operation.
fn kill_daemon_in(stack: &mut Stack, host: &mut Child, operation: &str, number: usize) {
    let breakpoint = Breakpoint::before(&stack.card(0), number);
    host.tell(operation);
    breakpoint.wait();
    stack.kill_pcscd();
    breakpoint.resume();
    assert_eq!(host.answer(), "CKR_DEVICE_REMOVED", "{operation}, killed at {number}");
    assert_without_token(host);
    stack.restart_pcscd().unwrap();
    host.expect_soon("tokens", "CKR_OK 2");
}

#[test]
fn a_daemon_that_dies_during_a_login_costs_no_try() {
    let mut stack = stack(true);
    let mut host = Child::start(&stack);
    host.expect_ok(&["initialize"]);
    for number in [1, 3, 4, 5] {
        host.expect("open signature", "CKR_OK");
        kill_daemon_in(&mut stack, &mut host, "login signature", number);
    }
    assert_works_again(&mut host);
    assert_no_try_was_lost(&stack.card(0));
}

#[test]
fn a_daemon_that_dies_during_a_signature_costs_no_try() {
    let mut stack = stack(true);
    let mut host = Child::start(&stack);
    host.expect_ok(&["initialize"]);
    for number in 1..=5 {
        host.expect_ok(&["open signature", "login signature"]);
        kill_daemon_in(&mut stack, &mut host, "sign signature", number);
    }
    assert_works_again(&mut host);
    assert_no_try_was_lost(&stack.card(0));
}

#[test]
fn a_host_that_starts_without_a_daemon_finds_the_card_later() {
    let mut stack = stack(true);
    stack.kill_pcscd();
    let mut host = Child::start(&stack);
    host.expect("initialize", "CKR_OK");
    let (answer, took) = time(|| host.ask("slots"));
    assert_eq!(answer, "CKR_OK 2", "those for a reader that comes later");
    assert!(took < SECOND, "{took:?}");
    stack.restart_pcscd().unwrap();
    assert_works_again(&mut host);
}

// --- the daemon talks nonsense

/// What a hostile daemon does with a client.
type Nonsense = fn(&mut UnixStream);

fn hang_up(_: &mut UnixStream) {}

fn zeros(stream: &mut UnixStream) {
    let _ = stream.write_all(&[0; 4096]);
    let _ = stream.read(&mut [0; 4096]);
}

fn noise(stream: &mut UnixStream) {
    let bytes: Vec<u8> = (0_u32..65_536).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let _ = stream.write_all(&bytes);
    let _ = stream.read(&mut [0; 4096]);
}

fn ones(stream: &mut UnixStream) {
    let _ = stream.write_all(&[0xff; 65_536]);
    let _ = stream.read(&mut [0; 4096]);
}

/// Sends back whatever comes: the protocol's versions agree and every command seems to succeed.
fn echo(stream: &mut UnixStream) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}

/// As [`echo`] at first, then noise.
fn echo_then_noise(stream: &mut UnixStream) {
    let mut bytes = [0; 4096];
    for _ in 0..2 {
        let count = stream.read(&mut bytes).unwrap_or(0);
        let _ = stream.write_all(&bytes[..count]);
    }
    noise(stream);
}

#[test]
fn nonsense_from_a_daemon_is_no_reader() {
    let stack = stack(true);
    let all: [(&str, Nonsense); 6] = [
        ("hang up", hang_up),
        ("zeros", zeros),
        ("noise", noise),
        ("ones", ones),
        ("echo", echo),
        ("echo then noise", echo_then_noise),
    ];
    for (name, nonsense) in all {
        let socket = stack.directory().join("hostile");
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || nonsense(&mut { stream }));
            }
        });
        let mut host = Child::with(&stack, |command| {
            command.env("PCSCLITE_CSOCK_NAME", &socket);
        });
        host.expect("initialize", "CKR_OK");
        for question in ["tokens", "slots", "tokens"] {
            host.tell(question);
            let answer = host.answer_within(10 * SECOND);
            let answer = answer.unwrap_or_else(|| panic!("{name}: {question} hangs"));
            // The PC/SC crate panics on codes that PC/SC does not have, when it is built for
            // debugging.
            let caught = cfg!(debug_assertions) && answer == "CKR_GENERAL_ERROR 0";
            // The two for a reader that comes later.
            let expected = if question == "slots" { "CKR_OK 2" } else { "CKR_OK 0" };
            assert!(answer == expected || caught, "{name}: {question}: {answer}");
        }
        host.expect("info", "CKR_OK");
        host.expect("finalize", "CKR_OK");
        fs::remove_file(&socket).unwrap();
    }
}

// --- another program has the card

#[test]
fn a_signature_waits_for_the_end_of_a_foreign_transaction() {
    let stack = stack(true);
    let mut host = Child::logged_in(&stack, &["signature"]);
    let mut foreign = Child::start(&stack);
    foreign.expect("foreign connect", "done");
    foreign.expect("foreign hold", "held");
    host.tell("sign signature");
    assert_eq!(host.answer_within(SECOND), None, "another program has the card");
    foreign.expect("info", "released");
    assert_eq!(host.answer(), "CKR_OK");
    assert_eq!(stack.card(0).ledger().resets(), 0);
}

#[test]
fn a_foreign_transaction_without_end_stops_only_what_needs_the_card() {
    let stack = stack_of(vec![Some(card(true)), Some(card(true))]);
    let mut host = Child::logged_in(&stack, &["signature"]);
    let mut foreign = Child::start(&stack);
    foreign.expect("foreign connect", "done");
    foreign.expect("foreign hold", "held");
    host.expect("spawn sign signature", "spawned");
    for (question, answer) in [
        ("info", "CKR_OK"),
        ("slots", "CKR_OK 4"),
        ("session-info signature", "CKR_OK"),
        ("reader 1", "CKR_OK"),
    ] {
        let took = least_time(SECOND, || {
            let (given, took) = time(|| host.ask(question));
            assert_eq!(given, answer, "{question}");
            took
        });
        assert!(took < SECOND, "{question}: {took:?}");
    }
    for (question, answer) in
        [("logout signature", "CKR_OK"), ("finalize", "CKR_OK"), ("info", "CKR_CRYPTOKI_NOT_INITIALIZED")]
    {
        let (given, took) = time(|| host.ask(question));
        assert_eq!(given, answer, "{question}");
        // C_Finalize waits two seconds for operations under way.
        let most = if question == "finalize" { 3 * SECOND } else { SECOND };
        assert!(took < most, "{question}: {took:?}");
    }
    foreign.expect("info", "released");
    let late = host.ask("join");
    assert!(["CKR_CRYPTOKI_NOT_INITIALIZED", "CKR_USER_NOT_LOGGED_IN"].contains(&&*late), "{late}");
    assert!(!stack.card(0).verified(Credential::Signature));
}

#[test]
fn a_card_that_another_program_holds_exclusively_is_no_token_until_it_disconnects() {
    let stack = stack(true);
    let mut foreign = Child::start(&stack);
    foreign.expect("foreign connect exclusive", "done");
    let mut host = Child::start(&stack);
    host.expect_ok(&["initialize"]);
    // Two readers, and one that comes later.
    host.expect("slots", "CKR_OK 6");
    host.expect("tokens", "CKR_OK 0");
    host.expect("token-info signature", "CKR_TOKEN_NOT_PRESENT");
    host.expect("open authentication", "CKR_TOKEN_NOT_PRESENT");
    foreign.expect("foreign disconnect", "done");
    assert_works_again(&mut host);
}

/// GnuPG's smart card daemon, where Debian has it or where JPKI_TEST_SCDAEMON says.
fn find_scdaemon() -> PathBuf {
    let named = env::var_os("JPKI_TEST_SCDAEMON").map(PathBuf::from);
    let program = named.unwrap_or_else(|| "/usr/lib/gnupg/scdaemon".into());
    assert!(program.exists(), "no {}: install scdaemon", program.display());
    program
}

/// Has it look for a card, for which it asks the service for exclusive use, and returns its last
/// word.
fn look_for_card(scdaemon: &mut Dialogue) -> String {
    scdaemon.ask("SERIALNO", |line| line.starts_with("OK") || line.starts_with("ERR"))
}

#[test]
fn gnupg_that_looks_for_its_own_card_before_and_after_stops_no_signature() {
    let program = find_scdaemon();
    let stack = stack(true);
    fs::write(stack.directory().join("scdaemon.conf"), "disable-ccid\npcsc-driver libpcsclite.so.1\n")
        .unwrap();
    let mut command = stack.command(program);
    command.arg("--server").arg("--homedir").arg(stack.directory()).stderr(Stdio::null());
    let mut scdaemon = Dialogue::start(command, |line| line.starts_with("OK"));
    assert!(look_for_card(&mut scdaemon).starts_with("ERR"), "no card that it knows");
    let mut host = Child::start(&stack);
    host.expect("initialize", "CKR_OK");
    assert_works_again(&mut host);
    assert!(look_for_card(&mut scdaemon).starts_with("ERR"), "the card is in use");
    host.expect("sign signature", "CKR_OK");
    assert_no_try_was_lost(&stack.card(0));
}

// --- cards come and go

#[test]
fn a_card_pulled_during_a_signature_is_told_and_the_next_one_works_within_two_seconds() {
    /// Of a signature: SELECT of the application and of the PIN, the count, VERIFY, SIGN, SELECT.
    const COMMANDS: usize = 6;
    let stack = stack(true);
    let card = stack.card(0);
    let mut host = Child::start(&stack);
    host.expect_ok(&["initialize"]);
    let mut pull_and_return = |number| {
        host.expect_ok(&["open signature", "login signature", "session-info signature"]);
        card.inject(Fault::at(number).remove());
        let told = host.ask("sign signature");
        // With the last command, which makes the card forget, the signature is there already.
        let expected = if number == COMMANDS { "CKR_OK" } else { "CKR_DEVICE_REMOVED" };
        assert_eq!(told, expected, "pulled at {number}");
        stack.remove(0).unwrap();
        if number == COMMANDS {
            host.expect_soon("session-info signature", "CKR_DEVICE_REMOVED");
        }
        assert_without_token(&mut host);
        stack.insert(0, card.clone()).unwrap();
        let ((), took) = time(|| assert_works_again(&mut host));
        host.expect("logout signature", "CKR_OK");
        took
    };
    for number in 1..=COMMANDS {
        let took = least_time(2 * SECOND, || pull_and_return(number));
        assert!(took < 2 * SECOND, "pulled at {number}: {took:?}");
    }
    assert_no_try_was_lost(&card);
}

#[test]
fn a_program_that_waits_for_an_event_gets_one_when_the_card_is_removed_and_when_it_returns() {
    let stack = stack(true);
    let mut host = Child::start(&stack);
    host.expect("initialize", "CKR_OK");
    host.expect("tokens", "CKR_OK 2");
    let card = stack.card(0);
    for there in [false, true] {
        host.expect("spawn wait", "spawned");
        assert_eq!(host.answer_within(Duration::from_millis(100)), None);
        if there {
            stack.insert(0, card.clone()).unwrap()
        } else {
            stack.remove(0).unwrap()
        }
        let (event, took) = time(|| host.ask("join"));
        assert_eq!(event, "CKR_OK");
        assert!(took < 2 * SECOND, "{took:?}");
        // The other slot of the reader has the same event.
        host.expect("wait", "CKR_OK");
    }
}

#[test]
fn the_end_of_the_module_ends_a_wait_for_a_card() {
    let mut stack = stack(true);
    let mut end_of_wait = |without_daemon| {
        if stack.pcscd_pid().is_none() {
            stack.restart_pcscd().unwrap();
        }
        let mut host = Child::start(&stack);
        host.expect("initialize", "CKR_OK");
        host.expect("slots", "CKR_OK 4");
        if without_daemon {
            stack.kill_pcscd();
        }
        host.expect("spawn wait", "spawned");
        if without_daemon {
            // The readers went with the daemon: one event for each slot.
            host.expect("join", "CKR_OK");
            host.expect("wait", "CKR_OK");
            host.expect("spawn wait", "spawned");
        }
        assert_eq!(host.answer_within(Duration::from_millis(100)), None);
        let (finalized, took) = time(|| host.ask("finalize"));
        assert_eq!(finalized, "CKR_OK");
        assert_eq!(host.ask("join"), "CKR_CRYPTOKI_NOT_INITIALIZED");
        took
    };
    for without_daemon in [false, true] {
        let took = least_time(SECOND, || end_of_wait(without_daemon));
        assert!(took < SECOND, "{took:?}");
    }
}
