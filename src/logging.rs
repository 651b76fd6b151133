//! The log: one line each, to the standard error stream or a file that only its owner reads, and
//! off by default.
//!
//! What is logged is decided where it happens; the rules are in the types (`Command`, `Response`,
//! `Pin` and `Certificate` print nothing secret). Writing never fails an operation, never waits and
//! never ends the host: not in a forked child, not on a full disk, not when the program that reads
//! the log has gone.

use std::fs::File;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use log::{LevelFilter, Log, Metadata, Record, warn};
use parking_lot::RwLock;

use crate::config::Config;
use crate::os::{Environment, open_log, stderr_for_logging, write_line};

/// The `log` crate wants one logger for the whole life of the library; where it writes to can
/// change.
static SINK: Sink = Sink(RwLock::new(None));

/// How many milliseconds to wait for lines that are being written.
const REPLACE_TIMEOUT: usize = 50;

struct Sink(RwLock<Option<File>>);

/// Sets the log up as the configuration says, and says what is wrong with the configuration. Never
/// fails.
pub fn start(config: &Config, environment: &Environment) {
    let mut problem = None;
    let file = if config.log_level == LevelFilter::Off {
        None
    } else if let Some(path) = &config.log_file {
        open_log(path, environment.user)
            .inspect_err(|error| problem = Some(format!("{}: {error}", path.display())))
            .ok()
            .or_else(stderr_for_logging)
    } else {
        stderr_for_logging()
    };
    SINK.replace(file);
    // Set before, by an earlier C_Initialize or by the host of the library's tests.
    let _ = log::set_logger(&SINK);
    log::set_max_level(config.log_level);
    for complaint in &config.complaints {
        warn!("configuration: {complaint}");
    }
    if let Some(problem) = problem {
        warn!("configuration: {problem}");
    }
}

/// Closes the log: a host may unload the library next, and that closes no file.
pub fn stop() {
    log::set_max_level(LevelFilter::Off);
    SINK.replace(None);
}

impl Sink {
    /// Writes to this file from now on. Lines are written in microseconds, so a lock that stays
    /// taken belongs to a thread that a fork did not copy: then the log goes on where the
    /// parent's went, or is silent.
    fn replace(&self, file: Option<File>) {
        for _ in 0..REPLACE_TIMEOUT {
            if let Some(mut sink) = self.0.try_write() {
                *sink = file;
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Log for Sink {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // Held for writing only while C_Initialize sets the log up, or by a thread that a fork left
        // behind.
        let Some(file) = self.0.try_read() else { return };
        let Some(file) = file.as_ref() else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = format!(
            "{}.{:03} jpki-pkcs11[{}] {} {}\n",
            now.as_secs(),
            now.subsec_millis(),
            std::process::id(),
            record.level().as_str().to_ascii_lowercase(),
            // A reader's name comes from outside and must not forge a line.
            record.args().to_string().replace(char::is_control, " "),
        );
        write_line(file, line.as_bytes());
    }

    fn flush(&self) {}
}
