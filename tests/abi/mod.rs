//! What the tests of the C boundary share. They load `libjpki_pkcs11.so` over the stand-in for the PC/SC library and
//! call it as C does; nothing here links the crate itself.
//!
//! - [`library`]: the loaded module, and what it exports;
//! - [`functions`]: every function of every table, to be called with plain numbers;
//! - [`guarded`]: memory with nothing readable behind it;
//! - [`host`]: a reader, a card and an initialized module, and short helpers;
//! - [`rows`], [`scene`]: the supported functions with good arguments, for tests that spoil one of them;
//! - [`process`]: children of a fork, and what the kernel knows of this process.
//!
//! Each test runs in a process of its own (see [`pcsc_stand_in::client`]), so that tests are parallel and each has the
//! module's static to itself.

#![allow(dead_code, unreachable_pub, unused_macros, reason = "each test program uses a part of it")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail wherever it stands"
)]

use std::fmt;

use cryptoki_sys as ck;

/// Calls a function of a table with C's own types. The arguments are as bad as the test wants them; that the module
/// stands it is what is tested.
#[allow(unused_macros, reason = "as above")]
macro_rules! c {
    ($table:expr, $name:ident($($argument:expr),* $(,)?)) => {{
        let function = $table.$name.expect(stringify!($name));
        // SAFETY: what is not good memory is memory that the standard keeps a module from touching.
        $crate::abi::Rv(unsafe { function($($argument),*) })
    }};
}

pub mod functions;
pub mod guarded;
pub mod host;
pub mod library;
pub mod process;
pub mod rows;
pub mod scene;

/// What a function returned. It is compared with a `CKR_` constant, and printed by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rv(pub ck::CK_RV);

impl Rv {
    /// Fails unless it is `CKR_OK`.
    #[track_caller]
    pub fn ok(self) {
        assert_eq!(self, ck::CKR_OK);
    }

    /// For `?`.
    pub fn result(self) -> Result<(), Self> {
        if self == ck::CKR_OK { Ok(()) } else { Err(self) }
    }
}

impl PartialEq<ck::CK_RV> for Rv {
    fn eq(&self, other: &ck::CK_RV) -> bool {
        self.0 == *other
    }
}

/// Defines the names.
macro_rules! names {
    ($($name:ident)*) => {
        impl fmt::Debug for Rv {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $(ck::$name => write!(out, concat!(stringify!($name), " ({})"), self.0),)*
                    other => write!(out, "{other:#x}"),
                }
            }
        }
    };
}

names! {
    CKR_OK CKR_ARGUMENTS_BAD CKR_ATTRIBUTE_SENSITIVE CKR_ATTRIBUTE_TYPE_INVALID CKR_BUFFER_TOO_SMALL CKR_CANT_LOCK
    CKR_CRYPTOKI_ALREADY_INITIALIZED CKR_CRYPTOKI_NOT_INITIALIZED CKR_DATA_LEN_RANGE CKR_DEVICE_ERROR
    CKR_DEVICE_REMOVED CKR_FUNCTION_CANCELED CKR_FUNCTION_NOT_PARALLEL CKR_FUNCTION_NOT_SUPPORTED
    CKR_GENERAL_ERROR CKR_HOST_MEMORY CKR_KEY_FUNCTION_NOT_PERMITTED CKR_KEY_HANDLE_INVALID
    CKR_MECHANISM_INVALID CKR_MECHANISM_PARAM_INVALID CKR_NO_EVENT CKR_OBJECT_HANDLE_INVALID CKR_OPERATION_ACTIVE
    CKR_OPERATION_NOT_INITIALIZED CKR_PIN_INCORRECT CKR_PIN_INVALID CKR_PIN_LEN_RANGE CKR_PIN_LOCKED
    CKR_SESSION_COUNT CKR_SESSION_HANDLE_INVALID
    CKR_SESSION_PARALLEL_NOT_SUPPORTED CKR_SESSION_READ_ONLY CKR_SIGNATURE_INVALID CKR_SIGNATURE_LEN_RANGE
    CKR_SLOT_ID_INVALID CKR_TOKEN_NOT_PRESENT CKR_USER_ALREADY_LOGGED_IN CKR_USER_NOT_LOGGED_IN
    CKR_USER_TYPE_INVALID
}

/// A length or a count for C.
pub fn ulong(size: usize) -> ck::CK_ULONG {
    size.try_into().expect("CK_ULONG is as wide")
}
