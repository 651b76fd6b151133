//! Transactions and exclusive connections.

use std::sync::mpsc;
use std::thread;

use super::*;
use crate::world::{Caller, Code, Function, PowerCounts};

#[test]
fn a_transaction_keeps_other_clients_waiting() {
    let (world, _) = world();
    let (_, first) = client(&world);
    let (_, second) = client(&world);
    world.begin_transaction(first).unwrap();
    let (done, ended) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            world.begin_transaction(second).unwrap();
            done.send(()).unwrap();
        });
        world.await_blocked(Function::BeginTransaction, 1);
        assert!(ended.try_recv().is_err());
        world.end_transaction(first, Disposition::Leave).unwrap();
        ended.recv().unwrap();
    });
}

#[test]
fn a_command_waits_for_a_foreign_transaction() {
    let (world, _) = world();
    let (_, card) = client(&world);
    let foreign = world.foreign().hold_transaction(READER).unwrap();
    thread::scope(|scope| {
        let sent = scope.spawn(|| world.transmit(card, protocol::T1, COMMAND, 256));
        world.await_blocked(Function::Transmit, 1);
        drop(foreign);
        assert_eq!(sent.join().unwrap().unwrap().answer, [0x90, 0x00]);
    });
}

#[test]
fn a_new_connection_waits_for_the_end_of_a_transaction() {
    let (world, _) = world();
    let context = world.establish_context().unwrap();
    let foreign = world.foreign().hold_transaction(READER).unwrap();
    thread::scope(|scope| {
        let connected = scope.spawn(|| world.connect(context, READER, ShareMode::Shared, ANY));
        world.await_blocked(Function::Connect, 1);
        drop(foreign);
        connected.join().unwrap().unwrap();
    });
}

#[test]
fn a_context_serves_other_calls_while_one_waits_for_a_transaction() {
    let (world, _) = world();
    let (context, card) = client(&world);
    let foreign = world.foreign().hold_transaction(READER).unwrap();
    thread::scope(|scope| {
        let begun = scope.spawn(|| world.begin_transaction(card));
        world.await_blocked(Function::BeginTransaction, 1);
        assert_eq!(world.list_readers(context).unwrap(), [READER.to_owned()]);
        drop(foreign);
        begun.join().unwrap().unwrap();
    });
}

#[test]
fn transactions_of_one_connection_nest() {
    let (world, _) = world();
    let (_, card) = client(&world);
    world.begin_transaction(card).unwrap();
    world.begin_transaction(card).unwrap();
    world.end_transaction(card, Disposition::Leave).unwrap();
    world.end_transaction(card, Disposition::Leave).unwrap();
    assert_eq!(world.end_transaction(card, Disposition::Leave), Err(Code::NOT_TRANSACTED));
}

#[test]
fn an_exclusive_connection_keeps_others_out() {
    let (world, _) = world();
    let holder = world.foreign().connect_exclusive(READER).unwrap();
    let context = world.establish_context().unwrap();
    let connect = || world.connect(context, READER, ShareMode::Shared, ANY).map(|_| ());
    assert_eq!(connect(), Err(Code::SHARING_VIOLATION));
    drop(holder);
    assert_eq!(connect(), Ok(()));
}

#[test]
fn nobody_becomes_exclusive_beside_another_connection() {
    let (world, _) = world();
    let (_, card) = client(&world);
    assert_eq!(world.foreign().connect_exclusive(READER).err(), Some(Code::SHARING_VIOLATION));
    world.reconnect(card, ShareMode::Exclusive, ANY, Disposition::Leave).unwrap();
    assert_eq!(world.foreign().connect(READER).err(), Some(Code::SHARING_VIOLATION));
}

#[test]
fn a_client_gone_inside_a_transaction_resets_the_card() {
    let (world, witness) = world();
    let (context, card) = client(&world);
    world.begin_transaction(card).unwrap();
    world.release_context(context).unwrap();
    assert_eq!(witness.events(), ["reset"]);
    assert_eq!(world.power_counts(Caller::Tested), PowerCounts { resets: 1, unpowers: 0 });
    world.foreign().hold_transaction(READER).unwrap();
}

#[test]
fn a_client_gone_outside_a_transaction_leaves_the_card() {
    let (world, witness) = world();
    let (context, card) = client(&world);
    world.release_context(context).unwrap();
    assert_eq!(witness.events(), [""; 0]);
    assert_eq!(world.status(card), Err(Code::INVALID_HANDLE));
    assert_eq!(world.open_handles(), (0, 0));
}
