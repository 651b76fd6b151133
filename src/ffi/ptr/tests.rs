//! Pointers as C may pass them: NULL, misaligned, with impossible lengths, overlapping.

use std::ptr::{null, null_mut};

use super::*;
use crate::token::attribute::AttributeAnswer;
use crate::token::output::{BufferSize, Output};

/// Bytes of `CK_ULONG`s with one byte before them, so that none is aligned.
struct Misaligned(Vec<u8>);

impl Misaligned {
    fn new(values: &[CK_ULONG]) -> Self {
        const SIZE: usize = size_of::<CK_ULONG>();
        let mut bytes = vec![0; SIZE * (values.len() + 1)];
        for (place, value) in bytes.get_mut(1..).unwrap().chunks_exact_mut(SIZE).zip(values) {
            place.copy_from_slice(&value.to_ne_bytes());
        }
        Self(bytes)
    }

    fn place<T>(&mut self) -> *mut T {
        self.0.as_mut_ptr().wrapping_add(1).cast()
    }

    fn value(&self) -> CK_ULONG {
        CK_ULONG::from_ne_bytes(*self.0.get(1..).unwrap().first_chunk().unwrap())
    }
}

fn attribute(kind: CK_ULONG, value: &mut [u8]) -> ck::CK_ATTRIBUTE {
    let length = value.len().try_into().unwrap();
    ck::CK_ATTRIBUTE { type_: kind, pValue: value.as_mut_ptr().cast(), ulValueLen: length }
}

#[test]
fn null_input_is_empty_only_with_length_zero() {
    // SAFETY: NULL is allowed.
    assert_eq!(unsafe { bytes(null(), 0) }, Ok(&[][..]));
    // SAFETY: as above.
    assert_eq!(unsafe { bytes(null(), 1) }, Err(Error::ArgumentsBad));
}

#[test]
fn input_longer_than_any_memory_is_refused_unread() {
    let byte = 0_u8;
    for length in [CK_ULONG::MAX, CK_ULONG::MAX / 2 + 1] {
        // SAFETY: an impossible length is refused before anything is read.
        assert_eq!(unsafe { bytes(&raw const byte, length) }, Err(Error::ArgumentsBad));
    }
}

#[test]
fn a_value_is_written_to_a_misaligned_place() {
    let mut memory = Misaligned::new(&[0]);
    // SAFETY: the place has room for one value.
    unsafe { Out::new(memory.place()) }.unwrap().write(CK_ULONG::MAX / 3);
    assert_eq!(memory.value(), CK_ULONG::MAX / 3);
}

#[test]
fn a_misaligned_length_is_read_and_answered() {
    let mut length = Misaligned::new(&[3]);
    let mut buffer = [0xee_u8; 4];
    // SAFETY: the length is readable and writable, the buffer longer than it says.
    let view = unsafe { OutBuffer::new(buffer.as_mut_ptr(), length.place()) }.unwrap();
    assert_eq!(view.size(), BufferSize::Bytes(3));
    assert_eq!(view.write(Output::Bytes(vec![1, 2])), Ok(()));
    assert_eq!((buffer, length.value()), ([1, 2, 0xee, 0xee], 2));
}

#[test]
fn a_size_query_does_not_read_the_length() {
    let mut length = std::mem::MaybeUninit::<CK_ULONG>::uninit();
    // SAFETY: the length may be written.
    let view = unsafe { OutBuffer::new(null_mut::<u8>(), length.as_mut_ptr()) }.unwrap();
    assert_eq!(view.write(Output::Length(256)), Ok(()));
    // SAFETY: written just now.
    assert_eq!(unsafe { length.assume_init() }, 256);
}

#[test]
fn a_result_that_does_not_fit_leaves_the_buffer_alone() {
    let (mut buffer, mut length): ([u8; 2], CK_ULONG) = ([0xee; 2], 2);
    // SAFETY: both are as large as they should be.
    let view = unsafe { OutBuffer::new(buffer.as_mut_ptr(), &raw mut length) }.unwrap();
    assert_eq!(view.write(Output::Bytes(vec![1, 2, 3])), Err(Error::BufferTooSmall));
    assert_eq!((buffer, length), ([0xee; 2], 3));
}

#[test]
fn output_may_overlap_input() {
    let mut memory = [1_u8, 2, 3, 4];
    let mut length: CK_ULONG = 3;
    let start = memory.as_mut_ptr();
    // SAFETY: three of four bytes.
    let input = unsafe { bytes(start, 3) }.unwrap();
    // SAFETY: three bytes from the second on.
    let view = unsafe { OutBuffer::new(start.wrapping_add(1), &raw mut length) }.unwrap();
    let result = input.iter().map(|byte| byte * 10).collect();
    assert_eq!(view.write(Output::Bytes(result)), Ok(()));
    assert_eq!(memory, [1, 10, 20, 30]);
}

#[test]
fn misaligned_items_are_written_as_far_as_they_fit() {
    let mut memory = Misaligned::new(&[0, 0]);
    // SAFETY: there is room for two.
    let list = unsafe { OutList::<CK_ULONG>::new(memory.place(), 1) }.unwrap();
    assert_eq!(list.write(&[7, 8]), 1);
    assert_eq!(memory.value(), 7);
    assert!(memory.0.get(1 + size_of::<CK_ULONG>()..).unwrap().iter().all(|byte| *byte == 0));
}

#[test]
fn a_template_whose_size_overflows_is_refused_unread() {
    let mut one = attribute(0, &mut []);
    for count in [
        CK_ULONG::MAX,
        CK_ULONG::MAX / CK_ULONG::try_from(size_of::<ck::CK_ATTRIBUTE>()).unwrap() + 2,
        1 << 31,
    ] {
        // SAFETY: refused before anything is read.
        let template = unsafe { Template::new(&raw mut one, count) };
        assert_eq!(template.err(), Some(Error::ArgumentsBad));
    }
}

#[test]
fn a_template_answers_what_fits_and_marks_the_rest() {
    let (mut exact, mut larger, mut short, mut endless) =
        ([0xee_u8; 2], [0xee_u8; 4], [0xee_u8; 1], [0xee_u8; 2]);
    let mut attributes = [
        attribute(1, &mut exact),
        attribute(2, &mut larger),
        attribute(3, &mut short),
        ck::CK_ATTRIBUTE { type_: 4, pValue: null_mut(), ulValueLen: 99 },
        ck::CK_ATTRIBUTE { type_: 5, pValue: endless.as_mut_ptr().cast(), ulValueLen: CK_ULONG::MAX },
    ];
    let value = || AttributeAnswer::Value(vec![1, 2].into());
    // SAFETY: the template is that long, and so are its values but the last, which claims no
    // possible room.
    let template = unsafe { Template::new(attributes.as_mut_ptr(), 5) }.unwrap();
    let sizes: Vec<_> = template.queries().iter().map(|query| query.buffer).collect();
    assert_eq!(
        sizes,
        [
            BufferSize::Bytes(2),
            BufferSize::Bytes(4),
            BufferSize::Bytes(1),
            BufferSize::Query,
            BufferSize::Bytes(0)
        ]
    );
    template.write(&[value(), value(), value(), AttributeAnswer::Length(2), value()]);
    assert_eq!((exact, larger, short, endless), ([1, 2], [1, 2, 0xee, 0xee], [0xee], [0xee; 2]));
    let unavailable = ck::CK_UNAVAILABLE_INFORMATION;
    assert_eq!(attributes.map(|attribute| attribute.ulValueLen), [2, 2, unavailable, 2, unavailable]);
    assert_eq!(attributes.map(|attribute| attribute.type_), [1, 2, 3, 4, 5]);
}

#[test]
fn a_search_value_that_is_null_with_a_length_is_refused() {
    let mut attributes = [ck::CK_ATTRIBUTE { type_: 1, pValue: null_mut(), ulValueLen: 1 }];
    // SAFETY: the template is that long.
    let template = unsafe { Template::new(attributes.as_mut_ptr(), 1) }.unwrap();
    assert_eq!(template.entries().err(), Some(Error::ArgumentsBad));
}

#[test]
fn a_pin_longer_than_any_pin_is_not_read() {
    for length in [49, 1 << 31, CK_ULONG::MAX] {
        // SAFETY: nothing is read.
        let entry = unsafe { pin(null::<u8>().wrapping_add(1), length) };
        assert!(matches!(entry, Ok(PinEntry::TooLong)));
    }
}

#[test]
fn a_null_pin_is_refused_with_any_length() {
    for length in [0, 4, CK_ULONG::MAX] {
        // SAFETY: NULL is allowed.
        assert!(matches!(unsafe { pin(null(), length) }, Err(Error::ArgumentsBad)));
    }
}

#[test]
fn a_mechanism_parameter_that_cannot_be_read_is_told_apart_from_none() {
    let mut byte = 0_u8;
    let pointer: ck::CK_VOID_PTR = (&raw mut byte).cast();
    let parameter = |pointer, length| {
        let mechanism = CK_MECHANISM { mechanism: 1, pParameter: pointer, ulParameterLen: length };
        // SAFETY: lengths above 1 are refused unread.
        unsafe { super::mechanism(&raw const mechanism) }.unwrap().parameter
    };
    assert!(matches!(parameter(null_mut(), 0), Parameter::None));
    assert!(matches!(parameter(pointer, 0), Parameter::None));
    assert!(matches!(parameter(pointer, 1), Parameter::Bytes([0])));
    assert!(matches!(parameter(null_mut(), 1), Parameter::Unreadable));
    assert!(matches!(parameter(pointer, 1 << 31), Parameter::Unreadable));
    assert!(matches!(parameter(pointer, CK_ULONG::MAX), Parameter::Unreadable));
}

#[test]
fn a_text_is_read_no_further_than_its_first_difference() {
    let texts: [(&[u8], bool); 4] =
        [(b"PKCS 11\0", true), (b"PKCS 11", false), (b"\0", false), (b"PKCS 1\0", false)];
    for (text, expected) in texts {
        let text = [text, b"?\0"].concat();
        // SAFETY: the text ends with a NUL.
        assert_eq!(unsafe { is_text(text.as_ptr(), b"PKCS 11\0") }, expected);
    }
}
