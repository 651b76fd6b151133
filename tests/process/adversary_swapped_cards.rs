//! A PIN goes to the card that it was entered for. The cards of two persons are swapped within one
//! poll of pcscd, which sees nothing of it, at each command of an operation, and between
//! operations.

use crate::support::child::Child;
use crate::support::{card, stack_of};
use virtual_card::stack::Stack;
use virtual_card::{Fault, Identity, Profile, VirtualCard};

/// The command that carries the PIN.
const VERIFY: usize = 4;

/// The second person's cards.
fn others() -> [(&'static str, Profile); 2] {
    // The second one has no short file identifiers.
    [("full", Profile::full()), ("conservative", Profile::conservative())].map(|(name, profile)| {
        let profile = Profile { warm_reset_keeps_verified: true, ..profile };
        (name, profile.with_pins("9876", "OTHER9"))
    })
}

fn other_person() -> Identity {
    Identity::from_seed(1)
}

/// The first person's card, in a reader.
fn first_card() -> (Stack, VirtualCard) {
    let stack = stack_of(vec![Some(card(true))]);
    let card = stack.card(0);
    (stack, card)
}

/// How many commands an operation has.
fn length(prelude: &[&str], operation: &str) -> usize {
    let (stack, card) = first_card();
    let mut host = Child::start(&stack);
    host.expect_ok(prelude);
    let mark = card.mark();
    host.expect(operation, "CKR_OK");
    card.commands_since(mark)
}

/// VERIFYs that the second card has compared with its PIN, or was sent. The first card's come
/// before the swap, which the ledger shows as the command that got no answer.
fn verifies_after_swap(card: &VirtualCard) -> usize {
    let ledger = card.ledger();
    let commands: Vec<_> = ledger.commands().collect();
    let swap = commands.iter().position(|command| !command.processed).expect("the swap");
    commands[swap + 1..].iter().filter(|command| command.verify.is_some()).count()
}

/// The new card is another token: its own PIN is taken. The call that first reaches it says that
/// the old one is gone.
fn assert_second_card_works(host: &mut Child) {
    let told = ["sign signature", "login signature OTHER9"]
        .iter()
        .any(|call| host.ask(call) == "CKR_DEVICE_REMOVED" || host.ask("session-info signature") != "CKR_OK");
    assert!(told, "the removal is told");
    host.expect_soon("tokens", "CKR_OK 2");
    host.expect_ok(&["open signature", "login signature OTHER9", "sign signature"]);
}

fn swap_everywhere(prelude: &[&str], operation: &str) {
    let length = length(prelude, operation);
    assert!(length > VERIFY, "SELECT, SELECT, count, VERIFY and SELECT at least: {length}");
    for (name, profile) in others() {
        let mut noticed = 0;
        for number in 1..=length {
            let (stack, card) = first_card();
            let mut host = Child::start(&stack);
            host.expect_ok(prelude);
            card.inject(Fault::at(number).swap(profile.clone(), other_person()));
            let first = host.ask(operation);
            noticed += usize::from(first != "CKR_OK");
            // The client repeats.
            let again = host.ask(operation);
            let when = format!("{operation}, {name} card in at {number}: {first}, {again}");
            assert_eq!(verifies_after_swap(&card), 0, "{when}\n{}", card.ledger());
            assert_second_card_works(&mut host);
        }
        println!("{operation}, {name} card: {length} swaps, all inside the operation, {noticed} told by it");
        // After VERIFY a login is done, whether or not the certificate can be read then.
        assert!(noticed >= VERIFY, "{noticed} of {length}");
    }
}

#[test]
fn no_pin_goes_to_the_card_that_takes_the_place_of_one_that_signs() {
    swap_everywhere(&["initialize", "open signature", "login signature"], "sign signature");
}

#[test]
fn no_pin_goes_to_the_card_that_takes_the_place_of_one_that_is_logged_in_to() {
    swap_everywhere(&["initialize", "open signature"], "login signature");
}

/// A card that was just put in has no power, or lost it: it answers its first command with nothing.
#[test]
fn no_pin_goes_to_the_card_that_takes_the_place_of_one_that_is_idle() {
    for (name, profile) in others() {
        let (stack, card) = first_card();
        let mut host = Child::start(&stack);
        host.expect_ok(&["initialize", "open signature", "login signature", "sign signature"]);
        let mark = card.mark();
        card.replace(profile, other_person());
        card.power_off();
        for _ in 0..3 {
            let answer = host.ask("sign signature");
            assert_ne!(answer, "CKR_OK", "{name}");
        }
        let sent = card.ledger_since(mark).commands().filter(|command| command.verify.is_some()).count();
        assert_eq!(sent, 0, "{name}\n{}", card.ledger_since(mark));
        assert_second_card_works(&mut host);
    }
}

/// The chip of the second card refuses the short identifiers that the first one takes: what is
/// known of the first is not held against it.
#[test]
fn another_kind_of_card_that_takes_the_place_works_without_being_taken_out() {
    let [_, (name, profile)] = others();
    let (stack, card) = first_card();
    let mut host = Child::start(&stack);
    host.expect_ok(&["initialize", "open signature"]);
    card.replace(profile, other_person());
    card.power_off();
    let first = host.ask("login signature OTHER9");
    host.expect_soon("tokens", "CKR_OK 2");
    assert_eq!(host.ask("open signature"), "CKR_OK", "{name}: {first}");
    host.expect_ok(&["login signature OTHER9", "sign signature"]);
}
