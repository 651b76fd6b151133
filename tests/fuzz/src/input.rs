//! The input of a target, read from the front.

/// Bytes that are left to read.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// The whole input.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number of 16 bits, big-endian.
    pub fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// A length of 16 bits and so many bytes, or as many as there are.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.number()?).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(bytes)
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// One of these.
    pub fn choice<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let index = usize::from(self.byte()?);
        of.get(index % of.len()).copied()
    }
}
