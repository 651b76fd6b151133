//! A PC/SC service that fails, ends or refuses.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::{at_every_command, nth};
use crate::support::by_handle::ByHandle;
use crate::support::calls::{Call, is_leaving, rv};
use crate::support::fixture::{Fixture, READER};
use crate::support::logged::{count, logged};
use crate::support::memory::{TestMemory, process_memory};
use crate::support::simulated_pcsc::SimulatedPcsc;
use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::module::Module;
use jpki_pkcs11::transport::child::in_child;
use pcsc_stand_in::service::{Code, Fault, Function, Quirks, Service, When};
use virtual_card::{Credential, Profile, VirtualCard};

#[test]
fn a_service_killed_at_any_command_is_a_removal_and_comes_back() {
    at_every_command(
        |ready, number| {
            ready.fixture.expect_lost_handles();
            let kill = Fault::before(Service::kill_service);
            ready.fixture.service().inject(Function::Transmit, nth(number), kill);
        },
        |ready, command, result, case| {
            let module = ready.fixture.module();
            let (code, was_done) = (rv(result), is_leaving(command));
            let gone = match ready.call {
                Call::ListSlots => code == ck::CKR_OK,
                call if call.meets_the_card() => {
                    [ck::CKR_DEVICE_REMOVED, ck::CKR_TOKEN_NOT_PRESENT].contains(&code)
                }
                _ => code == ck::CKR_DEVICE_REMOVED,
            };
            assert!(gone || (was_done && code == ck::CKR_OK), "{case}");
            assert_eq!(module.count_slots(true), Ok(0), "{case}");
            if let Some(session) = ready.session {
                assert_eq!(rv(module.session_info(session)), ck::CKR_SESSION_HANDLE_INVALID, "{case}");
            }
            assert_eq!(ready.fixture.memory().live_pages(), 0, "{case}");
            ready.fixture.service().start_service();
            assert_eq!(module.count_slots(true), Ok(2), "{case}");
            ready.assert_slot_works();
        },
    );
}

#[test]
fn a_service_that_was_restarted_between_two_calls_unseen_ends_the_sessions() {
    for &call in Call::ALL.iter().filter(|call| !call.meets_the_card()) {
        let ready = call.ready(&Profile::full());
        ready.fixture.expect_lost_handles();
        ready.fixture.service().kill_service();
        ready.fixture.service().start_service();
        let mark = ready.fixture.card().mark();
        let code = rv(ready.make());
        if let Some(session) = ready.session {
            assert!([ck::CKR_DEVICE_REMOVED, ck::CKR_SESSION_HANDLE_INVALID].contains(&code), "{call:?}");
            assert_eq!(rv(ready.fixture.module().session_info(session)), ck::CKR_SESSION_HANDLE_INVALID);
            assert_eq!(ready.fixture.card().ledger_since(mark).verifies(call.credential()), 0, "{call:?}");
        }
        assert_eq!(ready.fixture.memory().live_pages(), 0, "{call:?}");
        ready.assert_slot_works();
    }
}

#[test]
fn a_service_killed_while_calls_wait_lets_them_go() {
    let fixture = Fixture::new();
    fixture.expect_lost_handles();
    let session = fixture.logged_in(Credential::Authentication);
    assert_eq!(rv(fixture.module().wait_for_slot_event(false)), ck::CKR_NO_EVENT);
    let holder = fixture.foreign().hold_transaction(READER).unwrap();
    thread::scope(|scope| {
        let signer = scope.spawn(|| fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data"));
        fixture.service().await_blocked(Function::BeginTransaction, 1);
        let waiter = scope.spawn(|| fixture.module().wait_for_slot_event(true));
        fixture.service().await_blocked(Function::GetStatusChange, 1);
        fixture.service().kill_service();
        assert_eq!(rv(signer.join().unwrap()), ck::CKR_DEVICE_REMOVED);
        // The readers are gone, and their cards with them.
        assert_eq!(waiter.join().unwrap(), Ok(fixture.auth_slot()));
    });
    drop(holder);
    assert_eq!(fixture.memory().live_pages(), 0);
    fixture.service().start_service();
    fixture.logged_in(Credential::Authentication);
}

#[test]
fn without_a_service_there_is_no_token_and_one_line_in_the_log() {
    for (code, why) in [
        (Code::NO_SERVICE, "no PC/SC service answers"),
        (Code::SERVICE_STOPPED, "no PC/SC service answers"),
        (Code::SECURITY_VIOLATION, "refuses access"),
    ] {
        let service = Service::new();
        service.add_reader(READER);
        service.insert(READER, Arc::new(VirtualCard::full()));
        service.inject(Function::EstablishContext, When::ALWAYS, Fault::Fail(code));
        let transport = Arc::new(SimulatedPcsc::new(service.clone()));
        let module =
            Module::new(Config::default(), transport, Arc::<TestMemory>::default(), process_memory());
        let lines = logged(|| {
            for _ in 0..3 {
                assert_eq!(module.count_slots(false), Ok(2), "those for a reader that comes later");
                assert_eq!(module.list_slots(true), Ok(vec![]));
                assert_eq!(rv(module.wait_for_slot_event(false)), ck::CKR_NO_EVENT);
            }
        });
        assert_eq!(count(&lines, "WARN", ""), 1, "{lines:?}");
        assert_eq!(count(&lines, "WARN", why), 1, "{lines:?}");
        // The service comes: nothing need be initialized again.
        service.clear_faults();
        assert_eq!(module.count_slots(true), Ok(2));
    }
}

#[test]
fn a_context_that_ended_with_the_service_is_replaced_whatever_the_service_calls_that() {
    for code in [
        Code::INVALID_HANDLE,
        Code::ERROR_INVALID_HANDLE,
        Code::SYSTEM_CANCELLED,
        Code::SHUTDOWN,
        Code::SERVICE_STOPPED,
    ] {
        let fixture = Fixture::new();
        let established = || fixture.service().calls(Function::EstablishContext);
        assert_eq!(fixture.module().count_slots(true), Ok(2));
        let before = established();
        fixture.service().inject(Function::ListReaders, When::NEXT, Fault::Fail(code));
        assert_eq!(fixture.module().count_slots(false), Ok(2), "{code}");
        assert_eq!(established() - before, 1, "{code}");
        assert_eq!(fixture.module().count_slots(true), Ok(2), "{code}");
    }
}

#[test]
fn a_child_of_a_fork_makes_no_call_where_the_service_does_not_serve_it() {
    for is_macos in [false, true] {
        let service = Service::new();
        service.set_quirks(Quirks { is_macos, ..Quirks::default() });
        service.add_reader(READER);
        service.insert(READER, Arc::new(VirtualCard::full()));
        let calls = in_child(Arc::new(SimulatedPcsc::new(service.clone())));
        let module = Module::new(Config::default(), calls, Arc::<TestMemory>::default(), process_memory());
        let slots = module.list_slots(false).unwrap();
        assert_eq!(module.count_slots(true), Ok(if is_macos { 0 } else { 2 }));
        if is_macos {
            for slot in slots {
                assert_eq!(rv(module.token_info(slot)), ck::CKR_TOKEN_NOT_PRESENT);
            }
            assert_eq!(rv(module.wait_for_slot_event(false)), ck::CKR_NO_EVENT);
            module.shut_down();
            assert_eq!(service.all_calls(), 0);
        }
    }
}

/// That a card is no token while such calls fail, that it is not asked again and again, and that it
/// is a token some time later.
fn assert_is_asked_again_later(function: Function, code: Code) {
    let fixture = Fixture::new();
    fixture.service().inject(function, When::ALWAYS, Fault::Fail(code));
    assert_eq!(fixture.module().count_slots(true), Ok(0));
    assert_eq!(fixture.module().count_slots(false), Ok(4));
    assert_eq!(rv(fixture.module().token_info(fixture.auth_slot())), ck::CKR_TOKEN_NOT_PRESENT);
    assert_eq!(fixture.service().calls(Function::Connect), 1, "the service logs each refusal");
    fixture.service().clear_faults();
    let end = Instant::now() + Duration::from_secs(10);
    while fixture.module().count_slots(true) != Ok(2) {
        assert!(Instant::now() < end, "{code}: it is not asked again");
        thread::sleep(Duration::from_millis(50));
    }
    fixture.logged_in(Credential::Authentication);
}

#[test]
fn a_service_that_refuses_access_to_the_card_leaves_slots_without_a_token() {
    assert_is_asked_again_later(Function::Connect, Code::SECURITY_VIOLATION);
}

#[test]
fn a_reader_that_is_not_ready_is_asked_again_without_a_new_insertion() {
    for function in [Function::Connect, Function::BeginTransaction, Function::Transmit] {
        assert_is_asked_again_later(function, Code::NOT_READY);
    }
}
