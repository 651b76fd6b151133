//! FreeBSD. It is compiled, and no test runs on it.

use std::ffi::c_void;
use std::fs::{File, Metadata};
use std::ptr::null_mut;

pub(super) use super::unix::library_path;
use super::unix::{self, reopened_terminal};
pub use super::unix::{
    ForkMarker, LockedMemory, UncancellableThread, effective_user, fill_random, is_trusted, lock_for_writing,
    lock_holder, on_exit, open_configuration, open_log, secure_execution, stay_loaded, stderr_for_logging,
    system_configuration_folder, user_configuration_folders, write_line,
};
#[cfg(feature = "command")]
pub use super::unix::{HiddenInput, Terminal, Typed};

/// Where the system's configuration lies: what is not of the base system lies below /usr/local.
pub(super) const CONFIGURATION_FOLDER: &str = "/usr/local/etc";

/// Where else a user's configuration may lie, below the home.
pub(super) const MORE_USER_FOLDERS: &[&str] = &[];

/// Whether /etc/passwd and /etc/group list those who belong to a user's own group.
pub(super) const GROUPS_ARE_IN_FILES: bool = true;

/// The state of pthread_setcancelstate(3).
pub(super) const PTHREAD_CANCEL_DISABLE: libc::c_int = 1;

/// Keeps memory out of core files. A failure is logged and no more.
///
/// # Safety
/// The memory is a mapping of the caller's.
pub(super) unsafe fn keep_from_dumps(start: *mut c_void, length: usize) {
    // SAFETY: as this function's caller promises; the advice does not change what is in the memory.
    unix::log_failure("MADV_NOCORE", unsafe { libc::madvise(start, length, libc::MADV_NOCORE) });
}

/// Has the kernel empty memory in children (minherit(2)). `false` where it cannot.
///
/// # Safety
/// The memory belongs to the caller, and zeros are valid in it.
pub(super) unsafe fn keep_from_children(start: *mut c_void, length: usize) -> bool {
    // SAFETY: as this function's caller promises.
    let result = unsafe { libc::minherit(start, length, libc::INHERIT_ZERO) };
    unix::log_failure("INHERIT_ZERO", result);
    result == 0
}

/// Takes these signals away from the calling thread, if they wait for it.
pub(super) fn discard_pending(signals: &libc::sigset_t) {
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time are initialised; a NULL place for details is allowed.
    while unsafe { libc::sigtimedwait(signals, null_mut(), &raw const at_once) } > 0 {}
}

/// A copy of standard error that cannot block.
pub(super) fn unblocking_stderr(file: File, metadata: &Metadata, is_written_only: bool) -> Option<File> {
    reopened_terminal(file, metadata, is_written_only)
}
