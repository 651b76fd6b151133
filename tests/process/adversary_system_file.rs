//! A setting that protects is never dropped in silence: `/etc/jpki-pkcs11.toml` counts in every
//! program, beside the user's file.
//!
//! Each program sees an `/etc` and a `/run` of its own, in a mount namespace. The PC/SC service
//! stands where a program with more rights than its user looks for it. A test that root does not
//! run is root in a user namespace, where there is no other user; then the program gives up its
//! capabilities.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::child::Child;
use crate::support::rights::{SECURE, is_root, unshare};
use crate::support::{copy_executable, stack};
use test_support::library::Library;
use virtual_card::Credential;
use virtual_card::stack::Stack;

/// A user who may own programs.
const OTHER_USER: u32 = 65_533;

/// Mounts, and becomes a program with its arguments.
const SCRIPT: &str = "mount --bind \"$1\" /etc && mount -t tmpfs none /run && mkdir /run/pcscd && \
    ln -s \"$2\" /run/pcscd/pcscd.comm && shift 2 && exec \"$@\"";

/// Becomes a user without rights; and loses all capabilities where there is no other user.
const AS_NOBODY: [&str; 6] = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
const WITHOUT_CAPABILITIES: [&str; 6] =
    ["setpriv", "--securebits", "+noroot", "--inh-caps", "-all", "--bounding-set=-all"];

/// A copy of `/etc` with the system's configuration, for programs that are started over it.
struct SystemFile {
    stack: Stack,
    etc: PathBuf,
    program: PathBuf,
}

impl SystemFile {
    /// A stack, a copy of `/etc` with this file, and a copy of the test program that all may run.
    fn new(text: &str) -> Self {
        let stack = stack(true);
        fs::set_permissions(stack.directory(), Permissions::from_mode(0o755)).unwrap();
        let etc = stack.directory().join("etc");
        // Not every user may read all of it.
        let copied = Command::new("cp").arg("-a").arg("/etc").arg(&etc).output().unwrap();
        assert!(copied.status.success() || !is_root(), "{copied:?}");
        fs::write(etc.join("jpki-pkcs11.toml"), text).unwrap();
        fs::set_permissions(etc.join("jpki-pkcs11.toml"), Permissions::from_mode(0o644)).unwrap();
        let program = stack.directory().join("program");
        copy_executable(&std::env::current_exe().unwrap(), &program);
        fs::copy(Library::path(), stack.directory().join("libjpki_pkcs11.so")).unwrap();
        Self { stack, etc, program }
    }

    /// Starts the program as root of its namespace, or without rights.
    fn start(&self, has_rights: bool, change: impl FnOnce(&mut Command)) -> Child {
        let mut command = unshare(&self.stack, &["--mount"]);
        command.args(["sh", "-c", SCRIPT, "sh"]).arg(&self.etc).arg(self.stack.socket());
        if !has_rights {
            command.args(if is_root() { AS_NOBODY } else { WITHOUT_CAPABILITIES });
        }
        command.arg(&self.program);
        change(&mut command);
        Child::spawn(command)
    }

    /// Two wrong PINs cost a try each, and the third is held back.
    fn assert_one_try_is_kept(&self, host: &mut Child, what: &str) {
        let credential = Credential::Authentication;
        self.stack.card(0).set_tries_left(credential, 3);
        host.expect_ok(&["initialize", "open authentication"]);
        for (pin, answer) in
            [("1111", "CKR_PIN_INCORRECT"), ("2222", "CKR_PIN_INCORRECT"), ("3333", "CKR_PIN_LOCKED")]
        {
            assert_eq!(host.ask(&format!("login authentication {pin}")), answer, "{what}: {pin}");
        }
        assert_eq!(self.stack.card(0).tries_left(credential), 1, "{what}");
    }
}

const RESERVE: &str = "reserve_tries = 1\n";

#[test]
fn the_system_file_counts_for_a_user_whose_home_may_not_be_entered() {
    let system_file = SystemFile::new(RESERVE);
    let home = system_file.stack.directory().join("home");
    fs::create_dir(&home).unwrap();
    // Where there is no other user not even the owner may enter it.
    let mode = if is_root() { 0o700 } else { 0 };
    fs::set_permissions(&home, Permissions::from_mode(mode)).unwrap();
    let mut host = system_file.start(false, |command| {
        command.env("HOME", &home).env_remove("XDG_CONFIG_HOME");
    });
    system_file.assert_one_try_is_kept(&mut host, "a home that may not be entered");
    // So that it can be removed.
    fs::set_permissions(&home, Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn the_system_file_counts_in_a_program_with_more_rights_than_its_user() {
    let system_file = SystemFile::new(RESERVE);
    if is_root() {
        chown(&system_file.program, Some(OTHER_USER), None).unwrap();
        fs::set_permissions(&system_file.program, Permissions::from_mode(0o4755)).unwrap();
    }
    let mut host = system_file.start(false, |_| {});
    // There is no other user, or the file system gives no such rights.
    if host.ask("secure") != "1" {
        fs::set_permissions(&system_file.program, Permissions::from_mode(0o755)).unwrap();
        host = system_file.start(false, |command| {
            command.env(SECURE, "1");
        });
    }
    host.expect("secure", "1");
    system_file.assert_one_try_is_kept(&mut host, "set-uid");
}

fn user_file(system_file: &SystemFile, text: &str) -> PathBuf {
    let path: &Path = &system_file.stack.directory().join("user.toml");
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    path.to_owned()
}

#[test]
fn of_the_systems_value_and_the_users_the_stricter_one_holds() {
    for (system, user) in [(RESERVE, "reserve_tries = 0\n"), ("reserve_tries = 0\n", RESERVE), (RESERVE, "")]
    {
        let system_file = SystemFile::new(system);
        let file = user_file(&system_file, user);
        let mut host = system_file.start(true, |command| {
            command.env("JPKI_PKCS11_CONF", &file);
        });
        system_file.assert_one_try_is_kept(&mut host, &format!("{system} beside {user}"));
    }
}

#[test]
fn a_file_that_cannot_be_taken_keeps_one_try() {
    let system_file = SystemFile::new("# nothing\n");
    // The last one is a line that was added at the end of the file that is installed.
    for text in ["reserve_tries = \"one\"\n", "[[[", "[readers]\n[log]\nreserve_tries = 1\n"] {
        let file = user_file(&system_file, text);
        let mut host = system_file.start(true, |command| {
            command.env("JPKI_PKCS11_CONF", &file);
        });
        system_file.assert_one_try_is_kept(&mut host, text);
    }
}

/// What is named and not there may have reserved tries, and so may what a link in /etc leads to.
#[test]
fn a_file_that_is_missing_where_one_is_meant_keeps_one_try() {
    let system_file = SystemFile::new("# nothing\n");
    let nowhere = system_file.stack.directory().join("nowhere.toml");
    let mut host = system_file.start(true, |command| {
        command.env("JPKI_PKCS11_CONF", &nowhere);
    });
    system_file.assert_one_try_is_kept(&mut host, "named");
    fs::remove_file(system_file.etc.join("jpki-pkcs11.toml")).unwrap();
    std::os::unix::fs::symlink(&nowhere, system_file.etc.join("jpki-pkcs11.toml")).unwrap();
    let mut host = system_file.start(true, |_| {});
    system_file.assert_one_try_is_kept(&mut host, "linked");
}
