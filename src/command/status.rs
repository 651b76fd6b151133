//! `status`: how service, readers, card, certificates and configuration stand. It costs no try, and
//! sends a PIN only with `--login`.

pub(crate) mod report;

mod gather;
mod render;
mod verdict;

use clap::ArgMatches;
use jpki_pkcs11::error::{CardError, Error};
use jpki_pkcs11::handle::SlotId;
use jpki_pkcs11::jpki::credential::Credential;
use jpki_pkcs11::module::survey::CertificateSurvey;

use crate::arguments::{JSON, LOGIN};
use crate::client::{Client, Finding, Reader, Session};
use crate::output::{Exit, Output};
use crate::pin::{NoPin, Secret, at_terminal};
use crate::profiles::{Folders, look};
use crate::status::report::{Login, LoginResult, Pin, Unlocking};
use crate::text::{self, Language};

pub(crate) use gather::card;

/// Says how things stand.
pub(crate) fn run(matches: &ArgMatches, output: &mut Output) -> Exit {
    let client = Client::start();
    let mut readers = client.readers();
    let mut logins = Vec::new();
    if let (true, Ok(readers)) = (matches.get_flag(LOGIN), &mut readers) {
        for reader in readers {
            logins.extend(log_in(&client, reader, output));
        }
    }
    let profiles = look(Folders::of_this_user().as_ref());
    let found = readers.as_deref().map_err(|problem| *problem);
    let report = gather::report(client.config(), found, &profiles, logins);
    let exit = report.exit();
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

/// Why there is no login.
enum NoLogin {
    /// What is known of the PIN speaks against every entry: none is asked for.
    NotAsked(CardError),
    NoPin(NoPin),
    NoSession(Error),
    Refused(Error),
}

/// Asks for the PIN of each certificate that only its PIN opens, and looks at the card again.
fn log_in(client: &Client, reader: &mut Reader, output: &mut Output) -> Vec<Login> {
    let Finding::Card(survey) = &reader.finding else { return Vec::new() };
    let card = card(survey, client.config());
    let is_private = |credential| {
        let found = survey.credential(credential);
        found.is_some_and(|found| matches!(found.certificate, CertificateSurvey::NeedsPin))
    };
    let mut sessions = Vec::new();
    let mut logins = Vec::new();
    let language = output.language();
    for &(credential, slot) in reader.listing.slots.iter().filter(|(credential, _)| is_private(*credential)) {
        let pin = card.pin(credential);
        let came = match pin.and_then(Pin::refusal) {
            Some(refusal) => Err(NoLogin::NotAsked(refusal)),
            None => {
                output.remark(&text::pin::asked_for(language, &reader.listing.name, &card, pin));
                log_in_to(client, slot, credential, language)
            }
        };
        let (result, exit) = match &came {
            Ok(_) => (LoginResult::Done, Exit::Well),
            Err(why) => (why.result(), why.exit()),
        };
        match came {
            Ok(session) => sessions.push(session),
            Err(why) => {
                let text = why.text(language, credential, card.unlocking(credential));
                output.remark(&render::marked(exit, &text));
            }
        }
        let certificate = match credential {
            Credential::UserAuthentication => "authentication",
            Credential::DigitalSignature => "signature",
        };
        logins.push(Login { reader: reader.listing.name.clone(), certificate, result, exit });
    }
    let finding = client.look_again(&reader.listing);
    drop(sessions);
    reader.finding = finding;
    logins
}

/// A session that is logged in with a PIN that is asked for.
fn log_in_to(
    client: &Client,
    slot: SlotId,
    credential: Credential,
    language: Language,
) -> Result<Session<'_>, NoLogin> {
    let session = client.open(slot).map_err(NoLogin::NoSession)?;
    let pin = at_terminal(|input| Secret::ask(input, &text::pin::prompt(language, credential)))
        .map_err(NoLogin::NoPin)?;
    session.log_in(&pin).map_err(NoLogin::Refused)?;
    Ok(session)
}

impl NoLogin {
    fn exit(&self) -> Exit {
        match self {
            Self::NotAsked(_) | Self::Refused(_) => Exit::ToDo,
            Self::NoPin(_) | Self::NoSession(_) => Exit::CannotTell,
        }
    }

    fn result(&self) -> LoginResult {
        let error = match self {
            Self::NoPin(NoPin::Cancelled) => return LoginResult::Cancelled,
            Self::NoPin(NoPin::NoTerminal) => return LoginResult::NoTerminal,
            Self::NotAsked(error) | Self::Refused(Error::Card(error)) => *error,
            Self::NoPin(NoPin::NoMemory) | Self::NoSession(_) | Self::Refused(_) => {
                return LoginResult::Failed;
            }
        };
        match error {
            CardError::PinIncorrect => LoginResult::WrongPin,
            CardError::PinMalformed => LoginResult::MalformedPin,
            CardError::PinRepeated => LoginResult::RepeatedPin,
            CardError::PinBlocked => LoginResult::Locked,
            CardError::PinReserved => LoginResult::Reserved,
            _ => LoginResult::Failed,
        }
    }

    fn text(&self, language: Language, credential: Credential, unlocking: Unlocking) -> String {
        let failure = |error| text::pin::failure(language, credential, unlocking, error);
        match self {
            Self::NoPin(why) => text::pin::no_pin(language, *why).to_owned(),
            Self::NoSession(error) | Self::Refused(error) => failure(*error),
            // No prompt has said which PIN it is.
            Self::NotAsked(error) => {
                format!("{}{}", text::pin::prompt(language, credential), failure(Error::Card(*error)))
            }
        }
    }
}
