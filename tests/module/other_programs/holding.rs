//! Another program has the card, for a transaction or for itself.

use std::sync::Arc;
use std::thread;

use cryptoki_sys as ck;
use pcsc_stand_in::service::{Code, Fault, Function, When};
use virtual_card::{Credential, Identity, Profile, VirtualCard};

use super::{OTHER_APPLICATION, calls};
use crate::support::by_handle::ByHandle;
use crate::support::calls::rv;
use crate::support::fixture::{AUTH_PIN, Fixture, READER};
use crate::support::signatures::assert_sha256_signature;

#[test]
fn a_call_waits_for_the_transaction_of_another_program() {
    for call in calls(false) {
        let ready = call.ready(&Profile::full());
        let holder = ready.fixture.foreign().hold_transaction(READER).unwrap();
        // A card that was never seen has to be connected to first.
        let waits_in = if call.meets_the_card() { Function::Connect } else { Function::BeginTransaction };
        thread::scope(|scope| {
            let caller = scope.spawn(|| ready.make());
            ready.fixture.service().await_blocked(waits_in, 1);
            assert_eq!(holder.select(&OTHER_APPLICATION), Ok(0x9000));
            drop(holder);
            assert_eq!(caller.join().unwrap(), Ok(()), "{call:?}");
        });
        ready.assert_session_works();
    }
}

#[test]
fn an_endless_transaction_of_another_program_holds_up_only_what_needs_that_card() {
    let fixture = Fixture::new();
    let second = VirtualCard::new(Profile::full(), Identity::from_seed(1));
    fixture.service().add_reader(c"Another Reader");
    fixture.service().insert(c"Another Reader", Arc::new(second.clone()));
    assert_eq!(fixture.module().count_slots(true), Ok(4));
    let slots = fixture.module().list_slots(true).unwrap();
    let session = fixture.logged_in(Credential::Authentication);
    let key = fixture.key(session);
    let other = fixture.open(slots[2]);
    while fixture.module().wait_for_slot_event(false).is_ok() {}
    let holder = fixture.foreign().hold_transaction(READER).unwrap();
    thread::scope(|scope| {
        let caller = scope.spawn(|| fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data"));
        fixture.service().await_blocked(Function::BeginTransaction, 1);
        let module = fixture.module();
        // The same card, as far as it is known.
        assert_eq!(module.count_slots(true), Ok(4));
        assert_ne!(module.slot_info(slots[0]).unwrap().flags & ck::CKF_TOKEN_PRESENT, 0);
        assert_eq!(module.session_info(session).unwrap().state, ck::CKS_RO_USER_FUNCTIONS);
        let asked = fixture.open(slots[0]);
        assert_eq!(fixture.key(asked), key);
        fixture.attribute(asked, key, ck::CKA_MODULUS).unwrap();
        module.close_session(asked).unwrap();
        assert_eq!(rv(module.wait_for_slot_event(false)), ck::CKR_NO_EVENT);
        // The card in the other reader.
        fixture.login(other, AUTH_PIN).unwrap();
        let signature = fixture.sign(other, ck::CKM_SHA256_RSA_PKCS, b"data").unwrap();
        assert_sha256_signature(&second, Credential::Authentication, b"data", &signature);
        // C_Finalize does not wait for the card either.
        module.shut_down();
        assert_eq!(rv(module.count_slots(false)), ck::CKR_OK);
        assert_eq!(rv(module.session_info(session)), ck::CKR_CRYPTOKI_NOT_INITIALIZED);
        drop(holder);
        assert_eq!(rv(caller.join().unwrap()), ck::CKR_CRYPTOKI_NOT_INITIALIZED);
    });
    assert_eq!(fixture.card().signatures(), 0);
    assert_eq!(fixture.memory().live_pages(), 0);
}

#[test]
fn a_list_of_tokens_does_not_wait_for_a_transaction_in_another_reader() {
    let second = c"Another Reader";
    for with_token in [true, false] {
        let fixture = Fixture::new();
        fixture.service().add_reader(second);
        let other = VirtualCard::new(Profile::full(), Identity::from_seed(7));
        fixture.service().insert(second, Arc::new(other.clone()));
        // Of the other card nothing is known: a connection would wait for the end of the
        // transaction.
        let holder = fixture.foreign().hold_transaction(second).unwrap();
        if with_token {
            assert_eq!(fixture.module().count_slots(true), Ok(2));
            assert_eq!(fixture.module().list_slots(true).unwrap().len(), 2);
        }
        assert_eq!(fixture.module().count_slots(false), Ok(4));
        fixture.module().slot_info(fixture.auth_slot()).unwrap();
        fixture.logged_in(Credential::Authentication);
        while fixture.module().wait_for_slot_event(false).is_ok() {}
        assert_eq!(other.commands(), 0);
        drop(holder);
        // Its own slots find it, and so does each list from then on.
        for slot in &fixture.module().list_slots(false).unwrap()[2..] {
            assert_ne!(fixture.module().slot_info(*slot).unwrap().flags & ck::CKF_TOKEN_PRESENT, 0);
        }
        let _holder = fixture.foreign().hold_transaction(second).unwrap();
        assert_eq!(fixture.module().count_slots(true), Ok(4));
    }
}

#[test]
fn a_card_that_was_put_in_again_is_not_left_alone_for_our_own_connection() {
    let fixture = Fixture::new();
    let second = c"Another Reader";
    fixture.service().add_reader(second);
    fixture.service().insert(second, Arc::new(VirtualCard::new(Profile::full(), Identity::from_seed(7))));
    assert_eq!(fixture.module().count_slots(true), Ok(4));
    fixture.service().out_and_in(second);
    assert_eq!(fixture.module().count_slots(true), Ok(4));
}

#[test]
fn the_only_card_is_a_token_although_another_program_uses_it() {
    let fixture = Fixture::new();
    let _connected = fixture.foreign().connect(READER).unwrap();
    assert_eq!(fixture.module().count_slots(true), Ok(2));
}

#[test]
fn a_card_that_another_program_has_for_itself_is_no_token_until_it_is_released() {
    let fixture = Fixture::new();
    let holder = fixture.foreign().connect_exclusive(READER).unwrap();
    for slot in [fixture.auth_slot(), fixture.sign_slot()] {
        assert_eq!(fixture.module().slot_info(slot).unwrap().flags & ck::CKF_TOKEN_PRESENT, 0);
        assert_eq!(rv(fixture.module().token_info(slot)), ck::CKR_TOKEN_NOT_PRESENT);
        let code = rv(fixture.module().open_session(slot, ck::CKF_SERIAL_SESSION));
        assert_eq!(code, ck::CKR_TOKEN_NOT_PRESENT);
    }
    assert_eq!(fixture.module().count_slots(true), Ok(0));
    drop(holder);
    assert_eq!(fixture.module().count_slots(true), Ok(2));
    fixture.logged_in(Credential::Authentication);
}

#[test]
fn a_known_card_that_another_program_has_for_itself_is_a_device_error_until_it_is_released() {
    for call in calls(true) {
        let ready = call.ready(&Profile::full());
        let busy = Fault::Fail(Code::SHARING_VIOLATION);
        ready.fixture.service().inject(Function::BeginTransaction, When::NEXT, busy);
        assert_eq!(rv(ready.make()), ck::CKR_DEVICE_ERROR, "{call:?}");
        assert!(ready.commands().is_empty());
        if call.signs() {
            assert!(ready.is_logged_in(), "{call:?}");
        }
        ready.assert_session_works();
    }
}

#[test]
fn after_a_suspend_every_handle_is_dead_and_the_card_has_to_be_logged_in_to_again() {
    for call in calls(true) {
        let ready = call.ready(&Profile::full());
        let Some(session) = ready.session else { continue };
        let (fixture, service) = (&ready.fixture, ready.fixture.service());
        service.remove_reader(READER);
        service.add_reader(READER);
        let card = fixture.card();
        card.replace(Profile { atr: vec![0x3b, 0x80, 0x01], ..card.profile() }, card.identity());
        fixture.insert_card();
        let code = rv(ready.make());
        assert!([ck::CKR_DEVICE_REMOVED, ck::CKR_SESSION_HANDLE_INVALID].contains(&code), "{call:?}");
        assert_eq!(rv(fixture.module().session_info(session)), ck::CKR_SESSION_HANDLE_INVALID);
        assert_eq!(fixture.memory().live_pages(), 0, "{call:?}");
        ready.assert_slot_works();
    }
}
