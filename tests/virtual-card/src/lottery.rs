//! Chips drawn at random over all traits, and a set of chips in which every two values meet.
//!
//! [`ODDS`] is the table of probabilities. A drawn chip can do everything that a program wants of
//! it in some way: both certificates can be read, after the PIN at least, and both keys sign. So no
//! chip is drawn whose authentication certificate is refused for good, and the label of a juki card
//! is not drawn. The signature certificate is missing only where EF 0008 says so and nothing
//! contradicts it.

use crate::profile::{CertificateFile, Profile};
use crate::traits::{TRAITS, Trait};

/// A trait and its values, each with its probability in per cent. The first is that of
/// [`Profile::full`].
pub type Row = (&'static str, &'static [(u32, &'static str)]);

/// A value of `ef-0008-content` that stands for one to three bytes of any value.
const ANY_BYTES: &str = "any";

/// The probabilities.
#[rustfmt::skip]
pub const ODDS: &[Row] = &[
    ("ef-0006", &[(50, "content"), (8, "6A82"), (8, "6982"), (8, "6986"), (7, "6A86"), (5, "6B00"),
        (5, "6D00"), (4, "read-6982"), (5, "warning")]),
    ("label", &[(50, "JPKIAPICCTOKEN2"), (15, "JPKIAPIOSTOKEN"), (15, "JPKIAPGPSETOKEN"),
        (10, "JPKIAPICCTOKEN3"), (10, "blank")]),
    ("ef-0008", &[(55, "content"), (7, "6A82"), (7, "6982"), (7, "6986"), (6, "6A86"), (5, "6B00"),
        (5, "6D00"), (4, "read-6982"), (4, "warning")]),
    ("ef-0008-content", &[(40, "8F8F00"), (8, "010100"), (7, "018F00"), (7, "FFFFFF"), (7, "8F8F"),
        (5, "8F"), (5, "000000"), (8, "008F00"), (3, "00"), (10, ANY_BYTES)]),
    ("ef-000a", &[(60, "content"), (40, "warning")]),
    ("authentication-certificate", &[(60, "free"), (40, "pin")]),
    ("pins", &[(60, "1234:ABC123"), (40, "9753:PHONE42")]),
    ("short-read", &[(40, "yes"), (12, "no-select"), (6, "6A82"), (6, "6A86"), (6, "6A88"), (6, "6982"),
        (6, "6981"), (6, "6986"), (6, "6B00"), (6, "6D00")]),
    ("short-sign", &[(44, "yes"), (7, "6A82"), (7, "6A86"), (7, "6A88"), (7, "6982"), (7, "6981"),
        (7, "6986"), (7, "6B00"), (4, "6D00"), (3, "6A80")]),
    ("short-verify", &[(60, "yes"), (10, "6A82"), (10, "6A86"), (10, "6A88"), (10, "6986")]),
    ("p1", &[(50, "012345"), (10, "04"), (20, "0"), (20, "ignored")]),
    ("p1-refusal", &[(55, "6A86"), (15, "6A80"), (15, "6985"), (15, "6B00")]),
    ("pin-before-p1", &[(50, "no"), (50, "yes")]),
    ("wrong-input", &[(60, "6700"), (40, "6985")]),
    ("signature-waits", &[(60, "no"), (40, "yes")]),
    ("piece", &[(60, "all"), (20, "128"), (20, "200")]),
    ("extended-length", &[(40, "yes"), (10, "6700"), (10, "6D00"), (10, "6883"), (8, "cut"),
        (8, "fails"), (7, "mute"), (7, "leaves-700")]),
    ("long-read", &[(50, "yes"), (20, "fails"), (10, "6CFF"), (10, "6CF0"), (4, "6C80"),
        (3, "6C20"), (3, "6CC8-6C64")]),
    ("exact-length", &[(60, "no"), (40, "yes")]),
    ("end-of-file", &[(50, "refusal"), (25, "warning"), (25, "silence")]),
    ("first-command-fails", &[(60, "no"), (40, "yes")]),
    ("blocked", &[(50, "6984"), (25, "6983"), (25, "63C0")]),
    ("blocked-query", &[(50, "63C0"), (25, "6983"), (25, "6984")]),
    ("tries-query", &[(50, "yes"), (20, "unless-verified"), (10, "6A86"), (10, "6D00"), (10, "6985")]),
    ("fifth-byte", &[(60, "6700"), (40, "yes")]),
    ("isd", &[(50, "yes"), (10, "6A82"), (10, "6A86"), (10, "6D00"), (10, "6985"), (10, "6999")]),
    ("long-isd", &[(50, "yes"), (20, "6A82"), (10, "6A86"), (10, "6D00"), (10, "6999")]),
    ("surface-input", &[(50, "yes"), (30, "6A82"), (20, "6985")]),
    ("common", &[(50, "yes"), (30, "6A82"), (20, "6985")]),
    ("warm-reset-keeps", &[(50, "yes"), (50, "no")]),
    ("left-verified", &[(60, "no"), (40, "yes")]),
];

/// The seed of the first of the chips that [`sample`] gives. Found by trying: see there.
const FIRST_SEED: u64 = 8;

impl Profile {
    /// A chip drawn by [`ODDS`]; the same for the same seed. Its name is `draw-SEED`.
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let choices: Vec<usize> = ODDS.iter().map(|(_, values)| choose(values, &mut rng)).collect();
        build(format!("draw-{seed}"), &choices, &mut rng)
    }
}

/// The first `count` chips of a fixed row. In 30 of them every two traits deviate together at least
/// once.
pub fn sample(count: u64) -> Vec<Profile> {
    (FIRST_SEED..FIRST_SEED + count).map(Profile::draw).collect()
}

/// Chips in which any value of a trait meets any value of any other one. Their names are
/// `pair-NUMBER`.
pub fn pairwise() -> Vec<Profile> {
    let mut pairs = Pairs::new();
    let mut chips = Vec::new();
    while let Some(first) = pairs.first_missing() {
        let choices = pairs.complete(first);
        pairs.strike_out(&choices);
        let seed = u64::try_from(chips.len()).expect("few chips");
        chips.push(build(format!("pair-{seed}"), &choices, &mut Rng(seed)));
    }
    chips
}

/// The pairs of traits that never deviate together in these chips.
pub fn missing_pairs(chips: &[Profile]) -> Vec<(&'static str, &'static str)> {
    let drawn: Vec<&Trait> = ODDS.iter().map(|(name, _)| known(name)).collect();
    let deviations: Vec<Vec<bool>> =
        drawn.iter().map(|known| chips.iter().map(|chip| known.deviates(chip)).collect()).collect();
    let meet = |one: usize, other: usize| {
        deviations[one].iter().zip(&deviations[other]).any(|(one, other)| *one && *other)
    };
    let pairs = (0..drawn.len()).flat_map(|one| (one + 1..drawn.len()).map(move |other| (one, other)));
    pairs
        .filter(|&(one, other)| !meet(one, other))
        .map(|(one, other)| (drawn[one].name, drawn[other].name))
        .collect()
}

fn known(name: &str) -> &'static Trait {
    TRAITS.iter().find(|known| known.name == name).expect("the table names traits that there are")
}

fn choose(values: &[(u32, &str)], rng: &mut Rng) -> usize {
    let total: u32 = values.iter().map(|(chance, _)| chance).sum();
    let mut left = rng.below(total);
    let hit = values.iter().position(|(chance, _)| match left.checked_sub(*chance) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    });
    hit.expect("less than the total")
}

fn build(name: String, choices: &[usize], rng: &mut Rng) -> Profile {
    let mut profile = Profile { name, ..Profile::full() };
    for ((name, values), choice) in ODDS.iter().zip(choices) {
        let value = match values[*choice].1 {
            ANY_BYTES => (0..=rng.below(3)).map(|_| format!("{:02X}", rng.below(256))).collect(),
            value => value.to_owned(),
        };
        known(name).set(&mut profile, &value).expect("the table holds values that there are");
    }
    if !profile.has_signature_token() {
        let missing = if rng.below(2) == 0 { CertificateFile::Absent } else { CertificateFile::Filler };
        profile.signature.as_mut().expect("a full card has it").certificate = missing;
    }
    profile
}

/// The pairs of values that have not met yet. A value is a row of [`ODDS`] and a place in it.
struct Pairs(Vec<Vec<Vec<Vec<bool>>>>);

impl Pairs {
    fn new() -> Self {
        let flags = |values: &[(u32, &str)]| vec![true; values.len()];
        let matrix = |values: &[(u32, &str)]| {
            values.iter().map(|_| ODDS.iter().map(|(_, others)| flags(others)).collect()).collect()
        };
        Self(ODDS.iter().map(|(_, values)| matrix(values)).collect())
    }

    fn first_missing(&self) -> Option<[(usize, usize); 2]> {
        let rows = 0..self.0.len();
        rows.clone().flat_map(|one| rows.clone().skip(one + 1).map(move |other| (one, other))).find_map(
            |(one, other)| {
                self.0[one].iter().enumerate().find_map(|(value, others)| {
                    let partner = others[other].iter().position(|missing| *missing)?;
                    Some([(one, value), (other, partner)])
                })
            },
        )
    }

    /// Adds to two values those of the other traits that meet the most new partners.
    fn complete(&self, first: [(usize, usize); 2]) -> Vec<usize> {
        let mut chosen: Vec<Option<usize>> = vec![None; self.0.len()];
        first.into_iter().for_each(|(row, value)| chosen[row] = Some(value));
        for row in 0..chosen.len() {
            let gain = |value: &usize| {
                let partners = chosen.iter().enumerate();
                partners.filter(|(other, at)| at.is_some_and(|at| self.0[row][*value][*other][at])).count()
            };
            if chosen[row].is_none() {
                chosen[row] = (0..self.0[row].len()).rev().max_by_key(gain);
            }
        }
        chosen.into_iter().map(Option::unwrap_or_default).collect()
    }

    fn strike_out(&mut self, choices: &[usize]) {
        for (one, value) in choices.iter().enumerate() {
            for (other, partner) in choices.iter().enumerate() {
                self.0[one][*value][other][*partner] = false;
            }
        }
    }
}

/// SplitMix64. It has to stay as it is: a chip's name is its seed, and [`FIRST_SEED`] was found
/// with it. So it is not the generator of the tests, which may change and lies in a crate above
/// this one.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u32) -> u32 {
        u32::try_from(self.next() % u64::from(end)).expect("less than a u32")
    }
}
