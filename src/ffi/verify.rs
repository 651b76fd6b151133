//! Functions for verifying signatures (PKCS #11, "Functions for verifying signatures and MACs").

use cryptoki_sys::{CK_BYTE, CK_MECHANISM, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_ULONG};

use super::boundary::call;
use super::ptr;
use crate::token::session::OperationKind;

/// PKCS #11, C_VerifyInit. A NULL mechanism cancels (since version 3.0).
pub(super) unsafe extern "C" fn C_VerifyInit(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    call("C_VerifyInit", |module| {
        // SAFETY: the caller's duty for pMechanism and its parameter.
        let request = unsafe { ptr::mechanism(mechanism) };
        module.session(ptr::session(session))?.verify_init(request, ptr::object(key))
    })
}

/// PKCS #11, C_Verify.
pub(super) unsafe extern "C" fn C_Verify(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    signature: *mut CK_BYTE,
    signature_len: CK_ULONG,
) -> CK_RV {
    call("C_Verify", |module| {
        let session = module.session(ptr::session(session))?;
        // SAFETY: the caller's duty for pData.
        let data = unsafe { ptr::bytes(data, data_len) };
        let data = session.or_end(OperationKind::Verify, data)?;
        // SAFETY: the caller's duty for pSignature.
        let signature = unsafe { ptr::bytes(signature, signature_len) };
        let signature = session.or_end(OperationKind::Verify, signature)?;
        session.verify(data, signature)
    })
}

/// PKCS #11, C_VerifyUpdate.
pub(super) unsafe extern "C" fn C_VerifyUpdate(
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
) -> CK_RV {
    call("C_VerifyUpdate", |module| {
        let session = module.session(ptr::session(session))?;
        // SAFETY: the caller's duty for pPart.
        let part = unsafe { ptr::bytes(part, part_len) };
        let part = session.or_end(OperationKind::Verify, part)?;
        session.verify_update(part)
    })
}

/// PKCS #11, C_VerifyFinal.
pub(super) unsafe extern "C" fn C_VerifyFinal(
    session: CK_SESSION_HANDLE,
    signature: *mut CK_BYTE,
    signature_len: CK_ULONG,
) -> CK_RV {
    call("C_VerifyFinal", |module| {
        let session = module.session(ptr::session(session))?;
        // SAFETY: the caller's duty for pSignature.
        let signature = unsafe { ptr::bytes(signature, signature_len) };
        let signature = session.or_end(OperationKind::Verify, signature)?;
        session.verify_final(signature)
    })
}
