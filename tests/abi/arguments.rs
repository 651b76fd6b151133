//! Bad pointers and bad lengths, for every supported function: generated from good arguments, one
//! of which is spoiled. All memory ends at a page that cannot be accessed, so that one byte too far
//! ends the test.

use std::ptr;

use cryptoki_sys as ck;
use cryptoki_sys::{CK_RV, CK_ULONG};
use pcsc_stand_in::isolated;

use crate::support::functions::Function;
use crate::support::guarded::{Guarded, UNTOUCHED};
use crate::support::host::{CARD, Host};
use crate::support::prepared::{PreparedArguments, PreparedCall, supported};
use crate::support::rows::{Argument, Row};
use test_support::Rv;
use test_support::c;
use test_support::client::mechanism;
use test_support::client::ulong;

/// Lengths and counts that no memory can have.
const IMPOSSIBLE: [CK_ULONG; 3] = [CK_ULONG::MAX, CK_ULONG::MAX / 2 + 1, CK_ULONG::MAX - 7];

/// The largest count that a list may still have. The items of none are larger.
const LARGEST: CK_ULONG = CK_ULONG::MAX / 2 / size_of::<ck::CK_INTERFACE>() as CK_ULONG;

/// What went wrong, for all functions at once.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn expect(&mut self, what: &str, rv: Rv, expected: CK_RV) {
        if rv != expected {
            self.0.push(format!("{what}: {rv:?} instead of {:?}", Rv(expected)));
        }
    }

    fn check(&mut self, what: &str, good: bool) {
        if !good {
            self.0.push(what.to_owned());
        }
    }
}

impl Drop for Findings {
    fn drop(&mut self) {
        assert!(self.0.is_empty(), "{:#?}", self.0);
    }
}

/// Runs `spoil` for each argument of each supported function.
fn with_each_argument(
    host: &Host,
    mut spoil: impl FnMut(&PreparedArguments<'_>, &Function, &Row, usize, &mut Findings),
) {
    let arguments = PreparedArguments::new(host);
    let mut findings = Findings::default();
    for (function, row) in supported(host) {
        for index in 0..row.arguments.len() {
            spoil(&arguments, &function, &row, index, &mut findings);
        }
    }
}

#[test]
fn good_arguments_are_good_and_written_no_further_than_they_go() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let arguments = PreparedArguments::new(&host);
        let mut findings = Findings::default();
        for (function, row) in supported(&host) {
            let call = arguments.prepare(function.name, &row.arguments);
            findings.expect(function.name, call.make(&function), row.good);
            for memory in call.memory.iter().flatten() {
                findings.check(function.name, memory.is_untouched_before());
            }
        }
        drop(findings);
        assert_eq!(host.lost_tries(), 0);
    });
}

#[test]
fn a_pointer_that_is_null_is_refused_unless_it_asks_or_cancels() {
    isolated!(|stand_in| {
        with_each_argument(&Host::new(stand_in), |arguments, function, row, index, findings| {
            let expected = match row.arguments[index] {
                Argument::Input(_) | Argument::Pin(_) | Argument::Template(_) => ck::CKR_ARGUMENTS_BAD,
                Argument::Output(_) | Argument::List(..) | Argument::CountPointer => ck::CKR_ARGUMENTS_BAD,
                Argument::Buffer(..) | Argument::Mechanism(_) => ck::CKR_OK,
                _ => return,
            };
            let mut call = arguments.prepare(function.name, &row.arguments);
            call.words[index] = 0;
            let what = format!("{} with argument {index} NULL", function.name);
            findings.expect(&what, call.make(function), expected);
            for (argument, memory) in row.arguments.iter().zip(&call.memory) {
                if let (Argument::Output(_) | Argument::List(..) | Argument::Buffer(..), Some(memory)) =
                    (argument, memory)
                {
                    findings.check(&format!("{what} writes"), memory.is_untouched());
                }
            }
        });
    });
}

#[test]
fn a_reserved_pointer_that_is_used_is_refused() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let (mut byte, mut slot) = (0_u8, 0);
        let reserved = ptr::from_mut(&mut byte).cast();
        assert_eq!(c!(host.p11, C_Finalize(reserved)), ck::CKR_ARGUMENTS_BAD);
        let wait = c!(host.p11, C_WaitForSlotEvent(ck::CKF_DONT_BLOCK, &raw mut slot, reserved));
        assert_eq!(wait, ck::CKR_ARGUMENTS_BAD);
        host.finalize().ok();
    });
}

#[test]
fn a_null_buffer_asks_for_the_count_and_leaves_the_operation_alone() {
    isolated!(|stand_in| {
        with_each_argument(&Host::new(stand_in), |arguments, function, row, index, findings| {
            let Argument::Buffer(items, _) = row.arguments[index] else { return };
            // What the count says before is not looked at.
            for before in [0, 1, CK_ULONG::MAX] {
                let mut call = arguments.prepare(function.name, &row.arguments);
                let buffer = std::mem::take(&mut call.words[index]);
                call.set_count(index + 1, before);
                let what = format!("{}, NULL and {before:#x}", function.name);
                findings.expect(&what, call.make(function), ck::CKR_OK);
                findings.check(&what, call.at(index + 1).value::<CK_ULONG>() == ulong(items));
                call.words[index] = buffer;
                findings.expect(&format!("{what}, then the buffer"), call.make(function), ck::CKR_OK);
            }
        });
    });
}

#[test]
fn a_short_buffer_is_refused_with_the_count_and_leaves_the_operation_alone() {
    isolated!(|stand_in| {
        with_each_argument(&Host::new(stand_in), |arguments, function, row, index, findings| {
            let Argument::Buffer(items, _) = row.arguments[index] else { return };
            let mut shorts = vec![0, 1, items - 1];
            shorts.dedup();
            for short in shorts {
                let mut call = arguments.prepare(function.name, &row.arguments);
                call.set_count(index + 1, ulong(short));
                let what = format!("{} with room for {short}", function.name);
                findings.expect(&what, call.make(function), ck::CKR_BUFFER_TOO_SMALL);
                findings.check(&what, call.at(index + 1).value::<CK_ULONG>() == ulong(items));
                findings.check(&format!("{what} writes"), call.at(index).is_untouched());
                // The count is right now.
                findings.expect(&format!("{what}, then enough"), call.make(function), ck::CKR_OK);
            }
        });
    });
}

#[test]
fn a_count_that_is_too_large_brings_no_more_than_there_is() {
    isolated!(|stand_in| {
        with_each_argument(&Host::new(stand_in), |arguments, function, row, index, findings| {
            let Argument::Buffer(items, _) = row.arguments[index] else { return };
            for large in [ulong(items) + 1, LARGEST] {
                let mut call = arguments.prepare(function.name, &row.arguments);
                call.set_count(index + 1, large);
                let what = format!("{} with {large:#x}", function.name);
                findings.expect(&what, call.make(function), ck::CKR_OK);
                findings.check(&what, call.at(index + 1).value::<CK_ULONG>() == ulong(items));
            }
        });
    });
}

#[test]
fn a_count_that_no_buffer_can_have_is_refused_and_nothing_written() {
    isolated!(|stand_in| {
        with_each_argument(&Host::new(stand_in), |arguments, function, row, index, findings| {
            let Argument::Buffer(..) = row.arguments[index] else { return };
            for impossible in IMPOSSIBLE {
                let mut call = arguments.prepare(function.name, &row.arguments);
                call.set_count(index + 1, impossible);
                let what = format!("{} with {impossible:#x}", function.name);
                findings.expect(&what, call.make(function), ck::CKR_ARGUMENTS_BAD);
                findings.check(&format!("{what} writes"), call.at(index).is_untouched());
            }
        });
    });
}

#[test]
fn input_of_an_impossible_length_is_refused_unread() {
    isolated!(|stand_in| {
        with_each_argument(&Host::new(stand_in), |arguments, function, row, index, findings| {
            let spoiled = match row.arguments[index] {
                Argument::Input(_) | Argument::List(..) => IMPOSSIBLE.to_vec(),
                Argument::Template(_) => {
                    [&IMPOSSIBLE[..], &[1 << 30, CK_ULONG::MAX / ulong(size_of::<ck::CK_ATTRIBUTE>()) + 2]]
                        .concat()
                }
                _ => return,
            };
            for length in spoiled {
                let mut call = arguments.prepare(function.name, &row.arguments);
                call.words[index + 1] = length;
                let what = format!("{} with {length:#x}", function.name);
                findings.expect(&what, call.make(function), ck::CKR_ARGUMENTS_BAD);
            }
        });
    });
}

/// What may become of input that is shorter than it should be. The same wrong PIN is refused in
/// another way the second time.
fn shortened(function: &str, row: &Row, index: usize) -> Vec<CK_RV> {
    match (function, index) {
        ("C_Verify", 3) | ("C_VerifyFinal", 1) => vec![ck::CKR_SIGNATURE_LEN_RANGE],
        ("C_SetPIN", 3) => vec![ck::CKR_PIN_LEN_RANGE],
        ("C_SetPIN" | "C_Login" | "C_LoginUser", _) => vec![ck::CKR_PIN_INCORRECT, ck::CKR_FUNCTION_CANCELED],
        _ => vec![row.good],
    }
}

#[test]
fn input_is_read_no_further_than_its_length() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        with_each_argument(&host, |arguments, function, row, index, findings| {
            let (Argument::Input(_) | Argument::Pin(_) | Argument::Template(_)) = row.arguments[index] else {
                return;
            };
            for length in [0, 1, row.arguments[index].count() - 1] {
                let mut call = arguments.prepare(function.name, &row.arguments);
                shorten(&mut call, &row.arguments[index], index, length);
                let rv = call.make(function);
                let what = format!("{} with argument {index} of {length}: {rv:?}", function.name);
                findings.check(&what, shortened(function.name, row, index).contains(&rv.0));
            }
        });
        assert_eq!(host.lost_tries(), 0);
    });
}

#[test]
fn null_with_length_zero_is_empty_and_never_a_pin() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        with_each_argument(&host, |arguments, function, row, index, findings| {
            let expected = match row.arguments[index] {
                Argument::Pin(_) => vec![ck::CKR_ARGUMENTS_BAD],
                Argument::Input(_) | Argument::Template(_) => shortened(function.name, row, index),
                Argument::List(..) => vec![row.good],
                _ => return,
            };
            let mut call = arguments.prepare(function.name, &row.arguments);
            (call.words[index], call.words[index + 1]) = (0, 0);
            let rv = call.make(function);
            let what = format!("{} with argument {index} empty: {rv:?}", function.name);
            findings.check(&what, expected.contains(&rv.0));
        });
        assert_eq!(host.lost_tries(), 0);
    });
}

#[test]
fn a_user_with_a_name_is_not_supported() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.open();
        let (pin, name) = (Guarded::of(b"1234"), Guarded::of(b"user"));
        for (place, length, expected) in [
            (name.place(), 4, ck::CKR_FUNCTION_NOT_SUPPORTED),
            (ptr::null_mut(), 4, ck::CKR_ARGUMENTS_BAD),
            (name.place(), CK_ULONG::MAX, ck::CKR_ARGUMENTS_BAD),
            (ptr::null_mut(), 0, ck::CKR_OK),
        ] {
            let rv = c!(host.p11, C_LoginUser(session, ck::CKU_USER, pin.place(), 4, place, length));
            assert_eq!(rv, expected);
        }
    });
}

/// Leaves the first `length` items of an input, right before the page that cannot be accessed.
fn shorten(call: &mut PreparedCall<'_>, argument: &Argument, index: usize, length: usize) {
    let item = if let Argument::Template(_) = argument { size_of::<ck::CK_ATTRIBUTE>() } else { 1 };
    let memory = Guarded::of(&call.at(index).bytes()[..length * item]);
    call.words[index] = memory.word();
    call.words[index + 1] = ulong(length);
    call.memory[index] = Some(memory);
}

#[test]
fn every_pointer_may_be_misaligned() {
    isolated!(|stand_in| {
        with_each_argument(&Host::new(stand_in), |arguments, function, row, index, findings| {
            let mut call = arguments.prepare(function.name, &row.arguments);
            let Some(good) = &call.memory[index] else { return };
            // One byte more, so that it begins one byte before.
            let misaligned = Guarded::of(&[good.bytes(), &[UNTOUCHED]].concat());
            call.words[index] = misaligned.word();
            let what = format!("{} with argument {index} misaligned", function.name);
            findings.expect(&what, call.make(function), row.good);
            findings.check(&format!("{what} writes"), misaligned.bytes().last() == Some(&UNTOUCHED));
        });
    });
}

#[test]
fn a_pin_longer_than_any_pin_is_incorrect_and_not_read() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.open();
        let pin = Guarded::of(b"1234");
        for length in [CK_ULONG::MAX / 2 + 1, CK_ULONG::MAX] {
            let mark = stand_in.card(CARD, &["mark"]);
            let rv = c!(host.p11, C_Login(session, ck::CKU_USER, pin.place(), length));
            assert!([ck::CKR_PIN_INCORRECT, ck::CKR_FUNCTION_CANCELED].contains(&rv.0), "{rv:?}");
            assert_eq!(stand_in.card(CARD, &["commands-since", &mark]), "0");
        }
        host.login(session, b"1234").ok();
    });
}

#[test]
fn a_signature_to_verify_that_is_too_long_is_not_read() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.open();
        let key = host.find(session, ck::CKO_PUBLIC_KEY);
        let mut mechanism = mechanism(ck::CKM_SHA256_RSA_PKCS);
        let signature = Guarded::room(8);
        c!(host.p11, C_VerifyInit(session, &raw mut mechanism, key)).ok();
        let rv = c!(host.p11, C_VerifyFinal(session, signature.place(), 1 << 30));
        assert_eq!(rv, ck::CKR_SIGNATURE_LEN_RANGE);
    });
}

#[test]
fn random_bytes_are_refused_however_many_are_wanted() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.open();
        let room = Guarded::room(8);
        for length in [8, CK_ULONG::MAX / 2] {
            let rv = c!(host.p11, C_GenerateRandom(session, room.place(), length));
            assert_eq!(rv, ck::CKR_RANDOM_NO_RNG);
        }
        assert!(room.is_untouched());
    });
}

#[test]
fn a_value_to_look_for_is_refused_when_it_cannot_be_one() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let session = host.open();
        let value = Guarded::room(8);
        for (place, length) in
            [(ptr::null_mut(), 8), (value.place(), IMPOSSIBLE[0]), (value.place(), IMPOSSIBLE[1])]
        {
            let mut template = ck::CK_ATTRIBUTE { type_: ck::CKA_CLASS, pValue: place, ulValueLen: length };
            let rv = c!(host.p11, C_FindObjectsInit(session, &raw mut template, 1));
            assert_eq!(rv, ck::CKR_ARGUMENTS_BAD);
            assert_eq!(c!(host.p11, C_FindObjectsFinal(session)), ck::CKR_OPERATION_NOT_INITIALIZED);
        }
    });
}

#[test]
fn bad_arguments_end_the_operation_that_they_were_for() {
    isolated!(|stand_in| {
        with_each_argument(&Host::new(stand_in), |arguments, function, row, index, findings| {
            let spoiled = matches!(row.arguments[index], Argument::Input(_) | Argument::CountPointer);
            let operates =
                ["C_Sign", "C_Digest", "C_Verify"].iter().any(|kind| function.name.starts_with(kind));
            if !spoiled || !operates {
                return;
            }
            let mut call = arguments.prepare(function.name, &row.arguments);
            let good = std::mem::take(&mut call.words[index]);
            let what = format!("{} with argument {index} NULL", function.name);
            findings.expect(&what, call.make(function), ck::CKR_ARGUMENTS_BAD);
            call.words[index] = good;
            findings.expect(&what, call.make(function), ck::CKR_OPERATION_NOT_INITIALIZED);
        });
    });
}
