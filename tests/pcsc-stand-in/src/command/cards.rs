//! The cards of a console, in readers and outside, and the requests to one of them.
//!
//! A profile is a name of [`Profile::by_name`], with `@SEED` after it for another holder: `full`,
//! `under-15@1`; or `other` for a card that is none of JPKI's at all.
//!
//! CRED is `authentication` or `signature`.
//!
//! | request after `card ID` | does |
//! |---|---|
//! | `tries CRED`, `verified CRED` | the card's state; `true` or `false` |
//! | `verifies CRED`, `failed-verifies CRED`, `queries CRED`, `signatures-by CRED` | counts of its ledger |
//! | `misplaced-verifies`, `signatures`, `commands`, `resets` | |
//! | `ledger`, `mark`, `ledger-since MARK`, `commands-since MARK` | the ledger as text |
//! | `certificate CRED` | DER in hex |
//! | `set-tries CRED N`, `set-pin CRED PIN`, `set-file ID HEX`, `latency MS MS` | |
//! | `replace PROFILE` | everything new but the ledger |
//! | `fault WHEN …` | WHEN is `at N`, `ins HH` or `always`; then any of `after`, `times N`, `repeated`; then `answer HEX`, `remove`, `reset`, `transport-error CODE`, `foreign-select HEX`, `delay MS` |
//! | `clear-faults`, `pending-faults` | |

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use virtual_card::{Credential, Fault, Identity, Mark, Profile, Trigger, VirtualCard};

use super::words::{Words, from_hex, hex, number};
use crate::icc::{FixedAnswerCard, Icc};

/// A card.
enum Shelved {
    Virtual(VirtualCard),
    Other(Arc<FixedAnswerCard>),
}

/// The cards by their names.
#[derive(Default)]
pub(super) struct CardStore(BTreeMap<String, Shelved>);

impl CardStore {
    /// Makes a card.
    pub(super) fn make(&mut self, id: &str, profile: &str) -> Result<Arc<dyn Icc>, String> {
        let card = match profile {
            "other" => {
                Shelved::Other(Arc::new(FixedAnswerCard { atr: vec![0x3b, 0x00], answer: vec![0x6a, 0x82] }))
            }
            profile => {
                let (profile, identity) = holder(profile)?;
                Shelved::Virtual(VirtualCard::new(profile, identity))
            }
        };
        self.0.insert(id.to_owned(), card);
        self.card(id)
    }

    /// A card as readers see it.
    pub(super) fn card(&self, id: &str) -> Result<Arc<dyn Icc>, String> {
        match self.0.get(id) {
            Some(Shelved::Virtual(card)) => Ok(Arc::new(card.clone())),
            Some(Shelved::Other(card)) => Ok(card.clone()),
            None => Err(format!("no such card: {id}")),
        }
    }

    /// A card as tests see it.
    pub(super) fn virtual_card(&self, id: &str) -> Result<VirtualCard, String> {
        match self.0.get(id) {
            Some(Shelved::Virtual(card)) => Ok(card.clone()),
            _ => Err(format!("no such JPKI card: {id}")),
        }
    }
}

/// Carries out a request to one card.
pub(super) fn execute(card: &VirtualCard, words: &mut Words<'_>) -> Result<String, String> {
    let answer = match words.text()? {
        "tries" => told(card.tries_left(credential(words)?)),
        "verified" => told(card.verified(credential(words)?)),
        "verifies" => told(card.verifies(credential(words)?)),
        "failed-verifies" => told(card.failed_verifies(credential(words)?)),
        "queries" => told(card.ledger().queries(credential(words)?)),
        "signatures-by" => told(card.ledger().signatures_by(credential(words)?)),
        "misplaced-verifies" => told(card.ledger().misplaced_verifies()),
        "signatures" => told(card.signatures()),
        "commands" => told(card.commands()),
        "resets" => told(card.resets()),
        "ledger" => told(card.ledger()),
        "mark" => told(card.mark().0),
        "ledger-since" => told(card.ledger_since(Mark(words.size()?))),
        "commands-since" => told(card.commands_since(Mark(words.size()?))),
        "certificate" => {
            let credential = credential(words)?;
            let validity = card.profile().credential(credential).ok_or("the card has none")?.validity;
            hex(&card.identity().certificate(credential, validity))
        }
        "pending-faults" => told(card.pending_faults()),
        other => {
            change(card, other, words)?;
            String::new()
        }
    };
    words.end()?;
    Ok(answer)
}

fn change(card: &VirtualCard, verb: &str, words: &mut Words<'_>) -> Result<(), String> {
    match verb {
        "set-tries" => {
            let credential = credential(words)?;
            card.set_tries_left(credential, u8::try_from(words.number()?).map_err(|_| "too many")?);
        }
        "set-pin" => {
            let credential = credential(words)?;
            card.set_pin(credential, words.text()?);
        }
        "set-file" => {
            let file = words.file()?;
            card.set_file(file, Some(from_hex(words.text()?)?));
        }
        "latency" => {
            let (command, signature) = (milliseconds(words)?, milliseconds(words)?);
            card.set_latency(command, signature);
        }
        "replace" => {
            let (profile, identity) = holder(words.text()?)?;
            card.replace(profile, identity);
        }
        "fault" => card.inject(fault(words)?),
        "clear-faults" => card.clear_faults(),
        other => return Err(format!("no such request to a card: {other}")),
    }
    Ok(())
}

fn fault(words: &mut Words<'_>) -> Result<Fault, String> {
    let mut trigger: Trigger = match words.text()? {
        "at" => Fault::at(words.size()?),
        "ins" => Fault::on_instruction(u8::from_str_radix(words.text()?, 16).map_err(|_| "two hex digits")?),
        "always" => Fault::always(),
        other => return Err(format!("no such time: {other}")),
    };
    loop {
        match words.text()? {
            "after" => trigger = trigger.after_processing(),
            "repeated" => trigger = trigger.repeated(),
            "times" => trigger = trigger.times(words.size()?),
            "answer" => return Ok(trigger.answer(from_hex(words.text()?)?)),
            "remove" => return Ok(trigger.remove()),
            "reset" => return Ok(trigger.reset()),
            "transport-error" => {
                let code = words.code()?.raw();
                return Ok(trigger.transport_error(i32::from_ne_bytes(code.to_ne_bytes())));
            }
            "foreign-select" => return Ok(trigger.foreign_select(&from_hex(words.text()?)?)),
            "delay" => return Ok(trigger.delay(milliseconds(words)?)),
            other => return Err(format!("no such fault of a card: {other}")),
        }
    }
}

fn holder(profile: &str) -> Result<(Profile, Identity), String> {
    let (name, identity) = match profile.split_once('@') {
        Some((name, seed)) => (name, Identity::from_seed(number(seed)?)),
        None => (profile, Identity::shared()),
    };
    let profile = Profile::by_name(name).ok_or_else(|| format!("no such profile: {name}"))?;
    Ok((profile, identity))
}

fn credential(words: &mut Words<'_>) -> Result<Credential, String> {
    let text = words.text()?;
    let found = Credential::ALL.into_iter().find(|credential| credential.name() == text);
    found.ok_or_else(|| format!("no such credential: {text}"))
}

fn milliseconds(words: &mut Words<'_>) -> Result<Duration, String> {
    Ok(Duration::from_millis(words.number()?))
}

fn told(value: impl Display) -> String {
    value.to_string()
}
