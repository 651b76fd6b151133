//! Signatures: one transaction each, and none is given away unchecked.

use log::{error, warn};

use super::CardManager;
use super::card::{Epoch, Holder};
use super::error::CardError;
use super::login::Ticket;
use crate::jpki::applet::Step;
use crate::jpki::layout::Credential;
use crate::jpki::public_key::ToBeSigned;

/// By what right a signature is made.
#[derive(Debug, Clone, Copy)]
pub enum Authorization<'a> {
    /// Somebody is logged in.
    Login,
    /// Somebody is logged in and gave the PIN again for this one signature.
    Once(&'a Ticket),
}

impl CardManager {
    /// Makes a signature and checks it with the certificate's key.
    ///
    /// # Errors
    /// [`CardError::NotLoggedIn`] and [`CardError::PinStale`] when a login is needed first,
    /// [`CardError::WrongSignature`] when what the card sent is not one.
    pub fn sign(
        &self,
        epoch: Epoch,
        credential: Credential,
        message: ToBeSigned<'_>,
        authorization: Authorization<'_>,
    ) -> Result<Vec<u8>, CardError> {
        if !self.is_logged_in(epoch, credential) {
            return Err(CardError::NotLoggedIn);
        }
        let certificate =
            self.certificate(epoch, credential, Holder::User)?.ok_or(CardError::NoCertificate)?;
        let key = certificate.public_key().ok_or(CardError::NoCertificate)?;
        let signature = self.with_card(epoch, |applet| {
            // Looked up only now: somebody may have logged out while this thread waited for the card.
            if !self.is_logged_in(epoch, credential) {
                return Err(CardError::NotLoggedIn);
            }
            match authorization {
                Authorization::Once(ticket) => {
                    let pin = ticket.pin().ok_or(CardError::NotLoggedIn)?;
                    self.verify_again(applet, credential, &pin)?;
                }
                Authorization::Login => self.verify_login(applet, epoch, credential)?,
            }
            Ok(applet.sign(credential, message)?)
        });
        let signature = signature.inspect_err(|error| self.note_pss_refusal(epoch, message, *error))?;
        if key.verifies(message, &signature) {
            return Ok(signature);
        }
        error!("{}: the card's answer is no signature of the key ({credential:?})", self.reader);
        self.note_pss_refusal(epoch, message, CardError::WrongSignature);
        Err(CardError::WrongSignature)
    }

    /// A card that does not make a PSS signature after all is not asked for another one.
    fn note_pss_refusal(&self, epoch: Epoch, message: ToBeSigned<'_>, error: CardError) {
        let refused =
            matches!(error, CardError::Refused { step: Step::Sign, .. } | CardError::WrongSignature);
        if let (true, ToBeSigned::Pss(_), Ok(card)) = (refused, message, self.known_card(epoch)) {
            warn!("{}: this card does not make PSS signatures", self.reader);
            card.set_pss(false);
        }
    }
}
