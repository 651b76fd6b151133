//! Phones as cards: one that another program left verified shows a certificate that it hides
//! otherwise, and must be known again when it does.

use crate::support::calls::rv;
use crate::support::fixture::{AUTH_PIN, Fixture, READER};
use cryptoki_sys as ck;
use virtual_card::{Credential, Fault as CardFault, Identity, Profile};

use super::{AUTH, enter, sends_a_pin};

const SIGN: Credential = Credential::Signature;

/// A phone without another application.
const CANNOT_FORGET: &str = "android+isd=6A82+long-isd=6A82+surface-input=6A82+common=6A82";

/// Logs in with one PIN, which is too long by two for the authentication slot: there its first four
/// characters are entered.
fn enter_at(fixture: &Fixture, credential: Credential, pin: &[u8]) -> ck::CK_RV {
    assert_eq!(fixture.module().count_slots(true), Ok(2));
    let pin = if credential == AUTH { &pin[..4] } else { pin };
    rv(fixture.login(fixture.open(fixture.slot_of(credential)), pin))
}

/// Takes the card out, and lets the module look.
fn take_out(fixture: &Fixture) {
    fixture.remove_card();
    assert_eq!(fixture.module().count_slots(true), Ok(0));
}

/// A phone that another program left verified shows the certificate that it hides otherwise.
#[test]
fn rule_2_a_phone_that_shows_its_certificate_for_now_is_the_same_phone_later() {
    for traits in [
        "android",
        "android+tries-query=unless-verified",
        "android+tries-query=6700",
        "android+long-read=6C20",
        CANNOT_FORGET,
    ] {
        for (credential, shown_first) in [(AUTH, true), (AUTH, false), (SIGN, true), (SIGN, false)] {
            let context = format!("{traits}, {credential:?}, shown first: {shown_first}");
            let fixture = Fixture::with(Profile::described_by(traits).expect(traits));
            let leave_verified = |it: bool| {
                if it {
                    fixture.card().leave_verified();
                }
            };
            // Once it has forgotten it may be another card to the eye.
            let enter_again = |fixture: &Fixture| match enter_at(fixture, credential, b"111111") {
                ck::CKR_DEVICE_REMOVED => enter_at(fixture, credential, b"111111"),
                code => code,
            };
            leave_verified(shown_first);
            assert_eq!(enter_again(&fixture), ck::CKR_PIN_INCORRECT, "{context}");
            assert_eq!(enter_again(&fixture), ck::CKR_FUNCTION_CANCELED, "{context}");
            take_out(&fixture);
            fixture.insert_card();
            leave_verified(!shown_first);
            assert_eq!(enter_again(&fixture), ck::CKR_FUNCTION_CANCELED, "{context}");
            assert_eq!(fixture.card().verifies(credential), 1, "{context}");
        }
    }
}

#[test]
fn rule_2_what_a_phone_may_have_refused_is_remembered_when_it_hides_its_certificate() {
    for is_pulled in [true, false] {
        let fixture = Fixture::with(Profile::android());
        fixture.card().leave_verified();
        fixture.card().inject(CardFault::when(sends_a_pin).after_processing().answer(vec![0x90]));
        let code = enter_at(&fixture, AUTH, b"1111");
        assert_eq!((code, fixture.tries_left(AUTH)), (ck::CKR_DEVICE_ERROR, 2));
        if is_pulled {
            take_out(&fixture);
            fixture.insert_card();
        } else {
            fixture.service().disturb(READER);
            assert_eq!(enter_at(&fixture, AUTH, b"1111"), ck::CKR_DEVICE_REMOVED);
        }
        assert_eq!(enter_at(&fixture, AUTH, b"1111"), ck::CKR_FUNCTION_CANCELED, "pulled: {is_pulled}");
        assert_eq!(fixture.card().verifies(AUTH), 1);
    }
}

/// A card that shows its certificate without a PIN is not taken for the phone that comes next.
#[test]
fn rule_2_what_a_card_refused_is_taken_by_a_phone() {
    for is_left_verified in [true, false] {
        let fixture = Fixture::new();
        if is_left_verified {
            fixture.card().leave_verified();
        }
        assert_eq!(enter_at(&fixture, AUTH, b"1111"), ck::CKR_PIN_INCORRECT);
        take_out(&fixture);
        let phone = fixture.swap_card(Profile::android().with_pins("1111", "ABC123"), Identity::from_seed(4));
        phone.set_tries_left(AUTH, 2);
        assert_eq!(enter_at(&fixture, AUTH, b"1111"), ck::CKR_OK);
        take_out(&fixture);
        fixture.insert_card();
        assert_eq!(enter_at(&fixture, AUTH, b"1111"), ck::CKR_FUNCTION_CANCELED);
    }
}

/// Of two phones that hide their certificates the first one may be the one that was pulled.
#[test]
fn rule_2_another_phone_takes_no_refused_entry_away() {
    let fixture = Fixture::with(Profile::android());
    fixture.card().leave_verified();
    fixture.card().inject(CardFault::when(sends_a_pin).after_processing().answer(vec![0x90]));
    assert_eq!(enter_at(&fixture, AUTH, b"1111"), ck::CKR_DEVICE_ERROR);
    take_out(&fixture);
    let another = Profile { serial: "0000000020500099".into(), ..Profile::android() };
    fixture.swap_card(another, Identity::from_seed(4));
    assert_eq!(fixture.module().count_slots(true), Ok(2));
    take_out(&fixture);
    fixture.insert_card();
    assert_eq!(enter_at(&fixture, AUTH, b"1111"), ck::CKR_FUNCTION_CANCELED);
    assert_eq!(fixture.card().verifies(AUTH), 1);
}

/// What is read after a refusal is no identity: one bad answer must not make a card another one.
#[test]
fn rule_6_a_bad_answer_after_a_refusal_changes_no_identity() {
    let asks_what_it_shows = |command: &[u8]| command == [0x00, 0xb0, 0x8a, 0x00, 0x04];
    for answer in [vec![0x90, 0x00], vec![0x90], vec![0x69, 0x82]] {
        let fixture = Fixture::new();
        fixture.card().inject(CardFault::when(asks_what_it_shows).answer(answer.clone()));
        assert_eq!(enter(&fixture, &[b"1111", AUTH_PIN]), [ck::CKR_PIN_INCORRECT, ck::CKR_OK], "{answer:?}");
        assert_eq!(fixture.card().pending_faults(), 0, "it was read");
        let session = fixture.open(fixture.auth_slot());
        fixture.service().disturb(READER);
        fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").expect("a signature");
        fixture.card().replace(Profile::full(), Identity::from_seed(4));
        fixture.service().disturb(READER);
        assert_eq!(rv(fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data")), ck::CKR_DEVICE_REMOVED);
        fixture.check_card();
    }
}

/// A card that forgets only without power loses it after a PIN, and not for being asked.
#[test]
fn a_refusal_takes_the_power_once() {
    let fixture =
        Fixture::with(Profile::described_by(&CANNOT_FORGET.replace("android", "full")).expect("full"));
    assert_eq!(enter_at(&fixture, AUTH, b"1111"), ck::CKR_PIN_INCORRECT);
    let power_offs = fixture.card().ledger().power_offs();
    for slot in [fixture.auth_slot(), fixture.slot_of(SIGN)] {
        fixture.module().mechanism_list(slot).expect("mechanisms");
        assert_eq!(fixture.find(fixture.open(slot), ck::CKO_DATA), []);
    }
    assert_eq!(fixture.card().ledger().power_offs(), power_offs);
}
