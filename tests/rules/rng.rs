//! The generator that the random tests use.

use test_support::rng::Rng;

fn numbers(seed: u64) -> Vec<u64> {
    let mut rng = Rng::from_seed(seed);
    (0..100).map(|_| rng.next()).collect()
}

#[test]
fn one_seed_gives_the_same_numbers_again() {
    assert_eq!(numbers(7), numbers(7));
    assert_ne!(numbers(7), numbers(8));
    assert_ne!(numbers(0), numbers(u64::MAX));
}

#[test]
fn two_generators_of_one_test_differ() {
    assert_ne!(Rng::new().next(), Rng::new().next());
}

#[test]
fn no_seed_makes_the_generator_stand_still() {
    for seed in [0, 1, u64::MAX, 0x61c8_8646_80b5_83eb] {
        let numbers = numbers(seed);
        assert!(numbers.iter().any(|number| *number != numbers[0]), "{seed}");
    }
}
