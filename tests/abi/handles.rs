//! Handles that name nothing: of every supported function each handle in turn is stale, zero, huge,
//! or of the other slot.

use cryptoki_sys as ck;
use cryptoki_sys::CK_ULONG;
use pcsc_stand_in::isolated;

use crate::support::host::{Host, READER, SIGNATURE_PIN};
use crate::support::prepared::{PreparedArguments, supported};
use crate::support::process::{End, in_child};
use crate::support::rows::Argument;
use test_support::Rv;
use test_support::c;

/// What functions say that do not say `expected` when one of their handles is `bad`.
fn spoiled(
    arguments: &PreparedArguments<'_>,
    is_handle: impl Fn(&Argument) -> bool,
    bad: &[CK_ULONG],
    expected: impl Fn(&str) -> ck::CK_RV,
) -> Vec<(&'static str, CK_ULONG, Rv)> {
    let mut differing = Vec::new();
    let mut tried = 0;
    for (function, row) in supported(arguments.host) {
        let Some(index) = row.arguments.iter().position(&is_handle) else { continue };
        for handle in bad {
            let mut call = arguments.prepare(function.name, &row.arguments);
            call.words[index] = *handle;
            tried += 1;
            let rv = call.make(&function);
            if rv != expected(function.name) {
                differing.push((function.name, *handle, rv));
            }
        }
    }
    assert!(tried >= 2 * bad.len(), "there are such functions");
    differing
}

fn is_key(argument: &Argument) -> bool {
    matches!(argument, Argument::PrivateKey | Argument::PublicKey)
}

/// A key is what an operation asks for; others ask for an object.
fn no_such_object(function: &str) -> ck::CK_RV {
    if function.ends_with("Init") { ck::CKR_KEY_HANDLE_INVALID } else { ck::CKR_OBJECT_HANDLE_INVALID }
}

#[test]
fn a_session_handle_that_names_no_session_is_invalid_everywhere() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let arguments = PreparedArguments::new(&host);
        let stale = host.open();
        c!(host.p11, C_CloseSession(stale)).ok();
        let bad = [stale, 0, 0x7fff_ffff, CK_ULONG::MAX];
        let session = |argument: &Argument| *argument == Argument::Session;
        let differing = spoiled(&arguments, session, &bad, |_| ck::CKR_SESSION_HANDLE_INVALID);
        assert_eq!(differing, []);
    });
}

#[test]
fn a_slot_id_that_names_no_slot_is_invalid_everywhere() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let arguments = PreparedArguments::new(&host);
        let slot = |argument: &Argument| matches!(argument, Argument::Slot | Argument::OtherSlot);
        let differing = spoiled(&arguments, slot, &[2, CK_ULONG::MAX / 2 + 1, CK_ULONG::MAX], |_| {
            ck::CKR_SLOT_ID_INVALID
        });
        assert_eq!(differing, []);
    });
}

#[test]
fn an_object_handle_that_names_no_object_is_invalid_everywhere() {
    isolated!(|stand_in| {
        let scene_host = Host::new(stand_in);
        let arguments = PreparedArguments::new(&scene_host);
        assert_eq!(spoiled(&arguments, is_key, &[0, 0x7fff_ffff, CK_ULONG::MAX], no_such_object), []);
    });
}

#[test]
fn an_object_of_the_other_slot_is_not_there() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let arguments = PreparedArguments::new(&host);
        let session = host.open_on(host.both_slots()[1]).unwrap();
        host.login(session, SIGNATURE_PIN).ok();
        let others = [ck::CKO_PRIVATE_KEY, ck::CKO_PUBLIC_KEY, ck::CKO_CERTIFICATE]
            .map(|class| host.find(session, class));
        assert_eq!(spoiled(&arguments, is_key, &others, no_such_object), []);
    });
}

#[test]
fn objects_of_a_card_that_was_taken_out_are_not_those_of_the_next() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.logged_in();
        let stale = [ck::CKO_PRIVATE_KEY, ck::CKO_PUBLIC_KEY].map(|class| host.find(session, class));
        stand_in.out_and_in(READER);
        let arguments = PreparedArguments::new(&host);
        assert_eq!(spoiled(&arguments, is_key, &stale, no_such_object), []);
    });
}

#[test]
fn handles_are_never_given_out_twice() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let session = host.open();
            assert!(session != 0 && seen.insert(session));
            c!(host.p11, C_CloseSession(session)).ok();
        }
    });
}

/// A part of the host that still holds a handle from before must not meet what another part opened.
#[test]
fn a_handle_from_before_the_end_of_the_module_or_before_a_fork_names_nothing_afterwards() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.logged_in();
        let object = host.find(session, ck::CKO_PRIVATE_KEY);
        let assert_stale = |host: &Host| {
            let fresh = host.logged_in();
            let rv = c!(host.p11, C_GetSessionInfo(session, &mut ck::CK_SESSION_INFO::default()));
            assert_eq!(rv, ck::CKR_SESSION_HANDLE_INVALID);
            assert_eq!(c!(host.p11, C_CloseSession(session)), ck::CKR_SESSION_HANDLE_INVALID);
            let rv = c!(host.p11, C_GetObjectSize(fresh, object, &mut 0));
            assert_eq!(rv, ck::CKR_OBJECT_HANDLE_INVALID);
            host.sign_sha256(fresh, b"data").unwrap();
        };
        let ended = in_child(|| {
            host.initialize().ok();
            assert_stale(&host);
        });
        assert_eq!(ended, End::Exited(0));
        host.finalize().ok();
        host.initialize().ok();
        assert_stale(&host);
    });
}

#[test]
fn closing_all_sessions_of_a_slot_leaves_those_of_the_other_slot() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let [authentication, signature] = host.both_slots();
        let closed = [(); 8].map(|()| host.open_on(authentication).unwrap());
        let kept = [(); 2].map(|()| host.open_on(signature).unwrap());
        host.login(kept[0], SIGNATURE_PIN).ok();
        c!(host.p11, C_CloseAllSessions(authentication)).ok();
        let mut info = ck::CK_SESSION_INFO::default();
        for session in closed {
            let rv = c!(host.p11, C_GetSessionInfo(session, &raw mut info));
            assert_eq!(rv, ck::CKR_SESSION_HANDLE_INVALID);
        }
        for session in kept {
            c!(host.p11, C_GetSessionInfo(session, &raw mut info)).ok();
            assert_eq!(info.state, ck::CKS_RW_USER_FUNCTIONS);
        }
    });
}

#[test]
fn closing_all_sessions_ends_the_login() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        host.logged_in();
        c!(host.p11, C_CloseAllSessions(host.both_slots()[0])).ok();
        let mut info = ck::CK_SESSION_INFO::default();
        c!(host.p11, C_GetSessionInfo(host.open(), &raw mut info)).ok();
        assert_eq!(info.state, ck::CKS_RW_PUBLIC_SESSION);
    });
}
