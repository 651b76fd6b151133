//! The ledger and the scripted faults.

use std::time::{Duration, Instant};

use virtual_card::Credential::{Authentication, Signature};
use virtual_card::{Application, Event, Fault, Outcome, Profile, Reply};

use crate::apdus::*;

const VERIFY: u8 = 0x20;

#[test]
fn the_ledger_tells_what_every_command_met() {
    let card = verified(Authentication);
    let mark = card.mark();
    sign(&card, 2, Authentication, &[3; 32]);
    let ledger = card.ledger_since(mark);
    let [Event::Command(record)] = ledger.events() else { panic!("{ledger}") };
    assert_eq!(record.application, Application::Jpki);
    assert_eq!(record.header, [0x80, 0x2a, 2, 0x97]);
    assert_eq!((record.command_length, record.answer_length), (38, 256));
    assert_eq!((record.status, record.signed), (Some(0x9000), Some(Authentication)));
    assert!(record.verified_before.authentication && !record.verified_after.signature);
}

#[test]
fn the_ledger_counts_tries_and_queries_apart() {
    let card = selected(Profile::full());
    tries(&card, Signature);
    verify(&card, Signature, "WRONG1");
    verify(&card, Signature, "ABC123");
    let ledger = card.ledger();
    assert_eq!(
        (ledger.queries(Signature), ledger.verifies(Signature), ledger.failed_verifies(Signature)),
        (1, 2, 1)
    );
    assert_eq!(ledger.verifies(Authentication), 0);
}

#[test]
fn the_ledger_counts_what_a_test_must_not_find() {
    let card = verified(Authentication);
    verify(&card, Signature, "WRONG1");
    status(&card, &[0, 0x20, 0, 0x80]);
    verify(&card, Authentication, "1234");
    status(&card, &with_data([0, 0x24, 1, 0x80], b"4321"));
    sign(&card, 4, Authentication, &[1; 32]);
    sign(&card, 4, Authentication, &[1; 200]);
    card.remove();
    let ledger = card.ledger();
    assert_eq!((ledger.tries_lost(Authentication), ledger.tries_lost(Signature)), (0, 1));
    assert_eq!((ledger.pin_commands(Authentication), ledger.pin_commands(Signature)), (3, 1));
    assert_eq!(ledger.all_queries(), 1);
    assert_eq!((ledger.power_offs(), ledger.removals(), ledger.resets()), (1, 1, 0));
    assert_eq!((ledger.unwanted_signatures(0), ledger.unwanted_signatures(1)), (1, 0));
    assert_eq!(ledger.signing_commands().next().unwrap().header, [0x80, 0x2a, 4, 0x97]);
}

#[test]
fn the_ledger_holds_no_pin() {
    let card = selected(Profile::full());
    verify(&card, Signature, "WRONG1");
    verify(&card, Signature, "ABC123");
    let text = format!("{:?} {}", card.ledger(), card.ledger());
    for pin in ["WRONG1", "ABC123", "574F524E4731", "414243313233", "65, 66, 67, 49"] {
        assert!(!text.contains(pin), "{pin} in {text}");
    }
}

#[test]
fn power_and_presence_are_on_the_ledger() {
    let card = card(Profile::full());
    card.warm_reset();
    card.remove();
    card.insert();
    let expected = [Event::WarmReset, Event::PowerOff, Event::Removed, Event::Inserted, Event::PowerOn];
    assert_eq!(card.ledger().events(), expected);
}

#[test]
fn a_fault_strikes_at_its_command_and_once() {
    let card = card(Profile::full());
    card.inject(Fault::at(2).answer_status(0x6f00));
    let answers = [0; 3].map(|_| status(&card, SELECT_JPKI));
    assert_eq!(answers, [0x9000, 0x6f00, 0x9000]);
    assert_eq!(card.pending_faults(), 0);
}

#[test]
fn a_repeated_fault_strikes_until_cleared() {
    let card = card(Profile::full());
    card.inject(Fault::on_instruction(0xa4).repeated().answer([]));
    assert_eq!([0; 2].map(|_| card.transmit(SELECT_JPKI)), [0; 2].map(|_| Reply::Answer(vec![])));
    card.clear_faults();
    assert_eq!(status(&card, SELECT_JPKI), 0x9000);
}

#[test]
fn a_lost_command_costs_no_try_and_a_lost_answer_does() {
    let card = selected(Profile::full());
    select_pin(&card, Authentication);
    let command = with_data([0, VERIFY, 0, 0x80], b"0000");
    card.inject(Fault::on_instruction(VERIFY).transport_error(-5));
    assert_eq!(card.transmit(&command), Reply::TransportError(-5));
    assert_eq!(card.tries_left(Authentication), 3);
    assert_eq!(card.verifies(Authentication), 1);

    card.inject(Fault::on_instruction(VERIFY).after_processing().transport_error(-5));
    assert_eq!(card.transmit(&command), Reply::TransportError(-5));
    assert_eq!(card.tries_left(Authentication), 2);
    let outcomes: Vec<_> =
        card.ledger().commands().filter_map(|record| record.verify).map(|verify| verify.outcome).collect();
    assert_eq!(outcomes, [Outcome::Lost, Outcome::Wrong]);
}

#[test]
fn a_removal_lasts_until_the_card_is_put_back() {
    let card = verified(Authentication);
    card.inject(Fault::at(1).remove());
    assert_eq!(card.transmit(SELECT_JPKI), Reply::Removed);
    assert_eq!(card.transmit(SELECT_JPKI), Reply::Removed);
    card.insert();
    assert_eq!(card.insertions(), 1);
    assert_eq!(status(&card, SELECT_JPKI), 0x9000);
    assert!(!card.verified(Authentication));
}

#[test]
fn a_reset_loses_the_selection_and_the_command() {
    let card = selected(Profile::full());
    card.inject(Fault::at(1).reset());
    assert_eq!(card.transmit(&[0, 0xa4, 2, 0x0c, 2, 0, 6]), Reply::Reset);
    assert_eq!((card.resets(), card.application()), (1, Application::CardManager));
}

#[test]
fn another_program_may_select_its_application_in_between() {
    let card = verified(Authentication);
    let mark = card.mark();
    card.inject(Fault::on_instruction(0x2a).foreign_select(COMMON_AID));
    assert_eq!(sign(&card, 0, Authentication, &[1]).1, 0x6a88);
    assert_eq!(card.application(), Application::Common);
    assert_eq!((card.commands_since(mark), card.ledger_since(mark).events().len()), (1, 2));
}

#[test]
fn an_answer_may_be_edited() {
    let card = verified(Authentication);
    card.inject(Fault::when(|command| command[1] == 0x2a).edit(|mut answer| {
        answer[0] ^= 1;
        answer
    }));
    let damaged = sign(&card, 0, Authentication, &[1]).0;
    let whole = sign(&card, 0, Authentication, &[1]).0;
    assert_eq!((damaged[0] ^ 1, &damaged[1..]), (whole[0], &whole[1..]));
}

#[test]
fn a_busy_card_can_be_looked_at() {
    let card = card(Profile::full());
    let latency = Duration::from_secs(2);
    card.set_latency(latency, Duration::ZERO);
    std::thread::scope(|scope| {
        let start = Instant::now();
        let busy = scope.spawn(|| status(&card, SELECT_JPKI));
        std::thread::sleep(latency / 10);
        card.ledger();
        assert!(!busy.is_finished());
        assert_eq!(busy.join().unwrap(), 0x9000);
        assert!(start.elapsed() >= latency);
    });
}

#[test]
fn clones_are_the_same_card() {
    let card = selected(Profile::full());
    verify(&card.clone(), Authentication, "0000");
    assert_eq!(card.tries_left(Authentication), 2);
}

#[test]
fn each_byte_takes_its_time_in_both_directions() {
    let card = selected(Profile::full());
    card.set_byte_latency(Duration::from_millis(1));
    let start = Instant::now();
    // Five bytes there; a hundred and two back.
    let read = card.transmit(&[0x00, 0xb0, 0x8a, 0x00, 100]);
    assert!(matches!(read, Reply::Answer(bytes) if bytes.len() == 102));
    assert!(start.elapsed() >= Duration::from_millis(107));
}
