//! What tells one card from another.

use std::fmt;

use sha2::{Digest, Sha256};

use super::certificate::Certificate;
use super::credential::TOKEN_INFO_SERIAL_END;

/// What tells this card from another one after a reset.
#[derive(Debug, PartialEq, Eq)]
pub enum Identity {
    /// The first bytes of the authentication certificate: its serial number is among them.
    Certificate(Vec<u8>),
    /// The token information, of a card whose authentication certificate cannot be read without a
    /// PIN.
    TokenInfo(Vec<u8>),
    /// Nothing: after a reset it counts as another card.
    None,
}

impl Identity {
    /// How many bytes of a certificate identify it.
    pub const CERTIFICATE_BYTES: u16 = 256;

    /// The fewest that do: header, version, serial number and the beginning of the issuer's name.
    pub const FEWEST_BYTES: usize = 48;

    /// The identity that a readable authentication certificate gives. The certificate holds no
    /// personal data.
    #[must_use]
    pub fn of_certificate(certificate: &Certificate) -> Self {
        let start = certificate.der().iter().copied().take(usize::from(Self::CERTIFICATE_BYTES));
        Self::Certificate(start.collect())
    }

    /// The identity that the token information gives, if its serial number is there.
    #[must_use]
    pub fn of_token_info(info: &[u8]) -> Self {
        if info.len() < TOKEN_INFO_SERIAL_END { Self::None } else { Self::TokenInfo(info.to_vec()) }
    }

    /// Whether bytes that were read again are those of the same file. A card may bring fewer of
    /// them than the first time: what both have is compared.
    #[must_use]
    pub fn is_read_as(&self, now: &[u8]) -> bool {
        let (before, fewest) = match self {
            Self::Certificate(before) => (before, Self::FEWEST_BYTES.min(before.len())),
            Self::TokenInfo(before) => (before, TOKEN_INFO_SERIAL_END),
            Self::None => return false,
        };
        let common = before.len().min(now.len());
        common > 0 && common >= fewest && before.get(..common) == now.get(..common)
    }
}

/// A number that differs from card to card, and that leads to no person: the beginning of a SHA-256
/// hash. The card's own serial number may be the same on all cards, and 00000000 (OpenSC) makes two
/// cards indistinguishable to PKCS#11 URIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SerialNumber([u8; 8]);

impl SerialNumber {
    /// The number of the card that has this file.
    #[must_use]
    pub fn of(file: &[u8]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(file));
        Self([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02X}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_have_is_compared() {
        let (long, other) = ([7; 256], [8; 256]);
        let certificate = |start: &[u8]| Identity::Certificate(start.to_vec());
        assert!(certificate(&long).is_read_as(&long[..255]) && certificate(&long[..160]).is_read_as(&long));
        assert!(!certificate(&long).is_read_as(&other) && !certificate(&long).is_read_as(&long[..10]));
        assert!(!certificate(&[]).is_read_as(&[]) && !certificate(&long).is_read_as(&[]));
    }

    #[test]
    fn a_label_alone_is_no_identity() {
        let info = [b' '; 160];
        assert_eq!(Identity::of_token_info(&info[..95]), Identity::None);
        let identity = Identity::of_token_info(&info);
        assert!(identity.is_read_as(&info[..96]) && !identity.is_read_as(&info[..95]));
        assert!(!Identity::None.is_read_as(&[]));
    }
}
