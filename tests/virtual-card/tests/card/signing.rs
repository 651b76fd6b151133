//! The sign command, status word by status word; what it computes is for `myna_card` to judge.

use rsa::sha2::{Digest, Sha256};
use rsa::{Pkcs1v15Sign, Pss};
use virtual_card::Credential::{self, Authentication, Signature};
use virtual_card::{Identity, Profile};

use crate::apdus::*;

#[test]
fn a_signature_is_256_bytes_under_the_named_key() {
    for credential in Credential::ALL {
        let card = verified(credential);
        let (signature, status) = sign(&card, 0, credential, b"as given");
        assert_eq!((signature.len(), status), (256, 0x9000));
        let key = Identity::shared().public_key(credential);
        key.verify(Pkcs1v15Sign::new_unprefixed(), b"as given", &signature).unwrap();
    }
}

#[test]
fn pss_has_a_salt_of_32_bytes() {
    let card = verified(Authentication);
    let key = Identity::shared().public_key(Authentication);
    let hash = Sha256::digest(b"message");
    for (p1, input) in [(4, &hash[..]), (5, b"message")] {
        let (signature, _) = sign(&card, p1, Authentication, input);
        key.verify(Pss::new_with_salt::<Sha256>(32), &hash, &signature).unwrap();
    }
}

#[test]
fn the_current_file_names_the_key_with_p2_80() {
    let card = verified(Authentication);
    let command = [0x80, 0x2a, 0, 0x80, 1, 7, 0];
    assert_eq!(status(&card, &command), 0x6981);
    select_file(&card, 0x17);
    assert_eq!(status(&card, &command), 0x9000);
    select_file(&card, 0x1a);
    assert_eq!(status(&card, &command), 0x6982);
    assert_eq!(status(&card, SELECT_JPKI), 0x9000);
    assert_eq!(status(&card, &command), 0x6986);
}

#[test]
fn an_unknown_p1_is_told_before_the_missing_pin() {
    let card = selected(Profile::full());
    assert_eq!(sign(&card, 6, Authentication, &[1]).1, 0x6a86);
    assert_eq!(sign(&card, 0, Authentication, &[1]).1, 0x6982);
    let conservative = selected(Profile::conservative());
    select_file(&conservative, 0x17);
    assert_eq!(status(&conservative, &[0x80, 0x2a, 2, 0x80, 1, 7, 0]), 0x6a86);
    assert_eq!(status(&conservative, &[0x80, 0x2a, 0, 0x80, 1, 7, 0]), 0x6982);
    assert_eq!(status(&conservative, &[0x80, 0x2a, 0, 0x97, 1, 7, 0]), 0x6a86);
}

#[test]
fn input_of_a_wrong_length_is_refused() {
    let card = verified(Authentication);
    for (p1, length) in [(0, 246), (2, 31), (2, 33), (4, 31)] {
        assert_eq!(sign(&card, p1, Authentication, &vec![1; length]).1, 0x6700, "{p1} {length}");
    }
    assert_eq!(sign(&card, 0, Authentication, &[1; 245]).1, 0x9000);
    assert_eq!(status(&card, &[0x80, 0x2a, 0, 0x97, 0]), 0x6700);
    assert_eq!(status(&card, &[0x80, 0x2a, 0, 0x97, 1, 7]), 0x6700);

    let other = selected(Profile { wrong_input_status: 0x6985, ..Profile::full() });
    verify(&other, Authentication, "1234");
    assert_eq!(sign(&other, 4, Authentication, &[1; 20]).1, 0x6985);
}

#[test]
fn a_long_message_comes_in_an_extended_command() {
    let card = verified(Signature);
    let message = [7; 1000];
    let command = [&[0x80, 0x2a, 3, 0x9a, 0, 0x03, 0xe8][..], &message, &[0, 0]].concat();
    let (signature, status) = answer(&card, &command);
    assert_eq!(status, 0x9000);
    let key = Identity::shared().public_key(Signature);
    key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message), &signature).unwrap();
}

#[test]
fn one_verify_serves_many_signatures() {
    let card = verified(Authentication);
    for _ in 0..5 {
        assert_eq!(sign(&card, 2, Authentication, &[3; 32]).1, 0x9000);
    }
    assert_eq!((card.signatures(), card.verifies(Authentication)), (5, 1));
}

#[test]
fn other_values_of_p1_may_be_refused_before_or_after_the_pin_is_looked_at() {
    for refusal in [0x6a86, 0x6a80, 0x6985, 0x6b00] {
        for pin_before_scheme in [false, true] {
            let card = selected(Profile {
                sign_schemes: vec![0],
                scheme_refusal: refusal,
                pin_before_scheme,
                ..Profile::full()
            });
            let expected = if pin_before_scheme { 0x6982 } else { refusal };
            assert_eq!(sign(&card, 4, Authentication, &[1; 32]).1, expected);
            verify(&card, Authentication, "1234");
            assert_eq!(sign(&card, 4, Authentication, &[1; 32]), (vec![], refusal));
            assert_eq!(sign(&card, 0, Authentication, &[1; 32]).1, 0x9000);
        }
    }
}

#[test]
fn a_chip_that_ignores_p1_signs_the_bytes_as_given() {
    let card = selected(Profile { ignores_scheme: true, ..Profile::full() });
    verify(&card, Authentication, "1234");
    let key = Identity::shared().public_key(Authentication);
    for p1 in [0, 2, 4, 0x7f] {
        let (signature, _) = sign(&card, p1, Authentication, &[3; 32]);
        key.verify(Pkcs1v15Sign::new_unprefixed(), &[3; 32], &signature).unwrap();
        assert_eq!(sign(&card, p1, Authentication, &[3; 246]), (vec![], 0x6700));
    }
    assert_eq!(card.signatures(), 4);
}

#[test]
fn a_signature_may_have_to_be_fetched() {
    for longest_piece in [None, Some(200)] {
        let profile = Profile { signature_waits: true, longest_piece, ..Profile::full() };
        let card = selected(profile);
        verify(&card, Authentication, "1234");
        assert_eq!(sign(&card, 0, Authentication, &[1]), (vec![], 0x6100));
        let (mut signature, mut status) = answer(&card, &[0, 0xc0, 0, 0, 0]);
        if longest_piece.is_some() {
            assert_eq!((signature.len(), status), (200, 0x6138));
            let rest = answer(&card, &[0, 0xc0, 0, 0, 0x38]);
            signature.extend(rest.0);
            status = rest.1;
        }
        assert_eq!((signature.len(), status), (256, 0x9000));
        let key = Identity::shared().public_key(Authentication);
        key.verify(Pkcs1v15Sign::new_unprefixed(), &[1], &signature).unwrap();
    }
}
