//! Operations of a session: signing on the card, verifying and hashing in software.
//!
//! An operation gathers data; what becomes of it is decided in [`super::session`], which knows the rules about when an
//! operation ends.

use std::sync::Arc;

use super::mechanism::{Hash, Hasher, SignatureMechanism};
use crate::error::Error;
use crate::jpki::public_key::{MAX_PKCS1_INPUT, PSS_HASH_LENGTH, PublicKey, SIGNATURE_LENGTH, ToBeSigned};
use crate::manager::Ticket;

/// The data of a signature as far as it has come.
pub(super) struct Message {
    mechanism: SignatureMechanism,
    input: Input,
    in_parts: bool,
}

enum Input {
    /// Data that is signed as it is. Bounded: what is longer cannot be signed.
    Raw(Vec<u8>),
    /// Data that is hashed here.
    Hashing(Hasher),
}

/// The data of a signature when it is complete.
pub(super) enum Complete {
    Pkcs1(Vec<u8>),
    Pss([u8; PSS_HASH_LENGTH]),
}

/// A signing operation.
pub(super) struct SignOperation {
    pub(super) message: Message,
    /// The PIN given for this one signature.
    pub(super) ticket: Option<Arc<Ticket>>,
}

/// A verifying operation.
pub(super) struct VerifyOperation {
    pub(super) message: Message,
    pub(super) key: PublicKey,
}

/// A hashing operation.
pub(super) struct DigestOperation {
    pub(super) hash: Hash,
    pub(super) hasher: Hasher,
    pub(super) in_parts: bool,
}

impl Message {
    pub(super) fn new(mechanism: SignatureMechanism) -> Self {
        let input = match mechanism.hash() {
            Some(hash) => Input::Hashing(hash.hasher()),
            None => Input::Raw(Vec::new()),
        };
        Self { mechanism, input, in_parts: false }
    }

    /// Whether data came in parts, so that it has to end with a `Final`.
    pub(super) fn in_parts(&self) -> bool {
        self.in_parts
    }

    /// A part of the data.
    pub(super) fn add_part(&mut self, part: &[u8]) -> Result<(), Error> {
        self.in_parts = true;
        self.add(part)
    }

    /// Takes data. What does not fit the mechanism is refused at once, so that memory stays bounded.
    pub(super) fn add(&mut self, data: &[u8]) -> Result<(), Error> {
        match &mut self.input {
            Input::Hashing(hasher) => hasher.update(data),
            Input::Raw(bytes) => {
                let limit = match self.mechanism {
                    SignatureMechanism::Pss => PSS_HASH_LENGTH,
                    _ => MAX_PKCS1_INPUT,
                };
                if data.len() > limit - bytes.len() {
                    return Err(Error::DataLenRange);
                }
                bytes.extend_from_slice(data);
            }
        }
        Ok(())
    }

    /// Ends the data.
    pub(super) fn complete(self) -> Result<Complete, Error> {
        let bytes = match self.input {
            Input::Raw(bytes) => bytes,
            Input::Hashing(hasher) => hasher.finish(),
        };
        match self.mechanism {
            SignatureMechanism::Pkcs1 if bytes.is_empty() => Err(Error::DataLenRange),
            SignatureMechanism::Pkcs1 => Ok(Complete::Pkcs1(bytes)),
            SignatureMechanism::Pkcs1Hashed(hash) => Ok(Complete::Pkcs1(hash.digest_info(&bytes))),
            SignatureMechanism::Pss | SignatureMechanism::PssHashed => {
                Ok(Complete::Pss(bytes.try_into().map_err(|_| Error::DataLenRange)?))
            }
        }
    }
}

impl Complete {
    pub(super) fn as_message(&self) -> ToBeSigned<'_> {
        match self {
            Self::Pkcs1(input) => ToBeSigned::Pkcs1(input),
            Self::Pss(hash) => ToBeSigned::Pss(hash),
        }
    }
}

impl VerifyOperation {
    /// Ends the operation with the signature to check.
    pub(super) fn finish(self, signature: &[u8]) -> Result<(), Error> {
        if signature.len() != SIGNATURE_LENGTH {
            return Err(Error::SignatureLenRange);
        }
        let message = self.message.complete()?;
        if self.key.verifies(message.as_message(), signature) { Ok(()) } else { Err(Error::SignatureInvalid) }
    }
}
