//! macOS. It is compiled and linked, and no test runs on it.

use std::ffi::{c_int, c_void};
use std::fs::{File, Metadata};
use std::mem::{MaybeUninit, size_of};
use std::process;

pub(super) use super::unix::library_path;
use super::unix::{self, FirstProcess, reopened_terminal};
#[cfg(feature = "command")]
pub use super::unix::{HiddenInput, Terminal, Typed};
pub use super::unix::{
    LockedMemory, UncancellableThread, effective_user, fill_random, is_trusted, lock_for_writing,
    lock_holder, on_exit, open_configuration, open_log, secure_execution, stay_loaded, stderr_for_logging,
    system_configuration_folder, user_configuration_folders, write_line,
};

/// Where the system's configuration lies.
pub(super) const CONFIGURATION_FOLDER: &str = "/etc";

/// Where else a user's configuration may lie, below the home.
pub(super) const MORE_USER_FOLDERS: &[&str] = &["Library/Application Support"];

/// Whether /etc/passwd and /etc/group list those who belong to a user's own group: here the
/// directory service does.
pub(super) const GROUPS_ARE_IN_FILES: bool = false;

/// The state of pthread_setcancelstate(3).
pub(super) const PTHREAD_CANCEL_DISABLE: c_int = 0;

/// Tells a process from the children that it forks, by its number and the time of its start.
///
/// A page that a child does not have cannot be read there, and no page is emptied at a fork.
pub struct ForkMarker(FirstProcess);

impl ForkMarker {
    /// A marker that belongs to no process yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(FirstProcess::new())
    }

    /// Whether this process is the one that asked first, and no child of it.
    pub fn is_ours(&self) -> bool {
        let number = process::id();
        self.0.is(number, start_of(number).unwrap_or_default())
    }
}

impl Default for ForkMarker {
    fn default() -> Self {
        Self::new()
    }
}

/// When a process began (libproc.h): seconds and microseconds.
fn start_of(number: u32) -> Option<(u64, u64)> {
    let mut info = MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = c_int::try_from(size_of::<libc::proc_bsdinfo>()).ok()?;
    let number = c_int::try_from(number).ok()?;
    let place = info.as_mut_ptr().cast::<c_void>();
    // SAFETY: so many bytes may be written there.
    let filled = unsafe { libc::proc_pidinfo(number, libc::PROC_PIDTBSDINFO, 0, place, size) };
    // SAFETY: numbers and texts, of which zeros are valid values too.
    let info = unsafe { info.assume_init() };
    (filled == size).then_some((info.pbi_start_tvsec, info.pbi_start_tvusec))
}

/// Keeps memory out of core files: macOS has no way to do that. It writes none by default.
///
/// # Safety
/// None.
pub(super) unsafe fn keep_from_dumps(_start: *mut c_void, _length: usize) {}

/// Keeps memory away from children: they do not have it (minherit(2)). `false` where that fails.
///
/// # Safety
/// The memory belongs to the caller, and no child reads it.
pub(super) unsafe fn keep_from_children(start: *mut c_void, length: usize) -> bool {
    // SAFETY: as this function's caller promises.
    let result = unsafe { libc::minherit(start, length, libc::VM_INHERIT_NONE) };
    unix::log_failure("VM_INHERIT_NONE", result);
    result == 0
}

/// Takes these signals away from the calling thread, if they wait for it.
pub(super) fn discard_pending(signals: &libc::sigset_t) {
    loop {
        let mut pending = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: the set may be written.
        unsafe { libc::sigpending(pending.as_mut_ptr()) };
        // SAFETY: a set of which zeros are a valid value too.
        let pending = unsafe { pending.assume_init() };
        if pending & signals == 0 {
            return;
        }
        let mut taken = 0;
        // SAFETY: the set is initialised, and `taken` may be written. One of the signals is
        // pending, so that the call does not wait.
        if unsafe { libc::sigwait(signals, &raw mut taken) } != 0 {
            return;
        }
    }
}

/// A copy of standard error that cannot block.
pub(super) fn unblocking_stderr(file: File, metadata: &Metadata, is_written_only: bool) -> Option<File> {
    reopened_terminal(file, metadata, is_written_only)
}
