//! The library in a process of its own, called through C as a real client calls it.

use std::ffi::{CString, c_char, c_long, c_ulong, c_void};
use std::ptr;

use pcsc_stand_in::client::{Isolated, StandIn};
use pcsc_stand_in::isolated;
use pcsc_stand_in::service::{Code, Function, Quirks};

const READER: &str = "Virtual Reader 00 00";

/// A function of the library that the dynamic linker finds under the name that clients ask for.
fn symbol(name: &str) -> *mut c_void {
    // SAFETY: the name is a string; the library is loaded already and its initialisers have run.
    let library = unsafe { libc::dlopen(c"libpcsclite.so.1".as_ptr(), libc::RTLD_NOW) };
    let name = CString::new(name).unwrap();
    // SAFETY: the handle is of a loaded library, and the name is a string.
    let symbol = unsafe { libc::dlsym(library, name.as_ptr()) };
    assert!(!symbol.is_null(), "{name:?}");
    symbol
}

macro_rules! function {
    ($name:literal as $type:ty) => {
        // SAFETY: the library defines the function with this signature.
        unsafe { std::mem::transmute::<*mut c_void, $type>(symbol($name)) }
    };
}

type Establish = unsafe extern "C" fn(c_ulong, *const c_void, *const c_void, *mut c_long) -> c_long;
type Connect =
    unsafe extern "C" fn(c_long, *const c_char, c_ulong, c_ulong, *mut c_long, *mut c_ulong) -> c_long;
type Transmit = unsafe extern "C" fn(
    c_long,
    *const [c_ulong; 2],
    *const u8,
    c_ulong,
    *mut c_void,
    *mut u8,
    *mut c_ulong,
) -> c_long;

fn connect() -> c_long {
    let (mut context, mut card, mut protocol) = (0, 0, 0);
    let reader = CString::new(READER).unwrap();
    let establish = function!("SCardEstablishContext" as Establish);
    // SAFETY: the place is writable.
    let established = unsafe { establish(2, ptr::null(), ptr::null(), &raw mut context) };
    assert_eq!(established, 0);
    let connect = function!("SCardConnect" as Connect);
    // SAFETY: the name is a string, the places are writable.
    let connected = unsafe { connect(context, reader.as_ptr(), 2, 3, &raw mut card, &raw mut protocol) };
    assert_eq!((connected, protocol), (0, 2));
    card
}

fn transmit(card: c_long, room: &mut [u8]) -> (c_long, c_ulong) {
    let mut length = c_ulong::try_from(room.len()).unwrap();
    let pci = symbol("g_rgSCardT1Pci").cast::<[c_ulong; 2]>();
    let command = [0x00, 0xa4, 0x04, 0x0c];
    let function = function!("SCardTransmit" as Transmit);
    // SAFETY: the buffers have the lengths that are given.
    let result = unsafe {
        function(card, pci, command.as_ptr(), 4, ptr::null_mut(), room.as_mut_ptr(), &raw mut length)
    };
    (result, length)
}

fn with_card(stand_in: StandIn) -> c_long {
    stand_in.add_reader(READER);
    stand_in.new_card("card", "other");
    stand_in.insert(READER, "card");
    connect()
}

#[test]
fn a_client_reaches_the_card() {
    isolated!(|stand_in| {
        let card = with_card(stand_in);
        let mut room = [0xee; 258];
        assert_eq!(transmit(card, &mut room), (0, 2));
        assert_eq!(room[..3], [0x6a, 0x82, 0xee]);
        assert_eq!(stand_in.calls(Function::Transmit), 1);
        assert_eq!(stand_in.log().last().unwrap(), "SCardTransmit SUCCESS");
    });
}

#[test]
fn a_length_that_is_a_lie_is_told_and_not_written() {
    isolated!(|stand_in| {
        let card = with_card(stand_in);
        stand_in.inject(Function::Transmit, 1, Some(1), &[b"length", b"0xffffffff"]);
        let mut room = [0xee; 4];
        assert_eq!(transmit(card, &mut room), (0, 0xffff_ffff));
        assert_eq!(room, [0x6a, 0x82, 0xee, 0xee]);
    });
}

#[test]
fn a_request_before_a_call_is_carried_out() {
    isolated!(|stand_in| {
        let card = with_card(stand_in);
        stand_in.before(Function::Transmit, 2, &[b"remove", READER.as_bytes()]);
        let mut room = [0; 258];
        assert_eq!(transmit(card, &mut room).0, 0);
        assert_eq!(transmit(card, &mut room).0, c_long::from(Code::REMOVED_CARD.raw()));
    });
}

#[test]
fn an_answer_that_does_not_fit_is_refused_with_its_length() {
    isolated!(|stand_in| {
        let card = with_card(stand_in);
        stand_in.inject(Function::Transmit, 1, Some(1), &[b"answer", b"0102039000"]);
        let refused = c_long::from(Code::INSUFFICIENT_BUFFER.raw());
        assert_eq!(transmit(card, &mut [0; 4]), (refused, 5));
    });
}

#[test]
fn a_foreign_program_keeps_the_reader_for_itself() {
    isolated!(|stand_in| {
        with_card(stand_in);
        assert_eq!(stand_in.foreign(READER, "scdaemon", "exclusive").unwrap_err(), "SHARING_VIOLATION");
        let other = stand_in.foreign(READER, "other", "transaction").unwrap();
        assert_eq!(other.act(&["select", "a0000001510000"]).unwrap(), "6a82");
        other.release("reset");
        assert_eq!(stand_in.power().1.resets, 1);
        assert_eq!(stand_in.power().0.resets, 0);
    });
}

#[test]
fn the_environment_describes_the_first_world() {
    let service = "reader=Virtual Reader 00 00;card=other;reader=読取機";
    isolated!(Isolated::new().env("JPKI_STAND_IN", service), |stand_in| {
        let mut room = [0; 258];
        assert_eq!(transmit(connect(), &mut room), (0, 2));
        assert_eq!(stand_in.request(&[b"remove-reader", "読取機".as_bytes()]), Ok(Vec::new()));
    });
}

#[test]
fn a_virtual_card_tells_its_ledger() {
    isolated!(|stand_in| {
        stand_in.add_reader(READER);
        stand_in.new_card("mine", "full");
        stand_in.insert(READER, "mine");
        let other = stand_in.foreign(READER, "other", "shared").unwrap();
        assert_eq!(other.act(&["select", "d392f000260100000001"]).unwrap(), "9000");
        assert_eq!(other.act(&["verify", "0018", "0000"]).unwrap(), "63c2");
        assert_eq!(stand_in.card("mine", &["tries", "authentication"]), "2");
        assert_eq!(stand_in.card("mine", &["failed-verifies", "authentication"]), "1");
        assert_eq!(other.act(&["verify", "0018", "1234"]).unwrap(), "9000");
        assert_eq!(stand_in.card("mine", &["verified", "authentication"]), "true");
        stand_in.out_and_in(READER);
        assert_eq!(stand_in.card("mine", &["verified", "authentication"]), "false");
    });
}

#[test]
fn a_scripted_removal_takes_the_card_out_of_the_reader() {
    isolated!(|stand_in| {
        stand_in.add_reader(READER);
        stand_in.new_card("mine", "full@1");
        stand_in.insert(READER, "mine");
        let card = connect();
        stand_in.card("mine", &["fault", "at", "2", "remove"]);
        let mut room = [0; 258];
        assert_eq!(transmit(card, &mut room).0, 0);
        assert_eq!(transmit(card, &mut room).0, c_long::from(Code::REMOVED_CARD.raw()));
        assert_eq!(stand_in.foreign(READER, "other", "shared").unwrap_err(), "NO_SMARTCARD");
        stand_in.insert(READER, "mine");
        stand_in.foreign(READER, "other", "shared").unwrap();
    });
}

#[test]
fn a_card_works_for_a_caller_with_a_small_stack() {
    isolated!(|stand_in| {
        stand_in.set_quirks(Quirks { cards_have_threads: true, ..Quirks::default() });
        stand_in.add_reader(READER);
        stand_in.new_card("mine", "full");
        stand_in.insert(READER, "mine");
        let other = stand_in.foreign(READER, "other", "shared").unwrap();
        let small = std::thread::Builder::new().stack_size(64 * 1024);
        let signing = small.spawn(move || {
            other.act(&["select", "d392f000260100000001"]).unwrap();
            other.act(&["verify", "0018", "1234"]).unwrap();
            other.act(&["sign", "0017", "00112233"]).unwrap()
        });
        let answer = signing.unwrap().join().unwrap();
        assert_eq!(answer.len(), 2 * 258);
        assert!(answer.ends_with("9000"));
    });
}
