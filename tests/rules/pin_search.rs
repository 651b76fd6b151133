//! All histories of a PIN.

mod card;
mod interner;
mod ledger;
mod machine;
mod mutants;
mod program;
mod search;
mod world;

use self::machine::Real;
use self::search::{Configuration, Part, Tells, search};

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

const TELLS: Configuration = Configuration {
    name: "a card that tells its count",
    tells: Tells::Always,
    full: 3,
    start: (0, 3),
    pins: 3,
    parts: ALL,
    forgets_count: false,
};

fn holds<const N: usize>(configuration: Configuration) {
    let found = search::<Real, N>(configuration, Real::new(configuration.full));
    if let Some((_, history)) = found.history {
        panic!("{history}");
    }
}

#[test]
fn one_program_always() {
    holds::<1>(TELLS);
}

#[test]
fn one_program_never() {
    holds::<1>(Configuration { name: "never", tells: Tells::Never, ..TELLS });
}

#[test]
fn one_program_at_times() {
    holds::<1>(Configuration { name: "at times", tells: Tells::AtTimes, ..TELLS });
}
