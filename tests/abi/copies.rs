//! Several copies of the library in one program: a package installs three, and each has its own
//! state.

use std::fs;
use std::path::PathBuf;
use std::ptr;
use std::thread;

use cryptoki_sys as ck;
use pcsc_stand_in::isolated;

use crate::support::host::{AUTHENTICATION_PIN, CARD, Host, SIGNATURE_PIN, assert_signature};
use test_support::c;
use test_support::client::Client;
use test_support::library::{Library, version_of};
use virtual_card::Credential;

/// A copy of the library under another name.
fn copy(name: &str) -> PathBuf {
    let path = PathBuf::from(concat!(env!("CARGO_TARGET_TMPDIR"))).join(name);
    fs::copy(Library::path(), &path).unwrap();
    path
}

#[test]
fn two_copies_of_the_library_do_not_know_each_other() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let copy = concat!(env!("CARGO_TARGET_TMPDIR"), "/libjpki_pkcs11_copy.so");
        fs::copy(Library::path(), copy).unwrap();
        let other = Library::load_from(copy.as_ref());
        let table = other.table_3_2();
        let mut count = 0;
        let early = c!(table, C_GetSlotList(ck::CK_TRUE, ptr::null_mut(), &raw mut count));
        assert_eq!(early, ck::CKR_CRYPTOKI_NOT_INITIALIZED);
        c!(table, C_Initialize(ptr::null_mut())).ok();
        c!(table, C_GetSlotList(ck::CK_TRUE, ptr::null_mut(), &raw mut count)).ok();
        assert_eq!(count, 2);
        c!(table, C_Finalize(ptr::null_mut())).ok();
        host.signs();
    });
}

/// A program may load libraries so that later ones find their symbols. A table leads to its own
/// library all the same: a copy for one slot must not lead to the copy for both.
#[test]
fn the_table_of_a_copy_leads_to_no_other_copy() {
    isolated!(|_stand_in| {
        let first = Library::load_for_all(&Library::path());
        let second = Library::load_for_all(&copy("libjpki_pkcs11-auth.so"));
        for library in [&first, &second] {
            let old = library.table_2_40();
            let mut list = ptr::null_mut();
            c!(old, C_GetFunctionList(&raw mut list)).ok();
            assert!(ptr::eq(list, old), "C_GetFunctionList");
            let own = library.interface(None, None, 0).unwrap();
            for table in [library.table_3_0().C_GetInterface, library.table_3_2().C_GetInterface] {
                let mut interface = ptr::null_mut();
                // SAFETY: NULL asks for the default, and the place is writable.
                unsafe { table.unwrap()(ptr::null_mut(), ptr::null_mut(), &raw mut interface, 0) };
                assert!(ptr::eq(interface, own), "C_GetInterface, version {:?}", version_of(own));
            }
            let (mut interfaces, mut count) = ([ck::CK_INTERFACE::default(); 3], 3);
            c!(library.table_3_2(), C_GetInterfaceList(interfaces.as_mut_ptr(), &raw mut count)).ok();
            assert!(ptr::eq(interfaces[0].pFunctionList, own.pFunctionList), "C_GetInterfaceList");
        }
    });
}

/// Two copies sign at the same time, a third one is not logged in, and one ends before the others.
#[test]
fn copies_at_one_card_borrow_no_login_and_lose_no_try() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let names = ["libjpki_pkcs11_second.so", "libjpki_pkcs11_third.so"];
        let [second, third] = names.map(|name| Client::of(&Library::load_from(&copy(name))));
        let first = Client { p11: host.p11 };
        [second, third].iter().for_each(|client| client.initialize().ok());
        let logged_in = |client: Client| {
            let slots = client.both_slots();
            let sessions = slots.map(|slot| client.open_on(slot).unwrap());
            client.login(sessions[0], AUTHENTICATION_PIN).ok();
            client.login(sessions[1], SIGNATURE_PIN).ok();
            sessions
        };
        let sessions = [logged_in(first), logged_in(second)];
        let outside = third.open();
        // A session has one search at a time, and the threads below search in theirs.
        let key = first.private_key(sessions[0][0]);
        let sign = |client: Client, session, credential, times| {
            for _ in 0..times {
                let signature = client.sign_sha256(session, b"data").unwrap();
                assert_signature(credential, b"data", &signature);
            }
        };
        thread::scope(|scope| {
            for (client, [authentication, signature]) in [first, second].into_iter().zip(sessions) {
                scope.spawn(move || sign(client, authentication, Credential::Authentication, 20));
                scope.spawn(move || sign(client, signature, Credential::Signature, 20));
            }
            for _ in 0..200 {
                assert_eq!(third.try_find(outside, ck::CKO_PRIVATE_KEY), Ok(ck::CK_INVALID_HANDLE));
                let foreign = third.sign_init(outside, ck::CKM_RSA_PKCS, key);
                assert!([ck::CKR_KEY_HANDLE_INVALID, ck::CKR_USER_NOT_LOGGED_IN].contains(&foreign.0));
            }
        });
        second.finalize().ok();
        sign(first, sessions[0][0], Credential::Authentication, 1);
        first.finalize().ok();
        third.finalize().ok();
        assert_eq!((host.lost_tries(), stand_in.open_handles()), (0, (0, 0)));
        for credential in ["authentication", "signature"] {
            assert_eq!(stand_in.card(CARD, &["verified", credential]), "false");
        }
    });
}
