//! The calls of PC/SC that this module makes, and nothing besides: no retry, no mapping, no memory.
//!
//! The library implements them in [`pcsc`](super::pcsc), a simulated service in the tests. Names
//! and meanings are those of winscard.h (pcsc-lite, <https://pcsclite.apdu.fr/api/>).

use std::fmt;
use std::time::Duration;

use super::{Disposition, ReaderName};

/// A return code of PC/SC other than SCARD_S_SUCCESS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code(u32);

/// Defines the codes that this module tells apart.
macro_rules! codes {
    ($($name:ident = $value:literal;)*) => {
        impl Code {
            $(
                #[doc = concat!("SCARD_*_", stringify!($name), ".")]
                pub const $name: Self = Self($value);
            )*
        }
    };
}

codes! {
    CANCELLED = 0x8010_0002;
    INVALID_HANDLE = 0x8010_0003;
    INSUFFICIENT_BUFFER = 0x8010_0008;
    UNKNOWN_READER = 0x8010_0009;
    TIMEOUT = 0x8010_000a;
    SHARING_VIOLATION = 0x8010_000b;
    NO_SMARTCARD = 0x8010_000c;
    PROTO_MISMATCH = 0x8010_000f;
    NOT_READY = 0x8010_0010;
    SYSTEM_CANCELLED = 0x8010_0012;
    COMM_ERROR = 0x8010_0013;
    NOT_TRANSACTED = 0x8010_0016;
    READER_UNAVAILABLE = 0x8010_0017;
    SHUTDOWN = 0x8010_0018;
    NO_SERVICE = 0x8010_001d;
    SERVICE_STOPPED = 0x8010_001e;
    NO_ACCESS = 0x8010_0027;
    NO_READERS_AVAILABLE = 0x8010_002e;
    UNSUPPORTED_CARD = 0x8010_0065;
    UNRESPONSIVE_CARD = 0x8010_0066;
    UNPOWERED_CARD = 0x8010_0067;
    RESET_CARD = 0x8010_0068;
    REMOVED_CARD = 0x8010_0069;
    SECURITY_VIOLATION = 0x8010_006a;
}

/// One reader in a call of SCardGetStatusChange (`SCARD_READERSTATE`).
#[derive(Debug, Clone)]
pub struct ReaderEvent {
    /// Which reader.
    pub reader: ReaderName,
    /// `dwCurrentState`: what the caller knows, the count of events in the upper half.
    pub current: u32,
    /// `dwEventState`: what there is, likewise.
    pub event: u32,
}

/// The service.
pub trait Calls: Send + Sync {
    /// Whether the service counts insertions and removals in the upper half of `dwEventState`.
    fn counts_changes(&self) -> bool;

    /// Whether SCardGetStatusChange tells that a reader comes or goes. A service that does not may
    /// wait in vain when it is asked for that.
    fn tells_of_readers(&self) -> bool {
        true
    }

    /// Whether the service runs while there is no reader. One that does not counts anew when it
    /// runs again.
    fn runs_without_reader(&self) -> bool {
        true
    }

    /// Whether a child of a fork may call the service, in contexts of its own.
    fn serves_children(&self) -> bool {
        true
    }

    /// SCardEstablishContext. Dropping the context releases it.
    ///
    /// # Errors
    /// The code of the service.
    fn establish_context(&self) -> Result<Box<dyn Context>, Code>;
}

/// A context. It serves one call at a time, and others wait for that one, [`Context::cancel`]
/// excepted.
pub trait Context: Send + Sync {
    /// SCardListReaders.
    ///
    /// # Errors
    /// The code of the service; SCARD_E_NO_READERS_AVAILABLE where there is none.
    fn list_readers(&self) -> Result<Vec<ReaderName>, Code>;

    /// SCardGetStatusChange.
    ///
    /// # Errors
    /// The code of the service; SCARD_E_TIMEOUT when nothing has changed.
    fn get_status_change(&self, timeout: Duration, readers: &mut [ReaderEvent]) -> Result<(), Code>;

    /// SCardCancel.
    ///
    /// # Errors
    /// The code of the service.
    fn cancel(&self) -> Result<(), Code>;

    /// SCardConnect, shared with other programs, with whatever protocol the card has.
    ///
    /// # Errors
    /// The code of the service.
    fn connect(&self, reader: &ReaderName) -> Result<Box<dyn Card>, Code>;
}

/// A connection to a card, until it is closed with [`Card::disconnect`].
pub trait Card: Send {
    /// SCardBeginTransaction. An error gives the card back.
    ///
    /// # Errors
    /// The code of the service.
    fn begin_transaction<'a>(&'a mut self)
    -> Result<Box<dyn CardTransaction + 'a>, (&'a mut dyn Card, Code)>;

    /// SCardReconnect, shared, with whatever protocol the card has.
    ///
    /// # Errors
    /// The code of the service.
    fn reconnect(&mut self, initialization: Disposition) -> Result<(), Code>;

    /// SCardControl.
    ///
    /// # Errors
    /// The code of the service.
    fn control(&self, code: u32, input: &[u8]) -> Result<Vec<u8>, Code>;

    /// SCardDisconnect. The connection is gone whatever the service says.
    fn disconnect(self: Box<Self>, disposition: Disposition);
}

/// A connection that has the card for itself.
pub trait CardTransaction {
    /// SCardTransmit. `None`: the library panicked, or its answer has a length that no answer has;
    /// the card may have carried the command out.
    ///
    /// # Errors
    /// The code of the service.
    fn transmit(&mut self, command: &[u8]) -> Result<Option<Vec<u8>>, Code>;

    /// SCardReconnect, as [`Card::reconnect`].
    ///
    /// # Errors
    /// The code of the service.
    fn reconnect(&mut self, initialization: Disposition) -> Result<(), Code>;

    /// SCardEndTransaction. An error gives the transaction back.
    ///
    /// # Errors
    /// The code of the service.
    fn end<'a>(
        self: Box<Self>,
        disposition: Disposition,
    ) -> Result<(), (Box<dyn CardTransaction + 'a>, Code)>
    where
        Self: 'a;
}

impl Code {
    /// What Windows says of a context or a connection that ended with the service, where others say
    /// SCARD_E_INVALID_HANDLE. The `pcsc` crate does not know it, and is not used there.
    pub const ERROR_INVALID_HANDLE: Self = Self(6);

    /// The code with this number.
    #[must_use]
    pub const fn new(raw: u32) -> Self {
        Self(raw)
    }

    /// The number.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:#010x}", self.0)
    }
}

impl ReaderEvent {
    /// A reader of which the caller knows nothing.
    #[must_use]
    pub fn unaware(reader: ReaderName) -> Self {
        Self { reader, current: 0, event: 0 }
    }
}
