//! The module through its C functions: the built library, loaded over the stand-in for the PC/SC
//! library. The crate itself is not linked.
//!
//! Each test runs in a process of its own (see [`pcsc_stand_in::client`]), so that tests are
//! parallel and each has the module's static to itself.

#![allow(unreachable_pub, reason = "a test program has no users")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail wherever it stands"
)]

mod support;

/// Bad pointers and bad lengths, for every function.
mod arguments;
/// C_GetAttributeValue.
mod attributes;
/// Several copies of the library in one program.
mod copies;
/// Forked children.
mod fork;
/// Handles that name nothing.
mod handles;
/// From loading to unloading.
mod lifecycle;
/// A PC/SC service whose answers make the `pcsc` crate panic.
mod panics;
/// Calls in any order, with good and with bad arguments.
mod random_calls;
/// The library as a program without helpers loads it.
mod shared_library;
/// Buffers, operations, mechanisms and lengths of signatures.
mod signing;
/// Lists of slots, and slot events.
mod slots;
/// The function tables.
mod tables;
/// Many threads, threads that wait, and signals.
mod threads;
