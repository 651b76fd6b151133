//! Command and response APDUs (ISO/IEC 7816-4, 5.1 and 5.2).

use std::fmt;

use zeroize::Zeroizing;

use super::status::StatusWord;

/// The most data bytes of a command with a one-byte Lc.
pub const MAX_SHORT_DATA: usize = 255;

/// How many response bytes a command asks for (the Le field).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// No Le field: no data comes back.
    None,
    /// One byte of Le, 1–256 bytes; 256 is encoded as 00.
    Short(u16),
    /// Extended Le, 1–65,535 bytes. Only for commands without data.
    Extended(u16),
}

/// One command APDU.
///
/// `Debug` prints the header and the lengths, never the data: data may be a PIN, a message or a
/// hash of one.
#[derive(Clone)]
pub struct Command {
    header: [u8; 4],
    data: Zeroizing<Vec<u8>>,
    expected: Expected,
}

impl Command {
    /// A command without data.
    #[must_use]
    pub fn new(class: u8, instruction: u8, p1: u8, p2: u8) -> Self {
        Self { header: [class, instruction, p1, p2], data: Zeroizing::default(), expected: Expected::None }
    }

    /// The same command with data, which is wiped when the command is dropped.
    ///
    /// More than [`MAX_SHORT_DATA`] bytes do not fit a short APDU; nothing on this card takes more,
    /// and the rest is cut off so that the card refuses the command.
    #[must_use]
    pub fn data(mut self, data: &[u8]) -> Self {
        let end = data.len().min(MAX_SHORT_DATA);
        self.data = Zeroizing::new(data.get(..end).unwrap_or_default().to_vec());
        self
    }

    /// The same command with an Le field.
    #[must_use]
    pub fn expect(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }

    /// The instruction byte.
    #[must_use]
    pub fn instruction(&self) -> u8 {
        let [_, instruction, ..] = self.header;
        instruction
    }

    /// The bytes for the card. They are wiped when dropped, since they may hold a PIN.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.data.len() + 7));
        bytes.extend_from_slice(&self.header);
        if let (Ok(length @ 1..), data) = (u8::try_from(self.data.len()), &self.data) {
            bytes.push(length);
            bytes.extend_from_slice(data);
        }
        match self.expected {
            Expected::None => {}
            // 256 is 00: the low byte says it all.
            Expected::Short(count) => bytes.push(count.to_be_bytes()[1]),
            Expected::Extended(count) => {
                bytes.push(0);
                bytes.extend_from_slice(&count.to_be_bytes());
            }
        }
        bytes
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [class, instruction, p1, p2] = self.header;
        write!(out, "{class:02x} {instruction:02x} {p1:02x} {p2:02x}")?;
        if !self.data.is_empty() {
            write!(out, " Lc={}", self.data.len())?;
        }
        match self.expected {
            Expected::None => Ok(()),
            Expected::Short(count) | Expected::Extended(count) => write!(out, " Le={count}"),
        }
    }
}

/// A command APDU with secret data, in memory that its owner protects. It is sent once, whatever
/// the answer.
///
/// `Debug` prints the header alone: the length of a PIN is a secret too.
#[derive(Clone, Copy)]
pub struct SecretCommand<'a>(&'a [u8]);

impl<'a> SecretCommand<'a> {
    /// Takes the bytes as they go to the card.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes for the card.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for SecretCommand<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [class, instruction, p1, p2, ..] => {
                write!(out, "{class:02x} {instruction:02x} {p1:02x} {p2:02x} and a secret")
            }
            _ => out.write_str("a secret"),
        }
    }
}

/// One response APDU. It is wiped when dropped.
///
/// `Debug` prints the length and the status word, never the data: it may be a certificate or a
/// signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    data: Zeroizing<Vec<u8>>,
    status: StatusWord,
}

impl Response {
    /// Splits what the card sent into data and status word; `None` when it is shorter than a status
    /// word.
    #[must_use]
    pub fn parse(mut bytes: Vec<u8>) -> Option<Self> {
        let (&[.., sw1, sw2], Some(end)) = (bytes.as_slice(), bytes.len().checked_sub(2)) else {
            return None;
        };
        bytes.truncate(end);
        Some(Self { data: bytes.into(), status: StatusWord::new(u16::from_be_bytes([sw1, sw2])) })
    }

    /// The status word.
    #[must_use]
    pub fn status(&self) -> StatusWord {
        self.status
    }

    /// The data before the status word.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Gives the data away.
    #[must_use]
    pub fn into_data(self) -> Zeroizing<Vec<u8>> {
        self.data
    }

    /// The data of this response and then of the next one, whose status word holds for both.
    #[must_use]
    pub fn followed_by(self, next: Self) -> Self {
        // One that grows would leave its old bytes behind.
        let mut data = Zeroizing::new(Vec::with_capacity(self.data.len() + next.data.len()));
        data.extend_from_slice(&self.data);
        data.extend_from_slice(&next.data);
        Self { data, status: next.status }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} bytes, {}", self.data.len(), self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_four_bytes() {
        assert_eq!(Command::new(0, 0x20, 0, 0x80).encode().as_slice(), [0, 0x20, 0, 0x80]);
    }

    #[test]
    fn data_comes_with_its_length_and_le_after_it() {
        let command = Command::new(0x80, 0x2a, 0, 0x80).data(&[1, 2]).expect(Expected::Short(256));
        assert_eq!(command.encode().as_slice(), [0x80, 0x2a, 0, 0x80, 2, 1, 2, 0]);
    }

    #[test]
    fn extended_le_is_three_bytes() {
        let command = Command::new(0, 0xb0, 1, 0).expect(Expected::Extended(0x0522));
        assert_eq!(command.encode().as_slice(), [0, 0xb0, 1, 0, 0, 5, 0x22]);
    }

    #[test]
    fn debug_output_shows_no_data() {
        let command = Command::new(0, 0x20, 0, 0x80).data(b"1234");
        assert_eq!(format!("{command:?}"), "00 20 00 80 Lc=4");
        let response = Response::parse(vec![0x41, 0x42, 0x90, 0]).map(|response| format!("{response:?}"));
        assert_eq!(response.as_deref(), Some("2 bytes, 9000"));
    }

    #[test]
    fn a_response_needs_a_status_word() {
        assert_eq!(Response::parse(vec![]), None);
        assert_eq!(Response::parse(vec![0x90]), None);
    }
}
