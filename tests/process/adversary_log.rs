//! A log cannot stop, kill or block the host: at the level trace, with the signals as every program
//! begins with them.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::ptr;
use std::time::{Duration, Instant};

use crate::support::child::Child;
use crate::support::stack;
use virtual_card::Credential;
use virtual_card::stack::Stack;

/// Logs in with both PINs, signs, ends and begins again. How long that takes.
fn work(host: &mut Child) -> Duration {
    let start = Instant::now();
    for _ in 0..2 {
        host.log_in(&["authentication", "signature"]);
        host.expect_ok(&["sign authentication", "sign signature", "finalize"]);
    }
    start.elapsed()
}

/// It works, and a log that nothing reads does not keep it waiting, on a busy machine either.
fn assert_works(stack: &Stack, host: &mut Child) {
    let without_log = work(&mut Child::start(stack));
    let took = work(host);
    let most = Duration::from_secs(10).max(3 * without_log);
    assert!(took < most, "{took:?}, without a log {without_log:?}");
}

fn assert_no_try_was_lost(stack: &Stack) {
    for (credential, tries) in [(Credential::Authentication, 3), (Credential::Signature, 5)] {
        assert_eq!(stack.card(0).tries_left(credential), tries);
    }
}

/// A pipe: the end to read from, and the end to write to.
fn pipe() -> [File; 2] {
    let mut ends = [0; 2];
    // SAFETY: there is room for two.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    ends.map(|end| {
        // SAFETY: the descriptor was opened above, and no other value owns it.
        unsafe { File::from_raw_fd(end) }
    })
}

/// Sets a descriptor's O_NONBLOCK.
fn set_blocking(file: &impl AsRawFd, blocking: bool) {
    let flags = if blocking { 0 } else { libc::O_NONBLOCK };
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags) }, 0);
}

/// A host that logs everything to this.
fn host(stack: &Stack, log: impl Into<std::process::Stdio>) -> Child {
    let mut host = Child::with(stack, |command| {
        command.env("JPKI_PKCS11_LOG", "trace").stderr(log);
    });
    host.expect("default-signals", "done");
    host
}

#[test]
fn a_full_pipe_that_is_never_read_stops_no_call() {
    let stack = stack(true);
    let [_reader, mut writer] = pipe();
    set_blocking(&writer, false);
    let full = loop {
        if let Err(error) = writer.write_all(b"\n") {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    set_blocking(&writer, true);
    let mut host = host(&stack, writer);
    assert_works(&stack, &mut host);
    assert_no_try_was_lost(&stack);
}

#[test]
fn a_reader_that_dies_kills_no_host() {
    let stack = stack(true);
    let [mut reader, writer] = pipe();
    let mut host = host(&stack, writer);
    host.log_in(&["authentication"]);
    // The pipe is in use.
    let mut bytes = [0; 4096];
    let count = reader.read(&mut bytes).unwrap();
    assert!(String::from_utf8_lossy(&bytes[..count]).contains("C_Initialize"));
    drop(reader);
    host.expect_ok(&["sign authentication", "finalize"]);
    assert_works(&stack, &mut host);
    assert_no_try_was_lost(&stack);
}

/// The two ends of a new terminal, which stops processes in the background that write to it.
fn terminal() -> [OwnedFd; 2] {
    let (mut master, mut slave) = (-1, -1);
    let none = ptr::null_mut();
    // SAFETY: both places are writable, and NULL is allowed for the others.
    assert_eq!(unsafe { libc::openpty(&raw mut master, &raw mut slave, none, none.cast(), none.cast()) }, 0);
    let ends = [master, slave].map(|end| {
        // SAFETY: the descriptor was opened above, and no other value owns it.
        unsafe { OwnedFd::from_raw_fd(end) }
    });
    let mut settings = MaybeUninit::<libc::termios>::uninit();
    // SAFETY: the place is writable.
    assert_eq!(unsafe { libc::tcgetattr(slave, settings.as_mut_ptr()) }, 0);
    // SAFETY: written by the call, which succeeded.
    let mut settings = unsafe { settings.assume_init() };
    settings.c_lflag |= libc::TOSTOP;
    // SAFETY: the settings are initialised.
    assert_eq!(unsafe { libc::tcsetattr(slave, libc::TCSANOW, &raw const settings) }, 0);
    ends
}

/// Makes this process one in the background of the terminal: another one is in the foreground.
fn go_to_background(terminal: libc::c_int) -> io::Result<()> {
    // SAFETY: between fork and exec, these calls are allowed, and take numbers.
    unsafe { libc::setsid() };
    // SAFETY: as above.
    unsafe { libc::ioctl(terminal, libc::TIOCSCTTY, 0) };
    // SAFETY: as above.
    let foreground = unsafe { libc::fork() };
    if foreground == 0 {
        // Among them is the pipe by which the parent waits for the exec.
        // SAFETY: as above.
        unsafe { libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0) };
        // SAFETY: as above.
        unsafe { libc::alarm(60) };
        // SAFETY: as above.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // SAFETY: as above.
        unsafe { libc::pause() };
    }
    // SAFETY: as above.
    unsafe { libc::setpgid(foreground, foreground) };
    // SAFETY: as above.
    match unsafe { libc::tcsetpgrp(terminal, foreground) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[test]
fn a_terminal_that_stops_background_processes_stops_no_host() {
    let stack = stack(true);
    let [master, slave] = terminal();
    let terminal = slave.as_raw_fd();
    let mut host = Child::with(&stack, |command| {
        command.env("JPKI_PKCS11_LOG", "trace").stderr(slave.try_clone().unwrap());
        // SAFETY: what runs there allocates nothing.
        unsafe { command.pre_exec(move || go_to_background(terminal)) };
    });
    host.expect("default-signals", "done");
    assert_works(&stack, &mut host);
    let mut bytes = [0; 4096];
    let count = File::from(master).read(&mut bytes).unwrap();
    assert!(String::from_utf8_lossy(&bytes[..count]).contains("C_Initialize"), "it does write there");
    assert_no_try_was_lost(&stack);
}

#[test]
fn a_log_file_at_its_limit_kills_no_host() {
    let stack = stack(true);
    let log = stack.directory().join("limited.log");
    let mut host = Child::with(&stack, |command| {
        command.env("JPKI_PKCS11_LOG", "trace").env("JPKI_PKCS11_LOG_FILE", &log);
    });
    host.expect("limit file-size 1000", "done");
    host.expect("default-signals", "done");
    assert_works(&stack, &mut host);
    assert_eq!(File::open(&log).unwrap().metadata().unwrap().len(), 1000);
    assert_no_try_was_lost(&stack);
}
