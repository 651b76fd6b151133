//! Rules about the source tree and about the tests themselves. The crate is not linked.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail wherever it stands"
)]

/// Imports point down; `pcsc` and `unsafe` stay where they belong.
mod layers;
/// What `cargo test` runs, and what only `./pkcs11-tests.sh` runs.
mod programs;
/// The random numbers of the tests.
mod rng;
