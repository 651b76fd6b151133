//! An operation of a session: signing on the card, verifying or hashing in software.
//!
//! The three have the same life, which stands here once: it begins, takes data in one piece or in
//! parts, and ends. A question for the length, and a short buffer, leave it as it is; anything else
//! ends it (PKCS #11, C_Sign).

use std::sync::Arc;

use parking_lot::Mutex;

use super::mechanism::{Hash, Hasher};
use super::output::{BufferSize, Output};
use crate::error::Error;
use crate::jpki::key::{PublicKey, Scheme, ToBeSigned};
use crate::manager::ContextLogin;

/// The operation of one kind in a session, if there is one.
pub(super) struct Slot<K>(Mutex<Option<Operation<K>>>);

/// An operation that goes on. `K` is what its kind needs at the end.
pub(super) struct Operation<K> {
    pub(super) kind: K,
    data: Data,
    form: Form,
    /// Tells this operation from those before and after it.
    identity: Arc<()>,
}

/// How the data of an operation comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// No function has shown it yet.
    Unknown,
    /// The caller has asked how long the result of data in one piece is.
    OnePiece,
    Parts,
}

/// The data of an operation as far as it has come.
enum Data {
    /// Data that is taken as it is. Bounded: what is longer cannot be signed.
    Raw { bytes: Vec<u8>, most: usize },
    /// Data that is hashed here.
    Hashing(Hasher),
}

/// What signing and verifying need: by which scheme, over a hash of the data or the data itself,
/// and for which key.
pub(super) struct Signature {
    pub(super) scheme: Scheme,
    pub(super) hash: Option<Hash>,
    pub(super) key: PublicKey,
    /// The login for this one signature.
    pub(super) context_login: Option<Arc<ContextLogin>>,
}

/// How long the result of an operation is.
pub(super) trait ResultLength {
    /// Bytes of the result; `None` when it is no bytes.
    fn result_length(&self, data_length: usize) -> Option<usize>;
}

/// Hashing needs nothing.
pub(super) struct Digesting;

/// Verifying, which gives no bytes.
pub(super) struct Verifying(pub(super) Signature);

impl ResultLength for Signature {
    fn result_length(&self, _: usize) -> Option<usize> {
        Some(self.key.signature_length())
    }
}

impl ResultLength for Verifying {
    fn result_length(&self, _: usize) -> Option<usize> {
        None
    }
}

impl ResultLength for Digesting {
    fn result_length(&self, hash_length: usize) -> Option<usize> {
        Some(hash_length)
    }
}

impl<K> Default for Slot<K> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<K: ResultLength> Slot<K> {
    /// Begins an operation, which is made without the lock: the card may be asked for a key.
    pub(super) fn begin(&self, make: impl FnOnce() -> Result<Operation<K>, Error>) -> Result<(), Error> {
        if self.is_active() {
            return Err(Error::OperationActive);
        }
        let operation = make()?;
        let mut slot = self.0.lock();
        if slot.is_some() {
            return Err(Error::OperationActive);
        }
        *slot = Some(operation);
        Ok(())
    }

    /// Ends the operation, if there is one.
    pub(super) fn end(&self) {
        *self.0.lock() = None;
    }

    pub(super) fn is_active(&self) -> bool {
        self.0.lock().is_some()
    }

    /// Takes the operation out with all its data in one piece. `Err(Ok(_))` is the answer to a
    /// caller that does not get the result now.
    pub(super) fn take_with(
        &self,
        data: &[u8],
        buffer: BufferSize,
    ) -> Result<Operation<K>, Result<Output, Error>> {
        let mut operation = self.take_unless(Form::Parts, Form::OnePiece, buffer)?;
        operation.data.add(data).map_err(Err)?;
        Ok(operation)
    }

    /// Takes a part of the data.
    pub(super) fn update(&self, part: &[u8]) -> Result<(), Error> {
        let mut slot = self.0.lock();
        let operation = slot.as_mut().ok_or(Error::OperationNotInitialized)?;
        operation.form = Form::Parts;
        let added = operation.data.add(part);
        if added.is_err() {
            *slot = None;
        }
        added
    }

    /// Takes the operation out after its parts, as [`Slot::take_with`]. There may be none, but data
    /// whose result was asked for in one piece is not signed as if it were empty.
    pub(super) fn take(&self, buffer: BufferSize) -> Result<Operation<K>, Result<Output, Error>> {
        self.take_unless(Form::OnePiece, Form::Parts, buffer)
    }

    /// Takes the operation out, unless its data comes in the other form.
    fn take_unless(
        &self,
        other: Form,
        this: Form,
        buffer: BufferSize,
    ) -> Result<Operation<K>, Result<Output, Error>> {
        let mut slot = self.0.lock();
        let operation = slot.as_mut().ok_or(Err(Error::OperationNotInitialized))?;
        if operation.form == other {
            *slot = None;
            return Err(Err(Error::OperationActive));
        }
        let length = operation.kind.result_length(operation.data.hash_length());
        if let Some(refusal) = length.and_then(|length| buffer.refusal(length)) {
            operation.form = this;
            return Err(Ok(refusal));
        }
        slot.take().ok_or(Err(Error::OperationNotInitialized))
    }
}

impl Slot<Signature> {
    /// The operation that is active now, for a login that is meant for it.
    pub(super) fn identity(&self) -> Option<Arc<()>> {
        self.0.lock().as_ref().map(|operation| operation.identity.clone())
    }

    /// Attaches a login to the operation it was made for. `false` when that is over.
    pub(super) fn attach(&self, identity: &Arc<()>, login: Arc<ContextLogin>) -> bool {
        let mut slot = self.0.lock();
        let operation = slot.as_mut().filter(|operation| Arc::ptr_eq(&operation.identity, identity));
        operation.map(|operation| operation.kind.context_login = Some(login)).is_some()
    }
}

impl Operation<Digesting> {
    pub(super) fn digest(hash: Hash) -> Self {
        Self::new(Digesting, Data::Hashing(hash.hasher()))
    }

    /// The hash of all data.
    pub(super) fn finish(self) -> Vec<u8> {
        self.data.finish()
    }
}

impl Operation<Signature> {
    pub(super) fn sign(signature: Signature) -> Self {
        let data = signature.data();
        Self::new(signature, data)
    }

    /// Ends the data: what is to be signed, and the login for it.
    pub(super) fn finish(self) -> Result<(SignatureInput, Option<Arc<ContextLogin>>), Error> {
        let Self { kind, data, .. } = self;
        let input = kind.input(data)?;
        Ok((input, kind.context_login))
    }
}

impl Operation<Verifying> {
    pub(super) fn verify(signature: Signature) -> Self {
        let data = signature.data();
        Self::new(Verifying(signature), data)
    }

    /// Ends the operation with the signature to check.
    pub(super) fn finish(self, signature: &[u8]) -> Result<(), Error> {
        let Self { kind: Verifying(kind), data, .. } = self;
        if signature.len() != kind.key.signature_length() {
            return Err(Error::SignatureLenRange);
        }
        let input = kind.input(data)?;
        if kind.key.verifies(input.as_message(), signature) { Ok(()) } else { Err(Error::SignatureInvalid) }
    }
}

impl<K> Operation<K> {
    fn new(kind: K, data: Data) -> Self {
        Self { kind, data, form: Form::Unknown, identity: Arc::new(()) }
    }
}

/// The complete input of a scheme.
pub(super) struct SignatureInput {
    scheme: Scheme,
    bytes: Vec<u8>,
}

impl SignatureInput {
    pub(super) fn as_message(&self) -> ToBeSigned<'_> {
        ToBeSigned { scheme: self.scheme, input: &self.bytes }
    }
}

impl Signature {
    fn data(&self) -> Data {
        match self.hash {
            Some(hash) => Data::Hashing(hash.hasher()),
            None => Data::Raw { bytes: Vec::new(), most: *self.key.input_length(self.scheme).end() },
        }
    }

    fn input(&self, data: Data) -> Result<SignatureInput, Error> {
        let bytes = match (data.finish(), self.hash, self.scheme) {
            (hashed, Some(hash), Scheme::Pkcs1) => hash.digest_info(&hashed),
            (bytes, ..) => bytes,
        };
        if !self.key.input_length(self.scheme).contains(&bytes.len()) {
            return Err(Error::DataLenRange);
        }
        Ok(SignatureInput { scheme: self.scheme, bytes })
    }
}

impl Data {
    /// Takes data. What does not fit the mechanism is refused at once, so that memory stays
    /// bounded.
    fn add(&mut self, data: &[u8]) -> Result<(), Error> {
        match self {
            Self::Hashing(hasher) => hasher.update(data),
            Self::Raw { bytes, most } => {
                if data.len() > most.saturating_sub(bytes.len()) {
                    return Err(Error::DataLenRange);
                }
                bytes.extend_from_slice(data);
            }
        }
        Ok(())
    }

    fn hash_length(&self) -> usize {
        match self {
            Self::Hashing(hasher) => hasher.length(),
            Self::Raw { .. } => 0,
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Hashing(hasher) => hasher.finish(),
            Self::Raw { bytes, .. } => bytes,
        }
    }
}
