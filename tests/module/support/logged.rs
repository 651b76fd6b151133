//! What the module writes to its log, thread by thread.

use std::cell::RefCell;
use std::sync::Once;

use log::{LevelFilter, Log, Metadata, Record};

thread_local! {
    /// `None` while no test listens on this thread.
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

struct Listener;

impl Log for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        LINES.with_borrow(Option::is_some)
    }

    fn log(&self, record: &Record<'_>) {
        LINES.with_borrow_mut(|lines| {
            if let Some(lines) = lines {
                lines.push(format!("{} {}", record.level(), record.args()));
            }
        });
    }

    fn flush(&self) {}
}

/// What is logged on this thread while `work` runs: level and text of each line.
pub fn logged(work: impl FnOnce()) -> Vec<String> {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        log::set_logger(&Listener).expect("no other logger");
        log::set_max_level(LevelFilter::Trace);
    });
    LINES.set(Some(Vec::new()));
    work();
    LINES.take().unwrap_or_default()
}

/// How many of the lines have this level and this text in them.
pub fn count(lines: &[String], level: &str, text: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(level) && line.contains(text)).count()
}
