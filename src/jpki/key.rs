//! Public keys, the schemes by which the card signs, and checking signatures in software (RFC
//! 8017).

use std::ops::RangeInclusive;

use rsa::{BigUint, Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::capability::Capability;

/// Bits of every key on the cards of today.
pub const KEY_BITS: usize = 2048;

/// What PKCS #1 v1.5 padding takes at least of a signature's bytes (RFC 8017, 9.2).
pub const LEAST_PADDING: usize = 11;

/// Bytes of a SHA-256 hash, and of the salt beside it in RSASSA-PSS.
pub const PSS_SHA256_LENGTH: usize = 32;

/// An RSA public key. Its bytes are wiped when it is dropped, as those of its certificate are. The
/// numbers that the crate `rsa` makes of them are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    modulus: Zeroizing<Vec<u8>>,
    exponent: Vec<u8>,
    key: RsaPublicKey,
}

/// How the card makes a signature of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// PKCS #1 v1.5 type 1 padding around the input as it is.
    Pkcs1,
    /// RSASSA-PSS over a SHA-256 hash, with MGF1-SHA-256 and a salt of 32 bytes (myna-card).
    PssSha256,
}

/// What a signature is made over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ToBeSigned<'a> {
    /// How.
    pub scheme: Scheme,
    /// The input of the scheme.
    pub input: &'a [u8],
}

impl Scheme {
    /// P1 of the sign command.
    #[must_use]
    pub fn p1(self) -> u8 {
        match self {
            Self::Pkcs1 => 0x00,
            Self::PssSha256 => 0x04,
        }
    }

    /// What a chip must be able to do for it, where not every chip can.
    #[must_use]
    pub fn capability(self) -> Option<Capability> {
        match self {
            Self::Pkcs1 => None,
            Self::PssSha256 => Some(Capability::PssSha256),
        }
    }
}

impl PublicKey {
    /// A key from modulus and exponent as a certificate gives them. `None` for anything but a sound
    /// RSA key of [`KEY_BITS`]. The numbers are not trusted: a modulus of zero would panic, a long
    /// exponent keep the processor busy.
    #[must_use]
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let modulus = without_leading_zeros(modulus);
        let exponent = without_leading_zeros(exponent);
        let (&high, &low) = modulus.first().zip(modulus.last())?;
        if modulus.len() * 8 != KEY_BITS || high & 0x80 == 0 || low & 1 == 0 {
            return None;
        }
        if !(1..=4).contains(&exponent.len()) || exponent == [1] || exponent.last()? & 1 == 0 {
            return None;
        }
        let key =
            RsaPublicKey::new(BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent)).ok()?;
        Some(Self { modulus: modulus.to_vec().into(), exponent: exponent.to_vec(), key })
    }

    /// The modulus, big-endian, without a leading zero.
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// The exponent, big-endian, without a leading zero.
    #[must_use]
    pub fn exponent(&self) -> &[u8] {
        &self.exponent
    }

    /// Bytes of a signature.
    #[must_use]
    pub fn signature_length(&self) -> usize {
        self.modulus.len()
    }

    /// How many bytes a scheme takes as input.
    #[must_use]
    pub fn input_length(&self, scheme: Scheme) -> RangeInclusive<usize> {
        match scheme {
            Scheme::Pkcs1 => 1..=self.modulus.len().saturating_sub(LEAST_PADDING),
            Scheme::PssSha256 => PSS_SHA256_LENGTH..=PSS_SHA256_LENGTH,
        }
    }

    /// Whether `signature` is this key's signature over `message`.
    #[must_use]
    pub fn verifies(&self, message: ToBeSigned<'_>, signature: &[u8]) -> bool {
        match message.scheme {
            Scheme::Pkcs1 => self.key.verify(Pkcs1v15Sign::new_unprefixed(), message.input, signature),
            Scheme::PssSha256 => {
                self.key.verify(Pss::new_with_salt::<Sha256>(PSS_SHA256_LENGTH), message.input, signature)
            }
        }
        .is_ok()
    }
}

/// An unsigned integer without the zeros that DER puts before it.
fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let start = number.iter().take_while(|&&byte| byte == 0).count();
    number.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sound_rsa_2048_keys_are_taken() {
        let mut modulus = vec![0xff; 256];
        assert!(PublicKey::new(&modulus, &[1, 0, 1]).is_some());
        for exponent in [&[][..], &[0], &[1], &[2], &[1, 0, 0, 0, 1]] {
            assert!(PublicKey::new(&modulus, exponent).is_none(), "{exponent:?}");
        }
        modulus[255] = 0xfe;
        assert!(PublicKey::new(&modulus, &[1, 0, 1]).is_none(), "even");
        for length in [0, 1, 255, 257, 2048] {
            assert!(PublicKey::new(&vec![0xff; length], &[1, 0, 1]).is_none(), "{length} bytes");
        }
    }

    #[test]
    fn the_input_of_a_scheme_follows_from_the_key() {
        let key = PublicKey::new(&[0xff; 256], &[1, 0, 1]).unwrap();
        assert_eq!(key.signature_length(), 256);
        assert_eq!(key.input_length(Scheme::Pkcs1), 1..=245);
        assert_eq!(key.input_length(Scheme::PssSha256), 32..=32);
    }
}
