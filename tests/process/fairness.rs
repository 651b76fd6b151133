//! Programs that sign without a pause, at one card: each gets its share, and they lose little by
//! it.
//!
//! pcscd has no queue: a program that waits looks every 100 ms whether the card is free.
//! `JPKI_SOAK=full` makes the times long, and asserts the whole share, how long a program waits and
//! what all of them make together. Ten seconds are a few turns only, and on a busy machine it is
//! luck who gets the next one: then a third of the share is asked for. A program that starves gets
//! less.

use std::env;
use std::time::Duration;

use crate::support::child::Child;
use crate::support::stack;

/// What the card takes for a command and for a signature: less than a real one, so that there is
/// much to count.
const COMMAND: Duration = Duration::from_millis(5);
const SIGNATURE: Duration = Duration::from_millis(60);

/// How one of several programs fared.
#[derive(Debug)]
struct Outcome {
    signatures: usize,
    /// Of a hundred signatures, 95 took less.
    most_took: Duration,
}

fn is_full() -> bool {
    env::var_os("JPKI_SOAK").is_some_and(|value| value == "full")
}

/// Lets so many programs sign at once.
fn sign_at_once(hosts: &mut [Child], time: Duration) -> Vec<Outcome> {
    for host in &mut *hosts {
        host.tell(&format!("sign-for authentication {}", time.as_millis()));
    }
    let outcome = |host: &mut Child| {
        let answer = host.answer_within(time + Duration::from_secs(60)).expect("an answer");
        let words: Vec<_> = answer.split(' ').collect();
        let ["CKR_OK", signatures, most_took] = words[..] else { panic!("{answer}") };
        Outcome {
            signatures: signatures.parse().unwrap(),
            most_took: Duration::from_millis(most_took.parse().unwrap()),
        }
    };
    hosts.iter_mut().map(outcome).collect()
}

/// What is wrong when these programs sign at once and each is to get one part of so many.
fn complaint(hosts: &mut [Child], time: Duration, share: usize, alone: usize) -> Option<String> {
    let outcomes = sign_at_once(hosts, time);
    let all: usize = outcomes.iter().map(|outcome| outcome.signatures).sum();
    let told = format!("{} programs, {time:?}: {outcomes:?}; together {all}, one alone {alone}", hosts.len());
    println!("{told}");
    let mut is_well = outcomes.iter().all(|outcome| outcome.signatures * share >= all);
    if is_full() {
        is_well &= outcomes.iter().all(|outcome| outcome.most_took < Duration::from_secs(4));
        is_well &= all * 100 >= alone * 93;
    }
    (!is_well).then_some(told)
}

#[test]
fn each_of_two_programs_gets_a_third_and_each_of_three_a_fifth() {
    let time = Duration::from_secs(if is_full() { 60 } else { 10 });
    let stack = stack(true);
    stack.card(0).set_latency(COMMAND, SIGNATURE);
    let mut hosts = [(); 3].map(|()| Child::logged_in(&stack, &["authentication"]));
    let alone = sign_at_once(&mut hosts[..1], time)[0].signatures;
    for (count, whole) in [(2, 3), (3, 5)] {
        let share = if is_full() { whole } else { 3 * whole };
        // A busy machine takes turns from one or another, but not three times.
        let attempts = 0..3;
        let complaints: Vec<_> =
            attempts.map_while(|_| complaint(&mut hosts[..count], time, share, alone)).collect();
        assert!(complaints.len() < 3, "{complaints:#?}");
    }
}
