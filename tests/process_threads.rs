//! Several processes with several threads at one card, with somebody in between who resets it.

mod process;

use std::time::Duration;
use std::{env, thread};

use process::child::Child;
use process::stack;
use virtual_card::Credential;

const PROCESSES: usize = 2;
const THREADS: usize = 8;

/// Signatures of each thread.
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
    for (host, credential) in hosts.iter_mut().zip(credentials) {
        host.tell(&format!("threads {credential} {THREADS} {}", each()));
    }
    for host in &hosts {
        let answer = host.answer_within(Duration::from_secs(600));
        assert_eq!(answer, Some(format!("CKR_OK {}", THREADS * each())));
    }
    foreign.tell("info");
    let answer = foreign.answer();
    let counts: Vec<usize> = answer.split(' ').map(|count| count.parse().unwrap()).collect();
    let [resets, selects] = counts[..] else { panic!("{answer}") };
    println!(
        "{} signatures, {resets} resets and {selects} selections of other applications by a third process, {} resets \
         in all",
        PROCESSES * THREADS * each(),
        card.ledger().resets()
    );
    assert!(resets > 0 && selects > 0);
    assert!(card.ledger().resets() <= resets, "none of the resets is ours");
    assert_eq!(card.signatures(), PROCESSES * THREADS * each(), "no signature was made twice");
    for (credential, tries) in [(Credential::Authentication, 3), (Credential::Signature, 5)] {
        assert_eq!((card.failed_verifies(credential), card.tries_left(credential)), (0, tries));
    }
}

#[test]
fn a_storm_of_resets_by_three_programs_delays_signatures_and_fails_none() {
    let stack = stack(true);
    let card = stack.card(0);
    let mut host = Child::logged_in(&stack, &["signature"]);
    let mut storm = [(); 3].map(|()| Child::start(&stack));
    for foreign in &mut storm {
        foreign.tell("foreign disturb");
    }
    let signatures = 5 * each();
    for _ in 0..signatures {
        host.expect("sign signature", "CKR_OK");
        // A card that is never idle is not reset either: pcscd looks only now and then whether it is.
        thread::sleep(Duration::from_millis(3));
    }
    let mut resets = 0;
    for foreign in &mut storm {
        foreign.tell("info");
        let answer = foreign.answer();
        resets += answer.split(' ').next().and_then(|count| count.parse::<usize>().ok()).unwrap();
    }
    println!("{signatures} signatures between {resets} resets by three programs");
    assert!(card.ledger().resets() <= resets, "none of the resets is ours");
    assert_eq!(card.signatures(), signatures);
    assert_eq!((card.failed_verifies(Credential::Signature), card.tries_left(Credential::Signature)), (0, 5));
}
