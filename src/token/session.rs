//! A session: which token it is on, and the operations that go on in it.
//!
//! Whether the session's user is logged in is the token's to say; nothing of it is stored here. An
//! operation is taken out of the session before the card is asked, so that no lock is held
//! meanwhile.

use std::sync::Arc;

use cryptoki_sys as ck;
use parking_lot::Mutex;

use super::Token;
use super::attribute::{AttributeAnswers, AttributeQuery};
use super::mechanism::MechanismRequest;
use super::operation::{Digesting, Operation, Signature, Slot, Verifying};
use super::output::{BufferSize, Output};
use super::template::TemplateEntry;
use crate::error::Error;
use crate::handle::{ObjectHandle, SlotId};
use crate::jpki::pin::PinEntry;
use crate::manager::Authorization;

/// A session on a token.
pub struct Session {
    token: Arc<Token>,
    slot: SlotId,
    read_write: bool,
    find: Mutex<Option<std::vec::IntoIter<ObjectHandle>>>,
    sign: Slot<Signature>,
    verify: Slot<Verifying>,
    digest: Slot<Digesting>,
}

/// A kind of operation that gathers data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// `C_Sign*`.
    Sign,
    /// `C_Verify*`.
    Verify,
    /// `C_Digest*`.
    Digest,
}

impl Session {
    /// A session on a token.
    #[must_use]
    pub fn new(token: Arc<Token>, slot: SlotId, read_write: bool) -> Self {
        Self {
            token,
            slot,
            read_write,
            find: Mutex::default(),
            sign: Slot::default(),
            verify: Slot::default(),
            digest: Slot::default(),
        }
    }

    /// The token it is on.
    #[must_use]
    pub fn token(&self) -> &Arc<Token> {
        &self.token
    }

    /// The slot it was opened on.
    #[must_use]
    pub fn slot(&self) -> SlotId {
        self.slot
    }

    /// Whether it was opened for reading and writing.
    #[must_use]
    pub fn is_read_write(&self) -> bool {
        self.read_write
    }

    /// PKCS #11, C_GetSessionInfo: the state follows from the login and the kind of session.
    #[must_use]
    pub fn info(&self) -> ck::CK_SESSION_INFO {
        let (state, flags) = match (self.read_write, self.token.is_logged_in()) {
            (false, false) => (ck::CKS_RO_PUBLIC_SESSION, 0),
            (false, true) => (ck::CKS_RO_USER_FUNCTIONS, 0),
            (true, false) => (ck::CKS_RW_PUBLIC_SESSION, ck::CKF_RW_SESSION),
            (true, true) => (ck::CKS_RW_USER_FUNCTIONS, ck::CKF_RW_SESSION),
        };
        #[allow(
            clippy::useless_conversion,
            clippy::unnecessary_fallible_conversions,
            reason = "CK_ULONG has 32 bits on some machines"
        )]
        let slot_id = self.slot.raw().try_into().unwrap_or(ck::CK_UNAVAILABLE_INFORMATION);
        ck::CK_SESSION_INFO {
            slotID: slot_id,
            state,
            flags: flags | ck::CKF_SERIAL_SESSION,
            ulDeviceError: 0,
        }
    }

    /// PKCS #11, C_Login.
    ///
    /// # Errors
    /// [`Error::UserAlreadyLoggedIn`], [`Error::UserTypeInvalid`], and
    /// [`Error::OperationNotInitialized`] for a login for one signature where none was begun or
    /// none asks for it, without looking at the PIN; otherwise what the card says of it.
    pub fn login(&self, user: ck::CK_USER_TYPE, pin: PinEntry<'_>) -> Result<(), Error> {
        let (manager, of) = (self.token.manager(), self.token.credential());
        match user {
            ck::CKU_USER if self.token.is_logged_in() => Err(Error::UserAlreadyLoggedIn),
            ck::CKU_USER => Ok(manager.log_in(of, pin)?),
            ck::CKU_CONTEXT_SPECIFIC => {
                let asked = manager.settings().asks_each_time(of.credential);
                let operation = self.sign.identity().filter(|_| asked);
                let operation = operation.ok_or(Error::OperationNotInitialized)?;
                let login = manager.log_in_once(of, pin)?;
                // Another thread may have begun another signature meanwhile, which this PIN was not
                // given for.
                if self.sign.attach(&operation, login) { Ok(()) } else { Err(Error::OperationNotInitialized) }
            }
            // There is no security officer: the municipal office plays that part.
            _ => Err(Error::UserTypeInvalid),
        }
    }

    /// PKCS #11, C_Logout.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`].
    pub fn logout(&self) -> Result<(), Error> {
        if !self.token.is_logged_in() {
            return Err(Error::UserNotLoggedIn);
        }
        self.token.credential().log_out();
        Ok(())
    }

    /// PKCS #11, C_SetPIN.
    ///
    /// # Errors
    /// [`Error::SessionReadOnly`], or what is wrong with one of the PINs.
    pub fn set_pin(&self, old: PinEntry<'_>, new: PinEntry<'_>) -> Result<(), Error> {
        if !self.read_write {
            return Err(Error::SessionReadOnly);
        }
        Ok(self.token.manager().change_pin(self.token.credential(), old, new)?)
    }

    /// PKCS #11, C_GetAttributeValue.
    ///
    /// # Errors
    /// [`Error::ObjectHandleInvalid`]; errors of single attributes are in the answer.
    pub fn attributes(
        &self,
        object: ObjectHandle,
        queries: &[AttributeQuery],
    ) -> Result<AttributeAnswers, Error> {
        self.token.attributes(object, queries)
    }

    /// PKCS #11, C_GetObjectSize: the bytes of all attributes together.
    ///
    /// # Errors
    /// [`Error::ObjectHandleInvalid`].
    pub fn object_size(&self, object: ObjectHandle) -> Result<usize, Error> {
        self.token.object_size(object)
    }

    /// PKCS #11, C_FindObjectsInit: the result is fixed now.
    ///
    /// # Errors
    /// [`Error::OperationActive`], or when the card does not answer.
    pub fn find_objects_init(&self, template: &[TemplateEntry<'_>]) -> Result<(), Error> {
        if self.find.lock().is_some() {
            return Err(Error::OperationActive);
        }
        let found = self.token.find(template)?;
        let mut find = self.find.lock();
        if find.is_some() {
            return Err(Error::OperationActive);
        }
        *find = Some(found.into_iter());
        Ok(())
    }

    /// PKCS #11, C_FindObjects. A logout since the search began takes the private objects out of
    /// it.
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub fn find_objects(&self, max: usize) -> Result<Vec<ObjectHandle>, Error> {
        let mut find = self.find.lock();
        let find = find.as_mut().ok_or(Error::OperationNotInitialized)?;
        Ok(find.filter(|handle| self.token.may_see(*handle)).take(max).collect())
    }

    /// PKCS #11, C_FindObjectsFinal.
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub fn find_objects_final(&self) -> Result<(), Error> {
        self.find.lock().take().map(drop).ok_or(Error::OperationNotInitialized)
    }

    /// PKCS #11, C_SignInit; without a mechanism it cancels (v3.0), and cancelling nothing is no
    /// error.
    ///
    /// # Errors
    /// What is wrong with the mechanism or the key.
    pub fn sign_init(&self, request: Option<MechanismRequest<'_>>, key: ObjectHandle) -> Result<(), Error> {
        let Some(request) = request else {
            self.sign.end();
            return Ok(());
        };
        self.sign.begin(|| {
            let (scheme, hash) = request.signature()?;
            let key = self.token.signing_key(key)?;
            self.token.must_offer(scheme)?;
            Ok(Operation::sign(Signature { scheme, hash, key, context_login: None }))
        })
    }

    /// PKCS #11, C_Sign.
    ///
    /// # Errors
    /// [`Error::OperationActive`] after parts were given; what is wrong with the data; what the
    /// card says.
    pub fn sign(&self, data: &[u8], buffer: BufferSize) -> Result<Output, Error> {
        self.sign
            .take_with(data, buffer)
            .map_or_else(|refused| refused, |operation| self.finish_sign(operation))
    }

    /// PKCS #11, C_SignUpdate.
    ///
    /// # Errors
    /// [`Error::DataLenRange`] when the data cannot be signed any more; the operation has ended
    /// then.
    pub fn sign_update(&self, part: &[u8]) -> Result<(), Error> {
        self.sign.update(part)
    }

    /// PKCS #11, C_SignFinal.
    ///
    /// # Errors
    /// As [`Session::sign`].
    pub fn sign_final(&self, buffer: BufferSize) -> Result<Output, Error> {
        self.sign.take(buffer).map_or_else(|refused| refused, |operation| self.finish_sign(operation))
    }

    /// Lets the card sign. The login for it is spent with the operation, whatever becomes of it.
    fn finish_sign(&self, operation: Operation<Signature>) -> Result<Output, Error> {
        let (manager, of) = (self.token.manager(), self.token.credential());
        let (input, context_login) = operation.finish()?;
        let authorization = match &context_login {
            Some(login) => Authorization::Once(login),
            None if manager.settings().asks_each_time(of.credential) => return Err(Error::UserNotLoggedIn),
            None => Authorization::Login,
        };
        Ok(Output::Bytes(manager.sign(of, input.as_message(), authorization)?))
    }

    /// PKCS #11, C_VerifyInit; without a mechanism it cancels.
    ///
    /// # Errors
    /// What is wrong with the mechanism or the key.
    pub fn verify_init(&self, request: Option<MechanismRequest<'_>>, key: ObjectHandle) -> Result<(), Error> {
        let Some(request) = request else {
            self.verify.end();
            return Ok(());
        };
        self.verify.begin(|| {
            let (scheme, hash) = request.signature()?;
            let key = self.token.verifying_key(key)?;
            self.token.must_offer(scheme)?;
            Ok(Operation::verify(Signature { scheme, hash, key, context_login: None }))
        })
    }

    /// PKCS #11, C_Verify.
    ///
    /// # Errors
    /// [`Error::SignatureInvalid`] or [`Error::SignatureLenRange`], among others.
    pub fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), Error> {
        let operation = self.verify.take_with(data, BufferSize::Query);
        operation.map_or_else(|refused| refused.map(drop), |operation| operation.finish(signature))
    }

    /// PKCS #11, C_VerifyUpdate.
    ///
    /// # Errors
    /// As [`Session::sign_update`].
    pub fn verify_update(&self, part: &[u8]) -> Result<(), Error> {
        self.verify.update(part)
    }

    /// PKCS #11, C_VerifyFinal.
    ///
    /// # Errors
    /// As [`Session::verify`].
    pub fn verify_final(&self, signature: &[u8]) -> Result<(), Error> {
        let operation = self.verify.take(BufferSize::Query);
        operation.map_or_else(|refused| refused.map(drop), |operation| operation.finish(signature))
    }

    /// PKCS #11, C_DigestInit; without a mechanism it cancels.
    ///
    /// # Errors
    /// What is wrong with the mechanism.
    pub fn digest_init(&self, request: Option<MechanismRequest<'_>>) -> Result<(), Error> {
        let Some(request) = request else {
            self.digest.end();
            return Ok(());
        };
        self.digest.begin(|| Ok(Operation::digest(request.digest()?)))
    }

    /// PKCS #11, C_Digest.
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`] or, after parts were given, [`Error::OperationActive`].
    pub fn digest(&self, data: &[u8], buffer: BufferSize) -> Result<Output, Error> {
        let operation = self.digest.take_with(data, buffer);
        operation.map_or_else(|refused| refused, |operation| Ok(Output::Bytes(operation.finish())))
    }

    /// PKCS #11, C_DigestUpdate.
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub fn digest_update(&self, part: &[u8]) -> Result<(), Error> {
        self.digest.update(part)
    }

    /// PKCS #11, C_DigestFinal.
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub fn digest_final(&self, buffer: BufferSize) -> Result<Output, Error> {
        let operation = self.digest.take(buffer);
        operation.map_or_else(|refused| refused, |operation| Ok(Output::Bytes(operation.finish())))
    }

    /// Passes on what the views of a call's arguments gave; when they failed, the operation ends:
    /// any error but `CKR_BUFFER_TOO_SMALL` ends it (PKCS #11, C_Sign).
    ///
    /// # Errors
    /// Those of the views.
    pub fn or_end<T>(&self, operation: OperationKind, views: Result<T, Error>) -> Result<T, Error> {
        views.inspect_err(|_| match operation {
            OperationKind::Sign => self.sign.end(),
            OperationKind::Verify => self.verify.end(),
            OperationKind::Digest => self.digest.end(),
        })
    }

    /// PKCS #11, C_SessionCancel: ends what the flags name. What is not going on, or unknown, is
    /// ignored.
    pub fn cancel(&self, flags: ck::CK_FLAGS) {
        if flags & ck::CKF_FIND_OBJECTS != 0 {
            *self.find.lock() = None;
        }
        if flags & ck::CKF_SIGN != 0 {
            self.sign.end();
        }
        if flags & ck::CKF_VERIFY != 0 {
            self.verify.end();
        }
        if flags & ck::CKF_DIGEST != 0 {
            self.digest.end();
        }
    }
}
