//! Nothing stays on the card when a program leaves as it should, while other threads of it sign.

use std::time::Duration;
use std::{env, thread};

use crate::support::child::Child;
use crate::support::{stack, wait_until};
use test_support::rng::{Rng, test_seed};
use virtual_card::Credential;

/// What a card answers to a program that wants signatures of both keys without a PIN.
const REFUSED: &str = "6982 6982";

/// The ways to leave.
const ENDS: [&str; 7] = [
    "logout authentication",
    "close-all authentication",
    "finalize",
    "exit",
    "spawn exit",
    "return from main",
    "logout authentication, finalize, exit",
];

/// How often each way is tried. `JPKI_ENDS` makes it more.
fn rounds() -> usize {
    env::var("JPKI_ENDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// Leaves; waits for the end of the process where there is one.
fn leave(host: &mut Child, end: &str) {
    for step in end.split(", ") {
        match step {
            "exit" | "spawn exit" => {
                host.tell(step);
                // Its main thread must not return meanwhile: a process exits once.
                assert!(host.wait_for_exit().success());
            }
            "return from main" => assert!(host.wait().success()),
            call => host.expect(call, "CKR_OK"),
        }
    }
}

#[test]
fn a_program_that_leaves_while_its_threads_sign_leaves_no_card_open() {
    let stack = stack(true);
    let card = stack.card(0);
    let mut rng = Rng::from_seed(test_seed());
    let (mut tries, mut open) = (0, Vec::new());
    for end in ENDS {
        for _ in 0..rounds() {
            let mut host = Child::logged_in(&stack, &["authentication"]);
            let before = card.signatures();
            host.expect("spawn threads authentication 3 1000000", "spawned");
            wait_until("signatures", || card.signatures() > before + 3);
            thread::sleep(Duration::from_micros(rng.below(30_000)));
            leave(&mut host, end);
            // The session of the threads may be in the middle of a transaction yet.
            let answer = Child::start(&stack).ask("foreign sign");
            tries += 1;
            if answer != REFUSED || card.verified(Credential::Authentication) {
                open.push((end, answer));
            }
            host.kill();
        }
    }
    println!("{} of {tries} left open", open.len());
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(card.failed_verifies(Credential::Authentication), 0);
}
