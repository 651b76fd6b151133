//! The function tables: which there are, what is in them, and what every entry says when the module
//! is not initialized or does not have the function.

use std::ffi::CStr;
use std::ptr;

use cryptoki_sys as ck;
use pcsc_stand_in::isolated;

use crate::support::functions::{Function, of_2_40, of_3_0, of_3_2};
use crate::support::guarded::{Guarded, UNTOUCHED};
use crate::support::host::{Host, text_of};
use crate::support::rows::row;
use test_support::Rv;
use test_support::c;
use test_support::client::ulong;
use test_support::library::{
    GetInterfaceList, Library, VERSION_2_40, VERSION_3_0, VERSION_3_2, exported_symbols, number, version_of,
};

/// They work before C_Initialize. Called with NULL, they say so.
const ALWAYS_WORKING: [&str; 3] = ["C_GetFunctionList", "C_GetInterfaceList", "C_GetInterface"];

const NAME: &CStr = c"PKCS 11";

/// Every function of every table.
fn all_functions(library: &Library) -> [(&'static str, Vec<Function>); 3] {
    [
        ("2.40", of_2_40(library.table_2_40())),
        ("3.0", of_3_0(library.table_3_0())),
        ("3.2", of_3_2(library.table_3_2())),
    ]
}

/// What functions return that do not return what `expected` says.
fn differing(
    functions: &[Function],
    expected: impl Fn(&Function) -> Option<ck::CK_RV>,
) -> Vec<(&'static str, Rv)> {
    let asked = functions.iter().filter_map(|function| Some((function, expected(function)?)));
    let answers = asked.map(|(function, expected)| (function.name, function.call_with_nothing(), expected));
    answers.filter(|(_, rv, expected)| rv != expected).map(|(name, rv, _)| (name, rv)).collect()
}

/// What a function returns, with NULL and 0, as long as the module is not initialized.
fn uninitialized(function: &Function) -> Option<ck::CK_RV> {
    match function.name {
        "C_Initialize" => None,
        name if ALWAYS_WORKING.contains(&name) => Some(ck::CKR_ARGUMENTS_BAD),
        _ => Some(ck::CKR_CRYPTOKI_NOT_INITIALIZED),
    }
}

#[test]
fn the_library_exports_the_standards_entry_points_and_nothing_else() {
    assert_eq!(exported_symbols(), ["C_GetFunctionList", "C_GetInterface", "C_GetInterfaceList"]);
}

#[test]
fn the_lists_of_this_test_are_complete() {
    isolated!(|_stand_in| {
        let entries = |table: usize| table / size_of::<ck::CK_C_GetInfo>() - 1;
        let [(_, old), (_, middle), (_, new)] = all_functions(&Library::load());
        assert_eq!(old.len(), entries(size_of::<ck::CK_FUNCTION_LIST>()));
        assert_eq!(middle.len(), entries(size_of::<ck::CK_FUNCTION_LIST_3_0>()));
        assert_eq!(new.len(), entries(size_of::<ck::CK_FUNCTION_LIST_3_2>()));
    });
}

#[test]
fn no_table_has_an_empty_entry() {
    isolated!(|_stand_in| {
        for (version, functions) in all_functions(&Library::load()) {
            let empty: Vec<_> = functions.iter().filter(|f| f.is_empty()).map(|f| f.name).collect();
            assert!(empty.is_empty(), "{version}: {empty:?}");
        }
    });
}

#[test]
fn before_initialization_every_function_says_so() {
    isolated!(|stand_in| {
        for (version, functions) in all_functions(&Library::load()) {
            assert_eq!(differing(&functions, uninitialized), [], "{version}");
        }
        assert_eq!(stand_in.all_calls(), 0);
    });
}

#[test]
fn after_finalization_every_function_says_so() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        host.signs();
        host.finalize().ok();
        let calls = stand_in.all_calls();
        for (version, functions) in all_functions(&host.library) {
            assert_eq!(differing(&functions, uninitialized), [], "{version}");
        }
        assert_eq!(stand_in.all_calls(), calls);
    });
}

#[test]
fn what_the_module_does_not_do_is_not_supported_from_any_table() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let unsupported =
            |function: &Function| row(function.name).is_none().then_some(ck::CKR_FUNCTION_NOT_SUPPORTED);
        for (version, functions) in all_functions(&host.library) {
            assert_eq!(differing(&functions, unsupported), [], "{version}");
        }
    });
}

#[test]
fn every_table_tells_its_own_version() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let (old, middle, new) = (host.library.table_2_40(), host.library.table_3_0(), host.p11);
        let mut info = ck::CK_INFO::default();
        assert_eq!(number(old.version), VERSION_2_40);
        c!(old, C_GetInfo(&raw mut info)).ok();
        assert_eq!(number(info.cryptokiVersion), VERSION_2_40);
        assert_eq!(number(middle.version), VERSION_3_0);
        c!(middle, C_GetInfo(&raw mut info)).ok();
        assert_eq!(number(info.cryptokiVersion), VERSION_3_0);
        assert_eq!(number(new.version), VERSION_3_2);
        c!(new, C_GetInfo(&raw mut info)).ok();
        assert_eq!(number(info.cryptokiVersion), VERSION_3_2);
    });
}

#[test]
fn the_modules_texts_are_padded_with_blanks() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let mut info = ck::CK_INFO::default();
        c!(host.p11, C_GetInfo(&raw mut info)).ok();
        assert_eq!(text_of(&info.manufacturerID), "jpki-pkcs11");
        assert!(text_of(&info.libraryDescription).contains("JPKI"));
        assert_eq!(info.flags, 0);
    });
}

#[test]
fn the_default_interface_is_the_newest() {
    isolated!(|_stand_in| {
        let library = Library::load();
        for name in [None, Some(NAME)] {
            let found = library.interface(name, None, 0).unwrap();
            assert_eq!(version_of(found), VERSION_3_2);
        }
    });
}

#[test]
fn an_interface_is_found_by_its_exact_version() {
    isolated!(|_stand_in| {
        let library = Library::load();
        for version in [VERSION_2_40, VERSION_3_0, VERSION_3_2] {
            let found = library.interface(Some(NAME), Some(version), 0).unwrap();
            assert_eq!(version_of(found), version);
        }
        for unknown in [(2, 20), (3, 1), (3, 3), (4, 0), (0, 0)] {
            let refused = library.interface(None, Some(unknown), 0).err();
            assert_eq!(refused, Some(Rv(ck::CKR_ARGUMENTS_BAD)), "{unknown:?}");
        }
    });
}

#[test]
fn an_interface_of_another_name_is_refused() {
    isolated!(|_stand_in| {
        let library = Library::load();
        for name in [c"", c"PKCS 1", c"PKCS 11 ", c"pkcs 11", c"Vendor"] {
            let refused = library.interface(Some(name), None, 0).err();
            assert_eq!(refused, Some(Rv(ck::CKR_ARGUMENTS_BAD)), "{name:?}");
        }
    });
}

#[test]
fn a_name_is_read_no_further_than_its_end() {
    isolated!(|_stand_in| {
        let get = Library::load().symbol::<test_support::library::GetInterface>(c"C_GetInterface");
        for (name, expected) in [(&b"PKCS 11\0"[..], ck::CKR_OK), (b"PKCS\0", ck::CKR_ARGUMENTS_BAD)] {
            let name = Guarded::of(name);
            let mut interface = ptr::null_mut();
            // SAFETY: the name is a string, and the place is writable.
            let rv = Rv(unsafe { get(name.place(), ptr::null_mut(), &raw mut interface, 0) });
            assert_eq!(rv, expected);
        }
    });
}

#[test]
fn no_interface_claims_to_survive_a_fork() {
    isolated!(|_stand_in| {
        let library = Library::load();
        let wanted = library.interface(None, None, ck::CKF_INTERFACE_FORK_SAFE);
        assert_eq!(wanted.err(), Some(Rv(ck::CKR_ARGUMENTS_BAD)));
        assert_eq!(library.interface(None, None, 0).unwrap().flags, 0);
    });
}

#[test]
fn the_list_of_interfaces_leads_to_the_three_tables() {
    isolated!(|_stand_in| {
        let library = Library::load();
        let list = library.symbol::<GetInterfaceList>(c"C_GetInterfaceList");
        let mut count = 0;
        // SAFETY: a NULL list asks for the number.
        Rv(unsafe { list(ptr::null_mut(), &raw mut count) }).ok();
        assert_eq!(count, 3);
        let room = Guarded::room(3 * size_of::<ck::CK_INTERFACE>());
        // SAFETY: there is room for three.
        Rv(unsafe { list(room.place(), &raw mut count) }).ok();
        let interfaces = room.value::<[ck::CK_INTERFACE; 3]>();
        assert_eq!(interfaces.each_ref().map(version_of), [VERSION_3_2, VERSION_3_0, VERSION_2_40]);
        for interface in interfaces {
            // SAFETY: a string of the library.
            assert_eq!(unsafe { CStr::from_ptr(interface.pInterfaceName.cast()) }, NAME);
        }
    });
}

#[test]
fn a_short_list_of_interfaces_is_refused_with_the_number() {
    isolated!(|_stand_in| {
        let list = Library::load().symbol::<GetInterfaceList>(c"C_GetInterfaceList");
        for short in [0, 1, 2] {
            let room = Guarded::room(short * size_of::<ck::CK_INTERFACE>());
            let mut count = ulong(short);
            // SAFETY: there is room for so many.
            assert_eq!(Rv(unsafe { list(room.place(), &raw mut count) }), ck::CKR_BUFFER_TOO_SMALL);
            assert_eq!(count, 3);
            assert!(room.bytes().iter().all(|byte| *byte == UNTOUCHED));
        }
    });
}

#[test]
fn initializing_asks_nothing_of_the_service() {
    isolated!(|stand_in| {
        let host = Host::loaded(stand_in);
        host.initialize().ok();
        assert_eq!(stand_in.all_calls(), 0);
        assert_eq!(host.slots(true), []);
        assert_ne!(stand_in.all_calls(), 0);
    });
}
