//! PINs: what one may look like, and where one is kept while it is needed.
//!
//! The form of a PIN is checked before anything is sent to the card: a wrong try is dear, and the two forms are
//! disjoint, so that a client that sends one PIN to both tokens (`ssh-add -s`, NSS's tools) costs no try.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::layout::Credential;

/// What a caller gave as a PIN.
#[derive(Clone, Copy)]
pub enum PinEntry<'a> {
    /// The bytes it gave.
    Bytes(&'a [u8]),
    /// More bytes than any PIN has, even in full-width characters. They have not been read.
    TooLong,
}

/// Memory for secrets: pages that are not swapped out, not dumped, and empty in a forked child.
pub trait SecretMemory: Send + Sync {
    /// A fresh page, or `None` when there is no memory.
    fn page(&self) -> Option<Box<dyn SecretPage>>;
}

/// One page of [`SecretMemory`], at least 64 bytes. It is wiped when dropped.
pub trait SecretPage: Send + Sync {
    /// The bytes.
    fn bytes(&self) -> &[u8];

    /// The bytes, to write.
    fn bytes_mut(&mut self) -> &mut [u8];
}

/// A PIN in the form in which the card compares it. It is never empty, because an empty VERIFY asks for the tries
/// that are left.
pub struct Pin {
    page: Box<dyn SecretPage>,
    length: usize,
}

/// Why something cannot be a PIN of this credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PinError {
    /// Too long or too short.
    #[error("wrong length")]
    Length,
    /// Characters that this PIN does not have.
    #[error("wrong characters")]
    Characters,
    /// No memory to keep it safely.
    #[error("no memory for it")]
    Memory,
}

/// Tells whether two PINs are the same without keeping either: a hash with a random key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

/// For what a PIN is read: to be verified, or to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinUse {
    /// The card knows it already, so that only the form counts in which it was registered.
    Verify,
    /// The card is to take it; the password then needs a letter and a digit (the rule at the office's terminal).
    Set,
}

/// The most bytes of a PIN that the card takes.
const MAX_PIN: usize = 16;

impl PinEntry<'_> {
    /// The most bytes that can be a PIN: 16 full-width characters of three bytes.
    pub const MAX_BYTES: usize = 3 * MAX_PIN;

    /// What identifies this entry, well formed or not.
    ///
    /// A well-formed one is taken in the card's form, so that `abc123` is the same as `ABC123`.
    #[must_use]
    pub fn fingerprint(self, credential: Credential, key: &RandomState) -> Fingerprint {
        let mut folded = Zeroizing::new([0; MAX_PIN]);
        let hash = match (self, self.fold(credential, PinUse::Verify, &mut folded)) {
            (Self::TooLong, _) => key.hash_one((0_u8, b"".as_slice())),
            (Self::Bytes(_), Ok(length)) => key.hash_one((1_u8, folded.get(..length).unwrap_or_default())),
            (Self::Bytes(bytes), Err(_)) => key.hash_one((2_u8, bytes)),
        };
        Fingerprint(hash)
    }

    /// Writes the card's form of the PIN to `folded` and returns its length.
    fn fold(
        self,
        credential: Credential,
        usage: PinUse,
        folded: &mut [u8; MAX_PIN],
    ) -> Result<usize, PinError> {
        let Self::Bytes(bytes) = self else { return Err(PinError::Length) };
        match credential {
            Credential::UserAuthentication => fold_digits(bytes, folded),
            Credential::DigitalSignature => fold_password(bytes, usage, folded),
        }
    }
}

impl Pin {
    /// Reads a PIN for `credential`.
    ///
    /// # Errors
    /// When it cannot be one. Nothing has been sent to the card then.
    pub fn parse(
        entry: PinEntry<'_>,
        credential: Credential,
        usage: PinUse,
        memory: &dyn SecretMemory,
    ) -> Result<Self, PinError> {
        let mut folded = Zeroizing::new([0; MAX_PIN]);
        let length = entry.fold(credential, usage, &mut folded)?;
        let mut page = memory.page().ok_or(PinError::Memory)?;
        page.bytes_mut()
            .get_mut(..length)
            .zip(folded.get(..length))
            .map(|(room, pin)| room.copy_from_slice(pin))
            .ok_or(PinError::Memory)?;
        Ok(Self { page, length })
    }

    /// The bytes for the card.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.page.bytes().get(..self.length).unwrap_or_default()
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.page.bytes_mut().zeroize();
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Pin")
    }
}

impl fmt::Debug for PinEntry<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PinEntry")
    }
}

/// Four digits, exactly as given: full-width digits are not what anybody types at a PIN pad.
fn fold_digits(bytes: &[u8], folded: &mut [u8; MAX_PIN]) -> Result<usize, PinError> {
    let digits: &[u8; 4] = bytes.try_into().map_err(|_| PinError::Length)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(PinError::Characters);
    }
    folded.iter_mut().zip(digits).for_each(|(room, digit)| *room = *digit);
    Ok(digits.len())
}

/// 6 to 16 letters and digits. The office registers upper case and the card compares bytes, so lower case would only
/// cost a try; a Japanese input method may have left full-width forms (U+FF01 to U+FF5E), which mean the same.
fn fold_password(bytes: &[u8], usage: PinUse, folded: &mut [u8; MAX_PIN]) -> Result<usize, PinError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PinError::Characters)?;
    let length = text.chars().count();
    for (at, character) in text.chars().enumerate() {
        let narrow = match u32::from(character) {
            full @ 0xff01..=0xff5e => u8::try_from(full - 0xff01 + 0x21),
            other => u8::try_from(other),
        };
        let upper = narrow.map_err(|_| PinError::Characters)?.to_ascii_uppercase();
        if !upper.is_ascii_alphanumeric() {
            return Err(PinError::Characters);
        }
        *folded.get_mut(at).ok_or(PinError::Length)? = upper;
    }
    let password = folded.get(..length).ok_or(PinError::Length)?;
    if length < 6 {
        return Err(PinError::Length);
    }
    let mixed = password.iter().any(u8::is_ascii_digit) && password.iter().any(u8::is_ascii_uppercase);
    if usage == PinUse::Set && !mixed {
        return Err(PinError::Characters);
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str, credential: Credential, usage: PinUse) -> Result<Vec<u8>, PinError> {
        let mut room = [0; MAX_PIN];
        PinEntry::Bytes(text.as_bytes())
            .fold(credential, usage, &mut room)
            .map(|length| room[..length].to_vec())
    }

    #[test]
    fn an_authentication_pin_is_four_ascii_digits() {
        let rule = |text| folded(text, Credential::UserAuthentication, PinUse::Verify);
        assert_eq!(rule("1234"), Ok(b"1234".to_vec()));
        for text in ["", "123", "12345", "12a4", "1234\n", "１２３４", "12\u{0}4", "ABC123"] {
            assert!(rule(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_signature_password_is_folded_to_upper_case_and_half_width() {
        let rule = |text| folded(text, Credential::DigitalSignature, PinUse::Verify);
        assert_eq!(rule("abc123"), Ok(b"ABC123".to_vec()));
        assert_eq!(rule("ＡＢｃ１２３"), Ok(b"ABC123".to_vec()));
        assert_eq!(rule("0123456789ABCDEF").map(|pin| pin.len()), Ok(16));
    }

    #[test]
    fn a_signature_password_has_6_to_16_letters_and_digits() {
        let rule = |text| folded(text, Credential::DigitalSignature, PinUse::Verify);
        for text in [
            "",
            "1234",
            "ABC12",
            "ABC-123",
            "ABC123\n",
            "ABC 123",
            "0123456789ABCDEFG",
            "ÄBC123",
            "ＡＢＣ１２３\u{0}",
        ] {
            assert!(rule(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn no_text_is_both_kinds_of_pin() {
        for text in ["1234", "123456", "ABC123"] {
            let forms = Credential::ALL.iter().filter(|&&c| folded(text, c, PinUse::Verify).is_ok()).count();
            assert_eq!(forms, 1, "{text}");
        }
    }

    #[test]
    fn a_new_password_needs_a_letter_and_a_digit() {
        let rule = |text| folded(text, Credential::DigitalSignature, PinUse::Set);
        assert_eq!(rule("ABCDEF"), Err(PinError::Characters));
        assert_eq!(rule("123456"), Err(PinError::Characters));
        assert!(rule("ABCDE1").is_ok());
    }

    #[test]
    fn the_same_pin_in_another_case_has_the_same_fingerprint() {
        let key = RandomState::new();
        let print =
            |text: &str| PinEntry::Bytes(text.as_bytes()).fingerprint(Credential::DigitalSignature, &key);
        assert!(print("abc123") == print("ABC123"));
        assert!(print("abc124") != print("ABC123"));
        assert!(PinEntry::TooLong.fingerprint(Credential::DigitalSignature, &key) != print(""));
    }
}
