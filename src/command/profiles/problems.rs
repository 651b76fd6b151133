//! Where this project's modules stand, and what stands in their way there: for `status`. `register`
//! asks about OpenSC's autostart.

use std::fs;
use std::path::{Path, PathBuf};

use super::{
    Folders, Kind, MODULES_FILE, Module, Profile, Program, Sandbox, Unreadable, ini, modules, profiles,
};
use crate::output::Exit;

/// The desktop entry by which Debian's package `opensc` puts its module into every profile at each
/// login.
pub(crate) const AUTOSTART_FILE: &str = "pkcs11-register.desktop";

/// What stands in the profiles of this user.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Where modules of this project stand.
    pub(crate) registered: Vec<(Profile, Module)>,
    /// Where p11-kit's proxy stands, which may bring a module of this project.
    pub(crate) proxies: Vec<(Profile, Module)>,
    /// Whether there is a profile into which `register` can put one.
    pub(crate) can_register: bool,
    pub(crate) problems: Vec<Problem>,
}

/// One thing in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// OpenSC's module stands in a profile beside ours: its dialog may come first, and it knows no
    /// PIN's form.
    OpenSc { profile: Profile, module: Module },
    /// The desktop puts OpenSC's module beside ours at each login.
    Autostart { file: PathBuf },
    /// Two or more modules of this project stand in one profile: two dialogs.
    SeveralOfOurs { profile: Profile, modules: Vec<Module> },
    /// A module of this project stands in a profile, and its file is not there.
    MissingFile { profile: Profile, module: Module },
    /// A program cannot load a module of this system.
    Sandboxed { profile: Profile, sandbox: Sandbox },
    /// It is not known what stands there.
    Unreadable(Unreadable),
    /// It is not known where the profiles are.
    NoHome,
}

/// Looks at the profiles of the user whose folders these are; `None` where they are not known.
pub(crate) fn look(folders: Option<&Folders>) -> Found {
    let mut found = Found::default();
    let Some(folders) = folders else {
        found.problems.push(Problem::NoHome);
        return found;
    };
    let mut unreadable = Vec::new();
    for program in Program::ALL {
        for profile in profiles(program, folders, &mut unreadable) {
            if let Some(sandbox) = profile.sandbox {
                found.problems.push(Problem::Sandboxed { profile, sandbox });
                continue;
            }
            match modules(&profile.directory) {
                Ok(modules) => found.look_at(&profile, &modules),
                Err(error) => {
                    let file = profile.directory.join(MODULES_FILE);
                    unreadable.push(Unreadable::new(program, file, &error));
                }
            }
        }
    }
    found.problems.extend(unreadable.into_iter().map(Problem::Unreadable));
    // Where no module of ours stands, OpenSC's is no obstacle.
    if !found.registered.is_empty() {
        found.problems.extend(autostart(folders).map(|file| Problem::Autostart { file }));
    }
    found
}

impl Found {
    fn look_at(&mut self, profile: &Profile, modules: &[Module]) {
        let of = |kind| modules.iter().filter(move |module| module.kind() == kind).cloned();
        let with = |module| (profile.clone(), module);
        self.can_register |= profile.directory.is_dir();
        self.proxies.extend(of(Kind::P11KitProxy).map(with));
        let own: Vec<_> = of(Kind::Own).collect();
        if own.is_empty() {
            return;
        }
        let opensc = of(Kind::OpenSc).map(with).map(|(profile, module)| Problem::OpenSc { profile, module });
        let missing = own.iter().filter(|module| module.is_missing()).cloned().map(with);
        let missing = missing.map(|(profile, module)| Problem::MissingFile { profile, module });
        self.problems.extend(opensc.chain(missing));
        self.registered.extend(own.iter().cloned().map(with));
        if own.len() > 1 {
            self.problems.push(Problem::SeveralOfOurs { profile: profile.clone(), modules: own });
        }
    }

    /// Whether a program has the module, or p11-kit's proxy.
    pub(crate) fn is_any_registered(&self) -> bool {
        !self.registered.is_empty() || !self.proxies.is_empty()
    }

    /// Whether something could not be looked at.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.problems.iter().any(|problem| self.exit_of(problem) == Exit::CannotTell)
    }

    /// What comes of a problem. Where another program has the module, one that cannot load it is
    /// one that the person may not want it in.
    pub(crate) fn exit_of(&self, problem: &Problem) -> Exit {
        match problem {
            Problem::Unreadable(_) | Problem::NoHome => Exit::CannotTell,
            Problem::Sandboxed { .. } if self.is_any_registered() => Exit::Well,
            Problem::Sandboxed { .. }
            | Problem::OpenSc { .. }
            | Problem::Autostart { .. }
            | Problem::SeveralOfOurs { .. }
            | Problem::MissingFile { .. } => Exit::ToDo,
        }
    }

    /// Whether nothing but sandboxed programs are there.
    pub(crate) fn is_only_sandboxed(&self) -> bool {
        let is_sandboxed = |problem: &Problem| matches!(problem, Problem::Sandboxed { .. });
        !self.can_register && self.problems.iter().any(is_sandboxed)
    }
}

/// The desktop entry that starts OpenSC's `pkcs11-register` at each login, if one is in force. An
/// entry of the same name in the user's own folder counts instead of the system's (Desktop
/// Application Autostart Specification).
pub(crate) fn autostart(folders: &Folders) -> Option<PathBuf> {
    let mut files = folders.autostart.iter().map(|folder| folder.join(AUTOSTART_FILE));
    let file = files.find(|file| file.exists())?;
    let text = String::from_utf8_lossy(&fs::read(&file).ok()?).into_owned();
    is_started(&text).then_some(file)
}

fn is_started(entry: &str) -> bool {
    let sections = ini::sections(entry);
    let Some(entry) = sections.iter().find(|section| section.name == "Desktop Entry") else { return false };
    let is = |key, word| entry.value(key).is_some_and(|value: &str| value.eq_ignore_ascii_case(word));
    // The second key is GNOME's, which its settings write, and others follow.
    let is_off = is("Hidden", "true") || is("X-GNOME-Autostart-enabled", "false");
    // Debian leaves the entry there when the package is removed, and not purged.
    let program = entry.value("TryExec").or_else(|| entry.value("Exec")?.split_whitespace().next());
    let is_there = program.is_some_and(|program| !program.starts_with('/') || Path::new(program).exists());
    !is_off && is_there
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str =
        "[Desktop Entry]\nName=Install OpenSC PKCS#11 module\nType=Application\nNoDisplay=true\n";

    #[test]
    fn an_entry_that_is_hidden_or_whose_program_is_gone_starts_nothing() {
        for (lines, started) in [
            ("Exec=/bin/sh -c true\n", true),
            ("Exec=pkcs11-register\n", true),
            ("Exec=/nowhere/pkcs11-register\n", false),
            ("Exec=/bin/sh\nTryExec=/nowhere/x\n", false),
            ("Exec=/bin/sh\nHidden=true\n", false),
            ("Exec=/bin/sh\nHidden=false\n", true),
            ("Exec=/bin/sh\nX-GNOME-Autostart-enabled=false\n", false),
            ("", false),
        ] {
            assert_eq!(is_started(&format!("{ENTRY}{lines}")), started, "{lines:?}");
        }
        assert!(!is_started("Exec=/bin/sh\n"));
    }
}
