//! Status words (ISO/IEC 7816-4, 5.6) and what they mean on a JPKI card.

use std::fmt;

/// The two bytes that end every response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusWord(u16);

/// How many wrong PINs a card still takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TriesLeft(u8);

/// What a status word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 9000.
    Ok,
    /// 6282: the end of the file came before all that was asked for; what there is comes with it.
    EndOfFile,
    /// 61xx: so many more bytes wait for GET RESPONSE (256 for 00).
    MoreData(u16),
    /// 6Cxx: repeat the command with this Le (256 for 00).
    WrongLe(u16),
    /// 63Cx: the reference data was wrong, or was asked for; so many tries are left.
    TriesLeft(TriesLeft),
    /// 6300: verification failed, and the card does not say how many tries are left.
    VerificationFailed,
    /// 6983 or 6984: the PIN is blocked. Both are seen on JPKI cards (OpenSC, myna-card).
    Blocked,
    /// 6982: the PIN for this has not been verified.
    SecurityStatus,
    /// 6A81, 6A82 or 6A88: no such file, application or key.
    NotFound,
    /// 6A86 or 6B00: P1 or P2 are not for this command, or past the end of the file.
    WrongParameters,
    /// Anything else.
    Other(StatusWord),
}

impl StatusWord {
    /// 9000.
    pub const OK: Self = Self(0x9000);

    /// Takes the two bytes as a number.
    #[must_use]
    pub const fn new(raw: u16) -> Self {
        Self(raw)
    }

    /// The two bytes as a number.
    #[must_use]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// What it means.
    #[must_use]
    pub fn classify(self) -> Status {
        let [sw1, sw2] = self.0.to_be_bytes();
        match (sw1, sw2) {
            (0x90, 0x00) => Status::Ok,
            (0x62, 0x82) => Status::EndOfFile,
            (0x61, count) => Status::MoreData(length(count)),
            (0x6c, count) => Status::WrongLe(length(count)),
            (0x63, 0xc0..=0xcf) => Status::TriesLeft(TriesLeft(sw2 & 0x0f)),
            (0x63, _) => Status::VerificationFailed,
            (0x69, 0x83 | 0x84) => Status::Blocked,
            (0x69, 0x82) => Status::SecurityStatus,
            (0x6a, 0x81 | 0x82 | 0x88) => Status::NotFound,
            (0x6a, 0x86) | (0x6b, 0x00) => Status::WrongParameters,
            _ => Status::Other(self),
        }
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04x}", self.0)
    }
}

impl TriesLeft {
    /// None: the PIN is blocked.
    pub const BLOCKED: Self = Self(0);

    /// A count of tries.
    #[must_use]
    pub const fn new(count: u8) -> Self {
        Self(count)
    }

    /// What is left after one more wrong PIN.
    #[must_use]
    pub const fn one_less(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The count.
    #[must_use]
    pub const fn count(self) -> u8 {
        self.0
    }
}

impl fmt::Display for TriesLeft {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

/// A length in the second status byte, where 00 stands for 256.
fn length(byte: u8) -> u16 {
    if byte == 0 { 256 } else { u16::from(byte) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_9000_is_ok() {
        let ok: Vec<u16> =
            (0..=u16::MAX).filter(|&raw| StatusWord::new(raw).classify() == Status::Ok).collect();
        assert_eq!(ok, [0x9000]);
    }

    #[test]
    fn every_answer_that_means_blocked_means_blocked() {
        assert_eq!(StatusWord::new(0x6983).classify(), Status::Blocked);
        assert_eq!(StatusWord::new(0x6984).classify(), Status::Blocked);
        assert_eq!(StatusWord::new(0x63c0).classify(), Status::TriesLeft(TriesLeft::BLOCKED));
    }

    #[test]
    fn a_zero_length_byte_means_256() {
        assert_eq!(StatusWord::new(0x6100).classify(), Status::MoreData(256));
        assert_eq!(StatusWord::new(0x6c10).classify(), Status::WrongLe(16));
    }
}
