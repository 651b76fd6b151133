//! What PKCS#11 makes of a card: tokens, objects, mechanisms, operations, session state.
//!
//! A [`Token`] is one credential of one card, from its recognition to its removal. It knows no C pointers and no
//! handles but those of its objects; slots and session handles are in [`crate::module`].

pub mod attribute;
pub mod mechanism;
pub mod output;
pub mod session;
pub mod sign;
pub mod template;

mod object;
mod seed;

use std::sync::Arc;

use cryptoki_sys as ck;

use self::attribute::{AttributeAnswers, AttributeQuery, Attributes};
use self::mechanism::{SignatureMechanism, hashing, info, needs_pss, signing};
use self::object::{Object, ObjectKind, hex, objects};
use self::output::padded;
use self::seed::Seeds;
use self::template::{TemplateEntry, matches, may_match};
use crate::error::Error;
use crate::handle::{HandleCounter, ObjectHandle};
use crate::jpki::layout::Credential;
use crate::jpki::public_key::PublicKey;
use crate::manager::card::{Card, Holder};
use crate::manager::{CardManager, PinStatus};

/// One credential of one card.
pub struct Token {
    manager: Arc<CardManager>,
    card: Arc<Card>,
    credential: Credential,
    objects: Vec<Object>,
    seeds: Seeds,
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
    pub fn new(
        manager: Arc<CardManager>,
        card: Arc<Card>,
        credential: Credential,
        handles: &HandleCounter,
    ) -> Self {
        let objects = objects(credential, &card, handles, manager.settings());
        Self { manager, card, credential, objects, seeds: Seeds::default() }
    }

    /// The card it is on.
    #[must_use]
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// The manager of the reader it is in.
    #[must_use]
    pub fn manager(&self) -> &CardManager {
        &self.manager
    }

    /// Which credential it is.
    #[must_use]
    pub fn credential(&self) -> Credential {
        self.credential
    }

    /// Whether its user is logged in.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        self.manager.is_logged_in(self.card.epoch(), self.credential)
    }

    /// PKCS #11, C_GetTokenInfo. Asks the card for the tries left.
    ///
    /// # Errors
    /// When the card does not answer.
    pub fn info(&self, sessions: SessionCounts) -> Result<ck::CK_TOKEN_INFO, Error> {
        let status = self.manager.pin_status(self.card.epoch(), self.credential)?;
        let (label, min, max) = match self.credential {
            Credential::UserAuthentication => ("JPKI User Authentication", 4, 4),
            Credential::DigitalSignature => ("JPKI Digital Signature", 6, 16),
        };
        let count = |count: usize| ck::CK_ULONG::try_from(count).unwrap_or(ck::CK_UNAVAILABLE_INFORMATION);
        Ok(ck::CK_TOKEN_INFO {
            label: padded(label),
            manufacturerID: padded("J-LIS"),
            model: padded("My Number card"),
            serialNumber: padded(&hex(&self.card.serial_number())),
            flags: self.flags(status),
            ulMaxSessionCount: ck::CK_EFFECTIVELY_INFINITE,
            ulSessionCount: count(sessions.all),
            ulMaxRwSessionCount: ck::CK_EFFECTIVELY_INFINITE,
            ulRwSessionCount: count(sessions.read_write),
            ulMaxPinLen: max,
            ulMinPinLen: min,
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

    /// The token's flags. `CKF_WRITE_PROTECTED` would keep clients from opening the read-write sessions that OpenSSH
    /// and a change of the PIN need.
    fn flags(&self, status: PinStatus) -> ck::CK_FLAGS {
        let always =
            ck::CKF_RNG | ck::CKF_LOGIN_REQUIRED | ck::CKF_USER_PIN_INITIALIZED | ck::CKF_TOKEN_INITIALIZED;
        let full = self.credential.tries();
        let low = status.wrong_entry || status.tries.is_some_and(|tries| tries < full);
        let count = match status.tries.map(|tries| tries.count()) {
            Some(0) => ck::CKF_USER_PIN_LOCKED,
            Some(1) => ck::CKF_USER_PIN_FINAL_TRY,
            Some(_) | None => 0,
        };
        always | count | if low { ck::CKF_USER_PIN_COUNT_LOW } else { 0 }
    }

    /// PKCS #11, C_GetMechanismList. The first time, it asks the card for PSS, without a PIN.
    ///
    /// # Errors
    /// When the card does not answer.
    pub fn mechanisms(&self) -> Result<Vec<ck::CK_MECHANISM_TYPE>, Error> {
        let with_pss = self.manager.offers_pss(self.card.epoch(), self.credential)?;
        Ok(signing(with_pss).into_iter().chain(hashing()).collect())
    }

    /// PKCS #11, C_GetMechanismInfo.
    ///
    /// # Errors
    /// [`Error::MechanismInvalid`] for one that the token does not have.
    pub fn mechanism_info(&self, kind: ck::CK_MECHANISM_TYPE) -> Result<ck::CK_MECHANISM_INFO, Error> {
        let offered = signing(true).contains(&kind) || hashing().any(|hashing| hashing == kind);
        if !offered || (needs_pss(kind) && !self.manager.offers_pss(self.card.epoch(), self.credential)?) {
            return Err(Error::MechanismInvalid);
        }
        Ok(info(kind))
    }

    /// Fails with [`Error::MechanismInvalid`] when the card does not do it.
    fn must_offer(&self, mechanism: SignatureMechanism) -> Result<(), Error> {
        let pss = matches!(mechanism, SignatureMechanism::Pss | SignatureMechanism::PssHashed);
        if pss && !self.manager.offers_pss(self.card.epoch(), self.credential)? {
            return Err(Error::MechanismInvalid);
        }
        Ok(())
    }

    /// Random bytes from the card, with the seeds that were given.
    fn random(&self, room: &mut [u8]) -> Result<(), Error> {
        self.manager.random(self.card.epoch(), room)?;
        self.seeds.mix(room);
        Ok(())
    }

    /// The objects that match and that may be seen now. What cannot match is not read from the card; what the card
    /// does not have in a usable form is not there.
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

    /// Whether the handle is the private key, for an operation of a logged-in user.
    fn signing_key(&self, handle: ObjectHandle) -> Result<(), Error> {
        let object = self.object(handle).ok_or(Error::KeyHandleInvalid)?;
        match object.kind() {
            ObjectKind::PrivateKey if !self.is_logged_in() => Err(Error::UserNotLoggedIn),
            ObjectKind::PrivateKey => self.read(object)?.map(drop).ok_or(Error::KeyHandleInvalid),
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
            ObjectKind::PublicKey => {}
            ObjectKind::PrivateKey => return Err(Error::KeyFunctionNotPermitted),
            ObjectKind::Certificate(_) | ObjectKind::Profile(_) => return Err(Error::KeyHandleInvalid),
        }
        let certificate = self.manager.certificate(self.card.epoch(), self.credential, Holder::User)?;
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

    /// An object's attributes as they are now. Whether the card does PSS may have been learned since it was read.
    fn read(&self, object: &Object) -> Result<Option<Attributes>, Error> {
        let attributes = object.attributes(&self.manager, &self.card, self.credential)?;
        Ok(attributes.cloned().map(|attributes| match object.kind() {
            ObjectKind::PublicKey | ObjectKind::PrivateKey => {
                let mechanisms = signing(self.manager.pss_known(self.card.epoch()));
                attributes.numbers(ck::CKA_ALLOWED_MECHANISMS, &mechanisms)
            }
            ObjectKind::Certificate(_) | ObjectKind::Profile(_) => attributes,
        }))
    }
}
