//! A PKCS#11 client that signs several times, and says how long each call takes. It knows a library
//! by its table of version 2.40, which every library has.

use std::io;
use std::path::Path;
use std::ptr;
use std::time::Instant;

use cryptoki_sys as ck;
use cryptoki_sys::{CK_FUNCTION_LIST, CK_OBJECT_HANDLE, CK_SESSION_HANDLE};
use test_support::c;
use test_support::client::{SIGNATURE, attribute, mechanism, ulong};
use test_support::library::Library;

/// The PIN of a new virtual card's authentication key.
const PIN: &[u8] = b"1234";

/// Waits for the next line. `false` when there will be none.
pub(crate) fn is_told() -> bool {
    io::stdin().read_line(&mut String::new()).is_ok_and(|length| length > 0)
}

/// Prints what took how long since `start`, in microseconds.
pub(crate) fn print_time(what: &str, start: Instant) {
    println!("{what} {}", start.elapsed().as_micros());
}

/// A signature at each line, all by one session.
pub(crate) fn sign(library: &Path) {
    let start = Instant::now();
    let library = Library::load_from(library);
    let p11 = library.table_2_40();
    print_time("load", start);
    let start = Instant::now();
    c!(p11, C_Initialize(ptr::null_mut())).ok();
    print_time("initialize", start);
    let session = log_in(p11);
    let key = private_key(p11, session);
    while is_told() {
        let start = Instant::now();
        sign_once(p11, session, key);
        print_time("sign", start);
    }
    let start = Instant::now();
    c!(p11, C_Finalize(ptr::null_mut())).ok();
    print_time("finalize", start);
}

fn log_in(p11: &CK_FUNCTION_LIST) -> CK_SESSION_HANDLE {
    let mut slots = [0; 16];
    let mut count = ulong(slots.len());
    c!(p11, C_GetSlotList(ck::CK_TRUE, slots.as_mut_ptr(), &raw mut count)).ok();
    let mut session = 0;
    let flags = ck::CKF_SERIAL_SESSION;
    c!(p11, C_OpenSession(slots[0], flags, ptr::null_mut(), None, &raw mut session)).ok();
    c!(p11, C_Login(session, ck::CKU_USER, PIN.as_ptr().cast_mut(), ulong(PIN.len()))).ok();
    session
}

fn private_key(p11: &CK_FUNCTION_LIST, session: CK_SESSION_HANDLE) -> CK_OBJECT_HANDLE {
    let mut class = ck::CKO_PRIVATE_KEY.to_ne_bytes();
    let mut template = attribute(ck::CKA_CLASS, &mut class);
    c!(p11, C_FindObjectsInit(session, &raw mut template, 1)).ok();
    let (mut key, mut count) = (0, 0);
    c!(p11, C_FindObjects(session, &raw mut key, 1, &raw mut count)).ok();
    c!(p11, C_FindObjectsFinal(session)).ok();
    assert_eq!(count, 1, "a key");
    key
}

fn sign_once(p11: &CK_FUNCTION_LIST, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) {
    let mut by = mechanism(ck::CKM_SHA256_RSA_PKCS);
    c!(p11, C_SignInit(session, &raw mut by, key)).ok();
    let (mut data, mut signature) = ([0x5a; 100], [0; SIGNATURE]);
    let mut length = ulong(SIGNATURE);
    let data_length = ulong(data.len());
    c!(p11, C_Sign(session, data.as_mut_ptr(), data_length, signature.as_mut_ptr(), &raw mut length)).ok();
    assert_eq!(length, ulong(SIGNATURE));
}
