//! A PC/SC service that answers what no service answers. The `pcsc` crate panics then, on some of
//! it in debug builds only; no panic leaves the module, and nothing stays broken.

use std::ptr;

use cryptoki_sys as ck;
use pcsc_stand_in::client::Isolated;
use pcsc_stand_in::isolated;
use pcsc_stand_in::service::Function;

use crate::support::guarded::Guarded;
use crate::support::host::{AUTHENTICATION_PIN, CARD, Host, READER};
use test_support::Rv;
use test_support::c;
use test_support::client::{SIGNATURE, ulong};

/// What a call may say of an impossible answer.
fn assert_told(rv: Rv, what: &str) {
    assert!([ck::CKR_GENERAL_ERROR, ck::CKR_DEVICE_ERROR].contains(&rv.0), "{what}: {rv:?}");
}

/// Logs in and signs, as far as it comes.
fn try_to_sign(host: &Host) -> Result<(), Rv> {
    let mut count = 0;
    let mut slots = [0; 2];
    c!(host.p11, C_GetSlotList(ck::CK_TRUE, ptr::null_mut(), &raw mut count)).result()?;
    count = 2;
    c!(host.p11, C_GetSlotList(ck::CK_TRUE, slots.as_mut_ptr(), &raw mut count)).result()?;
    if count < 2 {
        return Err(Rv(ck::CKR_TOKEN_NOT_PRESENT));
    }
    let session = host.open_on(slots[0])?;
    let signed =
        host.login(session, AUTHENTICATION_PIN).result().and_then(|()| host.sign_sha256(session, b"data"));
    c!(host.p11, C_CloseSession(session));
    signed.map(drop)
}

/// Whether a function is about one card.
fn concerns_card(function: Function) -> bool {
    matches!(function, Function::Connect | Function::BeginTransaction | Function::Transmit)
}

/// Lets a function misbehave once, at its first call, its second, and so on, in the course of a
/// signature from nothing. After each time everything works. Returns how often it was noticed.
fn misbehave_everywhere(host: &Host, function: Function, fault: &[&[u8]]) -> usize {
    let stand_in = host.stand_in;
    let mut noticed = 0;
    for nth in 1.. {
        stand_in.clear_log();
        stand_in.inject(function, nth, Some(1), fault);
        let signed = try_to_sign(host);
        let reached = stand_in.calls(function) >= nth;
        stand_in.clear_faults();
        // A card that could not be recognised is not asked again before it is put in again.
        if concerns_card(function) && host.slots(true).is_empty() {
            stand_in.remove_card(READER);
            stand_in.insert(READER, CARD);
        }
        host.signs();
        host.finalize().ok();
        host.initialize().ok();
        if !reached {
            assert!(nth > 1, "{function} is called");
            break;
        }
        if let Err(rv) = signed {
            // A reader that cannot be asked has no card.
            let no_card_seen =
                [ck::CKR_TOKEN_NOT_PRESENT, ck::CKR_TOKEN_NOT_RECOGNIZED, ck::CKR_DEVICE_REMOVED]
                    .contains(&rv.0);
            if !no_card_seen {
                assert_told(rv, &format!("{function}, call {nth}"));
            }
            noticed += 1;
        }
    }
    assert_eq!(host.lost_tries(), 0);
    assert_eq!(stand_in.card(CARD, &["verified", "authentication"]), "false");
    noticed
}

#[test]
fn an_answer_longer_than_its_buffer_is_an_error_wherever_it_comes() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        for length in [&b"0xffffffff"[..], b"70000"] {
            let noticed = misbehave_everywhere(&host, Function::Transmit, &[b"length", length]);
            assert!(noticed > 5, "{noticed}");
        }
    });
}

#[test]
fn an_unknown_code_is_an_error_wherever_it_comes() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        for function in [
            Function::EstablishContext,
            Function::ListReaders,
            Function::GetStatusChange,
            Function::Connect,
            Function::BeginTransaction,
            Function::Transmit,
        ] {
            let noticed = misbehave_everywhere(&host, function, &[b"fail", b"0x80109999"]);
            assert!(noticed > 0, "{function}");
        }
    });
}

#[test]
fn an_unknown_code_at_the_end_of_a_transaction_leaves_the_card_without_a_login() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        misbehave_everywhere(&host, Function::EndTransaction, &[b"fail", b"0x80109999"]);
        misbehave_everywhere(&host, Function::EndTransaction, &[b"fail-after", b"0x80109999"]);
    });
}

#[test]
fn an_unknown_code_when_a_connection_closes_does_no_harm() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        host.signs();
        stand_in.inject(Function::Disconnect, 1, None, &[b"fail-after", b"0x80109999"]);
        stand_in.inject(Function::ReleaseContext, 1, None, &[b"fail-after", b"0x80109999"]);
        let rv = host.finalize();
        assert!([ck::CKR_OK, ck::CKR_GENERAL_ERROR].contains(&rv.0), "{rv:?}");
        stand_in.clear_faults();
        host.initialize().ok();
        host.signs();
    });
}

#[test]
fn a_protocol_that_does_not_exist_is_an_error() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let noticed = misbehave_everywhere(&host, Function::Connect, &[b"protocol", b"0x10000"]);
        assert_eq!(noticed, 1);
    });
}

#[test]
fn a_protocol_that_does_not_exist_after_a_reset_is_an_error() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.logged_in();
        stand_in.foreign(READER, "other", "shared").unwrap().release("reset");
        stand_in.inject(Function::Reconnect, 1, Some(1), &[b"protocol", b"0x10000"]);
        assert_told(host.sign_sha256(session, b"data").unwrap_err(), "SCardReconnect");
        host.sign_sha256(session, b"data").unwrap();
    });
}

#[test]
fn a_connection_that_came_back_without_a_protocol_is_renewed() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.logged_in();
        stand_in.foreign(READER, "other", "shared").unwrap().release("reset");
        // pcscd says so in the middle of the next reset by another program.
        stand_in.inject(Function::Reconnect, 1, Some(1), &[b"protocol", b"0"]);
        assert_told(host.sign_sha256(session, b"data").unwrap_err(), "SCardReconnect");
        host.sign_sha256(session, b"data").unwrap();
    });
}

#[test]
fn a_thread_that_waits_for_events_stands_an_unknown_code() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        host.slots(true);
        for function in [Function::ListReaders, Function::GetStatusChange, Function::EstablishContext] {
            stand_in.inject(function, 1, Some(1), &[b"fail", b"0x80109999"]);
            let mut slot = 0;
            let rv = c!(host.p11, C_WaitForSlotEvent(ck::CKF_DONT_BLOCK, &raw mut slot, ptr::null_mut()));
            stand_in.clear_faults();
            assert!([ck::CKR_GENERAL_ERROR, ck::CKR_NO_EVENT, ck::CKR_OK].contains(&rv.0), "{rv:?}");
        }
        host.signs();
    });
}

#[test]
fn a_panic_ends_the_operation_and_leaves_the_buffer_alone() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.logged_in();
        host.sign_init(session, ck::CKM_SHA256_RSA_PKCS, host.private_key(session)).ok();
        stand_in.inject(Function::Transmit, 1, Some(1), &[b"length", b"0xffffffff"]);
        let room = Guarded::room(SIGNATURE);
        let mut length = ulong(SIGNATURE);
        let data = b"data".as_ptr().cast_mut();
        let rv = c!(host.p11, C_Sign(session, data, 4, room.place(), &raw mut length));
        assert_told(rv, "C_Sign");
        assert!(room.is_untouched());
        assert_eq!(host.sign(session, b"data"), Err(Rv(ck::CKR_OPERATION_NOT_INITIALIZED)));
    });
}

/// A C_Login, C_Sign or C_SetPIN of a card that is known begins with SELECT of the application and
/// of the PIN, and asks for the tries left.
const VERIFY: u64 = 4;
const CHANGE: u64 = 5;

/// Lets the service lie about the length of an answer that the card has given: the PIN has reached
/// it.
fn lie_about_the_answer(host: &Host, nth: u64) {
    host.stand_in.clear_log();
    host.stand_in.inject(Function::Transmit, nth, Some(1), &[b"length", b"0xffffffff"]);
}

#[test]
fn a_pin_that_got_no_answer_is_not_sent_again() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.logged_in();
        let key = host.private_key(session);
        stand_in.card(CARD, &["set-pin", "authentication", "4321"]);
        host.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).ok();
        lie_about_the_answer(&host, VERIFY);
        assert_told(host.sign(session, b"data").unwrap_err(), "C_Sign");
        assert_eq!(host.lost_tries(), 1);
        for _ in 0..3 {
            let again = host.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).result();
            let again = again.and_then(|()| host.sign(session, b"data"));
            assert_eq!(again, Err(Rv(ck::CKR_USER_NOT_LOGGED_IN)));
        }
        assert_eq!(host.lost_tries(), 1);
        host.login(session, b"4321").ok();
        host.sign_sha256(session, b"data").unwrap();
    });
}

/// Changes the PIN to 4321 and lies about one of the answers.
fn change_pin_and_lie(host: &Host, session: ck::CK_SESSION_HANDLE, lie: u64) {
    let places = [AUTHENTICATION_PIN.as_ptr().cast_mut(), b"4321".as_ptr().cast_mut()];
    lie_about_the_answer(host, lie);
    assert_told(c!(host.p11, C_SetPIN(session, places[0], ulong(4), places[1], ulong(4))), "C_SetPIN");
}

#[test]
fn a_change_whose_old_pin_got_no_answer_changes_nothing_and_leaves_the_login() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.logged_in();
        change_pin_and_lie(&host, session, VERIFY);
        host.sign_sha256(session, b"data").unwrap();
        assert_eq!(host.lost_tries(), 0);
    });
}

#[test]
fn after_a_change_that_got_no_answer_neither_pin_is_sent() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        for lie in [CHANGE, CHANGE + 1] {
            let session = host.logged_in();
            let key = host.private_key(session);
            change_pin_and_lie(&host, session, lie);
            let begun = host.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key);
            assert_eq!(begun, ck::CKR_USER_NOT_LOGGED_IN, "{lie}");
            assert_eq!(host.lost_tries(), 0, "{lie}");
            stand_in.card(CARD, &["set-pin", "authentication", "1234"]);
            host.signs();
            c!(host.p11, C_CloseSession(session)).ok();
        }
    });
}

#[test]
fn the_tries_are_counted_after_a_login_that_got_no_answer() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.open();
        let mut info = ck::CK_TOKEN_INFO::default();
        c!(host.p11, C_GetTokenInfo(host.both_slots()[0], &raw mut info)).ok();
        lie_about_the_answer(&host, VERIFY);
        assert_told(host.login(session, b"9999"), "C_Login");
        let queries = |host: &Host| host.stand_in.card(CARD, &["queries", "authentication"]);
        let before = queries(&host);
        host.login(session, AUTHENTICATION_PIN).ok();
        assert_ne!(queries(&host), before, "the tries are counted first");
        assert_eq!(host.lost_tries(), 1);
    });
}

#[test]
fn a_panic_is_told_to_the_log_and_not_to_standard_error() {
    let log = concat!(env!("CARGO_TARGET_TMPDIR"), "/panic.log");
    let options = Isolated::new().env("JPKI_PKCS11_LOG", "error").env("JPKI_PKCS11_LOG_FILE", log);
    isolated!(options, |stand_in| {
        let _ = std::fs::remove_file(log);
        let host = Host::new(stand_in);
        let session = host.open();
        stand_in.inject(Function::Transmit, 1, Some(1), &[b"length", b"0xffffffff"]);
        let silent = standard_error_of(|| assert_told(host.login(session, AUTHENTICATION_PIN), "C_Login"));
        assert_eq!(silent, "");
        assert!(std::fs::read_to_string(log).unwrap().contains("panic at"));
        std::fs::remove_file(log).unwrap();
    });
}

/// What is written to standard error meanwhile.
fn standard_error_of(work: impl FnOnce()) -> String {
    let path = c"/tmp";
    // SAFETY: the path is a string; the file has no name.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_TMPFILE | libc::O_RDWR, 0o600) };
    assert_ne!(file, -1);
    // SAFETY: descriptor 2 is open.
    let kept = unsafe { libc::dup(2) };
    // SAFETY: both are open.
    unsafe { libc::dup2(file, 2) };
    work();
    // SAFETY: both are open.
    unsafe { libc::dup2(kept, 2) };
    std::fs::read_to_string(format!("/proc/self/fd/{file}")).unwrap()
}
