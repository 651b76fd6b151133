//! The report as text: a line for each thing, with `!` where there is something to do and `?` where
//! something is not known.

use jpki_pkcs11::config::complaint::Complaint;
use jpki_pkcs11::jpki::credential::Credential;

use super::report::{Card, Certificate, CertificateState, PinState, Reader, Report, ValidityPhase};
use crate::output::{Exit, Output};
use crate::profiles::Found;
use crate::text::{card, configuration, profiles, status};

/// Prints the report.
pub(crate) fn print(report: &Report, complaints: &[Complaint], profiles: &Found, output: &mut Output) {
    let language = output.language();
    output.line(status::service(language, report.service));
    advise(output, 1, report.service.exit(), status::service_advice(language, report.service));
    if report.readers.is_empty() && report.service.exit() == Exit::Well {
        output.line(status::no_reader(language));
        advise(output, 1, Exit::ToDo, Some(status::no_reader_advice(language)));
    }
    for reader in &report.readers {
        print_reader(reader, report.is_any_usable(), output);
    }
    output.line(&configuration::files(language, &report.configuration));
    if let Some(settings) = configuration::settings(language, &report.configuration) {
        item(output, 1, &settings);
    }
    for complaint in complaints {
        advise(output, 1, Exit::ToDo, Some(&configuration::mistake(language, complaint)));
    }
    print_programs(profiles, output);
    output.line("");
    output.line(status::conclusion(language, report.result));
}

/// The programs that have the module, and what stands in its way there.
fn print_programs(found: &Found, output: &mut Output) {
    let language = output.language();
    output.line(profiles::registered(language, found));
    for (profile, module) in &found.registered {
        item(output, 1, &profiles::registered_in(profile, module));
    }
    for (profile, module) in &found.proxies {
        item(output, 1, &profiles::through_p11_kit(language, profile, module));
    }
    for problem in &found.problems {
        let text = profiles::problem(language, problem);
        match found.exit_of(problem) {
            Exit::Well => item(output, 1, &text),
            exit => advise(output, 1, exit, Some(&text)),
        }
    }
}

/// What is in a reader is said in any case, and what to do about it only where that matters.
fn print_reader(reader: &Reader, is_any_usable: bool, output: &mut Output) {
    let language = output.language();
    output.line(&status::reader(language, reader));
    if let Some(state) = status::reader_state(language, reader.state) {
        item(output, 1, state);
    }
    let exit = reader.exit(is_any_usable);
    if exit > Exit::Well {
        advise(output, 1, exit, status::reader_advice(language, reader.state));
    }
    if let Some(found) = &reader.card {
        print_card(found, output);
    }
}

fn print_card(found: &Card, output: &mut Output) {
    item(output, 1, &card::card(output.language(), found));
    let certificates = [
        (Credential::UserAuthentication, &found.authentication),
        (Credential::DigitalSignature, &found.signature),
    ];
    for (credential, certificate) in certificates {
        if let Some(certificate) = certificate {
            print_certificate(credential, certificate, found, output);
        }
    }
}

fn print_certificate(credential: Credential, certificate: &Certificate, on: &Card, output: &mut Output) {
    let language = output.language();
    item(output, 1, card::certificate_name(language, on.kind, credential));
    match (card::not_read(language, credential, certificate, on), certificate.state) {
        (text, CertificateState::Unreadable) => advise(output, 2, Exit::CannotTell, text),
        (Some(text), _) => item(output, 2, text),
        (None, _) => {}
    }
    if let Some(validity) = &certificate.validity {
        item(output, 2, &card::valid_until(language, validity));
        let renewal = card::renewal(language, validity, on.kind);
        match validity.phase {
            ValidityPhase::Valid => item(output, 2, &renewal),
            ValidityPhase::Renewable | ValidityPhase::Expired => {
                advise(output, 2, Exit::ToDo, Some(&renewal))
            }
        }
        if credential == Credential::DigitalSignature {
            item(output, 2, card::revocation(language));
        }
    }
    if let Some(pin) = certificate.pin {
        item(output, 2, &card::tries(language, pin));
        let exit = if pin.state == PinState::Unknown { Exit::CannotTell } else { Exit::ToDo };
        advise(output, 2, exit, card::pin_advice(language, credential, pin).as_deref());
        item(output, 2, card::signatures(language, certificate.pss));
    }
}

/// A line so deep below its heading.
fn item(output: &mut Output, depth: usize, text: &str) {
    output.line(&format!("{}{text}", "  ".repeat(depth)));
}

/// A line about something to do, or that is not known.
fn advise(output: &mut Output, depth: usize, exit: Exit, text: Option<&str>) {
    if let Some(text) = text {
        item(output, depth, &marked(exit, text));
    }
}

/// A text with the mark by which the last line refers to it.
pub(crate) fn marked(exit: Exit, text: &str) -> String {
    let mark = match exit {
        Exit::CannotTell => "?",
        Exit::Well | Exit::ToDo => "!",
    };
    format!("{mark} {text}")
}
