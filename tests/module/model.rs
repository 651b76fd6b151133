//! The rules of sessions and logins, against a model of them: random programs, other programs and
//! hands at the reader.
//!
//! Two modules share one reader and three cards. After every step each return code, each card's
//! counters, ledger and number of signatures, and the number of PINs in memory are as the
//! [reference](reference) says. `PROPTEST_CASES` sets the number of runs.

mod acts;
mod modules;
mod reference;

use std::env;

use acts::{Act, Call, runs};
use modules::{Modules, Tries};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use reference::{CardPin, Model};
use test_support::rng::Rng;
use virtual_card::Credential;

/// How many runs the ordinary test makes.
const CASES: u32 = 150;

fn config() -> ProptestConfig {
    let default = ProptestConfig {
        max_shrink_iters: 20_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(Rng::new().next()),
        ..Default::default()
    };
    if env::var_os("PROPTEST_CASES").is_some() { default } else { ProptestConfig { cases: CASES, ..default } }
}

/// What must be true between any two calls, whatever the reference says.
fn check(modules: &Modules, model: &mut Model, act: Act, before: [[Tries; 2]; 3]) {
    for (index, card) in modules.cards.iter().enumerate() {
        for credential in Credential::ALL {
            assert!(!card.verified(credential), "the card is left verified\n{}", card.ledger());
            let failed = card.failed_verifies(credential);
            let before = before[index][credential as usize];
            let spent = failed - before.failed;
            assert!(
                spent <= act.most_lost_tries(before.is_full),
                "{act:?} cost {spent} tries\n{}",
                card.ledger()
            );
            if let Some(CardPin { left, failed: expected, .. }) = model.pin(index, credential) {
                assert_eq!((card.tries_left(credential), failed), (*left, *expected), "{}", card.ledger());
            }
        }
        assert_eq!(card.ledger().misplaced_verifies(), 0, "{}", card.ledger());
        assert_eq!(card.signatures(), model.cards[index].signatures);
    }
    for (index, user) in modules.users.iter().enumerate() {
        assert_eq!(user.memory.live_pages(), model.kept(index), "PINs in memory");
        assert!(user.memory.is_wiped());
    }
}

/// Goes through a run step by step.
fn follow(run: impl IntoIterator<Item = Act>) {
    let mut model = Model::new();
    let mut modules = Modules::new();
    for (step, act) in run.into_iter().enumerate() {
        let before = modules.tries();
        let expected = act.predict(&mut model);
        assert_eq!(modules.perform(act), expected, "step {step}: {act:?}");
        check(&modules, &mut model, act, before);
    }
    modules.finish();
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn two_modules_do_what_the_reference_says(run in runs()) {
        follow(run);
    }
}

/// A session that was not used since its card was taken out, and one on the card that came after
/// it.
const AN_OLD_SESSION_AND_A_NEW_ONE: [Act; 3] = [
    Act::Call(0, Call::Open(Credential::Authentication, false)),
    Act::OutAndIn,
    Act::Call(0, Call::Open(Credential::Authentication, false)),
];

#[test]
fn sessions_of_a_card_that_was_taken_out_are_not_counted() {
    let count = [Act::Call(0, Call::TokenInfo(Credential::Authentication))];
    follow(AN_OLD_SESSION_AND_A_NEW_ONE.into_iter().chain(count));
}

#[test]
fn sessions_of_a_card_that_was_taken_out_do_not_keep_a_login() {
    let end = [
        Act::Call(0, Call::Login(0, 0)),
        Act::Call(0, Call::Close(0)),
        Act::Call(0, Call::Open(Credential::Authentication, false)),
        Act::Call(0, Call::SessionInfo(0)),
    ];
    follow(AN_OLD_SESSION_AND_A_NEW_ONE.into_iter().chain(end));
}
