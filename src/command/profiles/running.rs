//! Whether a program uses a profile at this moment.
//!
//! - Firefox and Thunderbird hold a record lock on `.parentlock` in the profile, and leave a link
//!   `lock` to `ADDRESS:+PROCESS` there. Where the file system has no such locks, the link alone
//!   counts, and is `ADDRESS:PROCESS`. After a crash the link stays (Mozilla's
//!   `nsProfileLock.cpp`).
//! - Chromium and its kin have a link `SingletonLock` to `HOST-PROCESS` in their own folder
//!   (`process_singleton_posix.cc`). It stays after a crash too.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use jpki_pkcs11::os::{lock_for_writing, lock_holder};

use super::{Folders, Profile, Program};

/// What shows that a profile is in use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InUse {
    /// The file that shows it.
    pub(crate) lock: PathBuf,
    /// The process, if it is one of this machine.
    pub(crate) process: Option<u32>,
}

/// Keeps Firefox or Thunderbird from starting with the profile until it is dropped. For Chromium
/// there is no such means.
#[derive(Debug)]
pub(crate) struct Claim {
    _lock: Option<File>,
}

/// The folders below the user's configuration in which browsers that share Chromium's database keep
/// their locks.
const CHROMIUMS: &[&str] = &[
    "chromium",
    "google-chrome",
    "google-chrome-beta",
    "google-chrome-unstable",
    "BraveSoftware/Brave-Browser",
    "microsoft-edge",
    "vivaldi",
    "opera",
];

/// Whether a program uses a profile now. Changes nothing.
pub(crate) fn in_use(profile: &Profile, folders: &Folders) -> Option<InUse> {
    match profile.program {
        Program::Firefox | Program::Thunderbird => in_use_by_mozilla(&profile.directory),
        Program::Chromium => in_use_by_chromium(&folders.config),
    }
}

/// Takes a profile that nothing uses, so that no program starts with it meanwhile.
///
/// # Errors
/// A program uses it.
pub(crate) fn claim(profile: &Profile, folders: &Folders) -> Result<Claim, InUse> {
    if let Some(found) = in_use(profile, folders) {
        return Err(found);
    }
    if profile.program == Program::Chromium {
        return Ok(Claim { _lock: None });
    }
    let lock = profile.directory.join(".parentlock");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock).ok();
    match file.as_ref().map(lock_for_writing) {
        Some(Ok(false)) => Err(InUse { lock, process: None }),
        _ => Ok(Claim { _lock: file }),
    }
}

fn in_use_by_mozilla(profile: &Path) -> Option<InUse> {
    let lock = profile.join(".parentlock");
    let record = File::open(&lock).ok().map(|file| lock_holder(&file));
    if let Some(Ok(Some(process))) = record {
        return Some(InUse { lock, process: Some(process).filter(|&process| process != 0) });
    }
    let link = profile.join("lock");
    let target = fs::read_link(&link).ok()?;
    let (address, process) = target.to_str()?.rsplit_once(':')?;
    if process.starts_with('+') && matches!(record, Some(Ok(None))) {
        return None;
    }
    let process = process.trim_start_matches('+').parse().ok()?;
    if is_alive(process) {
        return Some(InUse { lock: link, process: Some(process) });
    }
    // A file system without record locks may be another machine's, with a program there.
    (!address.starts_with("127.")).then_some(InUse { lock: link, process: None })
}

fn in_use_by_chromium(config: &Path) -> Option<InUse> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    CHROMIUMS.iter().find_map(|folder| {
        let lock = config.join(folder).join("SingletonLock");
        let target = fs::read_link(&lock).ok()?;
        let (there, process) = target.to_str()?.rsplit_once('-')?;
        let process = process.parse().ok()?;
        if there != host.trim() {
            return Some(InUse { lock, process: None });
        }
        is_alive(process).then_some(InUse { lock, process: Some(process) })
    })
}

fn is_alive(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::id;

    use super::*;

    /// No process has this number: it is above what Linux allows.
    const NO_PROCESS: u32 = 4_194_305;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("jpki-pkcs11-running-{}-{name}", id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn mozilla_with_link(name: &str, target: &str, has_lock_file: bool) -> Option<Option<u32>> {
        let profile = folder(name);
        if has_lock_file {
            File::create(profile.join(".parentlock")).unwrap();
        }
        symlink(target, profile.join("lock")).unwrap();
        let found = in_use_by_mozilla(&profile);
        fs::remove_dir_all(profile).unwrap();
        found.map(|found| found.process)
    }

    #[test]
    fn a_link_counts_where_no_record_lock_could_be_taken() {
        assert_eq!(mozilla_with_link("alive", &format!("127.0.1.1:{}", id()), true), Some(Some(id())));
        assert_eq!(mozilla_with_link("stale", &format!("127.0.1.1:{NO_PROCESS}"), true), None);
        assert_eq!(mozilla_with_link("remote", &format!("192.0.2.1:{NO_PROCESS}"), true), Some(None));
    }

    #[test]
    fn a_link_beside_a_free_record_lock_is_left_over() {
        assert_eq!(mozilla_with_link("plus", &format!("127.0.1.1:+{}", id()), true), None);
        assert_eq!(mozilla_with_link("nonsense", "nonsense", true), None);
    }

    #[test]
    fn chromiums_link_counts_while_its_process_lives_or_is_elsewhere() {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        for (name, target, expected) in [
            ("here", format!("{}-{}", host.trim(), id()), Some(Some(id()))),
            ("gone", format!("{}-{NO_PROCESS}", host.trim()), None),
            ("there", format!("not-{}-1", host.trim()), Some(None)),
        ] {
            let config = folder(name);
            fs::create_dir_all(config.join("google-chrome")).unwrap();
            symlink(target, config.join("google-chrome/SingletonLock")).unwrap();
            assert_eq!(in_use_by_chromium(&config).map(|found| found.process), expected, "{name}");
            fs::remove_dir_all(config).unwrap();
        }
    }
}
