//! The fixture itself: its helpers reach the card, and its invariants notice what they are for.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::fixture::{AUTH_PIN, Fixture, READER};
use crate::support::signatures::assert_sha256_signature;
use cryptoki_sys as ck;
use jpki_pkcs11::error::Error;
use jpki_pkcs11::jpki::pin::PinEntry;
use jpki_pkcs11::manager::error::CardError;
use pcsc_stand_in::service::Disposition;
use virtual_card::Credential;

#[test]
fn both_keys_sign() {
    let fixture = Fixture::new();
    for credential in Credential::ALL {
        let session = fixture.logged_in(credential);
        let signature = fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").unwrap();
        assert_sha256_signature(fixture.card(), credential, b"data", &signature);
    }
}

#[test]
fn a_wrong_pin_through_the_fixture_has_a_right_to_its_try() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    assert_eq!(fixture.login(session, b"0000"), Err(Error::Card(CardError::PinIncorrect)));
    assert_eq!(fixture.tries_left(Credential::Authentication), 2);
}

#[test]
fn a_foreign_wrong_pin_is_not_the_modules() {
    let fixture = Fixture::new();
    let foreign = fixture.foreign().connect(READER).unwrap();
    foreign.select_jpki().unwrap();
    assert_eq!(foreign.verify(0x0018, b"0000"), Ok(0x63c2));
    foreign.disconnect(Disposition::Reset).unwrap();
}

/// Whether dropping the fixture fails.
fn is_noticed(fixture: Fixture) -> bool {
    catch_unwind(AssertUnwindSafe(|| drop(fixture))).is_err()
}

#[test]
fn a_lost_try_is_noticed() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    let refused = fixture.module().login(session, ck::CKU_USER, PinEntry::Bytes(b"0000"));
    assert_eq!(refused, Err(Error::Card(CardError::PinIncorrect)));
    assert!(is_noticed(fixture));
}

#[test]
fn a_card_left_verified_is_noticed() {
    let fixture = Fixture::new();
    let foreign = fixture.foreign().connect(READER).unwrap();
    foreign.select_jpki().unwrap();
    assert_eq!(foreign.verify(0x0018, AUTH_PIN), Ok(0x9000));
    drop(foreign);
    assert!(is_noticed(fixture));
}
