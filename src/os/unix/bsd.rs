//! What FreeBSD and macOS share, and Linux has in another way.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::fs::{File, Metadata, OpenOptions};
use std::io::IsTerminal;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::ptr::null_mut;

use super::exit_work::ExitWork;
use crate::os::Ending;

/// Whether the program runs with more rights than its user has (issetugid(2)): then the environment
/// is the attacker's.
#[must_use]
pub fn secure_execution() -> bool {
    // SAFETY: the call has no preconditions and cannot fail.
    unsafe { libc::issetugid() != 0 }
}

/// Fills `bytes` with random numbers (getentropy(3), which gives 256 bytes at most). `false` when
/// the kernel has none.
#[must_use]
pub fn fill_random(bytes: &mut [u8]) -> bool {
    bytes.chunks_mut(256).all(|part| {
        // SAFETY: so many bytes may be written.
        unsafe { libc::getentropy(part.as_mut_ptr().cast(), part.len()) == 0 }
    })
}

/// A copy of standard error that cannot block, where /dev/fd gives no description of its own. A
/// terminal is opened anew by its name. Of the rest only a file on a disk is taken.
pub(in crate::os) fn reopened_terminal(
    file: File,
    metadata: &Metadata,
    is_written_only: bool,
) -> Option<File> {
    if !file.is_terminal() {
        return (metadata.is_file() && is_written_only).then_some(file);
    }
    let mut name = [0; 1024];
    // SAFETY: the descriptor is open, and so many bytes may be written.
    let result = unsafe { ttyname_r(file.as_raw_fd(), name.as_mut_ptr(), name.len()) };
    let bytes = name.map(|byte| byte.to_ne_bytes()[0]);
    let path = CStr::from_bytes_until_nul(&bytes).ok().filter(|_| result == 0)?;
    let path = OsStr::from_bytes(path.to_bytes());
    OpenOptions::new().append(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()
}

unsafe extern "C" {
    // The libc crate does not declare it for every system.
    fn ttyname_r(descriptor: c_int, name: *mut c_char, length: usize) -> c_int;
}

unsafe extern "C" {
    /// A handle of this library, by which the loader finds what it has registered.
    static __dso_handle: c_void;

    fn __cxa_atexit(work: extern "C" fn(*mut c_void), argument: *mut c_void, library: *const c_void)
    -> c_int;
}

/// What runs when the process exits or the library is unloaded.
static AT_EXIT: ExitWork = ExitWork::new();

/// Has `work` run when the process returns from main, calls exit(), or unloads the library. The
/// first one stays. This system does not show which of the two it is: `work` gets
/// [`Ending::Process`], with which it may call no service.
pub fn on_exit(work: fn(Ending)) {
    // In this order: a child that is forked in between registers again, and a second run finds
    // nothing left to do.
    if !AT_EXIT.is_set() {
        // SAFETY: the function stays as long as the library, and the loader calls it before that
        // goes.
        unsafe { __cxa_atexit(run_at_exit, null_mut(), &raw const __dso_handle) };
        AT_EXIT.set(work);
    }
}

extern "C" fn run_at_exit(_: *mut c_void) {
    AT_EXIT.run(Ending::Process);
}
