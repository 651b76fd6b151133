//! The log: what is in it, where it goes, and what it cannot do to the host.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use virtual_card::Credential;
use virtual_card::stack::Stack;

use super::{OTHER_USER, assert_no_try_was_lost, assert_works, is_root, make_fifo, tokens_with};
use crate::support::child::Child;
use crate::support::memory::Canary;
use crate::support::stack;

/// Everything with PINs that a host can do, right and wrong.
fn use_pins(stack: &Stack, host: &mut Child) -> [Canary; 4] {
    let canaries = [(); 4].map(|()| Canary::new());
    let [first, wrong, second, digits] = &canaries;
    stack.card(0).set_pin(Credential::Signature, first.text());
    host.expect_ok(&["initialize", "open signature", "open authentication"]);
    let login = |host: &mut Child, line: &str, canaries: &[&Canary]| {
        host.tell(line);
        canaries.iter().for_each(|canary| host.send(canary.bytes()));
        host.answer()
    };
    assert_eq!(login(host, "login signature secret", &[wrong]), "CKR_PIN_INCORRECT");
    assert_eq!(login(host, "login signature secret", &[wrong]), "CKR_FUNCTION_CANCELED");
    // Malformed for this one: not even sent.
    assert_eq!(login(host, "login authentication secret", &[digits]), "CKR_PIN_INCORRECT");
    assert_eq!(login(host, "login signature secret", &[first]), "CKR_OK");
    assert_eq!(login(host, "set-pin signature secret", &[first, second]), "CKR_OK");
    host.expect_ok(&["login authentication", "sign signature", "sign authentication", "logout signature"]);
    assert_eq!(login(host, "login signature secret", &[second]), "CKR_OK");
    host.expect("sign signature", "CKR_OK");
    host.expect("finalize", "CKR_OK");
    canaries
}

/// Whether a text has one of the PINs in it, as text or in hexadecimal digits.
fn assert_has_no_pin(text: &str, canaries: &[Canary]) {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase();
    for canary in canaries {
        assert_eq!(canary.find_in(text.as_bytes()), []);
        let hexadecimal: String = canary.bytes()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!digits.contains(&hexadecimal));
    }
    // VERIFY and CHANGE REFERENCE DATA, of which the header alone is told, and the query for the
    // tries left.
    let mut commands = 0;
    for line in text.lines() {
        let Some((_, command)) = line.split_once(" trace 00 2") else { continue };
        let Some(rest) = command.strip_prefix("0 ").or_else(|| command.strip_prefix("4 ")) else { continue };
        commands += 1;
        let told = rest.split(" -> ").next().unwrap();
        let header: Vec<_> = told.strip_suffix(" and a secret").unwrap_or(told).split(' ').collect();
        assert!(header.len() == 2 && header.iter().all(|byte| byte.len() == 2), "{line}");
    }
    assert!(commands >= 5, "the log tells of the commands: {commands}");
    assert!(!text.contains("1234\n") && !digits.contains("0431323334"));
}

#[test]
fn rule_12_no_log_has_a_pin_or_its_length_in_it() {
    let stack = stack(true);
    let (log, err) = (stack.directory().join("trace.log"), stack.directory().join("standard-error"));
    let mut host = Child::with(&stack, |command| {
        command.env("JPKI_PKCS11_LOG", "trace").env("JPKI_PKCS11_LOG_FILE", &log);
        command.stderr(File::create(&err).unwrap());
    });
    let canaries = use_pins(&stack, &mut host);
    assert_has_no_pin(&fs::read_to_string(&log).unwrap(), &canaries);
    assert_eq!(fs::read_to_string(&err).unwrap(), "", "what goes to a file goes nowhere else");
    assert_eq!(fs::metadata(&log).unwrap().mode() & 0o777, 0o600);

    let mut host = Child::with(&stack, |command| {
        command.env("JPKI_PKCS11_LOG", "trace").stderr(File::create(&err).unwrap());
    });
    let canaries = use_pins(&stack, &mut host);
    assert_has_no_pin(&fs::read_to_string(&err).unwrap(), &canaries);
}

/// A configuration may hold what does not belong there: no complaint quotes it.
#[test]
fn rule_12_no_log_quotes_the_configuration() {
    let stack = stack(true);
    for text in
        ["pin = 4649x\n", "pin = 4649\n", "4649 = 1\n", "slots = \"4649\"\n", "[log]\nfile = \"4649\"\n"]
    {
        let file = stack.directory().join("quoted.toml");
        fs::write(&file, text).unwrap();
        let (_, log) = tokens_with(&stack, &file, Child::spawn);
        assert!(log.lines().count() == 1 && log.contains("quoted.toml"), "{text}: {log}");
        // The time and the process id before it may have these digits.
        let (_, complaint) = log.split_once("configuration: ").expect("a complaint");
        assert!(!complaint.contains("4649"), "{text}: {log}");
    }
}

#[test]
fn without_being_asked_nothing_is_logged() {
    let stack = stack(true);
    let err = stack.directory().join("standard-error");
    let mut host = Child::with(&stack, |command| {
        command.env("RUST_LOG", "trace").stderr(File::create(&err).unwrap());
    });
    use_pins(&stack, &mut host);
    assert_eq!(fs::read_to_string(&err).unwrap(), "");
}

/// A host that logs to this path works; what it said on standard error instead.
fn standard_error_of(stack: &Stack, log: &Path, prelude: &[&str]) -> String {
    let err = stack.directory().join("standard-error");
    let mut host = Child::with(stack, |command| {
        command.env("JPKI_PKCS11_LOG", "debug").env("JPKI_PKCS11_LOG_FILE", log);
        command.stderr(File::create(&err).unwrap());
    });
    prelude.iter().for_each(|line| host.expect(line, "done"));
    assert_works(&mut host);
    host.expect("finalize", "CKR_OK");
    fs::read_to_string(err).unwrap()
}

#[test]
fn a_log_file_is_made_private_and_nothing_else_is_written_to() {
    let stack = stack(true);
    let place = |name: &str| stack.directory().join(name);

    let open = place("open.log");
    fs::write(&open, "before\n").unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o666)).unwrap();
    assert_eq!(standard_error_of(&stack, &open, &[]), "");
    assert_eq!(fs::metadata(&open).unwrap().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&open).unwrap().starts_with("before\n"));

    let target = place("target");
    fs::write(&target, "precious").unwrap();
    symlink(&target, place("link.log")).unwrap();
    fs::create_dir(place("directory.log")).unwrap();
    make_fifo(&place("fifo.log")).unwrap();
    let mut refused = vec![place("link.log"), place("directory.log"), place("fifo.log"), "/dev/full".into()];
    if is_root() {
        fs::write(place("foreign.log"), "").unwrap();
        chown(place("foreign.log"), Some(OTHER_USER), None).unwrap();
        refused.push(place("foreign.log"));
    }
    let device = fs::metadata("/dev/full").unwrap().mode();
    for path in refused {
        let told = standard_error_of(&stack, &path, &[]);
        let complaints = told.lines().filter(|line| line.contains("warn configuration")).count();
        assert!(complaints == 1 && told.contains(&*path.to_string_lossy()), "{path:?}: {told}");
        assert!(told.contains("C_Login: CKR_OK"), "standard error takes its place");
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert_eq!(fs::metadata("/dev/full").unwrap().mode(), device);
}

#[test]
fn a_log_that_cannot_grow_fails_no_call() {
    let stack = stack(true);
    let log = stack.directory().join("full.log");
    File::create(&log).unwrap().write_all(&[b'\n'; 100]).unwrap();
    // What a full disk does to a write, and can be had without one.
    assert_eq!(standard_error_of(&stack, &log, &["limit file-size 100"]), "");
    assert_eq!(fs::metadata(&log).unwrap().len(), 100);
    assert_no_try_was_lost(&stack);
}
