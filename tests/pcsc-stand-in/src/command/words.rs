//! The words of a request.

use std::ffi::CString;

use crate::service::{Code, Function};

/// What is left of a request.
pub(super) struct Words<'request> {
    rest: Option<&'request [u8]>,
}

impl<'request> Words<'request> {
    pub(super) fn new(request: &'request [u8]) -> Self {
        Self { rest: Some(request) }
    }

    pub(super) fn bytes(&mut self) -> Result<&'request [u8], String> {
        let rest = self.rest.ok_or("a word is missing")?;
        let mut parts = rest.splitn(2, |byte| *byte == b'\t');
        let word = parts.next().unwrap_or_default();
        self.rest = parts.next();
        Ok(word)
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        self.rest.take().unwrap_or_default().to_vec()
    }

    pub(super) fn text(&mut self) -> Result<&'request str, String> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "not text".to_owned())
    }

    /// A reader's name: any bytes.
    pub(super) fn name(&mut self) -> Result<CString, String> {
        CString::new(self.bytes()?).map_err(|_| "a NUL in a name".to_owned())
    }

    pub(super) fn number(&mut self) -> Result<u64, String> {
        number(self.text()?)
    }

    pub(super) fn size(&mut self) -> Result<usize, String> {
        usize::try_from(self.number()?).map_err(|_| "too large".to_owned())
    }

    pub(super) fn code(&mut self) -> Result<Code, String> {
        let text = self.text()?;
        Code::parse(text).ok_or_else(|| format!("no such code: {text}"))
    }

    pub(super) fn function(&mut self) -> Result<Function, String> {
        super::function(self.text()?)
    }

    /// A file id: four hex digits.
    pub(super) fn file(&mut self) -> Result<u16, String> {
        u16::from_str_radix(self.text()?, 16).map_err(|_| "a file id is four hex digits".to_owned())
    }

    /// No word is left.
    pub(super) fn end(&self) -> Result<(), String> {
        if self.rest.is_none() { Ok(()) } else { Err("a word too many".to_owned()) }
    }
}

/// A number, in hex with `0x`.
pub(super) fn number(text: &str) -> Result<u64, String> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    }
    .map_err(|_| format!("not a number: {text}"))
}

/// Bytes from hex digits.
pub(super) fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u32> =
        text.chars().map(|digit| digit.to_digit(16).ok_or("not hex")).collect::<Result<_, _>>()?;
    if digits.len() % 2 != 0 {
        return Err("an odd number of hex digits".to_owned());
    }
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).map_err(|_| "not hex".to_owned()))
        .collect()
}

/// Hex digits of bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
