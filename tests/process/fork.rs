//! A host that forks or leaves without a word.

use crate::support::child::Child;
use crate::support::{stack, wait_until};
use virtual_card::{Credential, VirtualCard};

const BOTH: [&str; 2] = ["authentication", "signature"];

fn assert_no_try_was_lost(card: &VirtualCard) {
    for (credential, tries) in [(Credential::Authentication, 3), (Credential::Signature, 5)] {
        assert_eq!((card.failed_verifies(credential), card.tries_left(credential)), (0, tries));
    }
}

#[test]
fn a_forked_child_is_not_initialized_and_leaves_its_parent_alone() {
    let stack = stack(true);
    let mut host = Child::logged_in(&stack, &BOTH);
    host.expect("sign signature", "CKR_OK");
    let mark = stack.card(0).mark();
    host.expect("fork sign signature; logout signature; info; finalize", "forked");
    let no = "CKR_CRYPTOKI_NOT_INITIALIZED";
    assert_eq!(host.ask("join fork"), format!("{no}; {no}; {no}; {no} (0)"));
    assert_eq!(stack.card(0).commands_since(mark), 0, "the child reaches no card");
    for credential in BOTH {
        host.expect(&format!("sign {credential}"), "CKR_OK");
    }
    assert_no_try_was_lost(&stack.card(0));
}

#[test]
fn a_forked_child_that_leaves_at_once_takes_nothing_with_it() {
    let stack = stack(true);
    let mut host = Child::logged_in(&stack, &BOTH);
    for _ in 0..5 {
        host.expect("fork pid", "forked");
        assert!(host.ask("join fork").ends_with("(0)"));
        host.expect("sign authentication", "CKR_OK");
    }
    host.expect("fork exit", "forked");
    assert_eq!(host.ask("join fork"), " (0)");
    host.expect("sign signature", "CKR_OK");
    assert_eq!(stack.card(0).ledger().resets(), 0);
}

#[test]
fn parent_and_forked_child_sign_side_by_side() {
    let stack = stack(true);
    let mut host = Child::logged_in(&stack, &BOTH);
    host.expect(
        "fork initialize; open authentication; login authentication; signs authentication 60; finalize",
        "forked",
    );
    host.expect("signs signature 60", "CKR_OK 60");
    assert_eq!(host.ask("join fork"), "CKR_OK; CKR_OK; CKR_OK; CKR_OK 60; CKR_OK (0)");
    // The child's end ends nothing of the parent's.
    host.expect("sign authentication", "CKR_OK");
    assert_eq!(stack.card(0).signatures(), 121);
    assert_eq!(stack.card(0).ledger().resets(), 0);
    assert_no_try_was_lost(&stack.card(0));
}

#[test]
fn a_host_that_forks_while_it_signs_gets_its_signatures() {
    let stack = stack(true);
    let mut host = Child::logged_in(&stack, &BOTH);
    host.expect("spawn threads signature 4 25", "spawned");
    for _ in 0..10 {
        // No more than this: a thread may have had a lock of libpcsclite at the fork (2.3.3 has one
        // for all calls). In the child nothing gives it back, and a call of the library waits.
        host.expect("fork sign signature; initialize; finalize", "forked");
        assert_eq!(host.ask("join fork"), "CKR_CRYPTOKI_NOT_INITIALIZED; CKR_OK; CKR_OK (0)");
    }
    assert_eq!(host.ask("join"), "CKR_OK 100");
    assert_no_try_was_lost(&stack.card(0));
}

#[test]
fn a_host_that_exits_without_finalizing_ends_well() {
    let stack = stack(true);
    for prelude in
        [&[][..], &["initialize"], &["initialize", "open signature", "login signature", "sign signature"]]
    {
        let mut host = Child::start(&stack);
        host.expect("load", "loaded");
        host.expect_ok(prelude);
        host.tell("exit");
        assert!(host.wait().success());
    }
    let card = stack.card(0);
    assert!(!card.verified(Credential::Signature));
    assert_eq!(card.ledger().resets(), 0, "no process died in a transaction");
}

#[test]
fn a_host_that_exits_while_it_signs_ends_well() {
    let stack = stack(true);
    let mut host = Child::logged_in(&stack, &BOTH);
    host.expect("spawn threads signature 8 100000", "spawned");
    wait_until("signatures", || stack.card(0).signatures() > 5);
    host.tell("exit");
    assert!(host.wait().success());
    let mut next = Child::logged_in(&stack, &BOTH);
    next.expect("sign signature", "CKR_OK");
    assert_no_try_was_lost(&stack.card(0));
}
