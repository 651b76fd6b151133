//! The module through its Rust API, over a simulated PC/SC service with virtual cards: one process,
//! no line of C.
//!
//! `JPKI_TEST_SEED` gives the random tests their seed again. `JPKI_SOAK=full` makes [`sessions`]
//! long, `JPKI_THREAD_ROUNDS` makes [`logins`] long, and `PROPTEST_CASES` sets how many sequences
//! [`model`] goes through. `JPKI_TEST_SERVICE=macos` lets the tests run over a service with the
//! ways of macOS, and `windows` over one with those of Windows: [`removal`], [`cards`] and
//! [`adversary`] hold there too.

#![allow(unreachable_pub, reason = "a test program has no users")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail wherever it stands"
)]

mod support;

/// Inputs by which an adversary once broke a promise.
mod adversary;
/// How many commands each call sends to the card.
mod apdu_budget;
/// Cards that decide in another way what the sources leave open.
mod card_variants;
/// Other kinds of cards, cards without JPKI, and more than one card.
mod cards;
/// The PIN for one signature, with `always_authenticate`.
mod context_login;
/// The fixture of these tests reaches the card, and its invariants notice what they are there for.
mod fixture_selftest;
/// Cards that lie, and readers that fail.
mod hostile;
/// Logins among threads.
mod logins;
/// Chips drawn at random work in full.
mod lottery;
/// Random sequences of calls against a model of what must happen.
mod model;
/// Other programs at the same card, and a PC/SC service that fails.
mod other_programs;
/// A change of the PIN that fails half-way.
mod pin_changes;
/// What the module remembers of a PIN between calls.
mod pin_state;
/// No try is lost to software, and every answer says what the user can do next.
mod pins;
/// Cards and readers that are removed.
mod removal;
/// No page for a PIN: no try is lost.
mod secret_memory;
/// Very many sessions.
mod sessions;
/// Signing, verifying, hashing and random numbers.
mod signing;
/// Threads that are slow between a look and what they do then.
mod slow_threads;
/// Slots for a reader or a service that comes after the program has read the list.
mod spare_slots;
/// Many threads at one module.
mod threads;
/// Slots, tokens and objects.
mod tokens;
