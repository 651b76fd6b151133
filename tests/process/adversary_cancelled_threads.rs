//! A thread that is cancelled in a call ends after it: the host lives, and the card is closed.

use std::thread;
use std::time::Duration;

use crate::support::breakpoint::Breakpoint;
use crate::support::child::Child;
use crate::support::stack;
use virtual_card::Credential;

#[test]
fn a_thread_that_is_cancelled_while_it_waits_for_an_event_ends_with_the_wait() {
    let stack = stack(true);
    let mut host = Child::logged_in(&stack, &["authentication"]);
    host.expect("cancellable wait", "started");
    thread::sleep(Duration::from_millis(300));
    host.expect("cancel", "told");
    host.expect_ok(&["sign authentication", "info"]);
    let card = stack.card(0);
    stack.remove(0).unwrap();
    host.expect("join cancelled", "cancelled");
    stack.insert(0, card).unwrap();
    host.expect_soon("tokens", "CKR_OK 2");
    host.expect_ok(&["open authentication", "login authentication", "sign authentication", "finalize"]);
}

#[test]
fn the_end_of_the_module_ends_a_wait_of_a_thread_that_is_cancelled() {
    let stack = stack(true);
    let mut host = Child::logged_in(&stack, &["authentication"]);
    host.expect("cancellable wait", "started");
    thread::sleep(Duration::from_millis(300));
    host.expect("cancel", "told");
    host.expect("finalize", "CKR_OK");
    host.expect("join cancelled", "cancelled");
    host.log_in(&["authentication"]);
    host.expect("sign authentication", "CKR_OK");
}

#[test]
fn a_thread_that_is_cancelled_at_any_command_of_a_signature_leaves_the_card_closed() {
    let stack = stack(true);
    let card = stack.card(0);
    let mut host = Child::logged_in(&stack, &["authentication"]);
    let mark = card.mark();
    host.expect("sign authentication", "CKR_OK");
    for number in 1..=card.commands_since(mark) {
        let signatures = card.signatures();
        let breakpoint = Breakpoint::before(&card, number);
        host.expect("cancellable sign authentication", "started");
        breakpoint.wait();
        host.expect("cancel", "told");
        breakpoint.resume();
        host.expect("join cancelled", "cancelled");
        assert_eq!(card.signatures(), signatures + 1, "cancelled at {number}: the call goes on");
        assert!(!card.verified(Credential::Authentication), "cancelled at {number}");
        host.expect("sign authentication", "CKR_OK");
    }
}
