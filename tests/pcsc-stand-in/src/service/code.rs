//! Result codes and bit masks of PC/SC, spelled after `pcsclite.h`.

use std::fmt;

/// A result code of a PC/SC function.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u32);

/// Defines the named codes and the table to name them by.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The codes that have a name.
            const NAMED: &[(Self, &'static str)] = &[$((Self::$name, stringify!($name))),*];
        }
    };
}

codes! {
    /// SCARD_S_SUCCESS
    SUCCESS = 0;
    /// SCARD_F_INTERNAL_ERROR
    INTERNAL_ERROR = 0x8010_0001;
    /// SCARD_E_CANCELLED
    CANCELLED = 0x8010_0002;
    /// ERROR_INVALID_HANDLE: Windows says it of what ended with the service.
    ERROR_INVALID_HANDLE = 6;
    /// SCARD_E_INVALID_HANDLE
    INVALID_HANDLE = 0x8010_0003;
    /// SCARD_E_INVALID_PARAMETER
    INVALID_PARAMETER = 0x8010_0004;
    /// SCARD_E_NO_MEMORY
    NO_MEMORY = 0x8010_0006;
    /// SCARD_E_INSUFFICIENT_BUFFER
    INSUFFICIENT_BUFFER = 0x8010_0008;
    /// SCARD_E_UNKNOWN_READER
    UNKNOWN_READER = 0x8010_0009;
    /// SCARD_E_TIMEOUT
    TIMEOUT = 0x8010_000a;
    /// SCARD_E_SHARING_VIOLATION
    SHARING_VIOLATION = 0x8010_000b;
    /// SCARD_E_NO_SMARTCARD
    NO_SMARTCARD = 0x8010_000c;
    /// SCARD_E_PROTO_MISMATCH
    PROTO_MISMATCH = 0x8010_000f;
    /// SCARD_E_NOT_READY
    NOT_READY = 0x8010_0010;
    /// SCARD_E_INVALID_VALUE
    INVALID_VALUE = 0x8010_0011;
    /// SCARD_E_SYSTEM_CANCELLED
    SYSTEM_CANCELLED = 0x8010_0012;
    /// SCARD_F_COMM_ERROR
    COMM_ERROR = 0x8010_0013;
    /// SCARD_F_UNKNOWN_ERROR
    UNKNOWN_ERROR = 0x8010_0014;
    /// SCARD_E_NOT_TRANSACTED
    NOT_TRANSACTED = 0x8010_0016;
    /// SCARD_E_READER_UNAVAILABLE
    READER_UNAVAILABLE = 0x8010_0017;
    /// SCARD_P_SHUTDOWN
    SHUTDOWN = 0x8010_0018;
    /// SCARD_E_NO_SERVICE
    NO_SERVICE = 0x8010_001d;
    /// SCARD_E_SERVICE_STOPPED
    SERVICE_STOPPED = 0x8010_001e;
    /// SCARD_E_UNSUPPORTED_FEATURE
    UNSUPPORTED_FEATURE = 0x8010_001f;
    /// SCARD_E_NO_READERS_AVAILABLE
    NO_READERS_AVAILABLE = 0x8010_002e;
    /// SCARD_W_UNRESPONSIVE_CARD
    UNRESPONSIVE_CARD = 0x8010_0066;
    /// SCARD_W_UNPOWERED_CARD
    UNPOWERED_CARD = 0x8010_0067;
    /// SCARD_W_RESET_CARD
    RESET_CARD = 0x8010_0068;
    /// SCARD_W_REMOVED_CARD
    REMOVED_CARD = 0x8010_0069;
    /// SCARD_W_SECURITY_VIOLATION
    SECURITY_VIOLATION = 0x8010_006a;
}

impl Code {
    /// Any number, also one that PC/SC does not know.
    #[must_use]
    pub const fn new(raw: u32) -> Self {
        Self(raw)
    }

    /// The number.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// Reads a name as [`fmt::Display`] writes it, or a number in hex with `0x`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(hex) = text.strip_prefix("0x") {
            return u32::from_str_radix(hex, 16).ok().map(Self);
        }
        Self::NAMED.iter().find(|(_, name)| *name == text).map(|(code, _)| *code)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMED.iter().find(|(code, _)| code == self) {
            Some((_, name)) => out.write_str(name),
            None => write!(out, "{:#010x}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl std::error::Error for Code {}

/// How a connection shares its reader (`dwShareMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareMode {
    /// SCARD_SHARE_EXCLUSIVE
    Exclusive,
    /// SCARD_SHARE_SHARED
    Shared,
    /// SCARD_SHARE_DIRECT
    Direct,
}

impl ShareMode {
    /// From the number of the C API.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Option<Self> {
        match raw {
            1 => Some(Self::Exclusive),
            2 => Some(Self::Shared),
            3 => Some(Self::Direct),
            _ => None,
        }
    }
}

/// What becomes of the card (`dwDisposition`, `dwInitialization`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// SCARD_LEAVE_CARD
    Leave,
    /// SCARD_RESET_CARD
    Reset,
    /// SCARD_UNPOWER_CARD
    Unpower,
    /// SCARD_EJECT_CARD: does nothing here, as with most readers.
    Eject,
}

impl Disposition {
    /// From the number of the C API.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Option<Self> {
        match raw {
            0 => Some(Self::Leave),
            1 => Some(Self::Reset),
            2 => Some(Self::Unpower),
            3 => Some(Self::Eject),
            _ => None,
        }
    }
}

/// Protocol masks.
pub mod protocol {
    /// SCARD_PROTOCOL_UNDEFINED
    pub const UNDEFINED: u32 = 0;
    /// SCARD_PROTOCOL_T0
    pub const T0: u32 = 1;
    /// SCARD_PROTOCOL_T1
    pub const T1: u32 = 2;
    /// SCARD_PROTOCOL_RAW
    pub const RAW: u32 = 4;
    /// The value that SCARD_PROTOCOL_ANY had in old headers; the service still takes it.
    pub const ANY_OLD: u32 = 0x1000;
}

/// `SCARD_STATE_…`: what SCardGetStatusChange tells.
pub mod state {
    /// SCARD_STATE_UNAWARE
    pub const UNAWARE: u32 = 0;
    /// SCARD_STATE_IGNORE
    pub const IGNORE: u32 = 0x0001;
    /// SCARD_STATE_CHANGED
    pub const CHANGED: u32 = 0x0002;
    /// SCARD_STATE_UNKNOWN
    pub const UNKNOWN: u32 = 0x0004;
    /// SCARD_STATE_UNAVAILABLE
    pub const UNAVAILABLE: u32 = 0x0008;
    /// SCARD_STATE_EMPTY
    pub const EMPTY: u32 = 0x0010;
    /// SCARD_STATE_PRESENT
    pub const PRESENT: u32 = 0x0020;
    /// SCARD_STATE_EXCLUSIVE
    pub const EXCLUSIVE: u32 = 0x0080;
    /// SCARD_STATE_INUSE
    pub const INUSE: u32 = 0x0100;
    /// SCARD_STATE_MUTE
    pub const MUTE: u32 = 0x0200;
}

/// `SCARD_ABSENT` and its like: what SCardStatus tells.
pub mod status {
    /// SCARD_ABSENT
    pub const ABSENT: u32 = 0x0002;
    /// SCARD_PRESENT
    pub const PRESENT: u32 = 0x0004;
    /// SCARD_SWALLOWED
    pub const SWALLOWED: u32 = 0x0008;
    /// SCARD_POWERED
    pub const POWERED: u32 = 0x0010;
    /// SCARD_NEGOTIABLE
    pub const NEGOTIABLE: u32 = 0x0020;
}
