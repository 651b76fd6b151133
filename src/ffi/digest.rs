//! Message digesting functions (PKCS #11, "Message digesting functions").

use cryptoki_sys::{CK_BYTE, CK_MECHANISM, CK_RV, CK_SESSION_HANDLE, CK_ULONG};

use super::boundary::{call, or_end};
use super::ptr::{self, OutBuffer};
use crate::token::session::Operation;

/// PKCS #11, C_DigestInit. A NULL mechanism cancels (since version 3.0).
pub(super) unsafe extern "C" fn C_DigestInit(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
) -> CK_RV {
    call("C_DigestInit", |module| {
        // SAFETY: the caller's duty for pMechanism and its parameter.
        let request = unsafe { ptr::mechanism(mechanism) };
        module.digest_init(ptr::session(session), request)
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
        let session = ptr::session(session);
        // SAFETY: the caller's duty for pData.
        let data = unsafe { ptr::bytes(data, data_len) };
        let data = or_end(module, session, Operation::Digest, data)?;
        // SAFETY: the caller's duty for pDigest and pulDigestLen.
        let buffer = unsafe { OutBuffer::new(digest, digest_len) };
        let buffer = or_end(module, session, Operation::Digest, buffer)?;
        let output = module.digest(session, data, buffer.room())?;
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
        let session = ptr::session(session);
        // SAFETY: the caller's duty for pPart.
        let part = unsafe { ptr::bytes(part, part_len) };
        let part = or_end(module, session, Operation::Digest, part)?;
        module.digest_update(session, part)
    })
}

/// PKCS #11, C_DigestFinal.
pub(super) unsafe extern "C" fn C_DigestFinal(
    session: CK_SESSION_HANDLE,
    digest: *mut CK_BYTE,
    digest_len: *mut CK_ULONG,
) -> CK_RV {
    call("C_DigestFinal", |module| {
        let session = ptr::session(session);
        // SAFETY: the caller's duty for pDigest and pulDigestLen.
        let buffer = unsafe { OutBuffer::new(digest, digest_len) };
        let buffer = or_end(module, session, Operation::Digest, buffer)?;
        let output = module.digest_final(session, buffer.room())?;
        buffer.write(output)
    })
}
