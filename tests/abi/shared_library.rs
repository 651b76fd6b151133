//! The shared library as a program loads it, over the stand-in for the PC/SC library.

use std::ptr;

use cryptoki_sys as ck;
use pcsc_stand_in::isolated;
use pcsc_stand_in::service::Function;
use test_support::library::Library;

const READER: &str = "Virtual Reader 00 00";

#[test]
fn the_loaded_module_sees_the_card_of_the_stand_in() {
    isolated!(|stand_in| {
        stand_in.add_reader(READER);
        stand_in.new_card("mine", "full");
        stand_in.insert(READER, "mine");
        let functions = Library::load().table_2_40();
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
