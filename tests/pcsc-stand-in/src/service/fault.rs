//! Misbehaviour of the service, injected at the n-th call of a function.

use std::fmt;
use std::sync::Arc;

use super::Service;
use super::code::Code;
use super::journal::Function;

/// At which calls, counted from the injection on; the first is 1. Calls of [`super::Foreign`]
/// programs do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    first: u64,
    count: Option<u64>,
}

impl When {
    /// At the next call.
    pub const NEXT: Self = Self::nth(1);
    /// At every call.
    pub const ALWAYS: Self = Self::from(1);

    /// At one call.
    #[must_use]
    pub const fn nth(n: u64) -> Self {
        Self { first: n, count: Some(1) }
    }

    /// At this call and every later one.
    #[must_use]
    pub const fn from(first: u64) -> Self {
        Self { first, count: None }
    }

    /// At `count` calls from the `first` on.
    #[must_use]
    pub const fn times(first: u64, count: u64) -> Self {
        Self { first, count: Some(count) }
    }

    const fn includes(self, call: u64) -> bool {
        call >= self.first
            && match self.count {
                Some(count) => call - self.first < count,
                None => true,
            }
    }

    const fn is_over(self, call: u64) -> bool {
        match self.count {
            Some(count) => call >= self.first.saturating_add(count).saturating_sub(1),
            None => false,
        }
    }
}

/// What a [`Fault::Before`] does.
pub type Hook = Arc<dyn Fn(&Service) + Send + Sync>;

/// What goes wrong.
#[derive(Clone)]
pub enum Fault {
    /// The call is not carried out and returns this code.
    Fail(Code),
    /// The call is carried out, and returns this code all the same.
    FailAfter(Code),
    /// Something happens first; then the call is carried out. It runs without any lock of the
    /// service, on the caller's thread: it must not wait for a transaction that this thread holds.
    Before(Hook),
    /// The call is not carried out, and returns this code when [`Service::release_hanging`] is
    /// called or the service dies.
    Hang(Code),
    /// Connect, Reconnect and Status report this protocol.
    Protocol(u32),
    /// Transmit reports this length; the buffer holds what fits of the true answer.
    Length(u64),
    /// Transmit answers this; the card is not asked.
    Answer(Vec<u8>),
}

impl Fault {
    /// [`Fault::Before`] from a closure.
    pub fn before(hook: impl Fn(&Service) + Send + Sync + 'static) -> Self {
        Self::Before(Arc::new(hook))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fail(code) => write!(out, "Fail({code})"),
            Self::FailAfter(code) => write!(out, "FailAfter({code})"),
            Self::Before(_) => out.write_str("Before"),
            Self::Hang(code) => write!(out, "Hang({code})"),
            Self::Protocol(protocol) => write!(out, "Protocol({protocol:#x})"),
            Self::Length(length) => write!(out, "Length({length})"),
            Self::Answer(bytes) => write!(out, "Answer({} bytes)", bytes.len()),
        }
    }
}

#[derive(Debug)]
struct Injection {
    function: Function,
    when: When,
    seen: u64,
    fault: Fault,
}

/// The faults that wait for their call.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Injection>);

impl Faults {
    pub(super) fn add(&mut self, function: Function, when: When, fault: Fault) {
        self.0.push(Injection { function, when, seen: 0, fault });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Counts a call and takes what is due at it, in the order of injection.
    pub(super) fn take(&mut self, function: Function) -> Vec<Fault> {
        let mut due = Vec::new();
        for injection in self.0.iter_mut().filter(|injection| injection.function == function) {
            injection.seen += 1;
            if injection.when.includes(injection.seen) {
                due.push(injection.fault.clone());
            }
        }
        self.0.retain(|injection| injection.function != function || !injection.when.is_over(injection.seen));
        due
    }
}
