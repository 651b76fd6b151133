//! A PKCS#11 module for JPKI (公的個人認証サービス), the two certificates on Japan's My Number
//! card.
//!
//! # Layers
//!
//! Imports point down only; `tests/rules/layers.rs` checks it.
//!
//! ```text
//! ffi ─► module ─► token, error ─► manager ─► jpki ─► transport ─► iso7816
//!                       os stands below all of them
//! ```
//!
//! | layer | what it knows |
//! |---|---|
//! | [`ffi`] | C pointers, the function tables, the static of the module |
//! | [`module`] | a safe method for each `C_` function, of the module or of a session; slots and session handles |
//! | [`token`], [`error`] | what PKCS#11 means: objects, attributes, mechanisms, operations, return codes |
//! | [`manager`] | one physical card: presence, the state of its PINs, transactions |
//! | [`jpki`] | the card application: facts per credential, recognition, capabilities of a chip, commands, PIN forms, certificates |
//! | [`transport`] | PC/SC as a thin trait of calls, and the one recovery policy over it |
//! | [`iso7816`] | the shape of commands, responses and status words, and the exchange of one command |
//! | [`os`] | what the operating system gives: secret pages, random bytes, fork marker, end of the process, threads, owners of files, log files, terminal, file locks |
//!
//! [`config`], [`logging`] and [`handle`] stand beside the layers. The command `jpki-pkcs11` in
//! `src/command` is a program of its own above them: it uses [`module`] as every client does.
//!
//! # Documents
//!
//! - PKCS #11 v3.2 (OASIS Standard):
//!   <https://docs.oasis-open.org/pkcs11/pkcs11-spec/v3.2/pkcs11-spec-v3.2.html>. Comments cite it
//!   as "PKCS #11, C_Sign". Sections 5.1 to 5.20 read alike in 3.0 and 3.1.
//! - PKCS #11 v2.40:
//!   <https://docs.oasis-open.org/pkcs11/pkcs11-base/v2.40/os/pkcs11-base-v2.40-os.html>.
//! - ISO/IEC 7816-4:2020 for commands and status words, RFC 8017 for PKCS #1, RFC 5280 for
//!   certificates.
//! - PC/SC workgroup specifications and the API documentation of pcsc-lite:
//!   <https://pcsclite.apdu.fr/api/>.
//!
//! No specification of the JPKI application is public: card facts name the project they were seen
//! in.

#![deny(unsafe_code)]
// Nothing may panic on what a card, a caller or a file says. Tests may.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)]
#![deny(clippy::indexing_slicing, clippy::as_conversions)]

pub mod config;
pub mod error;
pub mod ffi;
pub mod handle;
pub mod iso7816;
pub mod jpki;
pub mod logging;
pub mod manager;
pub mod module;
pub mod os;
pub mod token;
pub mod transport;
