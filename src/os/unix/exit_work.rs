//! Which function runs at the end of the process or of the library.

use std::mem::transmute;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::os::{Ending, UncancellableThread};

/// A function that is set once. No lock: a fork may happen at any instruction, and a lock that
/// another thread held then would stay taken in the child.
pub(in crate::os) struct ExitWork(AtomicPtr<()>);

impl ExitWork {
    /// No function yet.
    pub(in crate::os) const fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// Whether there is a function.
    pub(in crate::os) fn is_set(&self) -> bool {
        !self.0.load(Ordering::Acquire).is_null()
    }

    /// Sets the function. The first one stays.
    pub(in crate::os) fn set(&self, work: fn(Ending)) {
        #[allow(clippy::as_conversions, reason = "no other way leads from a function to its address")]
        let place = work as *mut ();
        let _ = self.0.compare_exchange(null_mut(), place, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Runs it. Neither a panic nor a cancellation of the thread leaves through C.
    pub(in crate::os) fn run(&self, ending: Ending) {
        let place = self.0.load(Ordering::Acquire);
        if place.is_null() {
            return;
        }
        // SAFETY: what is not NULL came from a function of this type.
        let work = unsafe { transmute::<*mut (), fn(Ending)>(place) };
        let _uncancellable = UncancellableThread::new();
        let _ = std::panic::catch_unwind(|| work(ending));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    static RUNS: Mutex<Vec<Ending>> = Mutex::new(Vec::new());

    #[test]
    fn the_first_function_runs_and_its_panic_does_not_leave() {
        let work = ExitWork::new();
        work.run(Ending::Library);
        assert!(!work.is_set());
        work.set(|ending| {
            RUNS.lock().unwrap().push(ending);
            std::panic::resume_unwind(Box::new(()));
        });
        work.set(|_| panic!("the first one stays"));
        assert!(work.is_set());
        work.run(Ending::Process);
        let runs = RUNS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        assert_eq!(*runs, [Ending::Process]);
    }
}
