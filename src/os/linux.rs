//! Linux, with the C library of GNU or musl.

mod exit;

use std::env;
use std::ffi::c_void;
use std::fs::{File, Metadata, OpenOptions};
use std::io::IsTerminal;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::ptr::null_mut;

pub use self::exit::on_exit;
use super::unix;
pub(super) use super::unix::library_path;
pub use super::unix::{
    ForkMarker, LockedMemory, UncancellableThread, effective_user, is_trusted, lock_for_writing, lock_holder,
    open_configuration, open_log, stay_loaded, stderr_for_logging, system_configuration_folder,
    user_configuration_folders, write_line,
};
#[cfg(feature = "command")]
pub use super::unix::{HiddenInput, Terminal, Typed};

/// Where the system's configuration lies.
pub(super) const CONFIGURATION_FOLDER: &str = "/etc";

/// Where else a user's configuration may lie, below the home.
pub(super) const MORE_USER_FOLDERS: &[&str] = &[];

/// Whether /etc/passwd and /etc/group list those who belong to a user's own group.
pub(super) const GROUPS_ARE_IN_FILES: bool = true;

/// The state of pthread_setcancelstate(3), as every C library of Linux has it.
pub(super) const PTHREAD_CANCEL_DISABLE: libc::c_int = 1;

/// Whether the program runs with more rights than its user has (setuid, setgid, capabilities): then
/// the environment is the attacker's (getauxval(3), `AT_SECURE`).
#[must_use]
pub fn secure_execution() -> bool {
    // SAFETY: the call reads what the kernel handed over at the start of the process; it has no
    // preconditions.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Fills `bytes` with random numbers (getrandom(2)). `false` when the kernel has none.
#[must_use]
pub fn fill_random(bytes: &mut [u8]) -> bool {
    // SAFETY: so many bytes may be written.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    usize::try_from(filled) == Ok(bytes.len())
}

/// Keeps memory out of core files. A failure is logged and no more.
///
/// # Safety
/// The memory is a mapping of the caller's.
pub(super) unsafe fn keep_from_dumps(start: *mut c_void, length: usize) {
    // SAFETY: as this function's caller promises; the advice does not change what is in the memory.
    unix::log_failure("MADV_DONTDUMP", unsafe { libc::madvise(start, length, libc::MADV_DONTDUMP) });
}

/// Has the kernel empty memory in children (since Linux 4.14). `false` where it cannot.
///
/// # Safety
/// The memory belongs to the caller, and zeros are valid in it.
pub(super) unsafe fn keep_from_children(start: *mut c_void, length: usize) -> bool {
    // SAFETY: as this function's caller promises.
    let result = unsafe { libc::madvise(start, length, libc::MADV_WIPEONFORK) };
    unix::log_failure("MADV_WIPEONFORK", result);
    result == 0
}

/// Takes these signals away from the calling thread, if they wait for it.
pub(super) fn discard_pending(signals: &libc::sigset_t) {
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time are initialised; a NULL place for details is allowed.
    while unsafe { libc::sigtimedwait(signals, null_mut(), &raw const at_once) } > 0 {}
}

/// A copy of standard error that cannot block. `is_written_only`: open for writing alone, or for
/// appending.
pub(super) fn unblocking_stderr(file: File, metadata: &Metadata, is_written_only: bool) -> Option<File> {
    if metadata.file_type().is_socket() {
        return is_journal(metadata).then_some(file);
    }
    if !file.is_terminal() && !is_written_only {
        return None;
    }
    // Opened anew: O_NONBLOCK then holds for this description alone. A file that may not be opened
    // anew would block, unless it is one on a disk.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let anew = OpenOptions::new().append(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    anew.ok().or(metadata.is_file().then_some(file))
}

/// Whether a socket is the one that systemd connected to the journal: it names it by device and
/// inode (systemd.exec(5), `$JOURNAL_STREAM`).
fn is_journal(socket: &Metadata) -> bool {
    env::var("JOURNAL_STREAM").is_ok_and(|stream| stream == format!("{}:{}", socket.dev(), socket.ino()))
}
