//! Random number generation functions (PKCS #11, "Random number generation functions").
//!
//! Here the session is checked before the pointers: conformance tests pass both bad.

use cryptoki_sys::{CK_BYTE, CK_RV, CK_SESSION_HANDLE, CK_ULONG};

use super::boundary::call;
use super::ptr::{self, OutList};

/// PKCS #11, C_SeedRandom.
pub(super) unsafe extern "C" fn C_SeedRandom(
    session: CK_SESSION_HANDLE,
    seed: *mut CK_BYTE,
    seed_len: CK_ULONG,
) -> CK_RV {
    call("C_SeedRandom", |module| {
        let session = ptr::session(session);
        module.check_session(session)?;
        // SAFETY: the caller's duty for pSeed.
        let seed = unsafe { ptr::bytes(seed, seed_len) }?;
        module.seed_random(session, seed)
    })
}

/// PKCS #11, C_GenerateRandom.
pub(super) unsafe extern "C" fn C_GenerateRandom(
    session: CK_SESSION_HANDLE,
    random_data: *mut CK_BYTE,
    random_len: CK_ULONG,
) -> CK_RV {
    call("C_GenerateRandom", |module| {
        let session = ptr::session(session);
        module.check_session(session)?;
        // SAFETY: the caller's duty for RandomData.
        let buffer = unsafe { OutList::new(random_data, random_len) }?;
        let random = module.generate_random(session, buffer.room())?;
        buffer.write(&random);
        Ok(())
    })
}
