//! Inputs by which an adversary once broke a promise, named after the rule that each has to keep.
//! Those that prove something with the loaded library and a real service alone stand in
//! `tests/process`.

mod phones;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::by_handle::ByHandle;
use crate::support::calls::rv;
use crate::support::fixture::{AUTH_PIN, Fixture, READER, SIGN_PIN};
use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use pcsc_stand_in::service::{Code, Disposition, Fault, Function, When};
use virtual_card::{Credential, Fault as CardFault, Identity, Profile};

const AUTH: Credential = Credential::Authentication;
const VERIFY: u8 = 0x20;

/// Logs in at the authentication slot with one PIN after another, and returns the codes.
fn enter(fixture: &Fixture, pins: &[&[u8]]) -> Vec<ck::CK_RV> {
    let session = fixture.open(fixture.auth_slot());
    pins.iter().map(|pin| rv(fixture.login(session, pin))).collect()
}

/// Sets the PIN as another program does that knows the right one.
fn change_elsewhere(fixture: &Fixture, pin: &str) {
    fixture.card().set_pin(AUTH, pin);
    fixture.card().set_tries_left(AUTH, 3);
}

/// VERIFY with a PIN.
fn sends_a_pin(command: &[u8]) -> bool {
    command.get(1) == Some(&VERIFY) && command.len() > 4
}

#[test]
fn rule_2_malformed_entries_push_no_refused_one_out() {
    let fixture = Fixture::new();
    let codes = enter(&fixture, &[b"1111", b"HELDOUT7", b"1111", b"", b"1111"]);
    let (wrong, held) = (ck::CKR_PIN_INCORRECT, ck::CKR_FUNCTION_CANCELED);
    assert_eq!(codes, [wrong, wrong, held, wrong, held]);
    assert_eq!(fixture.tries_left(AUTH), 2);
}

#[test]
fn rule_2_another_refused_entry_pushes_none_out() {
    let fixture = Fixture::new();
    let codes = enter(&fixture, &[b"1111", b"2222", b"1111", b"2222"]);
    let (wrong, held) = (ck::CKR_PIN_INCORRECT, ck::CKR_FUNCTION_CANCELED);
    assert_eq!(codes, [wrong, wrong, held, held]);
    assert_eq!(fixture.tries_left(AUTH), 1);
}

#[test]
fn rule_2_another_programs_failure_that_is_looked_at_frees_no_refused_entry() {
    let fixture = Fixture::new();
    assert_eq!(enter(&fixture, &[b"1111"]), [ck::CKR_PIN_INCORRECT]);
    fixture.card().set_tries_left(AUTH, 1);
    fixture.module().token_info(fixture.auth_slot()).expect("a token");
    assert_eq!(enter(&fixture, &[b"1111"]), [ck::CKR_FUNCTION_CANCELED]);
    assert_eq!(fixture.card().verifies(AUTH), 1);
}

#[test]
fn rule_2_a_removal_frees_no_refused_entry() {
    let fixture = Fixture::new();
    assert_eq!(enter(&fixture, &[b"1111"]), [ck::CKR_PIN_INCORRECT]);
    fixture.remove_card();
    assert_eq!(fixture.module().count_slots(true), Ok(0));
    fixture.insert_card();
    assert_eq!(enter(&fixture, &[b"1111"]), [ck::CKR_FUNCTION_CANCELED]);
    assert_eq!(fixture.card().verifies(AUTH), 1);
}

#[test]
fn rule_2_a_refused_entry_that_another_program_makes_the_pin_is_taken() {
    let fixture = Fixture::new();
    assert_eq!(enter(&fixture, &[b"5757"]), [ck::CKR_PIN_INCORRECT]);
    change_elsewhere(&fixture, "5757");
    assert_eq!(enter(&fixture, &[b"5757"]), [ck::CKR_OK]);
}

#[test]
fn rule_2_a_refused_entry_that_our_own_change_makes_the_pin_is_taken() {
    let fixture = Fixture::new();
    assert_eq!(enter(&fixture, &[b"5757"]), [ck::CKR_PIN_INCORRECT]);
    let session = fixture.open_rw(fixture.auth_slot());
    fixture.set_pin(session, AUTH_PIN, b"5757").expect("the right PIN");
    assert_eq!(enter(&fixture, &[b"5757"]), [ck::CKR_OK]);
}

#[test]
fn rule_2_threads_that_look_do_not_let_a_repeated_entry_through() {
    let fixture = Fixture::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    fixture.module().token_info(fixture.auth_slot()).expect("a token");
                }
            });
        }
        let codes = enter(&fixture, &[b"1111".as_slice(); 300]);
        done.store(true, Ordering::Relaxed);
        assert_eq!(codes.iter().filter(|code| **code == ck::CKR_PIN_INCORRECT).count(), 1);
    });
    assert_eq!(fixture.card().verifies(AUTH), 1);
}

#[test]
fn rule_3_locked_comes_before_repeated() {
    let fixture = Fixture::new();
    assert_eq!(enter(&fixture, &[b"1111"]), [ck::CKR_PIN_INCORRECT]);
    fixture.card().set_tries_left(AUTH, 0);
    let mark = fixture.card().mark();
    assert_eq!(enter(&fixture, &[b"1111", b"2222"]), [ck::CKR_PIN_LOCKED; 2]);
    assert_eq!(fixture.card().ledger_since(mark).verifies(AUTH), 0);
    // A malformed entry costs no command.
    let mark = fixture.card().mark();
    assert_eq!(enter(&fixture, &[b"12a4"]), [ck::CKR_PIN_INCORRECT]);
    assert_eq!(fixture.card().commands_since(mark), 0);
}

#[test]
fn rule_4_an_entry_whose_answer_is_lost_after_the_card_counted_is_not_sent_again() {
    let fixture = Fixture::new();
    let lost = CardFault::when(sends_a_pin).after_processing().answer(vec![0x90]);
    fixture.card().inject(lost);
    let codes = enter(&fixture, &[b"1111", b"1111", b"1111"]);
    assert_eq!(codes, [ck::CKR_DEVICE_ERROR, ck::CKR_FUNCTION_CANCELED, ck::CKR_FUNCTION_CANCELED]);
    assert_eq!(fixture.tries_left(AUTH), 2);
}

#[test]
fn rule_5_a_card_that_stops_telling_its_count_gets_no_pin_and_the_login_stays() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(AUTH);
    let asks = |command: &[u8]| command.get(1) == Some(&VERIFY) && command.len() == 4;
    fixture.card().inject(CardFault::when(asks).repeated().answer_status(0x6d00));
    let mark = fixture.card().mark();
    let signed = fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data");
    assert_eq!(rv(signed), ck::CKR_DEVICE_ERROR);
    assert_eq!(fixture.card().ledger_since(mark).verifies(AUTH), 0);
    fixture.card().clear_faults();
    fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").expect("the login stays");
}

#[test]
fn rule_5_a_card_that_never_tells_its_count_is_not_asked_into_a_lock() {
    let profile = Profile::described_by("full+tries-query=6D00").expect("a trait");
    let fixture = Fixture::with(profile);
    let mut codes = Vec::new();
    for _ in 0..4 {
        fixture.module().token_info(fixture.auth_slot()).expect("a token");
        codes.extend(enter(&fixture, &[b"1111"]));
    }
    assert_eq!(codes[0], ck::CKR_PIN_INCORRECT);
    assert_eq!(codes[1..], [ck::CKR_FUNCTION_CANCELED; 3]);
    assert_eq!(fixture.tries_left(AUTH), 2);
}

#[test]
fn rule_3_a_card_that_never_tells_its_count_and_is_blocked_says_so_of_a_refused_entry() {
    let fixture = Fixture::with(Profile::described_by("full+tries-query=6D00").expect("a trait"));
    let codes = enter(&fixture, &[b"1111", b"2222", b"3333", b"3333", b"1111"]);
    assert_eq!(codes[..2], [ck::CKR_PIN_INCORRECT; 2]);
    assert_eq!(codes[2..], [ck::CKR_PIN_LOCKED; 3]);
    assert_eq!(fixture.card().verifies(AUTH), 3);
}

/// The question is answered with the same number always; the card counts all the same, and its
/// refusals say so.
#[test]
fn rule_2_a_card_that_always_names_the_same_number_gets_a_wrong_entry_once() {
    let fixture = Fixture::new();
    let asks = |command: &[u8]| command.get(1) == Some(&VERIFY) && command.len() == 4;
    fixture.card().inject(CardFault::when(asks).repeated().edit(|_| vec![0x63, 0xc3]));
    let (wrong, held) = (ck::CKR_PIN_INCORRECT, ck::CKR_FUNCTION_CANCELED);
    assert_eq!(enter(&fixture, &[b"1111", b"1111"]), [wrong, held]);
    fixture.remove_card();
    assert_eq!(fixture.module().count_slots(true), Ok(0));
    fixture.insert_card();
    fixture.module().token_info(fixture.auth_slot()).expect("a token");
    assert_eq!(
        enter(&fixture, &[b"1111", AUTH_PIN, b"2222"]),
        [held, ck::CKR_OK, ck::CKR_USER_ALREADY_LOGGED_IN]
    );
    let session = fixture.open(fixture.auth_slot());
    fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").expect("logged in");
    // Changed elsewhere: the stored PIN is sent once more, and the login ends.
    change_elsewhere(&fixture, "4321");
    let signed = fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data");
    assert_eq!(rv(signed), ck::CKR_USER_NOT_LOGGED_IN);
    assert_eq!(rv(fixture.login(session, AUTH_PIN)), held);
    assert_eq!(fixture.tries_left(AUTH), 2);
}

/// Its refusals name what is left, or at least count.
#[test]
fn rule_10_a_reserve_holds_on_a_card_that_does_not_tell_its_count() {
    for answer in [None, Some([0x63, 0x00])] {
        let config = Config::parse("reserve_tries = 1");
        let profile = Profile::described_by("full+tries-query=6D00").expect("a trait");
        let fixture = Fixture::builder().profile(profile).config(config).build();
        let refusal = CardFault::when(sends_a_pin).repeated();
        if let Some(answer) = answer {
            fixture.card().inject(refusal.edit(move |_| answer.to_vec()));
        }
        let codes = enter(&fixture, &[b"1111", b"2222", b"3333"]);
        assert_eq!(codes, [ck::CKR_PIN_INCORRECT, ck::CKR_PIN_INCORRECT, ck::CKR_PIN_LOCKED]);
        fixture.remove_card();
        assert_eq!(fixture.module().count_slots(true), Ok(0));
        fixture.insert_card();
        assert_eq!(enter(&fixture, &[b"4444"]), [ck::CKR_PIN_LOCKED]);
        assert_eq!(fixture.tries_left(AUTH), 1);
    }
}

/// No application can be selected that makes the card forget, and it tells no count before.
#[test]
fn rule_5_a_card_that_another_program_left_open_is_made_to_forget_without_power() {
    let applications = "isd=6A82+long-isd=6A82+surface-input=6A82+common=6A82";
    let traits = format!("full+tries-query=unless-verified+{applications}");
    for is_logged_in in [false, true] {
        let fixture = Fixture::with(Profile::described_by(&traits).expect("traits"));
        let session = fixture.open(fixture.auth_slot());
        fixture.module().token_info(fixture.auth_slot()).expect("a token");
        if is_logged_in {
            fixture.login(session, AUTH_PIN).expect("the PIN is right");
        }
        let other = fixture.foreign().connect(READER).expect("the card");
        other.select_jpki().expect("it answers");
        assert_eq!(other.verify(0x0018, AUTH_PIN), Ok(0x9000));
        other.disconnect(Disposition::Leave).expect("connected");
        assert!(fixture.card().verified(AUTH));
        if !is_logged_in {
            assert_eq!(rv(fixture.login(session, b"1111")), ck::CKR_PIN_INCORRECT);
            assert_eq!(fixture.tries_left(AUTH), 2);
            fixture.login(session, AUTH_PIN).expect("the PIN is right");
        }
        fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").expect("a signature");
        assert!(!fixture.card().verified(AUTH));
    }
}

#[test]
fn rule_1_a_login_for_one_signature_serves_no_other_signature() {
    let fixture = Fixture::builder().config(Config::parse("always_authenticate = true")).build();
    let session = fixture.logged_in(Credential::Signature);
    let key = fixture.key(session);
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).expect("logged in");
    // While the card looks at the PIN, another thread gives the operation up and begins another
    // one.
    let module = fixture.module();
    thread::scope(|scope| {
        fixture.service().inject(Function::Transmit, When::nth(4), Fault::Hang(Code::NOT_TRANSACTED));
        let login = scope.spawn(|| rv(fixture.login_for_operation(session, SIGN_PIN)));
        fixture.service().await_blocked(Function::Transmit, 1);
        module.session_cancel(session, ck::CKF_SIGN).expect("a session");
        fixture.service().release_hanging();
        assert_ne!(login.join().expect("no panic"), ck::CKR_OK);
    });
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).expect("logged in");
    assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_USER_NOT_LOGGED_IN);
}

#[test]
fn rule_11_a_configuration_that_nests_deeply_needs_no_deep_stack() {
    let deep = format!("slots = {}", "[".repeat(100));
    let small = thread::Builder::new().stack_size(64 * 1024);
    let config = small.spawn(move || Config::parse(&deep)).expect("a thread").join().expect("no overflow");
    assert_eq!(config.complaints.len(), 1);
}

#[test]
fn a_card_without_power_at_the_beginning_of_a_transaction_is_taken_up_again() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(AUTH);
    fixture.service().inject(Function::BeginTransaction, When::NEXT, Fault::Fail(Code::UNPOWERED_CARD));
    fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").expect("a signature");
}

#[test]
fn a_card_that_answers_with_nothing_while_it_is_pulled_is_gone() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(AUTH);
    let key = fixture.key(session);
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).expect("logged in");
    fixture.card().inject(CardFault::at(2).edit({
        let service = fixture.service().clone();
        move |_| {
            let service = service.clone();
            thread::spawn(move || service.remove_card(READER)).join().ok();
            Vec::new()
        }
    }));
    assert_eq!(rv(fixture.finish_sign(session, b"data")), ck::CKR_DEVICE_REMOVED);
    assert_eq!(fixture.memory().live_pages(), 0);
}

/// The transaction begins only at the third attempt: the connection is renewed after a reset, and
/// the service fails then. Another person's card has come meanwhile, unseen by the service.
#[test]
fn rule_6_a_renewal_whose_transaction_fails_is_followed_by_a_look_at_the_card() {
    for code in [Code::INTERNAL_ERROR, Code::SHARING_VIOLATION, Code::RESET_CARD] {
        let fixture = Fixture::new();
        let session = fixture.logged_in(AUTH);
        let key = fixture.key(session);
        let other = Profile::full().with_pins("9876", "OTHER9");
        fixture.card().replace(other, Identity::from_seed(2));
        fixture.service().disturb(READER);
        fixture.service().inject(Function::BeginTransaction, When::nth(2), Fault::Fail(code));
        let sign = || {
            let begun = fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key);
            rv(begun.and_then(|()| fixture.finish_sign(session, b"data")))
        };
        let codes = [sign(), sign()];
        assert!(codes.contains(&ck::CKR_DEVICE_REMOVED), "{code}: {codes:x?}");
        assert_eq!((fixture.card().verifies(AUTH), fixture.tries_left(AUTH)), (1, 3), "{code}");
    }
}

/// The card is reset again and again while a transaction ends, as by a loose contact, or after an
/// end that the service did not take. Other programs must not wait for ever.
#[test]
fn rule_11_resets_while_a_transaction_ends_leave_none_open() {
    for (resets, fails) in [(1, true), (2, true), (3, true), (1, false), (2, false), (3, false)] {
        let fixture = Fixture::new();
        let session = fixture.logged_in(AUTH);
        let service = fixture.service();
        if fails {
            service.inject(Function::EndTransaction, When::NEXT, Fault::Fail(Code::COMM_ERROR));
        }
        let reset = Fault::before(|service| service.disturb(READER));
        service.inject(Function::EndTransaction, When::times(1 + u64::from(fails), resets), reset);
        let signed = fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data");
        assert!(signed.is_ok(), "the signature was made: {signed:?}");
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| tell.send(fixture.foreign().hold_transaction(READER).is_ok()));
            let got = told.recv_timeout(Duration::from_secs(5));
            // Lets the other program go where it waits.
            fixture.module().shut_down();
            assert_eq!(got, Ok(true), "another program gets the card: {resets}, {fails}");
        });
    }
}
