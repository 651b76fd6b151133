//! What the operating system gives, below every other layer: memory for secrets, a mark that tells
//! a forked child from its parent, how the process was started, who owns a file, which process has
//! locked one, and a log file that cannot stop the host.
//!
//! The names stand here; each system has a file of its own that gives them. `unsafe` is allowed in
//! `ffi` and here.

#![allow(unsafe_code)]

mod linux;

use std::fs::File;
use std::path::PathBuf;

pub use self::linux::{
    Distrust, ForkMarker, LockedMemory, UncancellableThread, effective_user, fill_random, is_trusted,
    lock_for_writing, lock_holder, on_exit, open_log, secure_execution, stderr_for_logging, write_line,
};

#[cfg(feature = "command")]
pub use self::linux::{HiddenInput, Terminal, Typed};

/// Memory for secrets: pages that are not swapped out, not dumped, and empty in a forked child.
pub trait SecretMemory: Send + Sync {
    /// A fresh page, filled with zeros, or `None` when there is no memory.
    fn page(&self) -> Option<Box<dyn SecretPage>>;
}

/// One page of [`SecretMemory`], at least 4096 bytes. It is wiped when dropped.
pub trait SecretPage: Send + Sync {
    /// The bytes.
    fn bytes(&self) -> &[u8];

    /// The bytes, to write.
    fn bytes_mut(&mut self) -> &mut [u8];
}

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The process, by exit() or a return from main.
    Process,
    /// The library is unloaded, and the process goes on.
    Library,
}

/// What the host process is, as far as the configuration depends on it.
#[derive(Debug, Default)]
pub struct Environment {
    /// The process has rights that its user does not have (setuid, file capabilities).
    pub secure_execution: bool,
    /// The path by which this library was loaded.
    pub library: Option<PathBuf>,
    /// The standard error stream, if it is safe to write to.
    pub stderr: Option<File>,
    /// The user whose rights the process has.
    pub user: u32,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self {
            secure_execution: secure_execution(),
            library: linux::library_path(),
            stderr: stderr_for_logging(),
            user: effective_user(),
        }
    }
}
