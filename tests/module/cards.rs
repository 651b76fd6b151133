//! Cards that are not like the others, cards that are none of ours, and more than one card.

use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::by_handle::ByHandle;
use crate::support::calls::rv;
use crate::support::fixture::{AUTH_PIN, Fixture, READER, SIGN_PIN};
use crate::support::logged::{count, logged};
use crate::support::signatures::assert_sha256_signature;
use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::handle::{SessionHandle, SlotId};
use pcsc_stand_in::icc::FixedAnswerCard;
use pcsc_stand_in::service::Quirks;
use virtual_card::{Credential, Identity, Profile, VirtualCard};

const SECOND: &CStr = c"Another Reader";

fn has_token(fixture: &Fixture, slot: SlotId) -> bool {
    fixture.module().slot_info(slot).unwrap().flags & ck::CKF_TOKEN_PRESENT != 0
}

fn assert_no_token(fixture: &Fixture, slot: SlotId) {
    assert!(!has_token(fixture, slot));
    assert_eq!(rv(fixture.module().token_info(slot)), ck::CKR_TOKEN_NOT_PRESENT);
    assert_eq!(rv(fixture.module().mechanism_list(slot)), ck::CKR_TOKEN_NOT_PRESENT);
    assert_eq!(rv(fixture.module().open_session(slot, ck::CKF_SERIAL_SESSION)), ck::CKR_TOKEN_NOT_PRESENT);
}

fn assert_signs(fixture: &Fixture, session: SessionHandle, card: &VirtualCard, credential: Credential) {
    let signature = fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").unwrap();
    assert_sha256_signature(card, credential, b"data", &signature);
}

fn serial(fixture: &Fixture, slot: SlotId) -> [u8; 16] {
    fixture.module().token_info(slot).unwrap().serialNumber
}

#[test]
fn a_child_has_no_signature_token_and_authenticates() {
    for profile in [Profile::under_15(), Profile::under_15_filler()] {
        let fixture = Fixture::with(profile);
        assert_eq!(fixture.module().count_slots(true), Ok(1));
        assert_eq!(fixture.module().list_slots(true).unwrap(), [fixture.auth_slot()]);
        assert_no_token(&fixture, fixture.sign_slot());
        let session = fixture.logged_in(Credential::Authentication);
        assert_signs(&fixture, session, fixture.card(), Credential::Authentication);
        assert_eq!(fixture.card().verifies(Credential::Signature), 0);
    }
}

#[test]
fn a_card_that_does_not_tell_what_it_has_shows_what_can_be_read() {
    // The file that names the certificates is one project's observation.
    for certificates in [Profile::full(), Profile::under_15(), Profile::under_15_filler()] {
        let has_signature = certificates.name == "full";
        let fixture = Fixture::with(Profile { availability: None, ..certificates });
        assert_eq!(fixture.module().count_slots(true), Ok(2));
        let session = fixture.logged_in(Credential::Signature);
        assert_eq!(fixture.find(session, ck::CKO_PRIVATE_KEY).len(), usize::from(has_signature));
        assert_eq!(fixture.find(session, ck::CKO_CERTIFICATE).len(), 1 + usize::from(has_signature));
        let session = fixture.logged_in(Credential::Authentication);
        assert_signs(&fixture, session, fixture.card(), Credential::Authentication);
    }
}

#[test]
fn a_blocked_pin_leaves_the_certificates_and_the_other_key() {
    for (blocked, profile) in [
        (Credential::Authentication, Profile::blocked_authentication()),
        (Credential::Signature, Profile::blocked_signature()),
    ] {
        let fixture = Fixture::with(profile);
        assert_eq!(fixture.module().count_slots(true), Ok(2));
        let info = fixture.module().token_info(fixture.slot_of(blocked)).unwrap();
        assert_ne!(info.flags & ck::CKF_USER_PIN_LOCKED, 0);
        for credential in Credential::ALL {
            let session = fixture.open(fixture.slot_of(credential));
            // The signature certificate is behind the PIN, and so is its CA's.
            let free = if credential == Credential::Authentication { 1 } else { 0 };
            assert_eq!(fixture.find(session, ck::CKO_CERTIFICATE).len(), free);
            if credential == blocked {
                let pin = if credential == Credential::Authentication { AUTH_PIN } else { SIGN_PIN };
                assert_eq!(rv(fixture.login(session, pin)), ck::CKR_PIN_LOCKED);
            } else {
                let session = fixture.logged_in(credential);
                assert_signs(&fixture, session, fixture.card(), credential);
            }
        }
        assert_eq!(fixture.card().verifies(blocked), 0);
    }
}

#[test]
fn an_expired_card_signs_and_says_so_once_in_the_log() {
    // Who relies on the signature decides; to close the key would take the data's owner his
    // decision.
    for (profile, text) in [(Profile::expired(), "expired on"), (Profile::expiring(), "expires on")] {
        let fixture = Fixture::with(profile);
        let lines = logged(|| {
            for credential in Credential::ALL {
                let session = fixture.logged_in(credential);
                assert_signs(&fixture, session, fixture.card(), credential);
                assert_signs(&fixture, session, fixture.card(), credential);
            }
        });
        assert_eq!(count(&lines, "WARN", text), 2, "{lines:?}");
        assert_eq!(count(&lines, "WARN", "(UserAuthentication) "), 1, "{lines:?}");
        assert_eq!(count(&lines, "WARN", "(DigitalSignature) "), 1, "{lines:?}");
    }
}

#[test]
fn a_juki_card_is_no_token_and_the_log_says_why() {
    let fixture = Fixture::with(Profile::juki());
    let lines = logged(|| {
        assert_eq!(fixture.module().count_slots(true), Ok(0));
        assert_no_token(&fixture, fixture.auth_slot());
        assert_no_token(&fixture, fixture.sign_slot());
    });
    assert_eq!(count(&lines, "WARN", "juki card"), 1, "{lines:?}");
    assert!(fixture.card().commands() <= 5, "{}", fixture.card().commands());
}

#[test]
fn a_juki_card_without_short_file_ids_is_no_token_either() {
    let fixture = Fixture::with(Profile { short_file_ids: false, ..Profile::juki() });
    assert_eq!(fixture.module().count_slots(true), Ok(0));
    assert_no_token(&fixture, fixture.auth_slot());
    assert_no_token(&fixture, fixture.sign_slot());
}

#[test]
fn a_card_of_another_kind_is_no_token_and_is_asked_once() {
    // No such application; class or instruction unknown; wrong length; no logical channels; P1 and
    // P2.
    for status in [0x6a82, 0x6a81, 0x6e00, 0x6d00, 0x6700, 0x6881, 0x6a86, 0x6b00_u16] {
        let fixture = Fixture::builder().without_card().build();
        let answer = status.to_be_bytes().to_vec();
        fixture.service().insert(READER, Arc::new(FixedAnswerCard { atr: vec![0x3b, 0x00], answer }));
        assert_eq!(fixture.module().count_slots(true), Ok(0));
        assert_no_token(&fixture, fixture.auth_slot());
        assert_no_token(&fixture, fixture.sign_slot());
        let exchanges = fixture.service().calls(pcsc_stand_in::service::Function::Transmit);
        assert!(exchanges <= 2, "{status:04x}: {exchanges}");
        fixture.show_empty_reader();
        fixture.insert_card();
        fixture.logged_in(Credential::Authentication);
    }
}

#[test]
fn a_service_that_counts_no_insertions_has_another_card_asked_again_after_a_while() {
    let mut config = Config::default();
    config.settings.uncounted_reuse = Duration::from_millis(20);
    let fixture = Fixture::builder().config(config).profile(Profile::not_jpki()).build();
    fixture.service().set_quirks(Quirks { is_macos: true, ..Quirks::default() });
    assert_eq!(fixture.module().count_slots(true), Ok(0));
    fixture.swap_card(Profile::full(), Identity::from_seed(1));
    let end = Instant::now() + Duration::from_secs(10);
    while fixture.module().count_slots(true) != Ok(2) {
        assert!(Instant::now() < end, "the card is not asked again");
    }
}

#[test]
fn on_a_phone_the_certificate_appears_with_the_login() {
    let fixture = Fixture::with(Profile::android());
    assert_eq!(fixture.module().count_slots(true), Ok(2));
    let session = fixture.open(fixture.auth_slot());
    assert_eq!(fixture.find(session, ck::CKO_CERTIFICATE), [], "nothing is free");
    assert_eq!(fixture.find(session, ck::CKO_PUBLIC_KEY), []);
    fixture.login(session, AUTH_PIN).unwrap();
    assert_eq!(fixture.find(session, ck::CKO_CERTIFICATE).len(), 1);
    assert_eq!(fixture.find(session, ck::CKO_PUBLIC_KEY).len(), 1);
    assert_signs(&fixture, session, fixture.card(), Credential::Authentication);
    fixture.module().logout(session).unwrap();
    assert_eq!(fixture.find(session, ck::CKO_CERTIFICATE), []);
}

#[test]
fn a_phone_is_known_again_after_a_reset_and_another_one_is_not() {
    // Those that give fewer bytes at once have the serial number in a later piece.
    for traits in ["android", "android+long-read=6C20", "android+long-read=6C40", "android+long-read=6C5F"] {
        let profile = Profile::described_by(traits).expect(traits);
        let fixture = Fixture::with(profile.clone());
        let session = fixture.logged_in(Credential::Authentication);
        fixture.service().disturb(READER);
        assert_signs(&fixture, session, fixture.card(), Credential::Authentication);
        let another = Profile { serial: "0000000020500099".into(), ..profile };
        fixture.card().replace(another, Identity::from_seed(4));
        fixture.service().disturb(READER);
        let signed = fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data");
        assert_eq!(rv(signed), ck::CKR_DEVICE_REMOVED, "{traits}");
        assert_eq!(fixture.memory().live_pages(), 0, "{traits}");
    }
}

#[test]
fn what_one_chip_did_in_a_reader_is_not_believed_of_the_next() {
    for traits in [
        "full+extended-length=mute",
        "full+extended-length=fails",
        "full+extended-length=leaves-700",
        "android+extended-length=mute",
        "full+long-read=fails",
    ] {
        let fixture = Fixture::new();
        assert_eq!(fixture.module().count_slots(true), Ok(2));
        let profile = Profile::described_by(traits).expect(traits);
        fixture.remove_card();
        assert_eq!(fixture.module().count_slots(true), Ok(0));
        let card = fixture.swap_card(profile, Identity::from_seed(1));
        assert_eq!(fixture.module().count_slots(true), Ok(2), "{traits}");
        let session = fixture.logged_in(Credential::Authentication);
        assert_signs(&fixture, session, &card, Credential::Authentication);
    }
}

#[test]
fn every_kind_of_card_can_be_looked_at_from_end_to_end() {
    for profile in Profile::all() {
        let fixture = Fixture::with(profile);
        fixture.module().count_slots(true).unwrap();
        for slot in fixture.module().list_slots(true).unwrap() {
            fixture.module().token_info(slot).unwrap();
            fixture.module().mechanism_list(slot).unwrap();
            let session = fixture.open(slot);
            for object in fixture.find_by(session, &[]).unwrap() {
                fixture.attribute(session, object, ck::CKA_CLASS).unwrap();
                fixture.module().object_size(session, object).unwrap();
            }
        }
        assert_eq!(fixture.card().signatures(), 0);
    }
}

#[test]
fn a_login_is_to_the_card_in_one_reader() {
    let fixture = Fixture::new();
    let other = VirtualCard::new(Profile::full(), Identity::from_seed(7));
    fixture.service().add_reader(SECOND);
    fixture.service().insert(SECOND, Arc::new(other.clone()));
    assert_eq!(fixture.module().count_slots(true), Ok(4));
    let slots = fixture.module().list_slots(true).unwrap();
    let first = fixture.logged_in(Credential::Authentication);
    let second = fixture.open(slots[2]);
    let state = fixture.module().session_info(second).unwrap().state;
    assert_eq!(state, ck::CKS_RO_PUBLIC_SESSION);
    assert_eq!(other.verifies(Credential::Authentication), 0);
    fixture.login(second, AUTH_PIN).unwrap();
    assert_signs(&fixture, first, fixture.card(), Credential::Authentication);
    assert_signs(&fixture, second, &other, Credential::Authentication);

    fixture.remove_card();
    assert_eq!(rv(fixture.module().session_info(first)), ck::CKR_DEVICE_REMOVED);
    assert_signs(&fixture, second, &other, Credential::Authentication);
    assert_eq!(fixture.module().list_slots(true).unwrap(), slots[2..]);
    assert!(!other.verified(Credential::Authentication));
}

#[test]
fn a_card_moved_to_the_other_reader_is_the_same_token_without_a_login() {
    let fixture = Fixture::new();
    fixture.service().add_reader(SECOND);
    assert_eq!(fixture.module().count_slots(true), Ok(2));
    let slots = fixture.module().list_slots(false).unwrap();
    let before = serial(&fixture, slots[0]);
    let old = fixture.logged_in(Credential::Authentication);
    fixture.remove_card();
    fixture.service().insert(SECOND, Arc::new(fixture.card().clone()));
    assert_eq!(fixture.module().list_slots(true).unwrap(), slots[2..]);
    assert_eq!(serial(&fixture, slots[2]), before);
    assert_eq!(rv(fixture.module().session_info(old)), ck::CKR_SESSION_HANDLE_INVALID);
    assert_eq!(fixture.memory().live_pages(), 0);

    let session = fixture.open(slots[2]);
    let state = fixture.module().session_info(session).unwrap().state;
    assert_eq!(state, ck::CKS_RO_PUBLIC_SESSION);
    fixture.login(session, AUTH_PIN).unwrap();
    assert_signs(&fixture, session, fixture.card(), Credential::Authentication);
}

#[test]
fn the_answer_to_reset_does_not_matter() {
    // Lists of them broke other software on newer cards.
    let random: Vec<u8> = (0..33_u32).map(|index| u8::try_from((index * 167 + 29) % 256).unwrap()).collect();
    for atr in [vec![], vec![0x3b], vec![0xff; 33], vec![0x00; 33], random] {
        let fixture = Fixture::with(Profile { atr, ..Profile::full() });
        assert_eq!(fixture.module().count_slots(true), Ok(2));
        let session = fixture.logged_in(Credential::Authentication);
        assert_signs(&fixture, session, fixture.card(), Credential::Authentication);
    }
    let myna = Profile::full().atr;
    let fixture = Fixture::with(Profile { atr: myna, ..Profile::not_jpki() });
    assert_no_token(&fixture, fixture.auth_slot());
}
