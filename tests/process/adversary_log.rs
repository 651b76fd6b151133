//! A log cannot stop, kill or block the host: at the level trace, with the signals as every program
//! begins with them.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::time::{Duration, Instant};

use crate::support::child::Child;
use crate::support::stack;
use virtual_card::Credential;
use virtual_card::stack::Stack;

/// Logs in with both PINs, signs, ends and begins again, as fast as without a log.
fn assert_works(host: &mut Child) {
    let start = Instant::now();
    for _ in 0..2 {
        host.log_in(&["authentication", "signature"]);
        host.expect_ok(&["sign authentication", "sign signature", "finalize"]);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
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
    assert_works(&mut host);
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
    assert_works(&mut host);
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
    assert_works(&mut host);
    assert_eq!(File::open(&log).unwrap().metadata().unwrap().len(), 1000);
    assert_no_try_was_lost(&stack);
}
