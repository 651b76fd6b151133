//! What a program may expect of a card of some profile.

use crate::behaviour::{FileAnswer, TriesQuery};
use crate::profile::{CertificateFile, Profile};
use crate::{Credential, aid};

const AVAILABILITY: u16 = 0x0008;
const AUTHENTICATION_CERTIFICATE: u16 = 0x000a;
const PSS: u8 = 4;

impl Profile {
    /// Whether a program has to show the signature token.
    ///
    /// It is absent only if EF 0008 can be read, its byte 0 is 00, and its byte 1 does not
    /// contradict the authentication certificate. A byte 1 of 00 contradicts a certificate that is
    /// there.
    pub fn has_signature_token(&self) -> bool {
        let availability = self.availability.as_deref().filter(|_| self.is_readable(AVAILABILITY));
        self.has_application
            && match availability {
                Some([0x00, 0x00, ..]) => self.has_authentication_certificate(),
                Some([0x00, ..]) => false,
                _ => true,
            }
    }

    /// Whether there is an authentication certificate, free to read or behind the PIN.
    pub fn has_authentication_certificate(&self) -> bool {
        let certificate = self.authentication.as_ref().map(|part| &part.certificate);
        let is_there = matches!(certificate, Some(CertificateFile::Present | CertificateFile::Bytes(_)));
        self.has_application && is_there && self.is_readable(AUTHENTICATION_CERTIFICATE)
    }

    /// Whether the card makes RSASSA-PSS signatures.
    pub fn can_pss(&self) -> bool {
        self.has_application && !self.ignores_scheme && self.sign_schemes.contains(&PSS)
    }

    /// Whether one of [`aid::NEUTRAL`] can be selected, which makes the card forget its PINs.
    pub fn another_application_is_selectable(&self) -> bool {
        self.has_application && aid::NEUTRAL.iter().any(|aid| !self.refused_applications.contains_key(aid))
    }

    /// Whether the card tells the tries left of a PIN that is not verified.
    pub fn counts_tries(&self) -> bool {
        let has_pin = |credential| self.credential(credential).is_some_and(|part| part.no_pin.is_none());
        let counts = !matches!(self.tries_query, TriesQuery::Refused(_));
        self.has_application && counts && Credential::ALL.into_iter().any(has_pin)
    }

    /// The PIN that is right; `None` where the card has none.
    pub fn pin(&self, credential: Credential) -> Option<&str> {
        let part = self.credential(credential).filter(|part| part.no_pin.is_none())?;
        Some(&part.pin)
    }

    fn is_readable(&self, file: u16) -> bool {
        let answer = self.file_answers.get(&file).copied().unwrap_or_default();
        !matches!(answer, FileAnswer::Refused(_) | FileAnswer::ReadRefused(_))
    }
}
