//! Rules: those of the source tree, of the tests themselves, and of the PIN. Of the crate only the
//! state of a PIN is used.

#![allow(unreachable_pub, reason = "a test program has no users")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail wherever it stands"
)]

/// Comments keep to their columns.
mod columns;
/// README's numbers of commands have their checks.
mod figures;
/// Imports point down; `pcsc` and `unsafe` stay where they belong.
mod layers;
/// All histories of a PIN, and long random ones, against a model of the card.
mod pin_search;
/// What `cargo test` runs, and what only `./pkcs11-tests.sh` runs.
mod programs;
/// The random numbers of the tests.
mod rng;
/// The Rust files of the source tree, and their length.
mod sources;
/// README.ja.md follows README.md.
mod translation;
