//! Processes with other rights than the test has: in namespaces of their own, or marked by the
//! kernel as having more rights than their user.

use std::env;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use virtual_card::stack::Stack;

/// Set in the environment of a program that [`become_secure`] is to run.
pub const SECURE: &str = "JPKI_TEST_SECURE";

/// Bytes of a number on the stack.
const WORD: usize = size_of::<usize>();

/// Whether the test runs as root.
pub fn is_root() -> bool {
    // SAFETY: the call has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

/// unshare(1) with these arguments, on a stack. Any other user than root is root in a new user
/// namespace, and is the only user there.
pub fn unshare(stack: &Stack, arguments: &[&str]) -> Command {
    let all = if is_root() { &[][..] } else { &["--user", "--map-root-user"] };
    let all: Vec<_> = all.iter().chain(arguments).collect();
    let tried = Command::new("unshare").args(&all).arg("true").stdin(Stdio::null()).output();
    let works = tried.as_ref().is_ok_and(|tried| tried.status.success());
    assert!(
        works,
        "this test needs unshare(1), and root or user namespaces for every user (see the settings \
         user.max_user_namespaces, kernel.unprivileged_userns_clone and \
         kernel.apparmor_restrict_unprivileged_userns): {tried:?}"
    );
    let mut command = stack.command("unshare");
    command.args(&all);
    command
}

/// Runs this program again, if [`SECURE`] is set, with AT_SECURE set as for a set-uid program
/// (getauxval(3)). That needs no rights and no file system that gives rights.
pub fn become_secure() {
    if env::var_os(SECURE).is_none() {
        return;
    }
    let mut command = Command::new(env::current_exe().expect("a path"));
    command.args(env::args_os().skip(1)).env_remove(SECURE);
    let prepare = || {
        // SAFETY: the call takes numbers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // SAFETY: the parent traces this process.
        if unsafe { libc::ptrace(libc::PTRACE_TRACEME) } == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    };
    // SAFETY: only system calls.
    unsafe { command.pre_exec(prepare) };
    let mut process = command.spawn().expect("it can be traced");
    let (pid, mut status) = (libc::pid_t::try_from(process.id()).expect("an id"), 0);
    // SAFETY: the status can be written. The process stops at its exec.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFSTOPPED(status), "stopped: {status:#x}");
    mark_secure(process.id());
    // SAFETY: the process is traced and stopped.
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0) }, 0, "detached");
    let status = process.wait().expect("a child");
    std::process::exit(status.code().unwrap_or(128 + status.signal().unwrap_or(0)));
}

/// Writes AT_SECURE to the stack of a process that has just begun.
fn mark_secure(pid: u32) {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // The fields after the name begin with the third; `startstack` is the 28th (proc(5)).
    let fields = status.rsplit(") ").next().expect("fields");
    let start: usize = fields.split(' ').nth(25).and_then(|text| text.parse().ok()).expect("a stack");
    let memory = File::options().read(true).write(true).open(format!("/proc/{pid}/mem"));
    let memory = memory.expect("it is traced");
    let place = |number: usize| u64::try_from(start + number * WORD).expect("an address");
    let word = |number: usize| {
        let mut bytes = [0; WORD];
        memory.read_exact_at(&mut bytes, place(number)).expect("the stack");
        usize::from_ne_bytes(bytes)
    };
    // The stack: the number of arguments, the arguments, NULL, the environment, NULL, pairs.
    let environment = word(0) + 2;
    let mut pair = (environment..).find(|number| word(*number) == 0).expect("the end") + 1;
    while word(pair) != usize::try_from(libc::AT_SECURE).expect("a small number") {
        assert_ne!(word(pair), 0, "the kernel tells AT_SECURE");
        pair += 2;
    }
    memory.write_all_at(&1_usize.to_ne_bytes(), place(pair + 1)).expect("the stack can be written");
}
