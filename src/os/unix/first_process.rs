//! Which process asked first, known by its number and the time of its start.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The process that asked first. No lock: a fork may happen at any instruction, and a lock that
/// another thread held then would stay taken in the child.
pub(in crate::os) struct FirstProcess {
    /// 0 until all of this is known. No process has that number, but for the kernel.
    number: AtomicU32,
    seconds: AtomicU64,
    microseconds: AtomicU64,
}

impl FirstProcess {
    /// No process has asked yet.
    pub(in crate::os) const fn new() -> Self {
        Self { number: AtomicU32::new(0), seconds: AtomicU64::new(0), microseconds: AtomicU64::new(0) }
    }

    /// Whether this is the process that asked first; the first one is. It began at so many seconds
    /// and microseconds; zeros stand for a time that the system does not say.
    pub(in crate::os) fn is(&self, number: u32, start: (u64, u64)) -> bool {
        if self.number.load(Ordering::Acquire) == 0 {
            // Threads that come here at once are of one process and store the same. A child that
            // was forked in between finds 0 and begins again.
            self.seconds.store(start.0, Ordering::Relaxed);
            self.microseconds.store(start.1, Ordering::Relaxed);
            self.number.store(number, Ordering::Release);
        }
        self.number.load(Ordering::Acquire) == number
            && self.seconds.load(Ordering::Relaxed) == start.0
            && self.microseconds.load(Ordering::Relaxed) == start.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_number_or_another_start_is_another_process() {
        let first = FirstProcess::new();
        assert!(first.is(100, (7, 8)) && first.is(100, (7, 8)));
        assert!(!first.is(101, (7, 8)));
        // The number was given to a later process.
        assert!(!first.is(100, (7, 9)));
        assert!(!first.is(100, (8, 8)));
        assert!(first.is(100, (7, 8)));
    }

    #[test]
    fn a_child_that_was_forked_before_the_number_was_stored_begins_again() {
        let half = FirstProcess::new();
        half.seconds.store(7, Ordering::Relaxed);
        assert!(half.is(101, (9, 1)));
        assert!(!half.is(100, (7, 0)));
    }
}
