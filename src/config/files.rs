//! Where the configuration is found: the system's file, and one of the user's beside it.

use std::env;
use std::io::{Error as IoError, ErrorKind, Read};
use std::path::{Path, PathBuf};

use log::LevelFilter;

use super::complaint::Reason;
use super::parse::Parsed;
use super::{Config, Slots};
use crate::jpki::credential::Credential;
use crate::os::{
    Environment, is_trusted, open_configuration, system_configuration_folder, user_configuration_folders,
};

/// Names the user's configuration file.
const FILE_VARIABLE: &str = "JPKI_PKCS11_CONF";
/// Names the log level, and goes before the files'.
const LEVEL_VARIABLE: &str = "JPKI_PKCS11_LOG";
/// Names the log file, and goes before the files'.
const LOG_FILE_VARIABLE: &str = "JPKI_PKCS11_LOG_FILE";
/// The file's name in the system's folder, and in the user's.
const FILE_NAME: &str = "jpki-pkcs11.toml";
/// The most bytes of a configuration.
const MAX_BYTES: u64 = 64 * 1024;
/// The user who owns the system's file.
const ROOT: u32 = 0;

/// Where a file is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Where the system's stands.
    System,
    /// Where the user's may stand. A home that may not be entered has none.
    Home,
    /// Where the user says that it is.
    Named,
}

/// Why a file gives no text.
enum Missing {
    /// There is none.
    NoFile,
    /// The way to it may not be gone, so that this user has none.
    NoWay,
    /// It is there, and cannot be taken.
    LeftOut(Reason),
}

impl Config {
    /// Finds and reads the configuration of this process. Never fails.
    ///
    /// A process with rights that its user does not have believes nothing but the system's file,
    /// and logs nothing.
    #[must_use]
    pub fn load(environment: &Environment) -> Self {
        let folder = system_configuration_folder(environment.library.as_deref());
        let system = folder.and_then(|folder| read(&folder.join(FILE_NAME), ROOT, Place::System));
        let system = system.unwrap_or_default();
        let mut config = if environment.secure_execution {
            Self { log_level: LevelFilter::Off, log_file: None, ..Self::of(system, Parsed::default()) }
        } else {
            Self::of(system, user_settings(environment.user))
        };
        if let Some(only) = environment.library.as_deref().and_then(slots_of_name) {
            config.slots = only;
        }
        config
    }
}

/// What the user's file and the environment say.
fn user_settings(user: u32) -> Parsed {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let parsed = match set(FILE_VARIABLE) {
        Some(file) => read(&file, user, Place::Named),
        None => {
            let folders = user_configuration_folders();
            folders.iter().find_map(|folder| read(&folder.join(FILE_NAME), user, Place::Home))
        }
    };
    let mut parsed = parsed.unwrap_or_default();
    if let Some(level) = env::var_os(LEVEL_VARIABLE) {
        parsed.take_level(LEVEL_VARIABLE, &level.to_string_lossy());
    }
    parsed.log_file = set(LOG_FILE_VARIABLE).or(parsed.log_file);
    parsed
}

/// Reads a file that only `owner` or root can have written; `None` when there is none. One that is
/// named and not there may have held what protects.
fn read(path: &Path, owner: u32, place: Place) -> Option<Parsed> {
    let mut parsed = match read_text(path, owner) {
        Ok(text) => Parsed::of(&text),
        Err(Missing::NoFile) if place == Place::Named => Parsed::left_out(Reason::Absent),
        Err(Missing::NoFile) => return None,
        Err(Missing::NoWay) if place == Place::Home => return None,
        Err(Missing::NoWay) => Parsed::left_out(Reason::NoWay),
        Err(Missing::LeftOut(reason)) => Parsed::left_out(reason),
    };
    parsed.file = Some(path.to_owned());
    parsed.complaints.iter_mut().for_each(|complaint| complaint.file = Some(path.to_owned()));
    Some(parsed)
}

fn read_text(path: &Path, owner: u32) -> Result<String, Missing> {
    let unreadable = |error: IoError| Missing::LeftOut(Reason::Unreadable(error.to_string()));
    let file = open_configuration(path).map_err(|error| match error.kind() {
        // A link that leads nowhere.
        ErrorKind::NotFound if path.symlink_metadata().is_ok() => Missing::LeftOut(Reason::Absent),
        ErrorKind::NotFound | ErrorKind::NotADirectory => Missing::NoFile,
        ErrorKind::PermissionDenied if path.symlink_metadata().is_err() => Missing::NoWay,
        _ => unreadable(error),
    })?;
    let metadata = file.metadata().map_err(unreadable)?;
    is_trusted(&metadata, owner).map_err(|distrust| Missing::LeftOut(Reason::Distrusted(distrust)))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > usize::try_from(MAX_BYTES).unwrap_or(usize::MAX) {
        return Err(Missing::LeftOut(Reason::TooLong));
    }
    String::from_utf8(bytes).map_err(|_| Missing::LeftOut(Reason::NotUtf8))
}

/// The slots that the library's own name asks for: `jpki-pkcs11-auth.so` and `jpki-pkcs11-sign.so`
/// are given to programs that should not even ask for the other PIN. The name goes before the file,
/// since a program that was given one slot must not get two by a change elsewhere.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_library_chooses_the_slots() {
        let slots = |path: &str| slots_of_name(Path::new(path));
        assert_eq!(slots("/usr/lib/pkcs11/jpki-pkcs11.so"), None);
        assert_eq!(slots("jpki-pkcs11-auth.so"), Some(Slots::Only(Credential::UserAuthentication)));
        assert_eq!(slots("/x/jpki-pkcs11-sign.so.1"), Some(Slots::Only(Credential::DigitalSignature)));
    }
}
