//! What comes of a [report](super::report): the exit status, and who unlocks a PIN.

use jpki_pkcs11::error::CardError;
use jpki_pkcs11::jpki::credential::Credential;

use super::report::{
    Card, CardKind, Certificate, CertificateState, Conclusion, Pin, PinState, Reader, ReaderState, Report,
    Service, Unlocking, ValidityPhase,
};
use crate::output::Exit;

impl From<Exit> for Conclusion {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Well => Self::Well,
            Exit::ToDo => Self::ToDo,
            Exit::CannotTell => Self::CannotTell,
        }
    }
}

impl Service {
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Running => Exit::Well,
            Self::Missing | Self::AccessRefused => Exit::ToDo,
            Self::Failed => Exit::CannotTell,
        }
    }
}

impl Reader {
    /// What comes of it, beside a card that can be used or not.
    pub(crate) fn exit(&self, is_any_usable: bool) -> Exit {
        let card = self.card.as_ref().map_or(Exit::Well, |card| {
            let certificates = [&card.authentication, &card.signature].into_iter().flatten();
            certificates.map(Certificate::exit).max().unwrap_or(Exit::Well)
        });
        self.state.exit(is_any_usable).max(card)
    }
}

impl Pin {
    /// Why the module would not send an entry, whatever it is.
    pub(crate) fn refusal(self) -> Option<CardError> {
        match self.state {
            PinState::Locked => Some(CardError::PinBlocked),
            PinState::Reserved => Some(CardError::PinReserved),
            PinState::Full | PinState::TriesMissing | PinState::LastTry | PinState::Unknown => None,
        }
    }
}

impl Card {
    /// The PIN of a credential, if the card has it.
    pub(crate) fn pin(&self, credential: Credential) -> Option<Pin> {
        let certificate = match credential {
            Credential::UserAuthentication => &self.authentication,
            Credential::DigitalSignature => &self.signature,
        };
        certificate.as_ref().and_then(|certificate| certificate.pin)
    }

    /// Whether the card may be one that was made without a PIN (since December 2023:
    /// 顔認証マイナンバーカード). Such a card has no signature certificate. What it answers to the
    /// question for the tries is not known, but it can be no count. A child's card whose PIN is
    /// locked looks the same.
    pub(crate) fn may_have_no_pin(&self) -> bool {
        let has_no_signature =
            self.signature.as_ref().is_some_and(|signature| signature.state == CertificateState::Absent);
        let pin = self.pin(Credential::UserAuthentication).map(|pin| pin.state);
        let is_card = matches!(self.kind, CardKind::MyNumberCard | CardKind::Unknown);
        is_card && has_no_signature && matches!(pin, Some(PinState::Locked | PinState::Unknown))
    }

    /// Who gives a locked PIN of a credential its tries back.
    pub(crate) fn unlocking(&self, credential: Credential) -> Unlocking {
        let other = match credential {
            Credential::UserAuthentication => Credential::DigitalSignature,
            Credential::DigitalSignature => Credential::UserAuthentication,
        };
        let other_works = self.pin(other).is_some_and(|pin| pin.state != PinState::Locked);
        match self.kind {
            CardKind::AndroidPhone | CardKind::Iphone => Unlocking::Phone,
            CardKind::MyNumberCard | CardKind::Unknown if self.may_have_no_pin() => {
                Unlocking::OfficeIfThereIsOne
            }
            CardKind::MyNumberCard | CardKind::Unknown if other_works && !self.is_any_expired() => {
                Unlocking::OfficeOrKiosk
            }
            CardKind::MyNumberCard | CardKind::Unknown => Unlocking::Office,
        }
    }

    /// Whether a certificate is known to have expired. The kiosk wants both to be valid.
    fn is_any_expired(&self) -> bool {
        let certificates = [&self.authentication, &self.signature].into_iter().flatten();
        let mut validities = certificates.filter_map(|certificate| certificate.validity.as_ref());
        validities.any(|validity| validity.phase == ValidityPhase::Expired)
    }
}

impl ReaderState {
    /// Where a card can be used, what another reader has in it is the affair of other programs:
    /// GnuPG holds a key token in its own reader for days.
    fn exit(self, is_any_usable: bool) -> Exit {
        match self {
            Self::Ready => Exit::Well,
            Self::AccessRefused => Exit::ToDo,
            _ if is_any_usable => Exit::Well,
            Self::InTransaction => Exit::CannotTell,
            Self::Ignored
            | Self::NoCard
            | Self::OtherCard
            | Self::JukiCard
            | Self::Unpowered
            | Self::HeldExclusively
            | Self::NoAnswer => Exit::ToDo,
        }
    }
}

impl Certificate {
    fn exit(&self) -> Exit {
        let state = match self.state {
            CertificateState::Read | CertificateState::NeedsPin | CertificateState::Absent => Exit::Well,
            CertificateState::Unreadable => Exit::CannotTell,
        };
        let validity = match self.validity.as_ref().map(|validity| validity.phase) {
            None | Some(ValidityPhase::Valid) => Exit::Well,
            Some(ValidityPhase::Renewable | ValidityPhase::Expired) => Exit::ToDo,
        };
        let pin = match self.pin.map(|pin| pin.state) {
            None | Some(PinState::Full) => Exit::Well,
            Some(PinState::TriesMissing | PinState::LastTry | PinState::Reserved | PinState::Locked) => {
                Exit::ToDo
            }
            Some(PinState::Unknown) => Exit::CannotTell,
        };
        state.max(validity).max(pin)
    }
}

impl Report {
    /// Whether there is a card that can be used.
    pub(crate) fn is_any_usable(&self) -> bool {
        self.readers.iter().any(|reader| reader.state == ReaderState::Ready)
    }

    /// What comes of everything. What keeps another reader's card from being used matters only
    /// where no card can be used.
    pub(crate) fn exit(&self) -> Exit {
        let is_any_usable = self.is_any_usable();
        let readers = self.readers.iter().map(|reader| reader.exit(is_any_usable)).max();
        let readers = readers.unwrap_or(Exit::ToDo);
        let configuration = if self.configuration.mistakes.is_empty() { Exit::Well } else { Exit::ToDo };
        let in_front = self.in_front.iter().map(|found| found.exit).max().unwrap_or(Exit::Well);
        let logins = self.logins.iter().map(|login| login.exit).max().unwrap_or(Exit::Well);
        self.service.exit().max(readers).max(logins).max(configuration).max(in_front)
    }
}
