//! Many threads at one module.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError, mpsc};
use std::thread;

use crate::support::by_handle::ByHandle;
use crate::support::calls::{Call, rv, sends_a_pin};
use crate::support::fixture::{Fixture, READER};
use crate::support::signatures::assert_sha256_signature;
use cryptoki_sys as ck;
use jpki_pkcs11::handle::SessionHandle;
use jpki_pkcs11::module::Module;
use jpki_pkcs11::token::template::TemplateEntry;
use pcsc_stand_in::service::{Disposition, Fault, Function, When};
use virtual_card::{Credential, Profile};

const THREADS: usize = 16;

#[test]
fn of_16_threads_each_with_its_session_everyone_gets_its_own_signatures() {
    let fixture = Fixture::new();
    fixture.logged_in(Credential::Authentication);
    fixture.logged_in(Credential::Signature);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let fixture = &fixture;
            scope.spawn(move || {
                let credential = Credential::ALL[number % 2];
                let session = fixture.open(fixture.slot_of(credential));
                for round in 0..12 {
                    let data = format!("thread {number}, round {round}");
                    let signature = fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, data.as_bytes()).unwrap();
                    assert_sha256_signature(fixture.card(), credential, data.as_bytes(), &signature);
                }
                fixture.module().close_session(session).unwrap();
            });
        }
    });
    assert_eq!(fixture.card().signatures(), THREADS * 12);
}

#[test]
fn of_16_threads_among_resets_everyone_gets_its_own_signatures() {
    let fixture = Fixture::new();
    fixture.logged_in(Credential::Authentication);
    let left = AtomicUsize::new(4);
    thread::scope(|scope| {
        for number in 0..4 {
            let (fixture, left) = (&fixture, &left);
            scope.spawn(move || {
                let session = fixture.open(fixture.auth_slot());
                for round in 0..10 {
                    let data = format!("thread {number}, round {round}");
                    let signature = fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, data.as_bytes()).unwrap();
                    let credential = Credential::Authentication;
                    assert_sha256_signature(fixture.card(), credential, data.as_bytes(), &signature);
                }
                left.fetch_sub(1, Ordering::Relaxed);
            });
        }
        // A program that resets the card whenever it gets at it: between two transactions.
        while left.load(Ordering::Relaxed) > 0 {
            let program = fixture.foreign().connect(READER).unwrap();
            program.begin().unwrap();
            program.end(Disposition::Reset).unwrap();
        }
    });
    assert_eq!(fixture.card().signatures(), 40);
}

#[test]
fn on_one_session_shared_by_16_threads_each_signature_is_right_or_refused() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    let key = fixture.key(session);
    let barrier = Barrier::new(THREADS);
    let made = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..10 {
                    let begun = rv(fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key));
                    assert!([ck::CKR_OK, ck::CKR_OPERATION_ACTIVE].contains(&begun), "{begun:#x}");
                    let result = fixture.finish_sign(session, b"data");
                    if let Ok(signature) = &result {
                        // Any thread may have begun it: all of them sign the same data.
                        assert_sha256_signature(
                            fixture.card(),
                            Credential::Authentication,
                            b"data",
                            signature,
                        );
                        made.fetch_add(1, Ordering::Relaxed);
                    }
                    let code = rv(result);
                    assert!([ck::CKR_OK, ck::CKR_OPERATION_NOT_INITIALIZED].contains(&code), "{code:#x}");
                }
            });
        }
    });
    let made = made.into_inner();
    assert!(made > 0);
    assert_eq!(fixture.card().signatures(), made, "a signature was made and no caller got it");
}

/// What one thread does while another one waits for the card.
type Interruption = fn(&Module, SessionHandle, &Fixture) -> ck::CK_RV;

#[test]
fn a_login_may_end_at_any_moment_of_a_signature_in_another_thread() {
    let interruptions: [Interruption; 3] = [
        |module, session, _| rv(module.logout(session)),
        |module, session, _| rv(module.close_session(session)),
        |module, _, fixture| rv(module.close_all_sessions(fixture.auth_slot())),
    ];
    let call = Call::Sign(Credential::Authentication);
    for interrupt in interruptions {
        for number in 1..=call.commands(&Profile::full()).len() {
            let ready = call.ready(&Profile::full());
            let (fixture, session) = (&ready.fixture, ready.session());
            let (reached, at_command) = mpsc::channel();
            let (go_on, interrupted) = mpsc::channel();
            let interrupted = Mutex::new(interrupted);
            let pause = Fault::before(move |_| {
                reached.send(()).unwrap();
                interrupted.lock().unwrap().recv().unwrap();
            });
            fixture.service().inject(Function::Transmit, When::nth(u64::try_from(number).unwrap()), pause);
            thread::scope(|scope| {
                let signer = scope.spawn(|| ready.make());
                at_command.recv().unwrap();
                assert_eq!(interrupt(fixture.module(), session, fixture), ck::CKR_OK);
                go_on.send(()).unwrap();
                let code = rv(signer.join().unwrap());
                let allowed = [
                    ck::CKR_OK,
                    ck::CKR_USER_NOT_LOGGED_IN,
                    ck::CKR_SESSION_CLOSED,
                    ck::CKR_SESSION_HANDLE_INVALID,
                ];
                assert!(allowed.contains(&code), "command {number}: {code:#x}");
            });
            assert_eq!(fixture.memory().live_pages(), 0, "a PIN outlives its login");
            assert!(!fixture.card().verified(Credential::Authentication));
            ready.assert_slot_works();
        }
    }
}

/// When an operation goes on that was at one of its commands when the module began to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GoesOn {
    /// While C_Finalize waits for it.
    InTime,
    /// After C_Finalize has given it up.
    TooLate,
}

/// Held by a case until its call has come to its command. A hundred cases that all prepare at once
/// would keep the threads of every other test waiting.
static PREPARES: Mutex<()> = Mutex::new(());

/// Ends the module while a call in another thread is at this command.
fn end_at(call: Call, number: usize, goes_on: GoesOn) {
    let case = format!("{call:?}, command {number}, {goes_on:?}");
    let prepares = PREPARES.lock().unwrap_or_else(PoisonError::into_inner);
    let ready = call.ready(&Profile::full());
    let (module, service, card) = (ready.fixture.module(), ready.fixture.service(), ready.fixture.card());
    let (reached, at_command) = mpsc::channel();
    let (go_on, released) = mpsc::channel();
    let released = Mutex::new(released);
    let pause = Fault::before(move |_| {
        reached.send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
    });
    service.inject(Function::Transmit, When::nth(u64::try_from(number).unwrap()), pause);
    thread::scope(|scope| {
        let caller = scope.spawn(|| ready.make());
        at_command.recv().unwrap();
        drop(prepares);
        let mark = card.mark();
        match goes_on {
            GoesOn::InTime => {
                // The end of the module ends this wait when it has ended all logins.
                let waiter = scope.spawn(|| {
                    let ended = module.wait_for_slot_event(true);
                    go_on.send(()).unwrap();
                    ended
                });
                service.await_blocked(Function::GetStatusChange, 1);
                module.shut_down();
                assert_eq!(rv(waiter.join().unwrap()), ck::CKR_CRYPTOKI_NOT_INITIALIZED, "{case}");
                assert!(!card.verified(call.credential()), "{case}: C_Finalize leaves a login on the card");
            }
            GoesOn::TooLate => {
                module.shut_down();
                go_on.send(()).unwrap();
            }
        }
        let code = rv(caller.join().unwrap());
        let allowed = [
            ck::CKR_OK,
            ck::CKR_CRYPTOKI_NOT_INITIALIZED,
            ck::CKR_USER_NOT_LOGGED_IN,
            ck::CKR_SESSION_HANDLE_INVALID,
            ck::CKR_TOKEN_NOT_PRESENT,
        ];
        assert!(allowed.contains(&code), "{case}: {code:#x}");
        // The command that it was at may carry one.
        let ledger = card.ledger_since(mark);
        let pins = ledger.commands().skip(1).filter(|command| sends_a_pin(command)).count();
        assert_eq!(pins, 0, "{case}: a PIN is sent after the end");
    });
    assert_eq!(ready.fixture.memory().live_pages(), 0, "{case}");
    assert!(!card.verified(call.credential()), "{case}");
}

/// Every command of every call.
fn all_commands() -> impl Iterator<Item = (Call, usize)> {
    let profile = Profile::full();
    let calls: Vec<_> = Call::all_on(&profile).map(|call| (call, call.commands(&profile).len())).collect();
    calls.into_iter().flat_map(|(call, count)| (1..=count).map(move |number| (call, number)))
}

#[test]
fn the_module_may_end_at_any_moment_of_any_call_in_another_thread() {
    all_commands().for_each(|(call, number)| end_at(call, number, GoesOn::InTime));
}

#[test]
fn a_call_that_outlasts_the_end_of_the_module_sends_no_pin_afterwards() {
    // Each case takes as long as C_Finalize waits, so that all of them wait at once.
    let cases: Vec<_> = all_commands().collect();
    thread::scope(|scope| {
        for (call, number) in cases {
            scope.spawn(move || end_at(call, number, GoesOn::TooLate));
        }
    });
}

#[test]
fn threads_that_do_everything_at_once_end_and_leave_nothing() {
    let fixture = Arc::new(Fixture::new());
    let slots = [fixture.auth_slot(), fixture.sign_slot()];
    thread::scope(|scope| {
        for number in 0..THREADS {
            let fixture = &fixture;
            scope.spawn(move || {
                let credential = Credential::ALL[number % 2];
                let slot = slots[number % 2];
                for _ in 0..8 {
                    let Ok(session) = fixture.module().open_session(slot, ck::CKF_SERIAL_SESSION) else {
                        continue;
                    };
                    let pin = if number % 2 == 0 { &b"1234"[..] } else { b"ABC123" };
                    let _ = fixture.login(session, pin);
                    let _ = fixture.module().token_info(slot);
                    for object in fixture.find_by(session, &[]).unwrap_or_default() {
                        let _ = fixture.module().object_size(session, object);
                    }
                    let class = ck::CKO_PRIVATE_KEY.to_ne_bytes();
                    let template = TemplateEntry { kind: ck::CKA_CLASS, value: &class };
                    let key =
                        fixture.find_by(session, &[template]).ok().and_then(|found| found.first().copied());
                    let begun = key.map(|key| fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key));
                    if let (Some(Ok(())), Ok(signature)) = (begun, fixture.finish_sign(session, b"data")) {
                        assert_sha256_signature(fixture.card(), credential, b"data", &signature);
                    }
                    if number % 4 < 2 {
                        let _ = fixture.module().logout(session);
                    }
                    let _ = fixture.module().close_session(session);
                }
            });
        }
        for _ in 0..10 {
            fixture.service().disturb(READER);
            fixture.module().count_slots(true).unwrap();
            fixture.service().out_and_in(READER);
            fixture.module().count_slots(true).unwrap();
        }
    });
    for slot in slots {
        fixture.module().close_all_sessions(slot).unwrap();
    }
    assert_eq!(fixture.memory().live_pages(), 0);
}
