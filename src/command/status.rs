//! `status`: how service, readers, card, certificates and configuration stand. It costs no try, and
//! sends a PIN only with `--login`.

pub(crate) mod report;

mod gather;
mod render;
mod verdict;

use clap::ArgMatches;
use jpki_pkcs11::handle::SlotId;
use jpki_pkcs11::jpki::credential::Credential;
use jpki_pkcs11::module::survey::CertificateSurvey;

use crate::arguments::{JSON, LOGIN};
use crate::client::{Client, Finding, Reader, Session};
use crate::output::{Exit, Output};
use crate::pin::{Secret, at_terminal};
use crate::profiles::{Folders, look};
use crate::status::report::Unlocking;
use crate::text::{self, Language};

pub(crate) use gather::card;

/// Says how things stand.
pub(crate) fn run(matches: &ArgMatches, output: &mut Output) -> Exit {
    let client = Client::start();
    let mut readers = client.readers();
    let mut login = Exit::Well;
    if let (true, Ok(readers)) = (matches.get_flag(LOGIN), &mut readers) {
        for reader in readers {
            login = login.max(log_in(&client, reader, output));
        }
    }
    let profiles = look(Folders::of_this_user().as_ref());
    let found = readers.as_deref().map_err(|problem| *problem);
    let report = gather::report(client.config(), found, &profiles, login);
    let exit = report.exit().max(login);
    if !matches.get_flag(JSON) {
        render::print(&report, &client.config().complaints, &profiles, output);
        return exit;
    }
    match serde_json::to_string_pretty(&report) {
        Ok(text) => {
            output.line(&text);
            exit
        }
        Err(_) => {
            output.remark(text::status::no_json(output.language()));
            Exit::CannotTell
        }
    }
}

/// Asks for the PIN of each certificate that only its PIN opens, and looks at the card again.
fn log_in(client: &Client, reader: &mut Reader, output: &mut Output) -> Exit {
    let Finding::Card(survey) = &reader.finding else { return Exit::Well };
    let card = card(survey, client.config());
    let is_private = |credential| {
        let found = survey.credential(credential);
        found.is_some_and(|found| matches!(found.certificate, CertificateSurvey::NeedsPin))
    };
    let mut sessions = Vec::new();
    let mut exit = Exit::Well;
    for &(credential, slot) in reader.listing.slots.iter().filter(|(credential, _)| is_private(*credential)) {
        match log_in_to(client, slot, credential, card.unlocking(credential), output.language()) {
            Ok(session) => sessions.push(session),
            Err((failure, why)) => {
                output.remark(&render::marked(failure, &why));
                exit = exit.max(failure);
            }
        }
    }
    let finding = client.look_again(&reader.listing);
    drop(sessions);
    reader.finding = finding;
    exit
}

/// A session that is logged in with a PIN that is asked for, or what to say and how bad it is.
fn log_in_to(
    client: &Client,
    slot: SlotId,
    credential: Credential,
    unlocking: Unlocking,
    language: Language,
) -> Result<Session<'_>, (Exit, String)> {
    let failed = |error| text::pin::failure(language, credential, unlocking, error);
    let session = client.open(slot).map_err(|error| (Exit::CannotTell, failed(error)))?;
    let pin = at_terminal(|input| Secret::ask(input, &text::pin::prompt(language, credential)))
        .map_err(|why| (Exit::CannotTell, text::pin::no_pin(language, why).to_owned()))?;
    session.log_in(&pin).map_err(|error| (Exit::ToDo, failed(error)))?;
    Ok(session)
}
