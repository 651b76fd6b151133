//! The program: a stack in the foreground, its control socket, and an end that leaves nothing
//! behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use crate::programs::opensc_module;

const PROGRAM: &str = env!("CARGO_BIN_EXE_virtual-card");

/// Ends when its standard input is dropped, should the test fail before.
struct Running(Child, Option<ChildStdin>);

impl Running {
    fn start(directory: &Path, options: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["stack", "--until-eof", "--dir"]).arg(directory).args(options);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let input = child.stdin.take();
        Self(child, input)
    }

    fn end(mut self) {
        drop(self.1.take());
        assert!(self.0.wait().unwrap().success());
    }
}

fn control(directory: &Path, command: &str) -> Result<String, String> {
    let words = command.split(' ');
    let Output { status, stdout, stderr } =
        Command::new(PROGRAM).arg("control").arg(directory).args(words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
    if status.success() { Ok(text(stdout)) } else { Err(text(stderr)) }
}

fn pkcs11_tool(directory: &Path, arguments: &[&str]) -> Output {
    let script = r#". "$0/env"; exec pkcs11-tool --module "$@""#;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).arg(directory).arg(opensc_module()).args(arguments).output().unwrap()
}

#[test]
fn a_shell_finds_the_card_through_env_and_asks_the_control_socket() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path();
    let running = Running::start(directory, &["--profile", "full", "--profile", "none"]);
    let mark = control(directory, "mark").unwrap();
    let wrong = pkcs11_tool(directory, &["--login", "--slot-index", "0", "--pin", "9999", "-O"]);
    assert!(!wrong.status.success(), "{wrong:?}");
    assert_eq!(control(directory, "tries auth").unwrap(), "2");
    assert_eq!(control(directory, &format!("count failed-verifies auth since {mark}")).unwrap(), "1");
    assert_eq!(control(directory, "count failed-verifies sign").unwrap(), "0");
    assert_eq!(control(directory, "count tries-lost auth").unwrap(), "1");
    assert_eq!(control(directory, "count removals").unwrap(), "0");
    assert!(control(directory, "ledger").unwrap().contains("authentication PIN: Wrong"));
    assert!(control(directory, "@1 tries auth").unwrap_err().contains("no card"));
    running.end();
    let mut left: Vec<_> = directory.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["pcscd.log"]);
}

#[test]
fn cards_come_and_go_and_faults_are_scripted_by_control() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path();
    let running = Running::start(directory, &["--seed", "1"]);
    control(directory, "set-tries auth 2").unwrap();
    control(directory, "remove").unwrap();
    control(directory, "insert").unwrap();
    assert_eq!(control(directory, "tries auth").unwrap(), "2", "the same card");
    for command in [
        "remove",
        "insert under-15",
        "@0 set-tries auth 1",
        "fault at 1 after times 2 answer 6F00",
        "fault on 2A select D3921000310001010100",
        "fault at 9 mute",
        "fault at 9 leave 700",
        "latency 0 5",
        "clear-faults",
        "warm-reset",
        "power-off",
        "kill-pcscd",
        "restart-pcscd",
    ] {
        control(directory, command).unwrap_or_else(|error| panic!("{command}: {error}"));
    }
    assert_eq!(control(directory, "profile").unwrap(), "under-15");
    assert_eq!(control(directory, "tries auth").unwrap(), "1");
    assert_eq!(control(directory, "faults").unwrap(), "0");
    control(directory, "profile full+isd=6A82+extended-length=mute").unwrap();
    assert_eq!(control(directory, "describe").unwrap(), "full+extended-length=mute+isd=6A82");
    control(directory, "leave-verified").unwrap();
    assert_eq!(control(directory, "verified sign").unwrap(), "true");
    assert!(control(directory, "traits").unwrap().contains("end-of-file"));
    control(directory, "insert draw-17").unwrap();
    let pem = directory.join("pem");
    control(directory, &format!("certificates {}", pem.display())).unwrap();
    assert!(pem.join("signature-ca.pem").is_file());
    for wrong in
        ["dance", "tries thumb", "fault at 1", "fault on 2 remove", "mark twice", "@7 mark", "insert x"]
    {
        assert!(control(directory, wrong).is_err(), "{wrong}");
    }
    running.end();
    assert!(control(directory, "ping").is_err());
}

#[test]
fn a_signal_ends_it_and_its_daemon() {
    let temporary = tempfile::tempdir().unwrap();
    let mut running = Running::start(temporary.path(), &[]);
    // The shell's own: a small system has no program of this name.
    let signal = format!("kill -TERM {}", running.0.id());
    assert!(Command::new("sh").args(["-c", &signal]).status().unwrap().success());
    assert!(running.0.wait().unwrap().success());
    assert!(!temporary.path().join("pcscd.comm").exists());
}
