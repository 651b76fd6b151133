//! What the module writes to its log, thread by thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Once;

use log::{LevelFilter, Log, Metadata, Record};

/// What a test does with a line: level and text.
type Listener = Box<dyn FnMut(String)>;

thread_local! {
    /// `None` while no test listens on this thread.
    static LISTENER: RefCell<Option<Listener>> = const { RefCell::new(None) };
}

struct ThreadLog;

impl Log for ThreadLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        LISTENER.with_borrow(Option::is_some)
    }

    fn log(&self, record: &Record<'_>) {
        LISTENER.with_borrow_mut(|listener| {
            if let Some(listener) = listener {
                listener(format!("{} {}", record.level(), record.args()));
            }
        });
    }

    fn flush(&self) {}
}

/// Runs `work`, and `listener` at each line that it logs on this thread. The work waits meanwhile.
pub fn listened<T>(listener: impl FnMut(String) + 'static, work: impl FnOnce() -> T) -> T {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        log::set_logger(&ThreadLog).expect("no other logger");
        log::set_max_level(LevelFilter::Trace);
    });
    LISTENER.set(Some(Box::new(listener)));
    let result = work();
    LISTENER.set(None);
    result
}

/// What is logged on this thread while `work` runs: level and text of each line.
pub fn logged(work: impl FnOnce()) -> Vec<String> {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let listener = {
        let lines = lines.clone();
        move |line| lines.borrow_mut().push(line)
    };
    listened(listener, work);
    lines.take()
}

/// How many of the lines have this level and this text in them.
pub fn count(lines: &[String], level: &str, text: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(level) && line.contains(text)).count()
}
