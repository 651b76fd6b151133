//! A stored PIN is sent only while the count is full: a PIN that is changed elsewhere costs the
//! programs that were logged in one try together.

use crate::support::child::Child;
use crate::support::stack;
use virtual_card::stack::Stack;
use virtual_card::{Credential, VirtualCard};

/// A credential, the name of its token, its PIN, another one, and its maximum of tries.
type Facts = (Credential, &'static str, &'static str, &'static str, u8);

const FACTS: [Facts; 2] = [
    (Credential::Authentication, "authentication", "1234", "4321", 3),
    (Credential::Signature, "signature", "ABC123", "CHANGED1", 5),
];

/// So many programs at the most are logged in.
const MOST: usize = 5;

fn programs(stack: &Stack, token: &str, count: usize) -> Vec<Child> {
    (0..count).map(|_| Child::logged_in(stack, &[token])).collect()
}

/// Another program changes the PIN.
fn changed_by_another(stack: &Stack, token: &str, old: &str, new: &str) -> Child {
    let mut other = Child::start(stack);
    other.expect_ok(&["initialize", &format!("open {token}"), &format!("set-pin {token} {old} {new}")]);
    other
}

fn assert_tries(card: &VirtualCard, credential: Credential, least: u8, who: usize) {
    let left = card.tries_left(credential);
    assert!(left >= least, "{credential:?}: {left} tries left after program {who}");
}

#[test]
fn one_to_five_programs_that_hold_a_changed_pin_cost_one_try_together() {
    for (credential, token, old, new, full) in FACTS {
        for count in 1..=MOST {
            let stack = stack(true);
            let card = stack.card(0);
            let mut programs = programs(&stack, token, count);
            changed_by_another(&stack, token, old, new);
            for (who, program) in programs.iter_mut().enumerate() {
                program.expect(&format!("sign {token}"), "CKR_USER_NOT_LOGGED_IN");
                assert_tries(&card, credential, full - 1, who);
            }
            assert_eq!(card.failed_verifies(credential), 1, "{credential:?}, {count} programs");
        }
    }
}

#[test]
fn with_a_success_in_between_each_of_them_may_cost_one_try_and_never_a_second() {
    for (credential, token, old, new, full) in FACTS {
        let stack = stack(true);
        let card = stack.card(0);
        let mut programs = programs(&stack, token, MOST);
        let mut other = changed_by_another(&stack, token, old, new);
        for (who, program) in programs.iter_mut().enumerate() {
            // With the login the private key has gone.
            for answer in ["CKR_USER_NOT_LOGGED_IN", "CKR_KEY_HANDLE_INVALID"] {
                program.expect(&format!("sign {token}"), answer);
                assert_tries(&card, credential, full - 1, who);
            }
            other.expect_ok(&[&format!("login {token} {new}"), &format!("logout {token}")]);
            assert_tries(&card, credential, full, who);
        }
        assert_eq!(card.failed_verifies(credential), MOST);
    }
}

#[test]
fn the_program_that_changed_the_pin_stays_logged_in_with_the_new_one() {
    for (credential, token, old, new, full) in FACTS {
        let stack = stack(true);
        let mut programs = programs(&stack, token, 2);
        programs[0].expect_ok(&[&format!("set-pin {token} {old} {new}"), &format!("sign {token}")]);
        programs[1].expect(&format!("sign {token}"), "CKR_USER_NOT_LOGGED_IN");
        assert_tries(&stack.card(0), credential, full - 1, 1);
        // The price: the wrong try of the other ends this login too.
        programs[0].expect(&format!("sign {token}"), "CKR_USER_NOT_LOGGED_IN");
        programs[0].expect_ok(&[&format!("login {token} {new}"), &format!("sign {token}")]);
        assert_eq!(stack.card(0).failed_verifies(credential), 1);
    }
}

/// Programs that start anew for each signature and enter a PIN from a file, which is no more than
/// an entry to the module.
#[test]
fn short_programs_that_replay_an_old_pin_do_not_lock_a_card_with_a_reserve() {
    for (credential, token, _, new, _) in FACTS {
        let stack = stack(true);
        let card = stack.card(0);
        card.set_pin(credential, new);
        let configuration = stack.directory().join("reserve.toml");
        std::fs::write(&configuration, "reserve_tries = 1\n").unwrap();
        for who in 0..6 {
            let mut program = Child::with(&stack, |command| {
                command.env("JPKI_PKCS11_CONF", &configuration);
            });
            program.expect_ok(&["initialize", &format!("open {token}")]);
            let answer = program.ask(&format!("login {token}"));
            let refused = ["CKR_PIN_INCORRECT", "CKR_PIN_LOCKED"].contains(&&*answer);
            assert!(refused, "{answer}");
            assert_tries(&card, credential, 1, who);
        }
    }
}
