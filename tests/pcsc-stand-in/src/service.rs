//! The service.
//!
//! Here is what there is, and the lock: one guards the whole service and is never held while a card
//! works. What clients do stands in the submodules in the words of the C API; what a test does to
//! the service is in `control`.

mod active_call;
mod change;
mod code;
mod connection;
mod context;
mod control;
mod exchange;
mod fault;
mod foreign;
mod journal;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use self::change::{PNP_NOTIFICATION, ReaderState};
pub use self::code::{Code, Disposition, ShareMode, protocol, state, status};
pub use self::exchange::{CardStatus, Transmitted};
use self::fault::Faults;
pub use self::fault::{Fault, Hook, When};
pub use self::foreign::{Foreign, ForeignCard};
use self::journal::Journal;
pub use self::journal::{Call, Caller, Function, PowerCounts};
use self::reader::{Latched, Reader, ReaderId};

/// `SCARDCONTEXT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextHandle(pub i64);

/// `SCARDHANDLE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardHandle(pub i64);

/// A simulated PC/SC service. Clones are the same service.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

/// Where real services differ: a test of removal runs under each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// What Transmit returns when the card goes away while it works. Drivers say NOT_TRANSACTED or
    /// NO_SMARTCARD; the calls after it get REMOVED_CARD.
    pub removed_in_transmit: Code,
    /// What a connection is told when its reader has been unplugged: READER_UNAVAILABLE at first,
    /// INVALID_VALUE once the service has forgotten the reader.
    pub unplugged: Code,
    /// Whether a card works on a thread of its own, as it does on a processor of its own in real
    /// life, and not on the caller's, whose stack may be too small for it.
    pub cards_have_threads: bool,
    /// Whether it is the service of macOS: it counts no insertions and removals, tells a connection
    /// RESET_CARD of a card that was removed, and UNPOWERED_CARD of one that was reset. Of
    /// [`PNP_NOTIFICATION`] it knows nothing, and waits for other changes.
    pub is_macos: bool,
    /// Whether it is the service of Windows: it stops with the last reader, runs again with the
    /// next one, and has codes of its own for what ended with it.
    pub is_windows: bool,
    /// What SCardGetStatusChange does with [`PNP_NOTIFICATION`], where it is not that of macOS.
    pub notification: Notification,
}

/// How a service takes [`PNP_NOTIFICATION`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notification {
    /// It tells that a reader came or went.
    Told,
    /// It says at once that it knows no such reader, and waits if the client knows that.
    Unknown,
    /// It returns UNKNOWN_READER.
    Refused,
}

impl Quirks {
    fn removed_in_transmit(self) -> Code {
        match self.removed_in_transmit {
            Code::REMOVED_CARD => self.told(Latched::Removed),
            other => other,
        }
    }

    /// What a call is told that the service ends in the middle of.
    fn cut_off(self) -> Code {
        if self.is_windows { Code::SYSTEM_CANCELLED } else { Code::COMM_ERROR }
    }

    /// What a call is told on a context that ended with the service.
    fn ended(self) -> Code {
        if self.is_windows { Code::ERROR_INVALID_HANDLE } else { Code::NO_SERVICE }
    }

    /// What a connection is told of its card.
    fn told(self, latched: Latched) -> Code {
        match (latched, self.is_macos) {
            (Latched::Removed, false) => Code::REMOVED_CARD,
            (Latched::Reset, true) => Code::UNPOWERED_CARD,
            (Latched::Removed, true) | (Latched::Reset, false) => Code::RESET_CARD,
        }
    }
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            removed_in_transmit: Code::REMOVED_CARD,
            unplugged: Code::READER_UNAVAILABLE,
            cards_have_threads: false,
            is_macos: false,
            is_windows: false,
            notification: Notification::Told,
        }
    }
}

struct Inner {
    state: Mutex<State>,
    /// Something in the state is different.
    changed: Condvar,
    /// A call has begun to wait, or has ended its wait. Apart from `changed`: else two calls that
    /// wait would wake each other for ever.
    blocked: Condvar,
}

struct State {
    daemon: Daemon,
    quirks: Quirks,
    contexts: BTreeMap<ContextHandle, Context>,
    connections: BTreeMap<CardHandle, Connection>,
    readers: Vec<Reader>,
    faults: Faults,
    journal: Journal,
    blocked: BTreeMap<Function, usize>,
    releases: u64,
    last_number: u64,
}

struct Daemon {
    running: bool,
    /// Counts the deaths: a client that connected before one gets no answer.
    generation: u64,
}

struct Context {
    caller: Caller,
    generation: u64,
    /// A call is in progress; the client library serves one at a time.
    busy: bool,
    /// Calls that wait for it.
    queue: usize,
    /// Waits in GetStatusChange and can be cancelled.
    cancellable: bool,
    cancelled: bool,
}

struct Connection {
    context: ContextHandle,
    reader: ReaderId,
    latched: Option<Latched>,
}

impl Service {
    /// A running service without readers.
    #[must_use]
    pub fn new() -> Self {
        let state = State {
            daemon: Daemon { running: true, generation: 0 },
            quirks: Quirks::default(),
            contexts: BTreeMap::new(),
            connections: BTreeMap::new(),
            readers: Vec::new(),
            faults: Faults::default(),
            journal: Journal::default(),
            blocked: BTreeMap::new(),
            releases: 0,
            last_number: 0,
        };
        let inner = Inner { state: Mutex::new(state), changed: Condvar::new(), blocked: Condvar::new() };
        Self { inner: Arc::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'service>(&'service self, state: MutexGuard<'service, State>) -> MutexGuard<'service, State> {
        self.inner.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change; `false` when the deadline has come.
    fn wait_until<'service>(
        &'service self,
        state: MutexGuard<'service, State>,
        deadline: Option<Instant>,
    ) -> (MutexGuard<'service, State>, bool) {
        let Some(deadline) = deadline else { return (self.wait(state), true) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return (state, false);
        }
        let (state, _) = self.inner.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        (state, true)
    }

    fn block(&self, state: &mut State, function: Function) {
        *state.blocked.entry(function).or_default() += 1;
        self.inner.blocked.notify_all();
    }

    fn unblock(&self, state: &mut State, function: Function) {
        *state.blocked.entry(function).or_default() -= 1;
        self.inner.blocked.notify_all();
    }
}

impl Default for Service {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// A number that was never given out before.
    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// A handle: as the service's, positive and within 32 bits.
    fn handle(&mut self) -> i64 {
        0x2000_0000 + i64::try_from(self.number()).expect("a test ends sooner")
    }

    fn reader(&self, id: ReaderId) -> Option<&Reader> {
        self.readers.iter().find(|reader| reader.id == id)
    }

    fn reader_mut(&mut self, id: ReaderId) -> Option<&mut Reader> {
        self.readers.iter_mut().find(|reader| reader.id == id)
    }

    fn reader_named(&mut self, name: &CStr) -> Option<&mut Reader> {
        self.readers.iter_mut().find(|reader| reader.name.as_c_str() == name)
    }

    fn latch(&mut self, id: ReaderId, latched: Latched) {
        for connection in self.connections.values_mut().filter(|connection| connection.reader == id) {
            connection.latched = Some(latched);
        }
    }

    fn caller(&self, context: ContextHandle) -> Caller {
        self.contexts.get(&context).map_or(Caller::Tested, |context| context.caller)
    }

    /// Whether no service answers on this context any more.
    fn is_cut_off(&self, context: ContextHandle) -> bool {
        match self.contexts.get(&context) {
            Some(context) => !self.daemon.running || context.generation != self.daemon.generation,
            None => true,
        }
    }
}
