//! A thread that is slow between its look at the reader and what it does then, while other threads
//! go on with a card that came meanwhile (rules 2 and 6). Each pause is at a point that the test
//! chooses.

use std::fs;
use std::sync::mpsc;
use std::thread;

use crate::support::by_handle::ByHandle;
use crate::support::calls::rv;
use crate::support::fixture::{AUTH_PIN, Fixture, READER, SIGN_PIN};
use crate::support::logged::listened;
use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::handle::SessionHandle;
use pcsc_stand_in::service::{Function, When};
use virtual_card::{Credential, Identity, Profile, VirtualCard};

const AUTH: Credential = Credential::Authentication;
const WRONG: &[u8] = b"1111";

/// Another person's card takes the place of the one that is there.
fn swap(fixture: &Fixture) -> VirtualCard {
    fixture.swap_card(Profile::full().with_pins("9876", "OTHER9"), Identity::from_seed(1))
}

/// Runs `meanwhile` while a login with this PIN has looked at the reader and has not taken its lock
/// yet, and returns the code of the login.
fn while_login_waits(
    fixture: &Fixture,
    session: SessionHandle,
    pin: &[u8],
    meanwhile: impl FnOnce(),
) -> ck::CK_RV {
    let (reach, reached) = mpsc::channel();
    let (go_on, released) = mpsc::channel::<()>();
    // The first thing that a login does after its look is to take a page for the PIN.
    fixture.memory().before_next_page(move || {
        reach.send(()).expect("the test waits");
        // An error means that the test has failed, and dropped its end.
        let _ = released.recv();
    });
    thread::scope(|scope| {
        let login = scope.spawn(|| rv(fixture.login(session, pin)));
        reached.recv().expect("the login comes");
        meanwhile();
        drop(go_on);
        login.join().expect("no panic")
    })
}

fn assert_signs(fixture: &Fixture, session: SessionHandle) {
    fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").expect("the login of the newer card stays");
}

#[test]
fn rule_6_a_login_that_looked_before_the_swap_sends_nothing_to_the_newer_card() {
    for pin in [AUTH_PIN, WRONG] {
        for has_login in [false, true] {
            let fixture = Fixture::new();
            let old = fixture.open(fixture.auth_slot());
            let mut newer = None;
            let code = while_login_waits(&fixture, old, pin, || {
                let card = swap(&fixture);
                assert_ne!(rv(fixture.module().session_info(old)), ck::CKR_OK, "the removal is noticed");
                let new = fixture.open(fixture.auth_slot());
                if has_login {
                    fixture.login(new, b"9876").expect("the newer card's PIN");
                }
                newer = Some((card, new));
            });
            let (card, new) = newer.expect("it came");
            let told = [ck::CKR_DEVICE_REMOVED, ck::CKR_SESSION_HANDLE_INVALID];
            assert!(told.contains(&code), "{code:#x}");
            assert_eq!((card.verifies(AUTH), card.tries_left(AUTH)), (usize::from(has_login), 3));
            if has_login {
                assert_signs(&fixture, new);
            } else {
                let state = fixture.module().session_info(new).expect("a session").state;
                assert_eq!(state, ck::CKS_RO_PUBLIC_SESSION);
            }
        }
    }
}

#[test]
fn rule_7_a_login_that_looked_before_all_sessions_were_closed_does_not_stay() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    let code = while_login_waits(&fixture, session, AUTH_PIN, || {
        fixture.module().close_all_sessions(fixture.auth_slot()).expect("a slot");
    });
    assert_eq!(code, ck::CKR_SESSION_HANDLE_INVALID);
    assert_eq!(fixture.memory().live_pages(), 0);
    let session = fixture.open(fixture.auth_slot());
    let state = fixture.module().session_info(session).expect("a session").state;
    assert_eq!(state, ck::CKS_RO_PUBLIC_SESSION);
}

/// C_CloseAllSessions frees no refused PIN, and neither does the same PIN on its way.
#[test]
fn rule_2_a_refused_pin_that_looked_before_all_sessions_were_closed_is_not_sent() {
    let fixture = Fixture::new();
    let first = fixture.open(fixture.auth_slot());
    let code = while_login_waits(&fixture, first, WRONG, || {
        let second = fixture.open(fixture.auth_slot());
        assert_eq!(rv(fixture.login(second, WRONG)), ck::CKR_PIN_INCORRECT);
        fixture.module().close_all_sessions(fixture.auth_slot()).expect("a slot");
    });
    assert_eq!(code, ck::CKR_FUNCTION_CANCELED);
    assert_eq!((fixture.card().verifies(AUTH), fixture.tries_left(AUTH)), (1, 2));
}

/// The slow thread has seen that the first card is gone, and has done nothing about it yet. The
/// same card comes back, or another person's.
#[test]
fn rule_2_a_thread_that_notices_a_removal_slowly_frees_no_refused_pin_and_ends_no_newer_login() {
    for swaps in [false, true] {
        let fixture = Fixture::new();
        let old = fixture.open(fixture.auth_slot());
        assert_eq!(rv(fixture.login(old, WRONG)), ck::CKR_PIN_INCORRECT);
        let card = if swaps {
            swap(&fixture)
        } else {
            fixture.remove_card();
            fixture.insert_card();
            fixture.card().clone()
        };
        let right: &[u8] = if swaps { b"9876" } else { AUTH_PIN };
        let (reach, reached) = mpsc::channel();
        let (go_on, released) = mpsc::channel::<()>();
        let pause = move |line: String| {
            if line.contains("the card was removed") {
                reach.send(()).expect("the test waits");
                let _ = released.recv();
            }
        };
        let (module, slot) = (fixture.module(), fixture.auth_slot());
        thread::scope(|scope| {
            let slow = scope.spawn(|| listened(pause, || rv(module.session_info(old))));
            reached.recv().expect("it notices");
            let before = card.verifies(AUTH);
            let new = fixture.open(slot);
            let (refused, held) = (ck::CKR_PIN_INCORRECT, ck::CKR_FUNCTION_CANCELED);
            // On the card that came back it is still a refused one.
            assert_eq!(rv(fixture.login(new, WRONG)), if swaps { refused } else { held });
            assert_eq!(rv(fixture.login(new, b"2222")), refused);
            drop(go_on);
            assert_ne!(slow.join().expect("no panic"), ck::CKR_OK);
            for pin in [WRONG, b"2222"] {
                assert_eq!(rv(fixture.login(new, pin)), held);
            }
            assert_eq!(card.verifies(AUTH) - before, if swaps { 2 } else { 1 });
            fixture.login(new, right).expect("the right PIN");
            assert_signs(&fixture, new);
        });
    }
}

#[test]
fn a_slow_look_takes_no_card_from_the_thread_that_has_recognised_it_meanwhile() {
    let fixture = Fixture::new();
    let (module, slot) = (fixture.module(), fixture.auth_slot());
    thread::scope(|scope| {
        let command = fixture.stop_before(Function::Transmit, When::NEXT);
        let fast = scope.spawn(|| rv(module.token_info(slot)));
        command.wait();
        // The first one is for the list of readers.
        let look = fixture.stop_before(Function::GetStatusChange, When::nth(2));
        let slow = scope.spawn(|| module.count_slots(true));
        look.wait();
        command.wait();
        assert_eq!(fast.join().expect("no panic"), ck::CKR_OK);
        look.wait();
        slow.join().expect("no panic").expect("a count");
    });
    let session = fixture.logged_in(AUTH);
    assert_signs(&fixture, session);
}

/// Has this thread run on the first processor alone.
fn share_one_processor() {
    // SAFETY: all zeros is the empty set.
    let (mut allowed, mut one): (libc::cpu_set_t, libc::cpu_set_t) = unsafe { std::mem::zeroed() };
    // SAFETY: the set may be written.
    let got = unsafe { libc::sched_getaffinity(0, size_of_val(&allowed), &raw mut allowed) };
    // SAFETY: the number is below the size of the set.
    let has = |number: &usize| unsafe { libc::CPU_ISSET(*number, &allowed) };
    let first = (0..size_of_val(&allowed) * 8).find(has).expect("a processor");
    // SAFETY: as above.
    unsafe { libc::CPU_SET(first, &mut one) };
    // SAFETY: the set is complete.
    let set = unsafe { libc::sched_setaffinity(0, size_of_val(&one), &raw const one) };
    assert_eq!((got, set), (0, 0));
}

/// Lets every other thread of its processor go before this one.
fn go_last() {
    let priority: libc::c_int = 0;
    // The call itself: musl's function refuses to make it.
    // SAFETY: a policy's parameters are this one number.
    let set =
        unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_IDLE, &raw const priority) };
    assert_eq!(set, 0);
}

/// Returns when a thread of this process sleeps.
fn await_sleep(thread: libc::pid_t) {
    let stat = || fs::read_to_string(format!("/proc/self/task/{thread}/stat")).expect("it lives");
    while !stat().rsplit(')').next().expect("its state").starts_with(" S") {
        thread::yield_now();
    }
}

/// The PIN of a signature was accepted, and its thread has not kept it yet when another thread
/// changes the PIN.
#[test]
fn rule_1_a_pin_for_a_signature_that_is_changed_before_it_is_kept_is_not_sent() {
    for _ in 0..5 {
        let fixture = Fixture::builder().config(Config::parse("always_authenticate = true")).build();
        let session = fixture.logged_in(Credential::Signature);
        let other = fixture.open_rw(fixture.sign_slot());
        fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, fixture.key(session)).expect("logged in");
        let holder = fixture.foreign().hold_transaction(READER).expect("the card");
        thread::scope(|scope| {
            let slow = scope.spawn(|| {
                share_one_processor();
                go_last();
                rv(fixture.login_for_operation(session, SIGN_PIN))
            });
            fixture.service().await_blocked(Function::BeginTransaction, 1);
            let (tell, told) = mpsc::channel();
            let change = {
                let fixture = &fixture;
                scope.spawn(move || {
                    share_one_processor();
                    // SAFETY: no preconditions.
                    tell.send(unsafe { libc::gettid() }).expect("the test waits");
                    rv(fixture.set_pin(other, SIGN_PIN, b"XYZ789"))
                })
            };
            await_sleep(told.recv().expect("it begins"));
            drop(holder);
            assert_eq!(change.join().expect("no panic"), ck::CKR_OK);
            assert_eq!(slow.join().expect("no panic"), ck::CKR_OK);
        });
        assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_USER_NOT_LOGGED_IN);
        assert_eq!(fixture.card().failed_verifies(Credential::Signature), 0);
        assert_eq!(fixture.memory().live_pages(), 0, "neither PIN is needed any more");
    }
}
