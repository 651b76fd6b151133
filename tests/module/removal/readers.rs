//! Readers that come and go, and who is told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cryptoki_sys as ck;
use pcsc_stand_in::service::Function;
use virtual_card::Credential;

use crate::support::by_handle::ByHandle;
use crate::support::calls::rv;
use crate::support::fixture::{Fixture, READER};

#[test]
fn a_reader_plugged_in_again_has_its_slots_again() {
    let fixture = Fixture::new();
    let slots = fixture.module().list_slots(true).unwrap();
    let session = fixture.logged_in(Credential::Authentication);
    fixture.service().remove_reader(READER);
    assert_eq!(fixture.module().count_slots(true), Ok(0));
    assert_eq!(rv(fixture.module().session_info(session)), ck::CKR_SESSION_HANDLE_INVALID);
    fixture.service().add_reader(c"Another Reader");
    fixture.service().add_reader(READER);
    fixture.insert_card();
    assert_eq!(fixture.module().count_slots(false), Ok(4));
    assert_eq!(fixture.module().list_slots(true).unwrap(), slots);
    fixture.logged_in(Credential::Authentication);
}

#[test]
fn readers_may_come_and_go_between_the_two_calls_for_a_list_of_slots() {
    let fixture = Fixture::new();
    let second = c"Another Reader";
    let stop = AtomicBool::new(false);
    let mut most = 2;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fixture.service().add_reader(second);
                fixture.service().remove_reader(second);
            }
        });
        for _ in 0..2_000 {
            let count = fixture.module().count_slots(false).unwrap();
            let listed = fixture.module().list_slots(false).unwrap();
            assert_eq!(listed.len(), count, "readers are looked for between the two calls");
            assert!((most..=4).contains(&count), "slots are taken back");
            assert!(listed.iter().zip(0..).all(|(slot, index)| slot.raw() == index));
            most = count;
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn an_event_comes_for_both_slots_when_a_card_is_pulled_while_the_program_waits() {
    let fixture = Fixture::new();
    // What there was before is no event.
    assert_eq!(rv(fixture.module().wait_for_slot_event(false)), ck::CKR_NO_EVENT);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| fixture.module().wait_for_slot_event(true));
        fixture.service().await_blocked(Function::GetStatusChange, 1);
        fixture.remove_card();
        assert_eq!(waiter.join().unwrap(), Ok(fixture.auth_slot()));
    });
    assert_eq!(fixture.module().wait_for_slot_event(false), Ok(fixture.sign_slot()));
    assert_eq!(rv(fixture.module().wait_for_slot_event(false)), ck::CKR_NO_EVENT);
}

#[test]
fn an_event_comes_for_both_slots_when_a_reader_with_a_card_is_unplugged_or_plugged_in() {
    let fixture = Fixture::new();
    assert_eq!(rv(fixture.module().wait_for_slot_event(false)), ck::CKR_NO_EVENT);
    let both = || {
        let events = [(); 2].map(|()| fixture.module().wait_for_slot_event(true).unwrap());
        assert_eq!(events, [fixture.auth_slot(), fixture.sign_slot()]);
        assert_eq!(rv(fixture.module().wait_for_slot_event(false)), ck::CKR_NO_EVENT);
    };
    fixture.service().remove_reader(READER);
    both();
    fixture.service().add_reader(READER);
    fixture.insert_card();
    both();
}
#[test]
fn a_wait_for_an_event_is_one_call_that_goes_on_until_something_happens() {
    let fixture = Fixture::builder().without_card().build();
    let calls = || {
        let functions = [Function::EstablishContext, Function::ListReaders, Function::GetStatusChange];
        functions.map(|function| fixture.service().calls(function)).iter().sum::<u64>()
    };
    assert_eq!(rv(fixture.module().wait_for_slot_event(false)), ck::CKR_NO_EVENT);
    let before = calls();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| fixture.module().wait_for_slot_event(true));
        fixture.service().await_blocked(Function::GetStatusChange, 1);
        // A look at the readers, a context, another look, and the call that waits.
        assert!(calls() - before <= 6, "{} calls", calls() - before);
        fixture.insert_card();
        assert!(waiter.join().expect("no panic").is_ok());
    });
}
