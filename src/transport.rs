//! Moving bytes between the host and a card.
//!
//! [`calls`] is what PC/SC is asked for, as a thin trait; [`pcsc`] makes the calls, the only file
//! that names that crate (on Windows `winscard` makes them, without the crate); [`service`] and
//! [`connection`] are what this module makes of them, with the one policy of recovery. Tests put a
//! simulated service behind [`calls`], and so run the same policy. Nothing here knows what the
//! bytes mean.

pub mod calls;
pub mod child;
pub mod connection;
#[cfg(not(windows))]
pub mod pcsc;
pub mod service;
#[cfg(windows)]
pub mod winscard;

mod fairness;
mod reader_features;

use std::ffi::{CStr, CString};
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use self::calls::Code;
pub use self::connection::{Connection, Transaction};
pub use self::service::Service;
#[cfg(windows)]
pub use self::winscard as pcsc;

/// The most bytes one answer may have: an extended response, 65,536 bytes and the status word.
pub const MAX_ANSWER: usize = 65_538;

/// A reader as the PC/SC service names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReaderName(Arc<CStr>);

/// What the service knows of a reader without asking the card.
#[derive(Debug, Clone, Copy)]
pub struct ReaderState {
    /// Whether a card is in the reader.
    pub card_present: bool,
    /// Whether a program, this one included, is connected to it.
    pub in_use: bool,
    /// How many insertions and removals the service has counted: a card that went out and came back
    /// between two looks shows here. Always 0 where [`Service::counts_changes`] says no.
    pub changes: u32,
    /// Which service has counted: each time that one was found to have ended, the next one gets
    /// another number. It counts anew. 0 where one connection asked.
    pub service: u32,
}

/// What happens to the card when a transaction or a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It stays as it is.
    LeaveCard,
    /// It loses its power, and forgets every verified PIN.
    UnpowerCard,
}

/// Why no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TransportError {
    /// The card is no longer in the reader, or the reader is gone.
    #[error("the card was removed")]
    Removed,
    /// The card was reset in the middle of a transaction.
    #[error("the card was reset by another program")]
    Reset,
    /// The card was reset before, and the connection knew it only now: the command has not reached
    /// the card.
    #[error("the card was reset by another program before the command was sent")]
    NotSent,
    /// Another program holds the card for itself.
    #[error("another program holds the card exclusively")]
    Busy,
    /// The card does not answer its power-up: it lies upside down, is dirty, or is none.
    #[error("the card cannot be powered")]
    Unpowered,
    /// The reader takes no commands for now.
    #[error("the reader is not ready")]
    NotReady,
    /// No PC/SC service answers.
    #[error("no PC/SC service answers")]
    NoService,
    /// The service does not let this user at the card.
    #[error("the PC/SC service refuses access")]
    AccessDenied,
    /// The answer has a length that no answer has.
    #[error("the answer has an impossible length")]
    BadLength,
    /// Any other failure, with the service's own code.
    #[error("PC/SC error {0:#010x}")]
    Failed(u32),
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

impl ReaderState {
    /// `SCARD_STATE_CHANGED`.
    const CHANGED: u32 = 0x0002;
    /// `SCARD_STATE_IGNORE`, `SCARD_STATE_UNKNOWN` and `SCARD_STATE_UNAVAILABLE`.
    const GONE: u32 = 0x0001 | 0x0004 | 0x0008;
    /// `SCARD_STATE_INUSE`.
    const IN_USE: u32 = 0x0100;
    /// `SCARD_STATE_EXCLUSIVE`.
    const EXCLUSIVE: u32 = 0x0080;
    /// `SCARD_STATE_PRESENT`.
    const PRESENT: u32 = 0x0020;

    /// Reads `dwEventState`; `None` for a reader that is not there.
    fn of(event: u32) -> Option<Self> {
        (event & Self::GONE == 0).then_some(Self {
            card_present: event & Self::PRESENT != 0,
            in_use: event & (Self::IN_USE | Self::EXCLUSIVE) != 0,
            changes: event >> 16,
            service: 0,
        })
    }

    /// Whether no card came or went. Programs that connect are no change.
    #[must_use]
    pub fn is_same_as(self, other: Self) -> bool {
        self.service == other.service && self.shows_same_as(other)
    }

    /// The same for two answers of one service.
    fn shows_same_as(self, other: Self) -> bool {
        (self.card_present, self.changes) == (other.card_present, other.changes)
    }
}

/// PC/SC's codes, told apart by what has to be done.
fn transport_error(code: Code) -> TransportError {
    match code {
        Code::REMOVED_CARD | Code::NO_SMARTCARD | Code::READER_UNAVAILABLE | Code::UNKNOWN_READER => {
            TransportError::Removed
        }
        // pcsc-lite's client library answers a broken socket with SCARD_F_COMM_ERROR.
        Code::NO_SERVICE | Code::SERVICE_STOPPED | Code::COMM_ERROR | Code::INVALID_HANDLE => {
            TransportError::NoService
        }
        // Of Windows, whose service stops with the last reader and with the user's session.
        Code::ERROR_INVALID_HANDLE | Code::SYSTEM_CANCELLED | Code::SHUTDOWN => TransportError::NoService,
        Code::RESET_CARD | Code::UNPOWERED_CARD => TransportError::Reset,
        Code::UNRESPONSIVE_CARD | Code::UNSUPPORTED_CARD => TransportError::Unpowered,
        Code::SHARING_VIOLATION => TransportError::Busy,
        Code::NOT_READY => TransportError::NotReady,
        Code::NO_ACCESS | Code::SECURITY_VIOLATION => TransportError::AccessDenied,
        Code::INSUFFICIENT_BUFFER => TransportError::BadLength,
        other => TransportError::Failed(other.raw()),
    }
}
