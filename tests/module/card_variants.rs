//! Cards that another author would have made of what is known: each point that the sources leave
//! open, decided in another way. Whatever it is, both keys sign, the certificates are there, and no
//! try is lost.

use std::sync::{Arc, Mutex};

use crate::support::by_handle::ByHandle;
use crate::support::fixture::{Fixture, READER};
use crate::support::signatures::assert_sha256_signature;
use cryptoki_sys as ck;
use pcsc_stand_in::icc::{Exchange, Icc};
use pcsc_stand_in::service::Code;
use rsa::Pss;
use sha2::{Digest, Sha256};
use virtual_card::{Credential, Profile, VirtualCard};

const READ: u8 = 0xb0;
const VERIFY: u8 = 0x20;
const SIGN: u8 = 0x2a;

/// What a chip says to "no such parameters".
const REFUSALS: [u16; 14] = [
    0x6700, 0x6881, 0x6981, 0x6982, 0x6985, 0x6986, 0x6a80, 0x6a81, 0x6a82, 0x6a86, 0x6a88, 0x6b00, 0x6d00,
    0x6e00,
];

/// What is done to a command before the chip gets it, or to its answer: `None` leaves it to the
/// chip.
type Quirk = Box<dyn Fn(&VirtualCard, &[u8]) -> Option<Exchange> + Send + Sync>;

/// A chip with a quirk.
struct Chip {
    card: VirtualCard,
    quirk: Quirk,
}

impl Icc for Chip {
    fn power_on(&self) -> Option<Vec<u8>> {
        Icc::power_on(&self.card)
    }

    fn power_off(&self) {
        Icc::power_off(&self.card);
    }

    fn warm_reset(&self) -> Option<Vec<u8>> {
        Icc::warm_reset(&self.card)
    }

    fn transmit(&self, command: &[u8]) -> Exchange {
        (self.quirk)(&self.card, command).unwrap_or_else(|| Icc::transmit(&self.card, command))
    }

    fn put_in(&self) -> Option<Vec<u8>> {
        self.card.put_in()
    }

    fn taken_out(&self) {
        self.card.taken_out();
    }
}

fn status(word: u16) -> Option<Exchange> {
    Some(Exchange::Answer(word.to_be_bytes().to_vec()))
}

fn fixture(
    profile: Profile,
    quirk: impl Fn(&VirtualCard, &[u8]) -> Option<Exchange> + Send + Sync + 'static,
) -> Fixture {
    let fixture = Fixture::builder().profile(profile).without_card().build();
    let chip = Chip { card: fixture.card().clone(), quirk: Box::new(quirk) };
    fixture.service().insert(READER, Arc::new(chip));
    fixture
}

/// Goes through all that a program does, with both tokens.
fn assert_works(fixture: &Fixture, with_pss: bool, case: &str) {
    let module = fixture.module();
    assert_eq!(module.count_slots(true), Ok(2), "{case}");
    for credential in Credential::ALL {
        let slot = fixture.slot_of(credential);
        let info = module.token_info(slot).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(info.flags & (ck::CKF_USER_PIN_COUNT_LOW | ck::CKF_USER_PIN_LOCKED), 0, "{case}");
        let mechanisms = module.mechanism_list(slot).expect(case);
        assert_eq!(mechanisms.contains(&ck::CKM_RSA_PKCS_PSS), with_pss, "{case}");
        let session = fixture.logged_in(credential);
        let certificates = if credential == Credential::Signature { 2 } else { 1 };
        assert_eq!(fixture.find(session, ck::CKO_CERTIFICATE).len(), certificates, "{case}");
        for certificate in fixture.find(session, ck::CKO_CERTIFICATE) {
            fixture.attribute(session, certificate, ck::CKA_VALUE).expect(case);
        }
        for _ in 0..2 {
            let signature = fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").expect(case);
            assert_sha256_signature(fixture.card(), credential, b"data", &signature);
        }
        if with_pss {
            assert_makes_pss(fixture, credential, case);
        }
        assert_eq!(
            fixture.tries_left(credential),
            if credential == Credential::ALL[0] { 3 } else { 5 },
            "{case}"
        );
        fixture.check_card();
    }
}

fn assert_makes_pss(fixture: &Fixture, credential: Credential, case: &str) {
    let session = fixture.open(fixture.slot_of(credential));
    let signature = fixture.sign_pss(session).expect(case);
    let key = fixture.card().identity().public_key(credential);
    key.verify(Pss::new::<Sha256>(), &Sha256::digest(b"data"), &signature).expect(case);
}

/// READ BINARY that names its file by a short identifier.
fn reads_by_short_id(command: &[u8]) -> bool {
    command[1] == READ && command[2] & 0x80 != 0
}

/// A sign command or the question for tries that names the key or the PIN by a short identifier.
fn names_by_short_id(instruction: u8, command: &[u8]) -> bool {
    command[1] == instruction && command[3] & 0x80 != 0 && command[3] != 0x80
}

fn is_extended(command: &[u8]) -> bool {
    command.len() == 7 && command[4] == 0
}

#[test]
fn a_chip_may_refuse_short_identifiers_with_any_status_word() {
    for refusal in REFUSALS {
        let chip = fixture(Profile::conservative(), move |_, command| {
            status(refusal).filter(|_| reads_by_short_id(command))
        });
        assert_works(&chip, false, &format!("{refusal:04x}"));
    }
}

#[test]
fn a_chip_may_take_short_identifiers_of_files_and_not_of_keys_and_pins() {
    for refusal in REFUSALS.into_iter().chain([0x6900, 0x6983, 0x6984, 0x6999, 0x6a87, 0x6f00]) {
        let chip = fixture(Profile::full(), move |_, command| {
            let short = names_by_short_id(SIGN, command) || names_by_short_id(VERIFY, command);
            status(refusal).filter(|_| short)
        });
        assert_works(&chip, true, &format!("{refusal:04x}"));
        let session = chip.open(chip.auth_slot());
        let mark = chip.card().mark();
        chip.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").expect("a signature");
        assert_eq!(chip.card().commands_since(mark), 7, "the form that failed is not tried again");
    }
}

/// Takes only a SELECT for one. What follows a reading by short identifier is refused, or read from
/// an EF of its own.
fn only_selects_make_current(refusal: Option<u16>) -> impl Fn(&VirtualCard, &[u8]) -> Option<Exchange> {
    const OTHER: u16 = 0x0002;
    let current = Mutex::new(None);
    move |card, command| {
        let mut current = current.lock().unwrap();
        match command {
            [0x00, 0xa4, 0x04, ..] => *current = None,
            [0x00, 0xa4, 0x02, 0x0c, 0x02, high, low] => *current = Some(u16::from_be_bytes([*high, *low])),
            [0x00, READ, 0x00..=0x7f, ..] => {
                let Some(file) = (*current).or(Some(OTHER).filter(|_| refusal.is_none())) else {
                    return refusal.and_then(status);
                };
                Icc::transmit(
                    card,
                    &[[0x00, 0xa4, 0x02, 0x0c, 0x02].as_slice(), file.to_be_bytes().as_slice()].concat(),
                );
            }
            _ => {}
        }
        None
    }
}

#[test]
fn a_chip_may_not_make_the_file_current_that_a_short_identifier_names() {
    for refusal in [Some(0x6986), Some(0x6a86), Some(0x6b00), None] {
        let chip = fixture(Profile::full(), only_selects_make_current(refusal));
        assert_works(&chip, true, &format!("{refusal:04x?}"));
    }
}

#[test]
fn a_chip_may_have_short_identifiers_for_some_of_its_files_and_keys_only() {
    for refusal in [0x6982, 0x6a82, 0x6a86] {
        for file in [0x01, 0x02, 0x08, 0x0a, 0x0b] {
            let chip = fixture(Profile::full(), move |_, command| {
                status(refusal).filter(|_| reads_by_short_id(command) && command[2] == 0x80 | file)
            });
            assert_works(&chip, true, &format!("file {file:02x}, {refusal:04x}"));
        }
        for key in [0x17, 0x1a] {
            let chip = fixture(Profile::full(), move |_, command| {
                status(refusal).filter(|_| command[1] == SIGN && command[3] == 0x80 | key)
            });
            assert_works(&chip, true, &format!("key {key:02x}, {refusal:04x}"));
        }
    }
}

#[test]
fn a_chip_may_name_another_length_for_what_waits_and_for_a_select() {
    const GET_RESPONSE: u8 = 0xc0;
    let chip = fixture(Profile::described_by("full+signature-waits=yes").expect("a trait"), |_, command| {
        status(0x6cff).filter(|_| command[1] == GET_RESPONSE && command[4] == 0)
    });
    assert_works(&chip, true, "GET RESPONSE");
    let chip = fixture(Profile::full(), |card, command| match command {
        [0x00, 0xa4, 0x02, _, 2, _, _] => status(0x6c09),
        [0x00, 0xa4, 0x02, _, 2, _, _, 9] => {
            let Exchange::Answer(answer) = Icc::transmit(card, &command[..7]) else { return None };
            Some(Exchange::Answer([&[0x6f, 7, 0x81, 5, 0, 0, 0, 0, 0], &*answer].concat()))
        }
        _ => None,
    });
    assert_works(&chip, true, "SELECT");
}

#[test]
fn a_chip_may_refuse_extended_length_in_any_way() {
    let ways: [fn() -> Exchange; 6] = [
        || Exchange::Answer(vec![0x67, 0x00]),
        || Exchange::Answer(vec![0x6d, 0x00]),
        || Exchange::Answer(vec![0x6f, 0x00]),
        || Exchange::Answer(vec![0x6c, 0x00]),
        || Exchange::Answer(vec![0x90, 0x00]),
        || Exchange::Failed(Code::NOT_TRANSACTED),
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let chip = fixture(Profile::full(), move |_, command| is_extended(command).then(way));
        assert_works(&chip, true, &format!("way {number}"));
    }
}

#[test]
fn a_chip_may_lack_the_files_that_only_one_source_knows() {
    for file in [0x0006_u16, 0x0008] {
        for refusal in [0x6a82, 0x6982] {
            let chip = fixture(Profile::full(), move |_, command| {
                let short = reads_by_short_id(command) && u16::from(command[2] & 0x1f) == file;
                let select =
                    command.starts_with(&[0x00, 0xa4, 0x02]) && command.ends_with(&file.to_be_bytes());
                status(refusal).filter(|_| short || select)
            });
            assert_works(&chip, true, &format!("{file:04x}, {refusal:04x}"));
        }
    }
}

#[test]
fn a_chip_that_does_not_say_whether_it_makes_pss_is_believed_until_it_fails() {
    let chip = fixture(Profile::conservative(), |card, command| {
        let verified = Credential::ALL.into_iter().any(|credential| card.verified(credential));
        status(0x6982).filter(|_| command[1] == SIGN && !verified)
    });
    let pss = || chip.module().mechanism_list(chip.auth_slot()).unwrap().contains(&ck::CKM_RSA_PKCS_PSS);
    assert!(pss());
    let session = chip.logged_in(Credential::Authentication);
    let refused = chip.sign_pss(session).map_err(|error| error.return_value());
    assert_eq!(refused, Err(ck::CKR_DEVICE_ERROR));
    assert!(!pss());
    chip.module().logout(session).expect("logged in");
    assert_works(&chip, false, "the PIN first");
}

#[test]
fn a_chip_without_short_identifiers_may_make_pss() {
    let profile = Profile { sign_schemes: vec![0, 4], ..Profile::conservative() };
    assert_works(&fixture(profile, |_, _| None), true, "PSS");
}

#[test]
fn a_chip_may_not_know_the_application_that_makes_it_forget() {
    let chip = fixture(Profile::full(), |_, command| {
        status(0x6a82).filter(|_| command.starts_with(&[0x00, 0xa4, 0x04, 0x0c, 0x07]))
    });
    assert_works(&chip, true, "no issuer security domain");
}

#[test]
fn a_chip_may_answer_a_select_with_control_information() {
    let chip = fixture(Profile::full(), |card, command| {
        let Exchange::Answer(answer) = Icc::transmit(card, command) else { return None };
        let selects = command[1] == 0xa4 && answer == [0x90, 0x00];
        Some(Exchange::Answer(if selects { [&[0x6f, 0x02, 0x84, 0x00], &*answer].concat() } else { answer }))
    });
    assert_works(&chip, true, "FCI");
}

#[test]
fn a_chip_may_announce_every_answer_in_pieces() {
    for longest_piece in [128, 200] {
        let profile = Profile { longest_piece: Some(longest_piece), ..Profile::conservative() };
        assert_works(&fixture(profile, |_, _| None), false, &format!("{longest_piece} bytes"));
    }
    let profile = Profile { insists_on_exact_length: true, ..Profile::full() };
    assert_works(&fixture(profile, |_, _| None), true, "exact lengths");
}

#[test]
fn a_chip_may_answer_the_first_command_after_power_with_an_error() {
    let profile = Profile { first_command_fails: true, ..Profile::full() };
    assert_works(&fixture(profile, |_, _| None), true, "6f00");
}
