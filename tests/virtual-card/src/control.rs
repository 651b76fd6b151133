//! The line protocol of a running stack: one command to a connection, the answer is `ok` or `error`
//! and then text.
//!
//! Commands act on reader 0 unless the first word is `@N`. CREDENTIAL is `auth` or `sign`.
//!
//! ```text
#![doc = include_str!("control.txt")]
//! ```

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::stack::Stack;
use crate::traits::TRAITS;
use crate::{Credential, Fault, Identity, Mark, Profile, Trigger, VirtualCard};

/// The commands, as `help` shows them.
pub const HELP: &str = include_str!("control.txt");

/// What a command comes to: text, or the reason why not.
pub type Answer = Result<String, String>;

/// Answers commands until `stop`. Each connection brings one.
///
/// # Errors
///
/// When the socket itself fails; a broken connection only ends that one.
pub fn serve(stack: &mut Stack, identity: &Identity, listener: &UnixListener) -> io::Result<()> {
    for connection in listener.incoming() {
        let mut connection = connection?;
        let mut line = String::new();
        if BufReader::new(&connection).read_line(&mut line).is_err() {
            continue;
        }
        let answer = execute(stack, identity, &line);
        let text = match &answer {
            Ok(text) => format!("ok\n{text}"),
            Err(reason) => format!("error\n{reason}\n"),
        };
        let _ = connection.write_all(text.as_bytes());
        if line.trim() == "stop" {
            return Ok(());
        }
    }
    Ok(())
}

/// Sends one command to the control socket of a running stack.
///
/// # Errors
///
/// When no stack answers there.
pub fn send(socket: &Path, command: &str) -> io::Result<Answer> {
    let mut connection = UnixStream::connect(socket)?;
    writeln!(connection, "{command}")?;
    let mut text = String::new();
    connection.read_to_string(&mut text)?;
    match text.split_once('\n') {
        Some(("ok", rest)) => Ok(Ok(rest.to_owned())),
        Some(("error", rest)) => Ok(Err(rest.trim_end().to_owned())),
        _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stack ended without an answer")),
    }
}

/// Carries one command out.
///
/// # Errors
///
/// Says what is wrong with the command, or why it failed.
pub fn execute(stack: &mut Stack, identity: &Identity, line: &str) -> Answer {
    let mut words = Words(line.split_whitespace().collect());
    let reader = words.reader(stack)?;
    let verb = words.next("a command")?;
    let answer = match verb {
        "ping" | "stop" => String::new(),
        "help" => HELP.to_owned(),
        "traits" => traits(),
        "kill-pcscd" => {
            stack.kill_pcscd();
            String::new()
        }
        "restart-pcscd" => done(stack.restart_pcscd())?,
        "insert" => {
            let profile = words.profile()?;
            done(insert(stack, reader, profile, identity))?
        }
        "remove" => done(stack.remove(reader))?,
        _ => {
            let card = stack.find_card(reader).ok_or("there is no card in the reader")?;
            on_card(&card, verb, &mut words)?
        }
    };
    words.end()?;
    Ok(answer)
}

fn insert(stack: &Stack, reader: usize, profile: Option<Profile>, identity: &Identity) -> io::Result<()> {
    let card = match (profile, stack.find_card(reader).or_else(|| stack.taken_card(reader))) {
        (None, Some(card)) => card,
        (profile, _) => VirtualCard::new(profile.unwrap_or_else(Profile::full), identity.clone()),
    };
    stack.insert(reader, card)
}

fn on_card(card: &VirtualCard, verb: &str, words: &mut Words<'_>) -> Answer {
    Ok(match verb {
        "mark" => format!("{}\n", card.mark().0),
        "ledger" => card.ledger_since(words.since()?).to_string(),
        "count" => format!("{}\n", count(card, words)?),
        "tries" => format!("{}\n", card.tries_left(words.credential()?)),
        "verified" => format!("{}\n", card.verified(words.credential()?)),
        "application" => format!("{:?}\n", card.application()),
        "profile" => match words.profile()? {
            Some(profile) => {
                card.replace(profile, card.identity());
                String::new()
            }
            None => format!("{}\n", card.profile().name),
        },
        "describe" => format!("{}\n", card.profile()),
        "leave-verified" => {
            card.leave_verified();
            String::new()
        }
        "seed" => {
            card.replace(card.profile(), Identity::from_seed(words.parse("a seed")?));
            String::new()
        }
        "set-tries" => {
            let credential = words.credential()?;
            card.set_tries_left(credential, words.parse("a number of tries")?);
            String::new()
        }
        "warm-reset" => {
            card.warm_reset();
            String::new()
        }
        "power-off" => {
            card.power_off();
            card.power_on();
            String::new()
        }
        "latency" => {
            let command = words.milliseconds()?;
            card.set_latency(command, words.milliseconds()?);
            String::new()
        }
        "fault" => {
            card.inject(fault(words)?);
            String::new()
        }
        "faults" => format!("{}\n", card.pending_faults()),
        "clear-faults" => {
            card.clear_faults();
            String::new()
        }
        "certificates" => {
            let directory = words.next("a directory")?;
            let validity = |credential| card.profile().credential(credential).map(|part| part.validity);
            let validity = Credential::ALL.into_iter().find_map(validity).unwrap_or(crate::Validity::Current);
            done(card.identity().write_certificates(Path::new(directory), validity))?
        }
        other => return Err(format!("no command {other:?}; try help")),
    })
}

fn count(card: &VirtualCard, words: &mut Words<'_>) -> Result<usize, String> {
    let what = words.next("what to count")?;
    let credential = match what {
        "verifies" | "failed-verifies" | "queries" | "tries-lost" | "pin-commands" => {
            Some(words.credential()?)
        }
        "signatures" => words.optional_credential(),
        _ => None,
    };
    let ledger = card.ledger_since(words.since()?);
    Ok(match (what, credential) {
        ("commands", _) => ledger.command_count(),
        ("verifies", Some(credential)) => ledger.verifies(credential),
        ("failed-verifies", Some(credential)) => ledger.failed_verifies(credential),
        ("queries", Some(credential)) => ledger.queries(credential),
        ("tries-lost", Some(credential)) => ledger.tries_lost(credential),
        ("pin-commands", Some(credential)) => ledger.pin_commands(credential),
        ("all-queries", _) => ledger.all_queries(),
        ("power-offs", _) => ledger.power_offs(),
        ("removals", _) => ledger.removals(),
        ("misplaced-verifies", _) => ledger.misplaced_verifies(),
        ("signatures", Some(credential)) => ledger.signatures_by(credential),
        ("signatures", None) => ledger.signatures(),
        ("resets", _) => ledger.resets(),
        _ => return Err(format!("nothing called {what:?} to count")),
    })
}

fn fault(words: &mut Words<'_>) -> Result<Fault, String> {
    let mut trigger = match words.next("at, on, sign or always")? {
        "at" => Fault::at(words.parse("a number of commands")?),
        "on" => {
            let &[instruction] = &words.bytes("an instruction byte")?[..] else {
                return Err("an instruction is one byte".into());
            };
            Fault::on_instruction(instruction)
        }
        "sign" => Fault::on_signature(),
        "always" => Fault::always(),
        other => return Err(format!("a fault is at, on, sign or always, not {other:?}")),
    };
    loop {
        trigger = match words.next("what goes wrong")? {
            "after" => trigger.after_processing(),
            "repeated" => trigger.repeated(),
            "times" => trigger.times(words.parse("a number of times")?),
            effect => return fault_effect(trigger, effect, words),
        };
    }
}

fn fault_effect(trigger: Trigger, effect: &str, words: &mut Words<'_>) -> Result<Fault, String> {
    Ok(match effect {
        "answer" => trigger.answer(words.bytes("an answer")?),
        "remove" => trigger.remove(),
        "reset" => trigger.reset(),
        "mute" => trigger.mute(),
        "leave" => trigger.leave_field(words.milliseconds()?),
        "error" => trigger.transport_error(words.parse("a code")?),
        "select" => trigger.foreign_select(&words.bytes("an application id")?),
        "delay" => trigger.delay(words.milliseconds()?),
        other => return Err(format!("no fault called {other:?}")),
    })
}

fn done(result: io::Result<()>) -> Answer {
    result.map(|()| String::new()).map_err(|error| error.to_string())
}

struct Words<'a>(VecDeque<&'a str>);

impl<'a> Words<'a> {
    fn next(&mut self, wanted: &str) -> Result<&'a str, String> {
        self.0.pop_front().ok_or_else(|| format!("expected {wanted}"))
    }

    fn parse<T: FromStr>(&mut self, wanted: &str) -> Result<T, String> {
        let word = self.next(wanted)?;
        word.parse().map_err(|_| format!("expected {wanted}, not {word:?}"))
    }

    fn reader(&mut self, stack: &Stack) -> Result<usize, String> {
        let Some(number) = self.0.front().and_then(|word| word.strip_prefix('@')) else { return Ok(0) };
        let reader = number.parse().ok().filter(|&reader: &usize| reader < stack.readers());
        self.0.pop_front();
        reader.ok_or_else(|| format!("no reader {number:?}"))
    }

    fn credential(&mut self) -> Result<Credential, String> {
        self.optional_credential().ok_or_else(|| "expected auth or sign".into())
    }

    fn optional_credential(&mut self) -> Option<Credential> {
        let credential = match self.0.front() {
            Some(&("auth" | "authentication")) => Credential::Authentication,
            Some(&("sign" | "signature")) => Credential::Signature,
            _ => return None,
        };
        self.0.pop_front();
        Some(credential)
    }

    fn profile(&mut self) -> Result<Option<Profile>, String> {
        let Some(name) = self.0.pop_front() else { return Ok(None) };
        profile(name).map(Some)
    }

    fn since(&mut self) -> Result<Mark, String> {
        match self.0.pop_front() {
            None => Ok(Mark::default()),
            Some("since") => self.parse("a mark").map(Mark),
            Some(other) => Err(format!("expected since, not {other:?}")),
        }
    }

    fn milliseconds(&mut self) -> Result<Duration, String> {
        self.parse("milliseconds").map(Duration::from_millis)
    }

    fn bytes(&mut self, wanted: &str) -> Result<Vec<u8>, String> {
        let word = self.next(wanted)?;
        let digits: Option<Vec<u8>> = word.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect();
        let digits = digits.filter(|digits| digits.len() % 2 == 0);
        let digits = digits.ok_or_else(|| format!("expected {wanted} in hex, not {word:?}"))?;
        Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
    }

    fn end(&mut self) -> Result<(), String> {
        self.0.pop_front().map_or(Ok(()), |word| Err(format!("{word:?} is too much")))
    }
}

/// The profile that `text` describes, or a message that helps.
///
/// # Errors
///
/// When there is no such profile, trait or value.
pub fn profile(text: &str) -> Result<Profile, String> {
    Profile::described_by(text).map_err(|mut message| {
        message.push_str("; there are");
        for profile in Profile::all() {
            let _ = write!(message, " {}", profile.name);
        }
        message
    })
}

/// The traits and their values, as `traits` shows them.
pub fn traits() -> String {
    TRAITS.iter().map(|known| format!("{:28}{}\n", known.name, known.values)).collect()
}
