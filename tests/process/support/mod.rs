//! What these tests share.
//!
//! A test starts its own program again as a child that plays a role: a PKCS#11 host, which loads
//! the library and calls its function table, or a foreign PC/SC program. The child is told what to
//! do line by line, so that a test reads as what each process does in turn, and it can be killed,
//! looked into and forked.
//!
//! - [`child`]: the test's end of a process;
//! - [`role`]: the child's end: what it understands;
//! - [`host`]: the library's function table, as a PKCS#11 host uses it;
//! - [`foreign`]: a program that speaks PC/SC and means no good;
//! - [`argument`]: the PINs that a host gives to the library;
//! - [`breakpoint`]: stops the card in front of a command;
//! - [`cancel`]: a thread that is cancelled with pthread_cancel;
//! - [`fingerprint`]: an attack on hashes of PINs in a core file;
//! - [`image`]: the memory of another process at one instant;
//! - [`memory`]: looks for a secret in another process;
//! - [`rights`]: namespaces, and programs with more rights than their user;
//! - [`surroundings`]: what a host does to its own process;
//! - [`tracing`]: the system calls of a host, as strace shows them.

pub mod argument;
pub mod breakpoint;
pub mod cancel;
pub mod child;
pub mod fingerprint;
pub mod foreign;
pub mod host;
pub mod image;
pub mod memory;
pub mod rights;
pub mod role;
pub mod surroundings;
pub mod tracing;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use child::Child;
use virtual_card::stack::{Options, Stack};
use virtual_card::{Identity, Profile, VirtualCard};

/// Anything that takes so long is broken.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// A full card that keeps its verified state over a warm reset, or loses it.
pub fn card(keeps_verified: bool) -> VirtualCard {
    let profile = Profile { warm_reset_keeps_verified: keeps_verified, ..Profile::full() };
    VirtualCard::new(profile, Identity::shared())
}

/// A stack with that card in its only reader, seen by clients.
pub fn stack(keeps_verified: bool) -> Stack {
    stack_of(vec![Some(card(keeps_verified))])
}

/// A stack with these cards, the first of which is seen by clients.
pub fn stack_of(cards: Vec<Option<VirtualCard>>) -> Stack {
    let stack = Stack::start(Options::readers(cards)).expect("pcscd and the reader driver are unpacked");
    // On a busy machine the driver knows of the card a little before the clients do.
    Child::start(&stack).expect("foreign see", "done");
    stack
}

/// Waits until something holds, and tells how long that took.
pub fn wait_until(what: &str, holds: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < TIMEOUT, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
    start.elapsed()
}

/// Copies a program that will be run. Another process does it: a test that forks meanwhile would
/// have the copy open for writing, and what is open so cannot be run.
pub fn copy_executable(from: &Path, to: &Path) {
    let copied = Command::new("cp").args([from, to]).status().unwrap();
    assert!(copied.success(), "{copied}");
}
