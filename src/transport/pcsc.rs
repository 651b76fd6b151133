//! PC/SC behind the transport traits; the only file that names the `pcsc` crate.
//!
//! Traps, each seen in pcsc-lite or the crate:
//!
//! - A context serialises its calls, and `SCardBeginTransaction` waits without limit: every connection has a context
//!   of its own, looking at readers another, waiting for changes a third.
//! - The crate's `Card` resets the card when dropped, which would end another program's login: connections are closed
//!   by hand, leaving the card as it is.
//! - `SCARD_W_RESET_CARD` stays until `SCardReconnect`. It is renewed without a reset: two programs that answer a
//!   reset with a reset would never stop.
//! - That notice gets lost when resets follow each other closely; what is left of it is `SCARD_E_PROTO_MISMATCH` at the
//!   next command, and at every one until the connection is renewed.
//! - `SCardCancel` is lost on a context that does not wait yet: waits are cut into slices.
//! - The crate panics on an answer longer than its buffer, at a command on a connection that came back without a
//!   protocol, and in debug builds on a code it does not know. For a command that is an answer which nobody can read;
//!   anywhere else the C boundary catches it, and a transaction that ends so takes the card's power.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pcsc::{Card, Context, Disposition, Error, Protocols, Scope, ShareMode, State};

use super::{
    Connection, Continuity, Leave, MAX_ANSWER, ReaderName, ReaderState, Transaction, Transport,
    TransportError,
};

/// The longest single wait for a change: an `interrupt` that comes just before a wait begins is noticed after it.
const WAIT_SLICE: Duration = Duration::from_millis(400);

/// How long to look for a removal after a command failed: pcscd polls some readers every 400 ms.
const REMOVAL_NOTICE: Duration = Duration::from_millis(600);

/// The PC/SC service of this machine. Nothing is asked of it before the first use.
#[derive(Default)]
pub struct Pcsc {
    looking: Mutex<Option<Context>>,
    waiting: Mutex<Option<Context>>,
}

/// A connection to a card, with its own context.
struct PcscConnection {
    context: Context,
    reader: ReaderName,
    /// `None` only while it is dropped.
    card: Option<Card>,
    answer: Vec<u8>,
    /// The service has lost the protocol of the connection: see [`PcscTransaction::transmit`].
    stale: bool,
}

/// A transaction on it.
struct PcscTransaction<'a> {
    context: &'a Context,
    reader: &'a ReaderName,
    /// `None` once it has ended.
    transaction: Option<pcsc::Transaction<'a>>,
    answer: &'a mut Vec<u8>,
    stale: &'a mut bool,
}

impl Pcsc {
    /// The service; no call is made yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the service, once more with a fresh context if the one at hand died with a service that was restarted.
    fn look<T>(&self, ask: impl Fn(&Context) -> Result<T, Error>) -> Result<T, TransportError> {
        let mut looking = self.looking.lock();
        if let Some(context) = looking.take() {
            match ask(&context) {
                Err(error) if is_service_gone(error) => {}
                answer => {
                    *looking = Some(context);
                    return answer.map_err(transport_error);
                }
            }
        }
        let context = establish()?;
        let answer = ask(&context).map_err(transport_error);
        if answer.is_ok() {
            *looking = Some(context);
        }
        answer
    }
}

impl Transport for Pcsc {
    fn readers(&self) -> Result<Vec<ReaderName>, TransportError> {
        let names = self.look(|context| match context.list_readers_owned() {
            Err(Error::NoReadersAvailable) => Ok(Vec::new()),
            answer => answer,
        })?;
        Ok(names.into_iter().map(ReaderName::from).collect())
    }

    fn reader_state(&self, reader: &ReaderName) -> Result<Option<ReaderState>, TransportError> {
        self.look(|context| state_of(context, reader))
    }

    fn connect(&self, reader: &ReaderName) -> Result<Box<dyn Connection>, TransportError> {
        let context = establish()?;
        let card =
            context.connect(reader.as_c_str(), ShareMode::Shared, Protocols::ANY).map_err(transport_error)?;
        Ok(Box::new(PcscConnection {
            context,
            reader: reader.clone(),
            card: Some(card),
            answer: vec![0; MAX_ANSWER],
            stale: false,
        }))
    }

    fn wait_for_change(&self, known: &[(ReaderName, ReaderState)], timeout: Duration) {
        let slice = timeout.min(WAIT_SLICE);
        // Without a service or a reader there is nothing to wait on, and asking again at once would keep a processor
        // busy.
        let pause = || std::thread::sleep(slice);
        let Ok(context) = establish() else { return pause() };
        if known.is_empty() {
            return pause();
        }
        *self.waiting.lock() = Some(context.clone());
        wait(&context, known, slice);
        *self.waiting.lock() = None;
    }

    fn interrupt(&self) {
        if let Some(context) = self.waiting.lock().as_ref() {
            // An error means that nothing waits.
            let _ = context.cancel();
        }
    }
}

impl Connection for PcscConnection {
    fn begin(&mut self) -> Result<(Box<dyn Transaction + '_>, Continuity), TransportError> {
        let card = self.card.as_mut().ok_or(TransportError::Removed)?;
        let was_stale = self.stale;
        if was_stale {
            renew(card)?;
            self.stale = false;
        }
        let (transaction, continuity) = match card.transaction2() {
            Ok(transaction) if was_stale => (transaction, Continuity::WasReset),
            Ok(transaction) => (transaction, Continuity::Undisturbed),
            Err((card, Error::ResetCard | Error::UnpoweredCard)) => {
                renew(card)?;
                (card.transaction().map_err(transport_error)?, Continuity::WasReset)
            }
            Err((_, error)) => return Err(transport_error(error)),
        };
        let transaction = PcscTransaction {
            context: &self.context,
            reader: &self.reader,
            transaction: Some(transaction),
            answer: &mut self.answer,
            stale: &mut self.stale,
        };
        Ok((Box::new(transaction), continuity))
    }
}

impl Drop for PcscConnection {
    fn drop(&mut self) {
        if let Some(Err((card, _))) = self.card.take().map(|card| card.disconnect(Disposition::LeaveCard)) {
            // The crate would reset the card now. A handle that cannot be closed is the service's to clean up.
            std::mem::forget(card);
        }
    }
}

impl Transaction for PcscTransaction<'_> {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, TransportError> {
        let transaction = self.transaction.as_ref().ok_or(TransportError::Removed)?;
        let exchange = || transaction.transmit(command, self.answer).map(<[u8]>::to_vec);
        // Unwind safety: the crate panics before the call or when it is over; nothing is half-done.
        let sent = catch_unwind(AssertUnwindSafe(exchange));
        let Ok(sent) = sent else {
            // Perhaps the service knew no protocol in the middle of another program's reset, and the crate panics at
            // every command from now on.
            *self.stale = true;
            // Whoever sent a PIN has to learn that nobody knows what became of it.
            return Err(TransportError::BadLength);
        };
        match sent {
            // Some reader drivers (vsmartcard's, for one) report success and no bytes for a card that is being pulled.
            Ok(answer) if answer.is_empty() && has_left(self.context, self.reader) => {
                Err(TransportError::Removed)
            }
            Ok(answer) => Ok(answer),
            // The trace of a reset that pcscd forgot to tell: when two resets by other programs follow each other
            // closely, renewing the connection after the first takes the notice of the second away. The protocol has
            // to be negotiated anew. The service sees it before it passes the command on.
            Err(Error::ProtoMismatch) => {
                *self.stale = true;
                Err(TransportError::NotSent)
            }
            Err(error) => Err(match transport_error(error) {
                TransportError::Failed(_) if has_left(self.context, self.reader) => TransportError::Removed,
                other => other,
            }),
        }
    }

    fn end(mut self: Box<Self>, leave: Leave) -> Result<(), TransportError> {
        self.close(leave)
    }
}

impl PcscTransaction<'_> {
    fn close(&mut self, leave: Leave) -> Result<(), TransportError> {
        let disposition = match leave {
            Leave::AsIs => Disposition::LeaveCard,
            Leave::Unpowered => Disposition::UnpowerCard,
        };
        let Some(transaction) = self.transaction.take() else { return Ok(()) };
        transaction.end(disposition).map_err(|(mut transaction, error)| {
            let last = if matches!(error, Error::ResetCard | Error::UnpoweredCard) {
                // After a reset in the middle the service takes nothing, not even the end, before the connection is
                // renewed; and a card may keep a login over a reset.
                let _ = transaction.reconnect(ShareMode::Shared, Protocols::ANY, disposition);
                Disposition::LeaveCard
            } else {
                // The card may hold a login. Its power is the last thing left to take; dropping would leave it as it
                // is.
                Disposition::UnpowerCard
            };
            let _ = transaction.end(last).map_err(|(transaction, _)| drop(transaction));
            transport_error(error)
        })
    }
}

impl Drop for PcscTransaction<'_> {
    fn drop(&mut self) {
        // Only a panic comes here without having ended the transaction.
        let _ = self.close(Leave::Unpowered);
    }
}

/// Takes up a connection to a card that was reset, without a further reset.
fn renew(card: &mut Card) -> Result<(), TransportError> {
    card.reconnect(ShareMode::Shared, Protocols::ANY, Disposition::LeaveCard).map_err(transport_error)
}

/// A context of its own for whoever needs one.
fn establish() -> Result<Context, TransportError> {
    Context::establish(Scope::User).map_err(transport_error)
}

/// What the service knows of a reader now.
fn state_of(context: &Context, reader: &ReaderName) -> Result<Option<ReaderState>, Error> {
    let mut states = [pcsc::ReaderState::new(reader.as_c_str(), State::UNAWARE)];
    match context.get_status_change(Duration::ZERO, &mut states) {
        Ok(()) | Err(Error::Timeout) => {}
        Err(Error::UnknownReader | Error::ReaderUnavailable) => return Ok(None),
        Err(error) => return Err(error),
    }
    Ok(states.first().and_then(reader_state))
}

/// Our view of PC/SC's; `None` for a reader that is not there.
fn reader_state(state: &pcsc::ReaderState) -> Option<ReaderState> {
    let flags = state.event_state();
    let present = flags.contains(State::PRESENT);
    let gone = flags.intersects(State::UNKNOWN | State::IGNORE | State::UNAVAILABLE);
    (!gone).then(|| ReaderState { card_present: present, changes: state.event_count() })
}

/// Waits for a change from what is known, at most so long.
fn wait(context: &Context, known: &[(ReaderName, ReaderState)], timeout: Duration) {
    let mut states: Vec<_> =
        known.iter().map(|(reader, _)| pcsc::ReaderState::new(reader.as_c_str(), State::UNAWARE)).collect();
    if context.get_status_change(Duration::ZERO, &mut states).is_err() {
        return;
    }
    if states.iter().zip(known).any(|(now, (_, then))| reader_state(now) != Some(*then)) {
        return;
    }
    states.iter_mut().for_each(pcsc::ReaderState::sync_current_state);
    // Whatever comes of it, the caller looks for itself.
    let _ = context.get_status_change(timeout, &mut states);
}

/// Whether the card has left the reader: pcscd says only "not transacted" at first.
fn has_left(context: &Context, reader: &ReaderName) -> bool {
    let mut states = [pcsc::ReaderState::new(reader.as_c_str(), State::UNAWARE)];
    let end = Instant::now() + REMOVAL_NOTICE;
    while context.get_status_change(end.saturating_duration_since(Instant::now()), &mut states).is_ok() {
        if !states.iter().all(|state| state.event_state().contains(State::PRESENT)) {
            return true;
        }
        states.iter_mut().for_each(pcsc::ReaderState::sync_current_state);
    }
    false
}

/// Whether the service itself is gone, so that every handle of it is worthless.
fn is_service_gone(error: Error) -> bool {
    // pcsc-lite's client library answers a broken socket with SCARD_F_COMM_ERROR.
    matches!(error, Error::NoService | Error::ServiceStopped | Error::CommError | Error::InvalidHandle)
}

/// PC/SC's errors, told apart by what has to be done.
fn transport_error(error: Error) -> TransportError {
    match error {
        Error::RemovedCard | Error::NoSmartcard | Error::ReaderUnavailable | Error::UnknownReader => {
            TransportError::Removed
        }
        _ if is_service_gone(error) => TransportError::NoService,
        Error::ResetCard | Error::UnpoweredCard => TransportError::Reset,
        Error::SharingViolation => TransportError::Busy,
        Error::NoAccess | Error::SecurityViolation => TransportError::AccessDenied,
        Error::InsufficientBuffer => TransportError::BadLength,
        other => TransportError::Failed(code(other)),
    }
}

/// PC/SC's own number of an error.
#[expect(
    clippy::as_conversions,
    reason = "the crate's errors are an enum of these numbers and have no other way out"
)]
fn code(error: Error) -> u32 {
    error as u32
}
