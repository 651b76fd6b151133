//! What a person is shown of a reader and its card: more than clients ask for, as plain data. Costs
//! no try, and sends no PIN but that of a login that there is.

use std::sync::Arc;

use super::card::{Card, CardCredential};
use super::error::CardError;
use super::{AskSignature, CardManager, WhenInUse};
use crate::jpki::applet::AppletError;
use crate::jpki::certificate::Certificate;
use crate::jpki::credential::{CertificateRole, Credential};
use crate::jpki::identity::SerialNumber;
use crate::jpki::key::Scheme;
use crate::jpki::recognition::CardModel;
use crate::transport::TransportError;

/// What keeps the card in a reader from being used, told apart by what the person has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// There is no card.
    NoCard,
    /// It is a card of another kind.
    OtherCard,
    /// It is a juki card, whose certificates have all expired.
    JukiCard,
    /// It does not answer its power-up.
    Unpowered,
    /// Another program has it for itself.
    Held,
    /// The service does not let this user at it.
    AccessRefused,
    /// It does not answer as a card should.
    NoAnswer,
}

/// A card that can be used.
#[derive(Debug)]
pub struct CardSurvey {
    /// Which product it is.
    pub model: CardModel,
    /// A number that differs from card to card, and that leads to no person.
    pub serial_number: SerialNumber,
    /// What is known of the credentials that were asked for.
    pub credentials: Vec<CredentialSurvey>,
}

/// One credential of a card.
#[derive(Debug)]
pub struct CredentialSurvey {
    /// Which.
    pub credential: Credential,
    /// Its certificate.
    pub certificate: CertificateSurvey,
    /// The tries left, if the card tells.
    pub tries: Option<u8>,
    /// Whether the key makes PSS signatures; `None` when that could not be asked.
    pub pss: Option<bool>,
}

/// The certificate of a credential.
#[derive(Debug)]
pub enum CertificateSurvey {
    /// The card does not have this credential.
    Absent,
    /// Only the PIN opens it.
    NeedsPin,
    /// It was read.
    Read(Arc<Certificate>),
    /// It could not be read, or is none.
    Unreadable,
}

impl CardManager {
    /// What can be said of the card in the reader.
    ///
    /// # Errors
    /// What keeps it from being used.
    pub fn survey(&self, credentials: &[Credential]) -> Result<CardSurvey, Obstacle> {
        let card =
            self.open_card(AskSignature::Yes, WhenInUse::Wait).map_err(|error| self.obstacle(error))?;
        let gone = |error: CardError| self.obstacle(error);
        let model = self.model(&card).map_err(gone)?;
        let surveys = credentials
            .iter()
            .map(|&credential| self.survey_credential(&CardCredential { card: card.clone(), credential }));
        let credentials = surveys.collect::<Result<_, _>>().map_err(gone)?;
        Ok(CardSurvey { model, serial_number: card.serial_number(), credentials })
    }

    /// The certificate of the CA that issued a credential's, if the card gives one. No PIN opens
    /// it.
    ///
    /// # Errors
    /// What keeps the card from being used.
    pub fn survey_ca(&self, credential: Credential) -> Result<Option<Arc<Certificate>>, Obstacle> {
        let card =
            self.open_card(AskSignature::Yes, WhenInUse::Wait).map_err(|error| self.obstacle(error))?;
        let of = CardCredential { card, credential };
        let read = known(self.certificate(&of, CertificateRole::Ca)).map_err(|error| self.obstacle(error))?;
        Ok(read.flatten())
    }

    /// What keeps the card from being used, where clients are answered with `error`.
    fn obstacle(&self, error: CardError) -> Obstacle {
        let cause = self.snapshot.lock().as_ref().and_then(|snapshot| snapshot.cause());
        match cause.unwrap_or(error) {
            CardError::NoCard | CardError::Removed => Obstacle::NoCard,
            CardError::NotJpki => Obstacle::OtherCard,
            CardError::Juki => Obstacle::JukiCard,
            CardError::Transport(TransportError::Unpowered) => Obstacle::Unpowered,
            CardError::Transport(TransportError::Busy | TransportError::Reset) => Obstacle::Held,
            CardError::Transport(TransportError::AccessDenied) => Obstacle::AccessRefused,
            _ => Obstacle::NoAnswer,
        }
    }

    /// Which product the card is.
    fn model(&self, card: &Arc<Card>) -> Result<CardModel, CardError> {
        self.with_card(card, |applet| match applet.token_info() {
            Ok(info) => Ok(CardModel::of(&info)),
            Err(error @ AppletError::Transport { .. }) => Err(error.into()),
            Err(_) => Ok(CardModel::Unknown),
        })
    }

    /// Only a card that is gone is an error. What it does not answer is not known.
    fn survey_credential(&self, of: &CardCredential) -> Result<CredentialSurvey, CardError> {
        let credential = of.credential;
        let absent =
            CredentialSurvey { credential, certificate: CertificateSurvey::Absent, tries: None, pss: None };
        if !known(self.has(of))?.unwrap_or(true) {
            return Ok(absent);
        }
        let certificate = if of.is_private() && !of.is_logged_in() {
            CertificateSurvey::NeedsPin
        } else {
            let read = known(self.certificate(of, CertificateRole::EndEntity))?.flatten();
            read.map_or(CertificateSurvey::Unreadable, CertificateSurvey::Read)
        };
        let status = known(self.pin_status(of))?;
        let tries = status.and_then(|status| status.tries).map(|tries| tries.count());
        let pss = known(self.offers(of, Scheme::PssSha256))?;
        Ok(CredentialSurvey { certificate, tries, pss, ..absent })
    }
}

impl CardSurvey {
    /// What is known of a credential, if it was asked for.
    #[must_use]
    pub fn credential(&self, credential: Credential) -> Option<&CredentialSurvey> {
        self.credentials.iter().find(|found| found.credential == credential)
    }
}

/// `None` for what could not be asked.
fn known<T>(answer: Result<T, CardError>) -> Result<Option<T>, CardError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(CardError::Removed) => Err(CardError::Removed),
        Err(_) => Ok(None),
    }
}
