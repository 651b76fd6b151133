//! Long random histories with more PINs than a search can take: the value alone, with the same
//! checks.

use std::time::Instant;

use test_support::rng::Rng;

use super::card::Tells;
use super::machine::Real;
use super::program::Program;
use super::search::Configuration;
use super::situation::{Directly, Situation};
use super::{ALL, SMALL, is_full};

/// After so many events the way back is looked for.
const WAY_BACK_EVERY: usize = 64;

const WIDE: Configuration = Configuration { pins: 5, parts: ALL, forgets_count: false, ..SMALL };

fn steps() -> usize {
    if is_full() { 2_000_000 } else { 20_000 }
}

fn run<const N: usize>(configuration: Configuration) {
    let (mut rng, begun) = (Rng::new(), Instant::now());
    let events = configuration.events(N);
    let (ways, query) = configuration.ways_back();
    let program = Program::new(Real::new(configuration.full));
    let mut situation: Situation<_, N> = configuration.situation(configuration.full, &program);
    let (mut done, mut last) = (0, Vec::new());
    while done < steps() {
        let event = events[rng.below(events.len() as u64) as usize];
        let Some(result) = situation.step(event, &mut Directly) else { continue };
        last.push(event);
        done += 1;
        let mut result = result;
        if done % WAY_BACK_EVERY == 0 {
            result = result.and_then(|()| situation.check_way_back(&ways, query, &mut Directly));
        }
        let from = last.len().saturating_sub(20);
        result
            .unwrap_or_else(|broken| panic!("{broken:?} after {done} events; the last: {:?}", &last[from..]));
        if last.len() > 1000 {
            last.clear();
        }
    }
    let rate = done as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{:?}, full {}, {N} program(s): {done} events, {rate:.0} a second",
        configuration.tells, configuration.full
    );
}

#[test]
fn long_random_histories() {
    for tells in [Tells::Always, Tells::Never, Tells::AtTimes] {
        for full in [3, 5] {
            let configuration = Configuration { tells, full, ..WIDE };
            run::<1>(configuration);
            run::<3>(configuration);
        }
    }
}
