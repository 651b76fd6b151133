//! Every status word in the place of every answer.

use std::collections::BTreeSet;

use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use virtual_card::{CommandRecord, Credential, Fault, Profile};

use super::{READ, SIGN, VERIFY, is_verify, sends_a_pin};
use crate::support::by_handle::ByHandle;
use crate::support::calls::{self, Call, Ready, is_leaving, rv};
use crate::support::fixture::{Fixture, READER};

/// One of each kind there is, and its neighbours.
fn sample() -> BTreeSet<u16> {
    let known = [
        0x9000, 0x6100, 0x6101, 0x6281, 0x6300, 0x63c0, 0x63c1, 0x63c2, 0x63c5, 0x63cf, 0x6581, 0x6700,
        0x6881, 0x6882, 0x6981, 0x6982, 0x6983, 0x6984, 0x6985, 0x6986, 0x6a80, 0x6a81, 0x6a82, 0x6a86,
        0x6a88, 0x6b00, 0x6c00, 0x6c01, 0x6d00, 0x6e00, 0x6f00,
    ];
    let neighbours = [
        0x0000, 0x0090, 0x6000, 0x61ff, 0x63bf, 0x63d0, 0x63ff, 0x6900, 0x6a00, 0x6cff, 0x6fff, 0x8fff,
        0x9001, 0x9100, 0xffff,
    ];
    known.into_iter().chain(neighbours).collect()
}

/// Whether a right result may follow this answer, since the module can do without it or asks once
/// more.
fn may_go_on(ready: &Ready, command: &CommandRecord, status: u16) -> bool {
    let repeats = matches!(status >> 8, 0x61 | 0x6c);
    match command.instruction() {
        // VERIFY without a PIN: any answer tells something, or nothing.
        Some(VERIFY) if !is_verify(command) => true,
        Some(VERIFY) => false,
        Some(SIGN) if ready.call.signs() => repeats || takes_the_other_form(status),
        // After a power-up the first command may be answered so once.
        Some(0xa4) if is_leaving(command) || is_select_of_application(command) => {
            is_leaving(command) || repeats || status == 0x6f00
        }
        // A certificate that cannot be read is not there.
        Some(READ | 0xa4) if reads(ready.call, command) => true,
        Some(0x84) => repeats,
        Some(0x24) => false,
        _ => true,
    }
}

/// SELECT by name of the JPKI application.
fn is_select_of_application(command: &CommandRecord) -> bool {
    command.header == [0x00, 0xa4, 0x04, 0x0c] && command.command_length == 5 + 10
}

/// Whether the command is part of reading a certificate.
fn reads(call: Call, command: &CommandRecord) -> bool {
    let searches = matches!(call, Call::Find(_) | Call::FindPrivate(_));
    searches || (call.logs_in() && command.verified_before.any())
}

#[test]
fn every_kind_of_status_word_at_any_command_is_contained() {
    let profile = Profile::full();
    for call in Call::all_on(&profile) {
        for (command, number) in call.commands(&profile).iter().zip(1..) {
            for &status in &sample() {
                contain(call, command, number, status, &profile);
            }
        }
    }
}

#[test]
fn some_status_words_at_any_command_of_an_old_card_are_contained() {
    let profile = Profile::conservative();
    for call in Call::all_on(&profile) {
        for (command, number) in call.commands(&profile).iter().zip(1..) {
            for status in [0x9000, 0x6101, 0x6c10, 0x6300, 0x63c0, 0x6982, 0x6a82, 0x6a86, 0x6f00] {
                contain(call, command, number, status, &profile);
            }
        }
    }
}

fn contain(call: Call, command: &CommandRecord, number: usize, status: u16, profile: &Profile) {
    let ready = call.ready(profile);
    ready.fixture.card().inject(Fault::at(number).answer_status(status));
    let result = ready.make();
    let case = format!("{call:?} of a {} card, command {number}, {status:04x}: {result:?}", profile.name);
    let code = rv(result);
    if code == ck::CKR_OK && status != 0x9000 && !call.meets_the_card() {
        assert!(may_go_on(&ready, command, status), "{case}");
    }
    let pin = is_verify(command) && matches!(status, 0x6300..=0x63ff | 0x6983 | 0x6984);
    match code {
        ck::CKR_OK | ck::CKR_DEVICE_ERROR => {}
        ck::CKR_TOKEN_NOT_PRESENT | ck::CKR_TOKEN_NOT_RECOGNIZED => {
            assert!(call.meets_the_card(), "{case}");
        }
        ck::CKR_MECHANISM_INVALID => assert!(matches!(status, 0x6a86 | 0x6b00) && !call.signs(), "{case}"),
        ck::CKR_PIN_INCORRECT => assert!(pin && (call.logs_in() || sets_pin(call)), "{case}"),
        ck::CKR_PIN_LOCKED => assert!(pin || command.instruction() == Some(VERIFY), "{case}"),
        // Also where the count before a PIN that was kept is not full.
        ck::CKR_USER_NOT_LOGGED_IN => {
            assert!(command.instruction() == Some(VERIFY) && call.signs(), "{case}");
        }
        _ => panic!("{case}"),
    }
    if is_verify(command) && status != 0x9000 && !sets_pin(call) {
        assert!(!ready.is_logged_in() || is_for_one_signature(call), "{case}: logged in");
    }
    if status == 0x9000 {
        // A card that says it has selected a file and has not gets the PIN all the same. One that
        // says it has changed the PIN is asked whether it takes the new one.
        ready.fixture.without_invariants();
        return;
    }
    // A PIN that is locked ends the login, at a signature too.
    let may_end = [ck::CKR_OK, ck::CKR_USER_NOT_LOGGED_IN, ck::CKR_PIN_LOCKED].contains(&code);
    if !may_end && !calls::sends_a_pin(command) {
        ready.assert_login_unchanged(&case);
    }
    ready.fixture.check_card();
    for credential in Credential::ALL {
        assert_eq!(ready.fixture.card().failed_verifies(credential), 0, "{case}");
    }
}

/// Whether the PIN is that of one signature: the login of the token does not end with it.
fn is_for_one_signature(call: Call) -> bool {
    matches!(call, Call::LoginForOperation | Call::SignOnce)
}

fn sets_pin(call: Call) -> bool {
    matches!(call, Call::SetPin(_) | Call::LoginForOperation)
}

#[test]
fn of_all_status_words_only_9000_logs_in() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.sign_slot());
    for status in 0..=u16::MAX {
        // Always another PIN: one that was refused is not sent a second time.
        let pin = format!("A{status:05}");
        fixture.card().inject(Fault::when(sends_a_pin).answer_status(status));
        let code = rv(fixture.login(session, pin.as_bytes()));
        let expected = match status {
            0x9000 => ck::CKR_OK,
            0x63c0 | 0x6983 | 0x6984 => ck::CKR_PIN_LOCKED,
            0x6300..=0x63ff => ck::CKR_PIN_INCORRECT,
            _ => ck::CKR_DEVICE_ERROR,
        };
        assert_eq!(code, expected, "{status:04x}");
        let state = fixture.module().session_info(session).unwrap().state;
        assert_eq!(state == ck::CKS_RO_USER_FUNCTIONS, status == 0x9000, "{status:04x}");
        if status == 0x9000 {
            fixture.module().logout(session).unwrap();
        }
    }
    assert_eq!(fixture.card().verifies(Credential::Signature), 0x1_0000);
}

#[test]
fn of_all_status_words_in_place_of_a_signature_none_is_one() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    let key = fixture.key(session);
    for status in 0..=u16::MAX {
        // A card asked once more for the rest would make a good one.
        if matches!(status >> 8, 0x61 | 0x6c) {
            continue;
        }
        fixture.card().inject(Fault::on_instruction(SIGN).repeated().answer_status(status));
        fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).unwrap();
        assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_DEVICE_ERROR, "{status:04x}");
        fixture.card().clear_faults();
    }
    assert_eq!(fixture.card().signatures(), 0);
}

/// Whether a card that answers so may take the key when it is selected first.
fn takes_the_other_form(status: u16) -> bool {
    (0x6700..=0x6fff).contains(&status)
}

#[test]
fn of_all_status_words_to_the_question_for_tries_16_tell_a_count_and_3_a_lock() {
    let fixture = Fixture::new();
    let slot = fixture.auth_slot();
    let pin_flags = ck::CKF_USER_PIN_COUNT_LOW | ck::CKF_USER_PIN_FINAL_TRY | ck::CKF_USER_PIN_LOCKED;
    for status in 0..=u16::MAX {
        fixture.card().inject(Fault::on_instruction(VERIFY).times(2).answer_status(status));
        let flags = fixture.module().token_info(slot).unwrap().flags & pin_flags;
        fixture.card().clear_faults();
        let expected = match status {
            0x63c0 | 0x6983 | 0x6984 => ck::CKF_USER_PIN_COUNT_LOW | ck::CKF_USER_PIN_LOCKED,
            0x63c1 => ck::CKF_USER_PIN_COUNT_LOW | ck::CKF_USER_PIN_FINAL_TRY,
            0x63c2 => ck::CKF_USER_PIN_COUNT_LOW,
            // Asked once more with the length that the card wants, or for the rest, it tells the
            // true count.
            _ => 0,
        };
        assert_eq!(flags, expected, "{status:04x}");
    }
    assert_eq!(fixture.card().verifies(Credential::Authentication), 0);
}

/// One slot, so that a card is looked at once.
fn authentication_only() -> Fixture {
    Fixture::builder().config(Config::parse("slots = \"authentication\"")).build()
}

#[test]
fn of_all_status_words_to_the_first_select_only_9000_makes_a_token() {
    let fixture = authentication_only();
    for status in 0..=u16::MAX {
        fixture.service().out_and_in(READER);
        let by_name = |command: &[u8]| command.starts_with(&[0x00, 0xa4, 0x04]);
        fixture.card().inject(Fault::when(by_name).repeated().answer_status(status));
        // 9000 without the application being selected is soon found out.
        assert_eq!(fixture.module().count_slots(true), Ok(0), "{status:04x}");
        fixture.card().clear_faults();
    }
    fixture.service().out_and_in(READER);
    assert_eq!(fixture.module().count_slots(true), Ok(1));
}

#[test]
fn of_all_status_words_to_a_certificate_none_costs_more_than_the_certificate() {
    let fixture = authentication_only();
    let rest = |command: &[u8]| command[1] == READ && command[2] & 0x80 == 0;
    for status in 0..=u16::MAX {
        fixture.service().out_and_in(READER);
        // In place of all that follows the first 256 bytes.
        fixture.card().inject(Fault::when(rest).repeated().answer_status(status));
        let tokens = fixture.module().count_slots(true).unwrap();
        fixture.card().clear_faults();
        assert!(tokens <= 1, "{status:04x}");
    }
    fixture.service().out_and_in(READER);
    fixture.logged_in(Credential::Authentication);
}
