//! A long day: many signatures by one host, which grows by nothing, and by many threads of one,
//! which all get theirs.
//!
//! `JPKI_SOAK=full` makes it long; otherwise it is a short day. The figures are printed.

use std::time::Instant;
use std::{env, fs};

use crate::support::child::Child;
use crate::support::{stack, wait_until};

/// Signatures before the host is measured for the first time: what is made once is made then.
const WARM_UP: usize = 100;

/// Browsers poll once a second.
const EIGHT_HOURS: usize = 8 * 60 * 60;

const THREADS: usize = 16;

/// The most that the resident memory may grow, in KiB.
const MOST_GROWTH: usize = 1024;

/// What a process holds.
#[derive(Debug)]
struct Holdings {
    resident_kib: usize,
    descriptors: usize,
    threads: usize,
}

impl Holdings {
    fn of(pid: u32) -> Self {
        let entries = |what| fs::read_dir(format!("/proc/{pid}/{what}")).expect("it runs").count();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
        let resident = resident.trim().trim_end_matches(" kB").parse().expect("a number");
        Self { resident_kib: resident, descriptors: entries("fd"), threads: entries("task") }
    }
}

fn is_full() -> bool {
    env::var_os("JPKI_SOAK").is_some_and(|value| value == "full")
}

/// Polls so often; the card stays, and so does the login.
fn poll(host: &mut Child, times: usize) {
    host.tell(&format!("poll authentication {times}"));
    let answer = host.answer_within(std::time::Duration::from_secs(3600));
    assert_eq!(answer, Some("CKR_OK".to_owned()));
}

/// Makes so many signatures in each of so many threads; none may fail.
fn sign(host: &mut Child, threads: usize, each: usize) {
    host.tell(&format!("threads authentication {threads} {each}"));
    let answer = host.answer_within(std::time::Duration::from_secs(3600));
    assert_eq!(answer, Some(format!("CKR_OK {}", threads * each)));
}

/// Has a host do something so often, tells what it holds before and after, and fails if that has
/// grown. `act` does it a number of times.
fn must_not_grow(host: &mut Child, what: &str, count: usize, act: impl Fn(&mut Child, usize)) {
    act(host, WARM_UP);
    let (before, start) = (Holdings::of(host.pid()), Instant::now());
    act(host, count - WARM_UP);
    let seconds = start.elapsed().as_secs_f64();
    // The kernel counts a thread a moment longer than the program that has joined it.
    wait_until("the end of the threads", || Holdings::of(host.pid()).threads <= before.threads);
    let after = Holdings::of(host.pid());
    let growth = after.resident_kib.saturating_sub(before.resident_kib);
    println!(
        "{count} {what}, 0 failures; since the first {WARM_UP}: resident memory +{growth} KiB, descriptors {} -> {}, \
         threads {} -> {}, {:.1} ms each",
        before.descriptors,
        after.descriptors,
        before.threads,
        after.threads,
        1000.0 * seconds / (count - WARM_UP) as f64
    );
    assert!(growth <= MOST_GROWTH, "{before:?} {after:?}");
    assert_eq!((after.descriptors, after.threads), (before.descriptors, before.threads));
}

#[test]
fn a_host_that_signs_all_day_does_not_grow() {
    let count = if is_full() { 10_000 } else { 500 };
    let stack = stack(true);
    let mut host = Child::logged_in(&stack, &["authentication"]);
    must_not_grow(&mut host, "signatures", count, |host, times| sign(host, 1, times));
    assert_eq!(stack.card(0).signatures(), count);
}

#[test]
fn a_host_that_polls_for_eight_hours_does_not_grow() {
    let count = if is_full() { EIGHT_HOURS } else { 500 };
    let stack = stack(true);
    let mut host = Child::logged_in(&stack, &["authentication"]);
    must_not_grow(&mut host, "polls", count, poll);
    sign(&mut host, 1, 1);
}

#[test]
fn every_one_of_many_threads_gets_its_signatures() {
    let each = if is_full() { 1000 } else { 10 };
    let stack = stack(true);
    let mut host = Child::logged_in(&stack, &["authentication"]);
    let start = Instant::now();
    sign(&mut host, THREADS, each);
    println!(
        "{THREADS} threads with {each} signatures each, 0 errors, {:.0} s",
        start.elapsed().as_secs_f64()
    );
    assert_eq!(stack.card(0).signatures(), THREADS * each);
}
