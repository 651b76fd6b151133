//! PINs: what one may look like, and where one is kept while it is needed.
//!
//! The form of a PIN is checked before anything is sent to the card: a wrong PIN costs one of few
//! tries. The two forms are disjoint, so that a client that sends one PIN to both tokens
//! (`ssh-add -s`, NSS's tools) costs no try.
//!
//! A PIN never lies outside a page of [`SecretMemory`]: it is read into one, compared there, and
//! the commands that carry it to the card lie there too.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroize;

use super::credential::{Credential, PinAlphabet};
use crate::iso7816::apdu::SecretCommand;
use crate::os::{SecretMemory, SecretPage};

/// What a caller gave as a PIN.
#[derive(Clone, Copy)]
pub enum PinEntry<'a> {
    /// The bytes it gave.
    Bytes(&'a [u8]),
    /// More bytes than any PIN has, even in full-width characters. They have not been read.
    TooLong,
}

/// A PIN in the form in which the card compares it, between the headers of the commands that carry
/// it.
///
/// It is never empty, because an empty VERIFY asks for the tries that are left.
pub struct Pin(Box<dyn SecretPage>);

/// An entry that cannot be a PIN, kept to know it again.
pub struct MalformedEntry(Box<dyn SecretPage>);

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

/// For what a PIN is read: to be verified, or to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinUse {
    /// The card knows it already, so that only the form counts in which it was registered.
    Verify,
    /// The card is to take it; the password then needs a letter and a digit (the rule at the
    /// office's terminal).
    Set,
}

/// The most bytes of a PIN that the card takes.
pub(super) const MAX_PIN: usize = 16;

/// VERIFY of the PIN whose file is selected (ISO/IEC 7816-4, 11.6.6): where it lies in the page,
/// and its header.
const VERIFY: usize = 0;
const VERIFY_HEADER: [u8; 4] = [0x00, 0x20, 0x00, 0x80];

/// CHANGE REFERENCE DATA with the new PIN alone (ISO/IEC 7816-4, 11.6.7, P1 01), likewise.
const CHANGE: usize = 64;
const CHANGE_HEADER: [u8; 4] = [0x00, 0x24, 0x01, 0x80];

/// Bytes before the PIN in either command: the header and Lc.
const BEFORE_PIN: usize = 5;

impl PinEntry<'_> {
    /// The most bytes that can be a PIN: 16 full-width characters of three bytes.
    pub const MAX_BYTES: usize = 3 * MAX_PIN;

    /// Writes the card's form of the PIN to `folded` and returns its length.
    fn fold(self, credential: Credential, usage: PinUse, folded: &mut [u8]) -> Result<usize, PinError> {
        let Self::Bytes(bytes) = self else { return Err(PinError::Length) };
        let form = &credential.facts().pin_form;
        let length = match form.alphabet {
            PinAlphabet::Digits => fold_digits(bytes, folded),
            PinAlphabet::CapitalsAndDigits => fold_password(bytes, usage, folded),
        }?;
        if form.length.contains(&length) { Ok(length) } else { Err(PinError::Length) }
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
        let mut pin = Self(memory.page().ok_or(PinError::Memory)?);
        let (verify, change) = pin.0.bytes_mut().split_at_mut_checked(CHANGE).ok_or(PinError::Memory)?;
        let folded = verify.get_mut(VERIFY + BEFORE_PIN..).and_then(|rest| rest.get_mut(..MAX_PIN));
        let length = entry.fold(credential, usage, folded.ok_or(PinError::Memory)?)?;
        write_header(verify, VERIFY_HEADER, length)?;
        let command = BEFORE_PIN + length;
        let (change, verify) =
            change.get_mut(..command).zip(verify.get(..command)).ok_or(PinError::Memory)?;
        change.copy_from_slice(verify);
        write_header(change, CHANGE_HEADER, length)?;
        Ok(pin)
    }

    /// The PIN. Empty in a forked child, where the kernel has emptied the page.
    pub(super) fn bytes(&self) -> &[u8] {
        self.command(VERIFY).and_then(|command| command.get(BEFORE_PIN..)).unwrap_or_default()
    }

    /// VERIFY with this PIN. `None` for a page that holds no PIN any more.
    #[must_use]
    pub fn verify_command(&self) -> Option<SecretCommand<'_>> {
        self.command(VERIFY).map(SecretCommand::new)
    }

    /// CHANGE REFERENCE DATA to this PIN. `None` for a page that holds no PIN any more.
    #[must_use]
    pub fn change_command(&self) -> Option<SecretCommand<'_>> {
        self.command(CHANGE).map(SecretCommand::new)
    }

    /// The command that begins here, if it still has the form that [`Pin::parse`] gave it.
    fn command(&self, start: usize) -> Option<&[u8]> {
        let bytes = self.0.bytes().get(start..)?;
        let length = usize::from(*bytes.get(BEFORE_PIN - 1)?);
        let pin = bytes.get(BEFORE_PIN..BEFORE_PIN + length)?;
        let intact = (1..=MAX_PIN).contains(&length) && pin.iter().all(u8::is_ascii_alphanumeric);
        bytes.get(..BEFORE_PIN + length).filter(|_| intact)
    }
}

impl PartialEq for Pin {
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (self.bytes(), other.bytes());
        !one.is_empty() && one == two
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.0.bytes_mut().zeroize();
    }
}

impl MalformedEntry {
    /// How [`PinEntry::TooLong`] is noted in the first byte, where the length of any other entry
    /// stands.
    const TOO_LONG: u8 = u8::MAX;

    /// Keeps an entry. `None` when there is no memory.
    #[must_use]
    pub fn keep(entry: PinEntry<'_>, memory: &dyn SecretMemory) -> Option<Self> {
        let mut page = memory.page()?;
        let (mark, room) = page.bytes_mut().split_first_mut()?;
        *mark = Self::mark(entry)?;
        if let PinEntry::Bytes(bytes) = entry {
            room.get_mut(..bytes.len())?.copy_from_slice(bytes);
        }
        Some(Self(page))
    }

    /// Whether this is the entry that was kept.
    #[must_use]
    pub fn is(&self, entry: PinEntry<'_>) -> bool {
        let Some((mark, kept)) = self.0.bytes().split_first() else { return false };
        Self::mark(entry) == Some(*mark)
            && match entry {
                PinEntry::TooLong => true,
                PinEntry::Bytes(bytes) => kept.get(..bytes.len()) == Some(bytes),
            }
    }

    /// The length plus one: 0 is what an empty page holds.
    fn mark(entry: PinEntry<'_>) -> Option<u8> {
        match entry {
            PinEntry::TooLong => Some(Self::TOO_LONG),
            PinEntry::Bytes(bytes) => {
                u8::try_from(bytes.len() + 1).ok().filter(|mark| *mark != Self::TOO_LONG)
            }
        }
    }
}

impl Drop for MalformedEntry {
    fn drop(&mut self) {
        self.0.bytes_mut().zeroize();
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Pin")
    }
}

impl fmt::Debug for MalformedEntry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("MalformedEntry")
    }
}

impl fmt::Debug for PinEntry<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PinEntry")
    }
}

/// Writes the header of a command and its Lc.
fn write_header(command: &mut [u8], header: [u8; 4], length: usize) -> Result<(), PinError> {
    let [lc, ..] = u8::try_from(length).map_err(|_| PinError::Memory)?.to_be_bytes();
    let [class, instruction, p1, p2] = header;
    command
        .get_mut(..BEFORE_PIN)
        .map(|start| start.copy_from_slice(&[class, instruction, p1, p2, lc]))
        .ok_or(PinError::Memory)
}

/// Digits, exactly as given: a PIN pad has no full-width digits.
fn fold_digits(bytes: &[u8], folded: &mut [u8]) -> Result<usize, PinError> {
    if !bytes.iter().all(u8::is_ascii_digit) {
        return Err(PinError::Characters);
    }
    folded.get_mut(..bytes.len()).ok_or(PinError::Length)?.copy_from_slice(bytes);
    Ok(bytes.len())
}

/// Letters and digits. The office registers upper case and the card compares bytes, so lower case
/// would only cost a try; a Japanese input method may have left full-width forms (U+FF01 to
/// U+FF5E), which mean the same.
fn fold_password(bytes: &[u8], usage: PinUse, folded: &mut [u8]) -> Result<usize, PinError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PinError::Characters)?;
    let mut length = 0;
    for character in text.chars() {
        let narrow = match u32::from(character) {
            full @ 0xff01..=0xff5e => u8::try_from(full - 0xff01 + 0x21),
            other => u8::try_from(other),
        };
        let upper = narrow.map_err(|_| PinError::Characters)?.to_ascii_uppercase();
        if !upper.is_ascii_alphanumeric() {
            return Err(PinError::Characters);
        }
        *folded.get_mut(length).ok_or(PinError::Length)? = upper;
        length += 1;
    }
    let password = folded.get(..length).ok_or(PinError::Length)?;
    let mixed = password.iter().any(u8::is_ascii_digit) && password.iter().any(u8::is_ascii_uppercase);
    if usage == PinUse::Set && !mixed && length >= 6 {
        return Err(PinError::Characters);
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jpki::remembered_pin::RememberedPin;

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

    /// Pages of a test, neither locked nor kept out of core files.
    struct Heap;

    impl SecretMemory for Heap {
        fn page(&self) -> Option<Box<dyn SecretPage>> {
            Some(Box::new([0_u8; 4096]))
        }
    }

    impl SecretPage for [u8; 4096] {
        fn bytes(&self) -> &[u8] {
            self
        }

        fn bytes_mut(&mut self) -> &mut [u8] {
            self
        }
    }

    fn pin(text: &str) -> Pin {
        let entry = PinEntry::Bytes(text.as_bytes());
        Pin::parse(entry, Credential::DigitalSignature, PinUse::Verify, &Heap).unwrap()
    }

    #[test]
    fn the_commands_carry_the_pin_behind_their_headers() {
        let pin = pin("abc123");
        assert_eq!(pin.verify_command().unwrap().bytes(), b"\x00\x20\x00\x80\x06ABC123");
        assert_eq!(pin.change_command().unwrap().bytes(), b"\x00\x24\x01\x80\x06ABC123");
    }

    #[test]
    fn the_same_pin_in_another_case_is_the_same() {
        assert!(pin("abc123") == pin("ABC123") && pin("abc124") != pin("ABC123"));
    }

    #[test]
    fn a_page_that_the_kernel_has_emptied_holds_no_pin() {
        let (mut one, mut two) = (pin("ABC123"), pin("ABC123"));
        one.0.bytes_mut().fill(0);
        two.0.bytes_mut().fill(0);
        assert!(one.verify_command().is_none() && one.change_command().is_none() && one != two);
    }

    #[test]
    fn a_remembered_pin_is_known_again_when_the_pin_is_gone() {
        let [one, same, other] =
            ["ABC123", "abc123", "ABC1234"].map(|text| RememberedPin::of(&pin(text), &Heap).unwrap());
        assert!(one == same && one != other);
    }

    #[test]
    fn a_malformed_entry_is_known_again() {
        let entries = [PinEntry::Bytes(b""), PinEntry::Bytes(b"12a4"), PinEntry::TooLong];
        for (at, entry) in entries.into_iter().enumerate() {
            let kept = MalformedEntry::keep(entry, &Heap).unwrap();
            for (other_at, other) in entries.into_iter().enumerate() {
                assert_eq!(kept.is(other), at == other_at);
            }
        }
    }
}
