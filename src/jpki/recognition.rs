//! What kind of card it is: asked once, when a card comes in. The application is selected.
//!
//! A card is known by its application alone: answers to reset differ from chip to chip, and lists
//! of them broke other software on newer cards (OpenSC, myna).

use zeroize::Zeroizing;

use super::applet::{Applet, AppletError, CommandKind};
use super::certificate::Certificate;
use super::credential::{CERTIFICATES_PRESENT, Credential};
use super::identity::{Identity, SerialNumber};
use crate::iso7816::status::Status;

/// The label of a juki card's token information (`CheckCard` of jpki/myna). A My Number card says
/// `JPKIAPICCTOKEN2`.
const JUKI_LABEL: &[u8] = b"JPKIAPICCTOKEN";

/// How much of a certificate is read to see whether it can be read.
const SHOWN_BYTES: u16 = 4;

/// The certificate of user authentication as the card gives it before any PIN.
#[derive(Debug)]
pub enum AuthenticationCertificate {
    /// It is free to read.
    Read(Box<Certificate>),
    /// It wants the PIN, as it does on an Android phone.
    Private,
    /// There is a file, and it holds no certificate that can be used.
    Unusable,
    /// The card has none.
    Missing,
}

/// A card with the JPKI application.
#[derive(Debug)]
pub struct RecognisedCard {
    /// What tells it from another card.
    pub identity: Identity,
    /// The serial number that PKCS#11 shows.
    pub serial_number: SerialNumber,
    /// Its certificate of user authentication.
    pub authentication: AuthenticationCertificate,
}

impl RecognisedCard {
    /// Whether it shows its certificate. It may do so only because another program left its PIN
    /// verified; on some cards nothing else tells that.
    #[must_use]
    pub fn shows_certificate(&self) -> bool {
        matches!(self.authentication, AuthenticationCertificate::Read(_))
    }

    /// Whether it may show one later, while another program leaves its PIN verified.
    #[must_use]
    pub fn may_hide_certificate(&self) -> bool {
        matches!(self.authentication, AuthenticationCertificate::Private | AuthenticationCertificate::Missing)
    }
}

/// What a card with the JPKI application is.
#[derive(Debug)]
pub enum CardKind {
    /// A My Number card, or a phone that plays one.
    Jpki(RecognisedCard),
    /// The card of the former 住民基本台帳 network: the same application, and no certificate that
    /// is still valid.
    Juki,
}

/// Which product a card with the JPKI application is, as its token information says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardModel {
    /// A My Number card.
    MyNumberCard,
    /// An Android phone.
    AndroidPhone,
    /// An iPhone.
    IPhone,
    /// It does not say, or says what is not known.
    Unknown,
}

impl CardModel {
    /// Reads the token information. The labels are those of myna-card's `TokenType`; jpki/myna
    /// knows the first two as well.
    #[must_use]
    pub fn of(token_info: &[u8]) -> Self {
        match label(token_info) {
            b"JPKIAPICCTOKEN2" => Self::MyNumberCard,
            b"JPKIAPGPSETOKEN" => Self::AndroidPhone,
            b"JPKIAPIOSTOKEN" => Self::IPhone,
            _ => Self::Unknown,
        }
    }
}

/// Finds out what card it is. One whose authentication certificate can be read is asked for nothing
/// else.
///
/// # Errors
/// When no answer came.
pub fn recognise(applet: &mut Applet<'_, '_>) -> Result<CardKind, AppletError> {
    let authentication = match applet.certificate(Credential::UserAuthentication.facts().certificate) {
        Ok(certificate) => {
            return Ok(CardKind::Jpki(RecognisedCard {
                identity: Identity::of_certificate(&certificate),
                serial_number: SerialNumber::of(certificate.der()),
                authentication: AuthenticationCertificate::Read(Box::new(certificate)),
            }));
        }
        Err(AppletError::Refused { status, .. }) => match status.classify() {
            Status::NotFound => AuthenticationCertificate::Missing,
            // Whatever else it says: perhaps it will be read after the PIN.
            _ => AuthenticationCertificate::Private,
        },
        Err(AppletError::NoCertificate) => AuthenticationCertificate::Unusable,
        Err(error) => return Err(error),
    };
    let token_info = match applet.token_info() {
        // It takes every command, and does none.
        Ok(info) if info.is_empty() && matches!(authentication, AuthenticationCertificate::Unusable) => {
            return Err(AppletError::Malformed(CommandKind::Read));
        }
        info => or_nothing(info)?,
    };
    if is_juki_card(&token_info) {
        return Ok(CardKind::Juki);
    }
    let identity = Identity::of_token_info(&token_info);
    let serial_number = SerialNumber::of(&token_info);
    Ok(CardKind::Jpki(RecognisedCard { identity, serial_number, authentication }))
}

/// The number of a card that showed its authentication certificate when it was recognised and hides
/// it now; `None` where it still shows it. No PIN is verified.
///
/// # Errors
/// When no answer came, or one that tells nothing.
pub fn number_without_certificate(applet: &mut Applet<'_, '_>) -> Result<Option<SerialNumber>, AppletError> {
    let file = Credential::UserAuthentication.facts().certificate;
    match applet.read_start(file, SHOWN_BYTES) {
        Ok(start) if start.is_empty() => Err(AppletError::Malformed(CommandKind::Read)),
        Ok(_) => Ok(None),
        Err(AppletError::Refused { .. }) => {
            let token_info = or_nothing(applet.token_info())?;
            Ok(Some(SerialNumber::of(&token_info)))
        }
        Err(error) => Err(error),
    }
}

/// Whether a card of this identity answers, as far as that can be asked.
///
/// # Errors
/// When no answer came.
pub fn is_same_card(applet: &mut Applet<'_, '_>, identity: &Identity) -> Result<bool, AppletError> {
    let now = match identity {
        Identity::Certificate(start) => {
            let file = Credential::UserAuthentication.facts().certificate;
            let least = Identity::FEWEST_BYTES.min(start.len());
            applet.read_at_least(file, least, Identity::CERTIFICATE_BYTES)
        }
        Identity::TokenInfo(_) => applet.token_info(),
        Identity::None => return Ok(false),
    };
    Ok(identity.is_read_as(&or_nothing(now)?))
}

/// Whether the card carries a signature certificate, as EF 0008 says.
///
/// What that file means is known of one card (myna-card): 8F for a certificate that is there, and
/// people under 15 have no signature certificate. So it is a hint: the certificate is missing only
/// where the first byte was read and is 00, and the second one does not contradict an
/// authentication certificate that is there.
///
/// # Errors
/// When no answer came.
pub fn has_signature_certificate(
    applet: &mut Applet<'_, '_>,
    has_authentication: bool,
) -> Result<bool, AppletError> {
    match applet.read_start(CERTIFICATES_PRESENT, 3) {
        Ok(bytes) => Ok(match bytes.as_slice() {
            [0x00, 0x00, ..] => has_authentication,
            [0x00, ..] => false,
            _ => true,
        }),
        Err(error @ AppletError::Transport { .. }) => Err(error),
        Err(error @ AppletError::Malformed(CommandKind::Read)) => Err(error),
        Err(_) => Ok(true),
    }
}

/// What was read, or nothing where the card refuses it.
fn or_nothing(read: Result<Zeroizing<Vec<u8>>, AppletError>) -> Result<Zeroizing<Vec<u8>>, AppletError> {
    match read {
        Err(error @ AppletError::Transport { .. }) => Err(error),
        read => Ok(read.unwrap_or_default()),
    }
}

fn is_juki_card(token_info: &[u8]) -> bool {
    label(token_info) == JUKI_LABEL
}

/// The label, without blanks or zeros after it.
fn label(token_info: &[u8]) -> &[u8] {
    let label = token_info.get(..32).unwrap_or(token_info).trim_ascii();
    label.split(|&byte| byte == 0).next().unwrap_or_default()
}
