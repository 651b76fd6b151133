//! Resets, removals, a dead service, injected faults.

use std::thread;

use super::*;
use crate::world::{Caller, Code, Fault, Function, Manners, PowerCounts, When};

fn send(world: &World, card: CardHandle) -> Result<Vec<u8>, Code> {
    world.transmit(card, protocol::T1, COMMAND, 256).map(|sent| sent.answer)
}

#[test]
fn a_reset_is_latched_until_reconnect() {
    let (world, _) = world();
    let (_, card) = client(&world);
    world.foreign().connect(READER).unwrap().disconnect(Disposition::Reset).unwrap();
    assert_eq!(world.begin_transaction(card), Err(Code::RESET_CARD));
    assert_eq!(world.begin_transaction(card), Err(Code::RESET_CARD));
    assert_eq!(send(&world, card), Err(Code::RESET_CARD));
    assert_eq!(reconnect(&world, card), Ok(protocol::T1));
    assert_eq!(world.begin_transaction(card), Ok(()));
    assert_eq!(world.power_counts(Caller::Tested), PowerCounts::default());
    assert_eq!(world.power_counts(Caller::Foreign), PowerCounts { resets: 1, unpowers: 0 });
}

#[test]
fn ending_a_transaction_without_power_is_a_reset_for_everybody() {
    let (world, witness) = world();
    let (_, card) = client(&world);
    let (_, other) = client(&world);
    world.begin_transaction(card).unwrap();
    world.end_transaction(card, Disposition::Unpower).unwrap();
    assert_eq!(witness.events(), ["off", "on"]);
    assert_eq!(world.begin_transaction(card), Err(Code::RESET_CARD));
    assert_eq!(world.begin_transaction(other), Err(Code::RESET_CARD));
    assert_eq!(world.power_counts(Caller::Tested), PowerCounts { resets: 0, unpowers: 1 });
}

#[test]
fn a_card_without_power_gets_it_at_the_next_connection() {
    let (world, witness) = world();
    let (_, card) = client(&world);
    world.disconnect(card, Disposition::Unpower).unwrap();
    let (_, card) = client(&world);
    assert_eq!(witness.events(), ["off", "on"]);
    send(&world, card).unwrap();
}

#[test]
fn a_removed_card_is_told_though_another_came_in() {
    let (world, _) = world();
    let (_, card) = client(&world);
    world.remove_card(READER);
    world.insert(READER, Arc::new(Witness::default()));
    assert_eq!(send(&world, card), Err(Code::REMOVED_CARD));
    assert_eq!(world.begin_transaction(card), Err(Code::REMOVED_CARD));
}

#[test]
fn a_reconnect_takes_whatever_card_is_there() {
    let (world, _) = world();
    let (_, card) = client(&world);
    world.remove_card(READER);
    assert_eq!(reconnect(&world, card), Err(Code::NO_SMARTCARD));
    let second = Arc::new(Witness::default());
    world.insert(READER, second.clone());
    reconnect(&world, card).unwrap();
    second.events();
    send(&world, card).unwrap();
    assert_eq!(second.events(), ["command"]);
}

#[test]
fn a_removal_ends_the_transaction() {
    let (world, _) = world();
    let (_, card) = client(&world);
    world.begin_transaction(card).unwrap();
    world.out_and_in(READER);
    world.foreign().hold_transaction(READER).unwrap();
    assert_eq!(world.end_transaction(card, Disposition::Leave), Err(Code::REMOVED_CARD));
}

#[test]
fn a_removal_at_a_command_has_the_code_of_the_driver() {
    let (world, _) = world();
    world.set_manners(Manners { removed_in_transmit: Code::NOT_TRANSACTED, ..Manners::default() });
    struct Pulled;
    impl Icc for Pulled {
        fn power_on(&self) -> Option<Vec<u8>> {
            Some(Vec::new())
        }
        fn power_off(&self) {}
        fn warm_reset(&self) -> Option<Vec<u8>> {
            None
        }
        fn transmit(&self, _command: &[u8]) -> Exchange {
            Exchange::Removed
        }
    }
    world.insert(READER, Arc::new(Pulled));
    let (_, card) = client(&world);
    assert_eq!(send(&world, card), Err(Code::NOT_TRANSACTED));
    assert_eq!(send(&world, card), Err(Code::REMOVED_CARD));
}

#[test]
fn a_mute_card_cannot_be_connected_to() {
    struct Mute;
    impl Icc for Mute {
        fn power_on(&self) -> Option<Vec<u8>> {
            None
        }
        fn power_off(&self) {}
        fn warm_reset(&self) -> Option<Vec<u8>> {
            None
        }
        fn transmit(&self, _command: &[u8]) -> Exchange {
            Exchange::Failed(Code::NOT_TRANSACTED)
        }
    }
    let (world, _) = world();
    world.insert(READER, Arc::new(Mute));
    let context = world.establish_context().unwrap();
    let connected = world.connect(context, READER, ShareMode::Shared, ANY);
    assert_eq!(connected, Err(Code::UNPOWERED_CARD));
}

#[test]
fn a_killed_service_answers_no_old_handle() {
    let (world, _) = world();
    let (context, card) = client(&world);
    world.kill_service();
    assert_eq!(world.list_readers(context), Err(Code::NO_SERVICE));
    assert_eq!(world.establish_context(), Err(Code::NO_SERVICE));
    world.start_service();
    assert_eq!(send(&world, card), Err(Code::NO_SERVICE));
    assert_eq!(world.is_valid_context(context), Ok(()));
    assert_eq!(world.release_context(context), Err(Code::NO_SERVICE));
    assert_eq!(world.is_valid_context(context), Err(Code::INVALID_HANDLE));
    let (_, card) = client(&world);
    send(&world, card).unwrap();
}

#[test]
fn a_killed_service_ends_every_wait() {
    let (world, _) = world();
    let (_, card) = client(&world);
    let _foreign = world.foreign().hold_transaction(READER).unwrap();
    thread::scope(|scope| {
        let begun = scope.spawn(|| world.begin_transaction(card));
        world.await_blocked(Function::BeginTransaction, 1);
        world.kill_service();
        assert_eq!(begun.join().unwrap(), Err(Code::NO_SERVICE));
    });
}

#[test]
fn a_fault_comes_at_the_call_it_was_meant_for() {
    let (world, witness) = world();
    let (_, card) = client(&world);
    world.inject(Function::Transmit, When::nth(2), Fault::Fail(Code::new(0x8010_9999)));
    world.inject(Function::Transmit, When::nth(3), Fault::FailAfter(Code::COMM_ERROR));
    assert!(send(&world, card).is_ok());
    assert_eq!(send(&world, card), Err(Code::new(0x8010_9999)));
    assert_eq!(witness.events(), ["command"]);
    assert_eq!(send(&world, card), Err(Code::COMM_ERROR));
    assert_eq!(witness.events(), ["command"]);
    assert!(send(&world, card).is_ok());
    assert_eq!(world.calls(Function::Transmit), 4);
    let last = world.log().last().copied().unwrap();
    assert_eq!((last.function, last.result), (Function::Transmit, Code::SUCCESS));
}

#[test]
fn an_endless_fault_stays_until_it_is_cleared() {
    let (world, _) = world();
    let (_, card) = client(&world);
    world.inject(Function::BeginTransaction, When::ALWAYS, Fault::Fail(Code::READER_UNAVAILABLE));
    for _ in 0..3 {
        assert_eq!(world.begin_transaction(card), Err(Code::READER_UNAVAILABLE));
    }
    world.foreign().hold_transaction(READER).unwrap();
    world.clear_faults();
    world.begin_transaction(card).unwrap();
}

#[test]
fn a_hook_runs_before_the_call() {
    let (world, _) = world();
    let (_, card) = client(&world);
    world.inject(Function::BeginTransaction, When::NEXT, Fault::before(|world| world.disturb(READER)));
    assert_eq!(world.begin_transaction(card), Err(Code::RESET_CARD));
}

#[test]
fn lies_about_lengths_and_protocols_are_told_as_they_are() {
    let (world, _) = world();
    let context = world.establish_context().unwrap();
    world.inject(Function::Connect, When::NEXT, Fault::Protocol(0x1_0000));
    let (card, protocol) = world.connect(context, READER, ShareMode::Shared, ANY).unwrap();
    assert_eq!(protocol, 0x1_0000);
    world.inject(Function::Transmit, When::NEXT, Fault::Length(0xffff_ffff));
    let sent = world.transmit(card, protocol::T1, COMMAND, 256).unwrap();
    assert_eq!((sent.reported, sent.answer), (0xffff_ffff, vec![0x90, 0x00]));
}

#[test]
fn a_hanging_call_returns_when_it_is_released() {
    let (world, witness) = world();
    let (_, card) = client(&world);
    world.inject(Function::Transmit, When::NEXT, Fault::Hang(Code::NOT_TRANSACTED));
    thread::scope(|scope| {
        let sent = scope.spawn(|| send(&world, card));
        world.await_blocked(Function::Transmit, 1);
        world.release_hanging();
        assert_eq!(sent.join().unwrap(), Err(Code::NOT_TRANSACTED));
    });
    assert_eq!(witness.events(), [""; 0]);
}
