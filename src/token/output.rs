//! The size-query rule of PKCS#11, "Conventions for functions returning output in a variable-length
//! buffer".
//!
//! It is written once, here: what goes down to an operation is a [`BufferSize`], what comes back is
//! an [`Output`].

/// What the caller gave to write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BufferSize {
    /// A NULL pointer: the caller asks for the length.
    Query,
    /// A buffer of so many bytes.
    Bytes(usize),
}

/// What there is to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Only the length; nothing else has happened.
    Length(usize),
    /// The buffer is too small: the length it needs; nothing else has happened.
    TooSmall(usize),
    /// The result. It fits.
    Bytes(Vec<u8>),
}

impl BufferSize {
    /// The answer to a caller that is not given a result of `length` bytes now, or `None` when it
    /// fits.
    #[must_use]
    pub fn refusal(self, length: usize) -> Option<Output> {
        match self {
            Self::Query => Some(Output::Length(length)),
            Self::Bytes(size) if size < length => Some(Output::TooSmall(length)),
            Self::Bytes(_) => None,
        }
    }
}

/// A fixed-length string of PKCS#11: padded with blanks, without a NUL, and never cut inside a
/// UTF-8 character.
#[must_use]
pub fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut end = text.len().min(N);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut field = [b' '; N];
    field.iter_mut().zip(text.as_bytes().iter().take(end)).for_each(|(room, byte)| *room = *byte);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_and_a_short_buffer_get_the_length_only() {
        assert_eq!(BufferSize::Query.refusal(256), Some(Output::Length(256)));
        assert_eq!(BufferSize::Bytes(255).refusal(256), Some(Output::TooSmall(256)));
        assert_eq!(BufferSize::Bytes(256).refusal(256), None);
    }

    #[test]
    fn strings_are_blank_padded_and_not_cut_inside_a_character() {
        assert_eq!(&padded::<6>("ab"), b"ab    ");
        // Three bytes each: the third character does not fit into eight bytes.
        assert_eq!(&padded::<8>("読取機"), "読取  ".as_bytes());
        assert_eq!(&padded::<9>("読取機"), "読取機".as_bytes());
    }
}
