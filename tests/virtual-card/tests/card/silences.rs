//! What happens instead of an answer: readers that fail, cards that fall silent or leave the field.

use std::time::{Duration, Instant};

use virtual_card::Credential::Authentication;
use virtual_card::stack::Stack;
use virtual_card::{ExtendedLength, Fault, LongRead, Profile, Reply, VirtualCard};

use crate::apdus::*;

const EXTENDED_READ: [u8; 7] = [0, 0xb0, 0, 0, 0, 0, 0];
const READ: [u8; 5] = [0, 0xb0, 0, 0, 0];

fn card_that(extended_length: ExtendedLength) -> VirtualCard {
    let card = selected(Profile { extended_length, ..Profile::full() });
    select_file(&card, 0x0a);
    card
}

#[test]
fn an_extended_command_may_be_refused_with_any_word() {
    for refusal in [0x6700, 0x6d00, 0x6883] {
        let card = card_that(ExtendedLength::Refused(refusal));
        assert_eq!(answer(&card, &EXTENDED_READ), (vec![], refusal));
        assert_eq!(answer(&card, &READ).0.len(), 256);
    }
}

#[test]
fn of_a_long_answer_only_256_bytes_may_come() {
    let card = card_that(ExtendedLength::Cut);
    let (content, status) = answer(&card, &EXTENDED_READ);
    assert_eq!((content, status), (answer(&card, &READ).0, 0x9000));
}

#[test]
fn a_reader_may_fail_at_an_extended_command_and_the_card_never_gets_it() {
    let card = card_that(ExtendedLength::TransmitFails);
    let mark = card.mark();
    assert!(matches!(card.transmit(&EXTENDED_READ), Reply::TransportError(_)));
    assert!(!card.ledger_since(mark).commands().next().unwrap().processed);
    assert_eq!(answer(&card, &READ).0.len(), 256);
}

#[test]
fn a_card_that_fell_silent_answers_after_a_reset_or_without_power_for_a_while() {
    let ends: [fn(&VirtualCard); 3] = [
        VirtualCard::warm_reset,
        |card| {
            card.power_off();
            card.power_on();
        },
        |card| {
            card.remove();
            card.insert();
        },
    ];
    for end in ends {
        let card = card_that(ExtendedLength::Mute);
        for command in [&EXTENDED_READ[..], &READ, SELECT_JPKI] {
            assert_eq!(card.transmit(command), Reply::Mute);
        }
        end(&card);
        assert_eq!(status(&card, SELECT_JPKI), 0x9000);
    }
}

#[test]
fn a_card_that_leaves_the_field_says_when_it_is_back() {
    let card = card_that(ExtendedLength::LeavesField(Duration::from_secs(60)));
    assert_eq!(card.returns_in(), None);
    verify(&card, Authentication, "1234");
    assert_eq!(card.transmit(&EXTENDED_READ), Reply::Removed);
    assert_eq!(card.transmit(&READ), Reply::Removed);
    let left = card.returns_in().unwrap();
    assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60), "{left:?}");
    card.insert();
    assert_eq!((card.returns_in(), status(&card, SELECT_JPKI)), (None, 0x9000));
    assert!(!card.verified(Authentication));
}

#[test]
fn a_card_taken_out_by_hand_does_not_come_back_by_itself() {
    let card = card_that(ExtendedLength::LeavesField(Duration::ZERO));
    card.transmit(&EXTENDED_READ);
    assert_eq!(card.returns_in(), Some(Duration::ZERO));
    card.remove();
    assert_eq!(card.returns_in(), None);
}

#[test]
fn a_reader_may_fail_at_256_bytes_and_nothing_less() {
    let card = selected(Profile { long_read: LongRead::ReaderFails, ..Profile::full() });
    select_file(&card, 0x0a);
    assert!(matches!(card.transmit(&READ), Reply::TransportError(_)));
    assert_eq!(answer(&card, &[0, 0xb0, 0, 0, 0xff]).0.len(), 255);
    verify(&card, Authentication, "1234");
    assert_eq!(sign(&card, 0, Authentication, &[1]).0.len(), 256, "signatures come");
}

/// Whether a challenge comes when OpenSC's tool asks for one.
fn gives_challenge(stack: &Stack, options: &[&str]) -> bool {
    let mut tool = stack.command("opensc-tool");
    let output = tool.args(options).args(["-s", "0084000008"]).output().expect("opensc is installed");
    String::from_utf8_lossy(&output.stdout).contains("SW1=0x90")
}

const GET_CHALLENGE: u8 = 0x84;

#[test]
fn behind_a_real_daemon_a_mute_card_stays_mute_until_it_is_reset() {
    let stack = Stack::full().unwrap();
    stack.card(0).inject(Fault::on_instruction(GET_CHALLENGE).mute());
    assert!(!gives_challenge(&stack, &[]));
    assert!(!gives_challenge(&stack, &[]));
    assert_eq!(stack.card(0).insertions(), 0);
    stack.card(0).warm_reset();
    // The driver takes a failed command for the loss of the card and finds it again at its next
    // look.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !gives_challenge(&stack, &[]) {
        assert!(Instant::now() < deadline, "{}", stack.card(0).ledger());
    }
}

#[test]
fn behind_a_real_daemon_a_card_leaves_the_field_and_comes_back() {
    let stack = Stack::full().unwrap();
    stack.card(0).inject(Fault::on_instruction(GET_CHALLENGE).leave_field(Duration::from_secs(3)));
    assert!(!gives_challenge(&stack, &[]));
    assert!(!stack.card(0).is_present());
    assert!(gives_challenge(&stack, &["--wait"]));
    assert_eq!(stack.card(0).insertions(), 1);
}
