//! Other programs at the same card, and a PC/SC service that fails.

mod leaving;
mod service;

use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::by_handle::ByHandle;
use crate::support::calls::{Call, Ready, rv, sends_a_pin};
use crate::support::fixture::{AUTH_PIN, Fixture, READER};
use crate::support::signatures::assert_sha256_signature;
use cryptoki_sys as ck;
use jpki_pkcs11::error::Error;
use pcsc_stand_in::service::{Caller, Code, Disposition, Fault, Foreign, Function, When};
use virtual_card::{CommandRecord, Credential, Fault as CardFault, Identity, Profile, VirtualCard};

/// 券面入力補助, as a program asks for it that reads the name and address.
const OTHER_APPLICATION: [u8; 10] = [0xd3, 0x92, 0x10, 0x00, 0x31, 0x00, 0x01, 0x01, 0x04, 0x08];

/// Longer than anything takes that does not hang.
const LONG: Duration = Duration::from_secs(20);

fn nth(number: usize) -> When {
    When::nth(u64::try_from(number).unwrap())
}

/// Makes every call once for each of its commands, with something done at that command. `check`
/// gets the command that should have come then, and what to call the case.
fn at_every_command(
    disturb: impl Fn(&Ready, usize),
    check: impl Fn(&Ready, &CommandRecord, Result<(), Error>, &str),
) {
    let profile = Profile::full();
    for call in Call::all_on(&profile) {
        for (command, number) in call.commands(&profile).iter().zip(1..) {
            let ready = call.ready(&profile);
            disturb(&ready, number);
            let result = ready.make();
            check(&ready, command, result, &format!("{call:?}, command {number}: {result:?}"));
        }
    }
}

/// The calls that exchange something with a card that is known, or with any.
fn calls(known: bool) -> Vec<Call> {
    let exchanges = |call: &Call| !call.commands(&Profile::full()).is_empty();
    Call::ALL.iter().copied().filter(|call| !(known && call.meets_the_card())).filter(exchanges).collect()
}

/// What another program does at the card when it gets at it; it waits for that like other programs.
fn other_program(program: Foreign) -> JoinHandle<()> {
    thread::spawn(move || {
        let card = program.connect(READER).unwrap();
        assert_eq!(card.select(&OTHER_APPLICATION), Ok(0x9000));
    })
}

/// That another program gets at the card: no transaction has been left open.
fn assert_not_locked(fixture: &Fixture, case: &str) {
    let (done, wait) = mpsc::channel();
    let program = fixture.foreign();
    let thread = thread::spawn(move || {
        let answer = program.connect(READER).and_then(|card| card.select(&OTHER_APPLICATION));
        // The receiver is gone when it took too long.
        let _ = done.send(answer);
    });
    assert_eq!(wait.recv_timeout(LONG).expect(case), Ok(0x9000), "{case}");
    thread.join().unwrap();
}

/// PINs sent by a call are right ones or none at all, whatever happened; the module resets nothing.
fn assert_harmless(ready: &Ready, case: &str) {
    for credential in Credential::ALL {
        assert_eq!(ready.fixture.card().failed_verifies(credential), 0, "{case}");
    }
    assert_eq!(ready.fixture.service().power_counts(Caller::Tested).resets, 0, "{case}");
}

#[test]
fn a_reset_by_another_program_between_two_calls_costs_nothing() {
    for &call in Call::ALL {
        let ready = call.ready(&Profile::full());
        let program = ready.fixture.foreign().connect(READER).unwrap();
        program.disconnect(Disposition::Reset).unwrap();
        assert_eq!(rv(ready.make()), ck::CKR_OK, "{call:?}");
        assert_harmless(&ready, &format!("{call:?}"));
        ready.assert_session_works();
    }
}

#[test]
fn a_program_that_takes_the_power_between_two_calls_costs_nothing() {
    for &call in Call::ALL {
        let ready = call.ready(&Profile::full());
        let program = ready.fixture.foreign().connect(READER).unwrap();
        program.begin().unwrap();
        program.end(Disposition::Unpower).unwrap();
        drop(program);
        assert_eq!(rv(ready.make()), ck::CKR_OK, "{call:?}");
        ready.assert_session_works();
    }
}

#[test]
fn another_application_selected_between_two_calls_costs_nothing() {
    for &call in Call::ALL {
        let ready = call.ready(&Profile::full());
        let program = ready.fixture.foreign().connect(READER).unwrap();
        assert_eq!(program.select(&OTHER_APPLICATION), Ok(0x9000));
        assert_eq!(rv(ready.make()), ck::CKR_OK, "{call:?}");
        assert_eq!(program.select(&OTHER_APPLICATION), Ok(0x9000));
        ready.assert_session_works();
    }
}

#[test]
fn a_program_that_comes_at_any_command_waits_and_costs_nothing() {
    at_every_command(
        |ready, number| {
            let programs: Arc<Mutex<Vec<JoinHandle<()>>>> = Arc::default();
            let come = Fault::before({
                let programs = programs.clone();
                move |service| programs.lock().unwrap().push(other_program(service.foreign()))
            });
            ready.fixture.service().inject(Function::Transmit, nth(number), come);
        },
        |ready, _, result, case| {
            assert_eq!(result, Ok(()), "{case}");
            // No other program had the card while its PIN was verified.
            let verified = |command: &CommandRecord| command.verified_before.any();
            assert!(!ready.commands().iter().any(|command| command.foreign && verified(command)), "{case}");
            ready.assert_session_works();
            assert_not_locked(&ready.fixture, case);
        },
    );
}

#[test]
fn an_application_selected_by_force_at_any_command_is_one_clean_error_at_most() {
    at_every_command(
        |ready, number| {
            // No service lets that happen. Right before VERIFY the PIN would reach the other
            // application, and while a card is recognised it would look like another kind of card.
            let unlucky = sends_a_pin(&ready.call.commands(&Profile::full())[number - 1]);
            if !unlucky && !ready.call.meets_the_card() {
                ready.fixture.card().inject(CardFault::at(number).foreign_select(&OTHER_APPLICATION));
            }
        },
        |ready, _, result, case| {
            assert!([ck::CKR_OK, ck::CKR_DEVICE_ERROR].contains(&rv(result)), "{case}");
            assert_harmless(ready, case);
            // A certificate that was not found then is looked for on the next card.
            ready.fixture.service().out_and_in(READER);
            ready.assert_slot_works();
        },
    );
}

#[test]
fn a_reset_at_any_command_is_one_clean_error_at_most_and_no_second_signature() {
    for after in [false, true] {
        at_every_command(
            |ready, number| {
                let at = CardFault::at(number);
                ready.fixture.card().inject(if after { at.after_processing().reset() } else { at.reset() });
            },
            |ready, command, result, case| {
                let case = &format!("{case}, after the command: {after}");
                assert!([ck::CKR_OK, ck::CKR_DEVICE_ERROR].contains(&rv(result)), "{case}");
                let new_pin = sends_a_pin(command) && ready.call.brings_a_pin();
                let resumable = !new_pin && command.instruction() != Some(0x2a);
                assert!(result.is_ok() || !resumable, "{case}: there was nothing that may not be repeated");
                let needs_login = ready.call.signs() || matches!(ready.call, Call::FindPrivate(_));
                assert!(!needs_login || ready.is_logged_in(), "{case}: the login is lost");
                let sent = ready.commands().iter().filter(|sent| sent.signed.is_some()).count();
                assert!(sent <= 1, "{case}: {sent} signatures");
                assert_harmless(ready, case);
                assert!(!verified(ready), "{case}: left verified");
                assert_not_locked(&ready.fixture, case);
                ready.assert_session_works();
                assert_not_locked(&ready.fixture, case);
            },
        );
    }
}

#[test]
fn a_reset_whose_notice_was_lost_costs_nothing_at_any_command() {
    at_every_command(
        |ready, number| {
            // What is left of such a reset: the command is not passed on.
            let unsent = Fault::Fail(Code::PROTO_MISMATCH);
            ready.fixture.service().inject(Function::Transmit, nth(number), unsent);
        },
        |ready, command, result, case| {
            // C_SetPIN, once the card has taken the new PIN: only that it holds could not be seen.
            let confirms = sends_a_pin(command) && command.verified_before.any();
            assert!(result.is_ok() || confirms, "{case}");
            let sent = ready.commands().iter().filter(|sent| sent.signed.is_some()).count();
            assert_eq!(sent, usize::from(ready.call.signs()), "{case}");
            assert_harmless(ready, case);
            assert_not_locked(&ready.fixture, case);
            ready.assert_session_works();
        },
    );
}

#[test]
fn a_stale_pin_whose_refusal_a_reset_took_away_is_not_sent_again() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    let key = fixture.key(session);
    fixture.card().set_pin(Credential::Authentication, "4321");
    fixture.allow_failed_verifies(Credential::Authentication, 1);
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).unwrap();
    let verify = CardFault::when(|command| command.len() > 5 && command[1] == 0x20);
    fixture.card().inject(verify.after_processing().reset());
    assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_USER_NOT_LOGGED_IN);
    assert_eq!(fixture.tries_left(Credential::Authentication), 2);
    assert_eq!(fixture.memory().live_pages(), 0);
}

fn verified(ready: &Ready) -> bool {
    Credential::ALL.into_iter().any(|credential| ready.fixture.card().verified(credential))
}

#[test]
fn an_endless_storm_of_resets_ends_in_an_error() {
    for function in [Function::Transmit, Function::BeginTransaction] {
        for call in calls(true) {
            let ready = call.ready(&Profile::full());
            let service = ready.fixture.service();
            service.inject(function, When::ALWAYS, Fault::before(|service| service.disturb(READER)));
            let reconnects = service.calls(Function::Reconnect);
            assert_eq!(rv(ready.make()), ck::CKR_DEVICE_ERROR, "{function}, {call:?}");
            let reconnects = service.calls(Function::Reconnect) - reconnects;
            assert!(reconnects <= 40, "{function}, {call:?}: {reconnects} reconnects");
            assert_harmless(&ready, &format!("{function}, {call:?}"));
            service.clear_faults();
            if call.signs() {
                assert!(ready.is_logged_in(), "no PIN was sent: the login stays");
            }
            assert_not_locked(&ready.fixture, "after the storm");
            ready.assert_session_works();
        }
    }
}

#[test]
fn a_storm_of_resets_that_passes_costs_nothing() {
    for &call in Call::ALL {
        let ready = call.ready(&Profile::full());
        let reset = Fault::before(|service| service.disturb(READER));
        ready.fixture.service().inject(Function::Transmit, When::times(1, 30), reset);
        assert_eq!(rv(ready.make()), ck::CKR_OK, "{call:?}");
        assert_harmless(&ready, &format!("{call:?}"));
        ready.assert_session_works();
    }
}

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
        // Of the other card nothing is known: a connection would wait for the end of the transaction.
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
