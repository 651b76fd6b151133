//! The sign command and what it computes: six ways to pad and hash, chosen by P1.

use rsa::rand_core::OsRng;
use rsa::sha2::{Digest, Sha256};
use rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey};

use crate::Credential;
use crate::apdu::{Command, sw};
use crate::applet::{Applet, Processed, Refusal, exact_length};
use crate::files::File;

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

impl Applet {
    /// P1 is looked at first, then the key, the PIN and at last the lengths; or the key and the PIN
    /// before P1.
    pub(crate) fn sign(&mut self, command: &Command<'_>) -> Result<Processed, Refusal> {
        let (scheme, credential) = if self.profile.pin_before_scheme {
            let credential = self.verified_key(command.p2)?;
            (self.scheme(command.p1)?, credential)
        } else {
            let scheme = self.scheme(command.p1)?;
            (scheme, self.verified_key(command.p2)?)
        };
        let expected = command.expected.filter(|_| !command.data.is_empty()).ok_or(sw::WRONG_LENGTH)?;
        if !scheme.takes(command.data.len()) {
            return Err(self.profile.wrong_input_status);
        }
        if expected < SIGNATURE_LENGTH {
            return Err(exact_length(SIGNATURE_LENGTH));
        }
        let data = scheme.sign(self.identity.private_key(credential), command.data);
        Ok(Processed { data, status: sw::OK, signed: Some(credential), ..Processed::default() })
    }

    fn scheme(&self, p1: u8) -> Result<Scheme, Refusal> {
        if self.profile.ignores_scheme {
            return Ok(Scheme::AsGiven);
        }
        let supported = self.profile.sign_schemes.contains(&p1);
        Scheme::from_p1(p1).filter(|_| supported).ok_or(self.profile.scheme_refusal)
    }

    fn verified_key(&self, p2: u8) -> Result<Credential, Refusal> {
        let &File::Key(credential) = self.named_by(p2, self.profile.short_sign_refusal)? else {
            return Err(sw::WRONG_FILE_TYPE);
        };
        if self.pins.is_verified(credential) { Ok(credential) } else { Err(sw::NOT_VERIFIED) }
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
