//! Transactions and exclusive connections.

use std::sync::mpsc;
use std::thread;

use super::*;
use crate::service::{Caller, Code, Function, PowerCounts};

#[test]
fn a_transaction_keeps_other_clients_waiting() {
    let (service, _) = service();
    let (_, first) = client(&service);
    let (_, second) = client(&service);
    service.begin_transaction(first).unwrap();
    let (done, ended) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            service.begin_transaction(second).unwrap();
            done.send(()).unwrap();
        });
        service.await_blocked(Function::BeginTransaction, 1);
        assert!(ended.try_recv().is_err());
        service.end_transaction(first, Disposition::Leave).unwrap();
        ended.recv().unwrap();
    });
}

#[test]
fn a_command_waits_for_a_foreign_transaction() {
    let (service, _) = service();
    let (_, card) = client(&service);
    let foreign = service.foreign().hold_transaction(READER).unwrap();
    thread::scope(|scope| {
        let sent = scope.spawn(|| service.transmit(card, protocol::T1, COMMAND, 256));
        service.await_blocked(Function::Transmit, 1);
        drop(foreign);
        assert_eq!(sent.join().unwrap().unwrap().answer, [0x90, 0x00]);
    });
}

#[test]
fn a_new_connection_waits_for_the_end_of_a_transaction() {
    let (service, _) = service();
    let context = service.establish_context().unwrap();
    let foreign = service.foreign().hold_transaction(READER).unwrap();
    thread::scope(|scope| {
        let connected = scope.spawn(|| service.connect(context, READER, ShareMode::Shared, ANY));
        service.await_blocked(Function::Connect, 1);
        drop(foreign);
        connected.join().unwrap().unwrap();
    });
}

#[test]
fn a_context_serves_other_calls_while_one_waits_for_a_transaction() {
    let (service, _) = service();
    let (context, card) = client(&service);
    let foreign = service.foreign().hold_transaction(READER).unwrap();
    thread::scope(|scope| {
        let begun = scope.spawn(|| service.begin_transaction(card));
        service.await_blocked(Function::BeginTransaction, 1);
        assert_eq!(service.list_readers(context).unwrap(), [READER.to_owned()]);
        drop(foreign);
        begun.join().unwrap().unwrap();
    });
}

#[test]
fn transactions_of_one_connection_nest() {
    let (service, _) = service();
    let (_, card) = client(&service);
    service.begin_transaction(card).unwrap();
    service.begin_transaction(card).unwrap();
    service.end_transaction(card, Disposition::Leave).unwrap();
    service.end_transaction(card, Disposition::Leave).unwrap();
    assert_eq!(service.end_transaction(card, Disposition::Leave), Err(Code::NOT_TRANSACTED));
}

#[test]
fn an_exclusive_connection_keeps_others_out() {
    let (service, _) = service();
    let holder = service.foreign().connect_exclusive(READER).unwrap();
    let context = service.establish_context().unwrap();
    let connect = || service.connect(context, READER, ShareMode::Shared, ANY).map(|_| ());
    assert_eq!(connect(), Err(Code::SHARING_VIOLATION));
    drop(holder);
    assert_eq!(connect(), Ok(()));
}

#[test]
fn no_client_becomes_exclusive_beside_another_connection() {
    let (service, _) = service();
    let (_, card) = client(&service);
    assert_eq!(service.foreign().connect_exclusive(READER).err(), Some(Code::SHARING_VIOLATION));
    service.reconnect(card, ShareMode::Exclusive, ANY, Disposition::Leave).unwrap();
    assert_eq!(service.foreign().connect(READER).err(), Some(Code::SHARING_VIOLATION));
}

#[test]
fn a_client_gone_inside_a_transaction_resets_the_card() {
    let (service, witness) = service();
    let (context, card) = client(&service);
    service.begin_transaction(card).unwrap();
    service.release_context(context).unwrap();
    assert_eq!(witness.events(), ["reset"]);
    assert_eq!(service.power_counts(Caller::Tested), PowerCounts { resets: 1, unpowers: 0 });
    service.foreign().hold_transaction(READER).unwrap();
}

#[test]
fn a_client_gone_outside_a_transaction_leaves_the_card() {
    let (service, witness) = service();
    let (context, card) = client(&service);
    service.release_context(context).unwrap();
    assert_eq!(witness.events(), [""; 0]);
    assert_eq!(service.status(card), Err(Code::INVALID_HANDLE));
    assert_eq!(service.open_handles(), (0, 0));
}
