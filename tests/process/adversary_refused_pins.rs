//! The same wrong entry is never sent twice: not after the card was out, not after C_Finalize, and
//! not in another reader.

use crate::support::child::Child;
use crate::support::{card, stack, stack_of};
use virtual_card::{Credential, VirtualCard};

fn assert_sent_once(card: &VirtualCard, when: &str) {
    let credential = Credential::Authentication;
    assert_eq!((card.failed_verifies(credential), card.tries_left(credential)), (1, 2), "{when}");
}

const WRONG: &str = "login authentication 1111";
const HELD_BACK: &str = "CKR_FUNCTION_CANCELED";

fn refused_once(stack: &virtual_card::stack::Stack) -> Child {
    let mut host = Child::start(stack);
    host.expect_ok(&["initialize", "open authentication"]);
    host.expect(WRONG, "CKR_PIN_INCORRECT");
    host
}

#[test]
fn a_wrong_pin_is_held_back_over_removal_and_return() {
    let stack = stack(true);
    let card = stack.card(0);
    let mut host = refused_once(&stack);
    for _ in 0..3 {
        stack.remove(0).unwrap();
        stack.insert(0, card.clone()).unwrap();
        host.expect_soon("tokens", "CKR_OK 2");
        host.expect("open authentication", "CKR_OK");
        host.expect(WRONG, HELD_BACK);
        assert_sent_once(&card, "after a return");
    }
    host.expect_ok(&["login authentication", "sign authentication"]);
}

#[test]
fn a_wrong_pin_is_held_back_over_the_end_and_a_new_beginning() {
    let stack = stack(true);
    let mut host = refused_once(&stack);
    for _ in 0..3 {
        host.expect_ok(&["finalize", "initialize", "open authentication"]);
        host.expect(WRONG, HELD_BACK);
        assert_sent_once(&stack.card(0), "after C_Finalize");
    }
    host.expect_ok(&["login authentication", "sign authentication"]);
}

#[test]
fn a_wrong_pin_is_held_back_in_the_other_reader() {
    let stack = stack_of(vec![Some(card(true)), None]);
    let card = stack.card(0);
    let mut host = refused_once(&stack);
    host.expect("finalize", "CKR_OK");
    stack.remove(0).unwrap();
    stack.insert(1, card.clone()).unwrap();
    host.expect("initialize", "CKR_OK");
    host.expect_soon("tokens", "CKR_OK 2");
    host.expect("login-at 2 1111", HELD_BACK);
    assert_sent_once(&card, "in the other reader");
    host.expect("login-at 2 1234", "CKR_OK");
}

#[test]
fn a_wrong_pin_that_another_program_makes_right_is_sent() {
    let stack = stack(true);
    let mut host = refused_once(&stack);
    let mut other = Child::start(&stack);
    other.expect_ok(&["initialize", "open authentication", "set-pin authentication 1234 1111"]);
    host.expect_ok(&[WRONG, "sign authentication"]);
}

#[test]
fn a_wrong_pin_is_held_back_after_the_wrong_pin_of_another_program() {
    let stack = stack(true);
    let mut host = refused_once(&stack);
    let mut other = Child::start(&stack);
    other.expect_ok(&["initialize", "open authentication"]);
    other.expect("login authentication 2222", "CKR_PIN_INCORRECT");
    host.expect("token-info authentication", "CKR_OK");
    host.expect(WRONG, HELD_BACK);
    let card = stack.card(0);
    assert_eq!(card.tries_left(Credential::Authentication), 1);
    host.expect("login authentication", "CKR_OK");
}
