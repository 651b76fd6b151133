//! A terminal of a test's own (pty(7)), and a program at it.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Anything that takes so long is broken.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A program at a terminal.
pub struct AtTerminal {
    master: File,
    child: Child,
    seen: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    /// How much of what was seen the test has looked at.
    looked_at: usize,
}

impl AtTerminal {
    /// Starts a program with a terminal for its input and its output.
    pub fn start(mut command: Command) -> Self {
        let master = open_master();
        let slave = OpenOptions::new().read(true).write(true).open(slave_of(&master)).expect("a terminal");
        let copy = || slave.try_clone().expect("a descriptor");
        command.stdin(copy()).stdout(copy()).stderr(copy());
        let at_terminal = || new_session().and_then(|()| take_terminal());
        // SAFETY: the calls may be made between fork and exec.
        unsafe { command.pre_exec(at_terminal) };
        let child = command.spawn().expect("the command runs");
        let seen = Arc::new(Mutex::new(String::new()));
        let (mut from, to) = (master.try_clone().expect("a descriptor"), seen.clone());
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut part = [0; 4096];
            loop {
                match from.read(&mut part) {
                    Ok(0) => return,
                    Ok(count) => bytes.extend_from_slice(&part[..count]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // The last program at the terminal has gone.
                    Err(_) => return,
                }
                *to.lock().unwrap() = String::from_utf8_lossy(&bytes).into_owned();
            }
        });
        Self { master, child, seen, reader: Some(reader), looked_at: 0 }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the program has printed this, after what was waited for before.
    pub fn wait_for(&mut self, text: &str) {
        let start = Instant::now();
        loop {
            let seen = self.seen.lock().unwrap().clone();
            if let Some(at) = seen[self.looked_at..].find(text) {
                self.looked_at += at + text.len();
                return;
            }
            assert!(start.elapsed() < TIMEOUT, "no {text:?} in {seen:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for a prompt, and types this and the Enter key.
    pub fn answer(&mut self, prompt: &str, text: &str) {
        self.wait_for(prompt);
        self.type_keys(&format!("{text}\r"));
    }

    /// Types keys.
    pub fn type_keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("the terminal is there");
    }

    /// Whether the terminal shows what is typed.
    pub fn has_echo(&self) -> bool {
        self.mode().c_lflag & libc::ECHO != 0
    }

    fn mode(&self) -> libc::termios {
        // SAFETY: zeros are a value of the type.
        let mut mode: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open, and the place is writable.
        assert_eq!(unsafe { libc::tcgetattr(self.master.as_raw_fd(), &raw mut mode) }, 0);
        mode
    }

    /// Waits for the end: what was seen, and the exit status.
    pub fn finish(mut self) -> (String, i32) {
        let status = self.child.wait().expect("the command ends");
        self.reader.take().unwrap().join().expect("no panic");
        let seen = self.seen.lock().unwrap().clone();
        (seen, status.code().expect("no signal"))
    }
}

impl Drop for AtTerminal {
    fn drop(&mut self) {
        // A test that failed leaves no program behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Leaves the terminal of this process, if there is one. May be called between fork and exec.
pub fn new_session() -> io::Result<()> {
    // SAFETY: no preconditions.
    let session = unsafe { libc::setsid() };
    if session == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes the terminal of standard input that of the session.
fn take_terminal() -> io::Result<()> {
    // SAFETY: the call takes a number.
    let result = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn open_master() -> File {
    // SAFETY: no preconditions.
    let master = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
    assert_ne!(master, -1, "no terminal");
    // SAFETY: the descriptor is open and nothing else has it.
    let file = unsafe { File::from_raw_fd(master) };
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::grantpt(master) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::unlockpt(master) }, 0);
    file
}

fn slave_of(master: &File) -> std::path::PathBuf {
    let mut name = [0; 64];
    // SAFETY: the descriptor is open, and the place has the length that is given.
    assert_eq!(unsafe { libc::ptsname_r(master.as_raw_fd(), name.as_mut_ptr(), name.len()) }, 0);
    // SAFETY: the call has written a string.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    std::ffi::OsStr::from_bytes(name.to_bytes()).into()
}
