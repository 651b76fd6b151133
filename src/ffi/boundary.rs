//! What every call from C passes through: the log, the panic barrier and the step from [`Error`] to
//! `CK_RV`.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::atomic::{AtomicBool, Ordering};

use cryptoki_sys as ck;
use log::{debug, error};

use super::global;
use crate::error::Error;
use crate::module::Module;
use crate::os::UncancellableThread;

/// Runs one function of the tables. A panic does not leave it: it becomes `CKR_GENERAL_ERROR`. A
/// cancellation of the thread (pthread_cancel(3)) waits until it is over: in the middle it would
/// end the host, or leave the card open.
pub(super) fn entry(name: &'static str, work: impl FnOnce() -> Result<(), Error>) -> ck::CK_RV {
    // Ends last: after that the library may be unloaded.
    let Some(under_way) = global::CallUnderWay::begin() else {
        return ck::CKR_CRYPTOKI_NOT_INITIALIZED;
    };
    let _uncancellable = UncancellableThread::new();
    under_way.keep_library();
    // Unwind safety: what a panic can leave half-done is state behind locks, and those are
    // parking_lot's, which do not poison; the layers below compute first and commit last.
    catch_unwind(AssertUnwindSafe(|| {
        debug!("{name}");
        let value = work().map_or_else(Error::return_value, |()| ck::CKR_OK);
        debug!("{name}: {}", return_name(value));
        value
    }))
    .unwrap_or(ck::CKR_GENERAL_ERROR)
}

/// Runs one function that needs the module to be initialized: that is checked before anything else.
pub(super) fn call(name: &'static str, work: impl FnOnce(&Module) -> Result<(), Error>) -> ck::CK_RV {
    entry(name, || work(&*global::module()?))
}

/// From now on a panic goes to the log instead of to standard error, which belongs to the host.
///
/// A cdylib has a standard library of its own, so the host's panics are not affected. Only the
/// place is logged: a message may quote data. Done once: the standard library changes the hook
/// under a lock, and a child of a fork would wait for ever for a lock that was held at that moment.
pub(super) fn log_panics() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::Relaxed) {
        set_hook(Box::new(|panic| match panic.location() {
            Some(place) => error!("panic at {place}"),
            None => error!("panic"),
        }));
    }
}

/// Defines `return_name`.
macro_rules! return_names {
    ($($name:ident)*) => {
        /// The standard's name for a value that this module returns.
        fn return_name(value: ck::CK_RV) -> &'static str {
            match value {
                $(ck::$name => stringify!($name),)*
                _ => "a value without a name here",
            }
        }
    };
}

return_names! {
    CKR_OK CKR_ARGUMENTS_BAD CKR_ATTRIBUTE_SENSITIVE CKR_ATTRIBUTE_TYPE_INVALID CKR_BUFFER_TOO_SMALL
    CKR_CANT_LOCK CKR_CRYPTOKI_ALREADY_INITIALIZED CKR_CRYPTOKI_NOT_INITIALIZED CKR_DATA_LEN_RANGE
    CKR_DEVICE_ERROR CKR_DEVICE_REMOVED CKR_FUNCTION_CANCELED CKR_FUNCTION_NOT_PARALLEL
    CKR_FUNCTION_NOT_SUPPORTED CKR_GENERAL_ERROR CKR_HOST_MEMORY CKR_KEY_FUNCTION_NOT_PERMITTED
    CKR_KEY_HANDLE_INVALID CKR_MECHANISM_INVALID CKR_MECHANISM_PARAM_INVALID CKR_NO_EVENT
    CKR_OBJECT_HANDLE_INVALID CKR_OPERATION_ACTIVE CKR_OPERATION_NOT_INITIALIZED CKR_PIN_INCORRECT
    CKR_PIN_INVALID CKR_PIN_LEN_RANGE CKR_PIN_LOCKED CKR_RANDOM_NO_RNG
    CKR_SESSION_ASYNC_NOT_SUPPORTED CKR_SESSION_COUNT CKR_SESSION_HANDLE_INVALID
    CKR_SESSION_PARALLEL_NOT_SUPPORTED CKR_SESSION_READ_ONLY CKR_SIGNATURE_INVALID
    CKR_SIGNATURE_LEN_RANGE CKR_SLOT_ID_INVALID CKR_TOKEN_NOT_PRESENT CKR_TOKEN_NOT_RECOGNIZED
    CKR_USER_ALREADY_LOGGED_IN CKR_USER_NOT_LOGGED_IN CKR_USER_TYPE_INVALID
}
