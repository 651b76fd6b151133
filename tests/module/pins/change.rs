//! C_SetPIN.

use crate::support::calls::rv;
use crate::support::fixture::{AUTH_PIN, Fixture, SIGN_PIN};
use cryptoki_sys as ck;
use virtual_card::Credential;

#[test]
fn a_changed_pin_verifies_and_the_old_one_does_not() {
    for (credential, old, new) in
        [(Credential::Authentication, AUTH_PIN, &b"4321"[..]), (Credential::Signature, SIGN_PIN, b"xyz789")]
    {
        let fixture = Fixture::new();
        let session = fixture.open_rw(fixture.slot_of(credential));
        assert_eq!(rv(fixture.set_pin(session, old, new)), ck::CKR_OK);
        assert_eq!(rv(fixture.login(session, old)), ck::CKR_PIN_INCORRECT);
        assert_eq!(rv(fixture.login(session, new)), ck::CKR_OK);
    }
}

#[test]
fn a_login_stays_when_its_pin_is_changed() {
    let fixture = Fixture::new();
    let session = fixture.open_rw(fixture.auth_slot());
    fixture.login(session, AUTH_PIN).expect("the right PIN");
    assert_eq!(rv(fixture.set_pin(session, AUTH_PIN, b"4321")), ck::CKR_OK);
    fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").expect("a signature with the new PIN");
}

#[test]
fn a_wrong_old_pin_costs_one_try_and_says_so() {
    let fixture = Fixture::new();
    let session = fixture.open_rw(fixture.auth_slot());
    assert_eq!(rv(fixture.set_pin(session, b"9999", b"4321")), ck::CKR_PIN_INCORRECT);
    assert_eq!(fixture.tries_left(Credential::Authentication), 2);
    assert_eq!(rv(fixture.set_pin(session, b"9999", b"4321")), ck::CKR_FUNCTION_CANCELED);
    assert_eq!(fixture.tries_left(Credential::Authentication), 2);
}

#[test]
fn a_new_pin_of_the_wrong_form_costs_nothing() {
    let cases: [(Credential, &[u8], ck::CK_RV); 8] = [
        (Credential::Authentication, b"123", ck::CKR_PIN_LEN_RANGE),
        (Credential::Authentication, b"12345", ck::CKR_PIN_LEN_RANGE),
        (Credential::Authentication, b"12a4", ck::CKR_PIN_INVALID),
        (Credential::Signature, b"ABC12", ck::CKR_PIN_LEN_RANGE),
        (Credential::Signature, b"ABCDEFGH123456789", ck::CKR_PIN_LEN_RANGE),
        (Credential::Signature, b"ABCDEF", ck::CKR_PIN_INVALID),
        (Credential::Signature, b"123456", ck::CKR_PIN_INVALID),
        (Credential::Signature, b"ABC-123", ck::CKR_PIN_INVALID),
    ];
    for (credential, new, code) in cases {
        let fixture = Fixture::new();
        let session = fixture.open_rw(fixture.slot_of(credential));
        let old = if credential == Credential::Authentication { AUTH_PIN } else { SIGN_PIN };
        let mark = fixture.card().mark();
        assert_eq!(rv(fixture.set_pin(session, old, new)), code, "{new:?}");
        assert_eq!(fixture.card().commands_since(mark), 0);
    }
}

#[test]
fn a_pin_may_be_changed_to_itself() {
    let fixture = Fixture::new();
    let session = fixture.open_rw(fixture.auth_slot());
    assert_eq!(rv(fixture.set_pin(session, AUTH_PIN, AUTH_PIN)), ck::CKR_OK);
    assert_eq!(rv(fixture.login(session, AUTH_PIN)), ck::CKR_OK);
}

#[test]
fn a_pin_is_changed_in_a_read_write_session_only() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    assert_eq!(rv(fixture.set_pin(session, AUTH_PIN, b"4321")), ck::CKR_SESSION_READ_ONLY);
}
