//! Many threads, threads that wait, threads with little room, and signals.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki_sys as ck;
use pcsc_stand_in::client::StandIn;
use pcsc_stand_in::isolated;
use pcsc_stand_in::service::{Code, Function, Quirks};

use crate::support::host::{AUTHENTICATION_PIN, CARD, Host, READER};
use crate::support::prepared::{PreparedArguments, supported};
use test_support::Rv;
use test_support::c;
use test_support::time::least_time;

#[test]
fn one_of_sixteen_threads_initializes() {
    isolated!(|stand_in| {
        let host = Host::loaded(stand_in);
        for _ in 0..50 {
            let together = Barrier::new(16);
            let results: Vec<Rv> = thread::scope(|threads| {
                let initialize = || {
                    together.wait();
                    host.initialize()
                };
                let threads: Vec<_> = (0..16).map(|_| threads.spawn(initialize)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let count = |rv: ck::CK_RV| results.iter().filter(|result| **result == rv).count();
            assert_eq!((count(ck::CKR_OK), count(ck::CKR_CRYPTOKI_ALREADY_INITIALIZED)), (1, 15));
            host.finalize().ok();
        }
    });
}

/// What a call may say while other threads log in and out, open and close, and one of them
/// finalizes.
const DOCUMENTED: [ck::CK_RV; 18] = [
    ck::CKR_OK,
    ck::CKR_CRYPTOKI_NOT_INITIALIZED,
    ck::CKR_CRYPTOKI_ALREADY_INITIALIZED,
    ck::CKR_FUNCTION_NOT_PARALLEL,
    ck::CKR_KEY_HANDLE_INVALID,
    ck::CKR_NO_EVENT,
    ck::CKR_OBJECT_HANDLE_INVALID,
    ck::CKR_OPERATION_ACTIVE,
    ck::CKR_OPERATION_NOT_INITIALIZED,
    ck::CKR_RANDOM_NO_RNG,
    ck::CKR_SESSION_CLOSED,
    ck::CKR_SESSION_HANDLE_INVALID,
    ck::CKR_SIGNATURE_INVALID,
    ck::CKR_SIGNATURE_LEN_RANGE,
    ck::CKR_SLOT_ID_INVALID,
    ck::CKR_TOKEN_NOT_PRESENT,
    ck::CKR_USER_ALREADY_LOGGED_IN,
    ck::CKR_USER_NOT_LOGGED_IN,
];

/// Calls everything until the module is finalized, and counts. What was said.
fn call_everything(arguments: &PreparedArguments<'_>, calls: &AtomicUsize) -> BTreeSet<Rv> {
    let mut said = BTreeSet::new();
    loop {
        for (function, row) in supported(arguments.host) {
            let call = arguments.prepare(function.name, &row.arguments);
            let rv = function.call(&call.words);
            calls.fetch_add(1, Ordering::Relaxed);
            said.insert(rv);
            if rv == ck::CKR_CRYPTOKI_NOT_INITIALIZED {
                return said;
            }
        }
    }
}

#[test]
fn finalizing_while_fifteen_threads_call_everything_ends_them_all() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        for round in 0..10 {
            let arguments = PreparedArguments::new(&host);
            let calls = AtomicUsize::new(0);
            let said: BTreeSet<Rv> = thread::scope(|threads| {
                let busy: Vec<_> =
                    (0..15).map(|_| threads.spawn(|| call_everything(&arguments, &calls))).collect();
                while calls.load(Ordering::Relaxed) < 200 + 50 * round {
                    thread::yield_now();
                }
                host.finalize().ok();
                busy.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
            let strange: Vec<_> = said.iter().filter(|rv| !DOCUMENTED.contains(&rv.0)).collect();
            assert!(strange.is_empty(), "{strange:?}");
            assert_eq!(stand_in.open_handles(), (0, 0));
            assert_eq!(stand_in.card(CARD, &["verified", "authentication"]), "false");
            host.initialize().ok();
        }
        assert_eq!(host.lost_tries(), 0);
        host.signs();
    });
}

/// What a thread that waits for an event is told when the module is finalized, and how long that
/// takes.
fn finalize_during_wait(host: &Host, until_it_waits: impl FnOnce()) -> (Rv, Duration) {
    thread::scope(|threads| {
        let waiting = threads.spawn(|| {
            let mut slot = 0;
            c!(host.p11, C_WaitForSlotEvent(0, &raw mut slot, ptr::null_mut()))
        });
        until_it_waits();
        let start = Instant::now();
        host.finalize().ok();
        (waiting.join().unwrap(), start.elapsed())
    })
}

/// Asserts that such a wait ends at once.
fn assert_wait_ends(mut wait: impl FnMut() -> (Rv, Duration)) {
    let most = Duration::from_secs(1);
    let after = least_time(most, || {
        let (told, after) = wait();
        assert_eq!(told, ck::CKR_CRYPTOKI_NOT_INITIALIZED);
        after
    });
    assert!(after < most, "{after:?}");
}

#[test]
fn finalizing_ends_a_wait_for_an_event() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        assert_wait_ends(|| {
            host.slots(true);
            let until_it_waits = || stand_in.await_blocked(Function::GetStatusChange, 1);
            let ended = finalize_during_wait(&host, until_it_waits);
            assert_eq!(stand_in.open_handles(), (0, 0));
            host.initialize().ok();
            ended
        });
    });
}

#[test]
fn finalizing_ends_a_wait_for_the_first_reader() {
    isolated!(|stand_in| {
        let host = Host::loaded(stand_in);
        assert_wait_ends(|| {
            host.initialize().ok();
            let before = stand_in.calls(Function::ListReaders);
            finalize_during_wait(&host, || {
                while stand_in.calls(Function::ListReaders) == before {
                    thread::yield_now();
                }
            })
        });
    });
}

#[test]
fn asking_does_not_wait_for_a_card_that_hangs_and_finalizing_does_for_two_seconds() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.open();
        stand_in.hang(Function::Transmit, 1, Code::INTERNAL_ERROR);
        thread::scope(|threads| {
            let hanging = threads.spawn(|| host.login(session, AUTHENTICATION_PIN));
            stand_in.await_blocked(Function::Transmit, 1);
            let start = Instant::now();
            let mut info = ck::CK_INFO::default();
            c!(host.p11, C_GetInfo(&raw mut info)).ok();
            assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
            let start = Instant::now();
            host.finalize().ok();
            host.initialize().ok();
            assert!(start.elapsed() > Duration::from_millis(1900), "{:?}", start.elapsed());
            assert!(start.elapsed() < Duration::from_millis(3500), "{:?}", start.elapsed());
            stand_in.release_hanging();
            let told = hanging.join().unwrap();
            assert!([ck::CKR_CRYPTOKI_NOT_INITIALIZED, ck::CKR_DEVICE_ERROR].contains(&told.0), "{told:?}");
        });
        host.signs();
    });
}

#[test]
fn one_of_sixteen_threads_logs_in() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.open();
        let together = Barrier::new(16);
        let results: Vec<Rv> = thread::scope(|threads| {
            let login = || {
                together.wait();
                host.login(session, AUTHENTICATION_PIN)
            };
            let threads: Vec<_> = (0..16).map(|_| threads.spawn(login)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let count = |rv: ck::CK_RV| results.iter().filter(|result| **result == rv).count();
        assert_eq!((count(ck::CKR_OK), count(ck::CKR_USER_ALREADY_LOGGED_IN)), (1, 15));
        assert_eq!(stand_in.card(CARD, &["verifies", "authentication"]), "1");
    });
}

/// Code that is not optimised needs more, most of it for reading a certificate.
const SMALL_STACK: usize = if cfg!(debug_assertions) { 128 } else { 64 } * 1024;

/// A host whose card does not use the stack of the thread that calls the module.
fn with_a_card_of_its_own(stand_in: StandIn) -> Host {
    stand_in.set_quirks(Quirks { cards_have_threads: true, ..Quirks::default() });
    Host::new(stand_in)
}

#[test]
fn a_thread_with_a_small_stack_can_call_everything() {
    isolated!(|stand_in| {
        let host = with_a_card_of_its_own(stand_in);
        let small = thread::Builder::new().stack_size(SMALL_STACK);
        thread::scope(|threads| {
            let small = small.spawn_scoped(threads, || {
                let arguments = PreparedArguments::new(&host);
                for (function, row) in supported(&host) {
                    let call = arguments.prepare(function.name, &row.arguments);
                    assert_eq!(function.call(&call.words), row.good, "{}", function.name);
                }
            });
            small.unwrap().join().unwrap();
        });
        host.finalize().ok();
    });
}

static ALARMS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_alarm(_: libc::c_int) {
    ALARMS.fetch_add(1, Ordering::Relaxed);
}

/// Sends SIGALRM a thousand times a second. System calls are interrupted by it.
#[expect(clippy::as_conversions, reason = "a function becomes a number in no other way")]
fn start_alarms() {
    // SAFETY: all zeros is a valid value.
    let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    action.sa_sigaction = count_alarm as *const () as libc::sighandler_t;
    // SAFETY: the handler does what a handler may do.
    assert_eq!(unsafe { libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut()) }, 0);
    let period = libc::timeval { tv_sec: 0, tv_usec: 1000 };
    let timer = libc::itimerval { it_interval: period, it_value: period };
    // SAFETY: the timer is readable.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut()) }, 0);
}

#[test]
fn signals_a_thousand_times_a_second_change_nothing() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        start_alarms();
        let session = host.logged_in();
        for _ in 0..200 {
            host.sign_sha256(session, b"data").unwrap();
        }
        thread::scope(|threads| {
            let waiting = threads.spawn(|| {
                let mut slot = 0;
                c!(host.p11, C_WaitForSlotEvent(0, &raw mut slot, ptr::null_mut()))
            });
            let before = ALARMS.load(Ordering::Relaxed);
            while ALARMS.load(Ordering::Relaxed) < before + 100 {
                thread::yield_now();
            }
            assert!(!waiting.is_finished());
            stand_in.remove_card(READER);
            waiting.join().unwrap().ok();
        });
    });
}

/// What the process does with each signal, and which are blocked in this thread.
fn signal_handling() -> Vec<libc::sighandler_t> {
    let dispositions = (1..=31).map(|signal| {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: the place is writable.
        unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
        // SAFETY: all zeros is a valid value too.
        unsafe { action.assume_init() }.sa_sigaction
    });
    let mut blocked = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the place is writable.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), blocked.as_mut_ptr()) };
    // SAFETY: written just now.
    let blocked = unsafe { blocked.assume_init() };
    let is_blocked = (1..=31).map(|signal| {
        // SAFETY: the set is a valid one.
        let member = unsafe { libc::sigismember(&raw const blocked, signal) };
        libc::sighandler_t::from(member == 1)
    });
    dispositions.chain(is_blocked).collect()
}

#[test]
fn what_the_host_does_with_signals_is_left_alone() {
    isolated!(|stand_in| {
        // SAFETY: the default is what every program begins with.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let before = signal_handling();
        let host = Host::new(stand_in);
        host.signs();
        assert_eq!(signal_handling(), before);
        host.finalize().ok();
        assert_eq!(signal_handling(), before);
    });
}
