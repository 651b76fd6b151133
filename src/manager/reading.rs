//! What is read of a card: certificates, whether it does PSS, random bytes. Each thing is read once for each card.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use log::{debug, warn};

use super::CardManager;
use super::card::{Card, Epoch, Holder};
use super::error::CardError;
use crate::iso7816::status::Status;
use crate::jpki::applet::{Applet, AppletError, PssAnswer};
use crate::jpki::certificate::Certificate;
use crate::jpki::layout::Credential;

/// From when a certificate can be renewed at the office: three months before it expires.
const RENEWAL_SECONDS: i64 = 90 * 24 * 60 * 60;

/// How many random bytes one transaction brings at most.
const RANDOM_PER_TRANSACTION: usize = 4096;

impl CardManager {
    /// A certificate of the card; `None` when the card has none that can be used. Read once.
    ///
    /// # Errors
    /// [`CardError::NotLoggedIn`] for a certificate that only its PIN opens; or when the card does not answer.
    pub fn certificate(
        &self,
        epoch: Epoch,
        credential: Credential,
        holder: Holder,
    ) -> Result<Option<Arc<Certificate>>, CardError> {
        let card = self.known_card(epoch)?;
        if let Some(certificate) = card.certificate(credential, holder) {
            return Ok(certificate);
        }
        let mut io = self.io.lock();
        if let Some(certificate) = card.certificate(credential, holder) {
            return Ok(certificate);
        }
        let private = holder == Holder::User && card.is_private(credential);
        self.with_io(&mut io, epoch, |applet| {
            if private {
                self.verify_login(applet, epoch, credential)?;
            }
            self.read_certificate(applet, &card, credential, holder)
        })
    }

    /// Reads a certificate within a transaction and remembers it, or that there is none.
    pub(super) fn read_certificate(
        &self,
        applet: &mut Applet<'_>,
        card: &Card,
        credential: Credential,
        holder: Holder,
    ) -> Result<Option<Arc<Certificate>>, CardError> {
        let certificate = match applet.certificate(holder.file(credential)) {
            Ok(certificate) => Some(Arc::new(certificate)),
            Err(error @ (AppletError::Transport { .. } | AppletError::Malformed(_))) => {
                return Err(error.into());
            }
            Err(error @ (AppletError::Refused { .. } | AppletError::NoCertificate)) => {
                warn!("{}: a certificate ({credential:?}, {holder:?}) cannot be read: {error}", self.reader);
                if !is_lasting(error) {
                    return Ok(None);
                }
                None
            }
        };
        if let (Some(certificate), Holder::User) = (&certificate, holder) {
            self.warn_about_expiry(credential, certificate);
        }
        card.put(credential, holder, certificate.clone());
        Ok(certificate)
    }

    /// Whether the card makes PSS signatures. It is asked once, without a PIN.
    ///
    /// # Errors
    /// When the card does not answer.
    pub fn offers_pss(&self, epoch: Epoch, credential: Credential) -> Result<bool, CardError> {
        if let Some(configured) = self.settings.pss {
            return Ok(configured);
        }
        let card = self.known_card(epoch)?;
        if let Some(known) = card.pss() {
            return Ok(known);
        }
        let mut io = self.io.lock();
        if let Some(known) = card.pss() {
            return Ok(known);
        }
        let answer = self.with_io(&mut io, epoch, |applet| Ok(applet.offers_pss(credential)?))?;
        debug!("{}: PSS signatures are {answer:?}", self.reader);
        card.set_pss(answer == PssAnswer::Offered);
        Ok(answer == PssAnswer::Offered)
    }

    /// Whether the card makes PSS signatures, as far as is known without asking it.
    pub fn pss_known(&self, epoch: Epoch) -> bool {
        self.settings
            .pss
            .unwrap_or_else(|| self.known_card(epoch).ok().and_then(|card| card.pss()).unwrap_or(false))
    }

    /// Random bytes from the card.
    ///
    /// # Errors
    /// When the card does not answer.
    pub fn random(&self, epoch: Epoch, room: &mut [u8]) -> Result<(), CardError> {
        for chunk in room.chunks_mut(RANDOM_PER_TRANSACTION) {
            let mut filled = 0;
            self.with_card(epoch, |applet| {
                while let Some(rest) = chunk.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                    let bytes = applet.challenge(u16::try_from(rest.len()).unwrap_or(u16::MAX))?;
                    filled += rest.iter_mut().zip(bytes).map(|(room, byte)| *room = byte).count();
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// One line in the log for a certificate that has expired or soon will. Signing goes on: who relies on the
    /// signature decides.
    pub(super) fn warn_about_expiry(&self, credential: Credential, certificate: &Certificate) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let left = certificate.expires().saturating_sub(i64::try_from(now).unwrap_or(i64::MAX));
        let date = certificate.not_after();
        if left < 0 {
            warn!("{}: the certificate ({credential:?}) expired on {date}", self.reader);
        } else if left < RENEWAL_SECONDS {
            warn!(
                "{}: the certificate ({credential:?}) expires on {date}; the municipal office renews it now",
                self.reader
            );
        }
    }
}

/// Whether a certificate that could not be read need not be asked for again: it is not there, or is none. Any other
/// refusal may be a passing one.
fn is_lasting(error: AppletError) -> bool {
    match error {
        AppletError::Refused { status, .. } => status.classify() == Status::NotFound,
        AppletError::NoCertificate => true,
        AppletError::Malformed(_) | AppletError::Transport { .. } => false,
    }
}
