//! The RSA keys of the test cards: derived from a seed, so that every process makes the same ones.
//!
//! A key's primes are the first suitable ones above a hash of seed and purpose. How many steps
//! above is kept for the keys in common use ([`KNOWN_STEPS`]) and can be kept in a directory for
//! others, so that no build, however slow, spends its time looking for primes. Keys made like this
//! protect nothing and never may.

use std::{fs, io, path::Path};

use num_bigint_dig::prime::probably_prime;
use rsa::sha2::{Digest, Sha256};
use rsa::{BigUint, RsaPrivateKey};

const PUBLIC_EXPONENT: u32 = 65_537;
const MILLER_RABIN_ROUNDS: usize = 20;

/// Who uses a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    Authentication,
    Signature,
    AuthenticationCa,
    SignatureCa,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Signature => "signature",
            Self::AuthenticationCa => "authentication-ca",
            Self::SignatureCa => "signature-ca",
        }
    }
}

/// (seed, purpose, steps to the first prime, steps to the second).
const KNOWN_STEPS: &[(u64, Purpose, u32, u32)] = &[
    (0, Purpose::AuthenticationCa, 237, 98),
    (0, Purpose::SignatureCa, 362, 252),
    (0, Purpose::Authentication, 196, 654),
    (0, Purpose::Signature, 1805, 82),
    (1, Purpose::Authentication, 26, 152),
    (1, Purpose::Signature, 78, 271),
    (2, Purpose::Authentication, 222, 471),
    (2, Purpose::Signature, 56, 314),
    (3, Purpose::Authentication, 1328, 96),
    (3, Purpose::Signature, 338, 87),
    (4, Purpose::Authentication, 43, 184),
    (4, Purpose::Signature, 79, 553),
    (5, Purpose::Authentication, 214, 4),
    (5, Purpose::Signature, 1287, 138),
    (6, Purpose::Authentication, 50, 670),
    (6, Purpose::Signature, 601, 485),
    (7, Purpose::Authentication, 1560, 332),
    (7, Purpose::Signature, 142, 25),
];

/// The key of `seed` for `purpose`; `cache` is a directory that remembers where the primes were.
pub(crate) fn derive(seed: u64, purpose: Purpose, cache: Option<&Path>) -> io::Result<RsaPrivateKey> {
    let known = KNOWN_STEPS.iter().find(|entry| (entry.0, entry.1) == (seed, purpose));
    let steps = match (known, cache) {
        (Some(&(_, _, first, second)), _) => [first, second],
        (None, Some(directory)) => cached_steps(seed, purpose, directory)?,
        (None, None) => search(seed, purpose),
    };
    let [p, q] = [0, 1].map(|index| candidate(&origin(seed, purpose, index), steps[usize::from(index)]));
    Ok(RsaPrivateKey::from_p_q(p, q, BigUint::from(PUBLIC_EXPONENT)).expect("two primes make a key"))
}

fn cached_steps(seed: u64, purpose: Purpose, directory: &Path) -> io::Result<[u32; 2]> {
    let path = directory.join(format!("{}-{seed}.steps", purpose.name()));
    if let Some(steps) = fs::read_to_string(&path).ok().and_then(|text| parse_steps(&text)) {
        return Ok(steps);
    }
    let steps = search(seed, purpose);
    fs::create_dir_all(directory)?;
    // Several processes may get here at once: each writes a file of its own and the last rename
    // wins.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    io::Write::write_all(&mut file, format!("{} {}\n", steps[0], steps[1]).as_bytes())?;
    file.persist(&path)?;
    Ok(steps)
}

fn parse_steps(text: &str) -> Option<[u32; 2]> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
}

fn search(seed: u64, purpose: Purpose) -> [u32; 2] {
    [0, 1].map(|index| {
        let origin = origin(seed, purpose, index);
        (0..).find(|&steps| is_suitable(&candidate(&origin, steps))).expect("primes do not run out")
    })
}

fn is_suitable(candidate: &BigUint) -> bool {
    let exponent = BigUint::from(PUBLIC_EXPONENT);
    let coprime = (candidate - 1u32) % exponent != BigUint::from(0u32);
    coprime && probably_prime(candidate, MILLER_RABIN_ROUNDS)
}

fn candidate(origin: &BigUint, steps: u32) -> BigUint {
    origin + BigUint::from(steps) * 2u32
}

/// An odd 1024-bit number with its two top bits set, so that the product of two has 2048 bits.
fn origin(seed: u64, purpose: Purpose, index: u8) -> BigUint {
    let mut bytes = Vec::with_capacity(128);
    for block in 0u8..4 {
        let mut hash = Sha256::new();
        hash.update(b"virtual-card test key, protects nothing: ");
        hash.update(purpose.name());
        hash.update(seed.to_be_bytes());
        hash.update([index, block]);
        bytes.extend_from_slice(&hash.finalize());
    }
    bytes[0] |= 0xc0;
    bytes[127] |= 1;
    BigUint::from_bytes_be(&bytes)
}

#[cfg(test)]
mod tests {
    use super::{KNOWN_STEPS, Purpose, cached_steps, candidate, is_suitable, origin, search};

    #[test]
    fn known_steps_lead_to_primes() {
        for &(seed, purpose, first, second) in KNOWN_STEPS {
            for (index, steps) in [(0, first), (1, second)] {
                assert!(is_suitable(&candidate(&origin(seed, purpose, index), steps)), "{seed} {purpose:?}");
            }
        }
    }

    #[test]
    fn a_cached_search_gives_the_same_key() {
        let directory = tempfile::tempdir().unwrap();
        let searched = search(99, Purpose::Signature);
        assert_eq!(cached_steps(99, Purpose::Signature, directory.path()).unwrap(), searched);
        assert_eq!(cached_steps(99, Purpose::Signature, directory.path()).unwrap(), searched);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_table_holds_what_a_search_finds() {
        let (seed, purpose, first, second) = (5, Purpose::Authentication, 214, 4);
        assert!(KNOWN_STEPS.contains(&(seed, purpose, first, second)));
        assert_eq!(search(seed, purpose), [first, second]);
    }
}
