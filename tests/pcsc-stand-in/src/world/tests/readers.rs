//! What clients see of readers, and how they wait for changes.

use std::ffi::CString;
use std::thread;
use std::time::Duration;

use super::*;
use crate::world::{Code, Function, PNP_NOTIFICATION, ReaderState, state};

fn look(world: &World, context: ContextHandle) -> ReaderState {
    let mut readers = [ReaderState::unaware(READER)];
    world.get_status_change(context, Some(Duration::ZERO), &mut readers).unwrap();
    let [reader] = readers;
    reader
}

#[test]
fn insertions_and_removals_are_counted() {
    let (world, _) = world();
    let context = world.establish_context().unwrap();
    let before = look(&world, context);
    world.out_and_in(READER);
    let after = look(&world, context);
    assert_eq!(after.event & 0xffff, before.event & 0xffff);
    assert_eq!(after.events(), before.events() + 2);
    assert_eq!(after.event & state::PRESENT, state::PRESENT);
    assert_eq!(after.atr, [0x3b, 0x00]);
}

#[test]
fn a_card_that_came_back_between_two_looks_is_noticed() {
    let (world, _) = world();
    let context = world.establish_context().unwrap();
    let mut known = look(&world, context);
    known.current = known.event;
    world.out_and_in(READER);
    let mut readers = [known];
    assert_eq!(world.get_status_change(context, None, &mut readers), Ok(()));
    assert_eq!(readers[0].event & state::CHANGED, state::CHANGED);
}

#[test]
fn a_wait_ends_when_the_card_goes() {
    let (world, _) = world();
    let context = world.establish_context().unwrap();
    let mut known = look(&world, context);
    known.current = known.event;
    thread::scope(|scope| {
        let waited = scope.spawn(|| {
            let mut readers = [known.clone()];
            world.get_status_change(context, None, &mut readers).map(|()| readers[0].event)
        });
        world.await_blocked(Function::GetStatusChange, 1);
        world.remove_card(READER);
        let event = waited.join().unwrap().unwrap();
        assert_eq!(event & (state::EMPTY | state::CHANGED), state::EMPTY | state::CHANGED);
    });
}

#[test]
fn a_wait_ends_when_a_reader_comes() {
    let (world, _) = world();
    let context = world.establish_context().unwrap();
    thread::scope(|scope| {
        let waited = scope.spawn(|| {
            let mut readers = [ReaderState::unaware(PNP_NOTIFICATION)];
            world.get_status_change(context, None, &mut readers).map(|()| readers[0].event)
        });
        world.await_blocked(Function::GetStatusChange, 1);
        world.add_reader(c"Another Reader 01 00");
        assert_eq!(waited.join().unwrap(), Ok(state::CHANGED));
    });
}

#[test]
fn a_wait_ends_when_its_reader_goes() {
    let (world, _) = world();
    let context = world.establish_context().unwrap();
    let mut known = look(&world, context);
    known.current = known.event;
    thread::scope(|scope| {
        let waited = scope.spawn(|| {
            let mut readers = [known.clone()];
            world.get_status_change(context, None, &mut readers).map(|()| readers[0].event)
        });
        world.await_blocked(Function::GetStatusChange, 1);
        world.remove_reader(READER);
        let event = waited.join().unwrap().unwrap();
        assert_eq!(event, state::CHANGED | state::UNKNOWN | state::UNAVAILABLE);
    });
}

#[test]
fn a_wait_for_nothing_new_times_out() {
    let (world, _) = world();
    let context = world.establish_context().unwrap();
    let mut known = look(&world, context);
    known.current = known.event;
    let mut readers = [known];
    let waited = world.get_status_change(context, Some(Duration::from_millis(1)), &mut readers);
    assert_eq!(waited, Err(Code::TIMEOUT));
}

#[test]
fn a_cancelled_wait_ends_and_a_later_one_does_not() {
    let (world, _) = world();
    let context = world.establish_context().unwrap();
    let wait = |timeout| {
        let mut readers = [ReaderState::unaware(PNP_NOTIFICATION)];
        world.get_status_change(context, timeout, &mut readers)
    };
    thread::scope(|scope| {
        let waited = scope.spawn(|| wait(None));
        world.await_blocked(Function::GetStatusChange, 1);
        world.cancel(context).unwrap();
        assert_eq!(waited.join().unwrap(), Err(Code::CANCELLED));
    });
    world.cancel(context).unwrap();
    assert_eq!(wait(Some(Duration::from_millis(1))), Err(Code::TIMEOUT));
}

#[test]
fn a_wait_occupies_its_context_and_no_other() {
    let (world, _) = world();
    let context = world.establish_context().unwrap();
    let other = world.establish_context().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut readers = [ReaderState::unaware(PNP_NOTIFICATION)];
            world.get_status_change(context, None, &mut readers)
        });
        world.await_blocked(Function::GetStatusChange, 1);
        let listed = scope.spawn(|| world.list_readers(context));
        world.list_readers(other).unwrap();
        world.cancel(context).unwrap();
        listed.join().unwrap().unwrap();
    });
}

#[test]
fn an_unknown_reader_is_refused() {
    let (world, _) = world();
    let context = world.establish_context().unwrap();
    let mut readers = [ReaderState::unaware(c"Nowhere")];
    assert_eq!(world.get_status_change(context, None, &mut readers), Err(Code::UNKNOWN_READER));
    let connected = world.connect(context, c"Nowhere", ShareMode::Shared, ANY);
    assert_eq!(connected, Err(Code::UNKNOWN_READER));
}

#[test]
fn a_reader_that_comes_back_is_another_one() {
    let (world, _) = world();
    let (_, card) = client(&world);
    world.remove_reader(READER);
    assert_eq!(world.begin_transaction(card), Err(Code::READER_UNAVAILABLE));
    world.add_reader(READER);
    world.insert(READER, Arc::new(Witness::default()));
    assert_eq!(world.begin_transaction(card), Err(Code::READER_UNAVAILABLE));
    assert_eq!(world.disconnect(card, Disposition::Leave), Ok(()));
}

#[test]
fn no_readers_is_an_answer_of_its_own() {
    let world = World::new();
    let context = world.establish_context().unwrap();
    assert_eq!(world.list_readers(context), Err(Code::NO_READERS_AVAILABLE));
}

#[test]
fn names_are_bytes() {
    let world = World::new();
    let context = world.establish_context().unwrap();
    let names =
        ["マイナンバーカード読取機".as_bytes(), &[0xff, 0xfe, b'x']].map(|name| CString::new(name).unwrap());
    names.iter().for_each(|name| world.add_reader(name));
    assert_eq!(world.list_readers(context).unwrap(), names);
}

#[test]
fn a_connection_shows_in_the_reader_state() {
    let (world, _) = world();
    let (context, _) = client(&world);
    assert_eq!(look(&world, context).event & state::INUSE, state::INUSE);
}
