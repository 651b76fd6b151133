//! A table of the states that people meet.

mod cards;
mod configurations;
mod without_card;

use std::thread;

use serde_json::{Value, json};

use self::cards::{pins, with_card_states};
use self::configurations::configurations;
use self::without_card::without_card;
use crate::support::{ENGLISH, JAPANESE, Machine};

/// One state.
struct State {
    name: &'static str,
    service: &'static str,
    configuration: Option<&'static str>,
    exit: i32,
    english: &'static [&'static str],
    japanese: &'static [&'static str],
    /// JSON pointers and what stands there.
    json: Vec<(&'static str, Value)>,
}

const CARD: &str = "/readers/0/card/kind";
const STATE: &str = "/readers/0/state";
const RESULT: &str = "/result";
const AUTHENTICATION: &str = "/readers/0/card/authentication";
const SIGNATURE: &str = "/readers/0/card/signature";

/// The state of a card in the reader.
fn with_card(name: &'static str, service: &'static str, exit: i32) -> State {
    State { name, service, configuration: None, exit, english: &[], japanese: &[], json: Vec::new() }
}

impl State {
    fn says(self, english: &'static [&'static str], japanese: &'static [&'static str]) -> Self {
        Self { english, japanese, ..self }
    }

    fn tells(mut self, pointer: &'static str, value: impl Into<Value>) -> Self {
        self.json.push((pointer, value.into()));
        self
    }

    fn configured(self, text: &'static str) -> Self {
        Self { configuration: Some(text), ..self }
    }

    fn check(&self) {
        let mut machine = Machine::new(self.service);
        if let Some(text) = self.configuration {
            machine = machine.configured(text);
        }
        // Side by side: a run that waits for another program takes seconds.
        let (runs, (report, exit)) = thread::scope(|scope| {
            let runs = [(ENGLISH, self.english), (JAPANESE, self.japanese)].map(|(locale, texts)| {
                (
                    texts,
                    scope.spawn({
                        let machine = &machine;
                        move || machine.run(locale, &[])
                    }),
                )
            });
            let json = machine.json(&["status", "--json"]);
            (runs.map(|(texts, run)| (texts, run.join().unwrap())), json)
        });
        for (texts, run) in runs {
            assert!(!texts.is_empty(), "{}: nothing is asserted", self.name);
            run.assert_says(self.name, texts);
            assert_eq!((run.exit, &*run.remarks), (self.exit, ""), "{}: {}", self.name, run.text);
            let marked = run.text.lines().any(|line| line.trim_start().starts_with(['!', '?']));
            assert_eq!(marked, self.exit != 0, "{}: {}", self.name, run.text);
        }
        assert_eq!(exit, self.exit, "{}: {report}", self.name);
        let result = ["well", "to_do", "cannot_tell"][usize::try_from(exit).unwrap()];
        for (pointer, value) in self.json.iter().chain([&(RESULT, json!(result))]) {
            assert_eq!(report.pointer(pointer), Some(value), "{}: {pointer} in {report:#}", self.name);
        }
    }
}

/// Runs a few of them side by side: each is three processes that wait now and then, and what they
/// wait for has its time on a busy machine, too.
fn check_all(states: &[State]) {
    for few in states.chunks(4) {
        thread::scope(|scope| {
            for state in few {
                scope.spawn(|| state.check());
            }
        });
    }
}

#[test]
fn what_keeps_a_card_from_being_used_is_said_with_what_to_do() {
    check_all(&without_card());
}

#[test]
fn a_card_is_described_with_its_certificates() {
    check_all(&with_card_states());
}

#[test]
fn tries_and_locks_are_said_with_who_unlocks() {
    check_all(&pins());
}

#[test]
fn the_configuration_in_force_is_said_with_its_mistakes() {
    check_all(&configurations());
}

/// A report shows no name, no certificate and no key.
#[test]
fn nothing_of_the_owner_is_shown() {
    let machine = Machine::with_card("full");
    for arguments in [&["status"][..], &["status", "--json"]] {
        let text = machine.run(ENGLISH, arguments).text;
        assert!(!text.contains("TEST"), "{text}");
    }
}

/// It looks only: no PIN, no signature. The trace has each command's header.
#[test]
fn status_sends_no_pin_and_costs_no_try() {
    let machine = Machine::with_card("full");
    let log = machine.home().join("log");
    let mut command = machine.command(ENGLISH, &["status"]);
    command.env("JPKI_PKCS11_LOG", "trace").env("JPKI_PKCS11_LOG_FILE", &log);
    assert!(command.output().unwrap().status.success());
    let log = std::fs::read_to_string(&log).unwrap();
    let verifies: Vec<_> = log.lines().filter(|line| line.contains(" trace 00 20 ")).collect();
    assert_eq!(verifies.len(), 2, "both counts were asked for: {log}");
    // A command with data would show Lc, or that it is a secret one.
    assert!(verifies.iter().all(|line| line.contains(" -> Ok(0 bytes, 63c") && line.len() < 90), "{log}");
    let signatures = log.lines().filter(|line| line.contains(" trace 80 2a "));
    assert!(signatures.into_iter().all(|line| line.contains("Ok(0 bytes, 6")), "nothing was signed: {log}");
}

#[test]
fn an_empty_log_level_is_no_mistake() {
    let machine = Machine::with_card("full");
    let output = machine.command(ENGLISH, &["status"]).env("JPKI_PKCS11_LOG", "").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !text.contains("JPKI_PKCS11_LOG"), "{text}");
}

#[test]
fn a_readers_name_does_not_steer_the_terminal() {
    let machine = Machine::new("reader=Evil\u{1b}[2J\nAll is well. 00 00");
    let run = machine.run(ENGLISH, &["status"]);
    run.assert_says("control characters", &["Reader: Evil [2J All is well. 00 00\n"]);
    assert!(!run.text.contains('\u{1b}'), "{:?}", run.text);
}

/// A full disk; a reader that has gone is none.
#[test]
fn a_result_that_cannot_be_written_is_no_success() {
    let machine = Machine::with_card("full");
    for arguments in [&["status"][..], &["status", "--json"], &["ssh-key"], &["manual"], &["--help"]] {
        for (locale, said) in [
            (ENGLISH, "The result cannot be written: "),
            (JAPANESE, "結果を出力できません: ディスクの空きがありません"),
        ] {
            let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
            let output = machine.command(locale, arguments).stdout(full).output().unwrap();
            let remarks = String::from_utf8_lossy(&output.stderr);
            assert_eq!(
                (output.status.code(), remarks.contains(said)),
                (Some(2), true),
                "{arguments:?}: {remarks}"
            );
        }
        let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(reader);
        let writer = std::os::fd::OwnedFd::from(writer);
        let output = machine.command(ENGLISH, arguments).stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &[][..]), "{arguments:?}");
    }
}

#[test]
fn the_pointers_of_this_file_lead_somewhere() {
    let (report, _) = Machine::with_card("full").json(&["--json"]);
    for pointer in [CARD, STATE, RESULT, AUTHENTICATION, SIGNATURE] {
        assert!(report.pointer(pointer).is_some_and(|value| !value.is_null()), "{pointer}");
    }
}
