//! The service that has the readers: which there are, what it knows of them, and waiting until that
//! changes.
//!
//! A context serialises its calls. Looking at readers has one, a wait has another, and every
//! connection its own.

use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::calls::{Calls, Code, Context, ReaderEvent};
use super::connection::{Connection, event_of, state_of};
use super::{ReaderName, ReaderState, TransportError, transport_error};

/// The name that stands for "a reader comes or goes" in SCardGetStatusChange.
const PNP_NOTIFICATION: &CStr = c"\\\\?PnP?\\Notification";

/// How often the readers are listed where the service does not tell that one comes or goes.
const LIST_PERIOD: Duration = Duration::from_secs(1);

/// A wait that ends sooner than this may have ended for nothing.
const EARLY: Duration = Duration::from_millis(200);

/// How many such waits in a row are no reason to pause.
const MOST_EARLY: u32 = 3;

/// The pause after each further one.
const EARLY_PAUSE: Duration = Duration::from_secs(1);

/// The first pause before a service that cannot be asked is asked again. It doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest such pause: how late a service that is started may be noticed.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// The same where the service does not run because there is no reader.
const LONGEST_PAUSE_WITHOUT_READER: Duration = Duration::from_secs(1);

/// How long [`Service::close`] waits for the waits to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How often it cancels them: SCardCancel is lost on a context that does not wait yet.
const CANCEL_PERIOD: Duration = Duration::from_millis(10);

/// The PC/SC service. Nothing is asked of it before the first use.
pub struct Service {
    calls: Arc<dyn Calls>,
    looking: Mutex<Looking>,
    /// The readers that were listed last, to see whether one came before a wait began.
    listed: Mutex<Vec<ReaderName>>,
    waits: Mutex<Waits>,
    changed: Condvar,
}

/// The context that looks at readers.
#[derive(Default)]
struct Looking {
    context: Option<Box<dyn Context>>,
    /// How many there were: each but the first came after a service that had ended.
    number: u32,
}

/// How many waits in a row ended early, of one caller that waits for one event.
#[derive(Debug, Default)]
pub struct EarlyEnds(u32);

#[derive(Default)]
struct Waits {
    contexts: Vec<Arc<dyn Context>>,
    closed: bool,
    /// The next pause, after the service could not be asked.
    pause: Option<Duration>,
}

impl Service {
    /// The service behind these calls; none is made yet.
    #[must_use]
    pub fn new(calls: Arc<dyn Calls>) -> Self {
        Self {
            calls,
            looking: Mutex::default(),
            listed: Mutex::default(),
            waits: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Whether [`ReaderState::changes`] moves when a card is exchanged. Where it does not, an
    /// exchange between two looks is seen only as a reset of the connection.
    #[must_use]
    pub fn counts_changes(&self) -> bool {
        self.calls.counts_changes()
    }

    /// The readers there are now.
    ///
    /// # Errors
    /// [`TransportError::NoService`] or [`TransportError::AccessDenied`].
    pub fn readers(&self) -> Result<Vec<ReaderName>, TransportError> {
        let readers = self.look(list).map(|(readers, _)| readers);
        *self.listed.lock() = readers.as_ref().cloned().unwrap_or_default();
        readers
    }

    /// What is known of one reader now, without an exchange with the card; `None` when there is no
    /// such reader.
    ///
    /// # Errors
    /// When the service cannot be asked.
    pub fn reader_state(&self, reader: &ReaderName) -> Result<Option<ReaderState>, TransportError> {
        let (state, service) = self.look(|context| state_of(context, reader))?;
        Ok(state.map(|state| ReaderState { service, ..state }))
    }

    /// Whether another program has the card in a reader for itself.
    #[must_use]
    pub fn is_exclusive(&self, reader: &ReaderName) -> bool {
        let event = self.look(|context| event_of(context, reader));
        event.is_ok_and(|(event, _)| event.is_some_and(|event| event & ReaderState::EXCLUSIVE != 0))
    }

    /// Connects to the card in a reader.
    ///
    /// # Errors
    /// See [`Connection::open`].
    pub fn connect(&self, reader: &ReaderName) -> Result<Connection, TransportError> {
        Connection::open(&*self.calls, reader)
    }

    /// Asks the service, once more with a fresh context if the one at hand died with a service that
    /// was restarted. The answer, and the number of the context that gave it.
    fn look<T>(&self, ask: impl Fn(&dyn Context) -> Result<T, Code>) -> Result<(T, u32), TransportError> {
        let mut looking = self.looking.lock();
        if let Some(context) = looking.context.take() {
            match looking.ask(context, &ask) {
                Err(TransportError::NoService) => {}
                answer => return answer,
            }
        }
        let context = self.calls.establish_context().map_err(transport_error)?;
        looking.number = looking.number.wrapping_add(1);
        looking.ask(context, &ask)
    }

    /// Waits until a reader comes or goes, one of `known` changes, or [`Service::close`] is called.
    /// Spurious returns are allowed: the caller looks for itself. After several early ones in a row
    /// it pauses, since services differ in what they take for a change. Without a service that
    /// answers, it pauses, longer each time.
    pub fn wait_for_change(
        &self,
        known: &[(ReaderName, ReaderState)],
        timeout: Duration,
        early_ends: &mut EarlyEnds,
    ) {
        let begin = Instant::now();
        let waited = self.calls.establish_context().and_then(|context| {
            let context: Arc<dyn Context> = context.into();
            if !self.enter(&context) {
                return Ok(());
            }
            let waited = self.wait(&*context, known, timeout);
            self.leave(&context);
            waited
        });
        let mut waits = self.waits.lock();
        let pause = match waited {
            Ok(()) | Err(Code::CANCELLED) => {
                waits.pause = None;
                early_ends.0 = if begin.elapsed() < EARLY { early_ends.0.saturating_add(1) } else { 0 };
                if early_ends.0 <= MOST_EARLY {
                    return;
                }
                EARLY_PAUSE
            }
            Err(_) => {
                let pause = waits.pause.unwrap_or(FIRST_PAUSE);
                let runs_always = self.calls.runs_without_reader();
                let longest = if runs_always { LONGEST_PAUSE } else { LONGEST_PAUSE_WITHOUT_READER };
                waits.pause = Some((pause * 2).min(longest));
                pause
            }
        };
        self.pause(waits, pause.min(timeout));
    }

    /// Does nothing for some time, unless [`Service::close`] is called.
    fn pause(&self, mut waits: MutexGuard<'_, Waits>, time: Duration) {
        let _ = self.changed.wait_while_for(&mut waits, |waits| !waits.closed, time);
    }

    /// Ends every wait, now and from now on.
    pub fn close(&self) {
        let end = Instant::now() + CLOSE_TIMEOUT;
        let mut waits = self.waits.lock();
        waits.closed = true;
        self.changed.notify_all();
        while !waits.contexts.is_empty() && Instant::now() < end {
            for context in &waits.contexts {
                // An error means that it does not wait.
                let _ = context.cancel();
            }
            self.changed.wait_for(&mut waits, CANCEL_PERIOD);
        }
    }

    /// Notes a context that is about to wait. `false` when waits have ended for good.
    fn enter(&self, context: &Arc<dyn Context>) -> bool {
        let mut waits = self.waits.lock();
        if !waits.closed {
            waits.contexts.push(context.clone());
        }
        !waits.closed
    }

    fn leave(&self, context: &Arc<dyn Context>) {
        self.waits.lock().contexts.retain(|other| !Arc::ptr_eq(other, context));
        self.changed.notify_all();
    }

    /// Waits in the service. Programs that connect and disconnect are no change, and the wait goes
    /// on.
    fn wait(
        &self,
        context: &dyn Context,
        known: &[(ReaderName, ReaderState)],
        timeout: Duration,
    ) -> Result<(), Code> {
        let end = Instant::now() + timeout;
        let listed = list(context)?;
        if listed != *self.listed.lock() {
            return Ok(());
        }
        let mut events: Vec<_> =
            known.iter().map(|(reader, _)| ReaderEvent::unaware(reader.clone())).collect();
        if !events.is_empty() {
            context.get_status_change(Duration::ZERO, &mut events)?;
        }
        if self.calls.tells_of_readers() {
            events.push(notification(listed.len()));
        }
        loop {
            let mut states = events.iter().zip(known);
            let is_same = |event: &ReaderEvent, then: &ReaderState| {
                ReaderState::of(event.event).is_some_and(|now| now.shows_same_as(*then))
            };
            if states.any(|(event, (_, then))| !is_same(event, then)) || self.waits.lock().closed {
                return Ok(());
            }
            match events.get(known.len()) {
                // A name that the service does not know.
                Some(readers) if readers.event & ReaderState::GONE != 0 => events.truncate(known.len()),
                Some(readers) if readers.event != readers.current => return Ok(()),
                Some(_) | None => {}
            }
            for event in &mut events {
                event.current = event.event & !ReaderState::CHANGED;
            }
            let left = end.saturating_duration_since(Instant::now());
            let is_told = events.len() > known.len();
            let time = if is_told { left } else { left.min(LIST_PERIOD) };
            match self.wait_once(context, time, &mut events) {
                Ok(()) => continue,
                Err(Code::TIMEOUT) if time == left => return Ok(()),
                Err(Code::TIMEOUT) => {}
                // It may be the notification's name that is refused.
                Err(Code::UNKNOWN_READER | Code::READER_UNAVAILABLE) if is_told => {
                    events.truncate(known.len());
                }
                Err(Code::UNKNOWN_READER | Code::READER_UNAVAILABLE) => return Ok(()),
                Err(code) => return Err(code),
            }
            if list(context)? != listed {
                return Ok(());
            }
            // Not every service fills them in when it returns an error.
            events.iter_mut().for_each(|event| event.event = event.current);
        }
    }

    /// One call that waits. A pause, where there is no reader to ask about.
    fn wait_once(
        &self,
        context: &dyn Context,
        time: Duration,
        events: &mut [ReaderEvent],
    ) -> Result<(), Code> {
        if events.is_empty() {
            self.pause(self.waits.lock(), time);
            return Err(Code::TIMEOUT);
        }
        context.get_status_change(time, events)
    }
}

/// "A reader comes or goes", for a client that knows of so many.
fn notification(readers: usize) -> ReaderEvent {
    // Since version 2 pcscd compares the number of readers that stands here; before, it compared
    // with the number at the beginning of the call and ignored this one.
    let count = u32::try_from(readers).unwrap_or_default() << 16;
    let reader = ReaderName::from(PNP_NOTIFICATION.to_owned());
    ReaderEvent { current: count, event: count, reader }
}

impl Looking {
    /// Asks with this context, and keeps it unless it is dead.
    fn ask<T>(
        &mut self,
        context: Box<dyn Context>,
        ask: impl Fn(&dyn Context) -> Result<T, Code>,
    ) -> Result<(T, u32), TransportError> {
        let answer = ask(&*context).map_err(transport_error);
        if !matches!(answer, Err(TransportError::NoService)) {
            self.context = Some(context);
        }
        answer.map(|answer| (answer, self.number))
    }
}

/// SCardListReaders; no reader is no error.
fn list(context: &dyn Context) -> Result<Vec<ReaderName>, Code> {
    match context.list_readers() {
        Err(Code::NO_READERS_AVAILABLE) => Ok(Vec::new()),
        answer => answer,
    }
}
