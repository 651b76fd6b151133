//! Very many sessions, one after another and at once.
//!
//! `JPKI_SOAK=full` makes it a million and a hundred thousand. The figures are printed.

use std::collections::HashSet;
use std::env;
use std::time::Instant;

use crate::support::fixture::Fixture;
use cryptoki_sys as ck;
use jpki_pkcs11::error::Error;
use jpki_pkcs11::handle::SessionHandle;
use virtual_card::Credential;

fn is_full() -> bool {
    env::var_os("JPKI_SOAK").is_some_and(|value| value == "full")
}

#[test]
fn sessions_come_and_go_and_no_handle_comes_twice() {
    let count = if is_full() { 1_000_000 } else { 5_000 };
    let fixture = Fixture::new();
    let start = Instant::now();
    let slot = fixture.auth_slot();
    let mut last = SessionHandle::new(0);
    for _ in 0..count {
        let session = fixture.open(slot);
        assert!(session > last, "handles grow");
        last = session;
        fixture.module().close_session(session).expect("a session");
    }
    println!("{count} sessions opened and closed, {:.1} s", start.elapsed().as_secs_f64());
    let info = fixture.module().token_info(fixture.auth_slot()).expect("a token");
    assert_eq!(info.ulSessionCount, 0);
}

#[test]
fn very_many_sessions_are_open_at_once_and_the_last_one_ends_the_login() {
    let count = if is_full() { 100_000 } else { 2_000 };
    let fixture = Fixture::new();
    let first = fixture.logged_in(Credential::Authentication);
    let (slot, start) = (fixture.auth_slot(), Instant::now());
    let mut open: HashSet<SessionHandle> = (1..count).map(|_| fixture.open(slot)).collect();
    open.insert(first);
    assert_eq!(open.len(), count, "each has a handle of its own");
    let info = fixture.module().token_info(fixture.auth_slot()).expect("a token");
    assert_eq!(usize::try_from(info.ulSessionCount), Ok(count));
    for &session in &open {
        assert_eq!(fixture.memory().live_pages(), 1);
        fixture.module().close_session(session).expect("a session");
    }
    println!("{count} sessions open at once, {:.1} s", start.elapsed().as_secs_f64());
    assert_eq!(fixture.memory().live_pages(), 0);
}

/// PKCS #11 v3.2, C_OpenSession: a caller that got one would wait for an answer of C_AsyncComplete.
#[test]
fn an_asynchronous_session_is_refused() {
    let fixture = Fixture::new();
    let open = |flags| fixture.module().open_session(fixture.sign_slot(), flags).map_err(Error::return_value);
    let refused = Err(ck::CKR_SESSION_ASYNC_NOT_SUPPORTED);
    assert_eq!(open(ck::CKF_SERIAL_SESSION | ck::CKF_ASYNC_SESSION), refused);
    assert_eq!(open(ck::CKF_SERIAL_SESSION | ck::CKF_RW_SESSION | ck::CKF_ASYNC_SESSION), refused);
    assert_eq!(open(ck::CKF_ASYNC_SESSION), Err(ck::CKR_SESSION_PARALLEL_NOT_SUPPORTED));
}

#[test]
fn past_the_limit_there_are_no_sessions_until_one_is_closed() {
    let fixture = Fixture::new();
    let slot = fixture.sign_slot();
    let mut last = fixture.open(slot);
    let refusal = loop {
        match fixture.module().open_session(slot, ck::CKF_SERIAL_SESSION) {
            Ok(session) => last = session,
            Err(error) => break error,
        }
    };
    assert_eq!(refusal, Error::SessionCount);
    assert_eq!(refusal.return_value(), ck::CKR_SESSION_COUNT);
    println!("the session after {} is refused", last.raw());
    assert!(last.raw() > 100_000);
    fixture.module().close_session(last).expect("a session");
    fixture.open(slot);
    fixture.module().close_all_sessions(slot).expect("a slot");
}
