//! What is asked and told of spare slots while nothing, or something, happens.

use std::thread;

use jpki_pkcs11::handle::SlotId;
use pcsc_stand_in::service::{Code, Fault, Function, When};
use virtual_card::VirtualCard;

use super::{SECOND, SpareFixture, ids};
use crate::support::fixture::READER;

#[test]
fn a_wait_for_an_event_names_the_spare_slots() {
    for blocking in [true, false] {
        let fixture = SpareFixture::new();
        let slots = fixture.start_host();
        assert_eq!(fixture.events(), []);
        fixture.plug_other_make();
        assert_eq!(fixture.events(), [], "no slot of the list has changed");
        if blocking {
            thread::scope(|scope| {
                let waiter = scope.spawn(|| fixture.module.wait_for_slot_event(true));
                fixture.service.await_blocked(Function::GetStatusChange, 1);
                fixture.plug(READER, Some(&VirtualCard::full()));
                assert_eq!(waiter.join().unwrap(), Ok(slots[0]));
            });
            assert_eq!(fixture.events(), [1]);
        } else {
            fixture.plug(READER, Some(&VirtualCard::full()));
            assert_eq!(fixture.events(), [0, 1]);
        }
        fixture.service.remove_card(READER);
        assert_eq!(fixture.events(), [0, 1]);
    }
}

#[test]
fn a_slot_that_was_asked_first_does_not_hide_the_event() {
    let fixture = SpareFixture::new();
    let slots = fixture.start_host();
    fixture.plug(READER, Some(&VirtualCard::full()));
    assert_eq!(fixture.with_token(&slots), [0, 1]);
    assert_eq!(fixture.events(), [0, 1]);
}

#[test]
fn an_event_of_a_reader_that_is_not_listed_leaves_the_list_as_it_is() {
    let fixture = SpareFixture::new();
    fixture.plug(READER, Some(&VirtualCard::full()));
    let slots = fixture.start_host();
    fixture.plug(SECOND, Some(&VirtualCard::full()));
    assert_eq!(fixture.events(), [2, 3]);
    assert_eq!(fixture.module.list_slots(false), Ok(slots));
    assert!(fixture.has_token(SlotId::new(2)));
    assert_eq!(ids(&fixture.start_host()), [0, 1, 2, 3]);
}

#[test]
fn slots_that_nothing_happens_to_cost_one_look_a_round() {
    let fixture = SpareFixture::new();
    fixture.plug(READER, None);
    let slots = fixture.start_host();
    let calls = || fixture.service.all_calls();
    let listed = || fixture.service.calls(Function::ListReaders);
    // A program that reads the list each time: nothing is asked for the sake of the spare slots.
    let before = calls();
    fixture.start_host();
    assert!(calls() - before <= 4, "the list, the reader, and the reader for each of its slots");
    // A program that asks the slots alone.
    let before = listed();
    for _ in 0..10 {
        assert_eq!(fixture.with_token(&slots), []);
    }
    assert!(listed() - before <= 10, "{} looks in ten rounds", listed() - before);
    // Once the pair is taken, it is as any other.
    fixture.plug(SECOND, Some(&VirtualCard::full()));
    assert_eq!(fixture.with_token(&slots), [2, 3]);
    let before = listed();
    fixture.with_token(&slots);
    assert_eq!(listed(), before);
}

#[test]
fn a_service_that_refuses_this_user_is_not_asked_for_each_spare_slot() {
    let fixture = SpareFixture::new();
    let refuse = Fault::Fail(Code::SECURITY_VIOLATION);
    fixture.service.inject(Function::EstablishContext, When::ALWAYS, refuse);
    let slots = fixture.start_host();
    let before = fixture.service.calls(Function::EstablishContext);
    for _ in 0..20 {
        assert_eq!(fixture.with_token(&slots), []);
    }
    // One, on a machine that takes eight seconds for this.
    assert!(fixture.service.calls(Function::EstablishContext) - before <= 1);
}

#[test]
fn a_list_of_all_slots_does_not_wait_for_another_program() {
    let fixture = SpareFixture::new();
    let card = VirtualCard::full();
    fixture.plug(READER, Some(&card));
    let holder = fixture.service.foreign().hold_transaction(READER).unwrap();
    assert_eq!(fixture.module.count_slots(false), Ok(4), "it is not known what card it is");
    assert_eq!(card.commands(), 0);
    drop(holder);
    assert_eq!(fixture.with_token(&fixture.start_host()), [0, 1]);
}

#[test]
fn a_card_that_another_program_uses_takes_the_spare_pair_as_well() {
    let fixture = SpareFixture::new();
    let slots = fixture.start_host();
    fixture.plug(READER, Some(&VirtualCard::full()));
    let _connected = fixture.service.foreign().connect(READER).unwrap();
    assert_eq!(fixture.with_token(&slots), [0, 1]);
}

#[test]
fn a_wait_for_an_event_sees_that_a_card_is_free_again() {
    let fixture = SpareFixture::new();
    let slots = fixture.start_host();
    fixture.plug(READER, Some(&VirtualCard::full()));
    let holder = fixture.service.foreign().connect_exclusive(READER).unwrap();
    assert_eq!(fixture.events(), []);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| fixture.module.wait_for_slot_event(true));
        fixture.service.await_blocked(Function::GetStatusChange, 1);
        drop(holder);
        assert_eq!(waiter.join().unwrap(), Ok(slots[0]));
    });
}
