//! What a child of a test understands: one line, one answer.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, io};

use super::argument::Argument;
use super::cancel::Cancellable;
use super::foreign::Foreign;
use super::host::{Host, Token};
use super::rights::become_secure;
use super::surroundings::surroundings;
use super::tracing;
use test_support::Rv;

/// Set in the environment of a child.
pub const MARK: &str = "JPKI_TEST_PROCESS";

/// The name of the test that a child runs.
pub const TEST: &str = "support::role::play";

/// Stands before each answer.
pub const ANSWER: char = '\u{1}';

/// How long the passwords are that are sent as secrets.
pub const SECRET_LENGTH: usize = 16;

/// How long the PINs of user authentication are.
pub const SECRET_DIGITS: usize = 4;

static HOST: OnceLock<Host> = OnceLock::new();

/// What goes on beside the line that is read.
#[derive(Default)]
struct Player {
    foreign: Option<Foreign>,
    threads: Vec<JoinHandle<String>>,
    children: Vec<Fork>,
    cancellable: Option<Cancellable>,
}

/// A fork of this process.
struct Fork {
    pid: libc::pid_t,
    answers: File,
}

/// What a child of a test does, until there are no more lines. Without a parent that has given it a
/// role, nothing is to be done.
#[test]
fn play() {
    if env::var_os(MARK).is_none() {
        return;
    }
    become_secure();
    let mut player = Player::default();
    while let Some(line) = read_line() {
        let said = player.run(&line);
        answer(&said);
    }
}

/// Gives an answer.
pub fn answer(text: &str) {
    let mut out = io::stdout();
    let written = writeln!(out, "{ANSWER}{text}").and_then(|()| out.flush());
    // The test is over, and its end of the pipe is closed.
    if written.is_err() {
        std::process::exit(1);
    }
}

/// Whether the next line has come.
fn told() -> bool {
    let mut input = libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure is given, and it is writable.
    unsafe { libc::poll(&raw mut input, 1, 0) != 0 }
}

/// Reads a line, and not a byte of what follows: that may be a secret.
fn read_line() -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        read_exactly(&mut byte)?;
        match byte {
            [b'\n'] => return Some(String::from_utf8(line).expect("text")),
            [byte] => line.push(byte),
        }
    }
}

/// Reads the PINs that follow a line. There is no other copy of them in this process.
fn read_secrets(words: &[&str]) -> Vec<Argument> {
    let (length, count) = match *words {
        ["login", _, "secret"] => (SECRET_LENGTH, 1),
        ["login", _, "four", "digits"] => (SECRET_DIGITS, 1),
        ["set-pin", _, "secret"] => (SECRET_LENGTH, 2),
        ["set-pin", _, "four", "digits"] => (SECRET_DIGITS, 2),
        _ => return Vec::new(),
    };
    let read = |_| {
        let mut secret = Argument::new(length);
        read_exactly(&mut secret).expect("a secret");
        secret
    };
    (0..count).map(read).collect()
}

fn read_exactly(room: &mut [u8]) -> Option<()> {
    let mut filled = 0;
    while filled < room.len() {
        let rest = &mut room[filled..];
        // SAFETY: the room is that long and writable.
        let count = unsafe { libc::read(0, rest.as_mut_ptr().cast(), rest.len()) };
        filled += usize::try_from(count).ok().filter(|count| *count > 0)?;
    }
    Some(())
}

fn host() -> &'static Host {
    HOST.get_or_init(Host::load)
}

impl Player {
    fn run(&mut self, line: &str) -> String {
        if let Some(rest) = line.strip_prefix("fork ") {
            self.children.push(fork(rest));
            return "forked".to_owned();
        }
        if let Some(rest) = line.strip_prefix("fork-as-first ") {
            // SAFETY: the call has no preconditions; the next child is process 1 of a new
            // namespace.
            if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
                return io::Error::last_os_error().to_string();
            }
            self.children.push(fork(rest));
            return "forked".to_owned();
        }
        if let Some(rest) = line.strip_prefix("cancellable ") {
            self.cancellable = Some(Cancellable::start(rest));
            return "started".to_owned();
        }
        if let Some(rest) = line.strip_prefix("spawn ") {
            let rest = rest.to_owned();
            // The bytes after the line belong to it, not to the next line.
            let secrets = read_secrets(&rest.split(' ').collect::<Vec<_>>());
            let work = move || call_with(&rest.split(' ').collect::<Vec<_>>(), secrets);
            self.threads.push(thread::spawn(work));
            return "spawned".to_owned();
        }
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["cancel"] => self.cancellable.as_ref().expect("started").cancel(),
            ["join", "cancelled"] => self.cancellable.take().expect("started").join(),
            ["join"] => self.threads.remove(0).join().expect("no panic"),
            ["join", "fork"] => self.children.remove(0).join(),
            ["fork-and-linger"] => {
                self.children.push(fork("linger"));
                "forked".to_owned()
            }
            ["fork-and-pause"] => {
                self.children.push(fork("pause"));
                "forked".to_owned()
            }
            // In binary, so that it looks like no PIN.
            ["fork-pid"] => format!("{:b}", self.children[0].pid),
            ["fork-end"] => {
                self.children.remove(0).end();
                "ended".to_owned()
            }
            ["counted", ref rest @ ..] => tracing::between_marks(|| call(rest)),
            // What NSS asks when it polls, in this order.
            ["counted-poll", token] => {
                let ask = |question| tracing::between_marks(|| call(&[question, token]));
                format!("{} {}", ask("slot-info"), ask("session-info"))
            }
            ["foreign", ref rest @ ..] => self.foreign.get_or_insert_with(Foreign::new).run(rest, told),
            _ => call(&words),
        }
    }
}

/// Forks; the child runs these lines and leaves by `exit`, as `ssh-agent` does.
fn fork(lines: &str) -> Fork {
    let mut ends = [0; 2];
    // SAFETY: there is room for two.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: no thread of this process holds a lock that the child needs.
    let pid = unsafe { libc::fork() };
    let [read, write] = ends.map(|end| {
        // SAFETY: the descriptor was opened above, and no other value owns it.
        unsafe { File::from_raw_fd(end) }
    });
    if pid == 0 {
        let said: Vec<_> = lines.split("; ").map(|line| call(&line.split(' ').collect::<Vec<_>>())).collect();
        let _ = (&write).write_all(said.join("; ").as_bytes());
        // SAFETY: the call has no preconditions.
        unsafe { libc::exit(0) };
    }
    assert!(pid > 0, "a fork");
    Fork { pid, answers: read }
}

impl Fork {
    /// Kills it.
    fn end(self) {
        // SAFETY: the child has not been reaped, so the id is still the child's.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        self.join();
    }

    /// What it said, once it has ended.
    fn join(mut self) -> String {
        let (mut said, mut status) = (String::new(), 0);
        self.answers.read_to_string(&mut said).expect("text");
        // SAFETY: the child is ours, and the status can be written.
        assert_eq!(unsafe { libc::waitpid(self.pid, &raw mut status, 0) }, self.pid);
        format!("{said} ({status})")
    }
}

/// Runs one line of a host.
pub fn call(words: &[&str]) -> String {
    call_with(words, read_secrets(words))
}

/// Runs one line of a host with the PINs that followed it.
fn call_with(words: &[&str], mut secrets: Vec<Argument>) -> String {
    let named = Token::named;
    let value = match *words {
        ["load"] => {
            host();
            return "loaded".to_owned();
        }
        ["initialize"] => host().initialize(),
        ["finalize"] => host().finalize(),
        ["info"] => host().info(),
        ["tokens"] => return counted(host().count(true)),
        ["slots"] => return counted(host().count(false)),
        ["token-info", token] => host().token_info(named(token)),
        // The authentication token of that reader.
        ["reader", number] => host().reader(number.parse().expect("a number")),
        ["login-at", slot, pin] => host().login_at(slot.parse().expect("a number"), pin.as_bytes()),
        ["wait"] => host().wait_for_slot_event(),
        ["open", token] => host().open(named(token)),
        ["close", token] => host().close(named(token)),
        ["close-all", token] => host().close_all(named(token)),
        ["poll", token, times] => host().poll(named(token), times.parse().expect("a number")),
        ["slot-info", token] => host().slot_info(named(token)),
        ["session-info", token] => host().session_info(named(token)),
        ["login", token] => host().login(named(token)),
        ["login", token, "secret"] | ["login", token, "four", "digits"] => {
            host().login_with(named(token), &mut secrets[0])
        }
        ["login", token, pin] => host().login_with(named(token), &mut pin.as_bytes().to_vec()),
        ["logout", token] => host().logout(named(token)),
        ["set-pin", token, "secret"] | ["set-pin", token, "four", "digits"] => {
            let (old, new) = secrets.split_at_mut(1);
            host().set_pin(named(token), &mut old[0], &mut new[0])
        }
        ["set-pin", token, old, new] => {
            let [mut old, mut new] = [old, new].map(|pin| pin.as_bytes().to_vec());
            host().set_pin(named(token), &mut old, &mut new)
        }
        ["sign", token] => host().sign(named(token)),
        ["read-objects", token] => host().read_objects(named(token)),
        ["sign-init", token] => host().begin_signing(named(token)),
        ["sign-final", token] => host().end_signing(named(token)),
        ["signs", token, count] => return sign_in_threads(token, "1", count),
        ["threads", token, threads, each] => return sign_in_threads(token, threads, each),
        ["sign-on"] => return sign_on(),
        ["sign-for", token, milliseconds] => {
            return sign_for(token, Duration::from_millis(milliseconds.parse().expect("a number")));
        }
        _ => return surroundings(words),
    };
    value.to_string()
}

fn counted((value, count): (Rv, usize)) -> String {
    format!("{value} {count}")
}

fn sign_in_threads(token: &str, threads: &str, each: &str) -> String {
    let number = |text: &str| text.parse().expect("a number");
    match host().sign_in_threads(Token::named(token), number(threads), number(each)) {
        Ok(count) => format!("CKR_OK {count}"),
        Err(value) => value.to_string(),
    }
}

/// Signs with both keys in turn until the next line, and tells how often.
fn sign_on() -> String {
    let mut count = 0;
    while !told() {
        for token in [Token::Authentication, Token::Signature] {
            match host().sign(token) {
                Rv::OK => count += 1,
                value => return format!("{value} after {count}"),
            }
        }
    }
    format!("CKR_OK {count}")
}

/// How long a program that signs finds out that others do so too.
const WARM_UP: Duration = Duration::from_secs(3);

/// Signs for this time after some seconds, and tells how often and in how many milliseconds most of
/// the signatures, 95 of a hundred, were made.
fn sign_for(token: &str, time: Duration) -> String {
    let (start, mut took) = (Instant::now(), Vec::new());
    while start.elapsed() < WARM_UP + time {
        let begin = Instant::now();
        match host().sign(Token::named(token)) {
            Rv::OK if start.elapsed() < WARM_UP => {}
            Rv::OK => took.push(begin.elapsed().as_millis()),
            value => return format!("{value} after {}", took.len()),
        }
    }
    took.sort_unstable();
    let most = took.get(took.len() * 95 / 100).or(took.last()).copied().unwrap_or_default();
    format!("CKR_OK {} {most}", took.len())
}
