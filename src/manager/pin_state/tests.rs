use super::*;

const FULL: TriesLeft = TriesLeft::new(3);
const ENTRY: Origin = Origin::Entry { reserve: 0 };
const CONTEXT_ENTRY: Origin = Origin::ContextEntry { reserve: 0 };
const LOST: Sent = Sent::Lost { by_reset: false };

type State = PinState<u8>;

fn told(count: u8) -> CountAnswer {
    CountAnswer::Told(TriesLeft::new(count))
}

fn rejected(left: u8) -> Sent {
    Sent::Answered(VerifyOutcome::Rejected(Some(TriesLeft::new(left))))
}

#[test]
fn a_stored_pin_is_sent_only_while_the_count_is_full() {
    let (mut state, mut memory) = (State::new(FULL), PinMemory::default());
    assert_eq!(state.decide(&mut memory, Origin::Login, &7, told(3)), Decision::Send);
    assert_eq!(state.decide(&mut memory, Origin::Login, &7, told(2)), Decision::Refuse(Refusal::NotFull));
}

#[test]
fn a_refused_entry_waits_for_the_count_to_rise() {
    let (mut state, mut memory) = (State::new(FULL), PinMemory::default());
    assert_eq!(state.decide(&mut memory, ENTRY, &7, told(3)), Decision::Send);
    state.learn(&mut memory, ENTRY, &7, rejected(2));
    for count in [2, 1] {
        let again = state.decide(&mut memory, ENTRY, &7, told(count));
        assert_eq!(again, Decision::Refuse(Refusal::Repeated), "{count} left");
    }
    assert_eq!(state.decide(&mut memory, ENTRY, &7, told(0)), Decision::Refuse(Refusal::Blocked));
    assert_eq!(state.decide(&mut memory, ENTRY, &7, told(3)), Decision::Send);
}

#[test]
fn a_lost_answer_is_a_refusal_only_if_the_count_is_lower() {
    for (after, expected) in [(3, Decision::Send), (2, Decision::Refuse(Refusal::Repeated))] {
        let (mut state, mut memory) = (State::new(FULL), PinMemory::default());
        state.decide(&mut memory, ENTRY, &7, told(3));
        state.learn(&mut memory, ENTRY, &7, LOST);
        assert_eq!(state.decide(&mut memory, ENTRY, &7, told(after)), expected, "{after} left");
    }
}

#[test]
fn a_card_that_told_its_count_and_does_not_now_gets_no_pin() {
    let (mut state, mut memory) = (State::new(FULL), PinMemory::default());
    assert_eq!(state.decide(&mut memory, ENTRY, &7, CountAnswer::NotTold), Decision::Send);
    state.observe(&mut memory, told(3));
    let silent = state.decide(&mut memory, ENTRY, &7, CountAnswer::NotTold);
    assert_eq!(silent, Decision::Refuse(Refusal::NoCount));
}

#[test]
fn without_a_count_a_lost_entry_is_sent_once_more() {
    let (mut state, mut memory) = (State::new(FULL), PinMemory::default());
    for expected in [Decision::Send, Decision::Send, Decision::Refuse(Refusal::Repeated)] {
        assert_eq!(state.decide(&mut memory, ENTRY, &7, CountAnswer::NotTold), expected);
        if expected == Decision::Send {
            state.learn(&mut memory, ENTRY, &7, LOST);
        }
    }
}

#[test]
fn without_a_count_lost_answers_to_other_entries_do_not_make_room_for_a_third_time() {
    let (mut state, mut memory) = (State::new(FULL), PinMemory::default());
    for entry in [7, 8, 7] {
        assert_eq!(state.decide(&mut memory, ENTRY, &entry, CountAnswer::NotTold), Decision::Send);
        state.learn(&mut memory, ENTRY, &entry, LOST);
    }
    for answer in [CountAnswer::NotTold, told(1)] {
        let third = state.decide(&mut memory, ENTRY, &7, answer);
        assert_eq!(third, Decision::Refuse(Refusal::Repeated), "{answer:?}");
    }
    assert_eq!(state.decide(&mut memory, ENTRY, &7, told(3)), Decision::Send);
}

#[test]
fn what_was_refused_without_a_count_waits_for_a_full_one() {
    let (mut state, mut memory) = (State::new(FULL), PinMemory::default());
    state.decide(&mut memory, ENTRY, &7, CountAnswer::NotTold);
    state.learn(&mut memory, ENTRY, &7, Sent::Answered(VerifyOutcome::Rejected(None)));
    let again = state.decide(&mut memory, ENTRY, &7, told(2));
    assert_eq!(again, Decision::Refuse(Refusal::Repeated));
    assert_eq!(state.decide(&mut memory, ENTRY, &7, told(3)), Decision::Send);
}

#[test]
fn without_a_count_a_stored_pin_that_was_refused_as_an_entry_is_not_sent() {
    let (mut state, mut memory) = (State::new(FULL), PinMemory::default());
    state.log_in(Some(7));
    state.decide(&mut memory, ENTRY, &7, CountAnswer::NotTold);
    state.learn(&mut memory, ENTRY, &7, Sent::Answered(VerifyOutcome::Rejected(None)));
    let stored = state.decide(&mut memory, Origin::Login, &7, CountAnswer::NotTold);
    assert_eq!(stored, Decision::Refuse(Refusal::Repeated));
    assert!(!state.is_logged_in());
}

#[test]
fn an_entry_that_would_take_a_reserved_try_is_not_sent() {
    let (mut state, mut memory) = (State::new(FULL), PinMemory::default());
    state.log_in(None);
    let refused = Decision::Refuse(Refusal::Reserved(TriesLeft::new(2)));
    let entry = Origin::Entry { reserve: 2 };
    assert_eq!(state.decide(&mut memory, entry, &7, told(3)), Decision::Send);
    assert_eq!(state.decide(&mut memory, entry, &7, told(2)), refused);
    assert!(state.is_logged_in());
    assert_eq!(state.decide(&mut memory, Origin::ContextEntry { reserve: 2 }, &7, told(2)), refused);
    assert!(!state.is_logged_in());
}

#[test]
fn a_reserve_goes_by_our_own_refusals_where_the_card_tells_no_count() {
    let (mut state, mut memory) = (State::new(FULL), PinMemory::default());
    let entry = Origin::Entry { reserve: 1 };
    let refused = Decision::Refuse(Refusal::Reserved(TriesLeft::new(1)));
    for (pin, named) in [(7, None), (8, Some(TriesLeft::new(1)))] {
        assert_eq!(state.decide(&mut memory, entry, &pin, CountAnswer::NotTold), Decision::Send);
        state.learn(&mut memory, entry, &pin, Sent::Answered(VerifyOutcome::Rejected(named)));
    }
    assert_eq!(state.decide(&mut memory, entry, &9, CountAnswer::NotTold), refused);
    assert_eq!(state.decide(&mut memory, ENTRY, &9, CountAnswer::NotTold), Decision::Send, "no reserve");
    state.learn(&mut memory, ENTRY, &9, Sent::Answered(VerifyOutcome::Accepted));
    assert_eq!(state.decide(&mut memory, entry, &6, CountAnswer::NotTold), Decision::Send);
}

#[test]
fn the_login_ends_by_what_speaks_against_its_pin() {
    let wrong = Sent::Answered(VerifyOutcome::Rejected(None));
    let blocked = Sent::Answered(VerifyOutcome::Blocked);
    let reset = Sent::Lost { by_reset: true };
    for (origin, sent, stays) in [
        (Origin::Login, Sent::Answered(VerifyOutcome::Accepted), true),
        (Origin::Login, Sent::NotSent, true),
        (Origin::Login, reset, true),
        (Origin::Login, LOST, false),
        (Origin::Login, wrong, false),
        (Origin::ContextLogin, wrong, true),
        (ENTRY, wrong, true),
        (ENTRY, LOST, true),
        (ENTRY, blocked, true),
        (CONTEXT_ENTRY, wrong, true),
        (CONTEXT_ENTRY, LOST, true),
        (CONTEXT_ENTRY, blocked, false),
    ] {
        let (mut state, mut memory) = (State::new(FULL), PinMemory::default());
        state.log_in(Some(7));
        state.learn(&mut memory, origin, &7, sent);
        assert_eq!(state.is_logged_in(), stays, "{origin:?}, {sent:?}");
    }
    for (origin, answer, stays) in [
        (Origin::Login, told(3), true),
        (Origin::Login, told(2), false),
        (Origin::Login, CountAnswer::Verified, true),
        (Origin::ContextLogin, told(2), true),
        (ENTRY, told(2), true),
        (ENTRY, told(0), true),
        (CONTEXT_ENTRY, told(2), true),
        (CONTEXT_ENTRY, told(0), false),
    ] {
        let (mut state, mut memory) = (State::new(FULL), PinMemory::default());
        state.log_in(Some(7));
        state.decide(&mut memory, origin, &7, answer);
        assert_eq!(state.is_logged_in(), stays, "{origin:?}, {answer:?}");
    }
}

/// The card counts as it should and names another number where it refuses a PIN.
#[test]
fn an_entry_stays_refused_though_the_refusal_names_fewer_tries_than_the_count() {
    for named in [rejected(1), rejected(0), Sent::Answered(VerifyOutcome::Blocked)] {
        let (mut state, mut memory) = (State::new(FULL), PinMemory::default());
        assert_eq!(state.decide(&mut memory, ENTRY, &7, told(3)), Decision::Send);
        state.learn(&mut memory, ENTRY, &7, named);
        let again = state.decide(&mut memory, ENTRY, &7, told(2));
        assert_eq!(again, Decision::Refuse(Refusal::Repeated), "{named:?}");
        assert_eq!(state.decide(&mut memory, ENTRY, &7, told(3)), Decision::Send);
    }
}

#[test]
fn what_two_names_of_a_card_have_taught_holds_for_both() {
    let (mut state, mut memory) = (State::new(FULL), PinMemory::default());
    let mut other = PinMemory::default();
    for _ in 0..2 {
        state.decide(&mut other, ENTRY, &7, CountAnswer::NotTold);
        state.learn(&mut other, ENTRY, &7, LOST);
    }
    state.learn(&mut memory, ENTRY, &7, LOST);
    for (entry, left) in [(8, 1), (9, 0)] {
        state.decide(&mut other, ENTRY, &entry, told(left + 1));
        state.learn(&mut other, ENTRY, &entry, rejected(left));
    }
    state.decide(&mut memory, ENTRY, &9, told(2));
    state.learn(&mut memory, ENTRY, &9, rejected(0));
    memory.unite(&other);
    let (mut state, repeated) = (State::new(FULL), Decision::Refuse(Refusal::Repeated));
    assert_eq!(state.decide(&mut memory, ENTRY, &7, CountAnswer::NotTold), repeated, "lost twice");
    assert_eq!(state.decide(&mut memory, ENTRY, &9, told(1)), repeated, "until the higher of both counts");
    assert_eq!(state.decide(&mut memory, ENTRY, &8, told(1)), repeated, "of the other");
    assert_eq!(state.decide(&mut memory, ENTRY, &8, told(3)), Decision::Send);
}
