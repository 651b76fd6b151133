//! No core file leads to a PIN by what the library remembers of it: `ssh-add -s` sends one PIN to
//! both tokens, and both remember it (rule 8).

use crate::memory::core_of;
use crate::support::child::Child;
use crate::support::fingerprint::leads_to;
use crate::support::stack;

/// A right PIN that the other token has refused, and a wrong one.
const PINS: [&str; 2] = ["1234", "1111"];

#[test]
fn rule_8_no_core_file_after_logout_has_a_hash_of_a_pin_and_its_key() {
    for end in ["", "finalize", "remember-hash 1234"] {
        let stack = stack(true);
        let mut host = Child::with(&stack, |command| {
            command.current_dir(stack.directory());
        });
        host.expect("limit core most", "done");
        host.expect_ok(&["initialize", "open authentication", "open signature"]);
        host.expect("login authentication 1111", "CKR_PIN_INCORRECT");
        host.expect("login authentication 1111", "CKR_FUNCTION_CANCELED");
        host.expect_ok(&["login authentication 1234"]);
        host.expect("login signature 1234", "CKR_PIN_INCORRECT");
        host.expect("login signature 1234", "CKR_FUNCTION_CANCELED");
        host.expect_ok(&["sign authentication", "logout authentication"]);
        match end {
            "" => {}
            "finalize" => host.expect(end, "CKR_OK"),
            remember => host.expect(remember, "done"),
        }
        let core = core_of(&mut host, stack.directory());
        let found = PINS.map(|pin| leads_to(&core, pin.as_bytes()));
        // The attack works where there is something to find.
        assert_eq!(found, [end.starts_with("remember"), false], "{end}");
    }
}
