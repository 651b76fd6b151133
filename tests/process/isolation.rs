//! A login cannot be borrowed: what another process gets out of a card while one of ours is logged
//! in, after it ended, and after it was killed in the middle of it.

use std::time::Duration;
use std::{env, thread};

use crate::support::breakpoint::Breakpoint;
use crate::support::child::Child;
use crate::support::{stack, wait_until};
use virtual_card::stack::Stack;
use virtual_card::{Credential, Event, VirtualCard};

const BOTH: [&str; 2] = ["authentication", "signature"];

/// What a card answers to a program that wants signatures of both keys without a PIN.
const REFUSED: &str = "6982 6982";

/// How long the attacker has.
fn duration() -> Duration {
    let seconds = env::var("JPKI_ISOLATION_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(8))
}

/// A program that can try to sign without a PIN at once. pcscd takes the power from a card some
/// seconds after its last use, and a busy machine may need as long to start a process.
fn ready_attacker(stack: &Stack) -> Child {
    let mut attacker = Child::start(stack);
    attacker.expect("foreign see", "done");
    attacker
}

fn sign_without_pin(stack: &Stack) -> String {
    Child::start(stack).ask("foreign sign")
}

fn assert_no_try_was_lost(card: &VirtualCard) {
    for (credential, tries) in [(Credential::Authentication, 3), (Credential::Signature, 5)] {
        assert_eq!((card.failed_verifies(credential), card.tries_left(credential)), (0, tries));
    }
    assert_eq!(card.ledger().misplaced_verifies(), 0);
}

/// Commands to sign that the card refused for want of a PIN.
fn refusals(card: &VirtualCard) -> usize {
    let ledger = card.ledger();
    ledger
        .commands()
        .filter(|command| command.instruction() == Some(0x2a) && command.status == Some(0x6982))
        .count()
}

/// One process signs with both keys without a pause, and another one tries to at random instants.
fn assert_no_login_is_borrowed(keeps_verified: bool) {
    let stack = stack(keeps_verified);
    let mut host = Child::logged_in(&stack, &BOTH);
    let mut attacker = Child::start(&stack);
    host.tell("sign-on");
    attacker.tell("foreign attack");
    thread::sleep(duration());
    // pcscd is not fair to an attacker that others are faster than: it may need longer. On a busy
    // machine the host may, too.
    let card = stack.card(0);
    wait_until("enough attempts", || refusals(&card) >= 100);
    wait_until("enough signatures", || card.signatures() > 100);
    let [attempts, signed] = [&mut attacker, &mut host].map(|child| {
        child.tell("info");
        child.answer()
    });
    let numbers: Vec<usize> = attempts.split(' ').map(|number| number.parse().unwrap()).collect();
    let [sure, refused, blind, successes] = numbers[..] else { panic!("{attempts}") };
    let signed: usize = signed.strip_prefix("CKR_OK ").expect(&signed).parse().unwrap();
    println!(
        "{} s: {signed} signatures, {sure} attempts after SELECT ({refused} refused), {blind} blind attempts, \
         {successes} succeeded",
        duration().as_secs()
    );
    assert!(sure > 20 && signed > 100);
    assert_eq!((refused, successes), (sure, 0));
    assert_eq!(card.signatures(), signed, "every signature of the card was asked for by its user");
    assert_no_try_was_lost(&card);
}

#[test]
fn no_other_process_borrows_the_login_of_a_card_that_keeps_it_over_a_reset() {
    assert_no_login_is_borrowed(true);
}

#[test]
fn no_other_process_borrows_the_login_of_a_card_that_loses_it_in_a_reset() {
    assert_no_login_is_borrowed(false);
}

#[test]
fn the_attacker_of_these_tests_does_sign_with_a_card_that_is_left_verified() {
    let stack = stack(true);
    let mut careless = Child::start(&stack);
    let mut attacker = ready_attacker(&stack);
    careless.expect("foreign verify 1b ABC123", "9000");
    assert_eq!(attacker.ask("foreign sign"), "6982 9000");
}

#[test]
fn nothing_is_left_after_logout_finalize_or_exit() {
    for keeps_verified in [true, false] {
        let stack = stack(keeps_verified);
        for end in ["logout signature", "finalize", "exit"] {
            let mut host = Child::logged_in(&stack, &BOTH);
            host.expect("sign authentication", "CKR_OK");
            host.expect("sign signature", "CKR_OK");
            assert_eq!(sign_without_pin(&stack), REFUSED, "logged in");
            if end == "exit" {
                host.tell(end);
                assert!(host.wait().success());
            } else {
                host.expect(end, "CKR_OK");
            }
            assert_eq!(sign_without_pin(&stack), REFUSED, "after {end}");
        }
        assert_no_try_was_lost(&stack.card(0));
    }
}

/// What an operation sends to the card: how many commands, and which of them verifies and which
/// makes it forget.
#[derive(Debug)]
struct Course {
    length: usize,
    verify: usize,
    forget: usize,
}

/// A new process that has done all this.
fn prepared(stack: &Stack, prelude: &[String]) -> Child {
    let mut host = Child::start(stack);
    prelude.iter().for_each(|line| host.expect(line, "CKR_OK"));
    host
}

fn course(stack: &Stack, prelude: &[String], operation: &str) -> Course {
    let mut host = prepared(stack, prelude);
    let mark = stack.card(0).mark();
    host.expect(operation, "CKR_OK");
    let ledger = stack.card(0).ledger_since(mark);
    let commands: Vec<_> = ledger.commands().collect();
    let verify = commands.iter().position(|command| command.verified_after.any()).unwrap() + 1;
    let forget = commands.iter().rposition(|command| command.verified_before.any()).unwrap() + 1;
    Course { length: commands.len(), verify, forget }
}

/// kill -9 while the card carries out the `number`th command of the operation. pcscd resets a card
/// whose user died in a transaction; returns how long that took.
fn kill_in(stack: &Stack, prelude: &[String], operation: &str, number: usize) -> Duration {
    let card = stack.card(0);
    let mut host = prepared(stack, prelude);
    let resets = card.ledger().resets();
    let breakpoint = Breakpoint::before(&card, number);
    host.tell(operation);
    breakpoint.wait();
    host.kill();
    breakpoint.resume();
    wait_until("the reset", || card.ledger().resets() > resets)
}

/// Login and signature, each killed at each of its commands, and what an attacker and then the user
/// get afterwards.
fn kill_everywhere(keeps_verified: bool) {
    let stack = stack(keeps_verified);
    let card = stack.card(0);
    for credential in BOTH {
        let opened = ["initialize".to_owned(), format!("open {credential}")];
        let logged_in = [&opened[..], &[format!("login {credential}")]].concat();
        for (prelude, verb) in [(&opened[..], "login"), (&logged_in[..], "sign")] {
            let operation = format!("{verb} {credential}");
            let course = course(&stack, prelude, &operation);
            let mut borrowed = Vec::new();
            for number in 1..=course.length {
                let mark = card.mark();
                let mut attacker = ready_attacker(&stack);
                // While a program is connected pcscd does not take the power: the attacker gets its
                // time.
                let mut keeper = Child::start(&stack);
                keeper.expect("foreign connect", "done");
                kill_in(&stack, prelude, &operation, number);
                if attacker.ask("foreign sign").contains("9000") {
                    borrowed.push(number);
                }
                keeper.expect("foreign disconnect", "done");
                let resets = card.ledger_since(mark).resets();
                assert_eq!(resets, 1, "one is enough");
                let mut fresh = Child::logged_in(&stack, &[credential]);
                fresh.expect(&format!("sign {credential}"), "CKR_OK");
                assert_eq!(sign_without_pin(&stack), REFUSED, "after the next process has used the card");
            }
            println!(
                "card that {} its login over a reset, {operation}: {course:?}, left verified by a kill at {borrowed:?}",
                if keeps_verified { "keeps" } else { "loses" },
            );
            let all: Vec<_> = (course.verify..course.forget).collect();
            assert_eq!(borrowed, if keeps_verified { all } else { Vec::new() });
        }
    }
    assert_no_try_was_lost(&card);
}

#[test]
fn a_kill_leaves_a_card_verified_only_between_verify_and_the_last_select() {
    kill_everywhere(true);
}

#[test]
fn a_kill_leaves_nothing_on_a_card_that_a_reset_makes_forget() {
    kill_everywhere(false);
}

#[test]
fn what_a_kill_has_left_is_gone_when_pcscd_takes_the_power() {
    let stack = stack(true);
    let card = stack.card(0);
    let prelude = ["initialize", "open signature", "login signature"].map(str::to_owned);
    let course = course(&stack, &prelude, "sign signature");
    let after_reset = kill_in(&stack, &prelude, "sign signature", course.verify);
    assert!(card.verified(Credential::Signature));
    let until_power_off = wait_until("the power goes", || !card.verified(Credential::Signature));
    println!("reset {after_reset:?} after the kill, power off {until_power_off:?} after that");
    assert!(matches!(card.ledger().events().last(), Some(Event::PowerOff)));
    assert!(until_power_off < Duration::from_secs(15));
}

#[test]
fn what_a_kill_has_left_is_gone_when_the_next_user_is_served() {
    let stack = stack(true);
    let card = stack.card(0);
    let prelude = ["initialize", "open signature", "login signature"].map(str::to_owned);
    // Another program keeps the power on, and logs in with the other PIN.
    let mut other = Child::start(&stack);
    other.expect_ok(&["initialize", "open authentication"]);
    let course = course(&stack, &prelude, "sign signature");
    kill_in(&stack, &prelude, "sign signature", course.verify);
    assert!(card.verified(Credential::Signature));
    other.expect("login authentication", "CKR_OK");
    assert!(!card.verified(Credential::Signature));
    assert_eq!(sign_without_pin(&stack), REFUSED);
}

/// When the service itself is killed no process is left to reset the card. The virtual reader keeps
/// the power on all the while; a real one may or may not.
#[test]
fn what_the_death_of_pcscd_has_left_is_gone_when_the_next_user_is_served() {
    for keeps_verified in [true, false] {
        let mut stack = stack(keeps_verified);
        let card = stack.card(0);
        let prelude = ["initialize", "open signature", "login signature"].map(str::to_owned);
        let course = course(&stack, &prelude, "sign signature");
        let mut host = prepared(&stack, &prelude);
        let breakpoint = Breakpoint::before(&card, course.verify);
        host.tell("sign signature");
        breakpoint.wait();
        stack.kill_pcscd();
        breakpoint.resume();
        assert_eq!(host.answer(), "CKR_DEVICE_REMOVED");
        stack.restart_pcscd().unwrap();
        println!("verified after the death of pcscd: {}", card.verified(Credential::Signature));
        host.expect_soon("tokens", "CKR_OK 2");
        host.expect_ok(&["open authentication", "login authentication"]);
        assert_eq!(sign_without_pin(&stack), REFUSED);
        assert_no_try_was_lost(&card);
    }
}
