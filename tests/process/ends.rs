//! What each kind of end leaves on the card, in the middle of a signature: often, and for how long.
//! README tells it in one table, from the figures that this prints.
//!
//! Each end comes while the card carries a command of the signature out. A card that keeps its
//! login over a reset is open from VERIFY on, until the last SELECT.

use std::env;
use std::time::{Duration, Instant};

use crate::support::breakpoint::Breakpoint;
use crate::support::child::Child;
use crate::support::{stack, wait_until};
use virtual_card::stack::Stack;
use virtual_card::{Credential, VirtualCard};

const CREDENTIAL: Credential = Credential::Signature;
const PRELUDE: [&str; 3] = ["initialize", "open signature", "login signature"];

/// How a process ends that nothing can be done about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Kill,
    Abort,
    UnderscoreExit,
    Exec,
    /// exit() in a handler of a signal that interrupts the signature: it cannot go on.
    ExitInHandler,
}

const ENDS: [End; 5] = [End::Kill, End::Abort, End::UnderscoreExit, End::Exec, End::ExitInHandler];

/// How long an exit() waits for an operation that cannot go on.
const EXIT_WAITS: Duration = Duration::from_secs(2);

/// What a signature sends: how many commands, and after which the card is verified.
struct Course {
    length: usize,
    open: Vec<usize>,
}

fn course(stack: &Stack) -> Course {
    let mut host = Child::start(stack);
    host.expect_ok(&PRELUDE);
    let mark = stack.card(0).mark();
    host.expect("sign signature", "CKR_OK");
    let ledger = stack.card(0).ledger_since(mark);
    // The command that the card has before it is carried out.
    let verified: Vec<bool> = ledger.commands().map(|command| command.verified_after.any()).collect();
    let open = (1..).zip(&verified).filter(|(_, verified)| **verified).map(|(number, _)| number).collect();
    Course { length: verified.len(), open }
}

/// At which commands it is tried: at each with `JPKI_ENDS`, else before VERIFY, while the card is
/// open, and at the last command.
fn points(course: &Course) -> Vec<usize> {
    if env::var_os("JPKI_ENDS").is_some() {
        return (1..=course.length).collect();
    }
    vec![course.open[0] - 1, course.open[0], course.length]
}

/// Ends a host while the card has a command before it. Returns when the process is gone.
fn end_at(stack: &Stack, end: End, number: usize) {
    let mut host = Child::start(stack);
    host.expect_ok(&PRELUDE);
    let breakpoint = Breakpoint::before(&stack.card(0), number);
    let mut thread = 0;
    if end == End::ExitInHandler {
        thread = host.ask("exit-in-handler").parse().expect("a thread");
        host.tell("sign signature");
    } else {
        host.expect("spawn sign signature", "spawned");
    }
    breakpoint.wait();
    let begun = Instant::now();
    match end {
        End::Kill => host.kill(),
        End::Abort => host.abort(),
        End::UnderscoreExit => host.tell("_exit"),
        End::Exec => host.tell("exec /bin/true"),
        End::ExitInHandler => host.interrupt(thread),
    }
    let status = host.wait_for_exit();
    assert_eq!(status.success(), !matches!(end, End::Kill | End::Abort), "{end:?}: {status}");
    if end == End::ExitInHandler {
        assert!(begun.elapsed() >= EXIT_WAITS, "it was interrupted elsewhere: {:?}", begun.elapsed());
    }
    breakpoint.resume();
}

/// What is left after the reset, and until when, as long as no program is connected.
fn aftermath(card: &VirtualCard, resets: usize) -> (Duration, Option<Duration>) {
    let until_reset = wait_until("the reset", || card.ledger().resets() > resets);
    let open = card.verified(CREDENTIAL);
    let until_closed = wait_until("the card is closed", || !card.verified(CREDENTIAL));
    (until_reset, open.then_some(until_closed))
}

#[test]
fn what_an_end_in_the_middle_of_a_signature_leaves_is_told() {
    for keeps_verified in [false, true] {
        let stack = stack(keeps_verified);
        let (card, course) = (stack.card(0), course(&stack));
        let kind = if keeps_verified { "keeps" } else { "loses" };
        println!("a card that {kind} its login over a reset, {} commands: {:?}", course.length, course.open);
        for end in ENDS {
            let (mut left, mut times, mut resets) = (Vec::new(), Vec::new(), Vec::new());
            // An exit() waits each time.
            let points = if end == End::ExitInHandler { course.open[..1].to_vec() } else { points(&course) };
            for number in &points {
                let before = card.ledger().resets();
                end_at(&stack, end, *number);
                let (reset, open) = aftermath(&card, before);
                resets.push(reset);
                if let Some(time) = open {
                    left.push(*number);
                    times.push(time);
                }
            }
            println!(
                "  {end:?}: {} of {} left open, at {left:?}; reset after at most {:?}, closed after {:?} to {:?}",
                left.len(),
                points.len(),
                resets.iter().max().unwrap(),
                times.iter().min().unwrap_or(&Duration::ZERO),
                times.iter().max().unwrap_or(&Duration::ZERO),
            );
            let open: Vec<_> = points.into_iter().filter(|number| course.open.contains(number)).collect();
            assert_eq!(left, if keeps_verified { open } else { Vec::new() }, "{end:?}");
        }
        let tries = [Credential::Authentication, CREDENTIAL].map(|credential| card.tries_left(credential));
        assert_eq!((card.failed_verifies(CREDENTIAL), tries), (0, [3, 5]));
    }
}

/// A child of a fork that does not become another program keeps the parent's socket open, and pcscd
/// does not see that the parent is gone.
#[test]
fn what_an_inherited_socket_leaves_is_told() {
    for keeps_verified in [false, true] {
        let stack = stack(keeps_verified);
        let (card, course) = (stack.card(0), course(&stack));
        let mut host = Child::start(&stack);
        host.expect_ok(&PRELUDE);
        host.expect("fork-and-linger", "forked");
        let child = host.fork_pid();
        let resets = card.ledger().resets();
        let breakpoint = Breakpoint::before(&card, course.open[0]);
        host.tell("sign signature");
        breakpoint.wait();
        host.kill();
        breakpoint.resume();
        let mut attacker = Child::start(&stack);
        attacker.tell("foreign sign");
        let early = attacker.answer_within(Duration::from_secs(3));
        let still_open = card.verified(CREDENTIAL);
        // SAFETY: this test made the process, and only init reaps it.
        assert_eq!(unsafe { libc::kill(libc::pid_t::try_from(child).unwrap(), libc::SIGKILL) }, 0);
        let answer = attacker.answer();
        println!(
            "a card that {} its login over a reset: while the child lives the card is {}, and another program {}; \
             after its end that gets {answer}",
            if keeps_verified { "keeps" } else { "loses" },
            if still_open { "open" } else { "closed" },
            if early.is_none() { "waits" } else { "does not wait" },
        );
        assert!(still_open && early.is_none(), "{early:?}");
        assert_eq!(answer, if keeps_verified { "6982 9000" } else { "6982 6982" });
        assert_eq!(card.ledger().resets(), resets + 1);
        assert_eq!(card.failed_verifies(CREDENTIAL), 0);
    }
}
