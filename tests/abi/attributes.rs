//! C_GetAttributeValue: the five cases of the standard, in every mix, with values in guarded and in
//! misaligned memory.

use std::ptr;

use cryptoki_sys as ck;
use cryptoki_sys::{CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_ULONG};
use pcsc_stand_in::isolated;

use crate::support::guarded::{Guarded, UNTOUCHED};
use crate::support::host::Host;
use test_support::Rv;
use test_support::c;
use test_support::client::ulong;
use test_support::client::{attribute, query};

/// Bytes of the modulus of every key.
const MODULUS: usize = 256;

/// An entry of a template, by what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Sensitive,
    Unknown,
    LengthOnly,
    Fitting,
    TooShort,
}

use Case::*;

/// In the order of the standard.
const CASES: [Case; 5] = [Sensitive, Unknown, LengthOnly, Fitting, TooShort];

impl Case {
    fn kind(self) -> CK_ATTRIBUTE_TYPE {
        match self {
            Sensitive => ck::CKA_PRIVATE_EXPONENT,
            Unknown => ck::CKA_VALUE_BITS,
            LengthOnly | Fitting | TooShort => ck::CKA_MODULUS,
        }
    }

    fn room(self) -> Guarded {
        match self {
            Sensitive | Unknown | Fitting => Guarded::room(MODULUS),
            LengthOnly => Guarded::room(0),
            TooShort => Guarded::room(MODULUS - 1),
        }
    }

    fn entry(self, room: &Guarded) -> CK_ATTRIBUTE {
        let place = if self == LengthOnly { ptr::null_mut() } else { room.place() };
        CK_ATTRIBUTE { type_: self.kind(), pValue: place, ulValueLen: ulong(room.bytes().len()) }
    }

    /// The length that the module writes.
    fn answered(self) -> CK_ULONG {
        match self {
            Sensitive | Unknown | TooShort => ck::CK_UNAVAILABLE_INFORMATION,
            LengthOnly | Fitting => ulong(MODULUS),
        }
    }

    fn error(self) -> Option<ck::CK_RV> {
        match self {
            Sensitive => Some(ck::CKR_ATTRIBUTE_SENSITIVE),
            Unknown => Some(ck::CKR_ATTRIBUTE_TYPE_INVALID),
            TooShort => Some(ck::CKR_BUFFER_TOO_SMALL),
            LengthOnly | Fitting => None,
        }
    }
}

struct Key {
    host: Host,
    session: CK_SESSION_HANDLE,
    key: CK_OBJECT_HANDLE,
}

impl Key {
    fn new(host: Host) -> Self {
        let session = host.logged_in();
        let key = host.private_key(session);
        Self { host, session, key }
    }

    fn ask(&self, template: *mut CK_ATTRIBUTE, count: usize) -> Rv {
        c!(self.host.p11, C_GetAttributeValue(self.session, self.key, template, ulong(count)))
    }

    fn modulus(&self) -> Vec<u8> {
        let mut value = vec![0; MODULUS];
        self.ask(&mut attribute(ck::CKA_MODULUS, &mut value), 1).ok();
        value
    }

    /// Asks for a template of these cases and checks every entry.
    fn check(&self, cases: &[Case], modulus: &[u8]) {
        let rooms: Vec<Guarded> = cases.iter().map(|case| case.room()).collect();
        let entries: Vec<CK_ATTRIBUTE> =
            cases.iter().zip(&rooms).map(|(case, room)| case.entry(room)).collect();
        let template = Guarded::room(size_of_val(&*entries));
        let place = template.place::<CK_ATTRIBUTE>();
        // SAFETY: there is room for as many.
        unsafe { place.copy_from_nonoverlapping(entries.as_ptr(), entries.len()) };
        let rv = self.ask(place, cases.len());
        let errors: Vec<_> = cases.iter().filter_map(|case| case.error()).collect();
        let expected = if errors.is_empty() { vec![ck::CKR_OK] } else { errors };
        assert!(expected.contains(&rv.0), "{cases:?}: {rv:?}");
        for (index, (case, room)) in cases.iter().zip(&rooms).enumerate() {
            // SAFETY: as many are there.
            let answer = unsafe { place.wrapping_add(index).read() };
            let before = entries[index];
            assert_eq!(answer.ulValueLen, case.answered(), "{cases:?}: {case:?}");
            assert_eq!((answer.type_, answer.pValue), (before.type_, before.pValue), "{cases:?}: {case:?}");
            assert!(room.is_untouched_before());
            match case {
                Fitting => assert_eq!(room.bytes(), modulus),
                _ => assert!(room.is_untouched(), "{cases:?}: {case:?}"),
            }
        }
    }
}

/// Every order of the items.
fn permutations<T: Copy>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let with_first = |first: usize| {
        let others: Vec<T> = items[..first].iter().chain(&items[first + 1..]).copied().collect();
        permutations(&others).into_iter().map(move |rest| [&[items[first]], &rest[..]].concat())
    };
    (0..items.len()).flat_map(with_first).collect()
}

#[test]
fn all_five_cases_are_answered_in_any_order() {
    isolated!(|stand_in| {
        let key = Key::new(Host::new(stand_in));
        let modulus = key.modulus();
        let orders = permutations(&CASES);
        assert_eq!(orders.len(), 120);
        orders.iter().for_each(|order| key.check(order, &modulus));
    });
}

#[test]
fn any_of_the_five_cases_are_answered_together() {
    isolated!(|stand_in| {
        let key = Key::new(Host::new(stand_in));
        let modulus = key.modulus();
        for set in 0_u32..1 << CASES.len() {
            let cases: Vec<Case> =
                (0_u32..).zip(CASES).filter(|(bit, _)| set & (1 << bit) != 0).map(|(_, case)| case).collect();
            key.check(&cases, &modulus);
        }
    });
}

#[test]
fn a_value_goes_to_a_misaligned_place() {
    isolated!(|stand_in| {
        let key = Key::new(Host::new(stand_in));
        let size = size_of::<CK_ULONG>();
        let room = Guarded::room(2 * size - 1);
        for offset in 0..size {
            let place = room.place::<u8>().wrapping_add(offset);
            let mut entry =
                CK_ATTRIBUTE { type_: ck::CKA_MODULUS_BITS, pValue: place.cast(), ulValueLen: ulong(size) };
            key.ask(&mut entry, 1).ok();
            assert_eq!(room.bytes()[offset..offset + size], CK_ULONG::from(2048_u32).to_ne_bytes());
        }
    });
}

#[test]
fn a_template_may_stand_at_a_misaligned_place() {
    isolated!(|stand_in| {
        let key = Key::new(Host::new(stand_in));
        let memory = Guarded::room(size_of::<CK_ATTRIBUTE>() + 1);
        let place = memory.place::<u8>().cast::<CK_ATTRIBUTE>();
        // SAFETY: there is room for one.
        unsafe { place.write_unaligned(query(ck::CKA_MODULUS)) };
        key.ask(place, 1).ok();
        assert_eq!(memory.value::<CK_ATTRIBUTE>().ulValueLen, ulong(MODULUS));
        assert_eq!(memory.bytes().last(), Some(&UNTOUCHED));
    });
}

#[test]
fn a_larger_room_is_filled_no_further_than_the_value() {
    isolated!(|stand_in| {
        let key = Key::new(Host::new(stand_in));
        let size = size_of::<CK_ULONG>();
        let mut room = [UNTOUCHED; 12];
        let mut entry = attribute(ck::CKA_MODULUS_BITS, &mut room);
        key.ask(&mut entry, 1).ok();
        assert_eq!(entry.ulValueLen, ulong(size));
        assert!(room[size..].iter().all(|byte| *byte == UNTOUCHED));
    });
}

#[test]
fn the_length_that_a_refusal_left_is_no_room() {
    isolated!(|stand_in| {
        let key = Key::new(Host::new(stand_in));
        let room = Guarded::room(1);
        for length in [1, ck::CK_UNAVAILABLE_INFORMATION, CK_ULONG::MAX / 2 + 1] {
            let mut entry = CK_ATTRIBUTE { type_: ck::CKA_MODULUS, pValue: room.place(), ulValueLen: length };
            assert_eq!(key.ask(&mut entry, 1), ck::CKR_BUFFER_TOO_SMALL);
            assert!(room.is_untouched());
            assert_eq!(entry.ulValueLen, ck::CK_UNAVAILABLE_INFORMATION);
        }
    });
}

#[test]
fn an_empty_value_fits_everywhere() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.open();
        let certificate = host.find(session, ck::CKO_CERTIFICATE);
        let room = Guarded::room(0);
        for place in [ptr::null_mut(), room.place()] {
            let mut entry = CK_ATTRIBUTE { type_: ck::CKA_URL, pValue: place, ulValueLen: 0 };
            c!(host.p11, C_GetAttributeValue(session, certificate, &mut entry, 1)).ok();
            assert_eq!(entry.ulValueLen, 0);
        }
    });
}

#[test]
fn every_private_part_of_the_key_is_sensitive() {
    isolated!(|stand_in| {
        let key = Key::new(Host::new(stand_in));
        for kind in [
            ck::CKA_PRIVATE_EXPONENT,
            ck::CKA_PRIME_1,
            ck::CKA_PRIME_2,
            ck::CKA_EXPONENT_1,
            ck::CKA_EXPONENT_2,
            ck::CKA_COEFFICIENT,
        ] {
            assert_eq!(key.ask(&mut query(kind), 1), ck::CKR_ATTRIBUTE_SENSITIVE, "{kind:#x}");
        }
    });
}

#[test]
fn the_whole_of_a_long_template_is_answered() {
    isolated!(|stand_in| {
        let key = Key::new(Host::new(stand_in));
        let mut template = vec![query(ck::CKA_MODULUS); 1000];
        template[0] = query(ck::CKA_VALUE_BITS);
        assert_eq!(key.ask(template.as_mut_ptr(), template.len()), ck::CKR_ATTRIBUTE_TYPE_INVALID);
        assert!(template[1..].iter().all(|entry| entry.ulValueLen == ulong(MODULUS)));
    });
}
