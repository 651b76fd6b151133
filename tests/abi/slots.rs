//! Slots as C sees them: lists that change between two calls, names that do not fit, and events.

use std::collections::HashSet;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use cryptoki_sys as ck;
use cryptoki_sys::{CK_SLOT_ID, CK_ULONG};
use pcsc_stand_in::client::StandIn;
use pcsc_stand_in::isolated;
use pcsc_stand_in::service::Function;

use crate::support::guarded::Guarded;
use crate::support::host::{CARD, Host, READER, text_of};
use test_support::Rv;
use test_support::c;
use test_support::client::size;
use test_support::client::ulong;

const OTHER_READER: &str = "Virtual Reader 01 00";

/// A loaded and initialized module without a reader.
fn without_readers(stand_in: StandIn) -> Host {
    let host = Host::loaded(stand_in);
    host.initialize().ok();
    host
}

/// A reader without a card, of which the module knows, and its slots. After them are those for a
/// reader that comes later.
fn with_empty_reader(stand_in: StandIn) -> (Host, [CK_SLOT_ID; 2]) {
    stand_in.add_reader(READER);
    stand_in.new_card(CARD, "full");
    let host = without_readers(stand_in);
    let slots = host.slots(false);
    assert_eq!(slots.len(), 4);
    (host, [slots[0], slots[1]])
}

/// C_GetSlotList with a buffer of so many slots.
fn list(host: &Host, with_token: ck::CK_BBOOL, room: usize) -> (Rv, usize, Vec<CK_SLOT_ID>) {
    let memory = Guarded::room(room * size_of::<CK_SLOT_ID>());
    let mut count = ulong(room);
    let rv = c!(host.p11, C_GetSlotList(with_token, memory.place(), &raw mut count));
    let filled = if rv == ck::CKR_OK { size(count) } else { 0 };
    assert!(filled <= room, "{filled} slots in room for {room}");
    let slots = memory.bytes().chunks_exact(size_of::<CK_SLOT_ID>()).take(filled);
    let slots = slots.map(|slot| CK_SLOT_ID::from_ne_bytes(slot.try_into().unwrap())).collect();
    if rv != ck::CKR_OK {
        assert!(memory.is_untouched());
    }
    (rv, size(count), slots)
}

fn wait(host: &Host, flags: ck::CK_FLAGS) -> Result<CK_SLOT_ID, Rv> {
    let mut slot = 0;
    match c!(host.p11, C_WaitForSlotEvent(flags, &raw mut slot, ptr::null_mut())) {
        Rv(ck::CKR_OK) => Ok(slot),
        rv => Err(rv),
    }
}

/// Every event there is, without a wait.
fn events(host: &Host) -> Vec<CK_SLOT_ID> {
    std::iter::from_fn(|| wait(host, ck::CKF_DONT_BLOCK).ok()).collect()
}

/// What stands before the name of a reader in the description of its first slot.
const FIRST_SLOT: &str = "Authentication, ";

/// The description of a reader's first slot as C_GetSlotInfo gives it.
fn description(stand_in: StandIn, reader: &[u8]) -> String {
    stand_in.add_reader(reader);
    let host = without_readers(stand_in);
    let mut info = ck::CK_SLOT_INFO::default();
    c!(host.p11, C_GetSlotInfo(host.slots(false)[0], &raw mut info)).ok();
    text_of(&info.slotDescription).to_owned()
}

#[test]
fn a_description_of_63_bytes_is_padded() {
    isolated!(|stand_in| {
        let name = format!("aa{}", "読".repeat(15));
        assert_eq!(FIRST_SLOT.len() + name.len(), 63);
        assert_eq!(description(stand_in, name.as_bytes()), format!("{FIRST_SLOT}{name}"));
    });
}

#[test]
fn a_description_of_64_bytes_fits() {
    isolated!(|stand_in| {
        let name = "読".repeat(16);
        assert_eq!(FIRST_SLOT.len() + name.len(), 64);
        assert_eq!(description(stand_in, name.as_bytes()), format!("{FIRST_SLOT}{name}"));
    });
}

#[test]
fn a_description_of_65_bytes_is_not_cut_inside_a_character() {
    isolated!(|stand_in| {
        let name = format!("a{}", "読".repeat(16));
        assert_eq!(FIRST_SLOT.len() + name.len(), 65);
        let cut = "読".repeat(15);
        assert_eq!(description(stand_in, name.as_bytes()), format!("{FIRST_SLOT}a{cut}"));
    });
}

#[test]
fn a_reader_name_that_is_not_text_becomes_text() {
    isolated!(|stand_in| {
        let description = description(stand_in, b"reader \xff\xfe");
        assert!(description.starts_with("Authentication, reader "), "{description}");
    });
}

#[test]
fn what_tells_the_two_slots_of_a_reader_apart_comes_first() {
    isolated!(|stand_in| {
        stand_in.add_reader("One Reader");
        let host = without_readers(stand_in);
        let described = |slot| {
            let mut info = ck::CK_SLOT_INFO::default();
            c!(host.p11, C_GetSlotInfo(slot, &raw mut info)).ok();
            text_of(&info.slotDescription).to_owned()
        };
        let described: Vec<_> = host.slots(false).into_iter().take(2).map(described).collect();
        assert_eq!(described, ["Authentication, One Reader", "Signature, One Reader"]);
    });
}

#[test]
fn a_tokens_texts_are_padded_with_blanks() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        for slot in host.both_slots() {
            let mut info = ck::CK_TOKEN_INFO::default();
            c!(host.p11, C_GetTokenInfo(slot, &raw mut info)).ok();
            assert!(text_of(&info.label).starts_with("JPKI "));
            assert_eq!(text_of(&info.serialNumber).len(), 16);
            for field in [&info.manufacturerID[..], &info.model] {
                assert!(!text_of(field).is_empty());
            }
            assert_eq!(info.utcTime, [b' '; 16]);
        }
    });
}

#[test]
fn a_reader_that_came_since_the_count_is_not_in_the_list_yet() {
    isolated!(|stand_in| {
        let (host, slots) = with_empty_reader(stand_in);
        stand_in.add_reader(OTHER_READER);
        let (rv, count, listed) = list(&host, ck::CK_FALSE, 4);
        assert_eq!((rv, count, &listed[..2]), (Rv(ck::CKR_OK), 4, &slots[..]));
        assert_eq!(host.slots(false).len(), 6);
    });
}

#[test]
fn a_card_that_came_since_the_count_makes_the_buffer_too_small() {
    isolated!(|stand_in| {
        let (host, slots) = with_empty_reader(stand_in);
        assert_eq!(host.slots(true), []);
        stand_in.insert(READER, CARD);
        assert_eq!(list(&host, ck::CK_TRUE, 1), (Rv(ck::CKR_BUFFER_TOO_SMALL), 2, Vec::new()));
        assert_eq!(list(&host, ck::CK_TRUE, 2), (Rv(ck::CKR_OK), 2, slots.to_vec()));
    });
}

#[test]
fn a_list_without_slots_needs_no_room() {
    isolated!(|stand_in| {
        let host = without_readers(stand_in);
        assert_eq!(list(&host, ck::CK_TRUE, 0), (Rv(ck::CKR_OK), 0, Vec::new()));
        assert_eq!(list(&host, ck::CK_TRUE, 5), (Rv(ck::CKR_OK), 0, Vec::new()));
    });
}

#[test]
fn a_reader_that_comes_back_has_the_slots_that_it_had() {
    isolated!(|stand_in| {
        let (host, slots) = with_empty_reader(stand_in);
        stand_in.remove_reader(READER);
        stand_in.add_reader(OTHER_READER);
        assert_eq!(host.slots(false).len(), 6);
        stand_in.add_reader(READER);
        stand_in.insert(READER, CARD);
        assert_eq!(host.slots(true), slots);
    });
}

fn four_readers() -> [String; 4] {
    [0, 1, 2, 3].map(|number| format!("Virtual Reader {number:02} 00"))
}

/// Plugs readers in and out, 10,000 times, some of them with a card. The last two are in at the
/// end.
fn plug_and_unplug(stand_in: StandIn) {
    let readers = four_readers();
    for (number, reader) in readers.iter().enumerate() {
        stand_in.new_card(reader, &format!("full@{number}"));
    }
    for turn in 0..5000 {
        let reader = &readers[turn % readers.len()];
        stand_in.add_reader(reader);
        if turn % 3 == 0 {
            stand_in.insert(reader, reader);
        }
        stand_in.remove_reader(&readers[(turn + 2) % readers.len()]);
    }
}

#[test]
fn lists_stay_within_their_room_while_readers_come_and_go() {
    isolated!(|stand_in| {
        let host = without_readers(stand_in);
        let (over, lists) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|threads| {
            threads.spawn(|| {
                // However the threads share the processors, and whichever begins.
                plug_and_unplug(stand_in);
                while lists.load(Ordering::Relaxed) <= 100 {
                    plug_and_unplug(stand_in);
                }
                over.store(true, Ordering::Relaxed);
            });
            while !over.load(Ordering::Relaxed) {
                let with_token =
                    if lists.load(Ordering::Relaxed) % 2 == 0 { ck::CK_TRUE } else { ck::CK_FALSE };
                let mut count: CK_ULONG = 0;
                c!(host.p11, C_GetSlotList(with_token, ptr::null_mut(), &raw mut count)).ok();
                let (rv, needed, slots) = list(&host, with_token, size(count));
                match rv {
                    Rv(ck::CKR_OK) => {
                        let different: HashSet<_> = slots.iter().collect();
                        assert_eq!(different.len(), slots.len());
                        assert!(slots.iter().all(|slot| *slot < 10), "{slots:?}");
                    }
                    rv => {
                        assert_eq!(rv, ck::CKR_BUFFER_TOO_SMALL);
                        assert!(needed > size(count));
                    }
                }
                lists.fetch_add(1, Ordering::Relaxed);
            }
        });
        // On a busy machine a reader may have been there between two lists only.
        host.slots(false);
        four_readers()[..2].iter().for_each(|reader| stand_in.add_reader(reader));
        // One of the four may have taken the spare pair.
        let slots = host.slots(false);
        assert!([8, 10].contains(&slots.len()), "{slots:?}");
    });
}

#[test]
fn there_is_no_event_where_nothing_has_changed() {
    isolated!(|stand_in| {
        let (host, _) = with_empty_reader(stand_in);
        assert_eq!(wait(&host, ck::CKF_DONT_BLOCK), Err(Rv(ck::CKR_NO_EVENT)));
    });
}

#[test]
fn a_card_that_comes_is_an_event_for_both_slots() {
    isolated!(|stand_in| {
        let (host, slots) = with_empty_reader(stand_in);
        stand_in.insert(READER, CARD);
        assert_eq!(events(&host), slots);
        assert_eq!(events(&host), []);
    });
}

#[test]
fn a_card_that_goes_is_an_event_for_both_slots() {
    isolated!(|stand_in| {
        let (host, slots) = with_empty_reader(stand_in);
        stand_in.insert(READER, CARD);
        events(&host);
        stand_in.remove_card(READER);
        assert_eq!(events(&host), slots);
    });
}

#[test]
fn a_card_that_went_and_came_is_an_event_for_both_slots() {
    isolated!(|stand_in| {
        let (host, slots) = with_empty_reader(stand_in);
        stand_in.insert(READER, CARD);
        events(&host);
        stand_in.out_and_in(READER);
        assert_eq!(events(&host), slots);
    });
}

#[test]
fn a_reader_that_comes_with_a_card_is_an_event_for_both_slots() {
    isolated!(|stand_in| {
        let (host, _) = with_empty_reader(stand_in);
        stand_in.add_reader(OTHER_READER);
        stand_in.insert(OTHER_READER, CARD);
        assert_eq!(events(&host), [2, 3]);
    });
}

#[test]
fn events_of_before_are_forgotten_when_the_module_is_initialized() {
    isolated!(|stand_in| {
        let (host, _) = with_empty_reader(stand_in);
        stand_in.insert(READER, CARD);
        host.finalize().ok();
        host.initialize().ok();
        assert_eq!(events(&host), []);
    });
}

/// Lets something happen while a thread waits, and returns what the thread, and a caller who asks
/// after it, is told.
fn told_while_waiting(host: &Host, happens: impl FnOnce()) -> Vec<CK_SLOT_ID> {
    let first = thread::scope(|threads| {
        let waiting = threads.spawn(|| wait(host, 0));
        host.stand_in.await_blocked(Function::GetStatusChange, 1);
        happens();
        waiting.join().unwrap().unwrap()
    });
    [vec![first], events(host)].concat()
}

#[test]
fn a_thread_that_waits_is_told_of_a_card_that_comes() {
    isolated!(|stand_in| {
        let (host, slots) = with_empty_reader(stand_in);
        assert_eq!(told_while_waiting(&host, || stand_in.insert(READER, CARD)), slots);
    });
}

#[test]
fn a_thread_that_waits_is_told_of_a_card_that_goes() {
    isolated!(|stand_in| {
        let (host, slots) = with_empty_reader(stand_in);
        stand_in.insert(READER, CARD);
        events(&host);
        assert_eq!(told_while_waiting(&host, || stand_in.remove_card(READER)), slots);
    });
}

#[test]
fn a_thread_that_waits_is_told_of_a_reader_that_is_unplugged_with_its_card() {
    isolated!(|stand_in| {
        let (host, slots) = with_empty_reader(stand_in);
        stand_in.insert(READER, CARD);
        events(&host);
        assert_eq!(told_while_waiting(&host, || stand_in.remove_reader(READER)), slots);
    });
}
