//! What is read of a card: certificates, and by which schemes it signs. Each thing is read once for
//! each card; what only the PIN opens, once for each login.

use std::sync::Arc;

use log::{debug, warn};

use super::CardManager;
use super::card::CardCredential;
use super::error::CardError;
use crate::iso7816::status::Status;
use crate::jpki::applet::{Applet, AppletError};
use crate::jpki::certificate::Certificate;
use crate::jpki::credential::{CertificateRole, Credential};
use crate::jpki::key::Scheme;
use crate::jpki::renewal::{Phase, now};

impl CardManager {
    /// A certificate of the card; `None` when the card has none that can be used. Read once.
    ///
    /// # Errors
    /// [`CardError::NotLoggedIn`] for a certificate that only its PIN opens; or when the card does
    /// not answer.
    pub fn certificate(
        &self,
        of: &CardCredential,
        role: CertificateRole,
    ) -> Result<Option<Arc<Certificate>>, CardError> {
        let known = || of.certificate(role);
        if !of.card.is_there() {
            return Err(CardError::Removed);
        }
        if let Some(certificate) = known() {
            return Ok(certificate);
        }
        let mut io = self.io.lock();
        if let Some(certificate) = known() {
            return Ok(certificate);
        }
        let private = role == CertificateRole::EndEntity && of.is_private();
        let read = self.with_io(&mut io, &of.card, |applet| {
            if private {
                self.verify_stored(applet, of)?;
            }
            self.read_certificate(applet, of, role)
        });
        if private && !of.is_logged_in() {
            // It ended while the certificate was read. No login begins before this lock is free.
            of.log_out();
        }
        read
    }

    /// Reads a certificate within a transaction and remembers it, or that there is none.
    pub(super) fn read_certificate(
        &self,
        applet: &mut Applet<'_, '_>,
        of: &CardCredential,
        role: CertificateRole,
    ) -> Result<Option<Arc<Certificate>>, CardError> {
        let certificate = match applet.certificate(role.file(of.credential)) {
            Ok(certificate) => Some(Arc::new(certificate)),
            Err(error @ (AppletError::Transport { .. } | AppletError::Malformed(_) | AppletError::NoPin)) => {
                return Err(error.into());
            }
            Err(error @ (AppletError::Refused { .. } | AppletError::NoCertificate)) => {
                warn!(
                    "{}: a certificate ({:?}, {role:?}) cannot be read: {error}",
                    self.reader, of.credential
                );
                if !is_lasting(error) {
                    return Ok(None);
                }
                None
            }
        };
        if let (Some(certificate), CertificateRole::EndEntity) = (&certificate, role) {
            self.warn_about_expiry(of.credential, certificate);
        }
        of.put(role, certificate.clone());
        Ok(certificate)
    }

    /// Whether the card signs by a scheme. It is asked once, without a PIN and with an input that
    /// cannot be signed. One that does not say counts as able until it fails.
    ///
    /// # Errors
    /// When the card does not answer.
    pub fn offers(&self, of: &CardCredential, scheme: Scheme) -> Result<bool, CardError> {
        if let Some(known) = self.offers_as_far_as_known(of, scheme) {
            return Ok(known);
        }
        self.with_card(&of.card, |applet| Ok(applet.ask_for(of.credential, scheme)?))?;
        let known = self.offers_as_far_as_known(of, scheme);
        debug!("{}: {scheme:?} is offered: {known:?}", self.reader);
        Ok(known.unwrap_or(true))
    }

    /// Whether the card signs by a scheme, as far as is known without asking it.
    pub fn offers_as_far_as_known(&self, of: &CardCredential, scheme: Scheme) -> Option<bool> {
        let Some(capability) = scheme.capability() else { return Some(true) };
        self.settings.pss.or_else(|| of.card.can(capability))
    }

    /// One line in the log for a certificate that has expired or soon will. Signing goes on: who
    /// relies on the signature decides.
    pub(super) fn warn_about_expiry(&self, credential: Credential, certificate: &Certificate) {
        let date = certificate.not_after();
        match certificate.phase(now()) {
            Phase::Valid => {}
            Phase::Renewable => warn!(
                "{}: the certificate ({credential:?}) expires on {date}; the municipal office renews it now",
                self.reader
            ),
            Phase::Expired => warn!("{}: the certificate ({credential:?}) expired on {date}", self.reader),
        }
    }
}

/// Whether a certificate that could not be read need not be asked for again: it is not there, or is
/// none. Any other refusal may be a passing one.
fn is_lasting(error: AppletError) -> bool {
    match error {
        AppletError::Refused { status, .. } => status.classify() == Status::NotFound,
        AppletError::NoCertificate => true,
        AppletError::Malformed(_) | AppletError::NoPin | AppletError::Transport { .. } => false,
    }
}
