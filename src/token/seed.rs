//! The seeds that applications give: mixed into the random bytes of the card, for those who trust themselves more.

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// All seeds of a token.
#[derive(Default)]
pub(super) struct Seeds(Mutex<Option<[u8; 32]>>);

impl Seeds {
    /// Adds a seed to those that were given before.
    pub(super) fn add(&self, seed: &[u8]) {
        let mut pool = self.0.lock();
        *pool = Some(hash(&[b"seed", &pool.unwrap_or_default(), seed]));
    }

    /// Mixes the seeds in. Random bytes XORed with anything that does not depend on them are as random as before.
    pub(super) fn mix(&self, bytes: &mut [u8]) {
        let mut pool = self.0.lock();
        let Some(seed) = *pool else { return };
        for (block, number) in bytes.chunks_mut(32).zip(0_u64..) {
            let stream = hash(&[b"stream", &seed, &number.to_be_bytes()]);
            block.iter_mut().zip(stream).for_each(|(byte, mask)| *byte ^= mask);
        }
        // Nobody gets the same stream twice.
        *pool = Some(hash(&[b"next", &seed]));
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Sha256::new(), |hasher, part| hasher.chain_update(part)).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(seeds: &Seeds) -> [u8; 100] {
        let mut bytes = [0; 100];
        seeds.mix(&mut bytes);
        bytes
    }

    #[test]
    fn without_a_seed_the_bytes_are_the_cards() {
        assert_eq!(mixed(&Seeds::default()), [0; 100]);
    }

    #[test]
    fn every_seed_and_every_request_makes_another_stream() {
        let seeds = Seeds::default();
        let mut seen = vec![mixed(&seeds)];
        for seed in [b"one", b"two", b"two"] {
            seeds.add(seed);
            seen.extend([mixed(&seeds), mixed(&seeds)]);
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 7);
    }
}
