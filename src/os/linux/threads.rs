//! What a host does to the threads that call us: it cancels them, and it exits while they work.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use once_cell::sync::OnceCell;

use crate::os::Ending;

/// The states of pthread_setcancelstate(3) as every C library of Linux has them.
const PTHREAD_CANCEL_DISABLE: c_int = 1;

unsafe extern "C" {
    // The libc crate does not declare it for every C library.
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
}

/// As long as this lives, pthread_cancel(3) waits: a cancellation unwinds by force, and Rust ends
/// the host at that.
#[derive(Debug)]
pub struct UncancellableThread {
    before: c_int,
}

impl UncancellableThread {
    /// Puts cancellation off for the calling thread.
    #[must_use]
    pub fn new() -> Self {
        let mut before = 0;
        // SAFETY: the state is one that the call knows, and `before` may be written.
        unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &raw mut before) };
        Self { before }
    }
}

impl Default for UncancellableThread {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for UncancellableThread {
    fn drop(&mut self) {
        let mut ignored = 0;
        // SAFETY: the state is the one that the call gave, and `ignored` may be written. Setting the state
        // is no cancellation point (POSIX, 2.9.5): a cancellation that waits is carried out in the
        // host's code.
        unsafe { pthread_setcancelstate(self.before, &raw mut ignored) };
    }
}

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
        // SAFETY: the handler takes nothing and does not unwind. It goes with the library: the C library's
        // `atexit` registers it for the object that it is linked into.
        unsafe { libc::atexit(note_exit) };
    }
}

/// exit() runs such handlers before it runs [`FINI`]. dlclose() runs them after it: the loader goes
/// through the section from its end, and what runs them stands at its beginning.
extern "C" fn note_exit() {
    EXITING.store(true, Ordering::Release);
}

extern "C" fn run_at_exit() {
    if let Some(work) = AT_EXIT.get() {
        let ending = if EXITING.load(Ordering::Acquire) { Ending::Process } else { Ending::Library };
        // A panic must not leave through C.
        let _ = std::panic::catch_unwind(|| work(ending));
    }
}
