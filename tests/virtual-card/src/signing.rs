//! What the sign command computes: six ways to pad and hash, chosen by P1.

use rsa::rand_core::OsRng;
use rsa::sha2::{Digest, Sha256};
use rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey};

/// Bytes of a signature, and of the modulus.
pub(crate) const SIGNATURE_LENGTH: usize = 256;

const HASH_LENGTH: usize = 32;
const SALT_LENGTH: usize = 32;
/// 256 bytes of modulus minus the eleven that PKCS #1 v1.5 padding takes at least.
const LONGEST_BLOCK: usize = 245;
/// The DER that goes before a SHA-256 hash in a DigestInfo (RFC 8017, 9.2, note 1).
const SHA256_PREFIX: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];

/// The P1 values of the sign command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    AsGiven,
    HashedBare,
    DigestInfo,
    HashedDigestInfo,
    Pss,
    HashedPss,
}

impl Scheme {
    pub(crate) fn from_p1(p1: u8) -> Option<Self> {
        Some(match p1 {
            0 => Self::AsGiven,
            1 => Self::HashedBare,
            2 => Self::DigestInfo,
            3 => Self::HashedDigestInfo,
            4 => Self::Pss,
            5 => Self::HashedPss,
            _ => return None,
        })
    }

    pub(crate) fn takes(self, length: usize) -> bool {
        match self {
            Self::AsGiven => (1..=LONGEST_BLOCK).contains(&length),
            Self::DigestInfo | Self::Pss => length == HASH_LENGTH,
            Self::HashedBare | Self::HashedDigestInfo | Self::HashedPss => length > 0,
        }
    }

    /// Signs input of a length this scheme takes.
    pub(crate) fn sign(self, key: &RsaPrivateKey, input: &[u8]) -> Vec<u8> {
        let hash = || Sha256::digest(input).to_vec();
        match self {
            Self::AsGiven => type_1(key, input),
            Self::HashedBare => type_1(key, &hash()),
            Self::DigestInfo => type_1(key, &digest_info(input)),
            Self::HashedDigestInfo => type_1(key, &digest_info(&hash())),
            Self::Pss => pss(key, input),
            Self::HashedPss => pss(key, &hash()),
        }
    }
}

fn digest_info(hash: &[u8]) -> Vec<u8> {
    [&SHA256_PREFIX[..], hash].concat()
}

fn type_1(key: &RsaPrivateKey, block: &[u8]) -> Vec<u8> {
    key.sign(Pkcs1v15Sign::new_unprefixed(), block).expect("the length was checked")
}

fn pss(key: &RsaPrivateKey, hash: &[u8]) -> Vec<u8> {
    key.sign_with_rng(&mut OsRng, Pss::new_with_salt::<Sha256>(SALT_LENGTH), hash)
        .expect("the length was checked")
}
