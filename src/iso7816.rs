//! The shapes of ISO/IEC 7816-4: commands, responses, status words and the DER length of a file's content.

pub mod apdu;
pub mod der;
pub mod status;
