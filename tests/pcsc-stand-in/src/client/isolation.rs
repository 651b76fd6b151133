//! A process for each test.

use std::env;
use std::ffi::{OsStr, OsString};
use std::process::Command;

use super::{StandIn, library_directory};

/// Set in the process that a test is run in.
const MARK: &str = "JPKI_STAND_IN_ISOLATED";

/// The program that runs the tests of another processor, if this one cannot. A program that it runs
/// cannot start another one of that processor by itself.
const EMULATOR: &str = "JPKI_TEST_EMULATOR";

/// How a test's own process is started.
#[derive(Debug, Default, Clone)]
pub struct Isolated {
    runner: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
}

impl Isolated {
    /// With the environment of the test program.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Under another program, such as valgrind and its options.
    #[must_use]
    pub fn under(mut self, runner: &[&str]) -> Self {
        self.runner = runner.iter().map(OsString::from).collect();
        self
    }

    /// Runs the test: here, it starts the test program once more for this test alone, and there, it
    /// runs `body`. `path` is that of an item inside the test function; the macro
    /// [`isolated!`](crate::isolated!) knows it.
    ///
    /// # Panics
    /// When the other process fails; its output is in the message.
    pub fn run(self, path: &str, body: impl FnOnce(StandIn)) {
        if env::var_os(MARK).is_some() {
            return body(StandIn::load());
        }
        let mut segments = path.split("::").skip(1).collect::<Vec<_>>();
        segments.pop();
        let test = segments.join("::");
        let program = env::current_exe().expect("the program has a path");
        let mut words: Vec<OsString> = self.runner;
        words.extend(env::var_os(EMULATOR));
        words.push(program.into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["--exact", &test, "--nocapture", "--test-threads=1"]);
        command.env(MARK, "1").env("LD_LIBRARY_PATH", library_path()).envs(self.variables);
        let output = command.output().expect("the test program can be started");
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
        assert!(
            stdout.contains("1 passed"),
            "no test {test}: is `isolated!` in the test function?\n{stdout}"
        );
    }
}

/// Runs a test in a process of its own, under the stand-in: see [`Isolated::run`].
pub fn isolated(path: &str, body: impl FnOnce(StandIn)) {
    Isolated::new().run(path, body);
}

/// The stand-in's directory before whatever was there.
fn library_path() -> OsString {
    let mut path = library_directory().into_os_string();
    if let Some(others) = env::var_os("LD_LIBRARY_PATH") {
        path.push(":");
        path.push(others);
    }
    path
}
