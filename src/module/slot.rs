//! One slot: a credential at a reader, or at none yet.

use std::sync::Arc;

use cryptoki_sys as ck;
use once_cell::sync::OnceCell;
use parking_lot::Mutex;

use crate::error::Error;
use crate::handle::{HandleCounter, SlotId};
use crate::jpki::credential::Credential;
use crate::manager::error::CardError;
use crate::manager::{AskSignature, CardCredential, CardManager, WhenInUse};
use crate::token::Token;
use crate::token::output::padded;

/// What stands for the reader's name in the description of a slot that has no reader yet.
const NO_READER: &str = "a reader that comes later";

/// The reader of a pair of slots, as soon as it has one. It keeps that one.
pub(super) type PairReader = Arc<OnceCell<Arc<CardManager>>>;

/// One credential at one reader.
pub(super) struct Slot {
    id: SlotId,
    credential: Credential,
    reader: PairReader,
    /// The token of the card that was last seen here.
    token: Mutex<Option<Arc<Token>>>,
}

impl Slot {
    pub(super) fn new(id: SlotId, credential: Credential, reader: PairReader) -> Self {
        Self { id, credential, reader, token: Mutex::new(None) }
    }

    pub(super) fn id(&self) -> SlotId {
        self.id
    }

    pub(super) fn credential(&self) -> Credential {
        self.credential
    }

    /// PKCS #11, C_GetSlotInfo. No exchange with a card that is known.
    pub(super) fn info(&self) -> ck::CK_SLOT_INFO {
        let has_token = self.has_token(self.ask(), WhenInUse::Wait).unwrap_or(false);
        let present = if has_token { ck::CKF_TOKEN_PRESENT } else { 0 };
        let reader = self.reader.get().map(|manager| manager.reader().to_string());
        ck::CK_SLOT_INFO {
            // What tells the two slots of a reader apart comes first: programs show about twenty
            // characters.
            slotDescription: padded(&format!(
                "{}, {}",
                self.credential.facts().short_name,
                reader.as_deref().unwrap_or(NO_READER)
            )),
            manufacturerID: padded("PC/SC"),
            flags: ck::CKF_REMOVABLE_DEVICE | ck::CKF_HW_SLOT | present,
            hardwareVersion: ck::CK_VERSION { major: 0, minor: 0 },
            firmwareVersion: ck::CK_VERSION { major: 0, minor: 0 },
        }
    }

    /// The token in the slot.
    pub(super) fn token(&self, objects: &HandleCounter) -> Result<Arc<Token>, Error> {
        let manager = self.reader.get().ok_or(Error::TokenNotPresent)?;
        let card = manager.open_card(self.ask(), WhenInUse::Wait).map_err(absent_if_never_seen)?;
        let of = CardCredential { card, credential: self.credential };
        if !manager.has(&of)? {
            return Err(Error::TokenNotPresent);
        }
        let mut token = self.token.lock();
        if let Some(token) = token.as_ref().filter(|token| Arc::ptr_eq(token.card(), &of.card)) {
            return Ok(token.clone());
        }
        let fresh = Arc::new(Token::new(manager.clone(), of, objects));
        Ok(token.insert(fresh).clone())
    }

    /// Whether a token is in the slot.
    ///
    /// # Errors
    /// [`CardError::Held`] for a card that is left alone; other errors mean that there is no token.
    pub(super) fn has_token(&self, ask: AskSignature, when: WhenInUse) -> Result<bool, CardError> {
        let manager = self.reader.get().ok_or(CardError::NoCard)?;
        manager.has(&CardCredential { card: manager.open_card(ask, when)?, credential: self.credential })
    }

    /// What a new card is asked on behalf of this slot.
    fn ask(&self) -> AskSignature {
        match self.credential {
            Credential::UserAuthentication => AskSignature::No,
            Credential::DigitalSignature => AskSignature::Yes,
        }
    }
}

/// A card that goes while it is looked at was no token yet.
fn absent_if_never_seen(error: CardError) -> Error {
    match error {
        CardError::Removed => Error::TokenNotPresent,
        other => Error::Card(other),
    }
}
