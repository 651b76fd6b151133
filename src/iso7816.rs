//! ISO/IEC 7816-4: the shape of commands, responses and status words, and how one command gets its
//! whole answer.

pub mod apdu;
pub mod der;
pub mod exchange;
pub mod status;
