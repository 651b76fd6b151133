//! Cards and readers that do not leave the application as they should.

use super::{assert_not_locked, verified};
use crate::support::calls::{Call, is_leaving};
use pcsc_stand_in::service::{Caller, Code, Fault, Function, When};
use virtual_card::{Fault as CardFault, Profile};

#[test]
fn a_card_that_does_not_leave_its_application_loses_its_power_and_the_result_stands() {
    let effects: [fn(virtual_card::Trigger) -> CardFault; 3] = [
        |trigger| trigger.answer(vec![]),
        |trigger| trigger.answer(vec![0x90]),
        |trigger| trigger.transport_error(5),
    ];
    for effect in effects {
        for (call, leaving) in leaving_calls() {
            let ready = call.ready(&Profile::full());
            ready.fixture.card().inject(effect(CardFault::at(leaving)));
            assert_eq!(ready.make(), Ok(()), "{call:?}");
            assert!(!verified(&ready), "{call:?}");
            assert_eq!(ready.fixture.service().power_counts(Caller::Tested).unpowers, 1, "{call:?}");
            ready.assert_session_works();
        }
    }
}

#[test]
fn a_card_that_refuses_the_neutral_application_is_made_to_forget_by_another_one_or_loses_its_power() {
    for (refused, unpowers) in [(1, 0), (3, 0), (4, 1)] {
        for status in [0x6a82, 0x6985] {
            for (call, leaving) in leaving_calls() {
                let ready = call.ready(&Profile::full());
                for number in leaving..leaving + refused {
                    ready.fixture.card().inject(CardFault::at(number).answer_status(status));
                }
                assert_eq!(ready.make(), Ok(()), "{call:?}");
                assert!(!verified(&ready), "{call:?}");
                let taken = ready.fixture.service().power_counts(Caller::Tested).unpowers;
                assert_eq!(taken, unpowers, "{call:?}, {refused} refused");
                ready.assert_session_works();
            }
        }
    }
}

#[test]
fn a_transaction_that_does_not_end_is_ended_without_power_and_the_result_stands() {
    for (call, leaving) in leaving_calls() {
        for card_leaves in [true, false] {
            let ready = call.ready(&Profile::full());
            if !card_leaves {
                ready.fixture.card().inject(CardFault::at(leaving).answer(vec![]));
            }
            let fail = Fault::Fail(Code::COMM_ERROR);
            ready.fixture.service().inject(Function::EndTransaction, When::NEXT, fail);
            assert_eq!(ready.make(), Ok(()), "{call:?}");
            assert!(!verified(&ready), "{call:?}");
            assert_eq!(ready.fixture.service().power_counts(Caller::Tested).unpowers, 1, "{call:?}");
            assert_not_locked(&ready.fixture, &format!("{call:?}"));
            ready.assert_session_works();
        }
    }
}

/// The calls that send a PIN, and the number of the command by which the card leaves the
/// application.
fn leaving_calls() -> Vec<(Call, usize)> {
    let number = |call: &Call| call.commands(&Profile::full()).iter().position(is_leaving);
    Call::ALL.iter().filter_map(|call| Some((*call, number(call)? + 1))).collect()
}
