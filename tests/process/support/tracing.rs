//! The system calls of a host, as strace shows them.

use std::fs;
use std::path::PathBuf;

use virtual_card::stack::Stack;

use super::child::Child;

/// A system call that the library never makes. It stands before and after what is counted.
const MARK: &str = "getppid";

/// Runs `work` between two marks.
pub fn between_marks<T>(work: impl FnOnce() -> T) -> T {
    mark();
    let result = work();
    mark();
    result
}

fn mark() {
    // SAFETY: the call has no preconditions.
    unsafe { libc::getppid() };
}

/// A host under strace. Only the lines that begin with `counted` are counted.
pub struct TracedHost {
    child: Child,
    /// Goes with the stack.
    log: PathBuf,
}

impl TracedHost {
    /// Starts one on a stack.
    pub fn start(stack: &Stack) -> Self {
        let log = stack.directory().join("strace");
        let mut command = stack.command("strace");
        command.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(&log);
        command.arg(std::env::current_exe().expect("the program has a path"));
        Self { child: Child::spawn(command), log }
    }

    /// The host.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Ends the host, before its stack ends. Gives the names of the system calls of each line that
    /// was counted.
    pub fn system_calls(mut self) -> Vec<Vec<String>> {
        self.child.wait();
        let text = fs::read_to_string(&self.log).expect("strace writes a log");
        let calls: Vec<(&str, &str)> = text.lines().filter_map(call_of).collect();
        // The library starts no thread, and the host waits for the line: no other thread's calls
        // count.
        let thread = calls.iter().find(|(_, name)| *name == MARK).map(|(thread, _)| *thread);
        let own: Vec<_> = calls.iter().filter(|(at, _)| Some(*at) == thread).map(|(_, name)| *name).collect();
        let sections = own.split(|name| *name == MARK).skip(1).step_by(2);
        sections.map(|section| section.iter().map(|name| (*name).to_owned()).collect()).collect()
    }
}

/// The thread and the name of the call that a line of strace's is about. A call that is interrupted
/// by another thread's has two lines, of which the first counts.
fn call_of(line: &str) -> Option<(&str, &str)> {
    let (thread, call) = line.split_once(' ')?;
    let (name, _) = call.trim_start().split_once('(')?;
    name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_').then_some((thread, name))
}
