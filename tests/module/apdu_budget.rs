//! What the module costs: exchanges with the card, counted by the card. A person waits for each of
//! them.

use std::time::Duration;

use crate::support::by_handle::ByHandle;
use crate::support::calls::rv;
use crate::support::fixture::{AUTH_PIN, Fixture};
use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::handle::SessionHandle;
use pcsc_stand_in::service::Function;
use virtual_card::{Credential, Profile};

/// A card in the reader, and a module as users have it.
fn counted(profile: Profile) -> Fixture {
    Fixture::builder().profile(profile).reusing_counts().build()
}

/// Reads every attribute that a listing client shows of every object.
fn list(fixture: &Fixture, session: SessionHandle) -> usize {
    let objects = fixture.find_by(session, &[]).expect("a search");
    for &object in &objects {
        let class = fixture.attribute(session, object, ck::CKA_CLASS).expect("every object has a class");
        if class == ck::CKO_CERTIFICATE.to_ne_bytes() {
            let value = fixture.attribute(session, object, ck::CKA_VALUE).expect("a certificate has a value");
            assert!(value.len() > 1000);
        }
    }
    objects.len()
}

/// The cost of listing everything on the authentication slot, from the first look at the reader.
fn listing_cost(profile: Profile) -> usize {
    let fixture = counted(profile);
    let slots = fixture.module().list_slots(true).expect("slots");
    let session = fixture.open(slots[0]);
    assert!(list(&fixture, session) >= 2, "certificate and public key");
    fixture.card().commands()
}

/// The cost of a first signature with the authentication key, as a client makes it that finds its
/// token by label.
fn first_signature_cost(profile: Profile) -> usize {
    let fixture = counted(profile);
    let slots = fixture.module().list_slots(false).expect("slots");
    assert!(fixture.module().slot_info(slots[0]).expect("a slot").flags & ck::CKF_TOKEN_PRESENT != 0);
    fixture.module().token_info(slots[0]).expect("a token");
    let session = fixture.open(slots[0]);
    fixture.module().token_info(slots[0]).expect("a token, as some clients ask again before they log in");
    fixture.login(session, AUTH_PIN).expect("the right PIN");
    fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").expect("a signature");
    fixture.card().commands()
}

#[test]
fn listing_takes_at_most_5_exchanges_on_a_full_card() {
    let cost = listing_cost(Profile::full());
    assert!(cost <= 5, "{cost}");
}

#[test]
fn listing_takes_at_most_20_exchanges_on_a_conservative_card() {
    let cost = listing_cost(Profile::conservative());
    assert!(cost <= 20, "{cost}");
}

#[test]
fn a_first_signature_takes_at_most_16_exchanges_on_a_full_card() {
    let cost = first_signature_cost(Profile::full());
    assert!(cost <= 16, "{cost}");
}

#[test]
fn a_first_signature_takes_at_most_24_exchanges_on_a_conservative_card() {
    let cost = first_signature_cost(Profile::conservative());
    assert!(cost <= 24, "{cost}");
}

#[test]
fn a_further_signature_takes_6_exchanges_and_7_on_a_conservative_card() {
    for (profile, expected) in [(Profile::full(), 6), (Profile::conservative(), 7)] {
        let fixture = counted(profile);
        let session = fixture.logged_in(Credential::Authentication);
        fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"first").expect("a signature");
        let mark = fixture.card().mark();
        fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"second").expect("a signature");
        assert_eq!(fixture.card().commands_since(mark), expected);
    }
}

#[test]
fn attributes_searches_and_polls_cost_nothing_once_the_objects_are_known() {
    let fixture = counted(Profile::full());
    let session = fixture.open(fixture.auth_slot());
    list(&fixture, session);
    let mark = fixture.card().mark();
    list(&fixture, session);
    fixture.module().slot_info(fixture.auth_slot()).expect("a slot");
    fixture.module().session_info(session).expect("a session");
    fixture.module().count_slots(true).expect("slots");
    // Whether there is a signature certificate is asked once, and with it how many tries its PIN
    // has.
    assert!(fixture.card().commands_since(mark) <= 3);
    let mark = fixture.card().mark();
    fixture.module().count_slots(true).expect("slots");
    fixture.module().slot_info(fixture.sign_slot()).expect("a slot");
    assert_eq!(fixture.card().commands_since(mark), 0);
}

#[test]
fn session_info_right_after_a_look_at_the_reader_asks_nothing_and_the_next_look_tells_of_a_removal() {
    let mut config = Config::parse("");
    config.settings.look_reuse = Duration::from_secs(3600);
    let fixture = Fixture::builder().config(config).reusing_counts().build();
    let session = fixture.open(fixture.auth_slot());
    let looks = || fixture.service().calls(Function::GetStatusChange);
    let before = looks();
    fixture.module().session_info(session).expect("a session");
    fixture.remove_card();
    fixture.module().session_info(session).expect("what the last look saw");
    assert_eq!(looks(), before);
    fixture.module().slot_info(fixture.auth_slot()).expect("a slot");
    assert_eq!(looks(), before + 1);
    assert_eq!(rv(fixture.module().session_info(session)), ck::CKR_SESSION_HANDLE_INVALID);
}

#[test]
fn a_card_that_is_not_for_us_costs_two_exchanges_and_then_none() {
    // A juki card has the application: its certificate and its label are asked for as well.
    for (profile, most) in [(Profile::not_jpki(), 2), (Profile::juki(), 5)] {
        let fixture = counted(profile);
        assert_eq!(fixture.module().count_slots(true).expect("slots"), 0);
        assert!(fixture.card().commands() <= most, "{}", fixture.card().commands());
        let mark = fixture.card().mark();
        assert_eq!(fixture.module().count_slots(true).expect("slots"), 0);
        assert_eq!(
            fixture.module().slot_info(fixture.auth_slot()).expect("a slot").flags & ck::CKF_TOKEN_PRESENT,
            0
        );
        assert_eq!(fixture.card().commands_since(mark), 0);
    }
}

#[test]
fn authentication_does_not_touch_the_signature_slot() {
    let fixture = counted(Profile::full());
    fixture.module().count_slots(true).expect("slots");
    let session = fixture.logged_in(Credential::Authentication);
    list(&fixture, session);
    fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").expect("a signature");
    assert_eq!(fixture.card().verifies(Credential::Signature), 0);
    assert_eq!(fixture.card().ledger().queries(Credential::Signature), 0);
}
