//! Command APDUs as the card sees them, and the status words it answers with.
//!
//! Follows ISO/IEC 7816-3, 12.1 (the four cases, short and extended).

/// The status words of the model.
pub(crate) mod sw {
    pub(crate) const OK: u16 = 0x9000;
    pub(crate) const MORE_DATA: u16 = 0x6100;
    pub(crate) const END_OF_FILE_WARNING: u16 = 0x6282;
    pub(crate) const TRIES_LEFT: u16 = 0x63c0;
    pub(crate) const WRONG_LENGTH: u16 = 0x6700;
    pub(crate) const NO_LOGICAL_CHANNEL: u16 = 0x6881;
    pub(crate) const NO_SECURE_MESSAGING: u16 = 0x6882;
    pub(crate) const WRONG_FILE_TYPE: u16 = 0x6981;
    pub(crate) const NOT_VERIFIED: u16 = 0x6982;
    pub(crate) const CONDITIONS: u16 = 0x6985;
    pub(crate) const NO_CURRENT_FILE: u16 = 0x6986;
    pub(crate) const WRONG_DATA: u16 = 0x6a80;
    pub(crate) const FILE_NOT_FOUND: u16 = 0x6a82;
    pub(crate) const WRONG_PARAMETERS: u16 = 0x6a86;
    pub(crate) const REFERENCE_NOT_FOUND: u16 = 0x6a88;
    pub(crate) const PAST_THE_END: u16 = 0x6b00;
    pub(crate) const EXACT_LENGTH: u16 = 0x6c00;
    pub(crate) const UNKNOWN_INSTRUCTION: u16 = 0x6d00;
    pub(crate) const UNKNOWN_CLASS: u16 = 0x6e00;
    pub(crate) const NO_DIAGNOSIS: u16 = 0x6f00;
}

/// A command APDU taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    pub(crate) class: u8,
    pub(crate) instruction: u8,
    pub(crate) p1: u8,
    pub(crate) p2: u8,
    pub(crate) data: &'a [u8],
    /// How much answer data the sender accepts; `None` without an Le field.
    pub(crate) expected: Option<usize>,
    pub(crate) extended: bool,
}

impl<'a> Command<'a> {
    /// Takes `bytes` apart; `None` when the lengths do not add up.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let &[class, instruction, p1, p2, ref body @ ..] = bytes else { return None };
        let (data, expected, extended) = lengths(body)?;
        Some(Self { class, instruction, p1, p2, data, expected, extended })
    }
}

type Lengths<'a> = (&'a [u8], Option<usize>, bool);

fn lengths(body: &[u8]) -> Option<Lengths<'_>> {
    match *body {
        [] => Some((&[], None, false)),
        [le] => Some((&[], Some(short_le(le)), false)),
        [0, high, low] => Some((&[], Some(extended_le(high, low)), true)),
        [0, high, low, ref rest @ ..] => {
            let count = usize::from(u16::from_be_bytes([high, low]));
            let (data, le) = rest.split_at_checked(count).filter(|_| count > 0)?;
            match *le {
                [] => Some((data, None, true)),
                [high, low] => Some((data, Some(extended_le(high, low)), true)),
                _ => None,
            }
        }
        [count, ref rest @ ..] => {
            let (data, le) = rest.split_at_checked(usize::from(count)).filter(|_| count > 0)?;
            match *le {
                [] => Some((data, None, false)),
                [le] => Some((data, Some(short_le(le)), false)),
                _ => None,
            }
        }
    }
}

fn short_le(le: u8) -> usize {
    if le == 0 { 256 } else { usize::from(le) }
}

fn extended_le(high: u8, low: u8) -> usize {
    match u16::from_be_bytes([high, low]) {
        0 => 65_536,
        le => usize::from(le),
    }
}

#[cfg(test)]
mod tests {
    use super::Command;

    fn shape(bytes: &[u8]) -> Option<(Vec<u8>, Option<usize>, bool)> {
        Command::parse(bytes).map(|command| (command.data.to_vec(), command.expected, command.extended))
    }

    #[test]
    fn short_commands_have_four_cases() {
        assert_eq!(shape(&[0, 0x20, 0, 0x80]), Some((vec![], None, false)));
        assert_eq!(shape(&[0, 0xb0, 0, 0, 0]), Some((vec![], Some(256), false)));
        assert_eq!(shape(&[0, 0xa4, 2, 0x0c, 2, 0, 6]), Some((vec![0, 6], None, false)));
        assert_eq!(shape(&[0x80, 0x2a, 0, 0x80, 1, 7, 0]), Some((vec![7], Some(256), false)));
    }

    #[test]
    fn extended_commands_have_three_cases() {
        assert_eq!(shape(&[0, 0xb0, 0, 0, 0, 0, 0]), Some((vec![], Some(65_536), true)));
        assert_eq!(shape(&[0, 0xa4, 2, 0x0c, 0, 0, 2, 0, 6]), Some((vec![0, 6], None, true)));
        assert_eq!(shape(&[0x80, 0x2a, 0, 0x80, 0, 0, 1, 7, 1, 0]), Some((vec![7], Some(256), true)));
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        for bytes in [&[0, 0x20, 0][..], &[0, 0x20, 0, 0x80, 2, 1], &[0, 0x20, 0, 0x80, 1, 1, 1, 1]] {
            assert_eq!(shape(bytes), None, "{bytes:02x?}");
        }
    }
}
