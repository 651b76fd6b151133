//! Secret memory that has no page left. A PIN has no place then: the call says CKR_HOST_MEMORY, the
//! card gets no PIN, and no try is lost.

use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::handle::SessionHandle;
use virtual_card::{Credential, Mark};

use crate::support::by_handle::ByHandle;
use crate::support::calls::{rv, sends_a_pin};
use crate::support::fixture::{AUTH_PIN, Fixture, SIGN_PIN};

/// The right PIN, and another one of the right form.
const PINS: [(Credential, &[u8], &[u8]); 2] =
    [(Credential::Authentication, AUTH_PIN, b"9999"), (Credential::Signature, SIGN_PIN, b"WRONG1")];

/// That the card got no PIN since the mark, and that the token shows no lost try.
fn assert_no_try_is_lost(fixture: &Fixture, credential: Credential, mark: Mark) {
    let sent = fixture.card().ledger_since(mark).commands().filter(|command| sends_a_pin(command)).count();
    assert_eq!(sent, 0, "the card got a PIN");
    let low = ck::CKF_USER_PIN_COUNT_LOW | ck::CKF_USER_PIN_FINAL_TRY | ck::CKF_USER_PIN_LOCKED;
    assert_eq!(fixture.module().token_info(fixture.slot_of(credential)).unwrap().flags & low, 0);
    assert_eq!(fixture.card().failed_verifies(credential), 0);
}

fn state(fixture: &Fixture, session: SessionHandle) -> ck::CK_STATE {
    fixture.module().session_info(session).unwrap().state
}

#[test]
fn without_a_page_for_the_pin_a_login_is_refused_and_costs_no_try() {
    for (credential, right, other) in PINS {
        let fixture = Fixture::new();
        let session = fixture.open(fixture.slot_of(credential));
        let mark = fixture.card().mark();
        fixture.memory().set_exhausted(true);
        for pin in [right, other, right] {
            assert_eq!(rv(fixture.login(session, pin)), ck::CKR_HOST_MEMORY);
        }
        assert_eq!(state(&fixture, session), ck::CKS_RO_PUBLIC_SESSION);
        assert_no_try_is_lost(&fixture, credential, mark);

        fixture.memory().set_exhausted(false);
        assert_eq!(rv(fixture.login(session, right)), ck::CKR_OK);
        fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").unwrap();
    }
}

#[test]
fn without_a_page_for_the_pin_it_is_not_changed_and_costs_no_try() {
    for (credential, right, other) in PINS {
        let fixture = Fixture::new();
        let session = fixture.open_rw(fixture.slot_of(credential));
        let mark = fixture.card().mark();
        fixture.memory().set_exhausted(true);
        assert_eq!(rv(fixture.set_pin(session, right, other)), ck::CKR_HOST_MEMORY);
        assert_no_try_is_lost(&fixture, credential, mark);

        fixture.memory().set_exhausted(false);
        assert_eq!(rv(fixture.login(session, right)), ck::CKR_OK, "the PIN is the old one");
    }
}

#[test]
fn a_login_that_has_its_page_goes_on_when_there_are_no_more() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    fixture.memory().set_exhausted(true);
    fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").unwrap();
}

#[test]
fn without_a_page_for_the_pin_of_one_signature_there_is_none_and_no_try_is_lost() {
    let fixture = Fixture::builder().config(Config::parse("always_authenticate = true")).build();
    let session = fixture.logged_in(Credential::Signature);
    let key = fixture.key(session);
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).unwrap();
    let mark = fixture.card().mark();
    fixture.memory().set_exhausted(true);
    assert_eq!(rv(fixture.login_for_operation(session, SIGN_PIN)), ck::CKR_HOST_MEMORY);
    assert_no_try_is_lost(&fixture, Credential::Signature, mark);

    fixture.memory().set_exhausted(false);
    fixture.module().session_cancel(session, ck::CKF_SIGN).unwrap();
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).unwrap();
    assert_eq!(rv(fixture.login_for_operation(session, SIGN_PIN)), ck::CKR_OK);
    fixture.finish_sign(session, b"data").unwrap();
    assert_eq!(fixture.card().signatures(), 1);
}
