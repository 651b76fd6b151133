//! Slots: how many, in which order, and what they are called.

use std::ffi::CString;
use std::sync::Arc;

use super::text;
use crate::support::fixture::{Fixture, READER};
use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use pcsc_stand_in::service::Service;
use virtual_card::{Identity, Profile, VirtualCard};

#[test]
fn there_are_two_slots_for_a_reader_authentication_first() {
    let fixture = Fixture::new();
    let slots = fixture.module().list_slots(true).expect("slots");
    let raw: Vec<u64> = slots.iter().map(|slot| slot.raw()).collect();
    assert_eq!(raw, [0, 1]);
    let labels: Vec<String> = slots
        .iter()
        .map(|&slot| text(&fixture.module().token_info(slot).expect("a token").label).to_owned())
        .collect();
    assert_eq!(labels, ["JPKI User Authentication", "JPKI Digital Signature"]);
}

#[test]
fn an_empty_reader_has_slots_without_a_token() {
    let fixture = Fixture::builder().without_card().build();
    // Its own two, and two for a reader that comes later.
    assert_eq!(fixture.module().count_slots(false), Ok(4));
    assert_eq!(fixture.module().count_slots(true), Ok(0));
    let slot = fixture.auth_slot();
    let info = fixture.module().slot_info(slot).expect("a slot");
    assert_eq!(info.flags, ck::CKF_REMOVABLE_DEVICE | ck::CKF_HW_SLOT);
    let code = fixture.module().token_info(slot).map_err(|error| error.return_value()).map(|_| ());
    assert_eq!(code, Err(ck::CKR_TOKEN_NOT_PRESENT));
}

#[test]
fn a_reader_keeps_its_slots_and_a_new_one_gets_new_ids() {
    let fixture = Fixture::new();
    let second = CString::new("Another Reader").expect("no NUL");
    assert_eq!(fixture.module().count_slots(false), Ok(2));
    fixture.service().add_reader(&second);
    assert_eq!(fixture.module().list_slots(false).expect("slots").len(), 2, "only a count looks for readers");
    assert_eq!(fixture.module().count_slots(false), Ok(4));
    fixture.service().remove_reader(READER);
    assert_eq!(fixture.module().count_slots(false), Ok(4));
    let info = fixture.module().slot_info(fixture.auth_slot()).expect("the slot answers");
    assert_eq!(info.flags & ck::CKF_TOKEN_PRESENT, 0);
    fixture.service().add_reader(READER);
    assert_eq!(fixture.module().count_slots(false), Ok(4));
}

#[test]
fn what_tells_the_two_slots_of_a_reader_apart_comes_first() {
    let fixture = Fixture::new();
    let shown = |slot| fixture.module().slot_info(slot).expect("a slot").slotDescription;
    assert!(text(&shown(fixture.auth_slot())).starts_with("Authentication, Virtual Reader"));
    assert!(text(&shown(fixture.sign_slot())).starts_with("Signature, Virtual Reader"));
}

#[test]
fn a_readers_name_is_blank_padded_and_not_cut_inside_a_character() {
    // 63, 64, 65 and 66 bytes; the last characters have three each.
    for name in
        ["x".repeat(60) + "読", "x".repeat(61) + "読", "x".repeat(62) + "読", "読取装置".repeat(5) + "読取"]
    {
        let fixture = Fixture::new();
        fixture.service().add_reader(&CString::new(name.clone()).expect("no NUL"));
        fixture.module().count_slots(false).expect("slots");
        let slot = fixture.module().list_slots(false).expect("slots")[2];
        let description = fixture.module().slot_info(slot).expect("a slot").slotDescription;
        let shown = text(&description);
        let whole = format!("Authentication, {name}");
        assert!(whole.starts_with(shown) && (61..=64).contains(&shown.len()), "{shown}");
        assert!(!description.contains(&0));
    }
}

#[test]
fn the_configuration_chooses_slots_without_moving_their_ids() {
    for (choice, ids) in [("authentication", [0, 2]), ("signature", [1, 3])] {
        let config = Config::parse(&format!("slots = \"{choice}\""));
        let fixture = Fixture::builder().config(config).build();
        fixture.service().add_reader(c"Another Reader");
        fixture.module().count_slots(false).expect("slots");
        let slots = fixture.module().list_slots(false).expect("slots");
        assert_eq!(slots.iter().map(|slot| slot.raw()).collect::<Vec<_>>(), ids);
    }
}

#[test]
fn an_ignored_reader_is_left_alone() {
    let config = Config::parse("readers = { ignore = \"Virtual*\" }");
    let fixture = Fixture::builder().config(config).build();
    assert_eq!(fixture.module().count_slots(true), Ok(0));
    assert_eq!(fixture.card().commands(), 0);
}

#[test]
fn two_readers_have_their_own_cards() {
    let fixture = Fixture::new();
    let service: &Service = fixture.service();
    service.add_reader(c"Another Reader");
    service.insert(c"Another Reader", Arc::new(VirtualCard::new(Profile::full(), Identity::from_seed(7))));
    assert_eq!(fixture.module().count_slots(true), Ok(4));
    let slots = fixture.module().list_slots(true).expect("slots");
    let serial = |index: usize| fixture.module().token_info(slots[index]).expect("a token").serialNumber;
    assert_eq!(serial(0), serial(1));
    assert_eq!(serial(2), serial(3));
    assert_ne!(serial(0), serial(2));
}
