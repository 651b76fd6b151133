//! Signing functions (PKCS #11, "Signing and MACing functions").

use cryptoki_sys::{CK_BYTE, CK_MECHANISM, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_ULONG};

use super::boundary::{call, or_end};
use super::ptr::{self, OutBuffer};
use crate::token::session::Operation;

/// PKCS #11, C_SignInit. A NULL mechanism cancels (since version 3.0).
pub(super) unsafe extern "C" fn C_SignInit(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    call("C_SignInit", |module| {
        // SAFETY: the caller's duty for pMechanism and its parameter.
        let request = unsafe { ptr::mechanism(mechanism) };
        module.sign_init(ptr::session(session), request, ptr::object(key))
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
        let session = ptr::session(session);
        // SAFETY: the caller's duty for pData.
        let data = unsafe { ptr::bytes(data, data_len) };
        let data = or_end(module, session, Operation::Sign, data)?;
        // SAFETY: the caller's duty for pSignature and pulSignatureLen.
        let buffer = unsafe { OutBuffer::new(signature, signature_len) };
        let buffer = or_end(module, session, Operation::Sign, buffer)?;
        let output = module.sign(session, data, buffer.room())?;
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
        let session = ptr::session(session);
        // SAFETY: the caller's duty for pPart.
        let part = unsafe { ptr::bytes(part, part_len) };
        let part = or_end(module, session, Operation::Sign, part)?;
        module.sign_update(session, part)
    })
}

/// PKCS #11, C_SignFinal.
pub(super) unsafe extern "C" fn C_SignFinal(
    session: CK_SESSION_HANDLE,
    signature: *mut CK_BYTE,
    signature_len: *mut CK_ULONG,
) -> CK_RV {
    call("C_SignFinal", |module| {
        let session = ptr::session(session);
        // SAFETY: the caller's duty for pSignature and pulSignatureLen.
        let buffer = unsafe { OutBuffer::new(signature, signature_len) };
        let buffer = or_end(module, session, Operation::Sign, buffer)?;
        let output = module.sign_final(session, buffer.room())?;
        buffer.write(output)
    })
}
