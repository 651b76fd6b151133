//! The command `jpki-pkcs11`, as people use it: the program that Cargo has built, over a PC/SC
//! service that the test describes, with a home of its own.
//!
//! It needs the feature `command`, without which there is no such program.

#![allow(unreachable_pub, reason = "a test program has no users")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail wherever it stands"
)]

mod support;

/// Help, manual pages, completions, and what cannot be typed.
mod arguments;
/// The certificates of the CAs.
mod ca_certificate;
/// OpenSC, and other libraries of ours, in a browser's list.
mod in_front;
/// The names of the fields of the report for scripts.
mod json_fields;
/// PINs, at a real terminal: which keys do what, and at which card one is asked for.
mod keys;
/// PINs, at a real terminal.
mod prompts;
/// What `register` does beside the lists of programs.
mod register;
/// What the line for `authorized_keys` is.
mod ssh_key;
/// Every state that people meet, in both languages, as JSON, and as exit status.
mod states;
