//! The length of a DER element, as far as its header tells (X.690, 8.1.3).

/// The tag of a SEQUENCE, which every certificate begins with.
const SEQUENCE: u8 = 0x30;

/// How many bytes a SEQUENCE takes with its header, read from its first bytes.
///
/// `None` when the bytes are no SEQUENCE, or its length is empty, indefinite or above 65,535. The
/// number comes from the card: whether so many bytes are there has not been checked.
#[must_use]
pub fn sequence_length(bytes: &[u8]) -> Option<usize> {
    let (header, content) = match *bytes {
        [SEQUENCE, length @ 1..=0x7f, ..] => (2, usize::from(length)),
        [SEQUENCE, 0x81, length @ 0x80..=0xff, ..] => (3, usize::from(length)),
        [SEQUENCE, 0x82, high @ 1..=0xff, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
        _ => return None,
    };
    Some(header + content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_content_are_counted() {
        assert_eq!(sequence_length(&[0x30, 0x82, 0x06, 0x1e]), Some(4 + 0x061e));
        assert_eq!(sequence_length(&[0x30, 0x81, 0x80]), Some(3 + 0x80));
        assert_eq!(sequence_length(&[0x30, 5]), Some(7));
    }

    #[test]
    fn nonsense_has_no_length() {
        for bytes in
            [&[][..], &[0x30], &[0x30, 0], &[0x30, 0x80], &[0x30, 0x82, 0, 5], &[0x31, 5], &[0xff; 8]]
        {
            assert_eq!(sequence_length(bytes), None, "{bytes:02x?}");
        }
    }
}
