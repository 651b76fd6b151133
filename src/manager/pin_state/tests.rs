use super::*;

const FULL: TriesLeft = TriesLeft::new(3);

fn told(count: u8) -> CountAnswer {
    CountAnswer::Told(TriesLeft::new(count))
}

fn rejected(left: u8) -> Sent {
    Sent::Answered(VerifyOutcome::Rejected(Some(TriesLeft::new(left))))
}

#[test]
fn a_stored_pin_is_sent_only_while_the_count_is_full() {
    let (mut state, mut memory) = (PinState::new(FULL), PinMemory::default());
    assert_eq!(state.decide_stored(&mut memory, &7, told(3)), Decision::Send);
    assert_eq!(state.decide_stored(&mut memory, &7, told(2)), Decision::Refuse(Refusal::NotFull));
}

#[test]
fn a_refused_entry_waits_for_the_count_to_rise() {
    let (mut state, mut memory) = (PinState::new(FULL), PinMemory::default());
    assert_eq!(state.decide_entry(&mut memory, &7, told(3), 0), Decision::Send);
    state.learn(&mut memory, &7, rejected(2));
    for count in [2, 1] {
        let again = state.decide_entry(&mut memory, &7, told(count), 0);
        assert_eq!(again, Decision::Refuse(Refusal::Repeated), "{count} left");
    }
    assert_eq!(state.decide_entry(&mut memory, &7, told(0), 0), Decision::Refuse(Refusal::Blocked));
    assert_eq!(state.decide_entry(&mut memory, &7, told(3), 0), Decision::Send);
}

#[test]
fn a_lost_answer_is_a_refusal_only_if_the_count_is_lower() {
    for (after, expected) in [(3, Decision::Send), (2, Decision::Refuse(Refusal::Repeated))] {
        let (mut state, mut memory) = (PinState::new(FULL), PinMemory::default());
        state.decide_entry(&mut memory, &7, told(3), 0);
        state.learn(&mut memory, &7, Sent::Lost);
        assert_eq!(state.decide_entry(&mut memory, &7, told(after), 0), expected, "{after} left");
    }
}

#[test]
fn a_card_that_told_its_count_and_does_not_now_gets_no_pin() {
    let (mut state, mut memory) = (PinState::new(FULL), PinMemory::default());
    assert_eq!(state.decide_entry(&mut memory, &7, CountAnswer::NotTold, 0), Decision::Send);
    state.observe(&mut memory, told(3));
    let silent = state.decide_entry(&mut memory, &7, CountAnswer::NotTold, 0);
    assert_eq!(silent, Decision::Refuse(Refusal::NoCount));
}

#[test]
fn without_a_count_a_lost_entry_is_sent_once_more() {
    let (mut state, mut memory) = (PinState::new(FULL), PinMemory::default());
    for expected in [Decision::Send, Decision::Send, Decision::Refuse(Refusal::Repeated)] {
        assert_eq!(state.decide_entry(&mut memory, &7, CountAnswer::NotTold, 0), expected);
        if expected == Decision::Send {
            state.learn(&mut memory, &7, Sent::Lost);
        }
    }
}

#[test]
fn without_a_count_lost_answers_to_other_entries_do_not_make_room_for_a_third_time() {
    let (mut state, mut memory) = (PinState::new(FULL), PinMemory::default());
    for entry in [7, 8, 7] {
        assert_eq!(state.decide_entry(&mut memory, &entry, CountAnswer::NotTold, 0), Decision::Send);
        state.learn(&mut memory, &entry, Sent::Lost);
    }
    for answer in [CountAnswer::NotTold, told(1)] {
        let third = state.decide_entry(&mut memory, &7, answer, 0);
        assert_eq!(third, Decision::Refuse(Refusal::Repeated), "{answer:?}");
    }
    assert_eq!(state.decide_entry(&mut memory, &7, told(3), 0), Decision::Send);
}

#[test]
fn what_was_refused_without_a_count_waits_for_a_full_one() {
    let (mut state, mut memory) = (PinState::new(FULL), PinMemory::default());
    state.decide_entry(&mut memory, &7, CountAnswer::NotTold, 0);
    state.learn(&mut memory, &7, Sent::Answered(VerifyOutcome::Rejected(None)));
    let again = state.decide_entry(&mut memory, &7, told(2), 0);
    assert_eq!(again, Decision::Refuse(Refusal::Repeated));
    assert_eq!(state.decide_entry(&mut memory, &7, told(3), 0), Decision::Send);
}

#[test]
fn without_a_count_a_stored_pin_that_was_refused_as_an_entry_is_not_sent() {
    let (mut state, mut memory) = (PinState::new(FULL), PinMemory::default());
    state.log_in(Some(7));
    state.decide_entry(&mut memory, &7, CountAnswer::NotTold, 0);
    state.learn(&mut memory, &7, Sent::Answered(VerifyOutcome::Rejected(None)));
    let stored = state.decide_stored(&mut memory, &7, CountAnswer::NotTold);
    assert_eq!(stored, Decision::Refuse(Refusal::Repeated));
}

#[test]
fn the_reserve_is_never_all_tries() {
    let (mut state, mut memory) = (PinState::new(FULL), PinMemory::default());
    assert_eq!(state.decide_entry(&mut memory, &7, told(3), 5), Decision::Send);
    let second = state.decide_entry(&mut memory, &7, told(2), 5);
    assert_eq!(second, Decision::Refuse(Refusal::Reserved(TriesLeft::new(2))));
}

/// The card counts as it should and names another number where it refuses a PIN.
#[test]
fn an_entry_stays_refused_though_the_refusal_names_fewer_tries_than_the_count() {
    for named in [rejected(1), rejected(0), Sent::Answered(VerifyOutcome::Blocked)] {
        let (mut state, mut memory) = (PinState::new(FULL), PinMemory::default());
        assert_eq!(state.decide_entry(&mut memory, &7, told(3), 0), Decision::Send);
        state.learn(&mut memory, &7, named);
        let again = state.decide_entry(&mut memory, &7, told(2), 0);
        assert_eq!(again, Decision::Refuse(Refusal::Repeated), "{named:?}");
        assert_eq!(state.decide_entry(&mut memory, &7, told(3), 0), Decision::Send);
    }
}

#[test]
fn what_two_names_of_a_card_have_taught_holds_for_both() {
    let (mut state, mut memory) = (PinState::new(FULL), PinMemory::default());
    let mut other = PinMemory::default();
    for _ in 0..2 {
        state.decide_entry(&mut other, &7, CountAnswer::NotTold, 0);
        state.learn(&mut other, &7, Sent::Lost);
    }
    state.learn(&mut memory, &7, Sent::Lost);
    for (entry, left) in [(8, 1), (9, 0)] {
        state.decide_entry(&mut other, &entry, told(left + 1), 0);
        state.learn(&mut other, &entry, rejected(left));
    }
    state.decide_entry(&mut memory, &9, told(2), 0);
    state.learn(&mut memory, &9, rejected(0));
    memory.unite(&other);
    let (mut state, repeated) = (PinState::new(FULL), Decision::Refuse(Refusal::Repeated));
    assert_eq!(state.decide_entry(&mut memory, &7, CountAnswer::NotTold, 0), repeated, "lost twice");
    assert_eq!(state.decide_entry(&mut memory, &9, told(1), 0), repeated, "until the higher of both counts");
    assert_eq!(state.decide_entry(&mut memory, &8, told(1), 0), repeated, "of the other");
    assert_eq!(state.decide_entry(&mut memory, &8, told(3), 0), Decision::Send);
}
