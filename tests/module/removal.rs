//! Cards and readers that go away, at the worst moments, and what comes after them.

mod notice;
mod readers;
mod waiting;

use std::sync::{Arc, mpsc};
use std::thread;

use crate::support::by_handle::ByHandle;
use crate::support::calls::{Call, Ready, is_leaving, rv};
use crate::support::fixture::{AUTH_PIN, Fixture, READER, SIGN_PIN};
use crate::support::logged::listened;
use crate::support::signatures::assert_sha256_signature;
use crate::support::simulated_pcsc::quirks;
use cryptoki_sys as ck;
use jpki_pkcs11::token::output::BufferSize;
use pcsc_stand_in::service::{Code, Disposition, Fault, Function, Quirks, When};
use virtual_card::{Credential, Fault as CardFault, Identity, Profile, VirtualCard};

/// What readers' drivers say when the card goes away while it works.
const REMOVALS: [Code; 3] = [Code::REMOVED_CARD, Code::NO_SMARTCARD, Code::NOT_TRANSACTED];

/// What a call may say that found the card gone. To one that had not recognised it yet, there was
/// none.
fn is_removal(call: Call, code: ck::CK_RV) -> bool {
    match call {
        Call::ListSlots => code == ck::CKR_OK,
        Call::NewTokenInfo(_) | Call::OpenSession(_) => {
            [ck::CKR_DEVICE_REMOVED, ck::CKR_TOKEN_NOT_PRESENT].contains(&code)
        }
        _ => code == ck::CKR_DEVICE_REMOVED,
    }
}

/// That nothing of the card is left, neither a session nor a PIN nor a token.
fn assert_dead(ready: &Ready, noticed: bool) {
    let (fixture, slot) = (&ready.fixture, ready.fixture.slot_of(ready.call.credential()));
    if let Some(session) = ready.session {
        if !noticed {
            let code = rv(fixture.module().session_info(session));
            assert!([ck::CKR_DEVICE_REMOVED, ck::CKR_SESSION_HANDLE_INVALID].contains(&code), "{code:#x}");
        }
        assert_eq!(rv(fixture.module().session_info(session)), ck::CKR_SESSION_HANDLE_INVALID);
        assert_eq!(
            rv(fixture.module().sign(session, b"", BufferSize::Bytes(256))),
            ck::CKR_SESSION_HANDLE_INVALID
        );
    }
    assert_eq!(rv(fixture.module().token_info(slot)), ck::CKR_TOKEN_NOT_PRESENT);
    assert_eq!(rv(fixture.module().open_session(slot, ck::CKF_SERIAL_SESSION)), ck::CKR_TOKEN_NOT_PRESENT);
    assert_eq!(fixture.module().slot_info(slot).unwrap().flags & ck::CKF_TOKEN_PRESENT, 0);
    assert_eq!(fixture.memory().live_pages(), 0, "a PIN outlives the card");
}

/// A call that uses the card, and so notices what a look does not where the service counts no
/// insertions.
fn use_card(ready: &Ready) {
    let _ = ready.fixture.module().token_info(ready.fixture.slot_of(ready.call.credential()));
}

/// Runs a test under each of these conditions at once: most of its time it waits for a card that
/// may come back.
fn under_each<T: Copy + Send>(conditions: &[T], test: impl Fn(T) + Copy + Send) {
    thread::scope(|scope| {
        for &condition in conditions {
            scope.spawn(move || test(condition));
        }
    });
}

/// Makes every call once for each of its commands, with something done to the service at that
/// command. `check` gets the return code, and whether everything that was asked for had been done
/// before that command.
fn at_every_command(
    profile: &Profile,
    disturb: impl Fn(&Ready, usize),
    check: impl Fn(&Ready, &str, ck::CK_RV, bool),
) {
    for call in Call::all_on(profile) {
        for (command, number) in call.commands(profile).iter().zip(1..) {
            let ready = call.ready(profile);
            disturb(&ready, number);
            let code = rv(ready.make());
            let case = format!("{call:?} of a {} card, command {number}: {code:#x}", profile.name);
            check(&ready, &case, code, is_leaving(command));
        }
    }
}

/// That a call said what is right when the card went, that nothing of it is left, and that the slot
/// works when the card comes back.
fn assert_removal(ready: &Ready, case: &str, code: ck::CK_RV, was_done: bool) {
    let noticed = is_removal(ready.call, code);
    assert!(noticed || (code == ck::CKR_OK && was_done), "{case}");
    assert_dead(ready, noticed);
}

#[test]
fn a_card_pulled_at_any_command_of_any_call_is_told_and_ends_its_sessions() {
    for profile in [Profile::full(), Profile::conservative()] {
        at_every_command(
            &profile,
            |ready, command| ready.fixture.card().inject(CardFault::at(command).remove()),
            |ready, case, code, was_done| {
                assert_removal(ready, case, code, was_done);
                ready.fixture.insert_card();
                ready.assert_slot_works();
            },
        );
    }
}

#[test]
fn a_card_pulled_after_any_command_before_its_answer_is_told_and_costs_no_try() {
    under_each(&REMOVALS, |removed_in_transmit| {
        at_every_command(
            &Profile::full(),
            |ready, command| {
                ready.fixture.service().set_quirks(Quirks { removed_in_transmit, ..quirks() });
                ready.fixture.card().inject(CardFault::at(command).after_processing().remove());
            },
            |ready, case, code, was_done| {
                assert_removal(ready, &format!("{removed_in_transmit}: {case}"), code, was_done);
                ready.fixture.insert_card();
                ready.assert_slot_works();
            },
        );
    });
}

#[test]
fn a_reader_unplugged_at_any_command_keeps_its_slots_without_a_token() {
    under_each(&[Code::READER_UNAVAILABLE, Code::INVALID_VALUE], |unplugged| {
        at_every_command(
            &Profile::full(),
            |ready, command| {
                let service = ready.fixture.service();
                service.set_quirks(Quirks { unplugged, ..quirks() });
                let nth = When::nth(u64::try_from(command).unwrap());
                service.inject(
                    Function::Transmit,
                    nth,
                    Fault::before(|service| service.remove_reader(READER)),
                );
            },
            |ready, case, code, was_done| {
                assert_removal(ready, &format!("{unplugged}: {case}"), code, was_done);
                // A reader that left before its card was recognised is followed by the spare pair.
                let count = ready.fixture.module().count_slots(false);
                assert!([Ok(2), Ok(4)].contains(&count), "{case}: {count:?}");
                assert_eq!(ready.fixture.module().count_slots(true), Ok(0));
                ready.fixture.service().add_reader(READER);
                ready.fixture.insert_card();
                assert_eq!(ready.fixture.module().count_slots(true), Ok(2));
                ready.assert_slot_works();
            },
        );
    });
}

#[test]
fn a_card_pulled_between_the_beginning_of_a_signature_and_its_end_is_told() {
    for credential in Credential::ALL {
        let ready = Call::Sign(credential).ready(&Profile::full());
        ready.fixture.remove_card();
        let code = rv(ready.make());
        assert!([ck::CKR_DEVICE_REMOVED, ck::CKR_SESSION_HANDLE_INVALID].contains(&code), "{code:#x}");
        assert_dead(&ready, true);
        ready.fixture.insert_card();
        assert_eq!(rv(ready.make()), ck::CKR_SESSION_HANDLE_INVALID);
        ready.assert_slot_works();
    }
}

#[test]
fn a_card_that_was_out_and_in_again_unseen_ends_the_session_before_its_pin_is_sent() {
    for &call in Call::ALL.iter().filter(|call| !call.meets_the_card()) {
        let ready = call.ready(&Profile::full());
        let mark = ready.fixture.card().mark();
        ready.fixture.service().out_and_in(READER);
        let code = rv(ready.make());
        match ready.session {
            // Where the service counts no insertions, the next call notices that uses the card.
            Some(session) if quirks().is_macos && code == ck::CKR_OK => {
                assert_eq!(ready.fixture.card().commands_since(mark), 0, "{call:?}");
                use_card(&ready);
                assert_ne!(rv(ready.fixture.module().session_info(session)), ck::CKR_OK, "{call:?}");
                assert_eq!(ready.fixture.memory().live_pages(), 0);
            }
            Some(session) => {
                assert!([ck::CKR_DEVICE_REMOVED, ck::CKR_SESSION_HANDLE_INVALID].contains(&code), "{call:?}");
                assert_eq!(rv(ready.fixture.module().session_info(session)), ck::CKR_SESSION_HANDLE_INVALID);
                assert_eq!(ready.fixture.memory().live_pages(), 0);
            }
            // A call on the slot finds the card that is there, or that the one before it has gone.
            None if quirks().is_macos => {
                assert!([ck::CKR_OK, ck::CKR_DEVICE_REMOVED].contains(&code), "{call:?}");
            }
            None => assert_eq!(code, ck::CKR_OK, "{call:?}"),
        }
        assert_eq!(ready.fixture.card().ledger_since(mark).verifies(call.credential()), 0, "{call:?}");
        ready.assert_slot_works();
    }
}

#[test]
fn a_card_that_was_out_and_in_again_in_the_middle_of_any_call_is_a_new_one() {
    at_every_command(
        &Profile::full(),
        |ready, command| {
            let nth = When::nth(u64::try_from(command).unwrap());
            let out_and_in = Fault::before(|service| service.out_and_in(READER));
            ready.fixture.service().inject(Function::Transmit, nth, out_and_in);
        },
        |ready, case, code, was_done| {
            let noticed = is_removal(ready.call, code);
            // Some readers lose the card at an extended command. A call that meets the card waits
            // for its return then, and recognises whatever card came.
            let was_met_again = ready.call.meets_the_card();
            assert!(noticed || (code == ck::CKR_OK && (was_done || was_met_again)), "{case}");
            if let Some(session) = ready.session {
                if quirks().is_macos {
                    use_card(ready);
                }
                let code = rv(ready.fixture.module().session_info(session));
                assert!([ck::CKR_DEVICE_REMOVED, ck::CKR_SESSION_HANDLE_INVALID].contains(&code), "{case}");
                assert_eq!(ready.fixture.memory().live_pages(), 0, "{case}");
            }
            ready.assert_slot_works();
        },
    );
}

#[test]
fn another_card_gets_no_pin_of_the_one_before_and_shares_no_handle_with_it() {
    for credential in Credential::ALL {
        let ready = Call::Sign(credential).ready(&Profile::full());
        let (fixture, session) = (&ready.fixture, ready.session());
        let objects = fixture.find_by(session, &[]).unwrap();
        let other = fixture.swap_card(Profile::full(), Identity::from_seed(1));
        let code = rv(ready.make());
        assert!([ck::CKR_DEVICE_REMOVED, ck::CKR_SESSION_HANDLE_INVALID].contains(&code), "{code:#x}");
        assert_eq!(rv(fixture.module().session_info(session)), ck::CKR_SESSION_HANDLE_INVALID);
        assert_eq!(fixture.memory().live_pages(), 0);
        assert_eq!((other.verifies(credential), other.tries_left(credential)), (0, full(credential)));

        let session = fixture.open(fixture.slot_of(credential));
        let state = fixture.module().session_info(session).unwrap().state;
        assert_eq!(state, ck::CKS_RO_PUBLIC_SESSION, "a login crosses from one card to another");
        for object in &objects {
            let code = rv(fixture.attribute(session, *object, ck::CKA_CLASS));
            assert_eq!(code, ck::CKR_OBJECT_HANDLE_INVALID);
        }
        assert!(fixture.find_by(session, &[]).unwrap().iter().all(|object| !objects.contains(object)));
        fixture.login(session, pin(credential)).unwrap();
        let signature = fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").unwrap();
        assert_sha256_signature(&other, credential, b"data", &signature);
    }
}

#[test]
fn another_card_behind_a_reset_gets_no_pin_of_the_one_before() {
    // A reconnect after a reset takes whatever is in the reader. The other card has another PIN:
    // were it sent, it would cost a try.
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    let other = Identity::from_seed(2);
    let mut profile = Profile::full();
    profile.credential_mut(Credential::Authentication).pin = "9876".into();
    fixture.card().replace(profile, other);
    fixture.foreign().connect(READER).unwrap().disconnect(Disposition::Reset).unwrap();
    let code = rv(fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data"));
    assert_eq!(code, ck::CKR_DEVICE_REMOVED);
    assert_eq!(rv(fixture.module().session_info(session)), ck::CKR_SESSION_HANDLE_INVALID);
    assert_eq!(fixture.tries_left(Credential::Authentication), 3);
    let session = fixture.open(fixture.auth_slot());
    fixture.login(session, b"9876").unwrap();
    fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").unwrap();
}

#[test]
fn another_card_behind_a_service_that_counts_anew_is_told_apart_though_the_counts_are_equal() {
    let exchanges: [fn(&Fixture, VirtualCard); 2] = [
        |fixture, card| {
            fixture.service().kill_service();
            fixture.remove_card();
            fixture.service().start_service();
            fixture.service().insert(READER, Arc::new(card));
        },
        // The service of Windows stops with the last reader.
        |fixture, card| {
            fixture.service().set_quirks(Quirks { is_windows: true, ..quirks() });
            fixture.service().remove_reader(READER);
            fixture.service().add_reader(READER);
            fixture.service().insert(READER, Arc::new(card));
        },
    ];
    for exchange in exchanges {
        let fixture = Fixture::new();
        let session = fixture.logged_in(Credential::Authentication);
        let serial_number = || fixture.module().token_info(fixture.auth_slot()).map(|info| info.serialNumber);
        let first = serial_number().unwrap();
        let commands = fixture.card().commands();
        while fixture.module().wait_for_slot_event(false).is_ok() {}
        exchange(&fixture, VirtualCard::new(Profile::full(), Identity::from_seed(4)));
        assert_ne!(serial_number().unwrap(), first);
        assert_eq!(rv(fixture.module().session_info(session)), ck::CKR_SESSION_HANDLE_INVALID);
        assert_eq!(fixture.card().commands(), commands);
        assert_eq!(fixture.module().wait_for_slot_event(false), Ok(fixture.auth_slot()));
    }
}

#[test]
fn a_login_to_the_card_that_came_after_is_not_ended_by_sessions_of_the_one_before() {
    let fixture = Fixture::new();
    let old = fixture.logged_in(Credential::Authentication);
    fixture.show_empty_reader();
    let other = fixture.swap_card(Profile::full(), Identity::from_seed(3));
    let new = fixture.logged_in(Credential::Authentication);
    assert_eq!(rv(fixture.module().logout(old)), ck::CKR_SESSION_HANDLE_INVALID);
    assert_eq!(rv(fixture.module().close_session(old)), ck::CKR_SESSION_HANDLE_INVALID);
    let signature = fixture.sign(new, ck::CKM_SHA256_RSA_PKCS, b"data").unwrap();
    assert_sha256_signature(&other, Credential::Authentication, b"data", &signature);
}

fn pin(credential: Credential) -> &'static [u8] {
    match credential {
        Credential::Authentication => AUTH_PIN,
        Credential::Signature => SIGN_PIN,
    }
}

fn full(credential: Credential) -> u8 {
    match credential {
        Credential::Authentication => 3,
        Credential::Signature => 5,
    }
}

#[test]
fn a_thread_that_looks_slowly_does_not_end_the_login_to_a_card_that_came_meanwhile() {
    let fixture = Fixture::new();
    // Another service tells a look nothing of a card that is back.
    fixture.service().set_quirks(Quirks::default());
    let old = fixture.open(fixture.auth_slot());
    fixture.service().out_and_in(READER);
    let (noticed, removal) = mpsc::channel();
    let (go_on, new_card) = mpsc::channel();
    let pause = move |line: String| {
        if line.contains("the card was removed") {
            noticed.send(()).unwrap();
            new_card.recv().unwrap();
        }
    };
    let new = thread::scope(|scope| {
        let looks = scope.spawn(|| listened(pause, || rv(fixture.module().session_info(old))));
        // It has looked, and has done nothing about it yet.
        removal.recv().unwrap();
        let new = fixture.logged_in(Credential::Authentication);
        go_on.send(()).unwrap();
        let code = looks.join().unwrap();
        assert!([ck::CKR_DEVICE_REMOVED, ck::CKR_SESSION_HANDLE_INVALID].contains(&code), "{code:#x}");
        new
    });
    assert_eq!(fixture.module().session_info(new).unwrap().state, ck::CKS_RO_USER_FUNCTIONS);
    fixture.sign(new, ck::CKM_SHA256_RSA_PKCS, b"data").unwrap();
}
