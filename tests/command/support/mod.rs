//! A run of the command.

pub mod terminal;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

/// The reader of every test.
pub const READER: &str = "Virtual Reader 00 00";

/// What English and Japanese users have as their locale.
pub const ENGLISH: &str = "en_US.UTF-8";
pub const JAPANESE: &str = "ja_JP.UTF-8";

/// A machine: a PC/SC service, and a user's home.
pub struct Machine {
    home: PathBuf,
    service: String,
}

/// What came of a run.
pub struct Run {
    pub text: String,
    pub remarks: String,
    pub exit: i32,
}

impl Machine {
    /// With a service that is described as for the stand-in: see
    /// `pcsc_stand_in::command::ENVIRONMENT`. `REQUEST`s have spaces for TABs here, and `READER`
    /// stands for the reader's name.
    pub fn new(service: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let home = std::env::temp_dir().join(format!("jpki-command-{}-{number}", process::id()));
        // A run that was killed may have left one, and its process id is given again.
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(home.join(".config")).expect("a home can be made");
        let items = service.split(';').map(|item| match item.strip_prefix("do=") {
            Some(request) => format!("do={}", request.replace(' ', "\t")),
            None => item.to_owned(),
        });
        let service = items.collect::<Vec<_>>().join(";").replace("READER", READER);
        Self { home, service }
    }

    /// With this card in its reader.
    pub fn with_card(profile: &str) -> Self {
        Self::new(&format!("reader=READER;card={profile}"))
    }

    /// With this file of the user's.
    pub fn configured(self, text: &str) -> Self {
        let file = self.home.join(".config/jpki-pkcs11.toml");
        fs::write(&file, text).expect("the home is writable");
        // A umask may let the group write, and then the file may not count.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&file, mode).expect("the file is ours");
        self
    }

    /// The home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The command, ready to run.
    pub fn command(&self, locale: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jpki-pkcs11"));
        command.args(arguments).env_clear().env("HOME", &self.home).env("LC_ALL", locale);
        // The machine's own autostart is not the test's.
        command.env("XDG_CONFIG_DIRS", self.home.join("xdg"));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LD_LIBRARY_PATH", pcsc_stand_in::client::library_directory());
        command.env(pcsc_stand_in::command::ENVIRONMENT, &self.service);
        command
    }

    /// Runs the command without a terminal.
    pub fn run(&self, locale: &str, arguments: &[&str]) -> Run {
        Run::of(self.command(locale, arguments).stdin(Stdio::null()).output().expect("the command runs"))
    }

    /// The report as scripts see it.
    pub fn json(&self, arguments: &[&str]) -> (Value, i32) {
        let run = self.run(JAPANESE, arguments);
        let value = serde_json::from_str(&run.text).unwrap_or_else(|error| panic!("{error}: {}", run.text));
        (value, run.exit)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.home);
    }
}

impl Run {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let exit = output.status.code().expect("no signal");
        Self { text: text(output.stdout), remarks: text(output.stderr), exit }
    }

    /// Fails unless each of these is in the text.
    pub fn assert_says(&self, name: &str, texts: &[&str]) {
        for wanted in texts {
            assert!(self.text.contains(wanted), "{name}: no {wanted:?} in\n{}{}", self.text, self.remarks);
        }
    }
}
