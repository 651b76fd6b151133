//! All histories of a PIN: cards, programs of ours and other programs, from every state on, until
//! no new state appears. The state of a PIN is the library's own; the card and the ledger of what
//! may happen are written here.
//!
//! # What is checked
//!
//! - (a) Between two rises of the count no PIN is counted twice that one program sends, and the
//!   stored PINs of all programs cost one try at most.
//! - (b) No stored PIN takes the count below full - 1, and none costs a try before another program
//!   changed the PIN.
//! - (c) The right PIN is held back only after another program's failure, until the count rises.
//! - (d) From every state a right entry succeeds: now, or after another program's success. A
//!   blocked PIN is one.
//! - A blocked PIN is called so before anything else is said. A login ends when the answer to
//!   CHANGE is lost. A card that has told its count and does not now gets no PIN, and ends no
//!   login.
//!
//! # A card that never tells its count
//!
//! It has no net. Of the above there remains: one program sends no PIN, entry or stored, that it
//! knows to be refused; one whose answer was lost is counted twice at most; (b) without its first
//! half. So each program may cost a try after a change of the PIN. (c) The right PIN is held back
//! only if this program had it refused, or had its answer lost twice, and has had no success since.
//! (d) Then another PIN must be right first.
//!
//! A card that always names the same number has none either. Lost answers are left out for it:
//! nothing tells then whether they were refusals.
//!
//! A card that tells its count at times has the net whenever it tells. A failure of our own while
//! it was silent counts as another program's in (c), and in (d) it may have to be put in again.
//!
//! `JPKI_SEARCH=full` searches more kinds of events at a time, in minutes.

mod card;
mod interner;
mod ledger;
mod machine;
mod mutants;
mod program;
mod random;
mod search;
mod situation;

use std::env;

use self::card::Tells;
use self::ledger::Violation;
use self::machine::Real;
use self::mutants::{Instead, Mutant};
use self::search::{Configuration, Part, search};

const ALL: &[Part] = &[
    Part::Lost,
    Part::Open,
    Part::Malformed,
    Part::SetPin,
    Part::Context,
    Part::Look,
    Part::Restart,
    Part::Reinsert,
];

/// Small enough for every run.
const SMALL: Configuration = Configuration {
    tells: Tells::Always,
    full: 3,
    start: (0, 3),
    pins: 3,
    parts: &[Part::Lost, Part::SetPin, Part::Context],
    forgets_count: true,
};

const NEVER: Configuration = Configuration { tells: Tells::Never, parts: &[Part::Lost], ..SMALL };

const AT_TIMES: Configuration =
    Configuration { tells: Tells::AtTimes, pins: 2, parts: &[Part::Lost, Part::Restart], ..SMALL };

const OPEN: Configuration = Configuration {
    parts: &[Part::Open, Part::Malformed, Part::Look, Part::Restart, Part::Reinsert],
    forgets_count: false,
    ..SMALL
};

const TWO_CARDS: Configuration =
    Configuration { full: 2, start: (0, 2), pins: 2, parts: &[Part::Swap], ..SMALL };

const FEW: Configuration = Configuration { parts: &[], ..SMALL };

const NEVER_CONTEXT: Configuration =
    Configuration { tells: Tells::Never, parts: &[Part::Context, Part::SetPin], ..SMALL };

const CONSTANT: Configuration = Configuration {
    tells: Tells::Constant,
    parts: &[Part::Context, Part::SetPin, Part::Look, Part::Restart],
    ..SMALL
};

fn is_full() -> bool {
    env::var("JPKI_SEARCH").is_ok_and(|size| size == "full")
}

fn real<const N: usize>(configuration: Configuration) {
    let found = search::<Real, N>(configuration, Real::new(configuration.full));
    if let Some((_, history)) = found.history {
        panic!("{history}");
    }
}

#[test]
fn one_program_with_a_card_that_tells_its_count() {
    real::<1>(SMALL);
    real::<1>(OPEN);
}

#[test]
fn one_program_with_a_card_that_never_tells_its_count() {
    real::<1>(NEVER);
    real::<1>(NEVER_CONTEXT);
}

#[test]
fn one_program_with_a_card_that_always_names_the_same_number() {
    real::<1>(CONSTANT);
}

#[test]
fn one_program_with_a_card_that_tells_its_count_at_times() {
    real::<1>(AT_TIMES);
}

#[test]
fn one_program_with_two_cards() {
    real::<1>(TWO_CARDS);
}

#[test]
fn two_programs() {
    real::<2>(FEW);
    real::<2>(Configuration { parts: &[Part::SetPin], pins: 2, ..FEW });
    real::<2>(Configuration { tells: Tells::Never, pins: 2, ..FEW });
    real::<2>(Configuration { tells: Tells::Constant, pins: 2, ..FEW });
}

#[test]
fn three_programs() {
    real::<3>(Configuration { pins: 2, ..FEW });
}

/// Minutes.
#[test]
fn every_kind_of_event_at_a_time() {
    if !is_full() {
        println!("only with JPKI_SEARCH=full");
        return;
    }
    let all = Configuration { parts: ALL, forgets_count: false, ..SMALL };
    real::<1>(all);
    real::<1>(Configuration { full: 5, start: (0, 5), ..SMALL });
    real::<1>(Configuration { tells: Tells::Never, ..all });
    real::<1>(Configuration { pins: 3, ..AT_TIMES });
    real::<1>(Configuration { tells: Tells::AtTimes, pins: 2, parts: ALL, ..SMALL });
    real::<1>(Configuration { full: 3, start: (0, 3), ..TWO_CARDS });
    real::<2>(Configuration { parts: &[Part::Lost, Part::SetPin], ..FEW });
    real::<2>(Configuration { parts: &[Part::Context, Part::Lost], pins: 2, ..FEW });
    real::<3>(Configuration { parts: &[Part::Lost], pins: 2, ..FEW });
    real::<3>(FEW);
}

/// What is left out, where the search shows it, and what it breaks.
fn mutant<const N: usize>(instead: Instead, configuration: Configuration, broken: Violation) {
    let found = search::<Mutant, N>(configuration, Mutant::new(configuration.full, instead));
    let (violation, history) = found.history.unwrap_or_else(|| panic!("{instead:?} breaks nothing"));
    println!("{instead:?}: {history}");
    assert_eq!(violation, broken, "{instead:?}: {history}");
}

#[test]
fn rule_1_cannot_be_left_out() {
    mutant::<2>(Instead::StoredAtAnyCount, FEW, Violation::StoredBelow);
    mutant::<2>(Instead::StoredAtOneLess, FEW, Violation::StoredBelow);
    mutant::<1>(Instead::ContextOutlivesChange, SMALL, Violation::StoredCostWithoutChange);
}

#[test]
fn rule_2_cannot_be_left_out() {
    mutant::<1>(Instead::AnyChangeClears, FEW, Violation::CountedAgain);
    mutant::<1>(Instead::RemovalClears, OPEN, Violation::CountedAgain);
    mutant::<1>(Instead::FinalizeClears, OPEN, Violation::CountedAgain);
    mutant::<1>(Instead::MalformedClears, OPEN, Violation::CountedAgain);
    mutant::<1>(Instead::OneDeep, FEW, Violation::CountedAgain);
    mutant::<1>(Instead::RiseDoesNotClear, FEW, Violation::RightHeldBack);
    mutant::<1>(Instead::SuccessDoesNotClear, NEVER_CONTEXT, Violation::RightHeldBack);
    mutant::<1>(Instead::OldCount, FEW, Violation::RightHeldBack);
    mutant::<1>(Instead::OneListForAllCards, TWO_CARDS, Violation::RightHeldBack);
    mutant::<1>(Instead::StoredNotListed, FEW, Violation::CountedAgain);
    mutant::<1>(Instead::RefusedChangeNotListed, SMALL, Violation::CountedAgain);
    mutant::<1>(Instead::NotAskedAfterRefusal, CONSTANT, Violation::CountedAgain);
}

#[test]
fn rule_3_cannot_be_left_out() {
    mutant::<1>(Instead::RepeatedBeforeBlocked, FEW, Violation::BlockedNotSaid);
}

#[test]
fn rule_4_cannot_be_left_out() {
    mutant::<1>(Instead::LostIsRefused, SMALL, Violation::RightHeldBack);
    mutant::<1>(Instead::LostIsNothing, SMALL, Violation::CountedAgain);
    mutant::<1>(Instead::LostBelowFull, SMALL, Violation::RightHeldBack);
    mutant::<1>(Instead::LostChangeKeepsLogin, SMALL, Violation::LoginAfterLostChange);
    mutant::<1>(Instead::LostChangeMarks, SMALL, Violation::RightHeldBack);
}

#[test]
fn rule_5_cannot_be_left_out() {
    mutant::<1>(Instead::SilentGetsEntry, AT_TIMES, Violation::SilentCard);
    mutant::<1>(Instead::SilentGetsStored, AT_TIMES, Violation::SilentCard);
    mutant::<1>(Instead::SilentEndsLogin, AT_TIMES, Violation::SilentCard);
    mutant::<1>(Instead::OpenIsFullForEntry, OPEN, Violation::BlockedNotSaid);
    mutant::<1>(Instead::OpenIsFullForStored, OPEN, Violation::StoredBelow);
    mutant::<1>(Instead::ManyWithoutCount, NEVER, Violation::CountedAgain);
    mutant::<1>(Instead::OnceWithoutCount, NEVER, Violation::RightHeldBack);
    mutant::<1>(Instead::RefusalKeepsLogin, NEVER, Violation::CountedAgain);
    mutant::<1>(Instead::StoredThoughRefused, NEVER_CONTEXT, Violation::CountedAgain);
}
