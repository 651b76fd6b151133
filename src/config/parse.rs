//! One configuration text: which keys there are, and what is wrong with their values.

use std::path::{Path, PathBuf};

use log::LevelFilter;
use toml::{Table, Value};
use toml_parser::Source;
use toml_parser::lexer::TokenKind;
use wildmatch::WildMatch;

use super::complaint::{Complaint, Mistake, Reason, Wanted};
use super::{ReaderFilter, Slots};
use crate::jpki::credential::Credential;
use crate::manager::CaCertificates;

/// How deep arrays and tables may lie in each other. A sensible file has two levels; the parser
/// takes the host's stack for each.
const MAX_DEPTH: usize = 16;

/// The values of the key `slots`.
const SLOTS: &[&str] = &["\"both\"", "\"authentication\"", "\"signature\""];

/// The values of the key `log.level`.
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// What a text says. `None` is what it does not say.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) slots: Option<Slots>,
    pub(super) readers: Option<ReaderFilter>,
    pub(super) reserve_tries: Option<u8>,
    pub(super) always_authenticate: Option<bool>,
    #[expect(clippy::option_option, reason = "the setting itself has a value for 'ask the card'")]
    pub(super) pss: Option<Option<bool>>,
    pub(super) ca_certificates: Option<CaCertificates>,
    pub(super) no_extended_length: Option<bool>,
    pub(super) log_level: Option<LevelFilter>,
    pub(super) log_file: Option<PathBuf>,
    pub(super) complaints: Vec<Complaint>,
    /// The file that the text is from.
    pub(super) file: Option<PathBuf>,
}

/// A setting that protects.
#[derive(Debug, Clone, Copy)]
enum Protection {
    ReserveTries,
    AskEachTime,
}

impl Protection {
    /// Which one a key means, in whatever spelling.
    fn meant_by(key: &str) -> Option<Self> {
        if letters(key.as_bytes()).contains("reserve") {
            return Some(Self::ReserveTries);
        }
        means_to_ask_each_time(key.as_bytes()).then_some(Self::AskEachTime)
    }

    fn key(self) -> &'static str {
        match self {
            Self::ReserveTries => "reserve_tries",
            Self::AskEachTime => "always_authenticate",
        }
    }
}

impl Parsed {
    /// Reads a text.
    pub(super) fn of(text: &str) -> Self {
        if is_too_deep(text) {
            return Self::left_out_text(Reason::TooDeep, text.as_bytes());
        }
        match text.parse::<Table>() {
            Ok(table) => {
                let mut parsed = Self::default();
                parsed.take_table(&table);
                parsed
            }
            // Its message quotes the line, and the line may hold what does not belong there: a PIN.
            Err(error) => {
                let start = error.span().map_or(0, |span| span.start);
                let before = text.get(..start).unwrap_or(text);
                let line = before.matches('\n').count().saturating_add(1);
                Self::left_out_text(Reason::Syntax { line }, text.as_bytes())
            }
        }
    }

    /// As [`Parsed::left_out`], of a text that is there: if it names `always_authenticate`, in any
    /// spelling, that holds.
    pub(super) fn left_out_text(reason: Reason, text: &[u8]) -> Self {
        let asks_each_time = text.split(|byte| *byte == b'\n').any(means_to_ask_each_time);
        Self { always_authenticate: asks_each_time.then_some(true), ..Self::left_out(reason) }
    }

    /// What holds in place of a file that is there and cannot be taken: it may have reserved tries.
    pub(super) fn left_out(reason: Reason) -> Self {
        let complaint = Complaint { file: None, mistake: Mistake::LeftOut(reason) };
        Self { reserve_tries: Some(1), complaints: vec![complaint], ..Self::default() }
    }

    fn take_table(&mut self, table: &Table) {
        for (key, value) in table {
            match (key.as_str(), value) {
                ("slots", _) => self.take_slots(value),
                ("always_authenticate", Value::Boolean(_)) => self.protect(Protection::AskEachTime, value),
                ("always_authenticate", _) => {
                    self.protect(Protection::AskEachTime, value);
                    self.refuse(key, value, Wanted::Taken("true"));
                }
                ("reserve_tries", Value::Integer(0..)) => self.protect(Protection::ReserveTries, value),
                ("reserve_tries", _) => {
                    self.protect(Protection::ReserveTries, value);
                    self.refuse(key, value, Wanted::Taken("1"));
                }
                ("ca_certificates", _) => self.take_ca_certificates(value),
                ("pss", _) => self.take_pss(value),
                ("readers", Value::Table(readers)) => self.take_readers(readers),
                ("log", Value::Table(log)) => self.take_log(log),
                ("readers" | "log", _) => self.refuse(key, value, Wanted::Table),
                (unknown, _) => self.take_unknown("", unknown, value),
            }
        }
    }

    /// Takes a value that protects. One that cannot be read is a strict one, and the stricter of
    /// two holds.
    fn protect(&mut self, protection: Protection, value: &Value) {
        match protection {
            Protection::ReserveTries => {
                let count = value.as_integer().filter(|count| *count >= 0);
                // Never more than all but one: see `PinState`.
                let count = count.map_or(1, |count| u8::try_from(count).unwrap_or(u8::MAX));
                self.reserve_tries = self.reserve_tries.max(Some(count));
            }
            Protection::AskEachTime => {
                self.always_authenticate = self.always_authenticate.max(value.as_bool().or(Some(true)));
            }
        }
    }

    /// A key that does not exist, or not here. One that protects holds nevertheless: a line that is
    /// added at the end of a file belongs to the last table.
    fn take_unknown(&mut self, table: &str, key: &str, value: &Value) {
        if !self.take_misplaced(key, value) {
            self.complain_of_unknown(table, key);
        }
    }

    /// Takes every setting that protects from a key and its value, however deep. Returns whether
    /// there was one.
    fn take_misplaced(&mut self, key: &str, value: &Value) -> bool {
        let protection = Protection::meant_by(key);
        if let Some(protection) = protection {
            self.protect(protection, value);
            self.complaints.push(Complaint { file: None, mistake: Mistake::Misplaced(protection.key()) });
        }
        let within = match value {
            Value::Table(table) => {
                table.iter().filter(|(key, value)| self.take_misplaced(key, value)).count()
            }
            Value::Array(values) => values.iter().filter(|value| self.take_misplaced("", value)).count(),
            _ => 0,
        };
        protection.is_some() || within > 0
    }

    fn take_slots(&mut self, value: &Value) {
        self.slots = match value.as_str() {
            Some("both") => Some(Slots::Both),
            Some("authentication") => Some(Slots::Only(Credential::UserAuthentication)),
            Some("signature") => Some(Slots::Only(Credential::DigitalSignature)),
            _ => return self.refuse("slots", value, Wanted::OneOf(SLOTS)),
        };
    }

    fn take_ca_certificates(&mut self, value: &Value) {
        self.ca_certificates = match (value.as_bool(), value.as_str()) {
            (Some(true), _) => Some(CaCertificates::Shown),
            (Some(false), _) => Some(CaCertificates::Hidden),
            (None, Some("auto")) => Some(CaCertificates::Auto),
            (None, _) => {
                return self.refuse("ca_certificates", value, Wanted::OneOf(&["\"auto\"", "true", "false"]));
            }
        };
    }

    fn take_pss(&mut self, value: &Value) {
        self.pss = match value.as_str() {
            Some("auto") => Some(None),
            Some("on") => Some(Some(true)),
            Some("off") => Some(Some(false)),
            _ => return self.refuse("pss", value, Wanted::OneOf(&["\"auto\"", "\"on\"", "\"off\""])),
        };
    }

    fn take_readers(&mut self, readers: &Table) {
        let mut filter = ReaderFilter::default();
        for (key, value) in readers {
            match (key.as_str(), patterns(value), value) {
                ("use", Some(patterns), _) => filter.use_readers = patterns,
                ("ignore", Some(patterns), _) => filter.ignore_readers = patterns,
                ("extended_length", _, Value::Boolean(may)) => self.no_extended_length = Some(!*may),
                (known @ ("use" | "ignore"), None, _) => {
                    self.refuse(&format!("readers.{known}"), value, Wanted::Patterns);
                }
                ("extended_length", ..) => {
                    self.refuse("readers.extended_length", value, Wanted::OneOf(&["true", "false"]))
                }
                (unknown, ..) => self.take_unknown("readers.", unknown, value),
            }
        }
        self.readers = Some(filter);
    }

    fn take_log(&mut self, log: &Table) {
        for (key, value) in log {
            match (key.as_str(), value) {
                ("level", Value::String(level)) => self.take_level("log.level", level),
                ("file", Value::String(path)) if Path::new(path).is_absolute() => {
                    self.log_file = Some(path.into());
                }
                ("level", _) => self.refuse("log.level", value, Wanted::OneOf(LEVELS)),
                ("file", _) => self.refuse("log.file", value, Wanted::AbsolutePath),
                (unknown, _) => self.take_unknown("log.", unknown, value),
            }
        }
    }

    pub(super) fn take_level(&mut self, key: &str, level: &str) {
        match level.parse() {
            Ok(level) => self.log_level = Some(level),
            Err(_) => self.complain(key, Wanted::OneOf(LEVELS)),
        }
    }

    /// A value that a key cannot have. A setting that protects and lies in it holds nevertheless.
    fn refuse(&mut self, key: &str, value: &Value, wanted: Wanted) {
        self.take_misplaced("", value);
        self.complain(key, wanted);
    }

    /// Never quotes the value: a file may hold what does not belong there.
    fn complain(&mut self, key: &str, wanted: Wanted) {
        let mistake = Mistake::Value { key: key.to_owned(), wanted };
        self.complaints.push(Complaint { file: None, mistake });
    }

    fn complain_of_unknown(&mut self, table: &str, key: &str) {
        let is_word = key.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        let mistake = Mistake::UnknownKey(is_word.then(|| format!("{table}{key}")));
        self.complaints.push(Complaint { file: None, mistake });
    }
}

/// The letters of a text, in lower case.
fn letters(text: &[u8]) -> String {
    text.iter()
        .filter(|byte| byte.is_ascii_alphabetic())
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect()
}

/// Whether a key or a line names `always_authenticate`, in whatever spelling.
fn means_to_ask_each_time(text: &[u8]) -> bool {
    letters(text).contains("alwaysauth")
}

/// Whether brackets and dotted keys could nest deeper than [`MAX_DEPTH`]. The parser's own lexer,
/// which does not recurse, tells what is a string or a comment.
fn is_too_deep(text: &str) -> bool {
    let (mut brackets, mut dots) = (0_usize, 0_usize);
    Source::new(text).lex().any(|token| {
        match token.kind() {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => brackets += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                brackets = brackets.saturating_sub(1);
            }
            TokenKind::Dot => dots += 1,
            TokenKind::Newline if brackets == 0 => dots = 0,
            _ => {}
        }
        brackets + dots > MAX_DEPTH
    })
}

/// A list of patterns (`*`, `?`) or a single one.
fn patterns(value: &Value) -> Option<Vec<WildMatch>> {
    let pattern = |value: &Value| Some(WildMatch::new_case_insensitive(value.as_str()?));
    match value {
        Value::Array(values) => values.iter().map(pattern).collect(),
        single => Some(vec![pattern(single)?]),
    }
}

#[cfg(test)]
mod tests;
