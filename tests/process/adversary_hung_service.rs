//! A PC/SC service that hangs does not keep a program from ending (rule 11).

use std::time::{Duration, Instant};

use crate::support::child::Child;
use crate::support::stack;
use test_support::time::least_time;
use virtual_card::Credential;
use virtual_card::stack::Stack;

/// Stops the service as long as this lives.
struct Hung(libc::pid_t);

impl Hung {
    fn new(stack: &Stack) -> Self {
        let pid = libc::pid_t::try_from(stack.pcscd_pid().expect("it runs")).expect("an id");
        // SAFETY: the process is the stack's, and not reaped before the stack ends.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGSTOP) }, 0);
        Self(pid)
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::kill(self.0, libc::SIGCONT) };
    }
}

/// What goes on when the service begins to hang, and how long the program may take to end: as long
/// as it waits for operations, and some time for a busy machine.
const SCENES: [(&str, Duration); 3] = [
    ("", Duration::from_secs(1)),
    ("spawn wait", Duration::from_secs(1)),
    ("spawn sign authentication", Duration::from_secs(4)),
];

/// How long a program takes to end, in this scene and way.
fn time_of_end(stack: &Stack, meanwhile: &str, end: &str) -> Duration {
    let mut host = Child::logged_in(stack, &["authentication"]);
    host.expect("sign authentication", "CKR_OK");
    let _hung = Hung::new(stack);
    if !meanwhile.is_empty() {
        host.expect(meanwhile, "spawned");
    }
    let begun = Instant::now();
    let status = if end == "return from main" {
        host.wait()
    } else {
        host.tell(end);
        host.wait_for_exit()
    };
    let took = begun.elapsed();
    assert!(status.success());
    took
}

#[test]
fn a_program_ends_while_the_service_hangs() {
    let stack = stack(true);
    for (meanwhile, most) in SCENES {
        for end in ["exit", "spawn exit", "return from main"] {
            let took = least_time(most, || time_of_end(&stack, meanwhile, end));
            assert!(took < most, "{end}, {meanwhile}: {took:?}");
            assert_eq!(stack.card(0).failed_verifies(Credential::Authentication), 0);
        }
    }
    Child::logged_in(&stack, &["authentication"]).expect("sign authentication", "CKR_OK");
}
