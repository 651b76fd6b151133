//! A thread as a C host makes it, which can be cancelled.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;

use super::role::call;

/// What a thread that was cancelled returns (PTHREAD_CANCELED).
const CANCELED: usize = usize::MAX;

// With an ABI that a cancellation may unwind through.
unsafe extern "C-unwind" {
    fn pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> libc::c_int;
    fn pthread_testcancel();
}

/// The thread, which runs one line of a host.
pub struct Cancellable(libc::pthread_t);

impl Cancellable {
    /// Starts it.
    pub fn start(line: &str) -> Self {
        let mut thread = MaybeUninit::uninit();
        let line = Box::into_raw(Box::new(line.to_owned())).cast();
        // SAFETY: the place is writable, and the thread takes the line over.
        let result = unsafe { pthread_create(thread.as_mut_ptr(), ptr::null(), start, line) };
        assert_eq!(result, 0, "a thread");
        // SAFETY: written by the call, which succeeded.
        Self(unsafe { thread.assume_init() })
    }

    /// pthread_cancel.
    pub fn cancel(&self) -> String {
        // SAFETY: the thread was not joined yet.
        assert_eq!(unsafe { libc::pthread_cancel(self.0) }, 0);
        "told".to_owned()
    }

    /// Waits for its end, and says whether it was cancelled.
    pub fn join(self) -> String {
        let mut value = ptr::null_mut();
        // SAFETY: the thread was not joined yet, and the place is writable.
        assert_eq!(unsafe { libc::pthread_join(self.0, &raw mut value) }, 0);
        if value.addr() == CANCELED { "cancelled" } else { "ended" }.to_owned()
    }
}

/// Nothing here is left to drop when the cancellation comes.
extern "C-unwind" fn start(line: *mut c_void) -> *mut c_void {
    run(line);
    // SAFETY: the call has no preconditions.
    unsafe { pthread_testcancel() };
    ptr::null_mut()
}

#[inline(never)]
fn run(line: *mut c_void) {
    // SAFETY: the line is a box that the thread was given.
    let line = unsafe { Box::from_raw(line.cast::<String>()) };
    call(&line.split(' ').collect::<Vec<_>>());
}
