//! What runs at the end of the process or of the library: `.fini_array` serves both.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::os::Ending;
use crate::os::unix::ExitWork;

/// What runs when the process exits or the library is unloaded.
static AT_EXIT: ExitWork = ExitWork::new();

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
    // In this order: a child that is forked in between registers again, which does no harm.
    if !AT_EXIT.is_set() {
        // SAFETY: the handler takes nothing and does not unwind. It goes with the library: the C
        // library's `atexit` registers it for the object that it is linked into.
        unsafe { libc::atexit(note_exit) };
        AT_EXIT.set(work);
    }
}

/// exit() runs such handlers before it runs [`FINI`]. dlclose() runs them after it: the loader runs
/// the section backwards, and the entry that runs the handlers stands first.
extern "C" fn note_exit() {
    EXITING.store(true, Ordering::Release);
}

extern "C" fn run_at_exit() {
    AT_EXIT.run(if EXITING.load(Ordering::Acquire) { Ending::Process } else { Ending::Library });
}
