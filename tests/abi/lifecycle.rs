//! From loading to unloading: C_Initialize and what it may be told, C_Finalize and what it leaves,
//! and what happens to programs that do without either.

use std::ffi::c_int;
use std::fs;
use std::ptr;
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::Duration;

use cryptoki_sys as ck;
use cryptoki_sys::CK_C_INITIALIZE_ARGS;
use pcsc_stand_in::client::{Isolated, StandIn};
use pcsc_stand_in::isolated;
use pcsc_stand_in::service::{Code, Function};

use crate::support::host::{AUTHENTICATION_PIN, CARD, Host, READER};
use crate::support::process::{End, exit, in_child, mappings, open_files, threads};
use test_support::c;
use test_support::client::Client;

/// Linux's value (pthread.h).
const PTHREAD_CANCEL_DISABLE: c_int = 1;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
}

unsafe extern "C" fn create_mutex(_: *mut ck::CK_VOID_PTR) -> ck::CK_RV {
    ck::CKR_GENERAL_ERROR
}

unsafe extern "C" fn use_mutex(_: ck::CK_VOID_PTR) -> ck::CK_RV {
    ck::CKR_GENERAL_ERROR
}

/// The arguments that are numbered so: four bits for the mutex functions, two for the flags, one
/// for what is reserved.
fn arguments(number: u32, reserved: *mut u8) -> CK_C_INITIALIZE_ARGS {
    let bit = |bit: u32| number & (1 << bit) != 0;
    let flag = |on: bool, flag: ck::CK_FLAGS| if on { flag } else { 0 };
    CK_C_INITIALIZE_ARGS {
        CreateMutex: bit(0).then_some(create_mutex),
        DestroyMutex: bit(1).then_some(use_mutex),
        LockMutex: bit(2).then_some(use_mutex),
        UnlockMutex: bit(3).then_some(use_mutex),
        flags: flag(bit(4), ck::CKF_OS_LOCKING_OK) | flag(bit(5), ck::CKF_LIBRARY_CANT_CREATE_OS_THREADS),
        pReserved: if bit(6) { reserved.cast() } else { ptr::null_mut() },
    }
}

#[test]
fn every_combination_of_arguments_is_taken_or_refused_as_the_standard_says() {
    isolated!(|stand_in| {
        let host = Host::loaded(stand_in);
        let mut byte = 0;
        for number in 0_u32..1 << 7 {
            let mut arguments = arguments(number, &raw mut byte);
            let expected = match (number & 0b1111, number & 0b1_0000 != 0, number & 0b100_0000 != 0) {
                (_, _, true) => ck::CKR_ARGUMENTS_BAD,
                (0, ..) => ck::CKR_OK,
                // The functions would have to be used, and they are not.
                (0b1111, false, _) => ck::CKR_CANT_LOCK,
                (0b1111, true, _) => ck::CKR_OK,
                _ => ck::CKR_ARGUMENTS_BAD,
            };
            let rv = c!(host.p11, C_Initialize(ptr::from_mut(&mut arguments).cast()));
            assert_eq!(rv, expected, "{number:#b}");
            let finalized = host.finalize();
            let initialized = expected == ck::CKR_OK;
            assert_eq!(finalized == ck::CKR_OK, initialized, "{number:#b}");
        }
    });
}

#[test]
fn arguments_that_cannot_be_a_structure_are_refused() {
    isolated!(|stand_in| {
        let host = Host::loaded(stand_in);
        let odd = ptr::without_provenance_mut(0x1001);
        assert_eq!(c!(host.p11, C_Initialize(odd)), ck::CKR_ARGUMENTS_BAD);
        c!(host.p11, C_Initialize(ptr::null_mut())).ok();
    });
}

#[test]
fn initializing_and_finalizing_twice_is_told() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        assert_eq!(host.initialize(), ck::CKR_CRYPTOKI_ALREADY_INITIALIZED);
        host.signs();
        host.finalize().ok();
        assert_eq!(host.finalize(), ck::CKR_CRYPTOKI_NOT_INITIALIZED);
    });
}

#[test]
fn finalizing_leaves_nothing_open_and_the_card_as_it_was() {
    isolated!(|stand_in| {
        let (files, tasks) = (open_files(), threads());
        let host = Host::new(stand_in);
        host.sign_sha256(host.logged_in(), b"data").unwrap();
        host.finalize().ok();
        assert_eq!(stand_in.open_handles(), (0, 0));
        assert_eq!((open_files(), threads()), (files, tasks));
        let (ours, _) = stand_in.power();
        assert_eq!((ours.resets, ours.unpowers), (0, 0));
        assert_eq!(stand_in.card(CARD, &["verified", "authentication"]), "false");
    });
}

#[test]
fn nothing_of_before_is_left_after_initializing_again() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.logged_in();
        let key = host.private_key(session);
        host.finalize().ok();
        host.initialize().ok();
        assert_eq!(host.sign_init(session, ck::CKM_RSA_PKCS, key), ck::CKR_SESSION_HANDLE_INVALID);
        let mut info = ck::CK_SESSION_INFO::default();
        let fresh = host.open();
        c!(host.p11, C_GetSessionInfo(fresh, &raw mut info)).ok();
        assert_eq!(info.state, ck::CKS_RW_PUBLIC_SESSION);
        assert_eq!(host.sign_init(fresh, ck::CKM_RSA_PKCS, key), ck::CKR_KEY_HANDLE_INVALID);
        host.signs();
    });
}

#[test]
fn without_a_service_there_is_no_token_until_it_comes() {
    isolated!(|stand_in| {
        stand_in.kill_service();
        let host = Host::loaded(stand_in);
        host.initialize().ok();
        assert_eq!(host.slots(true), []);
        stand_in.start_service();
        stand_in.add_reader(READER);
        stand_in.new_card(CARD, "full");
        stand_in.insert(READER, CARD);
        assert_eq!(host.slots(true).len(), 2);
        host.finalize().ok();
    });
}

/// Loads, signs, finalizes, unloads.
fn one_life(stand_in: StandIn) {
    let host = Host::loaded(stand_in);
    host.initialize().ok();
    assert_eq!(host.slots(true).len(), 2);
    host.finalize().ok();
    host.library.close();
}

fn many_lives(stand_in: StandIn, lives: usize) {
    stand_in.add_reader(READER);
    stand_in.new_card(CARD, "full");
    stand_in.insert(READER, CARD);
    // What is made once is made now.
    (0..10).for_each(|_| one_life(stand_in));
    let before = (open_files(), mappings());
    (0..lives).for_each(|_| one_life(stand_in));
    assert_eq!(open_files(), before.0);
    // The stand-in's ledger grows. With 32 bits, and with musl, malloc maps more memory for it.
    let of_the_ledger = if cfg!(any(target_pointer_width = "32", target_env = "musl")) { 4 } else { 0 };
    assert!(mappings() <= before.1 + of_the_ledger, "{} mappings, before {}", mappings(), before.1);
    assert_eq!(stand_in.open_handles(), (0, 0));
}

#[test]
fn a_thousand_lives_leave_no_file_and_no_mapping() {
    isolated!(|stand_in| many_lives(stand_in, 1000));
}

#[test]
fn lives_with_a_log_leave_no_file_and_no_mapping() {
    let log = concat!(env!("CARGO_TARGET_TMPDIR"), "/lives.log");
    let options = Isolated::new().env("JPKI_PKCS11_LOG", "info").env("JPKI_PKCS11_LOG_FILE", log);
    isolated!(options, |stand_in| {
        let _ = fs::remove_file(log);
        many_lives(stand_in, 100);
        assert_ne!(fs::metadata(log).unwrap().len(), 0);
        fs::remove_file(log).unwrap();
    });
}

#[test]
fn unloading_takes_the_library_out_of_the_process() {
    isolated!(|stand_in| {
        // A thread of its own: what it keeps for the library goes when it ends.
        thread::spawn(move || {
            let host = Host::new(stand_in);
            host.signs();
            host.finalize().ok();
            host.library.close();
        })
        .join()
        .unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        // musl's dlclose() unloads no library.
        assert_eq!(maps.contains("libjpki_pkcs11.so"), cfg!(target_env = "musl"));
    });
}

#[test]
fn a_library_that_is_unloaded_in_use_does_no_harm() {
    isolated!(|stand_in| {
        for _ in 0..10 {
            assert_eq!(
                in_child(|| {
                    let host = Host::new(stand_in);
                    host.sign_sha256(host.logged_in(), b"data").unwrap();
                    host.library.close();
                    exit();
                }),
                End::Exited(0)
            );
        }
    });
}

#[test]
fn a_program_may_end_without_finalizing() {
    isolated!(|stand_in| {
        let ended = in_child(|| {
            let host = Host::new(stand_in);
            let session = host.logged_in();
            host.sign_init(session, ck::CKM_RSA_PKCS, host.private_key(session)).ok();
            exit();
        });
        assert_eq!(ended, End::Exited(0));
    });
}

#[test]
fn a_program_may_end_while_another_thread_waits_for_the_card() {
    isolated!(|stand_in| {
        let ended = in_child(|| {
            let host: &Host = Box::leak(Box::new(Host::new(stand_in)));
            let session = host.open();
            stand_in.hang(Function::Transmit, 1, Code::INTERNAL_ERROR);
            thread::spawn(move || host.login(session, AUTHENTICATION_PIN));
            stand_in.await_blocked(Function::Transmit, 1);
            exit();
        });
        assert_eq!(ended, End::Exited(0));
    });
}

/// A thread that has a session begins a call, another one unloads the library, and the call ends.
fn unload_during(
    stand_in: StandIn,
    begin: fn(Client, ck::CK_SESSION_HANDLE),
    has_begun: fn(StandIn, u64),
    end: fn(StandIn),
) {
    for _ in 0..5 {
        let ended = in_child(|| {
            let host = Host::new(stand_in);
            let client = Client { p11: host.p11 };
            let session = host.open();
            stand_in.card(CARD, &["latency", "10", "10"]);
            let before = stand_in.calls(Function::Transmit);
            let thread = thread::spawn(move || begin(client, session));
            has_begun(stand_in, before);
            host.library.close();
            end(stand_in);
            thread.join().unwrap();
            exit();
        });
        assert_eq!(ended, End::Exited(0));
    }
}

#[test]
fn a_library_that_is_unloaded_while_a_thread_waits_in_it_does_no_harm() {
    isolated!(|stand_in| {
        let wait = |client: Client, _| {
            c!(client.p11, C_WaitForSlotEvent(0, &mut 0, ptr::null_mut()));
        };
        let waits = |stand_in: StandIn, _| stand_in.await_blocked(Function::GetStatusChange, 1);
        unload_during(stand_in, wait, waits, |stand_in| stand_in.remove_card(READER));
    });
}

#[test]
fn a_library_that_is_unloaded_while_a_thread_logs_in_does_no_harm() {
    isolated!(|stand_in| {
        let log_in = |client: Client, session| {
            client.login(session, AUTHENTICATION_PIN);
        };
        let works = |stand_in: StandIn, before| {
            while stand_in.calls(Function::Transmit) == before {
                thread::yield_now();
            }
        };
        unload_during(stand_in, log_in, works, |_| {});
    });
}

#[test]
fn threads_that_waited_for_one_another_may_end_after_the_library_is_unloaded() {
    isolated!(|stand_in| {
        let ended = in_child(|| {
            let host = Host::new(stand_in);
            let client = Client { p11: host.p11 };
            stand_in.card(CARD, &["latency", "10", "10"]);
            let slots = client.slots(false);
            let look = |slot| c!(client.p11, C_GetSlotInfo(slot, &mut ck::CK_SLOT_INFO::default())).ok();
            look(slots[0]);
            let (all_have_called, library_is_gone) = (Barrier::new(5), Barrier::new(5));
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        // One finds out whether the card has the other token, for all of them.
                        look(slots[1]);
                        all_have_called.wait();
                        library_is_gone.wait();
                    });
                }
                all_have_called.wait();
                host.finalize().ok();
                host.library.close();
                library_is_gone.wait();
            });
            exit();
        });
        assert_eq!(ended, End::Exited(0));
    });
}

/// One thread calls, and hangs in C_Login while `unload` runs. A library that two threads have
/// called would stay.
fn unload_under_a_login(stand_in: StandIn, unload: impl FnOnce(Host)) {
    let (give, take) = mpsc::channel();
    let logs_in = thread::spawn(move || {
        let host = Host::new(stand_in);
        let (client, session) = (Client { p11: host.p11 }, host.open());
        stand_in.hang(Function::Transmit, 1, Code::INTERNAL_ERROR);
        give.send(host).unwrap();
        client.login(session, AUTHENTICATION_PIN)
    });
    let host = take.recv().unwrap();
    stand_in.await_blocked(Function::Transmit, 1);
    unload(host);
    // The command was one that is repeated.
    logs_in.join().unwrap().ok();
}

#[test]
fn a_call_that_begins_while_the_library_is_unloaded_is_refused() {
    // musl's dlclose() unloads no library.
    let expected = if cfg!(target_env = "musl") { ck::CKR_OK } else { ck::CKR_CRYPTOKI_NOT_INITIALIZED };
    isolated!(|stand_in| {
        let is_refused = |begun_after: Duration| {
            in_child(|| {
                unload_under_a_login(stand_in, |host| {
                    let client = Client { p11: host.p11 };
                    // It waits for the login, two seconds at most.
                    let unloads = thread::spawn(move || host.library.close());
                    thread::sleep(begun_after);
                    let rv = c!(client.p11, C_GetInfo(&mut ck::CK_INFO::default()));
                    stand_in.release_hanging();
                    unloads.join().unwrap();
                    assert_eq!(rv, expected);
                });
                exit();
            })
        };
        // The thread that unloads may be slow to begin.
        let waits = [20, 100, 500, 1000].map(Duration::from_millis);
        assert!(waits.into_iter().any(|wait| is_refused(wait) == End::Exited(0)));
    });
}

#[test]
fn a_thread_that_is_cancelled_unloads_the_library_first() {
    isolated!(|stand_in| {
        let ended = in_child(|| {
            unload_under_a_login(stand_in, |host| {
                let unloads = thread::spawn(move || {
                    // SAFETY: no preconditions.
                    let this = unsafe { libc::pthread_self() };
                    // SAFETY: the thread lives. No point of cancellation follows but those of the
                    // library.
                    unsafe { libc::pthread_cancel(this) };
                    host.library.close();
                    // SAFETY: no preconditions.
                    unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, ptr::null_mut()) };
                });
                // It waits for the login meanwhile.
                thread::sleep(Duration::from_millis(100));
                stand_in.release_hanging();
                unloads.join().unwrap();
            });
            exit();
        });
        assert_eq!(ended, End::Exited(0));
    });
}
