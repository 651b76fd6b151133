//! The PKCS#11-level error, and the one place where errors become return codes.

use cryptoki_sys as ck;
use thiserror::Error as ThisError;

pub use crate::manager::error::CardError;
pub use crate::transport::TransportError;

/// Why a `C_` function fails.
///
/// Variants are the standard's return codes where the rule is PKCS#11's own. What the card or the
/// reader did stays a [`CardError`] until [`Error::return_value`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
pub enum Error {
    /// A pointer, a length or a flag no caller may pass.
    #[error("bad arguments")]
    ArgumentsBad,
    /// The object has this attribute and does not show it.
    #[error("the attribute is sensitive")]
    AttributeSensitive,
    /// The object has no such attribute.
    #[error("no such attribute")]
    AttributeTypeInvalid,
    /// The caller's buffer is shorter than the result.
    #[error("the buffer is too small")]
    BufferTooSmall,
    /// The caller wants its own locks used.
    #[error("the caller's mutex functions cannot be used")]
    CantLock,
    /// `C_Initialize` was called before.
    #[error("already initialized")]
    AlreadyInitialized,
    /// `C_Initialize` was not called, or `C_Finalize` since, or this process is a fork of the one
    /// that called it.
    #[error("not initialized")]
    NotInitialized,
    /// The data is too long or too short for the mechanism.
    #[error("data length out of range")]
    DataLenRange,
    /// Parallel functions are not part of PKCS#11 any more.
    #[error("no function runs in parallel")]
    FunctionNotParallel,
    /// This module does not have the function.
    #[error("function not supported")]
    FunctionNotSupported,
    /// A defect of this module.
    #[error("internal error")]
    Internal,
    /// Memory ran out.
    #[error("out of memory")]
    HostMemory,
    /// The key does not do this.
    #[error("the key does not permit this function")]
    KeyFunctionNotPermitted,
    /// There is no such key.
    #[error("no such key")]
    KeyHandleInvalid,
    /// The token does not have this mechanism.
    #[error("no such mechanism")]
    MechanismInvalid,
    /// The mechanism's parameter is not one that the card can do.
    #[error("bad mechanism parameter")]
    MechanismParamInvalid,
    /// No slot has changed.
    #[error("no slot event")]
    NoEvent,
    /// There is no such object.
    #[error("no such object")]
    ObjectHandleInvalid,
    /// The session has an operation of this kind already.
    #[error("an operation is active")]
    OperationActive,
    /// The session has no operation of this kind.
    #[error("no operation is active")]
    OperationNotInitialized,
    /// The token has no random numbers.
    #[error("no random numbers")]
    RandomNoRng,
    /// No function runs on while its caller does something else.
    #[error("sessions cannot be asynchronous")]
    SessionAsyncNotSupported,
    /// Too many sessions are open.
    #[error("too many sessions")]
    SessionCount,
    /// There is no such session.
    #[error("no such session")]
    SessionHandleInvalid,
    /// Sessions are serial since PKCS#11 2.0.
    #[error("sessions must be serial")]
    SessionParallelNotSupported,
    /// The session is read-only.
    #[error("the session is read-only")]
    SessionReadOnly,
    /// The signature does not belong to the data.
    #[error("the signature is wrong")]
    SignatureInvalid,
    /// A signature has another length.
    #[error("the signature's length is wrong")]
    SignatureLenRange,
    /// There is no such slot.
    #[error("no such slot")]
    SlotIdInvalid,
    /// The slot has no token.
    #[error("no token in the slot")]
    TokenNotPresent,
    /// The user has logged in already.
    #[error("already logged in")]
    UserAlreadyLoggedIn,
    /// The user has not logged in.
    #[error("not logged in")]
    UserNotLoggedIn,
    /// The token has no such user.
    #[error("no such user type")]
    UserTypeInvalid,
    /// The card or the reader.
    #[error(transparent)]
    Card(#[from] CardError),
}

impl Error {
    /// The `CK_RV` that a caller sees.
    #[must_use]
    pub fn return_value(self) -> ck::CK_RV {
        match self {
            Self::ArgumentsBad => ck::CKR_ARGUMENTS_BAD,
            Self::AttributeSensitive => ck::CKR_ATTRIBUTE_SENSITIVE,
            Self::AttributeTypeInvalid => ck::CKR_ATTRIBUTE_TYPE_INVALID,
            Self::BufferTooSmall => ck::CKR_BUFFER_TOO_SMALL,
            Self::CantLock => ck::CKR_CANT_LOCK,
            Self::AlreadyInitialized => ck::CKR_CRYPTOKI_ALREADY_INITIALIZED,
            Self::NotInitialized => ck::CKR_CRYPTOKI_NOT_INITIALIZED,
            Self::DataLenRange => ck::CKR_DATA_LEN_RANGE,
            Self::FunctionNotParallel => ck::CKR_FUNCTION_NOT_PARALLEL,
            Self::FunctionNotSupported => ck::CKR_FUNCTION_NOT_SUPPORTED,
            Self::Internal => ck::CKR_GENERAL_ERROR,
            Self::HostMemory => ck::CKR_HOST_MEMORY,
            Self::KeyFunctionNotPermitted => ck::CKR_KEY_FUNCTION_NOT_PERMITTED,
            Self::KeyHandleInvalid => ck::CKR_KEY_HANDLE_INVALID,
            Self::MechanismInvalid => ck::CKR_MECHANISM_INVALID,
            Self::MechanismParamInvalid => ck::CKR_MECHANISM_PARAM_INVALID,
            Self::NoEvent => ck::CKR_NO_EVENT,
            Self::ObjectHandleInvalid => ck::CKR_OBJECT_HANDLE_INVALID,
            Self::OperationActive => ck::CKR_OPERATION_ACTIVE,
            Self::OperationNotInitialized => ck::CKR_OPERATION_NOT_INITIALIZED,
            Self::RandomNoRng => ck::CKR_RANDOM_NO_RNG,
            Self::SessionAsyncNotSupported => ck::CKR_SESSION_ASYNC_NOT_SUPPORTED,
            Self::SessionCount => ck::CKR_SESSION_COUNT,
            Self::SessionHandleInvalid => ck::CKR_SESSION_HANDLE_INVALID,
            Self::SessionParallelNotSupported => ck::CKR_SESSION_PARALLEL_NOT_SUPPORTED,
            Self::SessionReadOnly => ck::CKR_SESSION_READ_ONLY,
            Self::SignatureInvalid => ck::CKR_SIGNATURE_INVALID,
            Self::SignatureLenRange => ck::CKR_SIGNATURE_LEN_RANGE,
            Self::SlotIdInvalid => ck::CKR_SLOT_ID_INVALID,
            Self::TokenNotPresent => ck::CKR_TOKEN_NOT_PRESENT,
            Self::UserAlreadyLoggedIn => ck::CKR_USER_ALREADY_LOGGED_IN,
            Self::UserNotLoggedIn => ck::CKR_USER_NOT_LOGGED_IN,
            Self::UserTypeInvalid => ck::CKR_USER_TYPE_INVALID,
            Self::Card(card) => card_return_value(card),
        }
    }
}

/// What PKCS#11 calls the things that happen to a card.
fn card_return_value(error: CardError) -> ck::CK_RV {
    match error {
        // C_Login's list of return codes has no PIN_LEN_RANGE, and NSS asks again only on
        // PIN_INCORRECT.
        CardError::PinIncorrect | CardError::PinMalformed => ck::CKR_PIN_INCORRECT,
        // Clients that repeat a PIN on PIN_INCORRECT for ever stop at this one.
        CardError::PinRepeated => ck::CKR_FUNCTION_CANCELED,
        CardError::PinBlocked | CardError::PinReserved => ck::CKR_PIN_LOCKED,
        CardError::NewPinLength => ck::CKR_PIN_LEN_RANGE,
        CardError::NewPinCharacters => ck::CKR_PIN_INVALID,
        CardError::AlreadyLoggedIn => ck::CKR_USER_ALREADY_LOGGED_IN,
        CardError::NotLoggedIn | CardError::PinStale => ck::CKR_USER_NOT_LOGGED_IN,
        CardError::Removed | CardError::ChangeLost { removed: true } => ck::CKR_DEVICE_REMOVED,
        CardError::NoCard | CardError::NotJpki | CardError::Juki | CardError::Held => {
            ck::CKR_TOKEN_NOT_PRESENT
        }
        CardError::Unusable => ck::CKR_TOKEN_NOT_RECOGNIZED,
        CardError::SecretMemory => ck::CKR_HOST_MEMORY,
        CardError::ShuttingDown => ck::CKR_CRYPTOKI_NOT_INITIALIZED,
        CardError::WrongSignature
        | CardError::NoCertificate
        | CardError::Interrupted
        | CardError::Unanswered(_)
        | CardError::LeftVerified
        | CardError::ChangeLost { removed: false }
        | CardError::NoCount
        | CardError::Refused { .. }
        | CardError::Malformed(_)
        | CardError::Transport(_) => ck::CKR_DEVICE_ERROR,
    }
}
