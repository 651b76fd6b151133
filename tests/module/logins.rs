//! Logins among threads: no PIN outlives its session, its card or its module, and no try is lost.
//!
//! `JPKI_THREAD_ROUNDS` sets how often each thread does what it does.

use std::env;
use std::sync::Barrier;
use std::thread;

use crate::support::by_handle::ByHandle;
use crate::support::calls::rv;
use crate::support::fixture::{AUTH_PIN, Fixture, READER, SIGN_PIN};
use cryptoki_sys as ck;
use jpki_pkcs11::handle::SessionHandle;
use pcsc_stand_in::service::{Disposition, Function, When};
use virtual_card::Credential;

const THREADS: usize = 16;

const MECHANISM: ck::CK_MECHANISM_TYPE = ck::CKM_SHA256_RSA_PKCS;

/// How often each thread does it.
fn each() -> usize {
    env::var("JPKI_THREAD_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

/// Runs `work` in so many threads at the same time, with the number of each.
fn at_once(threads: usize, work: impl Fn(usize) + Sync) {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        for number in 0..threads {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || {
                barrier.wait();
                work(number);
            });
        }
    });
}

/// What another thread does to one that signs, and what that one may answer.
type Interruption = (&'static str, fn(&Fixture, SessionHandle), &'static [ck::CK_RV]);

const INTERRUPTIONS: [Interruption; 6] = [
    ("C_Logout", logout, &[ck::CKR_OK, ck::CKR_USER_NOT_LOGGED_IN]),
    ("C_CloseSession", close, &[ck::CKR_OK, ck::CKR_USER_NOT_LOGGED_IN]),
    ("C_CloseAllSessions", close_all, &[ck::CKR_OK, ck::CKR_USER_NOT_LOGGED_IN]),
    ("C_Finalize", finalize, &[ck::CKR_OK, ck::CKR_USER_NOT_LOGGED_IN, ck::CKR_CRYPTOKI_NOT_INITIALIZED]),
    ("removal", |fixture, _| fixture.remove_card(), &[ck::CKR_OK, ck::CKR_DEVICE_REMOVED]),
    ("out and in", |fixture, _| fixture.service().out_and_in(READER), &[ck::CKR_OK, ck::CKR_DEVICE_REMOVED]),
];

fn logout(fixture: &Fixture, session: SessionHandle) {
    fixture.module().logout(session).expect("logged in");
}

fn close(fixture: &Fixture, session: SessionHandle) {
    fixture.module().close_session(session).expect("a session");
}

fn close_all(fixture: &Fixture, _: SessionHandle) {
    fixture.module().close_all_sessions(fixture.sign_slot()).expect("a slot");
}

fn finalize(fixture: &Fixture, _: SessionHandle) {
    fixture.module().shut_down();
}

#[test]
fn a_signature_that_is_interrupted_between_any_two_commands_ends_well_and_leaves_no_pin() {
    for (name, interrupt, allowed) in INTERRUPTIONS {
        for command in 1..=commands_of_a_signature() {
            let fixture = Fixture::new();
            let session = fixture.logged_in(Credential::Signature);
            let key = fixture.key(session);
            fixture.sign_init(session, MECHANISM, key).expect("logged in");
            let call = || rv(fixture.finish_sign(session, b"data"));
            let code = interrupted(&fixture, command, call, || interrupt(&fixture, session));
            assert!(allowed.contains(&code), "{name} before command {command}: {code:#x}");
            // A card that went away unnoticed is noticed by the next call.
            let _ = fixture.module().session_info(session);
            assert_eq!(fixture.memory().live_pages(), 0, "{name} before command {command}");
            fixture.check_card();
        }
    }
}

/// How many commands a signature takes.
fn commands_of_a_signature() -> u64 {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Signature);
    let key = fixture.key(session);
    let before = fixture.service().calls(Function::Transmit);
    fixture.sign_init(session, MECHANISM, key).expect("logged in");
    fixture.finish_sign(session, b"data").expect("a signature");
    fixture.service().calls(Function::Transmit) - before
}

/// Runs `call` in a thread of its own, which stops before one of its commands until `interruption`
/// is over.
fn interrupted(
    fixture: &Fixture,
    command: u64,
    call: impl FnOnce() -> ck::CK_RV + Send,
    interruption: impl FnOnce(),
) -> ck::CK_RV {
    let breakpoint = fixture.stop_before(Function::Transmit, When::nth(command));
    thread::scope(|scope| {
        let calling = scope.spawn(call);
        breakpoint.wait();
        interruption();
        breakpoint.wait();
        calling.join().expect("no panic")
    })
}

/// How many commands a login takes, on a card that is known.
fn commands_of_a_login() -> u64 {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.sign_slot());
    let before = fixture.service().calls(Function::Transmit);
    fixture.login(session, SIGN_PIN).expect("the right PIN");
    fixture.service().calls(Function::Transmit) - before
}

#[test]
fn a_login_that_is_interrupted_between_any_two_commands_leaves_no_pin() {
    let allowed = [
        ck::CKR_OK,
        ck::CKR_SESSION_HANDLE_INVALID,
        ck::CKR_CRYPTOKI_NOT_INITIALIZED,
        ck::CKR_DEVICE_REMOVED,
    ];
    for (name, interrupt, _) in INTERRUPTIONS.into_iter().filter(|(name, ..)| *name != "C_Logout") {
        for command in 1..=commands_of_a_login() {
            let fixture = Fixture::new();
            let session = fixture.open(fixture.sign_slot());
            let other = fixture.open(fixture.auth_slot());
            let call = || rv(fixture.login(session, SIGN_PIN));
            let code = interrupted(&fixture, command, call, || {
                interrupt(&fixture, session);
                // Another thread is the first to notice what has become of the card.
                let _ = fixture.module().session_info(other);
            });
            assert!(allowed.contains(&code), "{name} before command {command}: {code:#x}");
            assert_eq!(fixture.memory().live_pages(), 0, "{name} before command {command}");
            fixture.check_card();
        }
    }
}

#[test]
fn logins_and_logouts_of_many_threads_leave_no_login_and_cost_no_try() {
    let fixture = Fixture::new();
    let stay = fixture.open(fixture.auth_slot());
    at_once(THREADS, |_| {
        let session = fixture.open(fixture.auth_slot());
        for _ in 0..each() {
            let code = rv(fixture.login(session, AUTH_PIN));
            assert!([ck::CKR_OK, ck::CKR_USER_ALREADY_LOGGED_IN].contains(&code), "{code:#x}");
            let code = rv(fixture.module().logout(session));
            assert!([ck::CKR_OK, ck::CKR_USER_NOT_LOGGED_IN].contains(&code), "{code:#x}");
        }
        fixture.module().close_session(session).expect("a session");
    });
    let info = fixture.module().session_info(stay).expect("a session");
    assert_eq!(info.state, ck::CKS_RO_PUBLIC_SESSION);
    assert_eq!(fixture.memory().live_pages(), 0);
    assert_eq!(fixture.tries_left(Credential::Authentication), 3);
}

#[test]
fn threads_that_call_everything_do_not_disturb_those_that_sign_while_the_card_is_reset() {
    let fixture = Fixture::new();
    let main = Credential::ALL.map(|credential| fixture.logged_in(credential));
    let keys = main.map(|session| fixture.key(session));
    // One program that disturbs: two that reset the card at once take each other's notices away.
    at_once(7, |number| {
        let slot = fixture.slot_of(Credential::ALL[number % 2]);
        let session = fixture.open(slot);
        for _ in 0..each() {
            match number / 2 {
                0 | 1 => {
                    fixture.sign_init(session, MECHANISM, keys[number % 2]).expect("logged in");
                    fixture.finish_sign(session, b"data").expect("a signature");
                }
                2 => look_around(&fixture, session),
                _ => disturb(&fixture),
            }
        }
    });
    assert_eq!(fixture.card().signatures(), 4 * each());
}

/// Everything that reads.
fn look_around(fixture: &Fixture, session: SessionHandle) {
    let module = fixture.module();
    assert_eq!(module.count_slots(true), Ok(2));
    #[allow(clippy::useless_conversion, reason = "CK_ULONG has 32 bits on some machines")]
    let slot = module.session_info(session).expect("a session").slotID.into();
    let slot = jpki_pkcs11::handle::SlotId::new(slot);
    module.slot_info(slot).expect("a slot");
    module.token_info(slot).expect("a token");
    module.mechanism_list(slot).expect("a token");
    let other = fixture.open(slot);
    let found = fixture.find_by(other, &[]).expect("a search");
    let labels = found.iter().filter(|&&object| fixture.attribute(other, object, ck::CKA_LABEL).is_ok());
    let expected = if slot == fixture.auth_slot() { 3 } else { 4 };
    assert_eq!(labels.count(), expected, "a key pair, a certificate, and the signature CA's");
    module.close_session(other).expect("a session");
}

/// Another program resets the card and selects another application.
fn disturb(fixture: &Fixture) {
    let other = fixture.foreign().connect(READER).expect("the card");
    other.begin().expect("a transaction");
    other.select(&[0xa0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00]).expect("an answer");
    other.end(Disposition::Leave).expect("a transaction");
    other.disconnect(Disposition::Reset).expect("a connection");
}

#[test]
fn one_of_many_threads_changes_the_pin_and_the_others_sign_on() {
    let fixture = Fixture::new();
    let session = fixture.open_rw(fixture.sign_slot());
    fixture.login(session, SIGN_PIN).expect("the right PIN");
    let key = fixture.key(session);
    at_once(8, |number| {
        let own = fixture.open_rw(fixture.sign_slot());
        for round in 0..each() {
            if number == 0 {
                let pins: [&[u8]; 2] = [SIGN_PIN, b"XYZ789"];
                fixture.set_pin(own, pins[round % 2], pins[(round + 1) % 2]).expect("the right PIN");
            } else {
                fixture.sign_init(own, MECHANISM, key).expect("logged in");
                fixture.finish_sign(own, b"data").expect("a signature");
            }
        }
    });
    assert_eq!(fixture.tries_left(Credential::Signature), 5);
}
