//! The configuration: where it is found, what it may say, and what holds when it says nothing or nonsense.
//!
//! A bad file never stops `C_Initialize`: the host's other tokens must not suffer. What is wrong goes to the log, what
//! is right is taken. Nothing is read in a process that runs with somebody else's rights.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use log::LevelFilter;
use toml::{Table, Value};
use wildmatch::WildMatch;

use crate::jpki::layout::Credential;
use crate::manager::Settings;
use crate::transport::ReaderName;

/// Names the configuration file.
const FILE_VARIABLE: &str = "JPKI_PKCS11_CONF";
/// Names the log level, and goes before the file's.
const LEVEL_VARIABLE: &str = "JPKI_PKCS11_LOG";
/// Names the log file, and goes before the file's.
const LOG_FILE_VARIABLE: &str = "JPKI_PKCS11_LOG_FILE";
/// The file's name in the user's configuration folder and in `/etc`.
const FILE_NAME: &str = "jpki-pkcs11.toml";
/// The most bytes of a configuration.
const MAX_BYTES: u64 = 64 * 1024;

/// What the host process is, as far as the configuration depends on it.
#[derive(Debug, Default)]
pub struct Environment {
    /// The process has rights that its user does not have (setuid, file capabilities).
    pub secure_execution: bool,
    /// The path by which this library was loaded.
    pub library: Option<PathBuf>,
    /// The standard error stream, if it is safe to write to.
    pub stderr: Option<File>,
    /// The user whose rights the process has.
    pub user: u32,
}

/// Which of the two credentials become slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Slots {
    /// Both.
    #[default]
    Both,
    /// Only one.
    Only(Credential),
}

/// The configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which slots there are.
    pub slots: Slots,
    /// Readers to use; all, if empty.
    pub use_readers: Vec<WildMatch>,
    /// Readers to leave alone.
    pub ignore_readers: Vec<WildMatch>,
    /// What the card session manager has to know.
    pub settings: Settings,
    /// How much is logged.
    pub log_level: LevelFilter,
    /// Where to; the standard error stream, if not set.
    pub log_file: Option<PathBuf>,
    /// What was wrong with the configuration.
    pub complaints: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            slots: Slots::Both,
            use_readers: Vec::new(),
            ignore_readers: Vec::new(),
            settings: Settings::default(),
            log_level: LevelFilter::Off,
            log_file: None,
            complaints: Vec::new(),
        }
    }
}

impl Slots {
    /// Whether a credential becomes a slot.
    #[must_use]
    pub fn include(self, credential: Credential) -> bool {
        match self {
            Self::Both => true,
            Self::Only(only) => only == credential,
        }
    }
}

impl Config {
    /// Finds and reads the configuration of this process. Never fails.
    #[must_use]
    pub fn load(environment: &Environment) -> Self {
        let mut config = Self::default();
        if !environment.secure_execution {
            config.read_first(&candidates(), environment.user);
            config.read_variables();
        }
        if let Some(only) = environment.library.as_deref().and_then(slots_of_name) {
            config.slots = only;
        }
        config
    }

    /// Reads a configuration text. What is wrong with it is in [`Config::complaints`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut config = Self::default();
        match text.parse::<Table>() {
            Ok(table) => config.take_table(&table),
            // The message quotes the line; a configuration holds no secret.
            Err(error) => config.complaints.push(error.to_string()),
        }
        config
    }

    /// Whether a reader is one to look at.
    #[must_use]
    pub fn uses_reader(&self, reader: &ReaderName) -> bool {
        let name = reader.to_string();
        let used =
            self.use_readers.is_empty() || self.use_readers.iter().any(|pattern| pattern.matches(&name));
        used && !self.ignore_readers.iter().any(|pattern| pattern.matches(&name))
    }

    /// Reads the first file there is.
    fn read_first(&mut self, candidates: &[PathBuf], user: u32) {
        for path in candidates {
            match read_file(path, user) {
                Ok(Some(text)) => {
                    *self = Self::parse(&text);
                    self.complaints.iter_mut().for_each(|line| *line = format!("{}: {line}", path.display()));
                    return;
                }
                Ok(None) => {}
                Err(reason) => {
                    self.complaints.push(format!("{}: {reason}; ignored", path.display()));
                    return;
                }
            }
        }
    }

    /// Log level and log file can be named for one run.
    fn read_variables(&mut self) {
        if let Some(level) = env::var_os(LEVEL_VARIABLE) {
            self.take_level(LEVEL_VARIABLE, &Value::String(level.to_string_lossy().into_owned()));
        }
        if let Some(file) = env::var_os(LOG_FILE_VARIABLE).filter(|file| !file.is_empty()) {
            self.log_file = Some(file.into());
        }
    }

    fn take_table(&mut self, table: &Table) {
        for (key, value) in table {
            match (key.as_str(), value) {
                ("slots", _) => self.take_slots(value),
                ("always_authenticate", Value::Boolean(on)) => self.settings.always_authenticate = *on,
                ("reserve_tries", Value::Integer(count @ 0..=5)) => {
                    self.settings.reserve_tries = u8::try_from(*count).unwrap_or_default();
                }
                ("ca_certificates", Value::Boolean(shown)) => self.settings.ca_certificates = *shown,
                ("pss", _) => self.take_pss(value),
                ("readers", Value::Table(readers)) => self.take_readers(readers),
                ("log", Value::Table(log)) => self.take_log(log),
                (
                    known @ ("always_authenticate" | "reserve_tries" | "ca_certificates" | "readers" | "log"),
                    _,
                ) => {
                    self.complain(known, value);
                }
                (unknown, _) => self.complaints.push(format!("unknown key {unknown}")),
            }
        }
    }

    fn take_slots(&mut self, value: &Value) {
        match value.as_str() {
            Some("both") => self.slots = Slots::Both,
            Some("authentication") => self.slots = Slots::Only(Credential::UserAuthentication),
            Some("signature") => self.slots = Slots::Only(Credential::DigitalSignature),
            _ => self.complain("slots", value),
        }
    }

    fn take_pss(&mut self, value: &Value) {
        match value.as_str() {
            Some("auto") => self.settings.pss = None,
            Some("on") => self.settings.pss = Some(true),
            Some("off") => self.settings.pss = Some(false),
            _ => self.complain("pss", value),
        }
    }

    fn take_readers(&mut self, readers: &Table) {
        for (key, value) in readers {
            match (key.as_str(), patterns(value)) {
                ("use", Some(patterns)) => self.use_readers = patterns,
                ("ignore", Some(patterns)) => self.ignore_readers = patterns,
                (known @ ("use" | "ignore"), None) => self.complain(&format!("readers.{known}"), value),
                (unknown, _) => self.complaints.push(format!("unknown key readers.{unknown}")),
            }
        }
    }

    fn take_log(&mut self, log: &Table) {
        for (key, value) in log {
            match (key.as_str(), value) {
                ("level", _) => self.take_level("log.level", value),
                ("file", Value::String(path)) if Path::new(path).is_absolute() => {
                    self.log_file = Some(path.into())
                }
                ("file", _) => self.complain("log.file", value),
                (unknown, _) => self.complaints.push(format!("unknown key log.{unknown}")),
            }
        }
    }

    fn take_level(&mut self, key: &str, value: &Value) {
        match value.as_str().and_then(|level| level.parse().ok()) {
            Some(level) => self.log_level = level,
            None => self.complain(key, value),
        }
    }

    fn complain(&mut self, key: &str, value: &Value) {
        self.complaints.push(format!("{key} cannot be {value}"));
    }
}

/// The slots that the library's own name asks for: `jpki-pkcs11-auth.so` and `jpki-pkcs11-sign.so` are given to
/// programs that should not even ask for the other PIN. The name goes before the file, since a program that was given
/// one slot must not get two by a change elsewhere.
fn slots_of_name(library: &Path) -> Option<Slots> {
    let name = library.file_name()?.to_str()?.split('.').next()?;
    if name.ends_with("-auth") {
        Some(Slots::Only(Credential::UserAuthentication))
    } else if name.ends_with("-sign") {
        Some(Slots::Only(Credential::DigitalSignature))
    } else {
        None
    }
}

/// The places where the configuration may be, the first one first.
fn candidates() -> Vec<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(file) = set(FILE_VARIABLE) {
        return vec![file];
    }
    let user = set("XDG_CONFIG_HOME")
        .filter(|folder| folder.is_absolute())
        .or_else(|| Some(set("HOME")?.join(".config")))
        .map(|folder| folder.join(FILE_NAME));
    user.into_iter().chain([Path::new("/etc").join(FILE_NAME)]).collect()
}

/// A list of patterns (`*`, `?`) or a single one.
fn patterns(value: &Value) -> Option<Vec<WildMatch>> {
    let pattern = |value: &Value| Some(WildMatch::new_case_insensitive(value.as_str()?));
    match value {
        Value::Array(values) => values.iter().map(pattern).collect(),
        single => Some(vec![pattern(single)?]),
    }
}

/// Reads a file that only its owner, this user or root, can have written. `None` when there is none.
fn read_file(path: &Path, user: u32) -> Result<Option<String>, String> {
    // Opening a FIFO must not wait, and a device must not be read for ever.
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("not a regular file".to_owned());
    }
    if metadata.uid() != user && metadata.uid() != 0 {
        return Err("owned by another user".to_owned());
    }
    if metadata.mode() & 0o022 != 0 {
        return Err("writable by others".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > usize::try_from(MAX_BYTES).unwrap_or(usize::MAX) {
        return Err("too long".to_owned());
    }
    String::from_utf8(bytes).map(Some).map_err(|_| "not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_taken() {
        let config = Config::parse(
            "slots = \"signature\"\nalways_authenticate = true\nreserve_tries = 1\npss = \"off\"\n\
             ca_certificates = false\n\
             [readers]\nuse = [\"*Sony*\"]\nignore = \"*TPM*\"\n[log]\nlevel = \"debug\"\nfile = \"/tmp/log\"\n",
        );
        assert_eq!(config.complaints, Vec::<String>::new());
        assert_eq!(config.slots, Slots::Only(Credential::DigitalSignature));
        assert!(config.settings.always_authenticate);
        assert_eq!(config.settings.reserve_tries, 1);
        assert_eq!(config.settings.pss, Some(false));
        assert!(!config.settings.ca_certificates);
        assert_eq!(config.log_level, LevelFilter::Debug);
        assert_eq!(config.log_file.as_deref(), Some(Path::new("/tmp/log")));
    }

    #[test]
    fn a_wrong_value_keeps_the_default_and_the_other_keys() {
        let config = Config::parse("slots = 7\nreserve_tries = 9\ncolour = \"red\"\npss = \"on\"\n");
        assert_eq!(config.slots, Slots::Both);
        assert_eq!(config.settings.reserve_tries, 0);
        assert_eq!(config.settings.pss, Some(true));
        assert_eq!(config.complaints.len(), 3);
    }

    #[test]
    fn a_syntax_error_is_one_complaint() {
        assert_eq!(Config::parse("slots = ").complaints.len(), 1);
    }

    #[test]
    fn readers_are_chosen_by_patterns() {
        let config = Config::parse("readers = { use = [\"*Sony*\", \"ACS ?\"], ignore = \"*02\" }");
        let uses = |name: &str| config.uses_reader(&std::ffi::CString::new(name).expect("no NUL").into());
        assert!(uses("SONY FeliCa 01") && uses("acs 1"));
        assert!(!uses("Sony 02") && !uses("ACS 12") && !uses("TPM"));
    }

    #[test]
    fn the_name_of_the_library_chooses_the_slots() {
        let slots = |path: &str| slots_of_name(Path::new(path));
        assert_eq!(slots("/usr/lib/pkcs11/jpki-pkcs11.so"), None);
        assert_eq!(slots("jpki-pkcs11-auth.so"), Some(Slots::Only(Credential::UserAuthentication)));
        assert_eq!(slots("/x/jpki-pkcs11-sign.so.1"), Some(Slots::Only(Credential::DigitalSignature)));
    }
}
