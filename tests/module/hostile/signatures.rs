//! Answers to the sign command that are no signature of the right key over the right data.

use super::SIGN;
use crate::support::calls::{Call, rv};
use crate::support::logged::{count, logged};
use cryptoki_sys as ck;
use rsa::Pkcs1v15Sign;
use sha2::{Digest, Sha256};
use virtual_card::{Credential, Fault as CardFault, Identity, Profile};

/// Makes a signature with a card that sends something else.
fn forged(credential: Credential, forge: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) {
    let ready = Call::Sign(credential).ready(&Profile::full());
    ready.fixture.card().inject(CardFault::on_instruction(SIGN).edit(forge));
    assert_eq!(rv(ready.make()), ck::CKR_DEVICE_ERROR);
    assert_eq!(rv(ready.make()), ck::CKR_OPERATION_NOT_INITIALIZED, "the operation has ended");
    assert!(ready.is_logged_in());
    assert_eq!(ready.fixture.card().signatures(), 1, "none is made twice");
    ready.assert_session_works();
}

#[test]
fn a_signature_of_another_length_is_a_device_error() {
    for credential in Credential::ALL {
        for length in [0, 1, 128, 255, 257, 512, 4096] {
            forged(credential, move |answer| {
                let mut forged = answer[..answer.len().min(length + 2) - 2].to_vec();
                forged.resize(length, 0x00);
                [&forged[..], &[0x90, 0x00]].concat()
            });
        }
        // The right signature with zeros before it is the same number and still no signature.
        forged(credential, |answer| [&[0x00], &answer[..]].concat());
    }
}

#[test]
fn bytes_that_are_no_signature_are_a_device_error() {
    for credential in Credential::ALL {
        for byte in [0x00, 0x01, 0x5a, 0xff] {
            forged(credential, move |_| [&[byte; 256][..], &[0x90, 0x00]].concat());
        }
        forged(credential, |answer| answer.iter().rev().skip(2).chain(&[0x90, 0x00]).copied().collect());
        for bit in [0, 1024, 2047] {
            forged(credential, move |mut answer| {
                answer[bit / 8] ^= 1 << (bit % 8);
                answer
            });
        }
    }
}

#[test]
fn a_signature_over_other_data_is_a_device_error() {
    for credential in Credential::ALL {
        let key = Identity::shared().private_key(credential).clone();
        let other = key.sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(b"an order for more")).unwrap();
        forged(credential, move |_| [&other[..], &[0x90, 0x00]].concat());
    }
}

#[test]
fn a_signature_by_another_key_is_a_device_error_and_the_log_says_so() {
    let others = [
        Identity::shared().private_key(Credential::Signature).clone(),
        Identity::from_seed(1).private_key(Credential::Authentication).clone(),
    ];
    for key in others {
        let wrong = key.sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(b"data to be signed")).unwrap();
        let lines = logged(|| {
            forged(Credential::Authentication, move |_| [&wrong[..], &[0x90, 0x00]].concat());
        });
        assert_eq!(count(&lines, "ERROR", "no signature of the key"), 1, "{lines:?}");
    }
}
