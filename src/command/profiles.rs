//! The NSS profiles of this user's browsers and mail programs: where they are, which PKCS#11
//! modules stand in them, and what stands in this module's way there.
//!
//! This module only looks. `register` changes profiles, and only by NSS's own `modutil`.

mod ini;
mod modules;
mod problems;
mod running;

use std::env;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

pub(crate) use self::modules::{Kind, MODULES_FILE, Module, modules};
pub(crate) use self::problems::{AUTOSTART_FILE, Problem, autostart};
pub(crate) use self::problems::{Found, look};
pub(crate) use self::running::{InUse, claim, in_use};

/// A family of programs that share the place and the form of their profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Firefox,
    Thunderbird,
    /// Chromium and the browsers made from it: they share one database.
    Chromium,
}

impl Program {
    pub(crate) const ALL: [Self; 3] = [Self::Firefox, Self::Thunderbird, Self::Chromium];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Firefox => "Firefox",
            Self::Thunderbird => "Thunderbird",
            Self::Chromium => "Chromium",
        }
    }

    /// The word for it on the command line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Firefox => "firefox",
            Self::Thunderbird => "thunderbird",
            Self::Chromium => "chromium",
        }
    }

    /// Folders with a `profiles.ini`, and what keeps a program there from loading a module.
    const fn profile_roots(self) -> &'static [(Base, &'static str, Option<Sandbox>)] {
        match self {
            // Firefox 147 and newer begin in the second.
            Self::Firefox => &[
                (Base::Home, ".mozilla/firefox", None),
                (Base::Config, "mozilla/firefox", None),
                (Base::Home, "snap/firefox/common/.mozilla/firefox", Some(Sandbox::Snap)),
                (Base::Home, "snap/firefox/common/.config/mozilla/firefox", Some(Sandbox::Snap)),
                (Base::Home, ".var/app/org.mozilla.firefox/.mozilla/firefox", Some(Sandbox::Flatpak)),
                (Base::Home, ".var/app/org.mozilla.firefox/config/mozilla/firefox", Some(Sandbox::Flatpak)),
            ],
            // Debian's old name was icedove; its folder often is a link now.
            Self::Thunderbird => &[
                (Base::Home, ".thunderbird", None),
                (Base::Config, "thunderbird", None),
                (Base::Home, ".icedove", None),
                (Base::Home, "snap/thunderbird/common/.thunderbird", Some(Sandbox::Snap)),
                (Base::Home, ".var/app/org.mozilla.Thunderbird/.thunderbird", Some(Sandbox::Flatpak)),
                (Base::Home, ".var/app/net.thunderbird.Thunderbird/.thunderbird", Some(Sandbox::Flatpak)),
            ],
            Self::Chromium => &[],
        }
    }
}

/// What a folder's path begins with.
#[derive(Clone, Copy, Debug)]
enum Base {
    Home,
    Config,
}

/// A kind of package whose programs do not see this system's libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sandbox {
    Snap,
    Flatpak,
}

/// The folders of a user, and those of the desktop's autostart.
#[derive(Debug)]
pub(crate) struct Folders {
    pub(crate) home: PathBuf,
    pub(crate) config: PathBuf,
    pub(crate) data: PathBuf,
    /// Where the desktop looks for programs to start, the user's folder first.
    pub(crate) autostart: Vec<PathBuf>,
}

impl Folders {
    /// Those of the user who runs this process (XDG Base Directory Specification). `None` without a
    /// home.
    pub(crate) fn of_this_user() -> Option<Self> {
        let home = folder("HOME")?;
        let config = folder("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
        let data = folder("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share"));
        let system = env::var_os("XDG_CONFIG_DIRS").filter(|value| !value.is_empty());
        let system = system.unwrap_or_else(|| "/etc/xdg".into());
        let system = env::split_paths(&system).filter(|path| path.is_absolute());
        let autostart =
            [config.clone()].into_iter().chain(system).map(|path| path.join("autostart")).collect();
        Some(Self { home, config, data, autostart })
    }

    fn base(&self, base: Base) -> &Path {
        match base {
            Base::Home => &self.home,
            Base::Config => &self.config,
        }
    }
}

/// The absolute path in a variable. The specification says to ignore others.
fn folder(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// A folder with an NSS database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) program: Program,
    pub(crate) directory: PathBuf,
    /// What keeps its program from loading a module, whatever stands in the database.
    pub(crate) sandbox: Option<Sandbox>,
}

/// A file that cannot be read, so that it is not known what stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) program: Program,
    pub(crate) file: PathBuf,
    /// The system's error number.
    pub(crate) error: Option<i32>,
}

impl Unreadable {
    pub(crate) fn new(program: Program, file: PathBuf, error: &io::Error) -> Self {
        Self { program, file, error: error.raw_os_error() }
    }
}

/// The profiles of a program. Chromium's is listed even before Chromium has made it. A list that
/// cannot be read goes to `unreadable`.
pub(crate) fn profiles(
    program: Program,
    folders: &Folders,
    unreadable: &mut Vec<Unreadable>,
) -> Vec<Profile> {
    let mut profiles = Vec::new();
    for (base, path, sandbox) in program.profile_roots() {
        let root = folders.base(*base).join(path);
        let listed = listed_profiles(&root).unwrap_or_else(|error| {
            unreadable.push(Unreadable::new(program, root.join(PROFILES_FILE), &error));
            Vec::new()
        });
        for directory in listed {
            profiles.push(Profile { program, directory, sandbox: *sandbox });
        }
    }
    if program == Program::Chromium {
        profiles.extend(chromium_databases(folders));
    }
    let mut seen = Vec::new();
    profiles.retain(|profile| {
        let real = fs::canonicalize(&profile.directory).unwrap_or_else(|_| profile.directory.clone());
        let is_new = !seen.contains(&real);
        seen.push(real);
        is_new
    });
    profiles
}

/// Mozilla's list of profiles.
const PROFILES_FILE: &str = "profiles.ini";

/// The folders that a `profiles.ini` names and that are there. None where there is no such file.
fn listed_profiles(root: &Path) -> io::Result<Vec<PathBuf>> {
    let text = match fs::read(root.join(PROFILES_FILE)) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let sections = ini::sections(&String::from_utf8_lossy(&text));
    let profiles = sections.iter().filter(|section| section.name.starts_with("Profile"));
    let paths = profiles.filter_map(|section| {
        let path = section.value("Path")?;
        Some(if section.value("IsRelative") == Some("0") { PathBuf::from(path) } else { root.join(path) })
    });
    Ok(paths.filter(|path| path.is_absolute() && path.is_dir()).collect())
}

/// Chromium uses the first of the two places that is there, since version 146; older versions know
/// the first place only. So the first is where one is made. If both are there, both are meant:
/// which one is in use depends on the browser.
fn chromium_databases(folders: &Folders) -> Vec<Profile> {
    let first = folders.home.join(".pki/nssdb");
    let places = [first.clone(), folders.data.join("pki/nssdb")];
    let mut directories: Vec<_> = places.into_iter().filter(|place| place.is_dir()).collect();
    if directories.is_empty() {
        directories.push(first);
    }
    let native = directories.into_iter().map(|directory| (directory, None));
    let boxed = SANDBOXED_CHROMIUMS.iter().map(|(path, sandbox)| (folders.home.join(path), Some(*sandbox)));
    let boxed = boxed.filter(|(directory, _)| directory.is_dir());
    let all = native.chain(boxed);
    all.map(|(directory, sandbox)| Profile { program: Program::Chromium, directory, sandbox }).collect()
}

const SANDBOXED_CHROMIUMS: &[(&str, Sandbox)] = &[
    ("snap/chromium", Sandbox::Snap),
    ("snap/brave", Sandbox::Snap),
    (".var/app/org.chromium.Chromium", Sandbox::Flatpak),
    (".var/app/io.github.ungoogled_software.ungoogled_chromium", Sandbox::Flatpak),
    (".var/app/com.google.Chrome", Sandbox::Flatpak),
    (".var/app/com.brave.Browser", Sandbox::Flatpak),
    (".var/app/com.microsoft.Edge", Sandbox::Flatpak),
];

#[cfg(test)]
mod tests;
