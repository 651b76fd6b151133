//! Entries that cannot be the PIN, and those that stand for it in another form.

use super::{LOW, pin_flags, state};
use crate::support::calls::rv;
use crate::support::fixture::{AUTH_PIN, Fixture, READER, SIGN_PIN};
use cryptoki_sys as ck;
use jpki_pkcs11::jpki::pin::PinEntry;
use virtual_card::Credential;

#[test]
fn a_pin_for_the_other_slot_costs_no_try() {
    let fixture = Fixture::new();
    let (auth, sign) = (fixture.open(fixture.auth_slot()), fixture.open(fixture.sign_slot()));
    assert_eq!(rv(fixture.login(sign, AUTH_PIN)), ck::CKR_PIN_INCORRECT);
    assert_eq!(rv(fixture.login(auth, SIGN_PIN)), ck::CKR_PIN_INCORRECT);
    assert_eq!(fixture.card().verifies(Credential::Authentication), 0);
    assert_eq!(fixture.card().verifies(Credential::Signature), 0);
    assert_eq!(rv(fixture.login(auth, AUTH_PIN)), ck::CKR_OK);
}

#[test]
fn a_malformed_pin_is_refused_without_an_exchange_and_shows_as_a_low_count() {
    let malformed: [&[u8]; 10] = [
        b"",
        b"123",
        b"12a4",
        b"12345",
        b"1234\n",
        "１２３４".as_bytes(),
        b"12\x004",
        b"\xff\xfe\xfd\xfc",
        b"12345678901234567",
        b"12-4",
    ];
    for pin in malformed {
        let fixture = Fixture::new();
        let session = fixture.open(fixture.auth_slot());
        let mark = fixture.card().mark();
        assert_eq!(rv(fixture.login(session, pin)), ck::CKR_PIN_INCORRECT, "{pin:02x?}");
        assert_eq!(fixture.card().commands_since(mark), 0);
        assert_eq!(pin_flags(&fixture, fixture.auth_slot()), LOW);
        assert_eq!(rv(fixture.login(session, AUTH_PIN)), ck::CKR_OK);
        assert_eq!(pin_flags(&fixture, fixture.auth_slot()), 0);
    }
}

#[test]
fn a_malformed_signature_password_is_refused_without_an_exchange() {
    for pin in [
        &b"ABC12"[..],
        b"ABC-123",
        b"ABC123\n",
        b"ABCDEFGH123456789",
        "ＡＢＣ１２３！".as_bytes(),
        b"ABC12\x00",
    ] {
        let fixture = Fixture::new();
        let session = fixture.open(fixture.sign_slot());
        let mark = fixture.card().mark();
        assert_eq!(rv(fixture.login(session, pin)), ck::CKR_PIN_INCORRECT, "{pin:02x?}");
        assert_eq!(fixture.card().commands_since(mark), 0);
    }
}

#[test]
fn a_signature_password_may_come_in_lower_case_and_in_full_width() {
    for pin in ["abc123", "Abc123", "ＡＢＣ１２３", "ａｂｃ１２３"] {
        let fixture = Fixture::new();
        let session = fixture.open(fixture.sign_slot());
        assert_eq!(rv(fixture.login(session, pin.as_bytes())), ck::CKR_OK, "{pin}");
    }
}

#[test]
fn an_empty_pin_is_no_login_even_when_another_program_left_the_card_verified() {
    let fixture = Fixture::new();
    fixture.expect_verified();
    let other = fixture.foreign().connect(READER).expect("the card");
    other.select_jpki().expect("the application");
    other.verify(0x0018, AUTH_PIN).expect("the right PIN");
    let session = fixture.open(fixture.auth_slot());
    assert!(fixture.card().verified(Credential::Authentication));
    assert_eq!(rv(fixture.login(session, b"")), ck::CKR_PIN_INCORRECT);
    assert_eq!(state(&fixture, session), ck::CKS_RO_PUBLIC_SESSION);
}

#[test]
fn a_pin_of_impossible_length_is_refused() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    assert_eq!(rv(fixture.module().login(session, ck::CKU_USER, PinEntry::TooLong)), ck::CKR_PIN_INCORRECT);
    assert_eq!(
        rv(fixture.module().login(session, ck::CKU_USER, PinEntry::TooLong)),
        ck::CKR_FUNCTION_CANCELED
    );
}
