//! The shared library as a program loads it, over the stand-in for the PC/SC library.

#![allow(clippy::unwrap_used, clippy::expect_used, unsafe_code, reason = "a test that speaks C")]

use std::ffi::{CString, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use cryptoki_sys as ck;
use pcsc_stand_in::client::beside;
use pcsc_stand_in::isolated;
use pcsc_stand_in::world::Function;

const READER: &str = "Virtual Reader 00 00";

/// The module's function table.
fn functions() -> &'static ck::CK_FUNCTION_LIST {
    let path = CString::new(beside("libjpki_pkcs11.so").as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is a string; the library's initialisers are the Rust runtime's.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    assert!(!library.is_null());
    // SAFETY: the handle is of a loaded library, and the name is a string.
    let symbol = unsafe { libc::dlsym(library, c"C_GetFunctionList".as_ptr()) };
    assert!(!symbol.is_null());
    type GetFunctionList = unsafe extern "C" fn(*mut *mut ck::CK_FUNCTION_LIST) -> ck::CK_RV;
    // SAFETY: the standard gives the function this signature.
    let get = unsafe { std::mem::transmute::<*mut c_void, GetFunctionList>(symbol) };
    let mut list = ptr::null_mut();
    // SAFETY: the place is writable.
    assert_eq!(unsafe { get(&raw mut list) }, ck::CKR_OK);
    // SAFETY: the table is there as long as the library is loaded, which is for ever.
    unsafe { &*list }
}

#[test]
fn the_loaded_module_sees_the_card_of_the_stand_in() {
    isolated!(|stand_in| {
        stand_in.add_reader(READER);
        stand_in.new_card("mine", "full");
        stand_in.insert(READER, "mine");
        let functions = functions();
        // SAFETY: no arguments.
        assert_eq!(unsafe { functions.C_Initialize.unwrap()(ptr::null_mut()) }, ck::CKR_OK);
        let mut count = 0;
        // SAFETY: a NULL list asks for the number.
        let counted =
            unsafe { functions.C_GetSlotList.unwrap()(ck::CK_TRUE, ptr::null_mut(), &raw mut count) };
        assert_eq!((counted, count), (ck::CKR_OK, 2));
        assert!(stand_in.calls(Function::Transmit) > 0);
        // SAFETY: nothing is reserved.
        assert_eq!(unsafe { functions.C_Finalize.unwrap()(ptr::null_mut()) }, ck::CKR_OK);
        assert_eq!(stand_in.open_handles(), (0, 0));
        assert_eq!(stand_in.power().0.resets, 0);
    });
}
