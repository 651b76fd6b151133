//! Signing functions (PKCS #11, "Signing and MACing functions").

use cryptoki_sys::{CK_BYTE, CK_MECHANISM, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_ULONG};

use super::boundary::call;
use super::ptr::{self, OutBuffer};
use crate::token::session::OperationKind;

/// PKCS #11, C_SignInit. A NULL mechanism cancels (since version 3.0).
pub(super) unsafe extern "C" fn C_SignInit(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    call("C_SignInit", |module| {
        // SAFETY: the caller's duty for pMechanism and its parameter.
        let request = unsafe { ptr::mechanism(mechanism) };
        module.live_session(ptr::session(session))?.sign_init(request, ptr::object(key))
    })
}

/// PKCS #11, C_Sign.
pub(super) unsafe extern "C" fn C_Sign(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    signature: *mut CK_BYTE,
    signature_len: *mut CK_ULONG,
) -> CK_RV {
    call("C_Sign", |module| {
        let session = module.session(ptr::session(session))?;
        // SAFETY: the caller's duty for pData.
        let data = unsafe { ptr::bytes(data, data_len) };
        let data = session.or_end(OperationKind::Sign, data)?;
        // SAFETY: the caller's duty for pSignature and pulSignatureLen.
        let buffer = unsafe { OutBuffer::new(signature, signature_len) };
        let buffer = session.or_end(OperationKind::Sign, buffer)?;
        let output = session.sign(data, buffer.size())?;
        buffer.write(output)
    })
}

/// PKCS #11, C_SignUpdate.
pub(super) unsafe extern "C" fn C_SignUpdate(
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
) -> CK_RV {
    call("C_SignUpdate", |module| {
        let session = module.session(ptr::session(session))?;
        // SAFETY: the caller's duty for pPart.
        let part = unsafe { ptr::bytes(part, part_len) };
        let part = session.or_end(OperationKind::Sign, part)?;
        session.sign_update(part)
    })
}

/// PKCS #11, C_SignFinal.
pub(super) unsafe extern "C" fn C_SignFinal(
    session: CK_SESSION_HANDLE,
    signature: *mut CK_BYTE,
    signature_len: *mut CK_ULONG,
) -> CK_RV {
    call("C_SignFinal", |module| {
        let session = module.session(ptr::session(session))?;
        // SAFETY: the caller's duty for pSignature and pulSignatureLen.
        let buffer = unsafe { OutBuffer::new(signature, signature_len) };
        let buffer = session.or_end(OperationKind::Sign, buffer)?;
        let output = session.sign_final(buffer.size())?;
        buffer.write(output)
    })
}
