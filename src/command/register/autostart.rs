//! The desktop entry by which a user ends OpenSC's autostart, in the way that the desktops'
//! specification has for it: one of the same name, in the user's own folder, that is hidden.
//!
//! An entry of that name which the person made is moved aside, and put back later.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::profiles::{AUTOSTART_FILE, Folders};

/// What hides OpenSC's entry. `unregister all` removes a file with exactly this text.
const HIDDEN_ENTRY: &str = "[Desktop Entry]\nType=Application\nName=Install OpenSC PKCS#11 module\n\
    # Written by jpki-pkcs11 register. Remove this file to let OpenSC register itself again.\nHidden=true\n";

/// The entry in the user's own folder.
#[derive(Debug)]
pub(super) struct OwnEntry {
    path: PathBuf,
    kept: PathBuf,
}

impl OwnEntry {
    pub(super) fn of(folders: &Folders) -> Self {
        let folder = folders.config.join("autostart");
        // Desktops read names that end in .desktop.
        let kept = folder.join(format!("{AUTOSTART_FILE}.before-jpki-pkcs11"));
        Self { path: folder.join(AUTOSTART_FILE), kept }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the person's entry is kept.
    pub(super) fn kept(&self) -> &Path {
        &self.kept
    }

    /// Whether the person has an entry. A link counts, wherever it leads.
    pub(super) fn is_of_the_person(&self) -> bool {
        is_there(&self.path) && !self.is_ours()
    }

    /// Whether [`OwnEntry::hide`] wrote it.
    pub(super) fn is_ours(&self) -> bool {
        fs::read(&self.path).is_ok_and(|text| text == HIDDEN_ENTRY.as_bytes())
    }

    /// Whether an entry of the person was moved aside.
    pub(super) fn has_kept(&self) -> bool {
        is_there(&self.kept)
    }

    /// Writes the entry. One that the person has is moved aside.
    ///
    /// # Errors
    /// It cannot be written, or one was moved aside before. Nothing has changed then.
    pub(super) fn hide(&self) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let is_moved = self.is_of_the_person();
        if is_moved {
            if self.has_kept() {
                return Err(io::Error::new(ErrorKind::AlreadyExists, self.kept.display().to_string()));
            }
            fs::rename(&self.path, &self.kept)?;
        }
        let written = self.write();
        if written.is_err() && is_moved {
            let _ = fs::rename(&self.kept, &self.path);
        }
        written
    }

    /// Makes the file: one that is there, or a link, is not written to.
    fn write(&self) -> io::Result<()> {
        let mut file = File::create_new(&self.path)?;
        let written = file.write_all(HIDDEN_ENTRY.as_bytes());
        if written.is_err() {
            let _ = fs::remove_file(&self.path);
        }
        written
    }

    /// Removes the entry, and puts the person's back.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn take_back(&self) -> io::Result<()> {
        if self.has_kept() { fs::rename(&self.kept, &self.path) } else { fs::remove_file(&self.path) }
    }
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
