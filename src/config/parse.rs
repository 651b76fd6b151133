//! One configuration text: which keys there are, and what is wrong with their values.

use std::path::{Path, PathBuf};

use log::LevelFilter;
use toml::{Table, Value};
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
        let letters: String = key.chars().filter(char::is_ascii_alphabetic).collect();
        match letters.to_ascii_lowercase() {
            letters if letters.contains("reserve") => Some(Self::ReserveTries),
            letters if letters.contains("alwaysauth") => Some(Self::AskEachTime),
            _ => None,
        }
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
        let mut parsed = Self::default();
        if is_too_deep(text) {
            return Self::left_out(Reason::TooDeep);
        }
        match text.parse::<Table>() {
            Ok(table) => parsed.take_table(&table),
            // Its message quotes the line, and the line may hold what does not belong there: a PIN.
            Err(error) => {
                let end = error.span().map_or(0, |span| span.start);
                let line = text.get(..end).unwrap_or(text).lines().count().max(1);
                parsed = Self::left_out(Reason::Syntax { line });
                parsed.always_authenticate = text.contains("always_authenticate").then_some(true);
            }
        }
        parsed
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
                    self.complain(key, Wanted::Taken("true"));
                }
                ("reserve_tries", Value::Integer(0..)) => self.protect(Protection::ReserveTries, value),
                ("reserve_tries", _) => {
                    self.protect(Protection::ReserveTries, value);
                    self.complain(key, Wanted::Taken("1"));
                }
                ("ca_certificates", _) => self.take_ca_certificates(value),
                ("pss", _) => self.take_pss(value),
                ("readers", Value::Table(readers)) => self.take_readers(readers),
                ("log", Value::Table(log)) => self.take_log(log),
                ("readers" | "log", _) => self.complain(key, Wanted::Table),
                (unknown, _) => self.take_unknown("", unknown, value),
            }
        }
    }

    /// Takes a value that protects. One that cannot be read is a strict one, and the stricter of two
    /// holds.
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

    /// Whether there was a setting that protects.
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
            _ => return self.complain("slots", Wanted::OneOf(SLOTS)),
        };
    }

    fn take_ca_certificates(&mut self, value: &Value) {
        self.ca_certificates = match (value.as_bool(), value.as_str()) {
            (Some(true), _) => Some(CaCertificates::Shown),
            (Some(false), _) => Some(CaCertificates::Hidden),
            (None, Some("auto")) => Some(CaCertificates::Auto),
            (None, _) => {
                return self.complain("ca_certificates", Wanted::OneOf(&["\"auto\"", "true", "false"]));
            }
        };
    }

    fn take_pss(&mut self, value: &Value) {
        self.pss = match value.as_str() {
            Some("auto") => Some(None),
            Some("on") => Some(Some(true)),
            Some("off") => Some(Some(false)),
            _ => return self.complain("pss", Wanted::OneOf(&["\"auto\"", "\"on\"", "\"off\""])),
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
                    self.complain(&format!("readers.{known}"), Wanted::Patterns);
                }
                ("extended_length", ..) => {
                    self.complain("readers.extended_length", Wanted::OneOf(&["true", "false"]))
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
                ("level", _) => self.take_level("log.level", ""),
                ("file", _) => self.complain("log.file", Wanted::AbsolutePath),
                (unknown, _) => self.take_unknown("log.", unknown, value),
            }
        }
    }

    pub(super) fn take_level(&mut self, key: &str, level: &str) {
        match level.parse() {
            Ok(level) => self.log_level = Some(level),
            Err(_) => self.complain(key, Wanted::OneOf(&["off", "error", "warn", "info", "debug", "trace"])),
        }
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

/// Whether brackets or dots in the text could nest deeper than [`MAX_DEPTH`]. Those inside strings
/// count too.
fn is_too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    let brackets_nest = text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    });
    brackets_nest || text.lines().any(|line| line.matches('.').count() > MAX_DEPTH)
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
mod tests {
    use super::*;

    #[test]
    fn rule_12_no_complaint_quotes_the_file() {
        for text in
            ["pin = 4649x", "pin = 4649", "4649 = 1", "slots = 4649", "[log]\nlevel = \"4649\"\nfile = 4649"]
        {
            let complaints = Parsed::of(text).complaints;
            assert!(
                !complaints.is_empty() && complaints.iter().all(|line| !line.to_string().contains("4649")),
                "{text}"
            );
        }
    }

    #[test]
    fn a_setting_that_protects_holds_at_a_wrong_place_and_in_another_spelling() {
        for text in [
            "[readers]\nuse = \"*\"\n[log]\nlevel = \"info\"\nreserve_tries = 1\nalways_authenticate = true\n",
            "[readers]\nreserve_tries = 1\nalways_authenticate = \"yes\"\n",
            "reserve-tries = 1\nAlways_Authenticate = true\n",
            "[jpki]\nreserve_tries = 1\n[jpki.pin]\nalways_authenticate = 1\n",
            "[[pins]]\nReserveTries = \"one\"\nalwaysAuthenticate = true\n",
        ] {
            let parsed = Parsed::of(text);
            assert_eq!((parsed.reserve_tries, parsed.always_authenticate), (Some(1), Some(true)), "{text}");
            assert_eq!(parsed.complaints.len(), 2, "{text}: {:?}", parsed.complaints);
        }
        let twice = Parsed::of("reserve_tries = 0\nalways_authenticate = false\n[log]\nreserve_tries = 2\n");
        assert_eq!((twice.reserve_tries, twice.always_authenticate), (Some(2), Some(false)));
        let weaker = Parsed::of("reserve_tries = 2\n[log]\nreserve_tries = 1\nalways_authenticate = false\n");
        assert_eq!((weaker.reserve_tries, weaker.always_authenticate), (Some(2), Some(false)));
    }

    #[test]
    fn a_deep_text_is_not_parsed() {
        for text in ["[".repeat(100), format!("a = {}", "[".repeat(17)), format!("a{} = 1", ".a".repeat(99))]
        {
            let parsed = Parsed::of(&text);
            assert_eq!((parsed.reserve_tries, parsed.complaints.len()), (Some(1), 1));
        }
        assert!(Parsed::of("readers = { use = [\"a.b\", \"c\"] }").complaints.is_empty());
    }

    #[test]
    fn a_syntax_error_tells_its_line() {
        let parsed = Parsed::of("slots = \"both\"\npss =\n");
        assert!(parsed.complaints[0].to_string().contains("line 2"), "{:?}", parsed.complaints);
        assert_eq!(parsed.slots, None);
    }
}
