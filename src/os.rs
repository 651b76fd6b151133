//! What the operating system gives, below every other layer.
//!
//! - Memory for secrets, and random bytes.
//! - A mark that tells a forked child from its parent.
//! - What runs when the process ends or the library is unloaded, and a library that stays loaded.
//! - A thread that cannot be cancelled in the middle of a call.
//! - With which rights the process was started.
//! - Where a configuration lies, and who can have written it.
//! - A log file and a standard error stream that cannot stop the host.
//! - For the command: a terminal without echo, and which process has locked a file.
//!
//! The names stand here. Each system has a file of its own that gives them: `linux`
//! (with either C library), `freebsd`, `macos` and `windows`. What the first three share by POSIX
//! is in `unix`. `unsafe` is allowed in `ffi` and here.

#![allow(unsafe_code)]

#[cfg(target_os = "freebsd")]
mod freebsd;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(unix)]
mod unix;
#[cfg(any(windows, test))]
mod utf16;
#[cfg(windows)]
mod windows;

use std::path::PathBuf;

use thiserror::Error;

#[cfg(target_os = "freebsd")]
use self::freebsd as system;
#[cfg(target_os = "linux")]
use self::linux as system;
#[cfg(target_os = "macos")]
use self::macos as system;
pub use self::system::{
    ForkMarker, LockedMemory, UncancellableThread, effective_user, fill_random, is_trusted, on_exit,
    open_configuration, open_log, secure_execution, stay_loaded, stderr_for_logging,
    system_configuration_folder, user_configuration_folders, write_line,
};
#[cfg(all(unix, feature = "command"))]
pub use self::system::{HiddenInput, Terminal, Typed};
#[cfg(unix)]
pub use self::system::{lock_for_writing, lock_holder};
#[cfg(windows)]
use self::windows as system;
#[cfg(windows)]
pub use self::windows::smart_card;

/// Memory for secrets: pages that are not swapped out, not dumped, and empty in a forked child, as
/// far as the system can do that.
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

/// Why a file may have been written by another user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Distrust {
    /// It is a FIFO, a device, a folder.
    #[error("not a regular file")]
    NotAFile,
    /// Another user owns it.
    #[error("owned by another user")]
    OtherOwner,
    /// Others may write to it.
    #[error("writable by others")]
    WritableByOthers,
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
    /// The process has rights that its user does not have (setuid, file capabilities, an elevated
    /// token).
    pub secure_execution: bool,
    /// The path by which this library was loaded.
    pub library: Option<PathBuf>,
    /// The user whose rights the process has; 0 on a system that has no such number.
    pub user: u32,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self { secure_execution: secure_execution(), library: system::library_path(), user: effective_user() }
    }
}
