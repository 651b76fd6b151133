//! Public keys and checking signatures with them (RFC 8017), in software.

use rsa::{BigUint, Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::Sha256;

/// Bytes of a signature and of the modulus: every key of the service is RSA-2048.
pub const SIGNATURE_LENGTH: usize = 256;

/// The most bytes that PKCS #1 v1.5 padding leaves room for.
pub const MAX_PKCS1_INPUT: usize = SIGNATURE_LENGTH - 11;

/// Bytes of a SHA-256 hash, and of the salt beside it in RSASSA-PSS.
pub const PSS_HASH_LENGTH: usize = 32;

/// An RSA-2048 public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    key: RsaPublicKey,
}

/// What a signature is made over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ToBeSigned<'a> {
    /// PKCS #1 v1.5 type 1 padding around these bytes as they are, at most [`MAX_PKCS1_INPUT`].
    Pkcs1(&'a [u8]),
    /// RSASSA-PSS over a SHA-256 hash, with MGF1-SHA-256 and a salt of 32 bytes.
    Pss(&'a [u8; PSS_HASH_LENGTH]),
}

impl PublicKey {
    /// A key from modulus and exponent as a certificate gives them. `None` for anything but a sound RSA-2048 key:
    /// nothing here is trusted, and a modulus of zero or a long exponent would keep the processor busy or panic.
    #[must_use]
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let modulus = without_leading_zeros(modulus);
        let exponent = without_leading_zeros(exponent);
        let (&high, &low) = modulus.first().zip(modulus.last())?;
        if modulus.len() != SIGNATURE_LENGTH || high & 0x80 == 0 || low & 1 == 0 {
            return None;
        }
        if !(1..=4).contains(&exponent.len()) || exponent == [1] || exponent.last()? & 1 == 0 {
            return None;
        }
        let key =
            RsaPublicKey::new(BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent)).ok()?;
        Some(Self { modulus: modulus.to_vec(), exponent: exponent.to_vec(), key })
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

    /// Whether `signature` is this key's signature over `message`.
    #[must_use]
    pub fn verifies(&self, message: ToBeSigned<'_>, signature: &[u8]) -> bool {
        match message {
            ToBeSigned::Pkcs1(input) => self.key.verify(Pkcs1v15Sign::new_unprefixed(), input, signature),
            ToBeSigned::Pss(hash) => {
                self.key.verify(Pss::new_with_salt::<Sha256>(PSS_HASH_LENGTH), hash, signature)
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
}
