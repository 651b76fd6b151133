//! Moving bytes between the host and a card: two small traits, and a third for the service that has the readers.
//!
//! PC/SC stands behind them in [`pcsc`], the only file that names that crate; tests put a virtual card behind them.
//! Nothing here knows what the bytes mean.

pub mod pcsc;

use std::ffi::{CStr, CString};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

/// The most bytes one answer may have: an extended response, 65,536 bytes and the status word.
pub const MAX_ANSWER: usize = 65_538;

/// A reader as the PC/SC service names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReaderName(Arc<CStr>);

/// What the service knows of a reader without asking the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderState {
    /// Whether a card is in the reader.
    pub card_present: bool,
    /// How many insertions and removals the service has counted: a card that went out and came back between two
    /// looks shows here.
    pub changes: u32,
}

/// How a transaction leaves the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// As it is.
    AsIs,
    /// Without power: a card forgets every verified PIN.
    Unpowered,
}

/// Whether the card is as the connection knew it when a transaction begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// Nobody reset the card since the last transaction.
    Undisturbed,
    /// Somebody reset it; the connection has been renewed and the same reader answers.
    WasReset,
}

/// Why no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TransportError {
    /// The card is no longer in the reader, or the reader or the service is gone.
    #[error("the card was removed")]
    Removed,
    /// The card was reset in the middle of a transaction.
    #[error("the card was reset by another program")]
    Reset,
    /// The card was reset before, and the connection knew it only now: the command has not reached the card.
    #[error("the card was reset by another program before the command was sent")]
    NotSent,
    /// Another program holds the card for itself.
    #[error("another program holds the card exclusively")]
    Busy,
    /// No PC/SC service answers.
    #[error("no PC/SC service answers")]
    NoService,
    /// The service does not let this user at the card.
    #[error("the PC/SC service refuses access")]
    AccessDenied,
    /// The answer was longer than any answer can be.
    #[error("the answer has an impossible length")]
    BadLength,
    /// Any other failure, with the service's own code.
    #[error("PC/SC error {0:#010x}")]
    Failed(u32),
}

/// The service that has the readers.
pub trait Transport: Send + Sync {
    /// The readers there are now.
    ///
    /// # Errors
    /// [`TransportError::NoService`] when nobody can be asked.
    fn readers(&self) -> Result<Vec<ReaderName>, TransportError>;

    /// What is known of one reader now, without an exchange with the card; `None` when there is no such reader.
    ///
    /// # Errors
    /// When the service cannot be asked.
    fn reader_state(&self, reader: &ReaderName) -> Result<Option<ReaderState>, TransportError>;

    /// Connects to the card in a reader, shared with other programs.
    ///
    /// # Errors
    /// [`TransportError::Removed`] when there is no card, [`TransportError::Busy`] when another program has it for
    /// itself.
    fn connect(&self, reader: &ReaderName) -> Result<Box<dyn Connection>, TransportError>;

    /// Waits until a reader comes or goes, one of `known` changes, the time is over or [`Transport::interrupt`] is
    /// called. Spurious returns are allowed: the caller looks for itself.
    fn wait_for_change(&self, known: &[(ReaderName, ReaderState)], timeout: Duration);

    /// Ends every wait that goes on now.
    fn interrupt(&self);
}

/// A connection to one card. Dropping it leaves the card as it is.
pub trait Connection: Send {
    /// Begins a transaction: no other program reaches the card until it ends. Waits while another program has one,
    /// without limit. A reset by another program is recovered from here and reported.
    ///
    /// # Errors
    /// [`TransportError::Removed`] when the card this connection was made to is gone;
    /// [`TransportError::Reset`] when others reset the card faster than it can be recovered.
    fn begin(&mut self) -> Result<(Box<dyn Transaction + '_>, Continuity), TransportError>;
}

/// A transaction on one card. One that is dropped without [`Transaction::end`] leaves the card without power, since
/// nobody said in what state it is.
pub trait Transaction {
    /// Sends a command APDU and returns the response APDU.
    ///
    /// # Errors
    /// Whatever kept the answer away. The card may have carried the command out all the same.
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, TransportError>;

    /// Ends the transaction.
    ///
    /// # Errors
    /// When the service did not take the end; the transaction is over nevertheless.
    fn end(self: Box<Self>, leave: Leave) -> Result<(), TransportError>;
}

impl ReaderName {
    /// The name as C programs use it.
    #[must_use]
    pub fn as_c_str(&self) -> &CStr {
        &self.0
    }
}

impl From<CString> for ReaderName {
    fn from(name: CString) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for ReaderName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.to_string_lossy())
    }
}
