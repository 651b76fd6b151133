//! A connection to one card, and all that is done when another program, the reader or the service
//! gets in the way.
//!
//! Traps, each seen with pcsc-lite:
//!
//! - `SCARD_W_RESET_CARD` stays until `SCardReconnect`. The connection is renewed without a reset:
//!   two programs that answer a reset with a reset would never stop.
//! - That notice gets lost when resets follow each other closely; what is left of it is
//!   `SCARD_E_PROTO_MISMATCH` at the next command, and at every one until the connection is
//!   renewed.
//! - A renewal in the middle of another program's reset gives a connection without a protocol; no
//!   command can be sent on it before it is renewed once more.
//! - After a reset within a transaction the service takes nothing, not even the end, before the
//!   connection is renewed.
//! - A card that is being pulled answers "not transacted", or success and no bytes, for some
//!   hundred milliseconds.
//! - After some failures the card stays mute until its power is taken (seen after suspend).
//! - The service of macOS says RESET_CARD of a card that was removed, and UNPOWERED_CARD of one
//!   that was reset (reported, not seen).

use std::time::{Duration, Instant};

use super::calls::{Calls, Card, CardTransaction, Code, Context, ReaderEvent};
use super::fairness::Fairness;
use super::{Disposition, ReaderName, ReaderState, TransportError, transport_error};

/// How long to look for a removal after a command failed: pcscd polls some readers every 400 ms.
const REMOVAL_NOTICE: Duration = Duration::from_millis(600);

/// How often the end of a transaction is asked for before it is given up. The service keeps the
/// card from all others until it takes the end, and takes none after a reset.
const MOST_ENDS: usize = 5;

/// A connection with a context of its own: `SCardBeginTransaction` waits without limit, and
/// everything else on its context waits with it. Dropping it leaves the card as it is.
pub struct Connection {
    context: Box<dyn Context>,
    reader: ReaderName,
    /// `None` only while it is dropped.
    card: Option<Box<dyn Card>>,
    link: Link,
    fairness: Fairness,
    says_reset_for_removal: bool,
}

/// What has to be done about the connection before the next command.
#[derive(Default)]
struct Link {
    /// The service has lost the protocol of the connection.
    renewal_due: bool,
    /// The reader failed, and the card may be mute until its power is taken.
    power_off_due: bool,
}

/// A transaction: no other program reaches the card until it ends. One that is dropped without
/// [`Transaction::end`] takes the card's power, since it is not known in what state the card is.
pub struct Transaction<'a> {
    context: &'a dyn Context,
    reader: &'a ReaderName,
    /// `None` once it has ended.
    calls: Option<Box<dyn CardTransaction + 'a>>,
    link: &'a mut Link,
    fairness: &'a mut Fairness,
    was_reset: bool,
    says_reset_for_removal: bool,
}

impl Connection {
    /// Connects to the card in a reader, shared with other programs.
    ///
    /// # Errors
    /// [`TransportError::Removed`] when there is no card, [`TransportError::Busy`] when another
    /// program has it for itself.
    pub fn open(calls: &dyn Calls, reader: &ReaderName) -> Result<Self, TransportError> {
        let context = calls.establish_context().map_err(|code| match transport_error(code) {
            // It says nothing about the card.
            TransportError::Failed(_) | TransportError::NotReady => TransportError::NoService,
            other => other,
        })?;
        let card = context.connect(reader).map_err(|code| match code {
            Code::UNPOWERED_CARD => TransportError::Unpowered,
            other => transport_error(other),
        })?;
        let reader = reader.clone();
        Ok(Self {
            context,
            reader,
            card: Some(card),
            link: Link::default(),
            fairness: Fairness::default(),
            says_reset_for_removal: !calls.counts_changes(),
        })
    }

    /// Begins a transaction. Waits while another program has one, without limit. A reset by another
    /// program is recovered from here and reported by [`Transaction::was_reset`].
    ///
    /// # Errors
    /// [`TransportError::Removed`] when the card this connection was made to is gone;
    /// [`TransportError::Reset`] when others reset the card faster than it can be recovered.
    pub fn begin(&mut self) -> Result<Transaction<'_>, TransportError> {
        let card: &mut dyn Card = &mut **self.card.as_mut().ok_or(TransportError::Removed)?;
        self.fairness.before_begin();
        let mut was_reset = std::mem::take(&mut self.link.renewal_due);
        if was_reset {
            card.reconnect(Disposition::LeaveCard).map_err(transport_error).inspect_err(|_| {
                self.link.renewal_due = true;
            })?;
        }
        let meant = |code| meaning(code, self.says_reset_for_removal);
        let calls = match card.begin_transaction() {
            Ok(calls) => calls,
            Err((card, code)) => {
                let (Code::RESET_CARD | Code::UNPOWERED_CARD) = meant(code) else {
                    return Err(transport_error(meant(code)));
                };
                was_reset = true;
                card.reconnect(Disposition::LeaveCard).map_err(transport_error)?;
                card.begin_transaction().map_err(|(_, code)| transport_error(meant(code)))?
            }
        };
        self.fairness.begun();
        Ok(Transaction {
            context: &*self.context,
            reader: &self.reader,
            calls: Some(calls),
            link: &mut self.link,
            fairness: &mut self.fairness,
            was_reset,
            says_reset_for_removal: self.says_reset_for_removal,
        })
    }

    /// SCardControl, a question to the reader and its driver: no exchange with the card.
    ///
    /// # Errors
    /// When the driver does not know it, or another program has the card.
    pub fn control(&self, code: u32, input: &[u8]) -> Result<Vec<u8>, TransportError> {
        self.card.as_ref().ok_or(TransportError::Removed)?.control(code, input).map_err(transport_error)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(card) = self.card.take() {
            card.disconnect(Disposition::LeaveCard);
        }
    }
}

impl Transaction<'_> {
    /// Whether the card was reset since the last transaction. It may be another card.
    #[must_use]
    pub fn was_reset(&self) -> bool {
        self.was_reset
    }

    /// What the service knows of the reader now. No exchange with the card.
    ///
    /// # Errors
    /// When the service cannot be asked.
    pub fn reader_state(&self) -> Result<Option<ReaderState>, TransportError> {
        state_of(self.context, self.reader).map_err(transport_error)
    }

    /// Sends a command APDU and returns the response APDU.
    ///
    /// # Errors
    /// Whatever kept the answer away. Except for [`TransportError::NotSent`] the card may have
    /// carried the command out.
    pub fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, TransportError> {
        let calls = self.calls.as_mut().ok_or(TransportError::Removed)?;
        match calls.transmit(command) {
            // Some drivers answer with no bytes where others fail.
            Ok(Some(answer)) if answer.is_empty() => Err(self.unanswered(Code::NOT_TRANSACTED)),
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => {
                self.link.renewal_due = true;
                Err(TransportError::BadLength)
            }
            // The service reports it before it passes the command on.
            Err(Code::PROTO_MISMATCH) => {
                self.link.renewal_due = true;
                Err(TransportError::NotSent)
            }
            Err(code) => match transport_error(meaning(code, self.says_reset_for_removal)) {
                TransportError::Failed(_) | TransportError::NotReady => Err(self.unanswered(code)),
                error => Err(error),
            },
        }
    }

    /// Why a command got no answer: the card has left, or it may be mute until its power is taken.
    fn unanswered(&mut self, code: Code) -> TransportError {
        if has_left(self.context, self.reader) {
            return TransportError::Removed;
        }
        self.link.power_off_due = true;
        transport_error(code)
    }

    /// Ends the transaction, and takes the power of a card that may have fallen mute.
    ///
    /// # Errors
    /// When the service did not take the end; the transaction is over nevertheless.
    pub fn end(mut self, disposition: Disposition) -> Result<(), TransportError> {
        self.close(disposition)
    }

    fn close(&mut self, wanted: Disposition) -> Result<(), TransportError> {
        let Some(calls) = self.calls.take() else { return Ok(()) };
        let power_off_due = std::mem::take(&mut self.link.power_off_due);
        let disposition = if power_off_due { Disposition::UnpowerCard } else { wanted };
        self.fairness.ended();
        let Err((mut calls, first)) = calls.end(disposition) else { return Ok(()) };
        let first = meaning(first, self.says_reset_for_removal);
        let mut code = first;
        for _ in 1..MOST_ENDS {
            let next = if matches!(code, Code::RESET_CARD | Code::UNPOWERED_CARD) {
                // Renewed with what is to happen to the card: it may keep a login over a reset.
                let _ = calls.reconnect(disposition);
                Disposition::LeaveCard
            } else {
                Disposition::UnpowerCard
            };
            match calls.end(next) {
                Ok(()) => break,
                Err((again, other)) => {
                    calls = again;
                    code = meaning(other, self.says_reset_for_removal);
                }
            }
        }
        Err(transport_error(first))
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // No answer is possible here.
        let _ = self.close(Disposition::UnpowerCard);
    }
}

/// What a code says of a connection's card, in the words of pcsc-lite.
fn meaning(code: Code, says_reset_for_removal: bool) -> Code {
    match (code, says_reset_for_removal) {
        (Code::RESET_CARD, true) => Code::REMOVED_CARD,
        (Code::UNPOWERED_CARD, true) => Code::RESET_CARD,
        _ => code,
    }
}

/// What the service knows of a reader; `None` when there is no such reader.
pub(super) fn state_of(context: &dyn Context, reader: &ReaderName) -> Result<Option<ReaderState>, Code> {
    Ok(event_of(context, reader)?.and_then(ReaderState::of))
}

/// The same as PC/SC has it: `dwEventState`.
pub(super) fn event_of(context: &dyn Context, reader: &ReaderName) -> Result<Option<u32>, Code> {
    let mut events = [ReaderEvent::unaware(reader.clone())];
    match context.get_status_change(Duration::ZERO, &mut events) {
        Ok(()) | Err(Code::TIMEOUT) => {}
        Err(Code::UNKNOWN_READER | Code::READER_UNAVAILABLE) => return Ok(None),
        Err(code) => return Err(code),
    }
    Ok(events.first().map(|event| event.event))
}

/// Whether the card has left the reader: pcscd says only "not transacted" at first.
fn has_left(context: &dyn Context, reader: &ReaderName) -> bool {
    let mut events = [ReaderEvent::unaware(reader.clone())];
    let end = Instant::now() + REMOVAL_NOTICE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match context.get_status_change(left, &mut events) {
            Ok(()) => {}
            // The reader has left with it.
            Err(Code::UNKNOWN_READER | Code::READER_UNAVAILABLE) => return true,
            Err(_) => return false,
        }
        for event in &mut events {
            if !ReaderState::of(event.event).is_some_and(|state| state.card_present) {
                return true;
            }
            event.current = event.event;
        }
    }
}
