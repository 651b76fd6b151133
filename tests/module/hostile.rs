//! Cards that lie, and readers that fail: no answer may cost a try, log a user in, pass for a
//! signature or end the host.

mod certificates;
mod signatures;
mod status_words;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use crate::support::calls::{self, Call, Ready, is_leaving, rv};
use crate::support::fixture::{AUTH_PIN, Fixture, READER};
use cryptoki_sys as ck;
use pcsc_stand_in::icc::{Exchange, FixedAnswerCard, Icc};
use pcsc_stand_in::service::{Caller, Code, Fault, Function, When};
use virtual_card::{CommandRecord, Credential, Fault as CardFault, Identity, Profile, Trigger, VirtualCard};

/// The most commands of one transaction, and the SELECT that leaves the application.
const MOST_EXCHANGES: usize = 128 + 1;

const READ: u8 = 0xb0;
const VERIFY: u8 = 0x20;
const SIGN: u8 = 0x2a;

/// Makes every call once for each of its commands, whose answer is spoilt. `check` gets the command
/// that was meant.
fn at_every_command(
    profile: &Profile,
    spoil: impl Fn(Trigger) -> CardFault,
    check: impl Fn(&Ready, &CommandRecord, ck::CK_RV, &str),
) {
    for call in Call::all_on(profile) {
        for (command, number) in call.commands(profile).iter().zip(1..) {
            let ready = call.ready(profile);
            ready.fixture.card().inject(spoil(CardFault::at(number)));
            let result = ready.make();
            let case = format!("{call:?} of a {} card, command {number}: {result:?}", profile.name);
            check(&ready, command, rv(result), &case);
        }
    }
}

/// That a call whose answer was spoilt said so, unless it could do without that answer, and that
/// everything works afterwards.
fn assert_contained(ready: &Ready, command: &CommandRecord, code: ck::CK_RV, case: &str) {
    let dispensable = is_leaving(command)
        // Without a certificate the login is right all the same; it is read again when it is
        // needed.
        || (ready.call.logs_in() && command.verified_before.any())
        // Of a new card some things are asked in more than one way.
        || ready.call.meets_the_card();
    let expected: &[ck::CK_RV] = match ready.call {
        Call::ListSlots => &[ck::CKR_OK],
        _ if dispensable => &[ck::CKR_OK, ck::CKR_DEVICE_ERROR],
        _ => &[ck::CKR_DEVICE_ERROR],
    };
    assert!(expected.contains(&code), "{case}");
    if is_leaving(command) {
        assert_eq!(code, ck::CKR_OK, "{case}");
        assert_eq!(ready.fixture.service().power_counts(Caller::Tested).unpowers, 1, "{case}");
    }
    if code != ck::CKR_OK && !calls::sends_a_pin(command) {
        ready.assert_login_unchanged(case);
    }
    ready.fixture.check_card();
    ready.assert_session_works();
}

#[test]
fn an_answer_without_a_status_word_is_a_device_error_at_any_command() {
    for answer in [&[][..], &[0x90]] {
        for profile in [Profile::full(), Profile::conservative()] {
            // An answer of nothing is a reader that failed.
            let check = if answer.is_empty() { assert_survived } else { assert_contained };
            at_every_command(&profile, |at| at.answer(answer), check);
        }
    }
}

#[test]
fn an_answer_lost_on_its_way_is_a_device_error_at_any_command_and_costs_no_try() {
    at_every_command(&Profile::full(), |at| at.after_processing().transport_error(5), assert_survived);
}

/// That a failure of the reader was survived by beginning again, or else contained.
fn assert_survived(ready: &Ready, command: &CommandRecord, code: ck::CK_RV, case: &str) {
    if is_repeated(ready.call, command) && !is_leaving(command) {
        assert!([ck::CKR_OK, ck::CKR_DEVICE_ERROR].contains(&code), "{case}");
        ready.assert_session_works();
    } else {
        assert_contained(ready, command, code, case);
    }
}

/// Whether a command is sent once more after the reader failed: one that neither carries a PIN nor
/// signs.
fn is_repeated(call: Call, command: &CommandRecord) -> bool {
    let signs = call.signs() && command.instruction() == Some(SIGN);
    !signs && !calls::sends_a_pin(command) && command.instruction() != Some(0x24)
}

#[test]
fn bytes_after_or_before_an_answer_are_no_right_answer() {
    let spoils: [fn(Vec<u8>) -> Vec<u8>; 2] =
        [|answer| [&answer[..], &[0x90, 0x00]].concat(), |answer| [&[0xee], &answer[..]].concat()];
    for spoil in spoils {
        at_every_command(
            &Profile::full(),
            |at| at.edit(spoil),
            |ready, command, code, case| {
                // A certificate with foreign bytes is dropped, and random bytes are as good as
                // others.
                let absent = ready.call.meets_the_card() && code == ck::CKR_TOKEN_NOT_PRESENT;
                assert!(absent || [ck::CKR_OK, ck::CKR_DEVICE_ERROR].contains(&code), "{case}");
                assert!(!(is_verify(command) && code == ck::CKR_OK), "{case}: logged in");
                assert!(
                    !(command.instruction() == Some(SIGN) && ready.call.signs() && code == ck::CKR_OK),
                    "{case}"
                );
                ready.fixture.check_card();
                ready.fixture.service().out_and_in(READER);
                ready.assert_slot_works();
            },
        );
    }
}

fn is_verify(command: &CommandRecord) -> bool {
    command.instruction() == Some(VERIFY) && command.command_length > 5
}

/// The same of the command itself. Without a PIN, VERIFY is a question.
fn sends_a_pin(command: &[u8]) -> bool {
    command.get(1) == Some(&VERIFY) && command.len() > 5
}

#[test]
fn a_service_that_answers_with_an_impossible_length_or_code_is_a_device_error() {
    let faults = [
        Fault::Length(70_000),
        Fault::Length(u64::from(u32::MAX)),
        Fault::Length(u64::MAX),
        Fault::Length(0),
        Fault::Fail(Code::new(0x8010_9999)),
        Fault::Fail(Code::new(1)),
        Fault::Fail(Code::INSUFFICIENT_BUFFER),
        Fault::Fail(Code::UNKNOWN_ERROR),
    ];
    let profile = Profile::full();
    for fault in faults {
        for call in Call::all_on(&profile) {
            for (command, number) in call.commands(&profile).iter().zip(1..) {
                let ready = call.ready(&profile);
                ready.fixture.service().inject(
                    Function::Transmit,
                    When::nth(u64::try_from(number).unwrap()),
                    fault.clone(),
                );
                let result = ready.make();
                let case = format!("{fault:?}, {call:?}, command {number}: {result:?}");
                assert_survived(&ready, command, rv(result), &case);
            }
        }
    }
}

#[test]
fn a_card_that_takes_everything_and_does_nothing_signs_nothing() {
    let fixture = Fixture::builder().without_card().build();
    fixture
        .service()
        .insert(READER, Arc::new(FixedAnswerCard { atr: vec![0x3b, 0x00], answer: vec![0x90, 0x00] }));
    for slot in [fixture.auth_slot(), fixture.sign_slot()] {
        assert!(
            [ck::CKR_TOKEN_NOT_RECOGNIZED, ck::CKR_TOKEN_NOT_PRESENT]
                .contains(&rv(fixture.module().token_info(slot)))
        );
        assert_eq!(fixture.module().slot_info(slot).unwrap().flags & ck::CKF_TOKEN_PRESENT, 0);
    }
    // The same from a card that was a good one until then.
    for &call in Call::ALL.iter().filter(|call| call.signs()) {
        let ready = call.ready(&Profile::full());
        ready.fixture.card().inject(CardFault::always().answer_status(0x9000));
        assert_eq!(rv(ready.make()), ck::CKR_DEVICE_ERROR, "{call:?}");
        ready.assert_session_works();
    }
}

#[test]
fn answers_that_never_end_are_given_up() {
    let endless: [fn(Trigger) -> CardFault; 7] = [
        |trigger| trigger.answer(vec![0x30, 0x90, 0x00]),
        |trigger| trigger.answer(vec![0x30, 0x82, 0x06, 0x90, 0x00]),
        |trigger| trigger.answer_status(0x6101),
        |trigger| trigger.answer(vec![0x00, 0x61, 0x01]),
        |trigger| trigger.answer([&[0x30; 256][..], &[0x61, 0x00]].concat()),
        |trigger| trigger.answer_status(0x6c01),
        |trigger| trigger.answer_status(0x6c00),
    ];
    for answer in endless {
        for profile in [Profile::full(), Profile::conservative()] {
            for call in Call::all_on(&profile) {
                let ready = call.ready(&profile);
                let reads = |command: &[u8]| matches!(command.get(1), Some(0xb0 | 0xc0));
                ready.fixture.card().inject(answer(CardFault::when(reads).repeated()));
                let code = rv(ready.make());
                assert!(
                    [ck::CKR_OK, ck::CKR_DEVICE_ERROR, ck::CKR_TOKEN_NOT_RECOGNIZED].contains(&code),
                    "{call:?}"
                );
                // At most two looks at a new card: is there a token, and what is it.
                let most = if ready.call.meets_the_card() { 3 * MOST_EXCHANGES } else { MOST_EXCHANGES };
                assert!(ready.commands().len() <= most, "{call:?}: {} commands", ready.commands().len());
                ready.fixture.service().out_and_in(READER);
                ready.fixture.card().clear_faults();
                ready.assert_slot_works();
            }
            for call in Call::all_on(&profile).filter(|call| call.signs()) {
                let ready = call.ready(&profile);
                let signs = |command: &[u8]| matches!(command.get(1), Some(0x2a | 0xc0));
                ready.fixture.card().inject(answer(CardFault::when(signs).repeated()));
                assert_eq!(rv(ready.make()), ck::CKR_DEVICE_ERROR, "{call:?}");
                assert!(ready.commands().len() <= MOST_EXCHANGES, "{} commands", ready.commands().len());
                ready.assert_session_works();
            }
        }
    }
}

#[test]
fn a_verify_is_sent_once_whatever_the_card_asks_for() {
    for status in [0x6101, 0x6100, 0x6c01, 0x6c00, 0x6f00, 0x6985] {
        let ready = Call::Login(Credential::Authentication).ready(&Profile::full());
        ready.fixture.card().inject(CardFault::when(sends_a_pin).answer_status(status));
        assert_eq!(rv(ready.make()), ck::CKR_DEVICE_ERROR);
        assert_eq!(ready.fixture.card().verifies(Credential::Authentication), 1);
        assert!(!ready.is_logged_in());
    }
}

#[test]
fn counters_that_cannot_be_are_shown_as_they_are_and_never_as_more() {
    let fixture = Fixture::new();
    let flags = |tries: u8| {
        let answer = 0x63c0 | u16::from(tries);
        fixture.card().inject(CardFault::on_instruction(VERIFY).repeated().answer_status(answer));
        let flags = fixture.module().token_info(fixture.auth_slot()).unwrap().flags;
        fixture.card().clear_faults();
        flags & (ck::CKF_USER_PIN_COUNT_LOW | ck::CKF_USER_PIN_FINAL_TRY | ck::CKF_USER_PIN_LOCKED)
    };
    // Out of every order: the flags follow the last answer alone.
    for tries in [15, 0, 3, 1, 2, 4, 0, 15, 1] {
        let expected = match tries {
            0 => ck::CKF_USER_PIN_COUNT_LOW | ck::CKF_USER_PIN_LOCKED,
            1 => ck::CKF_USER_PIN_COUNT_LOW | ck::CKF_USER_PIN_FINAL_TRY,
            2 => ck::CKF_USER_PIN_COUNT_LOW,
            _ => 0,
        };
        assert_eq!(flags(tries), expected, "{tries} tries");
    }
    assert_eq!(fixture.card().verifies(Credential::Authentication), 0);
}

#[test]
fn a_counter_that_rises_with_each_wrong_pin_does_not_make_a_client_go_on_for_ever() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    let tries = AtomicU8::new(3);
    fixture.card().inject(
        CardFault::on_instruction(VERIFY)
            .repeated()
            .edit(move |_| vec![0x63, 0xc0 | tries.fetch_add(1, Ordering::Relaxed).min(15)]),
    );
    assert_eq!(rv(fixture.login(session, b"9999")), ck::CKR_PIN_INCORRECT);
    for _ in 0..10 {
        assert_eq!(rv(fixture.login(session, b"9999")), ck::CKR_FUNCTION_CANCELED);
    }
    assert_eq!(fixture.card().verifies(Credential::Authentication), 1);
}

#[test]
fn token_information_that_is_no_text_takes_nothing_from_the_token() {
    for content in [vec![], vec![0xff; 160], vec![0x00; 160], vec![0xe3; 31], b"JPKIAPICCTOKEN2".to_vec()] {
        for profile in [Profile::full(), Profile::conservative(), Profile::android()] {
            // A phone is known by nothing else before its PIN is given.
            if profile.name == "android" && content.is_empty() {
                continue;
            }
            let fixture = Fixture::builder().profile(profile).without_card().build();
            fixture.card().set_file(0x0006, Some(content.clone()));
            fixture.insert_card();
            assert_eq!(fixture.module().count_slots(true), Ok(2), "{content:02x?}");
            let info = fixture.module().token_info(fixture.auth_slot()).unwrap();
            assert_eq!(std::str::from_utf8(&info.label).unwrap().trim_end(), "JPKI User Authentication");
            assert!(info.serialNumber.iter().all(u8::is_ascii_hexdigit));
            let session = fixture.open(fixture.auth_slot());
            fixture.login(session, AUTH_PIN).unwrap();
            fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").unwrap();
        }
    }
}

#[test]
fn a_card_that_hangs_holds_up_nothing_but_its_own_reader() {
    let fixture = Fixture::new();
    let second = VirtualCard::new(Profile::full(), Identity::from_seed(1));
    fixture.service().add_reader(c"Another Reader");
    fixture.service().insert(c"Another Reader", Arc::new(second.clone()));
    assert_eq!(fixture.module().count_slots(true), Ok(4));
    let slots = fixture.module().list_slots(true).unwrap();
    let session = fixture.logged_in(Credential::Authentication);
    fixture.key(session);
    fixture.service().inject(Function::Transmit, When::nth(5), Fault::Hang(Code::NOT_TRANSACTED));
    thread::scope(|scope| {
        let caller = scope.spawn(|| fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data"));
        fixture.service().await_blocked(Function::Transmit, 1);
        let other = fixture.open(slots[2]);
        fixture.login(other, AUTH_PIN).unwrap();
        fixture.sign(other, ck::CKM_SHA256_RSA_PKCS, b"data").unwrap();
        assert_eq!(fixture.module().count_slots(true), Ok(4));
        fixture.service().release_hanging();
        assert_eq!(rv(caller.join().unwrap()), ck::CKR_DEVICE_ERROR);
    });
    fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").unwrap();
}

/// A card without power, or one that gives no answer to reset.
struct Mute;

impl Icc for Mute {
    fn power_on(&self) -> Option<Vec<u8>> {
        None
    }

    fn power_off(&self) {}

    fn warm_reset(&self) -> Option<Vec<u8>> {
        None
    }

    fn transmit(&self, _: &[u8]) -> Exchange {
        Exchange::Failed(Code::NOT_TRANSACTED)
    }
}

#[test]
fn a_mute_card_is_no_token() {
    let fixture = Fixture::builder().without_card().build();
    fixture.service().insert(READER, Arc::new(Mute));
    assert_eq!(fixture.module().count_slots(true), Ok(0));
    let code = rv(fixture.module().token_info(fixture.auth_slot()));
    assert!([ck::CKR_TOKEN_NOT_RECOGNIZED, ck::CKR_TOKEN_NOT_PRESENT].contains(&code), "{code:#x}");
    fixture.insert_card();
    fixture.logged_in(Credential::Authentication);
}
