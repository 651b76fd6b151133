//! The PIN of a login: in one page that is locked, neither dumped nor inherited, and nowhere once
//! the login has ended.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::child::Child;
use crate::support::memory::{self, Canary, Find};
use crate::support::stack;
use virtual_card::stack::Stack;
use virtual_card::{Credential, VirtualCard};

/// A host that is logged in with a password that no other process has in memory, and has signed.
struct LoggedInHost {
    stack: Stack,
    child: Child,
    canary: Canary,
}

impl LoggedInHost {
    fn new() -> Self {
        let (stack, canary) = (stack(true), Canary::new());
        stack.card(0).set_pin(Credential::Signature, canary.text());
        let child = Child::with(&stack, |command| {
            command.current_dir(stack.directory());
        });
        let mut host = Self { stack, child, canary };
        host.log_in();
        host
    }

    fn log_in(&mut self) {
        self.child.expect_ok(&["initialize", "open signature"]);
        self.child.tell("login signature secret");
        self.child.send(self.canary.bytes());
        assert_eq!(self.child.answer(), "CKR_OK");
        self.child.expect("sign signature", "CKR_OK");
    }

    fn card(&self) -> VirtualCard {
        self.stack.card(0)
    }

    fn finds(&self) -> Vec<Find> {
        self.canary.find_in_process(self.child.pid())
    }

    /// The one page where the PIN is, in the two commands that carry it.
    fn page(&self) -> usize {
        memory::only_page(&self.finds())
    }

    /// Checks that the page with the PIN is locked, and neither dumped nor inherited.
    fn assert_protected(&self) {
        let flags = memory::flags(self.child.pid(), self.page());
        for (flag, meaning) in [("lo", "locked"), ("dd", "not dumped"), ("wf", "wiped on fork")] {
            assert!(flags.iter().any(|own| own == flag), "{meaning}: {flags:?}");
        }
    }

    fn assert_gone(&self, after: &str) {
        let finds = self.finds();
        assert!(finds.is_empty(), "after {after}: {finds:#?}");
    }
}

#[test]
fn the_pin_of_a_login_is_in_one_page_that_is_locked_not_dumped_and_not_inherited() {
    LoggedInHost::new().assert_protected();
}

#[test]
fn the_pin_is_gone_after_each_way_to_end_a_login() {
    let mut host = LoggedInHost::new();
    for end in ["logout signature", "close signature", "close-all signature"] {
        host.page();
        host.child.expect(end, "CKR_OK");
        host.assert_gone(end);
        host.child.expect("finalize", "CKR_OK");
        host.log_in();
    }
    host.page();
    host.child.expect("finalize", "CKR_OK");
    host.assert_gone("finalize");
}

#[test]
fn the_pin_is_gone_when_the_removal_of_the_card_is_noticed() {
    let mut host = LoggedInHost::new();
    host.page();
    host.stack.remove(0).unwrap();
    host.child.expect_soon("session-info signature", "CKR_DEVICE_REMOVED");
    host.assert_gone("the card was removed");
}

#[test]
fn the_pin_is_gone_when_the_card_refuses_it() {
    let mut host = LoggedInHost::new();
    host.page();
    host.card().set_pin(Credential::Signature, "CHANGED1");
    host.child.expect("sign signature", "CKR_USER_NOT_LOGGED_IN");
    host.assert_gone("it was changed elsewhere");
    assert_eq!(host.card().tries_left(Credential::Signature), 4);
}

#[test]
fn a_pin_that_is_refused_at_login_leaves_nothing() {
    let (stack, canary) = (stack(true), Canary::new());
    let mut host = Child::start(&stack);
    host.expect_ok(&["initialize", "open signature"]);
    host.tell("login signature secret");
    host.send(canary.bytes());
    assert_eq!(host.answer(), "CKR_PIN_INCORRECT");
    let finds = canary.find_in_process(host.pid());
    assert!(finds.is_empty(), "{finds:#?}");
}

#[test]
fn of_a_change_only_the_new_pin_stays_and_only_while_logged_in() {
    let mut host = LoggedInHost::new();
    let (old, new) = (host.canary.clone(), Canary::new());
    host.child.tell("set-pin signature secret");
    host.child.send(&[old.bytes(), new.bytes()].concat());
    assert_eq!(host.child.answer(), "CKR_OK");
    host.assert_gone("another PIN was set");
    host.canary = new;
    host.page();
    host.child.expect("sign signature", "CKR_OK");
    host.child.expect("logout signature", "CKR_OK");
    host.assert_gone("logout");
}

#[test]
fn a_forked_child_finds_zeros_where_the_pin_is() {
    let mut host = LoggedInHost::new();
    let page = host.page();
    host.child.expect("fork-and-pause", "forked");
    let fork = host.child.fork_pid();
    let finds = host.canary.find_in_process(fork);
    assert!(finds.is_empty(), "in the fork: {finds:#?}");
    assert_eq!(memory::read(fork, page, memory::PAGE), [0; memory::PAGE]);
    assert_eq!(host.page(), page, "the parent keeps it");
    host.child.expect("sign signature", "CKR_OK");
    host.child.expect("fork-end", "ended");
}

/// The core file of a process that was aborted in this directory, or of one that still runs where
/// the system gives core files to a program.
pub fn core_of(host: &mut Child, directory: &Path) -> Vec<u8> {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if pattern.starts_with(['|', '/']) {
        let name = directory.join("core");
        let made = Command::new("gcore").arg("-o").arg(&name).arg(host.pid().to_string()).output();
        assert!(made.expect("gcore, where cores go to a program").status.success());
    } else {
        host.abort();
    }
    let is_core = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("core"));
    let mut files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let core = files.find(|path| path.is_file() && is_core(path)).expect("a core file");
    fs::read(core).unwrap()
}

#[test]
fn a_core_file_has_no_pin_in_it() {
    let remembered = Canary::new();
    let mut host = LoggedInHost::new();
    host.child.expect("limit core most", "done");
    host.child.expect(&format!("remember {}", remembered.text()), "done");
    host.page();
    let core = core_of(&mut host.child, host.stack.directory());
    assert!(!remembered.find_in(&core).is_empty(), "the core file has the rest of the memory");
    let finds = host.canary.find_in(&core);
    assert!(finds.is_empty(), "{finds:?}");
}
