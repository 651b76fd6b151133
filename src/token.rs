//! What PKCS#11 makes of a card: tokens, objects, mechanisms, operations, session state.
//!
//! A [`Token`] is one credential of one card, from its recognition to its removal. It knows no C
//! pointers and no handles but those of its objects; slots and session handles are in
//! [`crate::module`].

pub mod attribute;
pub mod mechanism;
pub mod output;
pub mod session;
pub mod template;

mod object;
mod operation;

use std::sync::Arc;

use cryptoki_sys as ck;

use self::attribute::{AttributeAnswers, AttributeQuery, Attributes};
use self::mechanism::{Function, Mechanism, offered};
use self::object::{Object, ObjectKind, objects};
use self::output::padded;
use self::template::{TemplateEntry, matches, may_match};
use crate::error::Error;
use crate::handle::{HandleCounter, ObjectHandle};
use crate::jpki::credential::CertificateRole;
use crate::jpki::key::{PublicKey, Scheme};
use crate::manager::card::Card;
use crate::manager::error::CardError;
use crate::manager::{CardCredential, CardManager, PinStatus};

/// One credential of one card.
pub struct Token {
    manager: Arc<CardManager>,
    of: CardCredential,
    objects: Vec<Object>,
}

/// How many sessions are open on a token.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionCounts {
    /// All of them.
    pub all: usize,
    /// Those that are read-write.
    pub read_write: usize,
}

impl Token {
    /// The token of a credential that the card has.
    #[must_use]
    pub fn new(manager: Arc<CardManager>, of: CardCredential, handles: &HandleCounter) -> Self {
        let objects = objects(&of, handles, manager.settings());
        Self { manager, of, objects }
    }

    /// The card it is on.
    #[must_use]
    pub fn card(&self) -> &Arc<Card> {
        &self.of.card
    }

    /// The manager of the reader it is in.
    #[must_use]
    pub fn manager(&self) -> &CardManager {
        &self.manager
    }

    /// Which credential it is, of which card.
    #[must_use]
    pub fn credential(&self) -> &CardCredential {
        &self.of
    }

    /// Whether its user is logged in.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        self.of.is_logged_in()
    }

    /// PKCS #11, C_GetTokenInfo. Asks the card for the tries left.
    ///
    /// # Errors
    /// When the card does not answer.
    pub fn info(&self, sessions: SessionCounts) -> Result<ck::CK_TOKEN_INFO, Error> {
        let status = self.manager.pin_status(&self.of)?;
        let facts = self.of.credential.facts();
        let count = |count: usize| ck::CK_ULONG::try_from(count).unwrap_or(ck::CK_UNAVAILABLE_INFORMATION);
        Ok(ck::CK_TOKEN_INFO {
            label: padded(&format!("JPKI {}", facts.name)),
            manufacturerID: padded("J-LIS"),
            model: padded("My Number card"),
            serialNumber: padded(&self.of.card.serial_number().to_string()),
            flags: self.flags(status),
            ulMaxSessionCount: ck::CK_EFFECTIVELY_INFINITE,
            ulSessionCount: count(sessions.all),
            ulMaxRwSessionCount: ck::CK_EFFECTIVELY_INFINITE,
            ulRwSessionCount: count(sessions.read_write),
            ulMaxPinLen: count(*facts.pin_form.length.end()),
            ulMinPinLen: count(*facts.pin_form.length.start()),
            ulTotalPublicMemory: ck::CK_UNAVAILABLE_INFORMATION,
            ulFreePublicMemory: ck::CK_UNAVAILABLE_INFORMATION,
            ulTotalPrivateMemory: ck::CK_UNAVAILABLE_INFORMATION,
            ulFreePrivateMemory: ck::CK_UNAVAILABLE_INFORMATION,
            hardwareVersion: ck::CK_VERSION { major: 0, minor: 0 },
            firmwareVersion: ck::CK_VERSION { major: 0, minor: 0 },
            // No CKF_CLOCK_ON_TOKEN: blanks.
            utcTime: padded(""),
        })
    }

    /// The token's flags. `CKF_WRITE_PROTECTED` would keep clients from opening the read-write
    /// sessions that OpenSSH and a change of the PIN need. `CKF_RNG` is not claimed: see
    /// [`crate::ffi`]'s random functions. The PIN counts as locked where no login is possible, also
    /// while the configuration keeps the tries that are left.
    fn flags(&self, status: PinStatus) -> ck::CK_FLAGS {
        let always = ck::CKF_LOGIN_REQUIRED | ck::CKF_USER_PIN_INITIALIZED | ck::CKF_TOKEN_INITIALIZED;
        let reserved = self.manager.settings().reserved_tries(self.of.credential);
        let count = match status.tries.map(|tries| tries.count()) {
            Some(tries) if tries <= reserved => ck::CKF_USER_PIN_LOCKED,
            Some(1) => ck::CKF_USER_PIN_FINAL_TRY,
            Some(_) | None => 0,
        };
        always | count | if status.count_low { ck::CKF_USER_PIN_COUNT_LOW } else { 0 }
    }

    /// PKCS #11, C_GetMechanismList. The first time, it asks the card for PSS, without a PIN.
    ///
    /// # Errors
    /// When the card does not answer.
    pub fn mechanisms(&self) -> Result<Vec<ck::CK_MECHANISM_TYPE>, Error> {
        let mut kinds = Vec::new();
        for mechanism in offered(|_| true) {
            if self.offers(mechanism)? && !kinds.contains(&mechanism.kind) {
                kinds.push(mechanism.kind);
            }
        }
        Ok(kinds)
    }

    /// PKCS #11, C_GetMechanismInfo.
    ///
    /// # Errors
    /// [`Error::MechanismInvalid`] for one that the token does not have.
    pub fn mechanism_info(&self, kind: ck::CK_MECHANISM_TYPE) -> Result<ck::CK_MECHANISM_INFO, Error> {
        for mechanism in Mechanism::rows(kind) {
            if self.offers(mechanism)? {
                return Ok(mechanism.info());
            }
        }
        Err(Error::MechanismInvalid)
    }

    /// Whether the card signs by the scheme that a mechanism needs.
    fn offers(&self, mechanism: &Mechanism) -> Result<bool, Error> {
        match mechanism.function {
            Function::Sign(scheme, _) => Ok(self.manager.offers(&self.of, scheme)?),
            Function::Digest(_) => Ok(true),
        }
    }

    /// Fails with [`Error::MechanismInvalid`] when the card does not sign by a scheme.
    fn must_offer(&self, scheme: Scheme) -> Result<(), Error> {
        if self.manager.offers(&self.of, scheme)? { Ok(()) } else { Err(Error::MechanismInvalid) }
    }

    /// The objects that match and that may be seen now. What cannot match is not read from the
    /// card; what the card does not have in a usable form is not there.
    fn find(&self, template: &[TemplateEntry<'_>]) -> Result<Vec<ObjectHandle>, Error> {
        let mut found = Vec::new();
        for object in &self.objects {
            if !self.is_visible(object) || !may_match(template, object.known()) {
                continue;
            }
            if self.read(object)?.is_some_and(|attributes| matches(template, &attributes)) {
                found.push(object.handle());
            }
        }
        Ok(found)
    }

    fn attributes(
        &self,
        handle: ObjectHandle,
        queries: &[AttributeQuery],
    ) -> Result<AttributeAnswers, Error> {
        Ok(self.visible(handle)?.answer(queries))
    }

    fn object_size(&self, handle: ObjectHandle) -> Result<usize, Error> {
        Ok(self.visible(handle)?.size())
    }

    /// The attributes of an object that may be seen now. Private ones do not exist before login.
    fn visible(&self, handle: ObjectHandle) -> Result<Attributes, Error> {
        let object = self.object(handle).filter(|object| self.is_visible(object));
        self.read(object.ok_or(Error::ObjectHandleInvalid)?)?.ok_or(Error::ObjectHandleInvalid)
    }

    /// The key behind the handle of the private key, for an operation of a user who is logged in.
    fn signing_key(&self, handle: ObjectHandle) -> Result<PublicKey, Error> {
        let object = self.object(handle).ok_or(Error::KeyHandleInvalid)?;
        match object.kind() {
            ObjectKind::PrivateKey if !self.is_logged_in() => Err(Error::UserNotLoggedIn),
            ObjectKind::PrivateKey => self.key(),
            ObjectKind::PublicKey if self.is_visible(object) => Err(Error::KeyFunctionNotPermitted),
            ObjectKind::PublicKey | ObjectKind::Certificate(_) | ObjectKind::Profile(_) => {
                Err(Error::KeyHandleInvalid)
            }
        }
    }

    /// The key behind the handle of the public key.
    fn verifying_key(&self, handle: ObjectHandle) -> Result<PublicKey, Error> {
        let object = self.object(handle).filter(|object| self.is_visible(object));
        match object.ok_or(Error::KeyHandleInvalid)?.kind() {
            ObjectKind::PublicKey => self.key(),
            ObjectKind::PrivateKey => Err(Error::KeyFunctionNotPermitted),
            ObjectKind::Certificate(_) | ObjectKind::Profile(_) => Err(Error::KeyHandleInvalid),
        }
    }

    /// The key as the owner's certificate has it.
    fn key(&self) -> Result<PublicKey, Error> {
        let certificate = self.manager.certificate(&self.of, CertificateRole::EndEntity)?;
        let key = certificate.as_ref().and_then(|certificate| certificate.public_key());
        key.cloned().ok_or(Error::KeyHandleInvalid)
    }

    fn object(&self, handle: ObjectHandle) -> Option<&Object> {
        self.objects.iter().find(|object| object.handle() == handle)
    }

    /// Whether a handle names an object that may be seen now.
    fn may_see(&self, handle: ObjectHandle) -> bool {
        self.object(handle).is_some_and(|object| self.is_visible(object))
    }

    fn is_visible(&self, object: &Object) -> bool {
        !object.is_private() || self.is_logged_in()
    }

    /// An object's attributes as they are now; `None` when the card does not have the object in a
    /// form that can be used. Nothing of them is kept: what only the PIN opens must not outlive
    /// the login.
    fn read(&self, object: &Object) -> Result<Option<Attributes>, Error> {
        let role = match object.kind() {
            ObjectKind::Profile(_) => return Ok(Some(object.known().clone())),
            ObjectKind::Certificate(role) => role,
            ObjectKind::PublicKey | ObjectKind::PrivateKey => CertificateRole::EndEntity,
        };
        let certificate = match self.manager.certificate(&self.of, role) {
            // The user has logged out since the object was seen.
            Err(CardError::NotLoggedIn) => None,
            certificate => certificate?,
        };
        Ok(certificate.and_then(|certificate| object.described_by(&certificate)).map(
            |attributes| match object.kind() {
                ObjectKind::PublicKey | ObjectKind::PrivateKey => {
                    attributes.numbers(ck::CKA_ALLOWED_MECHANISMS, &self.mechanisms_as_far_as_known())
                }
                ObjectKind::Certificate(_) | ObjectKind::Profile(_) => attributes,
            },
        ))
    }

    /// What the key does, without asking the card.
    fn mechanisms_as_far_as_known(&self) -> Vec<ck::CK_MECHANISM_TYPE> {
        let offers = |scheme| self.manager.offers_as_far_as_known(&self.of, scheme).unwrap_or(true);
        offered(offers).filter(|mechanism| mechanism.signs()).map(|mechanism| mechanism.kind).collect()
    }
}
