//! Several processes with several threads at one card, with another program in between that resets
//! it.

use std::time::Duration;
use std::{env, thread};

use crate::support::child::Child;
use crate::support::{stack, wait_until};
use virtual_card::Credential;

const PROCESSES: usize = 2;
const THREADS: usize = 8;

/// In how many rounds they sign.
const ROUNDS: usize = 8;

/// Signatures of each thread, in all rounds together.
fn each() -> usize {
    env::var("JPKI_THREAD_SIGNATURES").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

#[test]
fn two_processes_of_eight_threads_sign_while_a_third_one_resets_the_card() {
    let stack = stack(true);
    let card = stack.card(0);
    let credentials = ["authentication", "signature"];
    let mut hosts = credentials.map(|credential| Child::logged_in(&stack, &[credential]));
    let mut foreign = Child::start(&stack);
    foreign.tell("foreign disturb");
    for _ in 0..ROUNDS {
        for (host, credential) in hosts.iter_mut().zip(credentials) {
            host.tell(&format!("threads {credential} {THREADS} {}", each() / ROUNDS));
        }
        for host in &hosts {
            let answer = host.answer_within(Duration::from_secs(600));
            assert_eq!(answer, Some(format!("CKR_OK {}", THREADS * each() / ROUNDS)));
        }
        // pcscd is not fair: a program that comes again at once is served again, and the third one
        // may wait for ever.
        let resets = card.ledger().resets();
        wait_until("a reset", || card.ledger().resets() > resets);
    }
    let answer = foreign.ask("info");
    let counts: Vec<usize> = answer.split(' ').map(|count| count.parse().unwrap()).collect();
    let [resets, selects] = counts[..] else { panic!("{answer}") };
    println!(
        "{} signatures, {resets} resets and {selects} selections of other applications by a third process, {} resets \
         in all",
        PROCESSES * THREADS * each(),
        card.ledger().resets()
    );
    assert!(resets >= ROUNDS && selects > 0);
    assert!(card.ledger().resets() <= resets, "none of the resets is ours");
    assert_eq!(card.signatures(), PROCESSES * THREADS * each(), "no signature was made twice");
    for (credential, tries) in [(Credential::Authentication, 3), (Credential::Signature, 5)] {
        assert_eq!((card.failed_verifies(credential), card.tries_left(credential)), (0, tries));
    }
}

/// pcscd (1.9.9) looks whether a program has a transaction before it resets the card for
/// `SCardDisconnect`, and does not look again: a transaction that begins just then is hit in the
/// middle, and learns of it at its next command. No client can do anything about that. The call
/// fails then, without harm, and the next one is as good as ever.
#[test]
fn a_storm_of_resets_by_three_programs_costs_no_try_and_no_card() {
    let stack = stack(true);
    let card = stack.card(0);
    let mut host = Child::logged_in(&stack, &["signature"]);
    let mut storm = [(); 3].map(|()| Child::start(&stack));
    for foreign in &mut storm {
        foreign.tell("foreign storm");
    }
    let (mut signed, mut hit) = (0, 0);
    for _ in 0..5 * each() {
        match &*host.ask("sign signature") {
            "CKR_OK" => signed += 1,
            "CKR_DEVICE_ERROR" => hit += 1,
            // A VERIFY was hit. Only the user sends the PIN a second time.
            "CKR_USER_NOT_LOGGED_IN" => while host.ask("login signature") != "CKR_OK" {},
            other => panic!("{other}"),
        }
        // A card that is never idle is not reset either: pcscd looks only now and then whether it
        // is.
        thread::sleep(Duration::from_millis(3));
    }
    let mut resets = 0;
    for foreign in &mut storm {
        resets += foreign.ask("info").parse::<usize>().unwrap();
    }
    println!("{signed} signatures between {resets} resets by three programs, {hit} calls were hit");
    assert!(signed > 9 * hit, "{signed} signatures, {hit} failed");
    assert!(card.ledger().resets() <= resets, "none of the resets is ours");
    assert_eq!((card.failed_verifies(Credential::Signature), card.tries_left(Credential::Signature)), (0, 5));
    host.expect("sign signature", "CKR_OK");
}
