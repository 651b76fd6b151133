//! Handle newtypes of PKCS#11 and the counter that gives them out.
//!
//! A handle is never 0 and never given out twice while the module is loaded, so that a stale one
//! cannot name something new (PKCS #11, "Object and session handles").

use std::ffi::c_ulong;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Defines a newtype around the `CK_ULONG` that a caller sees.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Takes the number a caller gave; it may name nothing.
            #[must_use]
            pub const fn new(raw: u64) -> Self {
                Self(raw)
            }

            /// The number a caller sees.
            #[must_use]
            pub const fn raw(self) -> u64 {
                self.0
            }
        }
    };
}

handle!(
    /// `CK_SLOT_ID`: one credential at one reader.
    SlotId
);
handle!(
    /// `CK_SESSION_HANDLE`.
    SessionHandle
);
handle!(
    /// `CK_OBJECT_HANDLE`.
    ObjectHandle
);

/// Gives out numbers from 1 upwards, each once. A clone counts on with it.
#[derive(Debug, Clone)]
pub struct HandleCounter(Arc<AtomicU64>);

/// The counters of one loaded copy of the library. They outlive C_Finalize: a handle that a part of
/// the host still holds from before must not name what another part has opened since.
#[derive(Debug, Default, Clone)]
pub struct HandleCounters {
    /// Of sessions.
    pub sessions: HandleCounter,
    /// Of objects.
    pub objects: HandleCounter,
}

impl HandleCounter {
    /// A counter whose first number is 1.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1)))
    }

    /// The next number. At a million a second, 64 bits last for half a million years. Where
    /// `CK_ULONG`, which is an `unsigned long`, has 32 bits, there is none after four billion.
    pub fn take(&self) -> Option<u64> {
        let next = |number: u64| if number < largest() { number.checked_add(1) } else { None };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()
    }
}

/// The largest number that a caller can hold.
#[allow(clippy::useless_conversion, reason = "CK_ULONG has 32 bits on some machines")]
fn largest() -> u64 {
    c_ulong::MAX.into()
}

impl Default for HandleCounter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_given_that_a_caller_cannot_hold() {
        let counter = HandleCounter::new();
        assert_eq!((counter.take(), counter.take()), (Some(1), Some(2)));
        counter.0.store(largest() - 1, Ordering::Relaxed);
        assert_eq!(counter.take(), Some(largest() - 1));
        assert_eq!((counter.take(), counter.take()), (None, None));
    }
}
