//! What the module remembers of a PIN between calls, against what the card counts: a stale PIN is
//! sent once, whatever happens to the answer.

use crate::support::by_handle::ByHandle;
use crate::support::calls::{Call, rv};
use crate::support::fixture::{AUTH_PIN, Fixture};
use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::handle::SessionHandle;
use virtual_card::{Credential, Fault, Profile, Trigger};

const MECHANISM: ck::CK_MECHANISM_TYPE = ck::CKM_SHA256_RSA_PKCS;
const PIN_FLAGS: ck::CK_FLAGS =
    ck::CKF_USER_PIN_COUNT_LOW | ck::CKF_USER_PIN_FINAL_TRY | ck::CKF_USER_PIN_LOCKED;

const AUTH: Credential = Credential::Authentication;

fn sends_a_pin(command: &[u8]) -> bool {
    matches!(command.get(1), Some(0x20 | 0x24)) && command.len() > 5
}

fn pin_flags(fixture: &Fixture) -> ck::CK_FLAGS {
    fixture.module().token_info(fixture.auth_slot()).expect("a token").flags & PIN_FLAGS
}

fn is_logged_in(fixture: &Fixture, session: SessionHandle) -> bool {
    let state = fixture.module().session_info(session).expect("a session").state;
    [ck::CKS_RO_USER_FUNCTIONS, ck::CKS_RW_USER_FUNCTIONS].contains(&state)
}

type Loss = (&'static str, fn(Trigger) -> Fault);

/// How an answer gets lost, before and after the card has counted.
const LOSSES: [Loss; 6] = [
    ("not transacted", |at| at.transport_error(i32::from_be_bytes([0x80, 0x10, 0x00, 0x16]))),
    ("not transacted, counted", |at| {
        at.after_processing().transport_error(i32::from_be_bytes([0x80, 0x10, 0x00, 0x16]))
    }),
    ("no status word", |at| at.after_processing().answer(vec![0x90])),
    ("6F00", |at| at.after_processing().answer_status(0x6f00)),
    ("a reset", |at| at.reset()),
    ("a reset, counted", |at| at.after_processing().reset()),
];

#[test]
fn a_stale_pin_whose_answer_is_lost_costs_one_try_at_most_however_often_the_program_signs() {
    for (name, lose) in LOSSES {
        let fixture = Fixture::new();
        let session = fixture.logged_in(AUTH);
        let key = fixture.key(session);
        fixture.card().set_pin(AUTH, "4321");
        fixture.allow_failed_verifies(AUTH, 1);
        fixture.card().inject(lose(Fault::when(sends_a_pin)));
        for _ in 0..5 {
            let signed = fixture.sign_init(session, MECHANISM, key);
            let signed = signed.and_then(|()| fixture.finish_sign(session, b"data"));
            let code = rv(signed);
            assert!([ck::CKR_DEVICE_ERROR, ck::CKR_USER_NOT_LOGGED_IN].contains(&code), "{name}: {code:#x}");
        }
        assert!(!is_logged_in(&fixture, session), "{name}");
        assert!(fixture.tries_left(AUTH) >= 2, "{name}");
        assert_eq!(fixture.memory().live_pages(), 0, "{name}");
        fixture.login(session, b"4321").expect("the PIN that holds");
        fixture.sign(session, MECHANISM, b"data").expect("a signature");
    }
}

#[test]
fn a_change_of_the_pin_whose_answer_is_lost_costs_no_try_whichever_pin_the_card_has_then() {
    let commands = Call::SetPin(AUTH).commands(&Profile::full()).len();
    for (name, lose) in LOSSES {
        for number in 1..=commands {
            let fixture = Fixture::new();
            let session = fixture.open_rw(fixture.auth_slot());
            fixture.login(session, AUTH_PIN).expect("the right PIN");
            let key = fixture.key(session);
            fixture.card().inject(lose(Fault::at(number)));
            let changed = rv(fixture.set_pin(session, AUTH_PIN, b"4321"));
            let case = format!("{name} at command {number}: {changed:#x}");
            assert!([ck::CKR_OK, ck::CKR_DEVICE_ERROR].contains(&changed), "{case}");
            fixture.card().clear_faults();
            // A login that is left is one to the PIN that the card has.
            let was_in = is_logged_in(&fixture, session);
            let signed = fixture.sign_init(session, MECHANISM, key);
            let signed = rv(signed.and_then(|()| fixture.finish_sign(session, b"data")));
            assert_eq!(signed, if was_in { ck::CKR_OK } else { ck::CKR_USER_NOT_LOGGED_IN }, "{case}");
            assert!(was_in || changed != ck::CKR_OK, "{case}: a change that went well keeps the login");
            assert_eq!(fixture.card().failed_verifies(AUTH), 0, "{case}");
            assert_eq!(fixture.memory().live_pages(), usize::from(was_in), "{case}");
        }
    }
}

#[test]
fn a_change_that_failed_before_the_pin_was_sent_leaves_the_login() {
    let commands = Call::SetPin(AUTH).commands(&Profile::full());
    let first = commands.iter().position(|command| command.instruction() == Some(0x20)).expect("a VERIFY");
    for number in 1..=first {
        let fixture = Fixture::new();
        let session = fixture.open_rw(fixture.auth_slot());
        fixture.login(session, AUTH_PIN).expect("the right PIN");
        fixture.card().inject(Fault::at(number).answer_status(0x6985));
        assert_eq!(rv(fixture.set_pin(session, AUTH_PIN, b"4321")), ck::CKR_DEVICE_ERROR);
        assert!(is_logged_in(&fixture, session));
        fixture.sign(session, MECHANISM, b"data").expect("a signature");
    }
}

#[test]
fn a_wrong_old_pin_leaves_the_login_until_the_next_signature_finds_that_the_count_is_not_full() {
    let fixture = Fixture::new();
    let session = fixture.open_rw(fixture.auth_slot());
    fixture.login(session, AUTH_PIN).expect("the right PIN");
    assert_eq!(rv(fixture.set_pin(session, b"9999", b"4321")), ck::CKR_PIN_INCORRECT);
    assert!(is_logged_in(&fixture, session));
    assert_eq!(pin_flags(&fixture), ck::CKF_USER_PIN_COUNT_LOW);
    let key = fixture.key(session);
    fixture.sign_init(session, MECHANISM, key).expect("logged in");
    assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_USER_NOT_LOGGED_IN);
    assert_eq!(fixture.tries_left(AUTH), 2);
    // The right PIN sets the count back.
    fixture.login(session, AUTH_PIN).expect("the right PIN");
    fixture.sign(session, MECHANISM, b"data").expect("a signature");
    assert_eq!((fixture.tries_left(AUTH), pin_flags(&fixture)), (3, 0));
}

#[test]
fn the_right_pin_is_taken_again_after_its_answer_was_lost_and_another_program_had_mistyped_before() {
    for (name, lose) in LOSSES {
        let fixture = Fixture::new();
        let session = fixture.logged_in(AUTH);
        let key = fixture.key(session);
        fixture.card().inject(lose(Fault::when(sends_a_pin)));
        fixture.sign_init(session, MECHANISM, key).expect("logged in");
        let code = rv(fixture.finish_sign(session, b"data"));
        let allowed = [ck::CKR_OK, ck::CKR_DEVICE_ERROR, ck::CKR_USER_NOT_LOGGED_IN];
        assert!(allowed.contains(&code), "{name}: {code:#x}");
        let code = rv(fixture.login(session, AUTH_PIN));
        assert!([ck::CKR_OK, ck::CKR_USER_ALREADY_LOGGED_IN].contains(&code), "{name}: {code:#x}");
        fixture.sign(session, MECHANISM, b"data").expect("a signature");
        assert_eq!(fixture.tries_left(AUTH), 3, "{name}");
    }
}

#[test]
fn a_signature_spends_no_reserved_try() {
    for pin in [std::str::from_utf8(AUTH_PIN).expect("digits"), "4321"] {
        let fixture = Fixture::builder().config(Config::parse("reserve_tries = 2")).build();
        let session = fixture.logged_in(AUTH);
        let key = fixture.key(session);
        // Elsewhere the PIN was changed, perhaps, and mistyped.
        fixture.card().set_pin(AUTH, pin);
        fixture.card().set_tries_left(AUTH, 2);
        let mark = fixture.card().mark();
        fixture.sign_init(session, MECHANISM, key).expect("logged in");
        assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_USER_NOT_LOGGED_IN);
        assert!(!is_logged_in(&fixture, session));
        assert_eq!(rv(fixture.login(session, AUTH_PIN)), ck::CKR_PIN_LOCKED);
        assert_eq!(fixture.card().ledger_since(mark).verifies(AUTH), 0);
        assert_eq!(fixture.tries_left(AUTH), 2);
        // The office, or a user who knows the PIN, has set the counter back.
        fixture.card().set_tries_left(AUTH, 3);
        fixture.login(session, pin.as_bytes()).expect("the right PIN");
        fixture.sign(session, MECHANISM, b"data").expect("a signature");
    }
}
