//! The PINs and the verified state, status word by status word.

use virtual_card::Credential::{Authentication, Signature};
use virtual_card::{Credential, Profile, Reply, TriesQuery};

use crate::apdus::*;

#[test]
fn each_pin_starts_with_all_its_tries() {
    let card = selected(Profile::full());
    assert_eq!(tries(&card, Authentication), 0x63c3);
    assert_eq!(tries(&card, Signature), 0x63c5);
}

#[test]
fn the_last_wrong_try_answers_63c0_and_later_ones_6984() {
    let card = selected(Profile::full());
    let answers = [0x63c2, 0x63c1, 0x63c0, 0x6984].map(|_| verify(&card, Authentication, "0000"));
    assert_eq!(answers, [0x63c2, 0x63c1, 0x63c0, 0x6984]);
    assert_eq!(verify(&card, Authentication, "1234"), 0x6984);
    assert_eq!(tries(&card, Authentication), 0x63c0);
    assert_eq!(tries(&card, Signature), 0x63c5);
}

#[test]
fn some_cards_answer_6983_when_blocked() {
    let card = selected(Profile { blocked_status: 0x6983, ..Profile::blocked_signature() });
    assert_eq!(verify(&card, Signature, "ABC123"), 0x6983);
}

#[test]
fn success_restores_the_counter() {
    let card = selected(Profile::full());
    assert_eq!(verify(&card, Signature, "abc123"), 0x63c4);
    assert_eq!(verify(&card, Signature, "ABC123"), 0x9000);
    assert_eq!(tries(&card, Signature), 0x63c5);
}

#[test]
fn a_query_answers_the_same_when_verified() {
    let card = verified(Authentication);
    assert_eq!(tries(&card, Authentication), 0x63c3);
    assert!(card.verified(Authentication));
}

#[test]
fn a_query_with_a_fifth_byte_is_refused() {
    let card = selected(Profile::full());
    select_pin(&card, Authentication);
    assert_eq!(status(&card, &[0, 0x20, 0, 0x80, 0]), 0x6700);
    assert_eq!(status(&card, &[0, 0x20, 0, 0x80, 4]), 0x6700);
    assert_eq!(card.tries_left(Authentication), 3);
}

#[test]
fn verify_finds_its_pin_by_short_id() {
    let card = selected(Profile::full());
    assert_eq!(status(&card, &with_data([0, 0x20, 0, 0x98], b"1234")), 0x9000);
    assert_eq!(status(&card, &with_data([0, 0x20, 0, 0x9b], b"ABC123")), 0x9000);
    assert_eq!(status(&card, &[0, 0x20, 0, 0x98]), 0x63c3);
    assert_eq!(status(&card, &[0, 0x20, 0, 0x81]), 0x6981);
    assert_eq!(status(&card, &[0, 0x20, 0, 0x83]), 0x6a88);
    let conservative = selected(Profile::conservative());
    assert_eq!(status(&conservative, &with_data([0, 0x20, 0, 0x98], b"1234")), 0x6a86);
}

#[test]
fn verify_needs_a_pin_file() {
    let card = selected(Profile::full());
    let command = with_data([0, 0x20, 0, 0x80], b"1234");
    assert_eq!(status(&card, &command), 0x6986);
    select_file(&card, 0x0a);
    assert_eq!(status(&card, &command), 0x6981);
    assert_eq!(card.ledger().misplaced_verifies(), 2);
}

#[test]
fn verified_state_survives_a_select_of_the_same_application() {
    let card = verified(Authentication);
    assert_eq!(status(&card, SELECT_JPKI), 0x9000);
    assert_eq!(select_file(&card, 0x06), 0x9000);
    assert!(card.verified(Authentication));
}

#[test]
fn verified_state_ends_with_another_application() {
    for aid in [COMMON_AID, &SELECT_ISD[5..], &[0xd3, 0x92, 0x10, 0, 0x31, 0, 1, 1, 4, 2]] {
        let card = verified(Signature);
        assert_eq!(status(&card, &with_data([0, 0xa4, 4, 0x0c], aid)), 0x9000);
        assert!(!card.verified(Signature));
        assert_eq!(status(&card, SELECT_JPKI), 0x9000);
        assert_eq!(sign(&card, 0, Signature, &[1]), (vec![], 0x6982));
    }
}

#[test]
fn verified_state_survives_a_select_that_fails() {
    let card = verified(Authentication);
    assert_eq!(status(&card, &with_data([0, 0xa4, 4, 0x0c], &[1, 2, 3])), 0x6a82);
    assert!(card.verified(Authentication));
    assert_eq!(sign(&card, 0, Authentication, &[1]).1, 0x9000);
}

#[test]
fn verified_state_ends_with_the_power() {
    let card = verified(Authentication);
    card.power_off();
    assert_eq!(card.transmit(SELECT_JPKI), Reply::Mute);
    card.power_on();
    assert_eq!(status(&card, SELECT_JPKI), 0x9000);
    assert_eq!(sign(&card, 0, Authentication, &[1]).1, 0x6982);
}

#[test]
fn a_warm_reset_keeps_the_verified_state_or_ends_it_as_the_profile_says() {
    for keeps in [true, false] {
        let card = selected(Profile { warm_reset_keeps_verified: keeps, ..Profile::full() });
        verify(&card, Authentication, "1234");
        card.warm_reset();
        assert_eq!(sign(&card, 0, Authentication, &[1]).1, 0x6a88, "the application is still selected");
        assert_eq!(status(&card, SELECT_JPKI), 0x9000);
        let expected = if keeps { 0x9000 } else { 0x6982 };
        assert_eq!(sign(&card, 0, Authentication, &[1]).1, expected);
    }
}

#[test]
fn a_wrong_pin_ends_an_earlier_verified_state() {
    let card = verified(Authentication);
    assert_eq!(verify(&card, Authentication, "0000"), 0x63c2);
    assert!(!card.verified(Authentication));
}

#[test]
fn the_two_pins_are_independent() {
    let card = verified(Authentication);
    assert!(!card.verified(Signature));
    assert_eq!(sign(&card, 0, Signature, &[1]).1, 0x6982);
}

#[test]
fn a_pin_changes_after_the_old_one_was_verified() {
    let card = selected(Profile::full());
    let change = with_data([0, 0x24, 1, 0x80], b"5678");
    select_pin(&card, Authentication);
    assert_eq!(status(&card, &change), 0x6982);
    assert_eq!(verify(&card, Authentication, "1234"), 0x9000);
    assert_eq!(status(&card, &change), 0x9000);
    assert_eq!(verify(&card, Authentication, "1234"), 0x63c2);
    assert_eq!(verify(&card, Authentication, "5678"), 0x9000);
}

#[test]
fn a_change_is_refused_without_its_file_or_with_an_impossible_pin() {
    let card = verified(Signature);
    for new in [&b"short"[..], b"lower1", b"SEVENTEEN90123456"] {
        assert_eq!(status(&card, &with_data([0, 0x24, 1, 0x80], new)), 0x6a80);
    }
    assert_eq!(status(&card, &[0, 0x24, 1, 0x80]), 0x6700);
    assert_eq!(status(&card, &with_data([0, 0x24, 0, 0x80], b"NEWPIN1")), 0x6a86);
    assert_eq!(status(&card, SELECT_JPKI), 0x9000);
    assert_eq!(status(&card, &with_data([0, 0x24, 1, 0x80], b"NEWPIN1")), 0x6986);
    assert_eq!(verify(&card, Signature, "ABC123"), 0x9000);
}

#[test]
fn a_blocked_pin_has_several_words() {
    for blocked_status in [0x6983, 0x6984, 0x63c0] {
        for blocked_query_status in [0x63c0, 0x6983, 0x6984] {
            let profile = Profile::blocked_authentication();
            let card = selected(Profile { blocked_status, blocked_query_status, ..profile });
            assert_eq!(verify(&card, Authentication, "1234"), blocked_status);
            assert_eq!(tries(&card, Authentication), blocked_query_status);
            assert_eq!(tries(&card, Signature), 0x63c5);
        }
    }
}

#[test]
fn some_cards_count_no_tries_while_verified() {
    let card = selected(Profile { tries_query: TriesQuery::UnlessVerified, ..Profile::full() });
    assert_eq!(tries(&card, Authentication), 0x63c3);
    verify(&card, Authentication, "1234");
    assert_eq!(tries(&card, Authentication), 0x9000);
    assert_eq!(tries(&card, Signature), 0x63c5);
    verify(&card, Authentication, "0000");
    assert_eq!(tries(&card, Authentication), 0x63c2);
}

#[test]
fn some_cards_never_count_tries() {
    for refusal in [0x6a86, 0x6d00, 0x6985] {
        let card = selected(Profile { tries_query: TriesQuery::Refused(refusal), ..Profile::full() });
        assert_eq!(tries(&card, Authentication), refusal);
        assert_eq!(verify(&card, Authentication, "0000"), 0x63c2);
        assert_eq!(tries(&card, Authentication), refusal);
    }
}

#[test]
fn some_cards_answer_a_query_with_a_fifth_byte() {
    let card = selected(Profile { fifth_byte_refusal: None, ..Profile::full() });
    select_pin(&card, Authentication);
    assert_eq!(status(&card, &[0, 0x20, 0, 0x80, 0]), 0x63c3);
}

#[test]
fn a_card_without_a_pin_says_so_and_takes_none() {
    let card = selected(Profile::without_pin());
    assert_eq!(tries(&card, Authentication), 0x6984);
    assert_eq!(verify(&card, Authentication, "1234"), 0x6984);
    assert_eq!(sign(&card, 0, Authentication, &[1]).1, 0x6982);
    assert_eq!(select_file(&card, 0x0a), 0x9000);
    assert_eq!(status(&card, &[0, 0xb0, 0, 0, 0]), 0x9000);
    assert_eq!(select_file(&card, 0x01), 0x6a82);
}

#[test]
fn another_program_may_have_left_both_pins_verified() {
    let card = card(Profile { left_verified: true, ..Profile::full() });
    for credential in Credential::ALL {
        assert_eq!(sign(&card, 0, credential, &[1]).1, 0x9000);
    }
    card.power_off();
    card.power_on();
    assert!(!card.verified_pins().any());
    card.leave_verified();
    assert!(card.verified(Authentication) && card.verified(Signature));
    assert_eq!(card.verifies(Authentication), 0);
}
