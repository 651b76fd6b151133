//! Message digesting functions (PKCS #11, "Message digesting functions").

use cryptoki_sys::{CK_BYTE, CK_MECHANISM, CK_RV, CK_SESSION_HANDLE, CK_ULONG};

use super::boundary::call;
use super::ptr::{self, OutBuffer};
use crate::token::session::OperationKind;

/// PKCS #11, C_DigestInit. A NULL mechanism cancels (since version 3.0).
pub(super) unsafe extern "C" fn C_DigestInit(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
) -> CK_RV {
    call("C_DigestInit", |module| {
        // SAFETY: the caller's duty for pMechanism and its parameter.
        let request = unsafe { ptr::mechanism(mechanism) };
        module.session(ptr::session(session))?.digest_init(request)
    })
}

/// PKCS #11, C_Digest.
pub(super) unsafe extern "C" fn C_Digest(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    digest: *mut CK_BYTE,
    digest_len: *mut CK_ULONG,
) -> CK_RV {
    call("C_Digest", |module| {
        let session = module.session(ptr::session(session))?;
        // SAFETY: the caller's duty for pData.
        let data = unsafe { ptr::bytes(data, data_len) };
        let data = session.or_end(OperationKind::Digest, data)?;
        // SAFETY: the caller's duty for pDigest and pulDigestLen.
        let buffer = unsafe { OutBuffer::new(digest, digest_len) };
        let buffer = session.or_end(OperationKind::Digest, buffer)?;
        let output = session.digest(data, buffer.size())?;
        buffer.write(output)
    })
}

/// PKCS #11, C_DigestUpdate.
pub(super) unsafe extern "C" fn C_DigestUpdate(
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
) -> CK_RV {
    call("C_DigestUpdate", |module| {
        let session = module.session(ptr::session(session))?;
        // SAFETY: the caller's duty for pPart.
        let part = unsafe { ptr::bytes(part, part_len) };
        let part = session.or_end(OperationKind::Digest, part)?;
        session.digest_update(part)
    })
}

/// PKCS #11, C_DigestFinal.
pub(super) unsafe extern "C" fn C_DigestFinal(
    session: CK_SESSION_HANDLE,
    digest: *mut CK_BYTE,
    digest_len: *mut CK_ULONG,
) -> CK_RV {
    call("C_DigestFinal", |module| {
        let session = module.session(ptr::session(session))?;
        // SAFETY: the caller's duty for pDigest and pulDigestLen.
        let buffer = unsafe { OutBuffer::new(digest, digest_len) };
        let buffer = session.or_end(OperationKind::Digest, buffer)?;
        let output = session.digest_final(buffer.size())?;
        buffer.write(output)
    })
}
