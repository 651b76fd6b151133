//! `change-pin`: the current PIN, and the new one twice, asked for at the terminal.

use clap::ArgMatches;
use jpki_pkcs11::error::{CardError, Error};
use jpki_pkcs11::handle::SlotId;
use jpki_pkcs11::jpki::credential::Credential;
use jpki_pkcs11::module::survey::CertificateSurvey;

use crate::arguments;
use crate::client::{Client, Finding, Reader};
use crate::output::{Exit, Output};
use crate::pin::{NoPin, Secret, at_terminal};
use crate::status::card;
use crate::status::report::{Pin, Unlocking};
use crate::text;

/// Changes the PIN that `matches` names.
pub(crate) fn run(matches: &ArgMatches, output: &mut Output) -> Exit {
    let Some(credential) = arguments::credential(matches) else { return Exit::CannotTell };
    let language = output.language();
    let client = Client::start();
    let readers = client.readers().unwrap_or_default();
    let cards: Vec<_> = readers.iter().filter(|reader| matches!(reader.finding, Finding::Card(_))).collect();
    let reader = match cards.as_slice() {
        [] => return fail(output, text::pin::no_card(language)),
        [reader] => *reader,
        _ => return fail(output, text::pin::several_cards(language)),
    };
    let Some(place) = Place::of(&client, reader, credential) else {
        return fail(output, text::pin::not_there(language, credential));
    };
    say_before(&client, reader, &place, output);
    if let Some(refusal) = place.pin.and_then(Pin::refusal) {
        let why = text::pin::failure(language, credential, place.unlocking, Error::Card(refusal));
        return fail(output, &why);
    }
    match ask(output) {
        Ok([old, new, again]) if new.is(&again) => {
            let changed = change(&client, &place, &old, &new, output);
            say_tries(&client, reader, credential, output);
            changed
        }
        Ok(_) => fail(output, text::pin::differ(language)),
        Err(why) => fail(output, text::pin::no_pin(language, why)),
    }
}

/// The token whose PIN is changed.
struct Place {
    credential: Credential,
    slot: SlotId,
    unlocking: Unlocking,
    pin: Option<Pin>,
}

impl Place {
    /// `None` when the card does not have the credential, or the configuration does not show it.
    fn of(client: &Client, reader: &Reader, credential: Credential) -> Option<Self> {
        let Finding::Card(survey) = &reader.finding else { return None };
        let (_, slot) = reader.listing.slots.iter().find(|(shown, _)| *shown == credential)?;
        let found = survey.credential(credential)?;
        let is_there = !matches!(found.certificate, CertificateSurvey::Absent);
        let card = card(survey, client.config());
        let (unlocking, pin) = (card.unlocking(credential), card.pin(credential));
        is_there.then_some(Self { credential, slot: *slot, unlocking, pin })
    }
}

/// Says which PIN it is, its rules, and the tries that are left.
fn say_before(client: &Client, reader: &Reader, place: &Place, output: &mut Output) {
    let language = output.language();
    output.line(text::pin::name(language, place.credential));
    output.line(text::pin::rules(language, place.credential));
    // Where there may be no PIN, what follows says it.
    if !place.pin.is_some_and(|pin| pin.may_be_none && pin.refusal().is_some()) {
        say_tries(client, reader, place.credential, output);
    }
}

/// Says how many tries are left now.
fn say_tries(client: &Client, reader: &Reader, credential: Credential, output: &mut Output) {
    let Finding::Card(survey) = client.look_again(&reader.listing) else { return };
    if let Some(found) = survey.credential(credential) {
        output.line(&text::pin::tries(output.language(), credential, found.tries));
    }
}

/// The current PIN, and the new one twice.
fn ask(output: &Output) -> Result<[Secret; 3], NoPin> {
    let language = output.language();
    // Hidden until the last of them was read: what is typed between two of them is not shown
    // either.
    at_terminal(|input| {
        let old = Secret::ask(input, text::pin::current(language))?;
        let new = Secret::ask(input, text::pin::new(language))?;
        let again = Secret::ask(input, text::pin::new_again(language))?;
        Ok([old, new, again])
    })
}

fn change(client: &Client, place: &Place, old: &Secret, new: &Secret, output: &mut Output) -> Exit {
    let language = output.language();
    let failed = |error| text::pin::failure(language, place.credential, place.unlocking, error);
    let session = match client.open(place.slot) {
        Ok(session) => session,
        Err(error) => return fail(output, &failed(error)),
    };
    match session.set_pin(old, new) {
        Ok(()) => {
            output.line(text::pin::changed(language));
            Exit::Well
        }
        Err(error) => {
            output.remark(&failed(error));
            if matches!(error, Error::Card(CardError::ChangeLost { .. })) {
                output.remark(text::pin::try_new_first(language));
            }
            Exit::ToDo
        }
    }
}

fn fail(output: &mut Output, text: &str) -> Exit {
    output.remark(text);
    Exit::ToDo
}
