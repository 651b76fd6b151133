//! NSS's own tool, which changes the list of modules in a profile.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Module, modules};

/// The program.
#[derive(Debug)]
pub(super) struct Modutil {
    program: PathBuf,
}

impl Modutil {
    /// The one that a shell would run.
    pub(super) fn find() -> Option<Self> {
        let path = env::var_os("PATH")?;
        let mut files = env::split_paths(&path).map(|folder| folder.join("modutil"));
        files.find(|file| file.is_file()).map(|program| Self { program })
    }

    /// Takes modules out of a profile and puts one in. If the new one cannot be put in, those of
    /// this project that were taken out are put back where they can be loaded.
    ///
    /// # Errors
    /// Why not, as the program says it.
    pub(super) fn change(
        &self,
        profile: &Path,
        remove: &[&Module],
        add: Option<&Module>,
    ) -> Result<(), String> {
        // A new one may have the name of an old one, so that the old one goes first.
        for module in remove {
            self.run(profile, &["-delete".as_ref(), module.name.as_ref()])?;
            if modules(profile).is_ok_and(|left| left.contains(module)) {
                return Err(format!("modutil -delete {}", module.name));
            }
        }
        let Some(new) = add else { return Ok(()) };
        let added = self.add(profile, new);
        if added.is_err() {
            for old in remove {
                let _ = self.add(profile, old);
            }
        }
        added
    }

    fn add(&self, profile: &Path, module: &Module) -> Result<(), String> {
        let library = module.library.as_os_str();
        self.run(profile, &["-add".as_ref(), module.name.as_ref(), "-libfile".as_ref(), library])?;
        let is_there = modules(profile).is_ok_and(|now| now.contains(module));
        is_there.then_some(()).ok_or_else(|| format!("modutil -add {}", module.name))
    }

    /// `-force` answers its question whether the browser is closed, which is known by now.
    fn run(&self, profile: &Path, arguments: &[&OsStr]) -> Result<(), String> {
        let mut database = OsString::from("sql:");
        database.push(profile);
        let mut command = Command::new(&self.program);
        command.arg("-force").arg("-dbdir").arg(database).args(arguments).stdin(Stdio::null());
        let result = command.output().map_err(|error| format!("modutil: {error}"))?;
        if result.status.success() {
            return Ok(());
        }
        let text = [result.stderr, result.stdout].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let error = text.lines().find(|line| line.starts_with("ERROR")).or_else(|| text.lines().last());
        Err(format!("modutil: {}", error.unwrap_or("?")))
    }
}
