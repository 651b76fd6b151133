//! A child of a fork is never taken for its parent, whatever its process id is.

use std::env;

use crate::support::child::Child;
use crate::support::rights::unshare;
use crate::support::stack;
use virtual_card::Credential;

/// Parent and child are process 1 of their namespaces, as in containers.
#[test]
fn a_child_with_the_process_id_of_its_parent_is_not_initialized_and_costs_no_try() {
    let stack = stack(true);
    let card = stack.card(0);
    let mut command = unshare(&stack, &["--pid", "--fork", "--kill-child"]);
    command.arg(env::current_exe().unwrap());
    let mut host = Child::spawn(command);
    host.expect("pid", "1");
    host.log_in(&["authentication", "signature"]);
    host.expect_ok(&["sign authentication", "sign signature"]);
    let mark = card.mark();
    host.expect("fork-as-first pid; sign authentication; sign signature; logout signature", "forked");
    let no = "CKR_CRYPTOKI_NOT_INITIALIZED";
    assert_eq!(host.ask("join fork"), format!("1; {no}; {no}; {no} (0)"));
    assert_eq!(card.commands_since(mark), 0, "the child reaches no card");
    host.expect_ok(&["sign authentication", "sign signature"]);
    for (credential, tries) in [(Credential::Authentication, 3), (Credential::Signature, 5)] {
        assert_eq!((card.failed_verifies(credential), card.tries_left(credential)), (0, tries));
    }
}
