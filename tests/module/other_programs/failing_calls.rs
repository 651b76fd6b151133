//! A call of the PC/SC service that fails, whichever it is: between two calls of the module, and
//! where another program has reset the card before.

use super::{assert_harmless, assert_not_locked, nth};
use crate::support::calls::{Call, Ready};
use crate::support::fixture::READER;
use pcsc_stand_in::service::{Code, Disposition, Fault, Function};
use virtual_card::{Credential, Profile};

/// Those that a call of the module can lead to, but for SCardTransmit: the other tests make that
/// fail.
const FUNCTIONS: [Function; 9] = [
    Function::EstablishContext,
    Function::ListReaders,
    Function::GetStatusChange,
    Function::Connect,
    Function::Reconnect,
    Function::BeginTransaction,
    Function::Control,
    Function::EndTransaction,
    Function::Disconnect,
];

/// What another program has done to the card before.
#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    Reset,
}

fn ready(call: Call, before: Before) -> Ready {
    let ready = call.ready(&Profile::full());
    if matches!(before, Before::Reset) {
        let program = ready.fixture.foreign().connect(READER).unwrap();
        program.disconnect(Disposition::Reset).unwrap();
    }
    ready
}

/// How often an undisturbed call leads to each function.
fn counts(call: Call, before: Before) -> [u64; FUNCTIONS.len()] {
    let ready = ready(call, before);
    let service = ready.fixture.service();
    let earlier = FUNCTIONS.map(|function| service.calls(function));
    ready.make().unwrap_or_else(|error| panic!("{call:?}: {error}"));
    let mut counts = FUNCTIONS.map(|function| service.calls(function));
    counts.iter_mut().zip(earlier).for_each(|(count, earlier)| *count -= earlier);
    counts
}

fn fails_harmlessly(code: Code) {
    let mut cases = 0;
    for &call in Call::ALL {
        for before in [Before::Nothing, Before::Reset] {
            for (function, count) in FUNCTIONS.into_iter().zip(counts(call, before)) {
                for number in 1..=count {
                    let ready = ready(call, before);
                    ready.fixture.expect_lost_handles();
                    let service = ready.fixture.service();
                    service.inject(function, nth(usize::try_from(number).unwrap()), Fault::Fail(code));
                    let result = ready.make();
                    let case = format!("{call:?}, {before:?}, {function} {number}, {code:?}: {result:?}");
                    service.clear_faults();
                    assert_harmless(&ready, &case);
                    assert_not_locked(&ready.fixture, &case);
                    for credential in Credential::ALL {
                        assert!(!ready.fixture.card().verified(credential), "{case}");
                    }
                    ready.assert_slot_works();
                    cases += 1;
                }
            }
        }
    }
    println!("{cases} cases");
    assert!(cases > 100);
}

#[test]
fn a_call_of_the_service_that_fails_costs_no_try_and_leaves_nothing() {
    for code in [Code::COMM_ERROR, Code::new(0x8010_0fff)] {
        fails_harmlessly(code);
    }
}

#[test]
fn a_call_of_the_service_that_finds_the_card_gone_costs_no_try_and_leaves_nothing() {
    fails_harmlessly(Code::REMOVED_CARD);
}

#[test]
fn a_call_of_the_service_that_finds_the_card_held_costs_no_try_and_leaves_nothing() {
    fails_harmlessly(Code::SHARING_VIOLATION);
}
