//! Resets, removals, a dead service, injected faults.

use std::thread;
use std::time::Instant;

use super::*;
use crate::service::{Caller, Code, Fault, Function, PowerCounts, Quirks, ReaderState, When, state};

fn send(service: &Service, card: CardHandle) -> Result<Vec<u8>, Code> {
    service.transmit(card, protocol::T1, COMMAND, 256).map(|sent| sent.answer)
}

#[test]
fn a_reset_is_latched_until_reconnect() {
    let (service, _) = service();
    let (_, card) = client(&service);
    service.foreign().connect(READER).unwrap().disconnect(Disposition::Reset).unwrap();
    assert_eq!(service.begin_transaction(card), Err(Code::RESET_CARD));
    assert_eq!(service.begin_transaction(card), Err(Code::RESET_CARD));
    assert_eq!(send(&service, card), Err(Code::RESET_CARD));
    assert_eq!(reconnect(&service, card), Ok(protocol::T1));
    assert_eq!(service.begin_transaction(card), Ok(()));
    assert_eq!(service.power_counts(Caller::Tested), PowerCounts::default());
    assert_eq!(service.power_counts(Caller::Foreign), PowerCounts { resets: 1, unpowers: 0 });
}

#[test]
fn ending_a_transaction_without_power_is_a_reset_for_everybody() {
    let (service, witness) = service();
    let (_, card) = client(&service);
    let (_, other) = client(&service);
    service.begin_transaction(card).unwrap();
    service.end_transaction(card, Disposition::Unpower).unwrap();
    assert_eq!(witness.events(), ["off", "on"]);
    assert_eq!(service.begin_transaction(card), Err(Code::RESET_CARD));
    assert_eq!(service.begin_transaction(other), Err(Code::RESET_CARD));
    assert_eq!(service.power_counts(Caller::Tested), PowerCounts { resets: 0, unpowers: 1 });
}

#[test]
fn a_card_without_power_gets_it_at_the_next_connection() {
    let (service, witness) = service();
    let (_, card) = client(&service);
    service.disconnect(card, Disposition::Unpower).unwrap();
    let (_, card) = client(&service);
    assert_eq!(witness.events(), ["off", "on"]);
    send(&service, card).unwrap();
}

#[test]
fn a_removed_card_is_told_though_another_came_in() {
    let (service, _) = service();
    let (_, card) = client(&service);
    service.remove_card(READER);
    service.insert(READER, Arc::new(Witness::default()));
    assert_eq!(send(&service, card), Err(Code::REMOVED_CARD));
    assert_eq!(service.begin_transaction(card), Err(Code::REMOVED_CARD));
}

#[test]
fn a_reconnect_takes_whatever_card_is_there() {
    let (service, _) = service();
    let (_, card) = client(&service);
    service.remove_card(READER);
    assert_eq!(reconnect(&service, card), Err(Code::NO_SMARTCARD));
    let second = Arc::new(Witness::default());
    service.insert(READER, second.clone());
    reconnect(&service, card).unwrap();
    second.events();
    send(&service, card).unwrap();
    assert_eq!(second.events(), ["command"]);
}

#[test]
fn a_removal_ends_the_transaction() {
    let (service, _) = service();
    let (_, card) = client(&service);
    service.begin_transaction(card).unwrap();
    service.out_and_in(READER);
    service.foreign().hold_transaction(READER).unwrap();
    assert_eq!(service.end_transaction(card, Disposition::Leave), Err(Code::REMOVED_CARD));
}

#[test]
fn a_removal_at_a_command_has_the_code_of_the_driver() {
    let (service, _) = service();
    service.set_quirks(Quirks { removed_in_transmit: Code::NOT_TRANSACTED, ..Quirks::default() });
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
    service.insert(READER, Arc::new(Pulled));
    let (_, card) = client(&service);
    assert_eq!(send(&service, card), Err(Code::NOT_TRANSACTED));
    assert_eq!(send(&service, card), Err(Code::REMOVED_CARD));
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
    let (service, _) = service();
    service.insert(READER, Arc::new(Mute));
    let context = service.establish_context().unwrap();
    let connected = service.connect(context, READER, ShareMode::Shared, ANY);
    assert_eq!(connected, Err(Code::UNPOWERED_CARD));
}

#[test]
fn a_killed_service_answers_no_old_handle() {
    let (service, _) = service();
    let (context, card) = client(&service);
    service.kill_service();
    assert_eq!(service.list_readers(context), Err(Code::NO_SERVICE));
    assert_eq!(service.establish_context(), Err(Code::NO_SERVICE));
    service.start_service();
    assert_eq!(send(&service, card), Err(Code::NO_SERVICE));
    assert_eq!(service.is_valid_context(context), Ok(()));
    assert_eq!(service.release_context(context), Err(Code::NO_SERVICE));
    assert_eq!(service.is_valid_context(context), Err(Code::INVALID_HANDLE));
    let (_, card) = client(&service);
    send(&service, card).unwrap();
}

#[test]
fn a_killed_service_ends_every_wait() {
    let (service, _) = service();
    let (_, card) = client(&service);
    let _foreign = service.foreign().hold_transaction(READER).unwrap();
    thread::scope(|scope| {
        let begun = scope.spawn(|| service.begin_transaction(card));
        service.await_blocked(Function::BeginTransaction, 1);
        service.kill_service();
        assert_eq!(begun.join().unwrap(), Err(Code::NO_SERVICE));
    });
}

#[test]
fn a_fault_comes_at_the_call_it_was_meant_for() {
    let (service, witness) = service();
    let (_, card) = client(&service);
    service.inject(Function::Transmit, When::nth(2), Fault::Fail(Code::new(0x8010_9999)));
    service.inject(Function::Transmit, When::nth(3), Fault::FailAfter(Code::COMM_ERROR));
    assert!(send(&service, card).is_ok());
    assert_eq!(send(&service, card), Err(Code::new(0x8010_9999)));
    assert_eq!(witness.events(), ["command"]);
    assert_eq!(send(&service, card), Err(Code::COMM_ERROR));
    assert_eq!(witness.events(), ["command"]);
    assert!(send(&service, card).is_ok());
    assert_eq!(service.calls(Function::Transmit), 4);
    let last = service.log().last().copied().unwrap();
    assert_eq!((last.function, last.result), (Function::Transmit, Code::SUCCESS));
}

#[test]
fn an_endless_fault_stays_until_it_is_cleared() {
    let (service, _) = service();
    let (_, card) = client(&service);
    service.inject(Function::BeginTransaction, When::ALWAYS, Fault::Fail(Code::READER_UNAVAILABLE));
    for _ in 0..3 {
        assert_eq!(service.begin_transaction(card), Err(Code::READER_UNAVAILABLE));
    }
    service.foreign().hold_transaction(READER).unwrap();
    service.clear_faults();
    service.begin_transaction(card).unwrap();
}

#[test]
fn a_hook_runs_before_the_call() {
    let (service, _) = service();
    let (_, card) = client(&service);
    service.inject(Function::BeginTransaction, When::NEXT, Fault::before(|service| service.disturb(READER)));
    assert_eq!(service.begin_transaction(card), Err(Code::RESET_CARD));
}

#[test]
fn lies_about_lengths_and_protocols_are_told_as_they_are() {
    let (service, _) = service();
    let context = service.establish_context().unwrap();
    service.inject(Function::Connect, When::NEXT, Fault::Protocol(0x1_0000));
    let (card, protocol) = service.connect(context, READER, ShareMode::Shared, ANY).unwrap();
    assert_eq!(protocol, 0x1_0000);
    service.inject(Function::Transmit, When::NEXT, Fault::Length(0xffff_ffff));
    let sent = service.transmit(card, protocol::T1, COMMAND, 256).unwrap();
    assert_eq!((sent.reported, sent.answer), (0xffff_ffff, vec![0x90, 0x00]));
}

#[test]
fn a_hanging_call_returns_when_it_is_released() {
    let (service, witness) = service();
    let (_, card) = client(&service);
    service.inject(Function::Transmit, When::NEXT, Fault::Hang(Code::NOT_TRANSACTED));
    thread::scope(|scope| {
        let sent = scope.spawn(|| send(&service, card));
        service.await_blocked(Function::Transmit, 1);
        service.release_hanging();
        assert_eq!(sent.join().unwrap(), Err(Code::NOT_TRANSACTED));
    });
    assert_eq!(witness.events(), [""; 0]);
}

/// A chip that leaves the field at every command.
struct Leaving(Option<Duration>);

impl Icc for Leaving {
    fn power_on(&self) -> Option<Vec<u8>> {
        Some(vec![0x3b, 0x00])
    }

    fn power_off(&self) {}

    fn warm_reset(&self) -> Option<Vec<u8>> {
        Some(vec![0x3b, 0x00])
    }

    fn transmit(&self, _command: &[u8]) -> Exchange {
        Exchange::Removed
    }

    fn returns_in(&self) -> Option<Duration> {
        self.0
    }
}

/// Whether a card is there, and how many insertions and removals there were.
fn presence(service: &Service) -> (bool, u32) {
    let context = service.establish_context().unwrap();
    let mut states = [ReaderState::unaware(READER)];
    service.get_status_change(context, Some(Duration::ZERO), &mut states).unwrap();
    service.release_context(context).unwrap();
    (states[0].event & state::PRESENT != 0, states[0].events())
}

#[test]
fn a_card_that_leaves_by_itself_comes_back_after_its_time() {
    let absence = Duration::from_secs(3);
    for (returns_in, back) in [(Some(absence), true), (None, false)] {
        let service = Service::new();
        service.add_reader(READER);
        service.insert(READER, Arc::new(Leaving(returns_in)));
        let (_, card) = client(&service);
        let start = Instant::now();
        assert_eq!(send(&service, card), Err(Code::REMOVED_CARD));
        let before = presence(&service);
        assert!(!before.0);
        if back {
            while !presence(&service).0 && start.elapsed() < Duration::from_secs(30) {
                thread::sleep(Duration::from_millis(50));
            }
            assert!(start.elapsed() >= absence);
        } else {
            thread::sleep(Duration::from_secs(1));
        }
        assert_eq!(presence(&service), (back, before.1 + u32::from(back)));
        assert_eq!(send(&service, card), Err(Code::REMOVED_CARD), "the connection is dead");
    }
}

#[test]
fn a_card_that_leaves_by_itself_does_not_push_another_one_out() {
    let service = Service::new();
    service.add_reader(READER);
    service.insert(READER, Arc::new(Leaving(Some(Duration::from_millis(50)))));
    let (_, card) = client(&service);
    assert_eq!(send(&service, card), Err(Code::REMOVED_CARD));
    service.insert(READER, Arc::new(Witness::default()));
    thread::sleep(Duration::from_millis(200));
    let (_, card) = client(&service);
    send(&service, card).unwrap();
}
