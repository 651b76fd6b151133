//! The configuration: what it may say, and what holds when it says nothing or nonsense.
//!
//! A bad file never stops `C_Initialize`: the host's other tokens must not suffer. What is wrong
//! goes to the log, what is right is taken. A setting that protects is never lost to a mistake: the
//! stricter value holds.

pub mod complaint;

mod files;
mod parse;

use std::path::PathBuf;

use log::LevelFilter;
use wildmatch::WildMatch;

use self::complaint::Complaint;
use self::parse::Parsed;
use crate::jpki::credential::Credential;
pub use crate::manager::{CaCertificates, Settings};
use crate::transport::ReaderName;

/// Which of the two credentials become slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Slots {
    /// Both.
    #[default]
    Both,
    /// Only one.
    Only(Credential),
}

/// Which readers are looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReaderFilter {
    /// Readers to use; all, if empty.
    pub use_readers: Vec<WildMatch>,
    /// Readers to leave alone.
    pub ignore_readers: Vec<WildMatch>,
}

/// The configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which slots there are.
    pub slots: Slots,
    /// A reader is looked at if every one of these lets it pass.
    pub readers: Vec<ReaderFilter>,
    /// What the card session manager has to know.
    pub settings: Settings,
    /// How much is logged.
    pub log_level: LevelFilter,
    /// Where to; the standard error stream, if not set.
    pub log_file: Option<PathBuf>,
    /// The files that were found, those that were left out too: the system's, then the user's.
    pub files: Vec<PathBuf>,
    /// What was wrong with the configuration, and what was left out. No line of a file is quoted.
    pub complaints: Vec<Complaint>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            slots: Slots::Both,
            readers: Vec::new(),
            settings: Settings::default(),
            log_level: LevelFilter::Off,
            log_file: None,
            files: Vec::new(),
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

impl ReaderFilter {
    fn lets_pass(&self, name: &str) -> bool {
        let used =
            self.use_readers.is_empty() || self.use_readers.iter().any(|pattern| pattern.matches(name));
        used && !self.ignore_readers.iter().any(|pattern| pattern.matches(name))
    }
}

impl Config {
    /// Reads a configuration text. What is wrong with it is in [`Config::complaints`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::of(Parsed::default(), Parsed::of(text))
    }

    /// Whether a reader is one to look at.
    #[must_use]
    pub fn uses_reader(&self, reader: &ReaderName) -> bool {
        let name = reader.to_string();
        self.readers.iter().all(|filter| filter.lets_pass(&name))
    }

    /// What the system's file and a user's say together. Of two values that protect the stricter
    /// one holds; otherwise the user's goes before the system's.
    fn of(system: Parsed, user: Parsed) -> Self {
        let default = Settings::default();
        let slots = match (system.slots, user.slots) {
            (Some(Slots::Only(only)), _) => Slots::Only(only),
            (_, slots) => slots.unwrap_or_default(),
        };
        let either = |one: Option<bool>, other: Option<bool>| one == Some(true) || other == Some(true);
        Self {
            slots,
            readers: [system.readers, user.readers].into_iter().flatten().collect(),
            settings: Settings {
                reserve_tries: system.reserve_tries.max(user.reserve_tries).unwrap_or(default.reserve_tries),
                always_authenticate: either(system.always_authenticate, user.always_authenticate),
                pss: user.pss.or(system.pss).unwrap_or(default.pss),
                ca_certificates: user.ca_certificates.or(system.ca_certificates).unwrap_or_default(),
                no_extended_length: either(system.no_extended_length, user.no_extended_length),
                count_reuse: default.count_reuse,
                look_reuse: default.look_reuse,
                uncounted_reuse: default.uncounted_reuse,
            },
            log_level: user.log_level.or(system.log_level).unwrap_or(LevelFilter::Off),
            log_file: user.log_file.or(system.log_file),
            files: [system.file, user.file].into_iter().flatten().collect(),
            complaints: [system.complaints, user.complaints].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::CaCertificates;

    #[test]
    fn every_key_is_taken() {
        // An absolute path differs from system to system.
        let log = std::env::temp_dir().join("log");
        let config = Config::parse(&format!(
            "slots = \"signature\"\nalways_authenticate = true\nreserve_tries = 1\npss = \"off\"\n\
             ca_certificates = false\n\
             [readers]\nuse = [\"*Sony*\"]\nignore = \"*TPM*\"\nextended_length = false\n\
             [log]\nlevel = \"debug\"\nfile = '{}'\n",
            log.display()
        ));
        assert_eq!(config.complaints, Vec::new());
        assert_eq!(config.slots, Slots::Only(Credential::DigitalSignature));
        assert!(config.settings.always_authenticate && config.settings.no_extended_length);
        assert_eq!(config.settings.reserve_tries, 1);
        assert_eq!(config.settings.pss, Some(false));
        assert_eq!(config.settings.ca_certificates, CaCertificates::Hidden);
        assert_eq!(config.log_level, LevelFilter::Debug);
        assert_eq!(config.log_file.as_deref(), Some(log.as_path()));
    }

    #[test]
    fn a_wrong_value_keeps_the_default_and_the_other_keys() {
        let config = Config::parse("slots = 7\ncolour = \"red\"\npss = \"on\"\nca_certificates = \"some\"\n");
        assert_eq!(config.slots, Slots::Both);
        assert_eq!(config.settings.ca_certificates, CaCertificates::Auto);
        assert_eq!(config.settings.pss, Some(true));
        assert_eq!(config.complaints.len(), 3);
    }

    #[test]
    fn a_setting_that_protects_is_not_lost_to_a_mistake() {
        for (text, reserve) in [
            ("reserve_tries = 2", 2),
            ("reserve_tries = \"2\"", 1),
            ("reserve_tries = -1", 1),
            ("reserve_tries = 1.5", 1),
            ("reserve_tries = 300", 255),
            ("reserve_tries = ", 1),
            ("slots = ", 1),
        ] {
            assert_eq!(Config::parse(text).settings.reserve_tries, reserve, "{text}");
        }
        assert!(Config::parse("always_authenticate = \"yes\"").settings.always_authenticate);
    }

    #[test]
    fn of_two_values_that_protect_the_stricter_holds() {
        let both = |system, user| Config::of(Parsed::of(system), Parsed::of(user));
        assert_eq!(both("reserve_tries = 1", "reserve_tries = 0").settings.reserve_tries, 1);
        assert_eq!(both("", "reserve_tries = 2").settings.reserve_tries, 2);
        assert!(
            both("always_authenticate = true", "always_authenticate = false").settings.always_authenticate
        );
        let only = Slots::Only(Credential::UserAuthentication);
        assert_eq!(both("slots = \"authentication\"", "slots = \"both\"").slots, only);
        assert_eq!(both("pss = \"off\"", "pss = \"on\"").settings.pss, Some(true));
        let readers = both("readers = { ignore = \"*TPM*\" }", "readers = { use = \"*0*\" }");
        let uses = |name: &str| readers.uses_reader(&std::ffi::CString::new(name).unwrap().into());
        assert!(uses("Sony 00") && !uses("TPM 00") && !uses("Sony"));
    }

    #[test]
    fn readers_are_chosen_by_patterns() {
        let config = Config::parse("readers = { use = [\"*Sony*\", \"ACS ?\"], ignore = \"*02\" }");
        let uses = |name: &str| config.uses_reader(&std::ffi::CString::new(name).unwrap().into());
        assert!(uses("SONY FeliCa 01") && uses("acs 1"));
        assert!(!uses("Sony 02") && !uses("ACS 12") && !uses("TPM"));
    }
}
