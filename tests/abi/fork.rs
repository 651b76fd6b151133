//! Forked children: they have to initialize for themselves, touch nothing of their parent's until
//! then, and find no lock that is never released.

use std::fs;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cryptoki_sys as ck;
use pcsc_stand_in::client::{Isolated, StandIn};
use pcsc_stand_in::isolated;
use pcsc_stand_in::service::{Code, Function};
use virtual_card::Credential;

use crate::support::functions::of_3_2;
use crate::support::host::{AUTHENTICATION_PIN, Host, SIGNATURE_PIN, assert_signature, limit_time};
use crate::support::prepared::{PreparedArguments, supported};
use crate::support::process::{End, Mapping, exit, in_child, wiped_on_fork};
use test_support::{Rv, c};

/// A reader whose card never answers.
const SLOW_READER: &str = "Virtual Reader 01 00";

/// From now on a call of the PC/SC library in this process never returns.
fn forbid_pcsc_calls(stand_in: StandIn) {
    for function in [
        Function::EstablishContext,
        Function::ReleaseContext,
        Function::IsValidContext,
        Function::Connect,
        Function::Reconnect,
        Function::Disconnect,
        Function::BeginTransaction,
        Function::EndTransaction,
        Function::Status,
        Function::GetStatusChange,
        Function::Transmit,
        Function::ListReaders,
        Function::Cancel,
    ] {
        stand_in.inject(function, 1, None, &[b"hang", b"0x80100001"]);
    }
}

#[test]
fn a_child_finds_every_function_uninitialized_and_ends_without_a_pcsc_call() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.logged_in();
        host.sign_init(session, ck::CKM_SHA256_RSA_PKCS, host.private_key(session)).ok();
        let ended = in_child(|| {
            forbid_pcsc_calls(stand_in);
            assert_eq!(host.sign(session, b"data"), Err(Rv(ck::CKR_CRYPTOKI_NOT_INITIALIZED)));
            for function in of_3_2(host.p11) {
                if !["C_Initialize", "C_GetFunctionList", "C_GetInterfaceList", "C_GetInterface"]
                    .contains(&function.name)
                {
                    let rv = function.call_with_nothing();
                    assert_eq!(rv, ck::CKR_CRYPTOKI_NOT_INITIALIZED, "{}", function.name);
                }
            }
            exit();
        });
        assert_eq!(ended, End::Exited(0));
        let signature = host.sign(session, b"data").unwrap();
        assert_signature(Credential::Authentication, b"data", &signature);
    });
}

#[test]
fn a_child_may_unload_the_library_without_a_pcsc_call() {
    isolated!(|stand_in| {
        let mut host = Some(Host::new(stand_in));
        host.as_ref().unwrap().logged_in();
        let ended = in_child(|| {
            forbid_pcsc_calls(stand_in);
            host.take().unwrap().library.close();
            exit();
        });
        assert_eq!(ended, End::Exited(0));
        host.unwrap().finalize().ok();
    });
}

/// Pages that a fork wipes and that hold this PIN.
fn pages_with(pin: &[u8]) -> Vec<Mapping> {
    let holds = |page: &Mapping| page.read().windows(pin.len()).any(|bytes| bytes == pin);
    wiped_on_fork().iter().flat_map(Mapping::pages).filter(holds).collect()
}

#[test]
fn a_child_finds_zeros_where_its_parent_keeps_the_pin() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let [authentication, signature] = host.both_slots().map(|slot| host.open_on(slot).unwrap());
        host.login(authentication, AUTHENTICATION_PIN).ok();
        host.login(signature, SIGNATURE_PIN).ok();
        let pages = [pages_with(AUTHENTICATION_PIN), pages_with(SIGNATURE_PIN)].concat();
        assert_eq!(pages.len(), 2, "one page for each PIN");
        let ended = in_child(|| {
            for page in &pages {
                assert!(page.read().iter().all(|byte| *byte == 0));
            }
        });
        assert_eq!(ended, End::Exited(0));
        assert!(pages.iter().all(|page| page.flags.iter().any(|flag| flag == "dd")), "not dumped");
    });
}

#[test]
fn logging_out_takes_the_pin_out_of_memory() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.logged_in();
        assert_eq!(pages_with(AUTHENTICATION_PIN).len(), 1);
        c!(host.p11, C_Logout(session)).ok();
        assert_eq!(pages_with(AUTHENTICATION_PIN).len(), 0);
    });
}

#[test]
fn a_child_that_initializes_itself_signs_as_does_its_parent() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.logged_in();
        let ended = in_child(|| {
            host.initialize().ok();
            // The login is the parent's.
            let mut info = ck::CK_SESSION_INFO::default();
            let own = host.open();
            c!(host.p11, C_GetSessionInfo(own, &raw mut info)).ok();
            assert_eq!(info.state, ck::CKS_RW_PUBLIC_SESSION);
            host.signs();
            host.finalize().ok();
            assert_eq!(host.finalize(), ck::CKR_CRYPTOKI_NOT_INITIALIZED);
        });
        assert_eq!(ended, End::Exited(0));
        host.sign_sha256(session, b"data").unwrap();
    });
}

#[test]
fn a_grandchild_is_another_application_too() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let ended = in_child(|| {
            host.initialize().ok();
            let ended = in_child(|| {
                assert_eq!(host.finalize(), ck::CKR_CRYPTOKI_NOT_INITIALIZED);
                host.initialize().ok();
                host.signs();
            });
            assert_eq!(ended, End::Exited(0));
            host.signs();
        });
        assert_eq!(ended, End::Exited(0));
        host.signs();
    });
}

#[test]
fn parent_and_child_may_both_initialize_after_the_fork() {
    isolated!(|stand_in| {
        let host = Host::loaded(stand_in);
        for _ in 0..3 {
            let ended = in_child(|| {
                host.initialize().ok();
                assert_eq!(host.initialize(), ck::CKR_CRYPTOKI_ALREADY_INITIALIZED);
            });
            assert_eq!(ended, End::Exited(0));
            host.initialize().ok();
            host.finalize().ok();
        }
    });
}

/// Forks again and again while other threads call everything, one of them waits for an event, and
/// one for a card that never answers. Each child initializes, asks something, and finalizes.
fn fork_while_every_lock_is_held(stand_in: StandIn, forks: usize) {
    let host = Host::new(stand_in);
    stand_in.add_reader(SLOW_READER);
    stand_in.new_card("slow", "full@1");
    stand_in.insert(SLOW_READER, "slow");
    let slots = host.slots(true);
    let slow = host.open_on(slots[2]).unwrap();
    let arguments = PreparedArguments::at(&host, [slots[0], slots[1]]);
    stand_in.hang(Function::Transmit, 1, Code::INTERNAL_ERROR);
    let stop = AtomicBool::new(false);
    let hangs = thread::scope(|threads| {
        threads.spawn(|| host.login(slow, AUTHENTICATION_PIN));
        stand_in.await_blocked(Function::Transmit, 1);
        for _ in 0..4 {
            threads.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    call_everything(&arguments);
                }
            });
        }
        threads.spawn(|| {
            let mut slot = 0;
            while !stop.load(Ordering::Relaxed) {
                c!(host.p11, C_Initialize(ptr::null_mut()));
                c!(host.p11, C_WaitForSlotEvent(ck::CKF_DONT_BLOCK, &raw mut slot, ptr::null_mut()));
            }
        });
        let hangs = |_: &usize| {
            limit_time();
            in_child(|| a_short_life(&host)) != End::Exited(0)
        };
        let hangs = (0..forks).filter(hangs).count();
        stop.store(true, Ordering::Relaxed);
        stand_in.release_hanging();
        hangs
    });
    assert_eq!(hangs, 0, "children that hang or fail, of {forks}");
}

fn a_short_life(host: &Host) {
    let mut info = ck::CK_INFO::default();
    assert_eq!(c!(host.p11, C_GetInfo(&raw mut info)), ck::CKR_CRYPTOKI_NOT_INITIALIZED);
    host.initialize().ok();
    c!(host.p11, C_GetInfo(&raw mut info)).ok();
    host.finalize().ok();
}

/// Every supported function once, with whatever result.
fn call_everything(arguments: &PreparedArguments<'_>) {
    for (function, row) in supported(arguments.host) {
        let call = arguments.prepare(function.name, &row.arguments);
        function.call(&call.words);
    }
}

#[test]
fn children_of_a_busy_parent_initialize() {
    isolated!(|stand_in| fork_while_every_lock_is_held(stand_in, 1000));
}

#[test]
fn children_of_a_busy_parent_that_writes_a_log_initialize() {
    let log = concat!(env!("CARGO_TARGET_TMPDIR"), "/fork.log");
    let options = Isolated::new().env("JPKI_PKCS11_LOG", "debug").env("JPKI_PKCS11_LOG_FILE", log);
    isolated!(options, |stand_in| {
        let _ = fs::remove_file(log);
        // Fewer: a child that finds the log's lock taken gives it some time.
        fork_while_every_lock_is_held(stand_in, 50);
        assert_ne!(fs::metadata(log).unwrap().len(), 0);
        fs::remove_file(log).unwrap();
    });
}
