//! The model against `myna-card`, an independent client whose author probed real cards.
//!
//! It shares no code with the model, so what it accepts is how a card behaves and not how its model
//! was written.

use myna_card::ap::jpki::{JpkiAp, SignatureScheme};
use myna_card::{Card, Error, MasterFile, Pin, Retries, TokenType, Transmit};
use virtual_card::{Credential, Identity, Profile, Reply, VirtualCard};

struct Link(VirtualCard);

impl Transmit for Link {
    fn transmit(&mut self, command: &[u8]) -> myna_card::Result<Vec<u8>> {
        match self.0.transmit(command) {
            Reply::Answer(answer) => Ok(answer),
            other => Err(Error::Malformed(format!("{other:?}"))),
        }
    }
}

const SCHEMES: [SignatureScheme; 6] = [
    SignatureScheme::Verbatim,
    SignatureScheme::Sha256Bare,
    SignatureScheme::PreHashedDigestInfo,
    SignatureScheme::Sha256DigestInfo,
    SignatureScheme::PreHashedPss,
    SignatureScheme::Sha256Pss,
];

fn with_card<T>(profile: Profile, test: impl FnOnce(&mut JpkiAp<'_, Link>) -> T) -> T {
    let mut card = Card::new(Link(VirtualCard::new(profile, Identity::shared())));
    let mut jpki = JpkiAp::select(&mut card).expect("the application is there");
    test(&mut jpki)
}

#[test]
fn it_recognises_the_card_and_its_certificates() {
    with_card(Profile::full(), |jpki| {
        let info = jpki.read_token_info().unwrap();
        assert_eq!(info.token_type, TokenType::Card);
        assert_eq!(info.serial_number, "0000000020500003");
        let available = jpki.read_certificate_availability().unwrap();
        assert!(available.has_auth_certificate() && available.has_sign_certificate());
    });
    with_card(Profile::android(), |jpki| assert_eq!(jpki.read_token_type().unwrap(), TokenType::Android));
}

#[test]
fn it_counts_the_tries_that_are_left() {
    with_card(Profile::full(), |jpki| {
        assert_eq!(jpki.auth_pin_retries().unwrap(), Retries::Remaining(3));
        assert_eq!(jpki.sign_pin_retries().unwrap(), Retries::Remaining(5));
        let wrong = jpki.verify_auth_pin(&Pin::numeric("9999").unwrap()).unwrap_err();
        assert!(matches!(wrong, Error::PinIncorrect { retries: Some(2) }), "{wrong}");
        assert_eq!(jpki.auth_pin_retries().unwrap(), Retries::Remaining(2));
    });
    with_card(Profile::blocked_authentication(), |jpki| {
        assert_eq!(jpki.auth_pin_retries().unwrap(), Retries::Blocked);
        let blocked = jpki.verify_auth_pin(&Pin::numeric("1234").unwrap()).unwrap_err();
        assert!(matches!(blocked, Error::PinBlocked), "{blocked}");
    });
}

#[test]
fn it_reads_both_certificates_and_checks_them_against_their_cas() {
    with_card(Profile::full(), |jpki| {
        let auth = jpki.read_auth_certificate().unwrap();
        auth.verify_signature(&jpki.read_auth_ca_certificate().unwrap()).unwrap();
        assert!(jpki.read_sign_certificate().is_err(), "readable without its PIN");
        jpki.verify_sign_pin(&Pin::new("ABC123").unwrap()).unwrap();
        let sign = jpki.read_sign_certificate().unwrap();
        sign.verify_signature(&jpki.read_sign_ca_certificate().unwrap()).unwrap();
    });
}

#[test]
fn it_accepts_a_signature_by_each_scheme_and_key() {
    with_card(Profile::full(), |jpki| {
        jpki.verify_auth_pin(&Pin::numeric("1234").unwrap()).unwrap();
        jpki.verify_sign_pin(&Pin::new("ABC123").unwrap()).unwrap();
        for scheme in SCHEMES {
            let input = [0x5a; 32];
            jpki.sign_with_auth_key_checked(scheme, &input)
                .unwrap_or_else(|error| panic!("{scheme:?}: {error}"));
            jpki.sign_with_sign_key_checked(scheme, &input)
                .unwrap_or_else(|error| panic!("{scheme:?}: {error}"));
        }
    });
}

#[test]
fn it_copes_with_answers_in_pieces_and_exact_lengths() {
    let pieces = Profile { longest_piece: Some(100), ..Profile::full() };
    let exact = Profile { insists_on_exact_length: true, ..Profile::full() };
    for profile in [pieces, exact] {
        with_card(profile, |jpki| {
            jpki.read_token_info().unwrap();
            jpki.verify_auth_pin(&Pin::numeric("1234").unwrap()).unwrap();
            jpki.sign_with_auth_key_checked(SignatureScheme::PreHashedPss, &[1; 32]).unwrap();
        });
    }
}

#[test]
fn it_changes_a_pin() {
    with_card(Profile::full(), |jpki| {
        let (old, new) = (Pin::new("ABC123").unwrap(), Pin::new("XYZ7890").unwrap());
        jpki.change_sign_pin(&old, &new).unwrap();
        jpki.verify_sign_pin(&new).unwrap();
        assert!(jpki.verify_sign_pin(&old).is_err());
    });
}

#[test]
fn it_leaves_the_application_through_the_security_domain() {
    let model = VirtualCard::full();
    let mut card = Card::new(Link(model.clone()));
    JpkiAp::select(&mut card).unwrap().verify_auth_pin(&Pin::numeric("1234").unwrap()).unwrap();
    assert!(model.verified(Credential::Authentication));
    MasterFile::select(&mut card).unwrap();
    assert!(!model.verified(Credential::Authentication));
    assert_eq!(card.get_challenge(16).unwrap().len(), 16);
}
