//! Random numbers that a test can be run with again.

use std::cell::Cell;
use std::env;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The variable that gives the seed.
pub const SEED: &str = "JPKI_TEST_SEED";

thread_local! {
    /// How many generators this thread has made. The test harness runs each test in a thread of its
    /// own.
    static MADE: Cell<u64> = const { Cell::new(0) };
}

/// A generator: Marsaglia's xorshift. Its numbers protect nothing.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator for this test. The first one of a test has the seed of the test program, each
    /// later one has a seed of its own. The seed of the test program is printed, so that the
    /// message of a failed test has it.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it prints")]
    pub fn new() -> Self {
        let seed = test_seed();
        println!("{SEED}={seed}");
        Self::from_seed(seed.wrapping_add(MADE.replace(MADE.get() + 1)))
    }

    /// The generator that always starts with this seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        // SplitMix64, so that neighbouring seeds have nothing in common; and xorshift must not
        // start at 0.
        let mixed =
            (seed.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((mixed ^ (mixed >> 31)).max(1))
    }

    /// The next number, of 56 bits.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// The seed of this test program: given in [`SEED`], or taken from the clock.
///
/// # Panics
/// When the variable is no number.
pub fn test_seed() -> u64 {
    static OF_THIS_PROGRAM: OnceLock<u64> = OnceLock::new();
    *OF_THIS_PROGRAM.get_or_init(|| match env::var(SEED) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{SEED} is no number: {text}")),
        Err(_) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            now.as_secs() << 20 ^ u64::from(now.subsec_nanos())
        }
    })
}
