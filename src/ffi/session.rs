//! Session management functions (PKCS #11, "Session management functions").

use cryptoki_sys as ck;
use cryptoki_sys::{CK_FLAGS, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CK_ULONG, CK_USER_TYPE, CK_UTF8CHAR};

use super::boundary::call;
use super::ptr::{self, Out};
use crate::error::Error;

/// PKCS #11, C_OpenSession. Nothing is ever notified: surrender callbacks are a thing of parallel
/// sessions, and removal callbacks are optional.
pub(super) unsafe extern "C" fn C_OpenSession(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    _application: ck::CK_VOID_PTR,
    _notify: ck::CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    call("C_OpenSession", |module| {
        // SAFETY: the caller's duty for phSession.
        let session = unsafe { Out::new(session) }?;
        session.write(ptr::ulong(module.open_session(ptr::slot(slot), flags)?.raw()));
        Ok(())
    })
}

/// PKCS #11, C_CloseSession.
pub(super) extern "C" fn C_CloseSession(session: CK_SESSION_HANDLE) -> CK_RV {
    call("C_CloseSession", |module| module.close_session(ptr::session(session)))
}

/// PKCS #11, C_CloseAllSessions.
pub(super) extern "C" fn C_CloseAllSessions(slot: CK_SLOT_ID) -> CK_RV {
    call("C_CloseAllSessions", |module| module.close_all_sessions(ptr::slot(slot)))
}

/// PKCS #11, C_GetSessionInfo.
pub(super) unsafe extern "C" fn C_GetSessionInfo(
    session: CK_SESSION_HANDLE,
    info: *mut ck::CK_SESSION_INFO,
) -> CK_RV {
    call("C_GetSessionInfo", |module| {
        // SAFETY: the caller's duty for pInfo.
        let info = unsafe { Out::new(info) }?;
        info.write(module.polled_session(ptr::session(session))?.info());
        Ok(())
    })
}

/// PKCS #11, C_SessionCancel.
pub(super) extern "C" fn C_SessionCancel(session: CK_SESSION_HANDLE, flags: CK_FLAGS) -> CK_RV {
    call("C_SessionCancel", |module| {
        module.session(ptr::session(session))?.cancel(flags);
        Ok(())
    })
}

/// PKCS #11, C_GetSessionValidationFlags. No operation of this token is of a validated kind, and
/// flags of a type that a token does not know are 0 as well.
pub(super) unsafe extern "C" fn C_GetSessionValidationFlags(
    session: CK_SESSION_HANDLE,
    _kind: ck::CK_SESSION_VALIDATION_FLAGS_TYPE,
    flags: *mut CK_FLAGS,
) -> CK_RV {
    call("C_GetSessionValidationFlags", |module| {
        // SAFETY: the caller's duty for pFlags.
        let flags = unsafe { Out::new(flags) }?;
        module.session(ptr::session(session))?;
        flags.write(0);
        Ok(())
    })
}

/// PKCS #11, C_Login.
pub(super) unsafe extern "C" fn C_Login(
    session: CK_SESSION_HANDLE,
    user_type: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    pin_len: CK_ULONG,
) -> CK_RV {
    call("C_Login", |module| {
        // SAFETY: the caller's duty for pPin.
        let pin = unsafe { ptr::pin(pin, pin_len) }?;
        module.login(ptr::session(session), user_type, pin)
    })
}

/// PKCS #11, C_LoginUser. Without a name it is C_Login; the users of this token have no names, so
/// with a name it is a function that the token does not have.
pub(super) unsafe extern "C" fn C_LoginUser(
    session: CK_SESSION_HANDLE,
    user_type: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    pin_len: CK_ULONG,
    username: *mut CK_UTF8CHAR,
    username_len: CK_ULONG,
) -> CK_RV {
    call("C_LoginUser", |module| {
        // SAFETY: the caller's duty for pPin.
        let pin = unsafe { ptr::pin(pin, pin_len) }?;
        // SAFETY: the caller's duty for pUsername.
        let name = unsafe { ptr::bytes(username, username_len) }?;
        if !name.is_empty() {
            return Err(Error::FunctionNotSupported);
        }
        module.login(ptr::session(session), user_type, pin)
    })
}

/// PKCS #11, C_Logout.
pub(super) extern "C" fn C_Logout(session: CK_SESSION_HANDLE) -> CK_RV {
    call("C_Logout", |module| module.session(ptr::session(session))?.logout())
}
