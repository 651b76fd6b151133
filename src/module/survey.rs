//! What the command `jpki-pkcs11` asks for beyond the calls of PKCS#11: plain data, read only.

use std::sync::Arc;

use super::Module;
use crate::handle::SlotId;
use crate::jpki::certificate::Certificate;
use crate::jpki::credential::Credential;
pub use crate::jpki::recognition::CardModel;
pub use crate::manager::survey::{CardSurvey, CertificateSurvey, CredentialSurvey, Obstacle};
use crate::transport::TransportError;

/// Why no reader can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceProblem {
    /// No PC/SC service answers.
    NoService,
    /// The service does not let this user in.
    AccessRefused,
    /// It answers with another failure.
    Failed,
}

/// A reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderListing {
    /// Its name.
    pub name: String,
    /// Whether the configuration lets it be used.
    pub is_used: bool,
    /// Its slots, as far as the configuration shows them.
    pub slots: Vec<(Credential, SlotId)>,
}

impl Module {
    /// The readers, those that the configuration leaves alone too. No card is asked.
    ///
    /// # Errors
    /// Why they cannot be listed.
    pub fn readers(&self) -> Result<Vec<ReaderListing>, ServiceProblem> {
        self.slots.listings().map_err(|error| match error {
            TransportError::NoService => ServiceProblem::NoService,
            TransportError::AccessDenied => ServiceProblem::AccessRefused,
            _ => ServiceProblem::Failed,
        })
    }

    /// What can be said of the card in a reader. It costs no try. Waits while another program has a
    /// transaction on the card, without limit, as every call to the card does.
    ///
    /// # Errors
    /// What keeps the card from being used.
    pub fn survey(&self, reader: &ReaderListing) -> Result<CardSurvey, Obstacle> {
        let credentials: Vec<_> = reader.slots.iter().map(|(credential, _)| *credential).collect();
        let manager = self.slots.manager_of(&reader.name).ok_or(Obstacle::NoCard)?;
        manager.survey(&credentials)
    }

    /// The certificate of the CA that issued a credential's, if the card in a reader gives one. It
    /// needs no PIN. Waits as [`Self::survey`] does.
    ///
    /// # Errors
    /// What keeps the card from being used.
    pub fn ca_certificate(
        &self,
        reader: &ReaderListing,
        credential: Credential,
    ) -> Result<Option<Arc<Certificate>>, Obstacle> {
        let manager = self.slots.manager_of(&reader.name).ok_or(Obstacle::NoCard)?;
        manager.survey_ca(credential)
    }
}
