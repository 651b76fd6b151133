//! Signatures: one transaction each, and none is given away unchecked.

use log::{error, warn};

use super::CardManager;
use super::card::CardCredential;
use super::context_login::ContextLogin;
use super::error::CardError;
use crate::jpki::applet::CommandKind;
use crate::jpki::credential::CertificateRole;
use crate::jpki::key::ToBeSigned;

/// By what right a signature is made.
#[derive(Debug, Clone, Copy)]
pub enum Authorization<'a> {
    /// The user is logged in.
    Login,
    /// The user is logged in and gave the PIN again for this one signature.
    Once(&'a ContextLogin),
}

impl CardManager {
    /// Makes a signature and checks it with the certificate's key.
    ///
    /// # Errors
    /// [`CardError::NotLoggedIn`] and [`CardError::PinStale`] when a login is needed first,
    /// [`CardError::WrongSignature`] when what the card sent is not one.
    pub fn sign(
        &self,
        of: &CardCredential,
        message: ToBeSigned<'_>,
        authorization: Authorization<'_>,
    ) -> Result<Vec<u8>, CardError> {
        if !of.is_logged_in() {
            return Err(CardError::NotLoggedIn);
        }
        let certificate =
            self.certificate(of, CertificateRole::EndEntity)?.ok_or(CardError::NoCertificate)?;
        let key = certificate.public_key().ok_or(CardError::NoCertificate)?;
        let signed = self.with_card(&of.card, |applet| {
            match authorization {
                Authorization::Once(login) => self.verify_context_login(applet, of, login)?,
                Authorization::Login => self.verify_stored(applet, of)?,
            }
            Ok(applet.sign(of.credential, message)?)
        });
        let signature = signed.inspect_err(|error| self.note_refused_scheme(of, message, *error))?;
        if key.verifies(message, &signature) {
            return Ok(signature.to_vec());
        }
        error!("{}: the card's answer is no signature of the key ({:?})", self.reader, of.credential);
        self.note_refused_scheme(of, message, CardError::WrongSignature);
        Err(CardError::WrongSignature)
    }

    /// A card that does not sign by a scheme after all is not asked to again.
    fn note_refused_scheme(&self, of: &CardCredential, message: ToBeSigned<'_>, error: CardError) {
        let refused = matches!(
            error,
            CardError::Refused { command: CommandKind::Sign, .. } | CardError::WrongSignature
        );
        if let (true, Some(capability)) = (refused, message.scheme.capability()) {
            warn!("{}: this card does not make {:?} signatures", self.reader, message.scheme);
            of.card.disprove(capability);
        }
    }
}
