//! Operations of a session that the card has no part in: verifying and hashing.

use super::{Operation, Session};
use crate::error::Error;
use crate::handle::ObjectHandle;
use crate::token::mechanism::{Hash, MechanismRequest, SignatureMechanism};
use crate::token::output::{Output, Room};
use crate::token::sign::{DigestOperation, Message, VerifyOperation};

impl Session {
    /// PKCS #11, C_VerifyInit; without a mechanism it cancels.
    ///
    /// # Errors
    /// What is wrong with the mechanism or the key.
    pub fn verify_init(&self, request: Option<MechanismRequest<'_>>, key: ObjectHandle) -> Result<(), Error> {
        let Some(request) = request else {
            self.end(Operation::Verify);
            return Ok(());
        };
        if self.operations.lock().verify.is_some() {
            return Err(Error::OperationActive);
        }
        let mechanism = SignatureMechanism::parse(request)?;
        let key = self.token.verifying_key(key)?;
        self.token.must_offer(mechanism)?;
        let mut operations = self.operations.lock();
        if operations.verify.is_some() {
            return Err(Error::OperationActive);
        }
        operations.verify = Some(VerifyOperation { message: Message::new(mechanism), key });
        Ok(())
    }

    /// PKCS #11, C_Verify.
    ///
    /// # Errors
    /// [`Error::SignatureInvalid`] or [`Error::SignatureLenRange`], among others.
    pub fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), Error> {
        let mut operation = self.take_verify()?;
        if operation.message.in_parts() {
            return Err(Error::OperationActive);
        }
        operation.message.add(data)?;
        operation.finish(signature)
    }

    /// PKCS #11, C_VerifyUpdate.
    ///
    /// # Errors
    /// As [`Session::sign_update`].
    pub fn verify_update(&self, part: &[u8]) -> Result<(), Error> {
        let mut operations = self.operations.lock();
        let operation = operations.verify.as_mut().ok_or(Error::OperationNotInitialized)?;
        let added = operation.message.add_part(part);
        if added.is_err() {
            operations.verify = None;
        }
        added
    }

    /// PKCS #11, C_VerifyFinal.
    ///
    /// # Errors
    /// As [`Session::verify`].
    pub fn verify_final(&self, signature: &[u8]) -> Result<(), Error> {
        self.take_verify()?.finish(signature)
    }

    fn take_verify(&self) -> Result<VerifyOperation, Error> {
        self.operations.lock().verify.take().ok_or(Error::OperationNotInitialized)
    }

    /// PKCS #11, C_DigestInit; without a mechanism it cancels.
    ///
    /// # Errors
    /// What is wrong with the mechanism.
    pub fn digest_init(&self, request: Option<MechanismRequest<'_>>) -> Result<(), Error> {
        let mut operations = self.operations.lock();
        let Some(request) = request else {
            operations.digest = None;
            return Ok(());
        };
        if operations.digest.is_some() {
            return Err(Error::OperationActive);
        }
        let hash = Hash::parse(request)?;
        operations.digest = Some(DigestOperation { hash, hasher: hash.hasher(), in_parts: false });
        Ok(())
    }

    /// PKCS #11, C_Digest.
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`] or, after parts were given, [`Error::OperationActive`].
    pub fn digest(&self, data: &[u8], room: Room) -> Result<Output, Error> {
        let mut operations = self.operations.lock();
        let operation = operations.digest.as_ref().ok_or(Error::OperationNotInitialized)?;
        if operation.in_parts {
            operations.digest = None;
            return Err(Error::OperationActive);
        }
        if let Some(refusal) = room.refusal(operation.hash.length()) {
            return Ok(refusal);
        }
        let mut operation = operations.digest.take().ok_or(Error::OperationNotInitialized)?;
        operation.hasher.update(data);
        Ok(Output::Bytes(operation.hasher.finish()))
    }

    /// PKCS #11, C_DigestUpdate.
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub fn digest_update(&self, part: &[u8]) -> Result<(), Error> {
        let mut operations = self.operations.lock();
        let operation = operations.digest.as_mut().ok_or(Error::OperationNotInitialized)?;
        operation.in_parts = true;
        operation.hasher.update(part);
        Ok(())
    }

    /// PKCS #11, C_DigestFinal.
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub fn digest_final(&self, room: Room) -> Result<Output, Error> {
        let mut operations = self.operations.lock();
        let operation = operations.digest.as_ref().ok_or(Error::OperationNotInitialized)?;
        if let Some(refusal) = room.refusal(operation.hash.length()) {
            return Ok(refusal);
        }
        let operation = operations.digest.take().ok_or(Error::OperationNotInitialized)?;
        Ok(Output::Bytes(operation.hasher.finish()))
    }
}
