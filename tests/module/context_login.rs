//! With `always_authenticate`, the PIN that was given for one signature: it ends with the login,
//! and is never sent once it is known to be wrong.

use std::thread;

use crate::support::by_handle::ByHandle;
use crate::support::calls::rv;
use crate::support::fixture::{Fixture, READER, SIGN_PIN};
use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::handle::SessionHandle;
use pcsc_stand_in::service::Function;
use virtual_card::Credential;

const MECHANISM: ck::CK_MECHANISM_TYPE = ck::CKM_SHA256_RSA_PKCS;

fn always_authenticate() -> Fixture {
    Fixture::builder().config(Config::parse("always_authenticate = true")).build()
}

/// A session in which a signature has begun and its PIN was given.
fn with_ticket(fixture: &Fixture) -> SessionHandle {
    let session = fixture.logged_in(Credential::Signature);
    begin(fixture, session);
    fixture.login_for_operation(session, SIGN_PIN).expect("the right PIN");
    assert_eq!(fixture.memory().live_pages(), 1, "the PIN of the signature");
    session
}

fn begin(fixture: &Fixture, session: SessionHandle) {
    fixture.sign_init(session, MECHANISM, fixture.key(session)).expect("logged in");
}

#[test]
fn the_pin_of_a_signature_is_gone_after_each_end_of_the_login() {
    type End = fn(&Fixture, SessionHandle);
    let ends: [(&str, End); 7] = [
        ("logout", |fixture, session| fixture.module().logout(session).expect("logged in")),
        ("logout in another session", |fixture, _| {
            let other = fixture.open(fixture.sign_slot());
            fixture.module().logout(other).expect("logged in");
        }),
        ("cancel", |fixture, session| {
            fixture.module().session_cancel(session, ck::CKF_SIGN).expect("a session");
        }),
        ("close", |fixture, session| fixture.module().close_session(session).expect("a session")),
        ("close all", |fixture, _| fixture.module().close_all_sessions(fixture.sign_slot()).expect("a slot")),
        ("removal that no session has noticed", |fixture, _| {
            fixture.remove_card();
            assert_eq!(fixture.module().count_slots(true), Ok(0));
        }),
        ("finalize", |fixture, _| fixture.module().shut_down()),
    ];
    for (name, end) in ends {
        let fixture = always_authenticate();
        let session = with_ticket(&fixture);
        end(&fixture, session);
        assert_eq!(fixture.memory().live_pages(), 0, "{name}");
    }
}

#[test]
fn a_signature_whose_pin_was_given_before_a_logout_needs_it_again_after_the_next_login() {
    let fixture = always_authenticate();
    let session = with_ticket(&fixture);
    fixture.module().logout(session).expect("logged in");
    fixture.login(session, SIGN_PIN).expect("the right PIN");
    let mark = fixture.card().mark();
    assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_USER_NOT_LOGGED_IN);
    assert_eq!(fixture.card().ledger_since(mark).verifies(Credential::Signature), 0);
    assert_eq!(fixture.card().signatures(), 0);
}

/// PKCS#11 2.40, 4.9, CKA_ALWAYS_AUTHENTICATE: CKR_PIN_LOCKED logs the user out.
#[test]
fn a_pin_that_gets_locked_at_a_signature_ends_the_login() {
    for (settings, wrong) in [("", 5), ("\nreserve_tries = 1", 4)] {
        let config = Config::parse(&format!("always_authenticate = true{settings}"));
        let fixture = Fixture::builder().config(config).build();
        let session = fixture.logged_in(Credential::Signature);
        begin(&fixture, session);
        let mut codes = Vec::new();
        while codes.last() != Some(&ck::CKR_PIN_LOCKED) {
            let pin = format!("WRONG{}", codes.len());
            codes.push(rv(fixture.login_for_operation(session, pin.as_bytes())));
        }
        assert_eq!(fixture.card().failed_verifies(Credential::Signature), wrong);
        let state = fixture.module().session_info(session).expect("a session").state;
        assert_eq!(state, ck::CKS_RO_PUBLIC_SESSION);
        assert_eq!(fixture.find(session, ck::CKO_PRIVATE_KEY), []);
    }
}

#[test]
fn without_a_login_no_pin_is_sent_for_a_signature() {
    for pin in [SIGN_PIN, b"WRONG1", b"nonsense!"] {
        let fixture = always_authenticate();
        let session = fixture.logged_in(Credential::Signature);
        begin(&fixture, session);
        fixture.module().logout(session).expect("logged in");
        let mark = fixture.card().mark();
        assert_eq!(rv(fixture.login_for_operation(session, pin)), ck::CKR_USER_NOT_LOGGED_IN);
        assert_eq!(fixture.card().commands_since(mark), 0);
    }
}

#[test]
fn a_pin_that_was_given_for_a_signature_is_not_sent_once_it_was_changed() {
    let fixture = always_authenticate();
    let session = with_ticket(&fixture);
    let other = fixture.open_rw(fixture.sign_slot());
    fixture.set_pin(other, SIGN_PIN, b"XYZ789").expect("the right PIN");
    assert_eq!(fixture.memory().live_pages(), 0, "neither PIN is needed any more");
    assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_USER_NOT_LOGGED_IN);
    assert_eq!(fixture.card().failed_verifies(Credential::Signature), 0);
    begin(&fixture, session);
    fixture.login_for_operation(session, b"XYZ789").expect("the new PIN");
    fixture.finish_sign(session, b"data").expect("a signature");
}

#[test]
fn a_pin_that_was_changed_elsewhere_is_sent_once_however_many_signatures_wait_with_it() {
    let fixture = always_authenticate();
    let first = with_ticket(&fixture);
    let others = [(); 3].map(|()| {
        let session = fixture.open(fixture.sign_slot());
        begin(&fixture, session);
        fixture.login_for_operation(session, SIGN_PIN).expect("the right PIN");
        session
    });
    fixture.card().set_pin(Credential::Signature, "XYZ789");
    fixture.allow_failed_verifies(Credential::Signature, 1);
    for session in [&[first][..], &others].concat() {
        assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_USER_NOT_LOGGED_IN);
    }
    assert_eq!(fixture.tries_left(Credential::Signature), 4);
    assert_eq!(fixture.memory().live_pages(), 0);
}

#[test]
fn a_logout_while_the_card_checks_the_pin_of_a_signature_leaves_no_pin() {
    let fixture = always_authenticate();
    let session = fixture.logged_in(Credential::Signature);
    begin(&fixture, session);
    // The module waits for its turn at the card.
    let holder = fixture.foreign().hold_transaction(READER).expect("the card");
    thread::scope(|scope| {
        let caller = scope.spawn(|| rv(fixture.login_for_operation(session, SIGN_PIN)));
        fixture.service().await_blocked(Function::BeginTransaction, 1);
        fixture.module().logout(session).expect("logged in");
        drop(holder);
        assert_eq!(caller.join().expect("no panic"), ck::CKR_USER_NOT_LOGGED_IN);
    });
    assert_eq!(fixture.memory().live_pages(), 0);
    assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_USER_NOT_LOGGED_IN);
}

#[test]
fn a_wrong_pin_for_a_signature_leaves_the_login_and_the_signature_as_they_are() {
    let fixture = always_authenticate();
    let session = fixture.logged_in(Credential::Signature);
    begin(&fixture, session);
    assert_eq!(rv(fixture.login_for_operation(session, b"WRONG1")), ck::CKR_PIN_INCORRECT);
    assert_eq!(rv(fixture.login_for_operation(session, b"WRONG1")), ck::CKR_FUNCTION_CANCELED);
    let state = fixture.module().session_info(session).expect("a session").state;
    assert_eq!(state, ck::CKS_RO_USER_FUNCTIONS);
    fixture.login_for_operation(session, SIGN_PIN).expect("the right PIN");
    fixture.finish_sign(session, b"data").expect("a signature");
    assert_eq!(fixture.tries_left(Credential::Signature), 5);
    assert_eq!(fixture.card().signatures(), 1);
}

#[test]
fn each_of_many_signatures_at_once_needs_a_pin_of_its_own() {
    let fixture = always_authenticate();
    fixture.logged_in(Credential::Signature);
    thread::scope(|scope| {
        for number in 0..8 {
            let fixture = &fixture;
            scope.spawn(move || {
                let session = fixture.open(fixture.sign_slot());
                for _ in 0..4 {
                    begin(fixture, session);
                    let expected = if number % 2 == 0 {
                        fixture.login_for_operation(session, SIGN_PIN).expect("the right PIN");
                        ck::CKR_OK
                    } else {
                        ck::CKR_USER_NOT_LOGGED_IN
                    };
                    assert_eq!(rv(fixture.finish_sign(session, b"data")), expected);
                }
            });
        }
    });
    assert_eq!(fixture.card().signatures(), 16);
    assert_eq!(fixture.memory().live_pages(), 0);
}
