//! A change of the PIN that fails half-way: the old PIN is never sent after CHANGE, and a new one
//! that the card has refused is a refused entry.

use crate::support::by_handle::ByHandle;
use crate::support::calls::rv;
use crate::support::fixture::{AUTH_PIN, Fixture};
use cryptoki_sys as ck;
use jpki_pkcs11::error::Error;
use jpki_pkcs11::handle::SessionHandle;
use jpki_pkcs11::manager::error::CardError;
use pcsc_stand_in::service::{Code, Fault, Function, Quirks, When};
use virtual_card::{Credential, Fault as CardFault};

const AUTH: Credential = Credential::Authentication;
const VERIFY: u8 = 0x20;
const CHANGE: u8 = 0x24;
const NEW: &[u8] = b"4321";

/// SELECT, SELECT, count, VERIFY, CHANGE, and the VERIFY that confirms.
const CONFIRMATION: u64 = 6;

fn logged_in(fixture: &Fixture) -> SessionHandle {
    let session = fixture.open_rw(fixture.auth_slot());
    fixture.login(session, AUTH_PIN).expect("the right PIN");
    session
}

fn state(fixture: &Fixture, session: SessionHandle) -> ck::CK_STATE {
    fixture.module().session_info(session).expect("a session").state
}

/// VERIFYs with a PIN since a mark, and how many of them failed.
fn verifies(fixture: &Fixture, mark: virtual_card::Mark) -> (usize, usize) {
    let ledger = fixture.card().ledger_since(mark);
    (ledger.verifies(AUTH), ledger.failed_verifies(AUTH))
}

#[test]
fn rule_2_a_new_pin_that_the_card_did_not_take_is_a_refused_entry() {
    for after in [NEW, b"9999"] {
        let fixture = Fixture::new();
        let session = logged_in(&fixture);
        // The card says 9000 and keeps the old PIN.
        fixture.card().inject(CardFault::on_instruction(CHANGE).answer_status(0x9000));
        assert_eq!(rv(fixture.set_pin(session, AUTH_PIN, NEW)), ck::CKR_DEVICE_ERROR);
        fixture.allow_failed_verifies(AUTH, usize::from(after != NEW));
        assert_eq!(fixture.tries_left(AUTH), 2, "that costs one try");
        assert_eq!(state(&fixture, session), ck::CKS_RW_PUBLIC_SESSION);
        if after != NEW {
            assert_eq!(rv(fixture.login(session, after)), ck::CKR_PIN_INCORRECT);
        }
        let mark = fixture.card().mark();
        assert_eq!(rv(fixture.login(session, NEW)), ck::CKR_FUNCTION_CANCELED);
        assert_eq!(rv(fixture.set_pin(session, NEW, b"5555")), ck::CKR_FUNCTION_CANCELED);
        assert_eq!(verifies(&fixture, mark), (0, 0));
        fixture.login(session, AUTH_PIN).expect("the old PIN holds");
    }
}

#[test]
fn rule_4_a_confirmation_whose_answer_is_lost_holds_no_right_pin_back() {
    for after_the_card in [false, true] {
        let fixture = Fixture::new();
        let session = logged_in(&fixture);
        let confirmation = CardFault::when(|command| command[1] == VERIFY && command.ends_with(NEW));
        let lost = if after_the_card { confirmation.after_processing() } else { confirmation };
        fixture.card().inject(lost.answer(vec![0x90]));
        assert_eq!(rv(fixture.set_pin(session, AUTH_PIN, NEW)), ck::CKR_DEVICE_ERROR);
        assert_eq!(state(&fixture, session), ck::CKS_RW_PUBLIC_SESSION);
        fixture.login(session, NEW).expect("the card has taken it");
    }
}

#[test]
fn rule_4_a_confirmation_that_does_not_reach_the_card_ends_the_login_with_the_old_pin() {
    let fixture = Fixture::new();
    let session = logged_in(&fixture);
    let key = fixture.key(session);
    let fault = Fault::Fail(Code::PROTO_MISMATCH);
    fixture.service().inject(Function::Transmit, When::nth(CONFIRMATION), fault);
    let mark = fixture.card().mark();
    assert_eq!(rv(fixture.set_pin(session, AUTH_PIN, NEW)), ck::CKR_DEVICE_ERROR);
    assert_eq!(verifies(&fixture, mark), (1, 0));
    // What a program does that has not noticed.
    let begun = fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key);
    let signed = begun.and_then(|()| fixture.finish_sign(session, b"data"));
    assert_ne!(rv(signed), ck::CKR_OK);
    assert_eq!(verifies(&fixture, mark), (1, 0), "the old PIN costs no try");
    fixture.login(session, NEW).expect("the card has taken it");
}

/// Where the service counts no insertions, the identity is read before each PIN.
fn uncounted() -> (Fixture, SessionHandle) {
    let fixture = Fixture::new();
    fixture.service().set_quirks(Quirks { is_macos: true, ..Quirks::default() });
    let session = fixture.open_rw(fixture.auth_slot());
    (fixture, session)
}

#[test]
fn rule_6_after_a_look_at_the_identity_the_pin_is_selected_again_before_it_is_changed() {
    let (fixture, session) = uncounted();
    fixture.set_pin(session, AUTH_PIN, NEW).expect("the PIN is changed");
    fixture.login(session, NEW).expect("the new PIN");
    assert_eq!(fixture.card().ledger().misplaced_verifies(), 0);
}

#[test]
fn rule_4_a_reset_after_the_change_does_not_send_the_old_pin_again() {
    let mut inside = 0;
    for number in 5..20 {
        let (fixture, session) = uncounted();
        fixture.expect_verified();
        let reset = Fault::Fail(Code::UNPOWERED_CARD);
        fixture.service().inject(Function::Transmit, When::nth(number), reset);
        let mark = fixture.card().mark();
        let code = rv(fixture.set_pin(session, AUTH_PIN, NEW));
        let is_changed = fixture
            .card()
            .ledger_since(mark)
            .commands()
            .any(|command| command.instruction() == Some(CHANGE) && command.status == Some(0x9000));
        inside += usize::from(is_changed && code != ck::CKR_OK);
        assert_eq!(verifies(&fixture, mark).1, 0, "reset at command {number}: {code:#x}");
    }
    assert!(inside >= 2, "resets between CHANGE and its confirmation: {inside}");
}

/// To try the new PIN first costs a try where the card never got it.
#[test]
fn rule_4_only_a_change_that_was_sent_may_have_been_made() {
    let fixture = Fixture::new();
    let session = logged_in(&fixture);
    let mark = fixture.card().mark();
    fixture.set_pin(session, AUTH_PIN, NEW).expect("the PIN is changed");
    let commands: Vec<_> = fixture.card().ledger_since(mark).commands().cloned().collect();
    let sent = commands.iter().position(|command| command.instruction() == Some(CHANGE)).expect("CHANGE");
    for number in 0..=sent + 1 {
        for code in [Code::REMOVED_CARD, Code::RESET_CARD] {
            let fixture = Fixture::new();
            fixture.expect_verified();
            let session = logged_in(&fixture);
            let fault = Fault::Fail(code);
            fixture.service().inject(Function::Transmit, When::nth(number as u64 + 1), fault);
            let is_lost = match fixture.set_pin(session, AUTH_PIN, NEW) {
                Err(Error::Card(CardError::ChangeLost { removed })) => {
                    assert_eq!(removed, code == Code::REMOVED_CARD);
                    true
                }
                _ => false,
            };
            assert_eq!(is_lost, number >= sent, "{code} at command {number}");
        }
    }
}
