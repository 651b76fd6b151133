//! What card it is: asked once, when a card comes in, in one transaction.

use std::sync::Arc;

use log::{debug, info, warn};

use super::card::{Card, Epoch};
use super::error::CardError;
use super::{CardManager, Known, Live};
use crate::iso7816::status::Status;
use crate::jpki::applet::{Applet, AppletError, Features, PssAnswer, Step};
use crate::jpki::layout::Credential;
use crate::transport::{ReaderState, TransportError};

/// The label of a juki card's token information; a My Number card says `JPKIAPICCTOKEN2`.
const JUKI_LABEL: &[u8] = b"JPKIAPICCTOKEN";

impl CardManager {
    /// Connects to the card in the reader and finds out what it is.
    pub(super) fn recognise(
        &self,
        io: &mut Option<Live>,
        with_signature: bool,
    ) -> Result<Arc<Card>, CardError> {
        *io = None;
        let Ok(Some(ReaderState { card_present: true, changes })) = self.transport.reader_state(&self.reader)
        else {
            return Err(CardError::NoCard);
        };
        let epoch = Epoch::new(self.epochs.take());
        let connection = self.transport.connect(&self.reader).map_err(|error| match error {
            TransportError::Removed => CardError::NoCard,
            other => CardError::from(other),
        })?;
        let mut live = Live { connection, epoch, features: Features::default(), suspect: false };
        let found = self.transact(&mut live, None, |applet| self.examine(applet, epoch, with_signature));
        let card = match found {
            Ok(card) => Some(Arc::new(card)),
            Err(CardError::NotJpki) => None,
            Err(error) => {
                debug!("{}: the card cannot be recognised: {error}", self.reader);
                return Err(error);
            }
        };
        // Also what another thread has noted of a PIN since the card before this one was forgotten.
        self.forget_logins();
        *self.known.lock() = Some(Known { changes, card: card.clone() });
        let card = card.ok_or(CardError::NotJpki)?;
        info!("{}: a card with the JPKI application", self.reader);
        *io = Some(live);
        Ok(card)
    }

    /// What kind of card it is. The application is selected.
    fn examine(
        &self,
        applet: &mut Applet<'_>,
        epoch: Epoch,
        with_signature: bool,
    ) -> Result<Card, CardError> {
        let token_info = applet.token_info_at_once()?;
        if let Some(info) = &token_info {
            self.refuse_juki_card(info)?;
        }
        let certificate = applet.certificate(Credential::UserAuthentication.certificate());
        if let Ok(certificate) = certificate {
            self.warn_about_expiry(Credential::UserAuthentication, &certificate);
            let card = Card::with_certificate(epoch, certificate);
            self.examine_signature(applet, &card, with_signature)?;
            self.examine_pss(applet, &card)?;
            return Ok(card);
        }
        // No authentication certificate to know the card by: what is it?
        let unusual = match certificate {
            Err(AppletError::Refused { status, .. }) => match status.classify() {
                Status::SecurityStatus => Card::with_private_certificate,
                Status::NotFound => Card::without_certificate,
                _ => return Err(CardError::Refused { step: Step::Read, status }),
            },
            Err(AppletError::NoCertificate) | Ok(_) => Card::with_unusable_certificate,
            Err(error) => return Err(error.into()),
        };
        let token_info = match token_info {
            Some(info) => info,
            None => applet.token_info()?,
        };
        self.refuse_juki_card(&token_info)?;
        let card = unusual(epoch, token_info);
        self.examine_signature(applet, &card, with_signature)?;
        Ok(card)
    }

    /// Whether the card carries a signature certificate, if that is wanted now. An answer that tells nothing leaves
    /// the question open: authentication must not suffer from it.
    fn examine_signature(&self, applet: &mut Applet<'_>, card: &Card, wanted: bool) -> Result<(), CardError> {
        if !wanted {
            return Ok(());
        }
        match applet.has_certificate(Credential::DigitalSignature) {
            Ok(present) => card.set_present(Credential::DigitalSignature, present),
            Err(error @ AppletError::Transport { .. }) => return Err(error.into()),
            Err(error) => warn!("{}: which certificates the card has is not known: {error}", self.reader),
        }
        Ok(())
    }

    /// The card of the former 住民基本台帳 network has the same application, and no certificate that is still valid.
    fn refuse_juki_card(&self, token_info: &[u8]) -> Result<(), CardError> {
        let label = token_info.get(..32).unwrap_or(token_info).trim_ascii();
        let label = label.split(|&byte| byte == 0).next().unwrap_or_default();
        if label == JUKI_LABEL {
            warn!("{}: a juki card (住民基本台帳カード); its certificates have all expired", self.reader);
            return Err(CardError::NotJpki);
        }
        Ok(())
    }

    /// Whether the card makes PSS signatures, where one command tells it: objects say so from the beginning then. An
    /// older card is asked when somebody wants to know.
    fn examine_pss(&self, applet: &mut Applet<'_>, card: &Card) -> Result<(), CardError> {
        if self.settings.pss.is_none() && applet.knows_short_file_ids() {
            let answer = applet.offers_pss(Credential::UserAuthentication)?;
            card.set_pss(answer == PssAnswer::Offered);
        }
        Ok(())
    }
}
