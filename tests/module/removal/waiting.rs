//! A wait for an event over services that tell of no reader, or that end it for nothing.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cryptoki_sys as ck;
use jpki_pkcs11::handle::SlotId;
use pcsc_stand_in::service::{Code, Fault, Function, Notification, Quirks, When};
use virtual_card::{Identity, Profile, VirtualCard};

use crate::support::calls::rv;
use crate::support::fixture::{Fixture, READER};

const SECOND: Duration = Duration::from_secs(1);

/// More calls than one second of a wait makes: a look, and a list and a question each second.
const CALLS_A_SECOND: u64 = 16;

/// A module that waits notices a reader that comes, over a service with these ways.
fn assert_new_reader_is_noticed(ways: Quirks, has_reader: bool) {
    let case = format!("{ways:?}, another reader: {has_reader}");
    let fixture = Fixture::new();
    let (service, module) = (fixture.service(), fixture.module());
    service.set_quirks(ways);
    assert_eq!(module.count_slots(true), Ok(2), "{case}");
    let (reader, slot) = if has_reader {
        (c"Another Reader", SlotId::new(2))
    } else {
        service.remove_reader(READER);
        (READER, fixture.auth_slot())
    };
    while module.wait_for_slot_event(false).is_ok() {}
    thread::scope(|scope| {
        let before = service.all_calls();
        let waiter = scope.spawn(|| module.wait_for_slot_event(true));
        thread::sleep(SECOND);
        let calls = service.all_calls() - before;
        let card = VirtualCard::new(Profile::full(), Identity::from_seed(1));
        service.add_reader(reader);
        service.insert(reader, Arc::new(card));
        let plugged = Instant::now();
        assert_eq!(waiter.join().unwrap(), Ok(slot), "{case}");
        // A wait goes on for a minute before all readers are looked at again.
        assert!(plugged.elapsed() < 20 * SECOND, "{:?}: {case}", plugged.elapsed());
        assert!(calls <= CALLS_A_SECOND, "{calls} calls in a second: {case}");
    });
}

#[test]
fn a_new_reader_is_noticed_where_the_service_tells_of_none() {
    let of_macos = Quirks { is_macos: true, ..Quirks::default() };
    let of_windows = Quirks { is_windows: true, ..Quirks::default() };
    let with = |notification| Quirks { notification, ..Quirks::default() };
    thread::scope(|scope| {
        for ways in [of_macos, of_windows, with(Notification::Unknown), with(Notification::Refused)] {
            for has_reader in [true, false] {
                scope.spawn(move || assert_new_reader_is_noticed(ways, has_reader));
            }
        }
    });
}

#[test]
fn a_service_that_stops_with_the_last_reader_is_asked_each_second() {
    let fixture = Fixture::new();
    let (service, module) = (fixture.service(), fixture.module());
    service.set_quirks(Quirks { is_windows: true, ..Quirks::default() });
    service.remove_reader(READER);
    while module.wait_for_slot_event(false).is_ok() {}
    thread::scope(|scope| {
        let waiter = scope.spawn(|| module.wait_for_slot_event(true));
        // Over another service the pauses are half a second, one, two and four by then.
        thread::sleep(Duration::from_millis(3_600));
        service.add_reader(READER);
        fixture.insert_card();
        let plugged = Instant::now();
        assert_eq!(waiter.join().unwrap(), Ok(fixture.auth_slot()));
        assert!(plugged.elapsed() < 3 * SECOND, "{:?}", plugged.elapsed());
    });
}

#[test]
fn a_wait_that_the_service_ends_for_nothing_again_and_again_pauses() {
    let fixture = Fixture::new();
    let (service, module) = (fixture.service(), fixture.module());
    service.set_quirks(Quirks::default());
    service.remove_reader(READER);
    while module.wait_for_slot_event(false).is_ok() {}
    service.inject(Function::GetStatusChange, When::ALWAYS, Fault::Fail(Code::CANCELLED));
    thread::scope(|scope| {
        let before = service.calls(Function::GetStatusChange);
        let waiter = scope.spawn(|| module.wait_for_slot_event(true));
        thread::sleep(SECOND);
        let calls = service.calls(Function::GetStatusChange) - before;
        module.shut_down();
        assert_eq!(rv(waiter.join().unwrap()), ck::CKR_CRYPTOKI_NOT_INITIALIZED);
        assert!((2..=10).contains(&calls), "{calls} waits in a second");
    });
}
