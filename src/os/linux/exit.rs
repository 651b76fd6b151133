//! What runs at the end of the process or of the library: `.fini_array` serves both.

use std::sync::atomic::{AtomicBool, Ordering};

use once_cell::sync::OnceCell;

use crate::os::{Ending, UncancellableThread};

/// What runs when the process exits or the library is unloaded.
static AT_EXIT: OnceCell<fn(Ending)> = OnceCell::new();

/// Whether exit() has begun.
static EXITING: AtomicBool = AtomicBool::new(false);

/// The loader calls what stands in this section at exit() and at dlclose(), and no handler is left
/// behind.
#[used]
#[unsafe(link_section = ".fini_array")]
static FINI: extern "C" fn() = run_at_exit;

/// Has `work` run when the process returns from main, calls exit(), or unloads the library. The
/// first one stays.
pub fn on_exit(work: fn(Ending)) {
    if AT_EXIT.set(work).is_ok() {
        // SAFETY: the handler takes nothing and does not unwind. It goes with the library: the C
        // library's `atexit` registers it for the object that it is linked into.
        unsafe { libc::atexit(note_exit) };
    }
}

/// exit() runs such handlers before it runs [`FINI`]. dlclose() runs them after it: the loader runs
/// the section backwards, and the entry that runs the handlers stands first.
extern "C" fn note_exit() {
    EXITING.store(true, Ordering::Release);
}

extern "C" fn run_at_exit() {
    if let Some(work) = AT_EXIT.get() {
        let ending = if EXITING.load(Ordering::Acquire) { Ending::Process } else { Ending::Library };
        // Neither a panic nor a cancellation of the thread may leave through C.
        let _uncancellable = UncancellableThread::new();
        let _ = std::panic::catch_unwind(|| work(ending));
    }
}
