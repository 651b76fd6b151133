//! What clients see of readers, and how they wait for changes.

use std::ffi::CString;
use std::thread;
use std::time::Duration;

use super::*;
use crate::service::{Code, Function, Notification, PNP_NOTIFICATION, Quirks, ReaderState, state};

fn look(service: &Service, context: ContextHandle) -> ReaderState {
    let mut readers = [ReaderState::unaware(READER)];
    service.get_status_change(context, Some(Duration::ZERO), &mut readers).unwrap();
    let [reader] = readers;
    reader
}

#[test]
fn insertions_and_removals_are_counted() {
    let (service, _) = service();
    let context = service.establish_context().unwrap();
    let before = look(&service, context);
    service.out_and_in(READER);
    let after = look(&service, context);
    assert_eq!(after.event & 0xffff, before.event & 0xffff);
    assert_eq!(after.events(), before.events() + 2);
    assert_eq!(after.event & state::PRESENT, state::PRESENT);
    assert_eq!(after.atr, [0x3b, 0x00]);
}

#[test]
fn a_card_that_came_back_between_two_looks_is_noticed() {
    let (service, _) = service();
    let context = service.establish_context().unwrap();
    let mut known = look(&service, context);
    known.current = known.event;
    service.out_and_in(READER);
    let mut readers = [known];
    assert_eq!(service.get_status_change(context, None, &mut readers), Ok(()));
    assert_eq!(readers[0].event & state::CHANGED, state::CHANGED);
}

#[test]
fn a_wait_ends_when_the_card_goes() {
    let (service, _) = service();
    let context = service.establish_context().unwrap();
    let mut known = look(&service, context);
    known.current = known.event;
    thread::scope(|scope| {
        let waited = scope.spawn(|| {
            let mut readers = [known.clone()];
            service.get_status_change(context, None, &mut readers).map(|()| readers[0].event)
        });
        service.await_blocked(Function::GetStatusChange, 1);
        service.remove_card(READER);
        let event = waited.join().unwrap().unwrap();
        assert_eq!(event & (state::EMPTY | state::CHANGED), state::EMPTY | state::CHANGED);
    });
}

#[test]
fn a_wait_ends_when_a_reader_comes() {
    let (service, _) = service();
    let context = service.establish_context().unwrap();
    thread::scope(|scope| {
        let waited = scope.spawn(|| {
            let mut readers = [ReaderState::unaware(PNP_NOTIFICATION)];
            service.get_status_change(context, None, &mut readers).map(|()| readers[0].event)
        });
        service.await_blocked(Function::GetStatusChange, 1);
        service.add_reader(c"Another Reader 01 00");
        assert_eq!(waited.join().unwrap(), Ok(state::CHANGED));
    });
}

#[test]
fn a_service_that_does_not_know_the_notification_says_so_or_waits_for_the_rest() {
    let ask = |quirks| {
        let (service, _) = service();
        service.set_quirks(quirks);
        let context = service.establish_context().unwrap();
        let mut readers = [ReaderState::unaware(PNP_NOTIFICATION)];
        let asked = service.get_status_change(context, Some(Duration::ZERO), &mut readers);
        (asked, readers[0].event & state::UNKNOWN)
    };
    let with = |notification| Quirks { notification, ..Quirks::default() };
    assert_eq!(ask(with(Notification::Unknown)), (Ok(()), state::UNKNOWN));
    assert_eq!(ask(with(Notification::Refused)), (Err(Code::UNKNOWN_READER), 0));
    let of_macos = Quirks { is_macos: true, ..Quirks::default() };
    assert_eq!(ask(of_macos), (Err(Code::TIMEOUT), state::UNKNOWN));
}

#[test]
fn the_service_of_windows_stops_with_the_last_reader_and_counts_anew() {
    let (service, card) = service();
    service.set_quirks(Quirks { is_windows: true, ..Quirks::default() });
    let context = service.establish_context().unwrap();
    let before = look(&service, context).events();
    service.remove_reader(READER);
    assert_eq!(service.list_readers(context), Err(Code::ERROR_INVALID_HANDLE));
    assert_eq!(service.establish_context(), Err(Code::NO_SERVICE));
    service.add_reader(READER);
    service.insert(READER, card);
    assert_eq!(service.list_readers(context), Err(Code::ERROR_INVALID_HANDLE));
    let context = service.establish_context().unwrap();
    assert_eq!(look(&service, context).events(), before);
}

#[test]
fn a_wait_ends_when_its_reader_goes() {
    let (service, _) = service();
    let context = service.establish_context().unwrap();
    let mut known = look(&service, context);
    known.current = known.event;
    thread::scope(|scope| {
        let waited = scope.spawn(|| {
            let mut readers = [known.clone()];
            service.get_status_change(context, None, &mut readers).map(|()| readers[0].event)
        });
        service.await_blocked(Function::GetStatusChange, 1);
        service.remove_reader(READER);
        let event = waited.join().unwrap().unwrap();
        assert_eq!(event, state::CHANGED | state::UNKNOWN | state::UNAVAILABLE);
    });
}

#[test]
fn a_wait_for_nothing_new_times_out() {
    let (service, _) = service();
    let context = service.establish_context().unwrap();
    let mut known = look(&service, context);
    known.current = known.event;
    let mut readers = [known];
    let waited = service.get_status_change(context, Some(Duration::from_millis(1)), &mut readers);
    assert_eq!(waited, Err(Code::TIMEOUT));
}

#[test]
fn a_cancelled_wait_ends_and_a_later_one_does_not() {
    let (service, _) = service();
    let context = service.establish_context().unwrap();
    let wait = |timeout| {
        let mut readers = [ReaderState::unaware(PNP_NOTIFICATION)];
        service.get_status_change(context, timeout, &mut readers)
    };
    thread::scope(|scope| {
        let waited = scope.spawn(|| wait(None));
        service.await_blocked(Function::GetStatusChange, 1);
        service.cancel(context).unwrap();
        assert_eq!(waited.join().unwrap(), Err(Code::CANCELLED));
    });
    service.cancel(context).unwrap();
    assert_eq!(wait(Some(Duration::from_millis(1))), Err(Code::TIMEOUT));
}

#[test]
fn a_wait_occupies_its_context_and_no_other() {
    let (service, _) = service();
    let context = service.establish_context().unwrap();
    let other = service.establish_context().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut readers = [ReaderState::unaware(PNP_NOTIFICATION)];
            service.get_status_change(context, None, &mut readers)
        });
        service.await_blocked(Function::GetStatusChange, 1);
        let listed = scope.spawn(|| service.list_readers(context));
        service.list_readers(other).unwrap();
        service.cancel(context).unwrap();
        listed.join().unwrap().unwrap();
    });
}

#[test]
fn an_unknown_reader_is_refused() {
    let (service, _) = service();
    let context = service.establish_context().unwrap();
    let mut readers = [ReaderState::unaware(c"Nowhere")];
    assert_eq!(service.get_status_change(context, None, &mut readers), Err(Code::UNKNOWN_READER));
    let connected = service.connect(context, c"Nowhere", ShareMode::Shared, ANY);
    assert_eq!(connected, Err(Code::UNKNOWN_READER));
}

#[test]
fn a_reader_that_comes_back_is_another_one() {
    let (service, _) = service();
    let (_, card) = client(&service);
    service.remove_reader(READER);
    assert_eq!(service.begin_transaction(card), Err(Code::READER_UNAVAILABLE));
    service.add_reader(READER);
    service.insert(READER, Arc::new(Witness::default()));
    assert_eq!(service.begin_transaction(card), Err(Code::READER_UNAVAILABLE));
    assert_eq!(service.disconnect(card, Disposition::Leave), Ok(()));
}

#[test]
fn no_readers_is_an_answer_of_its_own() {
    let service = Service::new();
    let context = service.establish_context().unwrap();
    assert_eq!(service.list_readers(context), Err(Code::NO_READERS_AVAILABLE));
}

#[test]
fn names_are_bytes() {
    let service = Service::new();
    let context = service.establish_context().unwrap();
    let names =
        ["マイナンバーカード読取機".as_bytes(), &[0xff, 0xfe, b'x']].map(|name| CString::new(name).unwrap());
    names.iter().for_each(|name| service.add_reader(name));
    assert_eq!(service.list_readers(context).unwrap(), names);
}

#[test]
fn a_connection_shows_in_the_reader_state() {
    let (service, _) = service();
    let (context, _) = client(&service);
    assert_eq!(look(&service, context).event & state::INUSE, state::INUSE);
}
