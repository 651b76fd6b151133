//! Random number generation functions (PKCS #11, "Random number generation functions").
//!
//! The card has random bytes, and the token does not claim them: NSS and OpenSSL's provider fetch
//! some at each start from a token that does, and a host has better ones.

use cryptoki_sys::{CK_BYTE, CK_RV, CK_SESSION_HANDLE, CK_ULONG};

use super::boundary::call;
use super::ptr::{self, OutList};
use crate::error::Error;

/// PKCS #11, C_SeedRandom.
pub(super) unsafe extern "C" fn C_SeedRandom(
    session: CK_SESSION_HANDLE,
    seed: *mut CK_BYTE,
    seed_len: CK_ULONG,
) -> CK_RV {
    call("C_SeedRandom", |module| {
        module.session(ptr::session(session))?;
        // SAFETY: the caller's duty for pSeed.
        unsafe { ptr::bytes(seed, seed_len) }?;
        Err(Error::RandomNoRng)
    })
}

/// PKCS #11, C_GenerateRandom.
pub(super) unsafe extern "C" fn C_GenerateRandom(
    session: CK_SESSION_HANDLE,
    random_data: *mut CK_BYTE,
    random_len: CK_ULONG,
) -> CK_RV {
    call("C_GenerateRandom", |module| {
        module.session(ptr::session(session))?;
        // SAFETY: the caller's duty for RandomData.
        unsafe { OutList::new(random_data, random_len) }?;
        Err(Error::RandomNoRng)
    })
}
