//! Children of a fork, and what the kernel knows of this process.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Exited(i32),
    Killed(i32),
}

/// A mapping of this process.
#[derive(Debug, Clone)]
pub struct Mapping {
    pub start: usize,
    pub length: usize,
    /// The kernel's two-letter flags: `wf` is wiped on fork, `dd` is not dumped, `lo` is locked.
    pub flags: Vec<String>,
}

/// A child that takes longer hangs: what it does takes milliseconds, on a busy machine ten times
/// that.
const TIMEOUT: libc::c_uint = 10;

/// Runs `work` in a forked child, which has this thread only, and waits for it. The child fails
/// when `work` panics, and is killed by SIGALRM when it hangs.
pub fn in_child(work: impl FnOnce()) -> End {
    // SAFETY: the child goes on with one thread; what it touches of locks that others may hold is
    // what is tested.
    let child = unsafe { libc::fork() };
    assert_ne!(child, -1, "no fork");
    if child == 0 {
        // SAFETY: no preconditions.
        unsafe { libc::alarm(TIMEOUT) };
        let code = if catch_unwind(AssertUnwindSafe(work)).is_ok() { 0 } else { 101 };
        // SAFETY: no preconditions; what the test program has to do at its end is its parent's.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: the child is this process's, and the place is writable.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if libc::WIFEXITED(status) {
        End::Exited(libc::WEXITSTATUS(status))
    } else {
        End::Killed(libc::WTERMSIG(status))
    }
}

/// Ends this process as `main` does when it returns: with everything that was registered for the
/// end.
pub fn exit() -> ! {
    // SAFETY: no other thread of the child runs.
    unsafe { libc::exit(0) }
}

/// How many files this process has open.
pub fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// How many mappings it has.
pub fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

/// How many threads it has.
pub fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// The most memory it has ever used, in KiB.
pub fn peak_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

/// The mappings that a fork wipes.
pub fn wiped_on_fork() -> Vec<Mapping> {
    let text = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut found = Vec::new();
    let mut range = (0, 0);
    for line in text.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            let flags: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
            if flags.iter().any(|flag| flag == "wf") {
                found.push(Mapping { start: range.0, length: range.1 - range.0, flags });
            }
        } else if let Some((start, end)) = line.split(' ').next().and_then(|word| word.split_once('-')) {
            let number = |text| usize::from_str_radix(text, 16);
            if let (Ok(start), Ok(end)) = (number(start), number(end)) {
                range = (start, end);
            }
        }
    }
    found
}

/// Bytes of a page for a secret.
const PAGE: usize = 4096;

impl Mapping {
    /// Its pages: the kernel makes one mapping of neighbours.
    pub fn pages(&self) -> Vec<Self> {
        let starts = (self.start..self.start + self.length).step_by(PAGE);
        starts.map(|start| Self { start, length: PAGE, flags: self.flags.clone() }).collect()
    }

    /// Its bytes as they are now.
    pub fn read(&self) -> Vec<u8> {
        let place = std::ptr::with_exposed_provenance::<u8>(self.start);
        // SAFETY: the kernel listed it a moment ago, and who owns it waits.
        unsafe { std::slice::from_raw_parts(place, self.length) }.to_vec()
    }
}
