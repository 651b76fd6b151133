//! Hosts in odd surroundings: without memory to lock, descriptors or a standard error stream, with
//! a configuration that is nonsense, with rights that its user does not have; and what the log
//! never says.

mod log;

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, io};

use crate::support::child::Child;
use crate::support::memory::{self, Canary};
use crate::support::{copy_executable, stack};
use test_support::library::Library;
use virtual_card::Credential;
use virtual_card::stack::Stack;

/// A user without rights.
const NOBODY: u32 = 65_534;
/// Another user.
const OTHER_USER: u32 = 65_533;

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A copy of this program, beside a copy of the library, in a directory that every user may enter
/// and write to.
fn copy_program(stack: &Stack) -> PathBuf {
    fs::set_permissions(stack.directory(), Permissions::from_mode(0o755)).unwrap();
    let directory = stack.directory().join("open");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o777)).unwrap();
    let program = directory.join("program");
    copy_executable(&env::current_exe().unwrap(), &program);
    fs::copy(Library::path(), directory.join("libjpki_pkcs11.so")).unwrap();
    program
}

/// A process without rights: as root, of another user; else an ordinary one.
fn powerless(stack: &Stack, change: impl FnOnce(&mut Command)) -> Child {
    let mut command = if is_root() {
        let mut command = stack.command(copy_program(stack));
        command.uid(NOBODY).gid(NOBODY);
        command
    } else {
        stack.command(env::current_exe().unwrap())
    };
    change(&mut command);
    Child::spawn(command)
}

/// Logs in with both PINs and signs.
fn assert_works(host: &mut Child) {
    host.log_in(&["authentication", "signature"]);
    host.expect_ok(&["sign authentication", "sign signature"]);
}

fn assert_no_try_was_lost(stack: &Stack) {
    for (credential, tries) in [(Credential::Authentication, 3), (Credential::Signature, 5)] {
        assert_eq!(stack.card(0).tries_left(credential), tries);
    }
}

// --- limits

#[test]
fn a_host_that_may_lock_no_memory_can_sign() {
    let (stack, canary) = (stack(true), Canary::new());
    stack.card(0).set_pin(Credential::Signature, canary.text());
    let mut host = powerless(&stack, |_| {});
    host.expect("limit locked-memory 0", "done");
    host.expect_ok(&["initialize", "open signature"]);
    host.tell("login signature secret");
    host.send(canary.bytes());
    assert_eq!(host.answer(), "CKR_OK");
    host.expect("sign signature", "CKR_OK");
    let page = memory::only_page(&canary.find_in_process(host.pid()));
    let flags = memory::flags(host.pid(), page);
    let has = |flag: &str| flags.iter().any(|own| own == flag);
    assert!(!has("lo") && has("dd") && has("wf"), "{flags:?}");
}

#[test]
fn a_host_that_runs_out_of_descriptors_gets_answers_and_recovers() {
    let stack = stack(true);
    let mut host = Child::start(&stack);
    host.expect("load", "loaded");
    // libpcsclite 2.3 loads its greater half at its first use, and if that fails it stays useless.
    assert_works(&mut host);
    host.expect("finalize", "CKR_OK");
    for count in 3..20 {
        host.expect(&format!("limit descriptors {count}"), "done");
        host.expect("initialize", "CKR_OK");
        for question in ["tokens", "open signature", "login signature", "sign signature", "finalize"] {
            let answer = host.ask(question);
            assert!(answer.starts_with("CKR_"), "{question}: {answer}");
        }
        host.expect("limit descriptors 256", "done");
        assert_works(&mut host);
        host.expect("finalize", "CKR_OK");
    }
    assert_no_try_was_lost(&stack);
}

#[test]
fn what_took_the_number_of_standard_error_is_never_written_to() {
    let stack = stack(true);
    let file = stack.directory().join("precious");
    fs::write(&file, "precious").unwrap();
    let traced = |command: &mut Command| {
        command.env("JPKI_PKCS11_LOG", "trace");
    };
    let mut host = Child::with(&stack, traced);
    host.expect("close-descriptor 2", "done");
    host.expect(&format!("open-descriptor {}", file.display()), "2");
    assert_works(&mut host);
    host.expect("finalize", "CKR_OK");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");

    // No file took it: it goes to the connection to the PC/SC service.
    let mut host = Child::with(&stack, traced);
    host.expect("close-descriptor 2", "done");
    assert_works(&mut host);
    host.expect("finalize", "CKR_OK");

    // It is closed and taken while the module is at work.
    let log = File::create(stack.directory().join("log")).unwrap();
    let mut host = Child::with(&stack, |command| {
        traced(command);
        command.stderr(log);
    });
    host.expect("initialize", "CKR_OK");
    host.expect("close-descriptor 2", "done");
    host.expect(&format!("open-descriptor {}", file.display()), "2");
    host.expect_ok(&["open signature", "login signature", "sign signature"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

// --- the configuration

/// What a configuration says that one of the two tokens shows whether it was heard.
const ONE_TOKEN: &str = "slots = \"authentication\"\n";

/// Starts a host with this configuration and asks how many tokens there are, and what the log says.
fn tokens_with(
    stack: &Stack,
    configuration: &Path,
    start: impl FnOnce(Command) -> Child,
) -> (String, String) {
    let log = stack.directory().join("configuration.log");
    let mut command = stack.command(env::current_exe().unwrap());
    command.env("JPKI_PKCS11_CONF", configuration).env("JPKI_PKCS11_LOG", "warn");
    command.stderr(File::create(&log).unwrap());
    let mut host = start(command);
    // A busy machine may take long to start the process: only the call is timed.
    host.expect("load", "loaded");
    let start = Instant::now();
    host.expect("initialize", "CKR_OK");
    assert!(start.elapsed() < Duration::from_secs(2), "{configuration:?}: {:?}", start.elapsed());
    let tokens = host.ask("tokens");
    host.expect("finalize", "CKR_OK");
    (tokens, fs::read_to_string(log).unwrap())
}

fn make_fifo(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is a string.
    if unsafe { libc::mkfifo(path.as_ptr(), 0o600) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn write_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::write(path, ONE_TOKEN)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Makes something bad at a path.
type Make = fn(&Path) -> io::Result<()>;

#[test]
fn a_bad_configuration_is_one_line_in_the_log_and_changes_nothing() {
    let stack = stack(true);
    let file = stack.directory().join("good.toml");
    write_mode(&file, 0o644).unwrap();
    assert_eq!(tokens_with(&stack, &file, Child::spawn), ("CKR_OK 1".to_owned(), String::new()));
    let mut bad: Vec<(&str, Make)> = vec![
        ("syntax", |path| fs::write(path, format!("{ONE_TOKEN}[[["))),
        ("not text", |path| fs::write(path, [ONE_TOKEN.as_bytes(), b"# \xff\n"].concat())),
        ("huge", |path| {
            fs::write(path, ONE_TOKEN).and_then(|()| File::options().write(true).open(path)?.set_len(1 << 30))
        }),
        ("fifo", make_fifo),
        ("directory", |path| fs::create_dir(path)),
        ("endless", |path| symlink("/dev/zero", path)),
        ("world", |path| write_mode(path, 0o646)),
    ];
    if is_root() {
        bad.push(("group", |path| {
            write_mode(path, 0o664)?;
            chown(path, None, Some(OTHER_USER))?;
            fs::set_permissions(path, Permissions::from_mode(0o664))
        }));
        bad.push(("owner", |path| {
            write_mode(path, 0o644).and_then(|()| chown(path, Some(OTHER_USER), None))
        }));
    }
    for (name, make) in bad {
        let path = stack.directory().join(format!("{name}.toml"));
        make(&path).unwrap();
        let (tokens, log) = tokens_with(&stack, &path, Child::spawn);
        assert_eq!(tokens, "CKR_OK 2", "{name}");
        assert_eq!(log.lines().count(), 1, "{name}: {log}");
        assert!(log.contains(&*path.to_string_lossy()), "{name}: {log}");
    }
}

/// Many systems give each user a group of its own, and a umask that lets that group write.
#[test]
fn rule_10_a_configuration_that_a_group_may_write_is_taken_if_the_group_is_its_owners_alone() {
    let (user, group) = fs::metadata("/proc/self").map(|own| (own.uid(), own.gid())).unwrap();
    let lines = |path| fs::read_to_string(path).unwrap();
    let field = |line: &str, number| line.split(':').nth(number).unwrap_or_default().to_owned();
    let (users, groups) = (lines("/etc/passwd"), lines("/etc/group"));
    let shared =
        users.lines().any(|line| field(line, 3) == group.to_string() && field(line, 2) != user.to_string())
            || groups.lines().any(|line| field(line, 2) == group.to_string() && !field(line, 3).is_empty());
    let stack = stack(true);
    let file = stack.directory().join("group.toml");
    write_mode(&file, 0o664).unwrap();
    let (tokens, log) = tokens_with(&stack, &file, Child::spawn);
    if user == group && !shared {
        assert_eq!((tokens.as_str(), log.as_str()), ("CKR_OK 1", ""));
    } else {
        assert_eq!(tokens, "CKR_OK 2");
        assert!(log.lines().count() == 1 && log.contains("writable by others"), "{log}");
    }
}

#[test]
fn a_configuration_that_may_not_be_read_is_one_line_in_the_log() {
    let stack = stack(true);
    let path = stack.directory().join("secret.toml");
    write_mode(&path, 0o000).unwrap();
    let (tokens, log) = tokens_with(&stack, &path, |command| {
        powerless(&stack, |other| {
            command.get_envs().for_each(|(name, value)| {
                other.env(name, value.unwrap());
            });
            other.stderr(File::create(stack.directory().join("configuration.log")).unwrap());
        })
    });
    assert_eq!(tokens, "CKR_OK 2");
    assert!(log.lines().count() == 1 && log.contains("secret.toml"), "{log}");
}

// --- rights that the user does not have

/// CAP_NET_RAW as a file capability, permitted and effective (capabilities(7), linux/capability.h).
const CAPABILITY: [u8; 20] = {
    let mut data = [0; 20];
    data[0] = 1;
    data[3] = 2;
    data[5] = 0x20;
    data
};

fn give_capability(program: &Path) -> io::Result<()> {
    let path = CString::new(program.as_os_str().as_bytes()).unwrap();
    let (name, value) = (c"security.capability", CAPABILITY.as_ptr().cast());
    // SAFETY: both strings end, and the value has that many bytes.
    let result = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value, CAPABILITY.len(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn give_user(program: &Path) -> io::Result<()> {
    chown(program, Some(OTHER_USER), None)?;
    fs::set_permissions(program, Permissions::from_mode(0o4755))
}

#[test]
fn a_host_with_more_rights_than_its_user_takes_nothing_from_the_environment() {
    if !is_root() {
        println!("skipped: only root can give a program more rights than its user has");
        return;
    }
    let stack = stack(true);
    let program = copy_program(&stack);
    let open = program.parent().unwrap().to_path_buf();
    let configured = open.join("log-of-the-configuration");
    let text = format!("{ONE_TOKEN}[log]\nlevel = \"trace\"\nfile = \"{}\"\n", configured.display());
    for file in ["named.toml", "jpki-pkcs11.toml"] {
        fs::write(open.join(file), &text).unwrap();
        fs::set_permissions(open.join(file), Permissions::from_mode(0o644)).unwrap();
    }
    let named = open.join("log-of-the-variable");
    let hostile = |variables: &[(&str, &Path)]| {
        let mut command = stack.command(&program);
        command.uid(NOBODY).gid(NOBODY);
        command.envs(variables.iter().copied());
        Child::spawn(command)
    };
    let trace = Path::new("trace");
    let conf = open.join("named.toml");
    let environments: [&[(&str, &Path)]; 4] = [
        &[("JPKI_PKCS11_LOG", trace), ("JPKI_PKCS11_LOG_FILE", &named)],
        &[("JPKI_PKCS11_CONF", &conf)],
        &[("XDG_CONFIG_HOME", &open)],
        &[("RUST_LOG", trace), ("HOME", &open), ("JPKI_PKCS11_LOG", trace), ("JPKI_PKCS11_LOG_FILE", &named)],
    ];
    let mut secure = 0;
    let rights: [(&str, Make); 3] =
        [("none", |_| Ok(())), ("capability", give_capability), ("user", give_user)];
    for (right, give) in rights {
        give(&program).unwrap();
        for environment in environments {
            // root owns the files, as the attacker could not arrange, so that only the rule at test
            // keeps them out.
            let mut host = hostile(environment);
            let is_secure = host.ask("secure") == "1";
            secure += usize::from(is_secure);
            // Without a word to the PC/SC service: a secure process would go to the one of the
            // system.
            host.expect("initialize", "CKR_OK");
            host.expect("info", "CKR_OK");
            host.expect("finalize", "CKR_OK");
            let written = [&configured, &named].map(|log| fs::remove_file(log).is_ok());
            assert_eq!(written.contains(&true), !is_secure, "{right}: {environment:?}");
        }
    }
    println!("{secure} of {} cases ran with more rights than their user has", 2 * environments.len());
    if secure < 2 * environments.len() {
        println!("skipped: the others, as the file system of {} gives no such rights", open.display());
    }
}
