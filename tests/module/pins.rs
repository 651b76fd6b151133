//! PINs: no try is lost to software, and every answer says what the user can do next.
//!
//! At the end of each test the fixture asserts that every VERIFY the card refused goes back to one
//! login or change of the PIN with a new, well-formed PIN.

mod change;
mod forms;

use std::sync::Barrier;
use std::thread;

use crate::support::by_handle::ByHandle;
use crate::support::calls::rv;
use crate::support::fixture::{AUTH_PIN, Fixture, SIGN_PIN};
use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::handle::SlotId;
use jpki_pkcs11::token::output::{BufferSize, Output};
use virtual_card::{Credential, Fault, Profile};

const LOW: ck::CK_FLAGS = ck::CKF_USER_PIN_COUNT_LOW;
const FINAL: ck::CK_FLAGS = ck::CKF_USER_PIN_FINAL_TRY;
const LOCKED: ck::CK_FLAGS = ck::CKF_USER_PIN_LOCKED;

const VERIFY: u8 = 0x20;

/// The PIN flags of a slot's token.
fn pin_flags(fixture: &Fixture, slot: SlotId) -> ck::CK_FLAGS {
    fixture.module().token_info(slot).expect("a token").flags & (LOW | FINAL | LOCKED)
}

fn state(fixture: &Fixture, session: jpki_pkcs11::handle::SessionHandle) -> ck::CK_STATE {
    fixture.module().session_info(session).expect("a session").state
}

fn with_config(text: &str) -> Fixture {
    let config = Config::parse(text);
    assert!(config.complaints.is_empty(), "{:?}", config.complaints);
    Fixture::builder().config(config).build()
}

#[test]
fn a_wrong_pin_costs_one_try_and_is_told_apart_from_a_lock() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    assert_eq!(rv(fixture.login(session, b"9999")), ck::CKR_PIN_INCORRECT);
    assert_eq!(fixture.tries_left(Credential::Authentication), 2);
    assert_eq!(pin_flags(&fixture, fixture.auth_slot()), LOW);
    assert_eq!(state(&fixture, session), ck::CKS_RO_PUBLIC_SESSION);
}

#[test]
fn the_right_pin_after_two_wrong_ones_clears_the_flags_and_the_counter() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    assert_eq!(rv(fixture.login(session, b"9999")), ck::CKR_PIN_INCORRECT);
    assert_eq!(rv(fixture.login(session, b"8888")), ck::CKR_PIN_INCORRECT);
    assert_eq!(pin_flags(&fixture, fixture.auth_slot()), LOW | FINAL);
    assert_eq!(rv(fixture.login(session, AUTH_PIN)), ck::CKR_OK);
    assert_eq!(pin_flags(&fixture, fixture.auth_slot()), 0);
    assert_eq!(fixture.tries_left(Credential::Authentication), 3);
}

#[test]
fn the_try_that_exhausts_the_counter_says_locked_and_the_other_slot_works_on() {
    for (credential, wrong) in [
        (Credential::Authentication, &[&b"9999"[..], b"8888", b"7777"][..]),
        (Credential::Signature, &[&b"WRONG1"[..], b"WRONG2", b"WRONG3", b"WRONG4", b"WRONG5"]),
    ] {
        let fixture = Fixture::new();
        let session = fixture.open(fixture.slot_of(credential));
        let (last, before) = wrong.split_last().expect("some PINs");
        for pin in before {
            assert_eq!(rv(fixture.login(session, pin)), ck::CKR_PIN_INCORRECT);
        }
        assert_eq!(rv(fixture.login(session, last)), ck::CKR_PIN_LOCKED);
        assert_eq!(pin_flags(&fixture, fixture.slot_of(credential)), LOW | LOCKED);
        let other = match credential {
            Credential::Authentication => Credential::Signature,
            Credential::Signature => Credential::Authentication,
        };
        fixture.logged_in(other);
    }
}

#[test]
fn no_pin_is_sent_to_a_blocked_card_and_its_certificates_still_list() {
    let fixture = Fixture::with(Profile::blocked_authentication());
    let session = fixture.open(fixture.auth_slot());
    assert_eq!(rv(fixture.login(session, AUTH_PIN)), ck::CKR_PIN_LOCKED);
    assert_eq!(fixture.card().verifies(Credential::Authentication), 0);
    assert_eq!(fixture.find(session, ck::CKO_CERTIFICATE).len(), 1);
    assert_eq!(pin_flags(&fixture, fixture.auth_slot()), LOW | LOCKED);
}

#[test]
fn every_answer_that_means_blocked_means_no_tries() {
    for status in [0x6983, 0x6984, 0x63c0] {
        let fixture = Fixture::new();
        let session = fixture.open(fixture.auth_slot());
        fixture
            .card()
            .inject(Fault::when(|command| command.len() > 5 && command[1] == VERIFY).answer_status(status));
        assert_eq!(rv(fixture.login(session, AUTH_PIN)), ck::CKR_PIN_LOCKED, "{status:04x}");
        assert_eq!(state(&fixture, session), ck::CKS_RO_PUBLIC_SESSION);
        fixture.card().inject(Fault::on_instruction(VERIFY).repeated().answer_status(status));
        assert_eq!(pin_flags(&fixture, fixture.auth_slot()), LOW | LOCKED, "{status:04x}");
    }
}

#[test]
fn a_loop_with_one_wrong_pin_costs_one_try() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    assert_eq!(rv(fixture.login(session, b"9999")), ck::CKR_PIN_INCORRECT);
    let mark = fixture.card().mark();
    for _ in 0..1000 {
        assert_eq!(rv(fixture.login(session, b"9999")), ck::CKR_FUNCTION_CANCELED);
    }
    // The count is asked each time: it might have risen.
    assert_eq!(fixture.card().commands_since(mark), 3 * 1000);
    assert_eq!(fixture.card().verifies(Credential::Authentication), 1);
    assert_eq!(fixture.tries_left(Credential::Authentication), 2);
}

#[test]
fn a_refused_password_is_known_again_in_another_case() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.sign_slot());
    assert_eq!(rv(fixture.login(session, b"wrong1")), ck::CKR_PIN_INCORRECT);
    assert_eq!(rv(fixture.login(session, b"WRONG1")), ck::CKR_FUNCTION_CANCELED);
    assert_eq!(fixture.tries_left(Credential::Signature), 4);
}

#[test]
fn a_refused_pin_may_be_sent_again_after_a_right_one() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    assert_eq!(rv(fixture.login(session, b"9999")), ck::CKR_PIN_INCORRECT);
    assert_eq!(rv(fixture.login(session, AUTH_PIN)), ck::CKR_OK);
    fixture.module().logout(session).expect("logged in");
    assert_eq!(rv(fixture.login(session, b"9999")), ck::CKR_PIN_INCORRECT);
}

#[test]
fn a_refused_pin_may_be_sent_again_when_the_counter_changed() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    assert_eq!(rv(fixture.login(session, b"9999")), ck::CKR_PIN_INCORRECT);
    // Another program set this PIN: the counter is full again.
    fixture.card().set_pin(Credential::Authentication, "9999");
    fixture.card().set_tries_left(Credential::Authentication, 3);
    fixture.module().token_info(fixture.auth_slot()).expect("a token");
    assert_eq!(rv(fixture.login(session, b"9999")), ck::CKR_OK);
}

#[test]
fn of_16_threads_with_the_right_pin_one_logs_in_with_one_verify() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    let codes = at_once(16, || rv(fixture.login(session, AUTH_PIN)));
    assert_eq!(codes.iter().filter(|&&code| code == ck::CKR_OK).count(), 1);
    assert_eq!(codes.iter().filter(|&&code| code == ck::CKR_USER_ALREADY_LOGGED_IN).count(), 15);
    assert_eq!(fixture.card().verifies(Credential::Authentication), 1);
}

#[test]
fn of_16_threads_with_the_same_wrong_pin_one_spends_a_try() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    let codes = at_once(16, || rv(fixture.login(session, b"9999")));
    assert!(codes.iter().all(|&code| code == ck::CKR_PIN_INCORRECT || code == ck::CKR_FUNCTION_CANCELED));
    assert_eq!(fixture.tries_left(Credential::Authentication), 2);
}

#[test]
fn a_pin_that_was_changed_elsewhere_is_sent_once_and_ends_the_login() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    let key = fixture.key(session);
    fixture.card().set_pin(Credential::Authentication, "4321");
    fixture.allow_failed_verifies(Credential::Authentication, 1);
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).expect("logged in");
    assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_USER_NOT_LOGGED_IN);
    for _ in 0..4 {
        assert_eq!(rv(fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key)), ck::CKR_USER_NOT_LOGGED_IN);
    }
    assert_eq!(rv(fixture.login(session, AUTH_PIN)), ck::CKR_FUNCTION_CANCELED);
    assert_eq!(fixture.tries_left(Credential::Authentication), 2);
    assert_eq!(fixture.memory().live_pages(), 0);
}

#[test]
fn after_a_lost_answer_the_counter_is_asked_before_the_next_pin() {
    for counted in [false, true] {
        let fixture = Fixture::new();
        let session = fixture.open(fixture.auth_slot());
        fixture.module().token_info(fixture.auth_slot()).expect("a token");
        let fault = Fault::when(|command| command.len() > 5 && command[1] == VERIFY);
        let fault = if counted { fault.after_processing() } else { fault };
        // SCARD_E_NOT_TRANSACTED
        fixture.card().inject(fault.transport_error(i32::from_be_bytes([0x80, 0x10, 0x00, 0x16])));
        assert_eq!(rv(fixture.login(session, b"9999")), ck::CKR_DEVICE_ERROR);
        let mark = fixture.card().mark();
        assert_eq!(rv(fixture.login(session, AUTH_PIN)), ck::CKR_OK);
        let ledger = fixture.card().ledger_since(mark);
        assert_eq!(ledger.queries(Credential::Authentication), 1);
        assert_eq!(ledger.verifies(Credential::Authentication), 1);
    }
}

#[test]
fn a_login_succeeds_only_if_the_card_answers_9000_and_nothing_more() {
    let cases = [
        (vec![0x63, 0x00], ck::CKR_PIN_INCORRECT),
        (vec![0x67, 0x00], ck::CKR_DEVICE_ERROR),
        (vec![0x6a, 0x80], ck::CKR_DEVICE_ERROR),
        (vec![0x6f, 0x00], ck::CKR_DEVICE_ERROR),
        (vec![0x69, 0x82], ck::CKR_DEVICE_ERROR),
        (vec![0x6c, 0x04], ck::CKR_DEVICE_ERROR),
        (vec![0x61, 0x04], ck::CKR_DEVICE_ERROR),
        (vec![0x01, 0x90, 0x00], ck::CKR_DEVICE_ERROR),
    ];
    for (answer, code) in cases {
        let fixture = Fixture::new();
        let session = fixture.open(fixture.auth_slot());
        let fault = Fault::when(|command| command.len() > 5 && command[1] == VERIFY);
        fixture.card().inject(fault.answer(answer.clone()));
        assert_eq!(rv(fixture.login(session, AUTH_PIN)), code, "{answer:02x?}");
        assert_eq!(state(&fixture, session), ck::CKS_RO_PUBLIC_SESSION);
        assert_eq!(fixture.memory().live_pages(), 0);
    }
}

#[test]
fn there_is_no_security_officer() {
    let fixture = Fixture::new();
    let session = fixture.open_rw(fixture.auth_slot());
    let mark = fixture.card().mark();
    assert_eq!(rv(fixture.login_as(session, ck::CKU_SO, AUTH_PIN)), ck::CKR_USER_TYPE_INVALID);
    assert_eq!(rv(fixture.login_as(session, 77, AUTH_PIN)), ck::CKR_USER_TYPE_INVALID);
    assert_eq!(fixture.card().commands_since(mark), 0);
}

#[test]
fn a_second_login_does_not_look_at_the_pin() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    let mark = fixture.card().mark();
    for pin in [AUTH_PIN, b"9999", b"", b"nonsense"] {
        assert_eq!(rv(fixture.login(session, pin)), ck::CKR_USER_ALREADY_LOGGED_IN);
    }
    assert_eq!(fixture.card().commands_since(mark), 0);
}

/// A reserve of all tries would be a lock of our own: one may always be spent.
#[test]
fn reserved_tries_are_not_spent() {
    for reserved in [2, 3, 200] {
        let fixture = with_config(&format!("reserve_tries = {reserved}"));
        let session = fixture.open_rw(fixture.auth_slot());
        assert_eq!(rv(fixture.login(session, b"9999")), ck::CKR_PIN_INCORRECT);
        let mark = fixture.card().mark();
        assert_eq!(rv(fixture.login(session, AUTH_PIN)), ck::CKR_PIN_LOCKED);
        assert_eq!(pin_flags(&fixture, fixture.auth_slot()), LOW | LOCKED);
        assert_eq!(rv(fixture.set_pin(session, AUTH_PIN, b"4321")), ck::CKR_PIN_LOCKED);
        assert_eq!(fixture.card().ledger_since(mark).verifies(Credential::Authentication), 0);
        assert_eq!(fixture.tries_left(Credential::Authentication), 2);
    }
}

#[test]
fn with_always_authenticate_a_pin_serves_one_signature() {
    let fixture = with_config("always_authenticate = true");
    let session = fixture.logged_in(Credential::Signature);
    let key = fixture.key(session);
    assert_eq!(fixture.attribute(session, key, ck::CKA_ALWAYS_AUTHENTICATE).expect("present"), [1]);
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).expect("logged in");
    assert_eq!(rv(fixture.login_for_operation(session, SIGN_PIN)), ck::CKR_OK);
    assert_eq!(fixture.module().sign(session, b"data", BufferSize::Query), Ok(Output::Length(256)));
    assert_eq!(fixture.module().sign(session, b"data", BufferSize::Bytes(255)), Ok(Output::TooSmall(256)));
    assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_OK);
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).expect("still logged in");
    assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_USER_NOT_LOGGED_IN);
    assert_eq!(fixture.card().signatures(), 1);
    assert_eq!(fixture.memory().live_pages(), 0);
}

#[test]
fn with_always_authenticate_a_wrong_pin_gives_no_signature() {
    let fixture = with_config("always_authenticate = true");
    let session = fixture.logged_in(Credential::Signature);
    let key = fixture.key(session);
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).expect("logged in");
    assert_eq!(rv(fixture.login_for_operation(session, b"WRONG1")), ck::CKR_PIN_INCORRECT);
    assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_USER_NOT_LOGGED_IN);
    assert_eq!(fixture.card().signatures(), 0);
    assert_eq!(fixture.tries_left(Credential::Signature), 4);
}

#[test]
fn always_authenticate_leaves_the_authentication_slot_alone() {
    let fixture = with_config("always_authenticate = true");
    let session = fixture.logged_in(Credential::Authentication);
    fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"first").expect("a signature");
    fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"second").expect("a signature");
}

#[test]
fn a_pin_for_an_operation_needs_one_that_asks_for_it() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Signature);
    let mark = fixture.card().mark();
    assert_eq!(rv(fixture.login_for_operation(session, SIGN_PIN)), ck::CKR_OPERATION_NOT_INITIALIZED);
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, fixture.key(session)).expect("logged in");
    assert_eq!(rv(fixture.login_for_operation(session, SIGN_PIN)), ck::CKR_OPERATION_NOT_INITIALIZED);
    assert_eq!(fixture.card().commands_since(mark), 0);
}

#[test]
fn the_pin_is_gone_after_each_end_of_a_login() {
    type End = fn(&Fixture, jpki_pkcs11::handle::SessionHandle);
    let ends: [(&str, End); 5] = [
        ("logout", |fixture, session| fixture.module().logout(session).expect("logged in")),
        ("close", |fixture, session| fixture.module().close_session(session).expect("a session")),
        ("close all", |fixture, _| fixture.module().close_all_sessions(fixture.auth_slot()).expect("a slot")),
        ("removal", |fixture, session| {
            fixture.remove_card();
            assert_eq!(rv(fixture.module().session_info(session)), ck::CKR_DEVICE_REMOVED);
        }),
        ("finalize", |fixture, _| fixture.module().shut_down()),
    ];
    for (name, end) in ends {
        let fixture = Fixture::new();
        let session = fixture.logged_in(Credential::Authentication);
        assert_eq!(fixture.memory().live_pages(), 1, "{name}");
        end(&fixture, session);
        assert_eq!(fixture.memory().live_pages(), 0, "{name}");
    }
}

#[test]
fn the_login_outlives_one_of_two_sessions() {
    let fixture = Fixture::new();
    let first = fixture.logged_in(Credential::Authentication);
    let second = fixture.open(fixture.auth_slot());
    fixture.module().close_session(first).expect("a session");
    assert_eq!(state(&fixture, second), ck::CKS_RO_USER_FUNCTIONS);
    fixture.module().close_session(second).expect("a session");
    let third = fixture.open(fixture.auth_slot());
    assert_eq!(state(&fixture, third), ck::CKS_RO_PUBLIC_SESSION);
}

/// Runs `call` in so many threads at the same time.
fn at_once<T: Send>(threads: usize, call: impl Fn() -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let begin = || {
            barrier.wait();
            call()
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(begin)).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}
