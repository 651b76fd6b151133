//! Applications, files and reading them, status word by status word.

use virtual_card::Credential::{Authentication, Signature};
use virtual_card::{Identity, Profile, Reply, Validity};

use crate::apdus::*;

const READ: [u8; 5] = [0, 0xb0, 0, 0, 0];

fn first_bytes(profile: Profile, file: u8) -> (Vec<u8>, u16) {
    let card = selected(profile);
    assert_eq!(select_file(&card, file), 0x9000);
    answer(&card, &READ)
}

#[test]
fn the_other_applications_are_there_and_unknown_ones_are_not() {
    let card = card(Profile::full());
    assert_eq!(status(&card, SELECT_ISD), 0x9000);
    for end in [[1, 0], [4, 2], [4, 8]] {
        let aid = [&COMMON_AID[..8], &end[..]].concat();
        assert_eq!(status(&card, &with_data([0, 0xa4, 4, 0x0c], &aid)), 0x9000);
        assert_eq!(select_file(&card, 0x0a), 0x6a82);
    }
    assert_eq!(status(&card, &with_data([0, 0xa4, 4, 0x0c], &[0xa0, 0, 0, 3, 8])), 0x6a82);
}

#[test]
fn a_card_without_the_application_knows_nothing() {
    let card = card(Profile::not_jpki());
    for command in [SELECT_JPKI, SELECT_ISD, &READ, &[0, 0x20, 0, 0x80]] {
        assert_eq!(answer(&card, command), (vec![], 0x6a82));
    }
}

#[test]
fn certificates_are_followed_by_filler_up_to_3808_bytes() {
    let card = verified(Signature);
    for (file, credential) in [(0x0a, Authentication), (0x01, Signature)] {
        select_file(&card, file);
        let (content, status) = answer(&card, &[0, 0xb0, 0, 0, 0, 0, 0]);
        assert_eq!((content.len(), status), (3808, 0x9000));
        let der = Identity::shared().certificate(credential, Validity::Current);
        assert_eq!(content[..der.len()], der);
        assert!(content[der.len()..].iter().all(|byte| *byte == 0xff));
    }
}

#[test]
fn reading_stops_at_the_end_and_is_refused_past_it() {
    let card = selected(Profile::full());
    select_file(&card, 0x06);
    assert_eq!(answer(&card, &READ).0.len(), 160);
    assert_eq!(answer(&card, &[0, 0xb0, 0, 150, 32]).0.len(), 10);
    assert_eq!(answer(&card, &[0, 0xb0, 0, 160, 1]), (vec![], 0x6b00));
    assert_eq!(answer(&card, &[0, 0xb0, 0x7f, 0xff, 1]), (vec![], 0x6b00));
    assert_eq!(status(&card, &[0, 0xb0, 0, 0]), 0x6700);
}

#[test]
fn reading_by_short_id_needs_no_select() {
    let card = selected(Profile::full());
    assert_eq!(answer(&card, &[0, 0xb0, 0x88, 0, 0]), (vec![0x8f, 0x8f, 0x00], 0x9000));
    assert_eq!(answer(&card, &[0, 0xb0, 0x86, 100, 4]).0.len(), 4);
    assert_eq!(status(&card, &[0, 0xb0, 0x83, 0, 0]), 0x6a82);
    assert_eq!(status(&selected(Profile::conservative()), &[0, 0xb0, 0x88, 0, 0]), 0x6a86);
}

#[test]
fn reading_needs_a_file_with_bytes() {
    let card = selected(Profile::full());
    assert_eq!(status(&card, &READ), 0x6986);
    select_file(&card, 0x17);
    assert_eq!(status(&card, &READ), 0x6981);
    select_file(&card, 0x18);
    assert_eq!(status(&card, &READ), 0x6981);
    assert_eq!(select_file(&card, 0x19), 0x6a82);
}

#[test]
fn the_signature_certificate_needs_its_pin_and_no_other_file_does() {
    let card = selected(Profile::full());
    for (file, expected) in [(0x01, 0x6982), (0x02, 0x9000), (0x0a, 0x9000), (0x0b, 0x9000)] {
        select_file(&card, file);
        assert_eq!(status(&card, &READ), expected, "{file:02x}");
    }
    verify(&card, Authentication, "1234");
    select_file(&card, 0x01);
    assert_eq!(status(&card, &READ), 0x6982);
}

#[test]
fn a_phone_guards_the_authentication_certificate_too() {
    let card = selected(Profile::android());
    select_file(&card, 0x0a);
    assert_eq!(status(&card, &READ), 0x6982);
    verify(&card, Authentication, "1234");
    select_file(&card, 0x0a);
    assert_eq!(status(&card, &READ), 0x9000);
}

#[test]
fn the_token_record_names_the_kind_of_card() {
    for (profile, label) in [
        (Profile::full(), "JPKIAPICCTOKEN2 "),
        (Profile::juki(), "JPKIAPICCTOKEN  "),
        (Profile::android(), "JPKIAPGPSETOKEN "),
    ] {
        let (record, _) = first_bytes(profile, 0x06);
        assert_eq!(record.len(), 160);
        assert_eq!(&record[..16], label.as_bytes());
        assert_eq!(&record[80..96], b"0000000020500003");
    }
}

#[test]
fn under_15_there_is_no_signature_certificate() {
    assert_eq!(first_bytes(Profile::under_15(), 0x08).0, [0x00, 0x8f, 0x00]);
    assert_eq!(select_file(&selected(Profile::under_15()), 0x01), 0x6a82);

    let card = selected(Profile::under_15_filler());
    verify(&card, Signature, "ABC123");
    select_file(&card, 0x01);
    assert_eq!(answer(&card, &READ), (vec![0xff; 256], 0x9000));
}

#[test]
fn a_juki_card_has_nothing_for_authentication() {
    let card = selected(Profile::juki());
    for file in [0x0a, 0x0b, 0x17, 0x18] {
        assert_eq!(select_file(&card, file), 0x6a82);
    }
    assert_eq!(select_file(&card, 0x01), 0x9000);
}

#[test]
fn extended_length_works_where_the_profile_says_so() {
    let command = [0, 0xa4, 2, 0x0c, 0, 0, 2, 0, 6];
    assert_eq!(status(&selected(Profile::full()), &command), 0x9000);
    assert_eq!(status(&selected(Profile::conservative()), &command), 0x6700);
}

#[test]
fn some_cards_insist_on_the_exact_length() {
    let card = selected(Profile { insists_on_exact_length: true, ..Profile::full() });
    select_file(&card, 0x06);
    assert_eq!(answer(&card, &READ), (vec![], 0x6ca0));
    assert_eq!(answer(&card, &[0, 0xb0, 0, 0, 0xa0]).0.len(), 160);
}

#[test]
fn some_cards_answer_in_pieces() {
    let card = selected(Profile { longest_piece: Some(100), ..Profile::full() });
    select_file(&card, 0x06);
    let (first, status) = answer(&card, &READ);
    assert_eq!((first.len(), status), (100, 0x613c));
    let (second, status) = answer(&card, &[0, 0xc0, 0, 0, 0x3c]);
    assert_eq!((second.len(), status), (60, 0x9000));
    assert_eq!(answer(&card, &[0, 0xc0, 0, 0, 0]), (vec![], 0x6985));
}

#[test]
fn the_first_command_after_power_up_may_fail_once() {
    let card = card(Profile { first_command_fails: true, ..Profile::full() });
    assert_eq!(status(&card, SELECT_JPKI), 0x6f00);
    assert_eq!(status(&card, SELECT_JPKI), 0x9000);
    card.power_off();
    card.power_on();
    assert_eq!(status(&card, SELECT_JPKI), 0x6f00);
}

#[test]
fn a_challenge_is_as_long_as_wanted_and_never_the_same() {
    let card = card(Profile::full());
    let challenge = |length| answer(&card, &[0, 0x84, 0, 0, length]);
    assert_eq!(challenge(0).0.len(), 256);
    assert_ne!(challenge(16), challenge(16));
    assert_eq!(status(&card, &[0, 0x84, 0, 0]), 0x6700);
    assert_eq!(status(&card, &[0, 0x84, 1, 0, 8]), 0x6a86);
}

#[test]
fn unknown_classes_and_instructions_have_words_of_their_own() {
    let card = selected(Profile::full());
    for (header, expected) in [
        ([0x00, 0xee, 0, 0], 0x6d00),
        ([0x00, 0x2a, 0, 0x80], 0x6e00),
        ([0xb0, 0xb0, 0, 0], 0x6e00),
        ([0x01, 0xb0, 0, 0], 0x6881),
        ([0x0c, 0xb0, 0, 0], 0x6882),
    ] {
        assert_eq!(status(&card, &header), expected, "{header:02x?}");
    }
    assert_eq!(card.transmit(&[0, 0xb0]), Reply::Answer(vec![0x67, 0x00]));
}
