//! Makes the report of what the module says.

use std::path::Path;

use jpki_pkcs11::config::{self, CaCertificates, Config, Slots};
use jpki_pkcs11::jpki::certificate::Certificate as X509;
use jpki_pkcs11::jpki::credential::Credential;
use jpki_pkcs11::jpki::renewal::{Phase, now};
use jpki_pkcs11::module::survey::{
    CardModel, CardSurvey, CertificateSurvey, CredentialSurvey, Obstacle, ServiceProblem,
};

use super::report::{
    Card, CardKind, Certificate, CertificateState, Conclusion, Configuration, InFront, InFrontKind, Login,
    Pin, PinState, Reader, ReaderFilter, ReaderState, Registered, Report, Service, Validity, ValidityPhase,
};
use crate::client::{self, Finding};
use crate::profiles::{Found, Module, Problem, Profile, Program};

/// The whole report.
pub(crate) fn report(
    config: &Config,
    readers: Result<&[client::Reader], ServiceProblem>,
    profiles: &Found,
    logins: Vec<Login>,
) -> Report {
    let service = match readers {
        Ok(_) => Service::Running,
        Err(ServiceProblem::NoService) => Service::Missing,
        Err(ServiceProblem::AccessRefused) => Service::AccessRefused,
        Err(ServiceProblem::Failed) => Service::Failed,
    };
    let readers = readers.unwrap_or_default().iter().map(|found| reader(found, config)).collect();
    let configuration = configuration_in_force(config);
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        result: Conclusion::Well,
        service,
        readers,
        logins,
        configuration,
        registered: profiles.registered.iter().map(registered).collect(),
        through_p11_kit: profiles.proxies.iter().map(registered).collect(),
        in_front: profiles.problems.iter().map(|problem| in_front(problem, profiles)).collect(),
    };
    report.result = report.exit().into();
    report
}

fn reader(found: &client::Reader, config: &Config) -> Reader {
    let (state, card) = match &found.finding {
        Finding::Card(survey) => (ReaderState::Ready, Some(card(survey, config))),
        Finding::Ignored => (ReaderState::Ignored, None),
        Finding::NoAnswerInTime => (ReaderState::InTransaction, None),
        Finding::Obstacle(obstacle) => (state(*obstacle), None),
    };
    Reader { name: found.listing.name.clone(), state, card }
}

fn state(obstacle: Obstacle) -> ReaderState {
    match obstacle {
        Obstacle::NoCard => ReaderState::NoCard,
        Obstacle::OtherCard => ReaderState::OtherCard,
        Obstacle::JukiCard => ReaderState::JukiCard,
        Obstacle::Unpowered => ReaderState::Unpowered,
        Obstacle::Held => ReaderState::HeldExclusively,
        Obstacle::AccessRefused => ReaderState::AccessRefused,
        Obstacle::NoAnswer => ReaderState::NoAnswer,
    }
}

/// A card that can be used.
pub(crate) fn card(survey: &CardSurvey, config: &Config) -> Card {
    let of = |credential| survey.credential(credential).map(|found| certificate(found, config));
    let mut card = Card {
        kind: card_kind(survey.model),
        serial_number: survey.serial_number.to_string(),
        authentication: of(Credential::UserAuthentication),
        signature: of(Credential::DigitalSignature),
    };
    let may_be_none = card.may_have_no_pin();
    // Who unlocks one PIN depends on the other.
    let unlocking = Credential::ALL.map(|credential| card.unlocking(credential));
    for (certificate, unlocking) in [&mut card.authentication, &mut card.signature].into_iter().zip(unlocking)
    {
        let pin = certificate.as_mut().and_then(|certificate| certificate.pin.as_mut());
        if let Some(pin) = pin.filter(|pin| pin.state == PinState::Locked) {
            pin.unlocked_by = Some(unlocking);
        }
    }
    if let Some(pin) = card.authentication.as_mut().and_then(|certificate| certificate.pin.as_mut()) {
        pin.may_be_none = may_be_none;
    }
    card
}

/// What a card is.
fn card_kind(model: CardModel) -> CardKind {
    match model {
        CardModel::MyNumberCard => CardKind::MyNumberCard,
        CardModel::AndroidPhone => CardKind::AndroidPhone,
        CardModel::IPhone => CardKind::Iphone,
        CardModel::Unknown => CardKind::Unknown,
    }
}

fn certificate(found: &CredentialSurvey, config: &Config) -> Certificate {
    let (state, validity) = match &found.certificate {
        CertificateSurvey::Absent => {
            return Certificate { state: CertificateState::Absent, validity: None, pin: None, pss: None };
        }
        CertificateSurvey::NeedsPin => (CertificateState::NeedsPin, None),
        CertificateSurvey::Unreadable => (CertificateState::Unreadable, None),
        CertificateSurvey::Read(certificate) => (CertificateState::Read, Some(validity(certificate, now()))),
    };
    let reserved = config.settings.reserved_tries(found.credential);
    let pin = Pin {
        state: pin_state(found.tries, found.credential.facts().max_tries.count(), reserved),
        tries_left: found.tries,
        max_tries: found.credential.facts().max_tries.count(),
        unlocked_by: None,
        may_be_none: false,
    };
    Certificate { state, validity, pin: Some(pin), pss: found.pss }
}

fn pin_state(tries: Option<u8>, most: u8, reserved: u8) -> PinState {
    match tries {
        None => PinState::Unknown,
        Some(0) => PinState::Locked,
        Some(tries) if tries <= reserved => PinState::Reserved,
        Some(1) => PinState::LastTry,
        Some(tries) if tries < most => PinState::TriesMissing,
        Some(_) => PinState::Full,
    }
}

fn validity(certificate: &X509, now: i64) -> Validity {
    Validity {
        from: certificate.not_before().to_string(),
        until: certificate.not_after().to_string(),
        days_left: certificate.days_left(now),
        renewable_from: certificate.renewable_from().to_string(),
        renewal_months: certificate.renewal_months(),
        phase: match certificate.phase(now) {
            Phase::Valid => ValidityPhase::Valid,
            Phase::Renewable => ValidityPhase::Renewable,
            Phase::Expired => ValidityPhase::Expired,
        },
    }
}

fn configuration_in_force(config: &Config) -> Configuration {
    let settings = config.settings;
    Configuration {
        files: config.files.iter().map(|file| file.display().to_string()).collect(),
        mistakes: config.complaints.iter().map(ToString::to_string).collect(),
        slots: match config.slots {
            Slots::Both => "both",
            Slots::Only(Credential::UserAuthentication) => "authentication",
            Slots::Only(Credential::DigitalSignature) => "signature",
        },
        reserve_tries: settings.reserve_tries,
        always_authenticate: settings.always_authenticate,
        pss: match settings.pss {
            None => "auto",
            Some(true) => "on",
            Some(false) => "off",
        },
        ca_certificates: match settings.ca_certificates {
            CaCertificates::Auto => "auto",
            CaCertificates::Shown => "true",
            CaCertificates::Hidden => "false",
        },
        readers: config.readers.iter().map(reader_filter).collect(),
        extended_length: !settings.no_extended_length,
        log_level: config.log_level.as_str().to_ascii_lowercase(),
        log_file: config.log_file.as_ref().map(|file| file.display().to_string()),
    }
}

fn reader_filter(filter: &config::ReaderFilter) -> ReaderFilter {
    ReaderFilter {
        used: filter.use_readers.iter().map(ToString::to_string).collect(),
        ignore: filter.ignore_readers.iter().map(ToString::to_string).collect(),
    }
}

fn registered((profile, module): &(Profile, Module)) -> Registered {
    Registered {
        program: profile.program.word(),
        profile: profile.directory.display().to_string(),
        library: module.library.display().to_string(),
    }
}

fn in_front(problem: &Problem, found: &Found) -> InFront {
    let (kind, program, place, module) = match problem {
        Problem::OpenSc { profile, module } => {
            (InFrontKind::OpenscModule, Some(profile.program), &*profile.directory, Some(module))
        }
        Problem::SeveralOfOurs { profile, .. } => {
            (InFrontKind::SeveralLibraries, Some(profile.program), &*profile.directory, None)
        }
        Problem::MissingFile { profile, module } => {
            (InFrontKind::MissingLibrary, Some(profile.program), &*profile.directory, Some(module))
        }
        Problem::Sandboxed { profile, .. } => {
            (InFrontKind::Sandboxed, Some(profile.program), &*profile.directory, None)
        }
        Problem::Unreadable(unreadable) => {
            (InFrontKind::UnreadableList, Some(unreadable.program), &*unreadable.file, None)
        }
        Problem::Autostart { file } => (InFrontKind::OpenscAutostart, None, &**file, None),
        Problem::NoHome => (InFrontKind::NoHome, None, Path::new("HOME"), None),
    };
    InFront {
        kind,
        program: program.map(Program::word),
        place: place.display().to_string(),
        module: module.map(|module| module.name.clone()),
        library: module.map(|module| module.library.display().to_string()),
        exit: found.exit_of(problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_pin_follows_from_its_tries() {
        assert_eq!(pin_state(None, 3, 0), PinState::Unknown);
        assert_eq!(pin_state(Some(0), 3, 2), PinState::Locked);
        assert_eq!(pin_state(Some(1), 3, 0), PinState::LastTry);
        assert_eq!(pin_state(Some(1), 3, 1), PinState::Reserved);
        assert_eq!(pin_state(Some(2), 3, 1), PinState::TriesMissing);
        assert_eq!(pin_state(Some(3), 3, 2), PinState::Full);
    }
}
