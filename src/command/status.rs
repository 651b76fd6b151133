//! `status`: how service, readers, card, certificates and configuration stand. It costs no try, and
//! sends a PIN only with `--login`.

pub(crate) mod report;

mod gather;
mod render;

use clap::ArgMatches;
use jpki_pkcs11::jpki::credential::Credential;
use jpki_pkcs11::module::survey::CertificateSurvey;
use jpki_pkcs11::os::Terminal;

use crate::arguments::{JSON, LOGIN};
use crate::client::{Client, Finding, Reader};
use crate::output::{Exit, Output};
use crate::pin::{NoPin, Secret};
use crate::profiles::{Folders, look};
use crate::text;

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
    let profiles = Folders::of_this_user().map(|folders| look(&folders)).unwrap_or_default();
    let mut report =
        gather::report(client.config(), readers.as_deref().map_err(|problem| *problem), &profiles);
    let exit = report.exit().max(login);
    report.result = exit.into();
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
    let is_private = |credential: Credential| {
        let found = survey.credentials.iter().find(|found| found.credential == credential);
        found.is_some_and(|found| matches!(found.certificate, CertificateSurvey::NeedsPin))
    };
    let private: Vec<_> =
        reader.listing.slots.iter().filter(|(credential, _)| is_private(*credential)).collect();
    let language = output.language();
    let mut sessions = Vec::new();
    let mut exit = Exit::Well;
    for (credential, slot) in private {
        let session = match client.open(*slot) {
            Ok(session) => session,
            Err(error) => {
                output.remark(&text::pin::failure(language, *credential, card.unlocking(*credential), error));
                exit = Exit::CannotTell;
                continue;
            }
        };
        let asked = Terminal::open().map_err(|_| NoPin::NoTerminal).and_then(|terminal| {
            let input = terminal.hide_input().map_err(|_| NoPin::NoTerminal)?;
            Secret::ask(&input, &text::pin::prompt(language, *credential))
        });
        match asked {
            Ok(pin) => match session.log_in(&pin) {
                Ok(()) => sessions.push(session),
                Err(error) => {
                    output.remark(&text::pin::failure(
                        language,
                        *credential,
                        card.unlocking(*credential),
                        error,
                    ));
                    exit = exit.max(Exit::ToDo);
                }
            },
            Err(why) => {
                output.remark(text::pin::no_pin(language, why));
                exit = Exit::CannotTell;
            }
        }
    }
    let finding = client.look_again(&reader.listing);
    drop(sessions);
    reader.finding = finding;
    exit
}
