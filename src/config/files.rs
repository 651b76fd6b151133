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
const MAX_BYTES: usize = 64 * 1024;
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
    /// A folder on the way to it may not be entered, so that this user has none.
    NoWay,
    /// It is there, and cannot be taken.
    LeftOut(Reason),
}

impl Config {
    /// Finds and reads the configuration of this process. Never fails.
    ///
    /// A process with rights that its user does not have takes nothing but the system's file, and
    /// logs nothing.
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
    if let Some(level) = set(LEVEL_VARIABLE) {
        parsed.take_level(LEVEL_VARIABLE, &level.to_string_lossy());
    }
    parsed.log_file = set(LOG_FILE_VARIABLE).or(parsed.log_file);
    parsed
}

/// Reads a file that only `owner` or root can have written; `None` when there is none. A named file
/// that is missing may have held a setting that protects.
fn read(path: &Path, owner: u32, place: Place) -> Option<Parsed> {
    let mut parsed = match read_bytes(path, owner) {
        Ok(bytes) => parse(&bytes),
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

fn parse(bytes: &[u8]) -> Parsed {
    if bytes.len() > MAX_BYTES {
        return Parsed::left_out_text(Reason::TooLong, bytes);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Parsed::of(text),
        Err(_) => Parsed::left_out_text(Reason::NotUtf8, bytes),
    }
}

/// The bytes of a file; of one that is too long, its beginning.
fn read_bytes(path: &Path, owner: u32) -> Result<Vec<u8>, Missing> {
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
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// The slots that the library's own name asks for: `jpki-pkcs11-auth.so` and `jpki-pkcs11-sign.so`
/// are given to programs that should not even ask for the other PIN. The name goes before the file,
/// since a program that was given one slot must not get two by a change elsewhere. Windows and
/// macOS open the same file by a name in other letters, such as `JPKI-PKCS11-AUTH.DLL`.
fn slots_of_name(library: &Path) -> Option<Slots> {
    let name = library.file_name()?.to_string_lossy().to_ascii_lowercase();
    let name = name.split('.').next()?;
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
    use super::super::complaint::Mistake;
    use super::*;

    #[test]
    fn the_name_of_the_library_chooses_the_slots() {
        let slots = |path: &str| slots_of_name(Path::new(path));
        assert_eq!(slots("/usr/lib/pkcs11/jpki-pkcs11.so"), None);
        assert_eq!(slots("jpki-pkcs11-auth.so"), Some(Slots::Only(Credential::UserAuthentication)));
        assert_eq!(slots("/x/jpki-pkcs11-sign.so.1"), Some(Slots::Only(Credential::DigitalSignature)));
        assert_eq!(slots("/x/JPKI-PKCS11-AUTH.DLL"), Some(Slots::Only(Credential::UserAuthentication)));
        assert_eq!(slots("/x/Jpki-Pkcs11-Sign.dylib"), Some(Slots::Only(Credential::DigitalSignature)));
        assert_eq!(slots("/jpki-pkcs11-sign/JPKI-PKCS11.DLL"), None);
    }

    #[test]
    fn bytes_that_are_left_out_ask_each_time_if_they_say_so() {
        let line = "always_authenticate = true\n";
        let utf_16: Vec<_> = line.encode_utf16().flat_map(u16::to_le_bytes).chain([0xff]).collect();
        let long = " ".repeat(MAX_BYTES);
        for (bytes, reason) in [
            ([line.as_bytes(), b"# \xff\n"].concat(), Reason::NotUtf8),
            (utf_16, Reason::NotUtf8),
            ([line, &long].concat().into_bytes(), Reason::TooLong),
        ] {
            let parsed = parse(&bytes);
            assert_eq!(
                (parsed.reserve_tries, parsed.always_authenticate),
                (Some(1), Some(true)),
                "{reason:?}"
            );
            assert_eq!(parsed.complaints[0].mistake, Mistake::LeftOut(reason));
        }
        assert_eq!(parse(long.as_bytes()).complaints, Vec::new());
        assert_eq!(parse(b"# \xff\n").always_authenticate, None);
    }
}
