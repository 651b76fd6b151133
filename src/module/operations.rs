//! The functions that sign, verify, hash and bring random bytes.

use super::Module;
use crate::error::Error;
use crate::handle::{ObjectHandle, SessionHandle};
use crate::token::mechanism::MechanismRequest;
use crate::token::output::{Output, Room};
use crate::token::session::Operation;
#[cfg(doc)]
use crate::token::session::Session;

impl Module {
    /// PKCS #11, C_SignInit.
    ///
    /// # Errors
    /// See [`Session::sign_init`].
    pub fn sign_init(
        &self,
        session: SessionHandle,
        request: Option<MechanismRequest<'_>>,
        key: ObjectHandle,
    ) -> Result<(), Error> {
        self.live_session(session)?.sign_init(request, key)
    }

    /// PKCS #11, C_Sign.
    ///
    /// # Errors
    /// See [`Session::sign`].
    pub fn sign(&self, session: SessionHandle, data: &[u8], room: Room) -> Result<Output, Error> {
        self.session(session)?.sign(data, room)
    }

    /// PKCS #11, C_SignUpdate.
    ///
    /// # Errors
    /// See [`Session::sign_update`].
    pub fn sign_update(&self, session: SessionHandle, part: &[u8]) -> Result<(), Error> {
        self.session(session)?.sign_update(part)
    }

    /// PKCS #11, C_SignFinal.
    ///
    /// # Errors
    /// See [`Session::sign_final`].
    pub fn sign_final(&self, session: SessionHandle, room: Room) -> Result<Output, Error> {
        self.session(session)?.sign_final(room)
    }

    /// PKCS #11, C_VerifyInit.
    ///
    /// # Errors
    /// See [`Session::verify_init`].
    pub fn verify_init(
        &self,
        session: SessionHandle,
        request: Option<MechanismRequest<'_>>,
        key: ObjectHandle,
    ) -> Result<(), Error> {
        self.session(session)?.verify_init(request, key)
    }

    /// PKCS #11, C_Verify.
    ///
    /// # Errors
    /// See [`Session::verify`].
    pub fn verify(&self, session: SessionHandle, data: &[u8], signature: &[u8]) -> Result<(), Error> {
        self.session(session)?.verify(data, signature)
    }

    /// PKCS #11, C_VerifyUpdate.
    ///
    /// # Errors
    /// See [`Session::verify_update`].
    pub fn verify_update(&self, session: SessionHandle, part: &[u8]) -> Result<(), Error> {
        self.session(session)?.verify_update(part)
    }

    /// PKCS #11, C_VerifyFinal.
    ///
    /// # Errors
    /// See [`Session::verify_final`].
    pub fn verify_final(&self, session: SessionHandle, signature: &[u8]) -> Result<(), Error> {
        self.session(session)?.verify_final(signature)
    }

    /// PKCS #11, C_DigestInit.
    ///
    /// # Errors
    /// See [`Session::digest_init`].
    pub fn digest_init(
        &self,
        session: SessionHandle,
        request: Option<MechanismRequest<'_>>,
    ) -> Result<(), Error> {
        self.session(session)?.digest_init(request)
    }

    /// PKCS #11, C_Digest.
    ///
    /// # Errors
    /// See [`Session::digest`].
    pub fn digest(&self, session: SessionHandle, data: &[u8], room: Room) -> Result<Output, Error> {
        self.session(session)?.digest(data, room)
    }

    /// PKCS #11, C_DigestUpdate.
    ///
    /// # Errors
    /// See [`Session::digest_update`].
    pub fn digest_update(&self, session: SessionHandle, part: &[u8]) -> Result<(), Error> {
        self.session(session)?.digest_update(part)
    }

    /// PKCS #11, C_DigestFinal.
    ///
    /// # Errors
    /// See [`Session::digest_final`].
    pub fn digest_final(&self, session: SessionHandle, room: Room) -> Result<Output, Error> {
        self.session(session)?.digest_final(room)
    }

    /// Ends an operation whose call had arguments that no caller may pass: any error ends it.
    pub fn end_operation(&self, session: SessionHandle, operation: Operation) {
        if let Ok(session) = self.session(session) {
            session.end(operation);
        }
    }

    /// PKCS #11, C_SeedRandom. The card takes no seed; it is mixed in here.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`].
    pub fn seed_random(&self, session: SessionHandle, seed: &[u8]) -> Result<(), Error> {
        self.session(session)?.seed_random(seed);
        Ok(())
    }

    /// PKCS #11, C_GenerateRandom, from the card.
    ///
    /// # Errors
    /// [`Error::HostMemory`], or when the card does not answer.
    pub fn generate_random(&self, session: SessionHandle, length: usize) -> Result<Vec<u8>, Error> {
        let session = self.live_session(session)?;
        // The length is the caller's word: an allocation that fails must not end the host.
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| Error::HostMemory)?;
        bytes.resize(length, 0);
        session.random(&mut bytes)?;
        Ok(bytes)
    }
}
