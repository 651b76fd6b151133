//! What Linux, FreeBSD and macOS share by POSIX: system calls that Rust does not wrap, each with a
//! safe face. What differs between them is in the file of each.

#[cfg(not(target_os = "linux"))]
mod bsd;
mod exit_work;
mod files;
#[cfg(any(target_os = "macos", test))]
mod first_process;
#[cfg(not(target_os = "macos"))]
mod fork_marker;
mod locks;
mod memory;
#[cfg(feature = "command")]
mod terminal;
mod threads;

use std::ffi::{CStr, CString, OsStr, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use log::debug;

#[cfg(not(target_os = "linux"))]
pub(super) use self::bsd::reopened_terminal;
#[cfg(not(target_os = "linux"))]
pub use self::bsd::{fill_random, on_exit, secure_execution};
#[cfg(target_os = "linux")]
pub(super) use self::exit_work::ExitWork;
pub use self::files::{
    effective_user, is_trusted, open_configuration, open_log, stderr_for_logging,
    system_configuration_folder, user_configuration_folders, write_line,
};
#[cfg(target_os = "macos")]
pub(super) use self::first_process::FirstProcess;
#[cfg(not(target_os = "macos"))]
pub use self::fork_marker::ForkMarker;
pub use self::locks::{lock_for_writing, lock_holder};
pub use self::memory::LockedMemory;
pub(super) use self::memory::log_failure;
#[cfg(feature = "command")]
pub use self::terminal::{HiddenInput, Terminal, Typed};
pub use self::threads::UncancellableThread;

/// A symbol that lies in this library, and so tells where the library was loaded from.
static SYMBOL_IN_LIBRARY: u8 = 0;

/// Has the library stay in the process, whatever the host unloads (dlopen(3), `RTLD_NODELETE`).
pub fn stay_loaded() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.load(Ordering::Relaxed) || DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    let path = library_path().and_then(|path| CString::new(path.as_os_str().as_bytes()).ok());
    let flags = libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
    // SAFETY: the path is a string. Nothing is loaded: the library is there already.
    let stays = path.is_some_and(|path| !unsafe { libc::dlopen(path.as_ptr(), flags) }.is_null());
    if !stays {
        debug!("the library may be unloaded while a thread waits in it");
    }
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
