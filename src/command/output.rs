//! What the command prints, and the status that it ends with.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use crate::text::{self, Language};

/// How the command ends. Of two findings the greater one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// All is well, or it was done.
    Well,
    /// There is something for the person to do.
    ToDo,
    /// It cannot be said, or the arguments are wrong.
    CannotTell,
}

impl Exit {
    /// The number of the exit status.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::ToDo => 1,
            Self::CannotTell => 2,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// The two streams of the command, and its language. A program that read them and has gone is no
/// failure; a result that cannot be written is one.
pub(crate) struct Output {
    language: Language,
    results: Box<dyn Write>,
    remarks: Box<dyn Write>,
    /// Why the result was not written, for the first time.
    failure: Option<io::Error>,
}

impl Output {
    /// The standard streams.
    pub(crate) fn new(language: Language) -> Self {
        Self { language, results: Box::new(io::stdout()), remarks: Box::new(io::stderr()), failure: None }
    }

    /// The language of the messages.
    pub(crate) fn language(&self) -> Language {
        self.language
    }

    /// A line of the result, to standard output.
    pub(crate) fn line(&mut self, text: &str) {
        let written = writeln!(self.results, "{text}");
        self.note(written);
    }

    /// The result as it is, to standard output.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let written = self.results.write_all(bytes);
        self.note(written);
    }

    /// Asks a question at the terminal. `true` when the answer is yes; no answer is no.
    pub(crate) fn ask(&mut self, question: &str) -> bool {
        let flushed = self.results.flush();
        self.note(flushed);
        let _ = write!(self.remarks, "{question}").and_then(|()| self.remarks.flush());
        let mut answer = String::new();
        let _ = io::stdin().read_line(&mut answer);
        ["y", "yes", "はい"].iter().any(|yes| answer.trim().eq_ignore_ascii_case(yes))
    }

    /// A line about what happens, or about what went wrong, to standard error.
    pub(crate) fn remark(&mut self, text: &str) {
        let _ = writeln!(self.remarks, "{text}");
    }

    /// The end of the command: how it ends if its result was written.
    pub(crate) fn finish(mut self, exit: Exit) -> Exit {
        let flushed = self.results.flush();
        self.note(flushed);
        let Some(error) = self.failure.take() else { return exit };
        self.remark(&text::output::not_written(self.language, &error));
        Exit::CannotTell
    }

    fn note(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            if error.kind() != ErrorKind::BrokenPipe {
                self.failure.get_or_insert(error);
            }
        }
    }
}
