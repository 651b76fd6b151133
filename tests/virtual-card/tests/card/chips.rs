//! Chips that differ from the one that is known best: files, short ids, lengths, neutral
//! applications.

use virtual_card::Credential::{Authentication, Signature};
use virtual_card::{EndOfFile, FileAnswer, LongRead, Profile, aid};

use crate::apdus::*;

const READ: [u8; 5] = [0, 0xb0, 0, 0, 0];
const FILE_REFUSALS: [u16; 6] = [0x6a82, 0x6982, 0x6986, 0x6a86, 0x6b00, 0x6d00];
const SHORT_ID_REFUSALS: [u16; 8] = [0x6a82, 0x6a86, 0x6a88, 0x6982, 0x6981, 0x6986, 0x6b00, 0x6d00];

fn with_answer(file: u8, answer: FileAnswer) -> Profile {
    Profile { file_answers: [(u16::from(file), answer)].into(), ..Profile::full() }
}

fn select_application(aid: &[u8]) -> Vec<u8> {
    with_data([0, 0xa4, 4, 0x0c], aid)
}

#[test]
fn a_file_may_be_refused_with_any_word_and_the_others_are_there() {
    for file in [0x06, 0x08, 0x0a] {
        for refusal in FILE_REFUSALS {
            let card = selected(with_answer(file, FileAnswer::Refused(refusal)));
            assert_eq!(select_file(&card, file), refusal);
            assert_eq!(answer(&card, &[0, 0xb0, 0x80 | file, 0, 0]), (vec![], refusal));
            assert_eq!(select_file(&card, 0x0b), 0x9000);
            assert_eq!(status(&card, &READ), 0x9000);
        }
    }
}

#[test]
fn a_file_that_can_be_selected_may_refuse_to_be_read() {
    let card = selected(with_answer(0x08, FileAnswer::ReadRefused(0x6982)));
    assert_eq!(select_file(&card, 0x08), 0x9000);
    assert_eq!(answer(&card, &READ), (vec![], 0x6982));
    assert_eq!(answer(&card, &[0, 0xb0, 0x88, 0, 0]), (vec![], 0x6982));
}

#[test]
fn a_file_may_come_with_a_warning() {
    for file in [0x06, 0x08, 0x0a] {
        let card = selected(with_answer(file, FileAnswer::Warning));
        select_file(&card, file);
        let (content, status) = answer(&card, &[0, 0xb0, 0, 0, 2]);
        assert_eq!((content.len(), status), (2, 0x6282));
    }
}

#[test]
fn ef_0008_may_hold_any_bytes() {
    for content in [&[0x01, 0x01, 0x00][..], &[0x8f, 0x8f], &[0xff], &[0, 0, 0]] {
        let card = selected(Profile { availability: Some(content.into()), ..Profile::full() });
        assert_eq!(answer(&card, &[0, 0xb0, 0x88, 0, 0]), (content.to_vec(), 0x9000));
    }
}

#[test]
fn short_ids_may_be_refused_to_each_command_alone() {
    for refusal in SHORT_ID_REFUSALS {
        let profile = Profile { short_read_refusal: Some(refusal), ..Profile::full() };
        let card = selected(profile);
        assert_eq!(status(&card, &[0, 0xb0, 0x88, 0, 0]), refusal);
        assert_eq!(status(&card, &with_data([0, 0x20, 0, 0x98], b"1234")), 0x9000);
        assert_eq!(sign(&card, 0, Authentication, &[1]).1, 0x9000);

        let profile = Profile { short_sign_refusal: Some(refusal), ..Profile::full() };
        let card = selected(profile);
        verify(&card, Authentication, "1234");
        assert_eq!(status(&card, &[0, 0xb0, 0x88, 0, 0]), 0x9000);
        assert_eq!(sign(&card, 0, Authentication, &[1]), (vec![], refusal));
        select_file(&card, 0x17);
        assert_eq!(status(&card, &[0x80, 0x2a, 0, 0x80, 1, 7, 0]), 0x9000);

        let profile = Profile { short_verify_refusal: Some(refusal), ..Profile::full() };
        let card = selected(profile);
        assert_eq!(status(&card, &[0, 0x20, 0, 0x98]), refusal);
        assert_eq!(status(&card, &with_data([0, 0x20, 0, 0x98], b"1234")), refusal);
        assert_eq!(tries(&card, Authentication), 0x63c3);
    }
}

#[test]
fn reading_by_short_id_may_leave_another_file_current() {
    for selects in [true, false] {
        let card = selected(Profile { short_read_selects: selects, ..Profile::full() });
        let read_short = |file: u8| answer(&card, &[0, 0xb0, 0x80 | file, 0, 3]);
        read_short(0x08);
        assert_eq!(status(&card, &READ), if selects { 0x9000 } else { 0x6986 });
        select_file(&card, 0x06);
        read_short(0x08);
        assert_eq!(answer(&card, &READ).0.len(), if selects { 3 } else { 160 });
    }
}

#[test]
fn a_chip_may_give_fewer_than_256_bytes_at_a_time() {
    for most in [0xff, 0xf0, 0x80] {
        let card = selected(Profile { long_read: LongRead::AtMost(most), ..Profile::full() });
        select_file(&card, 0x0a);
        assert_eq!(answer(&card, &READ), (vec![], 0x6c00 | u16::from(most)));
        assert_eq!(answer(&card, &[0, 0xb0, 0, 0, most]).0.len(), usize::from(most));
        select_file(&card, 0x08);
        assert_eq!(answer(&card, &READ).0.len(), 3, "a shorter file comes as ever");
    }
}

#[test]
fn a_chip_may_name_another_length_for_the_length_that_it_named() {
    let card = selected(Profile { long_read: LongRead::Stepwise(0xc8, 0x64), ..Profile::full() });
    select_file(&card, 0x0a);
    assert_eq!(answer(&card, &READ), (vec![], 0x6cc8));
    assert_eq!(answer(&card, &[0, 0xb0, 0, 0, 0xc8]), (vec![], 0x6c64));
    assert_eq!(answer(&card, &[0, 0xb0, 0, 0, 0x64]).0.len(), 0x64);
}

#[test]
fn the_end_of_a_file_is_told_in_three_ways() {
    for (end_of_file, crossing, behind) in [
        (EndOfFile::Refusal, 0x9000, 0x6b00),
        (EndOfFile::Warning, 0x6282, 0x6282),
        (EndOfFile::Silence, 0x9000, 0x9000),
    ] {
        let card = selected(Profile { end_of_file, ..Profile::full() });
        select_file(&card, 0x06);
        let (content, status) = answer(&card, &[0, 0xb0, 0, 150, 32]);
        assert_eq!((content.len(), status), (10, crossing));
        assert_eq!(answer(&card, &[0, 0xb0, 0, 150, 10]).1, 0x9000, "just up to the end");
        assert_eq!(answer(&card, &[0, 0xb0, 0, 160, 32]), (vec![], behind));
        assert_eq!(answer(&card, &[0, 0xb0, 0x7f, 0xff, 0]), (vec![], behind));
    }
}

#[test]
fn every_neutral_application_may_be_refused_and_then_nothing_is_forgotten() {
    for aid in aid::NEUTRAL {
        for refusal in [0x6a82, 0x6a86, 0x6d00, 0x6985, 0x6999] {
            let card = selected(Profile { refused_applications: [(aid, refusal)].into(), ..Profile::full() });
            verify(&card, Authentication, "1234");
            assert_eq!(status(&card, &select_application(aid)), refusal);
            assert!(card.verified(Authentication));
            for other in aid::NEUTRAL.into_iter().filter(|other| *other != aid) {
                assert_eq!(status(&card, &select_application(other)), 0x9000);
                assert!(!card.verified(Authentication));
            }
        }
    }
}

#[test]
fn a_foreign_card_has_one_word_for_everything() {
    for word in [0x6999, 0x6985, 0x6982, 0x6f00, 0x6283, 0x6400] {
        let card = card(Profile::foreign(word));
        assert_eq!([SELECT_JPKI, SELECT_ISD, &READ].map(|command| status(&card, command)), [word; 3]);
    }
}

#[test]
fn an_iphone_has_pins_of_its_own() {
    let card = selected(Profile::iphone());
    assert_eq!(verify(&card, Authentication, "1234"), 0x63c2);
    assert_eq!(verify(&card, Authentication, "9753"), 0x9000);
    assert_eq!(verify(&card, Signature, "PHONE42"), 0x9000);
    select_file(&card, 0x06);
    assert!(answer(&card, &READ).0.starts_with(b"JPKIAPIOSTOKEN "));
}

#[test]
fn the_label_of_another_chip_may_be_blank() {
    let card = selected(Profile { label: String::new(), ..Profile::full() });
    select_file(&card, 0x06);
    assert_eq!(answer(&card, &[0, 0xb0, 0, 0, 32]).0, [b' '; 32]);
}
