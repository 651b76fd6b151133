//! The texts that users enter in the model, and what each of them means.

use std::ops::Range;

use cryptoki_sys as ck;
use virtual_card::Credential;

/// A text that a user enters as a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub text: &'static str,
    /// The PIN it stands for; `None` when it is not one and must never reach a card.
    pub means: Option<&'static str>,
    /// What C_SetPIN says of it as a new PIN.
    pub as_new: ck::CK_RV,
}

const fn entry(text: &'static str, means: Option<&'static str>, as_new: ck::CK_RV) -> Entry {
    Entry { text, means, as_new }
}

const AUTHENTICATION: [Entry; 6] = [
    entry("1234", Some("1234"), ck::CKR_OK),
    entry("4321", Some("4321"), ck::CKR_OK),
    entry("9999", Some("9999"), ck::CKR_OK),
    entry("8888", Some("8888"), ck::CKR_OK),
    entry("ABC123", None, ck::CKR_PIN_INVALID),
    entry("12345", None, ck::CKR_PIN_LEN_RANGE),
];

const SIGNATURE: [Entry; 6] = [
    entry("ABC123", Some("ABC123"), ck::CKR_OK),
    entry("xyz789", Some("XYZ789"), ck::CKR_OK),
    entry("abc123", Some("ABC123"), ck::CKR_OK),
    entry("999999", Some("999999"), ck::CKR_PIN_INVALID),
    entry("ABC-123", None, ck::CKR_PIN_INVALID),
    entry("1234", None, ck::CKR_PIN_LEN_RANGE),
];

/// How many entries there are for each credential. The first two may become its PIN.
pub const ENTRIES: Range<usize> = 0..6;

impl Entry {
    pub fn of(credential: Credential, index: usize) -> Self {
        match credential {
            Credential::Authentication => AUTHENTICATION[index],
            Credential::Signature => SIGNATURE[index],
        }
    }
}
