//! Linux: system calls that Rust does not wrap, each with a safe face.

mod files;
mod locks;
mod memory;
#[cfg(feature = "command")]
mod terminal;
mod threads;

use std::ffi::{CStr, OsStr, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

pub use self::files::{Distrust, is_trusted, open_log, stderr_for_logging, write_line};
pub use self::locks::{lock_for_writing, lock_holder};
pub use self::memory::{ForkMarker, LockedMemory};
#[cfg(feature = "command")]
pub use self::terminal::{HiddenInput, Terminal, Typed};
pub use self::threads::{UncancellableThread, on_exit};

/// A symbol that lies in this library, and so tells where the library was loaded from.
static SYMBOL_IN_LIBRARY: u8 = 0;

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

/// The user whose rights the process has.
#[must_use]
pub fn effective_user() -> u32 {
    // SAFETY: the call has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// The file that this library was loaded from, as the loader was given it (dladdr(3)).
pub(super) fn library_path() -> Option<PathBuf> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `info` may be written, and any address may be asked for.
    let found = unsafe { libc::dladdr((&raw const SYMBOL_IN_LIBRARY).cast::<c_void>(), info.as_mut_ptr()) };
    // SAFETY: all zeros is a valid value of this structure too.
    let info = unsafe { info.assume_init() };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr found the object, so this is the loader's own text, which lives as long as the
    // library.
    let path = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(PathBuf::from(OsStr::from_bytes(path.to_bytes())))
}
