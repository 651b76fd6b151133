//! The built library, a real pcscd and several real processes.
//!
//! It needs the feature `process-tests`: `./pkcs11-tests.sh` unpacks pcscd and turns the feature
//! on. `JPKI_TEST_SEED` gives the random tests their seed again. `JPKI_SOAK=full` makes [`soak`]
//! long, `JPKI_THREAD_SIGNATURES` makes [`threads`] long, `JPKI_ISOLATION_SECONDS` makes
//! [`isolation`] long, `JPKI_ENDS` makes [`adversary_left_open`] and [`ends`] long, and
//! `JPKI_MEMORY_SAMPLES` makes [`adversary_memory`] long.

#![allow(unreachable_pub, reason = "a test program has no users")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail wherever it stands"
)]

mod support;

/// Threads that pthread_cancel ends in the middle of a call.
mod adversary_cancelled_threads;
/// Hashes of PINs, and their keys, in a core file.
mod adversary_fingerprints;
/// Forked children that have their parent's process id.
mod adversary_forked_child;
/// A PC/SC service that hangs while a program ends.
mod adversary_hung_service;
/// Programs that leave while their threads sign.
mod adversary_left_open;
/// Logs without a reader, and logs at their limit.
mod adversary_log;
/// What a login, a change, a signature and a certificate leave in memory.
mod adversary_memory;
/// PINs that are changed while other programs are logged in with them.
mod adversary_pin_changes;
/// Wrong PINs that a client repeats.
mod adversary_refused_pins;
/// Cards of two persons that change places faster than pcscd looks.
mod adversary_swapped_cards;
/// The configuration file in /etc.
mod adversary_system_file;
/// What each kind of end leaves on the card.
mod ends;
/// Hosts with low limits, with bad configuration, or with other rights than their user; and what
/// the log never says.
mod environment;
/// Programs that sign without a pause share the card.
mod fairness;
/// A host that forks or ends without C_Finalize.
mod fork;
/// What a host that only waits costs.
mod idle;
/// Another process cannot use a login.
mod isolation;
/// Where the PIN of a login is in memory, and when it is gone.
mod memory;
/// A PC/SC service that dies, refuses or answers nonsense, and cards that come and go.
mod service;
/// Many signatures and many polls by one host.
mod soak;
/// Several processes with several threads at one card.
mod threads;
