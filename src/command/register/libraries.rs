//! Where the libraries are: beside the command, or where the person says.

use std::env::{self, consts::ARCH};
use std::fs;
use std::path::{Path, PathBuf};

use crate::profiles::Program;

/// The folder that has the libraries.
#[derive(Debug)]
pub(super) struct Libraries {
    folder: PathBuf,
}

/// A library that no folder has.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) name: &'static str,
    pub(super) folders: Vec<PathBuf>,
}

impl Libraries {
    pub(super) fn of(&self, program: Program) -> PathBuf {
        self.folder.join(name(program))
    }
}

/// A program gets the library that shows only the slot it needs: two dialogs would come up
/// otherwise.
const fn name(program: Program) -> &'static str {
    match program {
        Program::Firefox | Program::Chromium => "jpki-pkcs11-auth.so",
        Program::Thunderbird => "jpki-pkcs11-sign.so",
    }
}

/// Looks for the libraries of these programs in `folder`, or below the prefix of this command.
///
/// # Errors
/// The first that is missing.
pub(super) fn find(folder: Option<&Path>, programs: &[Program]) -> Result<Libraries, Missing> {
    let folders = match folder {
        // NSS needs an absolute path: programs start in any folder.
        Some(folder) => vec![std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())],
        None => prefix().map(|prefix| module_folders(&prefix)).unwrap_or_default(),
    };
    let missing_in = |folder: &Path| {
        programs.iter().map(|&program| name(program)).find(|name| !folder.join(name).is_file())
    };
    if let Some(found) = folders.iter().find(|folder| missing_in(folder).is_none()) {
        return Ok(Libraries { folder: found.clone() });
    }
    let name = folders.first().and_then(|folder| missing_in(folder)).unwrap_or("jpki-pkcs11-auth.so");
    Err(Missing { name, folders })
}

/// PREFIX, if this command is PREFIX/bin/jpki-pkcs11.
fn prefix() -> Option<PathBuf> {
    Some(env::current_exe().ok()?.parent()?.parent()?.to_owned())
}

/// The folders of PKCS#11 modules below a prefix that there are on the systems: Debian's with the
/// machine's name, Fedora's, and the plain one.
fn module_folders(prefix: &Path) -> Vec<PathBuf> {
    let lib = prefix.join("lib");
    let names = fs::read_dir(&lib).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let own = names.filter(|name| name.to_string_lossy().starts_with(&format!("{MACHINE}-linux-")));
    let own = own.map(|name| lib.join(name).join("pkcs11"));
    own.chain([prefix.join("lib64/pkcs11"), lib.join("pkcs11")]).filter(|folder| folder.is_dir()).collect()
}

/// This machine, as Debian's folders have it: `x86_64-linux-gnu`. A folder for another machine may
/// stand beside it.
const MACHINE: &str = match ARCH.as_bytes() {
    b"x86" => "i386",
    b"powerpc64" => "powerpc64le",
    _ => ARCH,
};
