//! Other programs at the same card, and a PC/SC service that fails.

mod failing_calls;
mod holding;
mod leaving;
mod service;

use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::calls::{Call, Ready, rv, sends_a_pin};
use crate::support::fixture::{Fixture, READER};
use cryptoki_sys as ck;
use jpki_pkcs11::error::Error;
use pcsc_stand_in::service::{Caller, Code, Disposition, Fault, Foreign, Function, When};
use virtual_card::{CommandRecord, Credential, Fault as CardFault, Profile};

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

/// pcscd resets the card, and marks its connections afterwards: a command in between finds nothing
/// selected.
#[test]
fn a_reset_that_is_not_told_yet_does_not_make_the_card_another_one() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    let key = fixture.key(session);
    for status in [[0x69, 0x86], [0x6a, 0x82], [0x69, 0x82]] {
        fixture.service().disturb(READER);
        let read = CardFault::when(|command| command[1] == 0xb0);
        fixture.card().inject(read.answer(status.to_vec()));
        fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).unwrap();
        assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_OK, "{status:02x?}");
    }
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
