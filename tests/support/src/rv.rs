//! Return values.

use std::fmt;

use cryptoki_sys as ck;

/// What a function returned. It is compared with a `CKR_` constant, and printed by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rv(pub ck::CK_RV);

impl Rv {
    /// `CKR_OK`.
    pub const OK: Self = Self(ck::CKR_OK);

    /// Fails unless it is `CKR_OK`.
    #[track_caller]
    pub fn ok(self) {
        assert_eq!(self, ck::CKR_OK);
    }

    /// For `?`.
    ///
    /// # Errors
    /// Any value but `CKR_OK`.
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
        /// The name alone; a value without a name is printed in hex.
        impl fmt::Display for Rv {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $(ck::$name => out.write_str(stringify!($name)),)*
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
    CKR_SESSION_ASYNC_NOT_SUPPORTED CKR_SESSION_COUNT CKR_SESSION_HANDLE_INVALID
    CKR_SESSION_PARALLEL_NOT_SUPPORTED CKR_SESSION_READ_ONLY CKR_SIGNATURE_INVALID CKR_SIGNATURE_LEN_RANGE
    CKR_SLOT_ID_INVALID CKR_TOKEN_NOT_PRESENT CKR_USER_ALREADY_LOGGED_IN CKR_USER_NOT_LOGGED_IN
    CKR_USER_TYPE_INVALID
}

impl fmt::Debug for Rv {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self} ({})", self.0)
    }
}
