//! What a host that only waits costs: a browser polls once a second, all day. System calls are
//! counted by strace, commands by the card.

use crate::support::stack;
use crate::support::tracing::TracedHost;

/// Of one C_GetSlotInfo.
const MOST_OF_A_POLL: usize = 10;

/// System calls that put a thread to sleep until a time or another thread.
const WAITS: [&str; 5] = ["nanosleep", "clock_nanosleep", "futex", "select", "pselect6"];

#[test]
fn a_poll_asks_the_service_once_and_the_card_never() {
    const POLLS: usize = 5;
    let stack = stack(true);
    let mut traced = TracedHost::start(&stack);
    let host = traced.child();
    host.log_in(&["authentication", "signature"]);
    let mark = stack.card(0).mark();
    for token in ["authentication", "signature"] {
        for _ in 0..POLLS {
            host.expect(&format!("counted-poll {token}"), "CKR_OK CKR_OK");
        }
    }
    assert_eq!(stack.card(0).commands_since(mark), 0);
    let calls = traced.system_calls();
    let polls: Vec<_> = calls.chunks(2).collect();
    assert_eq!(polls.len(), 2 * POLLS);
    for poll in &polls {
        // A poll that asks nothing would not see a removal.
        assert!((1..=MOST_OF_A_POLL).contains(&poll[0].len()), "C_GetSlotInfo: {:?}", poll[0]);
    }
    // A busy machine may keep a host from its second question until the first answer is old.
    assert!(polls.iter().any(|poll| poll[1].is_empty()), "C_GetSessionInfo: {polls:?}");
}

#[test]
fn a_poll_of_an_empty_reader_costs_no_more() {
    let stack = stack(true);
    let mut traced = TracedHost::start(&stack);
    let host = traced.child();
    host.expect("initialize", "CKR_OK");
    host.expect("tokens", "CKR_OK 2");
    stack.remove(0).unwrap();
    host.expect_soon("tokens", "CKR_OK 0");
    for _ in 0..3 {
        host.expect("counted slot-info authentication", "CKR_OK");
    }
    for poll in traced.system_calls() {
        assert!((1..=MOST_OF_A_POLL).contains(&poll.len()), "{poll:?}");
    }
}

#[test]
fn the_end_of_an_idle_module_waits_for_nothing() {
    let stack = stack(true);
    let mut traced = TracedHost::start(&stack);
    let host = traced.child();
    host.log_in(&["authentication"]);
    host.expect("sign authentication", "CKR_OK");
    let mark = stack.card(0).mark();
    host.expect("counted finalize", "CKR_OK");
    assert_eq!(stack.card(0).commands_since(mark), 0);
    let calls = traced.system_calls();
    let [calls] = &calls[..] else { panic!("one line was counted: {calls:?}") };
    assert!(!calls.is_empty());
    assert!(!calls.iter().any(|call| WAITS.contains(&call.as_str())), "{calls:?}");
}
