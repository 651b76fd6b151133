//! What a host does to the threads that call us: it cancels them.

use std::ffi::c_int;

use crate::os::system;

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
        unsafe { pthread_setcancelstate(system::PTHREAD_CANCEL_DISABLE, &raw mut before) };
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
        // SAFETY: the state is the one that the call gave, and `ignored` may be written. Setting
        // the state is no cancellation point (POSIX, 2.9.5): a cancellation that waits is carried
        // out in the host's code.
        unsafe { pthread_setcancelstate(self.before, &raw mut ignored) };
    }
}
