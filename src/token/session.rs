//! A session: which token it is on, and the operations that go on in it.
//!
//! Whether the session's user is logged in is the token's to say; nothing of it is stored here. An operation is taken
//! out of the session before the card is asked, so that no lock is held meanwhile.

mod software;

use std::sync::Arc;

use cryptoki_sys as ck;
use parking_lot::Mutex;

use super::Token;
use super::attribute::{AttributeAnswers, AttributeQuery};
use super::mechanism::{MechanismRequest, SignatureMechanism};
use super::output::{Output, Room};
use super::sign::{DigestOperation, Message, SignOperation, VerifyOperation};
use super::template::TemplateEntry;
use crate::error::Error;
use crate::handle::{ObjectHandle, SlotId};
use crate::jpki::pin::PinEntry;
use crate::jpki::public_key::SIGNATURE_LENGTH;
use crate::manager::Authorization;

/// A session on a token.
pub struct Session {
    token: Arc<Token>,
    slot: SlotId,
    read_write: bool,
    operations: Mutex<Operations>,
}

/// The operations of a session, at most one of each kind.
#[derive(Default)]
struct Operations {
    find: Option<std::vec::IntoIter<ObjectHandle>>,
    sign: Option<SignOperation>,
    verify: Option<VerifyOperation>,
    digest: Option<DigestOperation>,
}

/// A kind of operation that gathers data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
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
        Self { token, slot, read_write, operations: Mutex::default() }
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
        ck::CK_SESSION_INFO {
            slotID: self.slot.raw(),
            state,
            flags: flags | ck::CKF_SERIAL_SESSION,
            ulDeviceError: 0,
        }
    }

    /// PKCS #11, C_Login.
    ///
    /// # Errors
    /// [`Error::UserAlreadyLoggedIn`] without looking at the PIN; otherwise what the card says of it.
    pub fn login(&self, user: ck::CK_USER_TYPE, pin: PinEntry<'_>) -> Result<(), Error> {
        let manager = self.token.manager();
        let (epoch, credential) = (self.token.card().epoch(), self.token.credential());
        match user {
            ck::CKU_USER if self.token.is_logged_in() => Err(Error::UserAlreadyLoggedIn),
            ck::CKU_USER => Ok(manager.log_in(epoch, credential, pin)?),
            ck::CKU_CONTEXT_SPECIFIC => {
                if !manager.asks_each_time(credential) || self.operations.lock().sign.is_none() {
                    return Err(Error::OperationNotInitialized);
                }
                let ticket = manager.authorize_once(epoch, credential, pin)?;
                let mut operations = self.operations.lock();
                operations.sign.as_mut().ok_or(Error::OperationNotInitialized)?.ticket = Some(ticket);
                Ok(())
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
        self.token.manager().log_out(self.token.credential());
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
        let (epoch, credential) = (self.token.card().epoch(), self.token.credential());
        Ok(self.token.manager().change_pin(epoch, credential, old, new)?)
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

    /// PKCS #11, C_GetObjectSize.
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
        if self.operations.lock().find.is_some() {
            return Err(Error::OperationActive);
        }
        let found = self.token.find(template)?;
        let mut operations = self.operations.lock();
        if operations.find.is_some() {
            return Err(Error::OperationActive);
        }
        operations.find = Some(found.into_iter());
        Ok(())
    }

    /// PKCS #11, C_FindObjects. A logout since the search began takes the private objects out of it.
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub fn find_objects(&self, max: usize) -> Result<Vec<ObjectHandle>, Error> {
        let mut operations = self.operations.lock();
        let find = operations.find.as_mut().ok_or(Error::OperationNotInitialized)?;
        Ok(find.filter(|handle| self.token.may_see(*handle)).take(max).collect())
    }

    /// PKCS #11, C_FindObjectsFinal.
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub fn find_objects_final(&self) -> Result<(), Error> {
        self.operations.lock().find.take().map(drop).ok_or(Error::OperationNotInitialized)
    }

    /// PKCS #11, C_SignInit; without a mechanism it cancels (v3.0), and cancelling nothing is no error.
    ///
    /// # Errors
    /// What is wrong with the mechanism or the key.
    pub fn sign_init(&self, request: Option<MechanismRequest<'_>>, key: ObjectHandle) -> Result<(), Error> {
        let Some(request) = request else {
            self.end(Operation::Sign);
            return Ok(());
        };
        if self.operations.lock().sign.is_some() {
            return Err(Error::OperationActive);
        }
        let mechanism = SignatureMechanism::parse(request)?;
        self.token.signing_key(key)?;
        self.token.must_offer(mechanism)?;
        let mut operations = self.operations.lock();
        if operations.sign.is_some() {
            return Err(Error::OperationActive);
        }
        operations.sign = Some(SignOperation { message: Message::new(mechanism), ticket: None });
        Ok(())
    }

    /// PKCS #11, C_Sign. A question for the length, and a short buffer, leave the operation as it is; anything else
    /// ends it.
    ///
    /// # Errors
    /// [`Error::OperationActive`] after parts were given; what is wrong with the data; what the card says.
    pub fn sign(&self, data: &[u8], room: Room) -> Result<Output, Error> {
        let mut operation = {
            let mut operations = self.operations.lock();
            let operation = operations.sign.as_ref().ok_or(Error::OperationNotInitialized)?;
            if operation.message.in_parts() {
                operations.sign = None;
                return Err(Error::OperationActive);
            }
            match room.refusal(SIGNATURE_LENGTH) {
                Some(refusal) => return Ok(refusal),
                None => operations.sign.take().ok_or(Error::OperationNotInitialized)?,
            }
        };
        operation.message.add(data)?;
        self.finish_sign(operation)
    }

    /// PKCS #11, C_SignUpdate.
    ///
    /// # Errors
    /// [`Error::DataLenRange`] when the data cannot be signed any more; the operation has ended then.
    pub fn sign_update(&self, part: &[u8]) -> Result<(), Error> {
        let mut operations = self.operations.lock();
        let operation = operations.sign.as_mut().ok_or(Error::OperationNotInitialized)?;
        let added = operation.message.add_part(part);
        if added.is_err() {
            operations.sign = None;
        }
        added
    }

    /// PKCS #11, C_SignFinal.
    ///
    /// # Errors
    /// As [`Session::sign`].
    pub fn sign_final(&self, room: Room) -> Result<Output, Error> {
        let operation = {
            let mut operations = self.operations.lock();
            operations.sign.as_ref().ok_or(Error::OperationNotInitialized)?;
            match room.refusal(SIGNATURE_LENGTH) {
                Some(refusal) => return Ok(refusal),
                None => operations.sign.take().ok_or(Error::OperationNotInitialized)?,
            }
        };
        self.finish_sign(operation)
    }

    /// Lets the card sign. A ticket is spent with the operation, whatever becomes of it.
    fn finish_sign(&self, operation: SignOperation) -> Result<Output, Error> {
        let manager = self.token.manager();
        let (epoch, credential) = (self.token.card().epoch(), self.token.credential());
        let message = operation.message.complete()?;
        let authorization = match &operation.ticket {
            Some(ticket) => Authorization::Once(ticket),
            None if manager.asks_each_time(credential) => return Err(Error::UserNotLoggedIn),
            None => Authorization::Login,
        };
        Ok(Output::Bytes(manager.sign(epoch, credential, message.as_message(), authorization)?))
    }

    /// Ends an operation, if there is one.
    pub fn end(&self, operation: Operation) {
        let mut operations = self.operations.lock();
        match operation {
            Operation::Sign => operations.sign = None,
            Operation::Verify => operations.verify = None,
            Operation::Digest => operations.digest = None,
        }
    }

    /// PKCS #11, C_SessionCancel: ends what the flags name. What is not going on, or unknown, is ignored.
    pub fn cancel(&self, flags: ck::CK_FLAGS) {
        let mut operations = self.operations.lock();
        if flags & ck::CKF_FIND_OBJECTS != 0 {
            operations.find = None;
        }
        if flags & ck::CKF_SIGN != 0 {
            operations.sign = None;
        }
        if flags & ck::CKF_VERIFY != 0 {
            operations.verify = None;
        }
        if flags & ck::CKF_DIGEST != 0 {
            operations.digest = None;
        }
    }

    /// Random bytes from the card.
    ///
    /// # Errors
    /// When the card does not answer.
    pub fn random(&self, room: &mut [u8]) -> Result<(), Error> {
        self.token.random(room)
    }

    /// PKCS #11, C_SeedRandom: what comes from the card afterwards depends on the seed too.
    pub fn seed_random(&self, seed: &[u8]) {
        self.token.seeds.add(seed);
    }
}
