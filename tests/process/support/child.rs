//! The test's end of a process that plays a role.

use std::env;
use std::fs::{self, DirEntry};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use test_support::rng::{Rng, SEED};
use virtual_card::stack::Stack;

use super::TIMEOUT;
use super::role::{ANSWER, MARK, TEST};

/// What has to happen by itself happens within this time.
const SOON: Duration = Duration::from_secs(2);

/// A process that plays a role. Killed when dropped.
pub struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Child {
    /// A process on a stack.
    pub fn start(stack: &Stack) -> Self {
        Self::with(stack, |_| {})
    }

    /// As [`Child::start`], with something changed in how the process is started.
    pub fn with(stack: &Stack, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = stack.command(env::current_exe().expect("the program has a path"));
        change(&mut command);
        Self::spawn(command)
    }

    /// A PKCS#11 host on a stack that is logged in.
    pub fn logged_in(stack: &Stack, credentials: &[&str]) -> Self {
        let mut host = Self::start(stack);
        host.log_in(credentials);
        host
    }

    /// Starts a command whose program is this test program or a copy of it.
    pub fn spawn(mut command: Command) -> Self {
        command.args(["--exact", TEST, "--nocapture", "--test-threads=1"]);
        command
            .env(MARK, "1")
            .env(SEED, Rng::new().next().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = command.spawn().expect("the test program can be started");
        let (input, output) = (process.stdin.take(), process.stdout.take().expect("a pipe"));
        let (sender, answers) = channel();
        thread::spawn(move || {
            // The test harness prints on the same stream; an answer may follow on a line that it
            // began.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Some((_, answer)) = line.split_once(ANSWER) else { continue };
                if sender.send(answer.to_owned()).is_err() {
                    return;
                }
            }
        });
        Self { process, input, answers }
    }

    /// Initializes the library, opens sessions and logs in.
    pub fn log_in(&mut self, credentials: &[&str]) {
        self.expect("initialize", "CKR_OK");
        for credential in credentials {
            self.expect(&format!("open {credential}"), "CKR_OK");
            self.expect(&format!("login {credential}"), "CKR_OK");
        }
    }

    /// Says something without waiting for the answer.
    pub fn tell(&mut self, line: &str) {
        self.send(format!("{line}\n").as_bytes());
    }

    /// Sends bytes that are not a line.
    pub fn send(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("the process runs");
        input.write_all(bytes).and_then(|()| input.flush()).expect("the process listens");
    }

    /// Waits for an answer.
    pub fn answer(&self) -> String {
        self.answer_within(TIMEOUT).expect("the process answers")
    }

    /// Waits for an answer, not for long.
    pub fn answer_within(&self, time: Duration) -> Option<String> {
        self.answers.recv_timeout(time).ok()
    }

    /// Says something and waits for the answer.
    pub fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.answer()
    }

    /// Says something that must have this answer.
    pub fn expect(&mut self, line: &str, answer: &str) {
        assert_eq!(self.ask(line), answer, "{line}");
    }

    /// Says something again and again, until it has this answer.
    pub fn expect_soon(&mut self, line: &str, answer: &str) {
        let end = Instant::now() + SOON;
        while self.ask(line) != answer {
            assert!(Instant::now() < end, "{line} is never {answer}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Says several things that must be CKR_OK.
    pub fn expect_ok(&mut self, lines: &[&str]) {
        lines.iter().for_each(|line| self.expect(line, "CKR_OK"));
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The process id of its oldest fork.
    pub fn fork_pid(&mut self) -> u32 {
        u32::from_str_radix(&self.ask("fork-pid"), 2).expect("a process id in binary")
    }

    /// Stops all its threads until [`Child::resume`].
    pub fn stop(&self) {
        self.signal(libc::SIGSTOP);
        let threads = format!("/proc/{}/task", self.pid());
        let is_stopped = |entry: io::Result<DirEntry>| {
            let status = fs::read_to_string(entry?.path().join("stat"))?;
            io::Result::Ok(status.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
        };
        super::wait_until("it stops", || {
            // A thread that has just ended is none.
            let mut entries = fs::read_dir(&threads).expect("it runs");
            entries.all(|entry| is_stopped(entry).unwrap_or(true))
        });
    }

    /// Lets its threads go on.
    pub fn resume(&self) {
        self.signal(libc::SIGCONT);
    }

    /// SIGUSR1 to one of its threads.
    pub fn interrupt(&self, thread: libc::pid_t) {
        let [pid, thread, signal] =
            [libc::pid_t::try_from(self.pid()).expect("an id"), thread, libc::SIGUSR1];
        // SAFETY: the call takes numbers, and the child has not been reaped.
        assert_eq!(unsafe { libc::syscall(libc::SYS_tgkill, pid, thread, signal) }, 0);
    }

    fn signal(&self, signal: libc::c_int) {
        let pid = libc::pid_t::try_from(self.pid()).expect("an id");
        // SAFETY: the child has not been reaped, so the id is still the child's.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// kill -9, and waits until the process is gone.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Has it dump its core, and waits until that is done.
    pub fn abort(&mut self) {
        self.signal(libc::SIGABRT);
        let _ = self.process.wait();
    }

    /// Waits until the process has ended, and leaves its standard input open.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let end = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.process.try_wait().expect("it is a child") {
                return status;
            }
            assert!(Instant::now() < end, "the process goes on");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until the process has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        drop(self.input.take());
        self.process.wait().expect("it is a child")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Another program that is talked to in lines. Killed when dropped.
pub struct Dialogue {
    process: std::process::Child,
    output: BufReader<ChildStdout>,
}

impl Dialogue {
    /// Starts it and waits for its greeting.
    pub fn start(mut command: Command, is_last: impl Fn(&str) -> bool) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the program can be started");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut dialogue = Self { process, output };
        dialogue.read(is_last);
        dialogue
    }

    /// Says a line and returns the last one of the answer.
    pub fn ask(&mut self, line: &str, is_last: impl Fn(&str) -> bool) -> String {
        let input = self.process.stdin.as_mut().expect("a pipe");
        writeln!(input, "{line}").expect("the program listens");
        self.read(is_last)
    }

    fn read(&mut self, is_last: impl Fn(&str) -> bool) -> String {
        let mut lines = self.output.by_ref().lines().map_while(Result::ok);
        lines.find(|line| is_last(line)).expect("the program answers")
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
