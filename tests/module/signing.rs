//! Signing on the card, and verifying, hashing and random numbers beside it.

use crate::support::by_handle::ByHandle;
use crate::support::calls::rv;
use crate::support::fixture::{AUTH_PIN, Fixture, SIGN_PIN};
use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::error::Error;
use jpki_pkcs11::handle::{ObjectHandle, SessionHandle};
use jpki_pkcs11::token::mechanism::{MechanismRequest, Parameter};
use jpki_pkcs11::token::output::{BufferSize, Output};
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::{BigUint, Pss, RsaPublicKey};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use virtual_card::{Credential, Profile};

const DATA: &[u8] = b"data to be signed";
const LARGE: BufferSize = BufferSize::Bytes(4096);

/// The key that the signature's reader would take: modulus and exponent as the token shows them.
fn public_key(fixture: &Fixture, session: SessionHandle) -> RsaPublicKey {
    let key = fixture.the(session, ck::CKO_PUBLIC_KEY);
    let number = |kind| BigUint::from_bytes_be(&fixture.attribute(session, key, kind).expect("present"));
    RsaPublicKey::new(number(ck::CKA_MODULUS), number(ck::CKA_PUBLIC_EXPONENT)).expect("a key")
}

fn pss_parameter(hash: ck::CK_ULONG, mask: ck::CK_ULONG, salt: ck::CK_ULONG) -> Vec<u8> {
    [hash, mask, salt].map(ck::CK_ULONG::to_ne_bytes).concat()
}

fn sign_init_pss(
    fixture: &Fixture,
    session: SessionHandle,
    kind: ck::CK_MECHANISM_TYPE,
    key: ObjectHandle,
) -> Result<(), Error> {
    let parameter = pss_parameter(ck::CKM_SHA256, ck::CKG_MGF1_SHA256, 32);
    let request = MechanismRequest { kind, parameter: Parameter::Bytes(&parameter) };
    fixture.module().sign_init(session, Some(request), key)
}

fn request(kind: ck::CK_MECHANISM_TYPE) -> Option<MechanismRequest<'static>> {
    Some(MechanismRequest { kind, parameter: Parameter::None })
}

#[test]
fn every_hash_signs_with_both_keys_in_one_part_and_in_many() {
    for profile in [Profile::full(), Profile::conservative()] {
        for credential in Credential::ALL {
            let fixture = Fixture::with(profile.clone());
            let session = fixture.logged_in(credential);
            let key = public_key(&fixture, session);
            let cases: [(ck::CK_MECHANISM_TYPE, Pkcs1v15Sign, Vec<u8>); 5] = [
                (ck::CKM_SHA1_RSA_PKCS, Pkcs1v15Sign::new::<Sha1>(), Sha1::digest(DATA).to_vec()),
                (ck::CKM_SHA224_RSA_PKCS, Pkcs1v15Sign::new::<Sha224>(), Sha224::digest(DATA).to_vec()),
                (ck::CKM_SHA256_RSA_PKCS, Pkcs1v15Sign::new::<Sha256>(), Sha256::digest(DATA).to_vec()),
                (ck::CKM_SHA384_RSA_PKCS, Pkcs1v15Sign::new::<Sha384>(), Sha384::digest(DATA).to_vec()),
                (ck::CKM_SHA512_RSA_PKCS, Pkcs1v15Sign::new::<Sha512>(), Sha512::digest(DATA).to_vec()),
            ];
            for (mechanism, scheme, hash) in cases {
                let at_once = fixture.sign(session, mechanism, DATA).expect("a signature");
                key.verify(scheme, &hash, &at_once).expect("a right signature");
                fixture.sign_init(session, mechanism, fixture.key(session)).expect("logged in");
                DATA.chunks(5).for_each(|part| fixture.module().sign_update(session, part).expect("a part"));
                let in_parts = fixture.module().sign_final(session, LARGE);
                assert_eq!(in_parts, Ok(Output::Bytes(at_once)));
            }
        }
    }
}

#[test]
fn raw_pkcs1_signs_1_to_245_bytes_as_they_are() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    let key = public_key(&fixture, session);
    for length in [1, 20, 51, 245] {
        let data = vec![0x5a; length];
        let signature = fixture.sign(session, ck::CKM_RSA_PKCS, &data).expect("a signature");
        key.verify(Pkcs1v15Sign::new_unprefixed(), &data, &signature).expect("a right signature");
    }
    assert_eq!(rv(fixture.sign(session, ck::CKM_RSA_PKCS, &[0; 246])), ck::CKR_DATA_LEN_RANGE);
    assert_eq!(rv(fixture.sign(session, ck::CKM_RSA_PKCS, &[])), ck::CKR_DATA_LEN_RANGE);
    assert_eq!(fixture.card().signatures(), 4);
}

#[test]
fn pss_signs_with_both_keys_and_both_mechanisms() {
    for credential in Credential::ALL {
        let fixture = Fixture::new();
        let session = fixture.logged_in(credential);
        let hash = Sha256::digest(DATA);
        let key = public_key(&fixture, session);
        for (kind, data) in [(ck::CKM_RSA_PKCS_PSS, hash.as_slice()), (ck::CKM_SHA256_RSA_PKCS_PSS, DATA)] {
            sign_init_pss(&fixture, session, kind, fixture.key(session)).expect("offered");
            let signature = fixture.finish_sign(session, data).expect("a signature");
            key.verify(Pss::new_with_salt::<Sha256>(32), &hash, &signature).expect("a right signature");
        }
    }
}

#[test]
fn pss_wants_a_hash_of_32_bytes() {
    for length in [0, 20, 31, 33, 64] {
        let fixture = Fixture::new();
        let session = fixture.logged_in(Credential::Authentication);
        sign_init_pss(&fixture, session, ck::CKM_RSA_PKCS_PSS, fixture.key(session)).expect("offered");
        assert_eq!(rv(fixture.finish_sign(session, &vec![0; length])), ck::CKR_DATA_LEN_RANGE, "{length}");
    }
}

#[test]
fn mechanisms_are_those_of_the_card() {
    let pss = [ck::CKM_RSA_PKCS_PSS, ck::CKM_SHA256_RSA_PKCS_PSS];
    for (profile, offered) in [(Profile::full(), true), (Profile::conservative(), false)] {
        for credential in Credential::ALL {
            let fixture = Fixture::with(profile.clone());
            let slot = fixture.slot_of(credential);
            let list = fixture.module().mechanism_list(slot).expect("a token");
            assert!(list.contains(&ck::CKM_RSA_PKCS) && list.contains(&ck::CKM_SHA512_RSA_PKCS));
            assert!(!list.contains(&ck::CKM_RSA_X_509) && !list.contains(&ck::CKM_RSA_PKCS_OAEP));
            for mechanism in pss {
                assert_eq!(list.contains(&mechanism), offered);
                assert_eq!(fixture.module().mechanism_info(slot, mechanism).is_ok(), offered);
            }
            assert_eq!(fixture.card().verifies(credential), 0, "asked without a PIN");
            assert_eq!(fixture.card().signatures(), 0);
        }
    }
}

#[test]
fn pss_is_asked_for_once() {
    let fixture = Fixture::new();
    fixture.module().mechanism_list(fixture.auth_slot()).expect("a token");
    let mark = fixture.card().mark();
    fixture.module().mechanism_list(fixture.auth_slot()).expect("a token");
    fixture.module().mechanism_info(fixture.auth_slot(), ck::CKM_RSA_PKCS_PSS).expect("offered");
    assert_eq!(fixture.card().commands_since(mark), 0);
}

#[test]
fn keys_allow_the_mechanisms_of_the_card_as_soon_as_it_was_asked() {
    for (profile, offered) in [(Profile::full(), true), (Profile::conservative(), false)] {
        let fixture = Fixture::with(profile);
        let session = fixture.logged_in(Credential::Authentication);
        fixture.module().mechanism_list(fixture.auth_slot()).expect("mechanisms");
        let allowed = fixture.attribute(session, fixture.key(session), ck::CKA_ALLOWED_MECHANISMS);
        let allowed: Vec<u8> = allowed.expect("present");
        let has = |mechanism: ck::CK_MECHANISM_TYPE| {
            allowed.chunks(size_of::<ck::CK_MECHANISM_TYPE>()).any(|entry| entry == mechanism.to_ne_bytes())
        };
        assert!(has(ck::CKM_RSA_PKCS) && has(ck::CKM_SHA512_RSA_PKCS));
        assert_eq!(has(ck::CKM_RSA_PKCS_PSS), offered);
    }
}

#[test]
fn a_card_without_pss_refuses_it_at_the_beginning() {
    let fixture = Fixture::with(Profile::conservative());
    let session = fixture.logged_in(Credential::Authentication);
    let key = fixture.key(session);
    for kind in [ck::CKM_RSA_PKCS_PSS, ck::CKM_SHA256_RSA_PKCS_PSS] {
        assert_eq!(rv(sign_init_pss(&fixture, session, kind, key)), ck::CKR_MECHANISM_INVALID);
    }
}

#[test]
fn the_configuration_overrides_what_the_card_says_of_pss() {
    let fixture = Fixture::builder().config(Config::parse("pss = \"off\"")).build();
    let list = fixture.module().mechanism_list(fixture.auth_slot()).expect("a token");
    assert!(!list.contains(&ck::CKM_RSA_PKCS_PSS));
    assert_eq!(
        fixture.card().ledger().commands().filter(|command| command.instruction() == Some(0x2a)).count(),
        0
    );
    let fixture =
        Fixture::builder().profile(Profile::conservative()).config(Config::parse("pss = \"on\"")).build();
    let list = fixture.module().mechanism_list(fixture.auth_slot()).expect("a token");
    assert!(list.contains(&ck::CKM_RSA_PKCS_PSS));
}

#[test]
fn key_size_and_flags_of_mechanisms_are_told() {
    let fixture = Fixture::new();
    let info = fixture.module().mechanism_info(fixture.auth_slot(), ck::CKM_RSA_PKCS).expect("offered");
    assert_eq!((info.ulMinKeySize, info.ulMaxKeySize), (2048, 2048));
    assert_eq!(info.flags, ck::CKF_HW | ck::CKF_SIGN | ck::CKF_VERIFY);
    let info = fixture.module().mechanism_info(fixture.auth_slot(), ck::CKM_SHA256).expect("offered");
    assert_eq!(info.flags, ck::CKF_DIGEST);
    let unknown = fixture.module().mechanism_info(fixture.auth_slot(), ck::CKM_AES_CBC).map(|_| ());
    assert_eq!(rv(unknown), ck::CKR_MECHANISM_INVALID);
}

#[test]
fn a_size_query_and_a_short_buffer_keep_the_operation_and_spare_the_card() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, fixture.key(session)).expect("logged in");
    let mark = fixture.card().mark();
    assert_eq!(fixture.module().sign(session, DATA, BufferSize::Query), Ok(Output::Length(256)));
    assert_eq!(fixture.module().sign(session, DATA, BufferSize::Bytes(255)), Ok(Output::TooSmall(256)));
    assert_eq!(fixture.card().commands_since(mark), 0);
    fixture.finish_sign(session, DATA).expect("a signature");
    assert_eq!(fixture.card().signatures(), 1);
    assert_eq!(rv(fixture.finish_sign(session, DATA)), ck::CKR_OPERATION_NOT_INITIALIZED);
}

#[test]
fn the_size_rule_holds_for_the_final_of_many_parts() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, fixture.key(session)).expect("logged in");
    fixture.module().sign_update(session, DATA).expect("a part");
    assert_eq!(fixture.module().sign_final(session, BufferSize::Query), Ok(Output::Length(256)));
    assert_eq!(fixture.module().sign_final(session, BufferSize::Bytes(0)), Ok(Output::TooSmall(256)));
    assert!(matches!(fixture.module().sign_final(session, LARGE), Ok(Output::Bytes(_))));
    assert_eq!(fixture.card().signatures(), 1);
}

#[test]
fn a_second_beginning_and_a_missing_one_are_told_apart() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    let key = fixture.key(session);
    assert_eq!(rv(fixture.finish_sign(session, DATA)), ck::CKR_OPERATION_NOT_INITIALIZED);
    assert_eq!(rv(fixture.module().sign_update(session, DATA)), ck::CKR_OPERATION_NOT_INITIALIZED);
    assert_eq!(rv(fixture.module().sign_final(session, LARGE)), ck::CKR_OPERATION_NOT_INITIALIZED);
    fixture.sign_init(session, ck::CKM_RSA_PKCS, key).expect("logged in");
    assert_eq!(rv(fixture.sign_init(session, ck::CKM_RSA_PKCS, key)), ck::CKR_OPERATION_ACTIVE);
    assert_eq!(rv(fixture.module().sign_init(session, None, key)), ck::CKR_OK);
    assert_eq!(rv(fixture.module().sign_init(session, None, key)), ck::CKR_OK);
    fixture.sign_init(session, ck::CKM_RSA_PKCS, key).expect("logged in");
    fixture.module().session_cancel(session, ck::CKF_SIGN | ck::CKF_DECRYPT).expect("a session");
    assert_eq!(rv(fixture.finish_sign(session, DATA)), ck::CKR_OPERATION_NOT_INITIALIZED);
}

#[test]
fn a_single_part_after_many_is_refused_and_ends_the_operation() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, fixture.key(session)).expect("logged in");
    fixture.module().sign_update(session, DATA).expect("a part");
    assert_eq!(rv(fixture.finish_sign(session, DATA)), ck::CKR_OPERATION_ACTIVE);
    assert_eq!(rv(fixture.module().sign_final(session, LARGE)), ck::CKR_OPERATION_NOT_INITIALIZED);
}

#[test]
fn data_whose_result_was_asked_for_in_one_piece_does_not_end_as_empty_parts() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    for short in [BufferSize::Query, BufferSize::Bytes(31)] {
        fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, fixture.key(session)).expect("logged in");
        assert!(!matches!(fixture.module().sign(session, DATA, short), Ok(Output::Bytes(_))));
        assert_eq!(rv(fixture.module().sign_final(session, LARGE)), ck::CKR_OPERATION_ACTIVE);
        assert_eq!(rv(fixture.finish_sign(session, DATA)), ck::CKR_OPERATION_NOT_INITIALIZED);
        let sha256 = MechanismRequest { kind: ck::CKM_SHA256, parameter: Parameter::None };
        fixture.module().digest_init(session, Some(sha256)).expect("a mechanism");
        assert!(!matches!(fixture.module().digest(session, DATA, short), Ok(Output::Bytes(_))));
        assert_eq!(rv(fixture.module().digest_final(session, LARGE)), ck::CKR_OPERATION_ACTIVE);
    }
    // Parts may follow the question, and there may be none without it.
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, fixture.key(session)).expect("logged in");
    fixture.module().sign(session, DATA, BufferSize::Query).expect("a length");
    fixture.module().sign_update(session, DATA).expect("a part");
    fixture.module().sign_final(session, BufferSize::Query).expect("a length");
    assert_eq!(rv(fixture.module().sign_final(session, LARGE)), ck::CKR_OK);
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, fixture.key(session)).expect("logged in");
    assert_eq!(rv(fixture.module().sign_final(session, LARGE)), ck::CKR_OK);
}

#[test]
fn only_the_private_key_of_a_logged_in_user_signs() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    let key = fixture.key(session);
    let public = fixture.the(session, ck::CKO_PUBLIC_KEY);
    let certificate = fixture.find(session, ck::CKO_CERTIFICATE)[0];
    let init = |key| rv(fixture.sign_init(session, ck::CKM_RSA_PKCS, key));
    assert_eq!(init(public), ck::CKR_KEY_FUNCTION_NOT_PERMITTED);
    for wrong in [certificate, ObjectHandle::new(0), ObjectHandle::new(u64::MAX)] {
        assert_eq!(init(wrong), ck::CKR_KEY_HANDLE_INVALID);
    }
    fixture.module().logout(session).expect("logged in");
    assert_eq!(init(key), ck::CKR_USER_NOT_LOGGED_IN);
    fixture.login(session, AUTH_PIN).expect("the right PIN");
    assert_eq!(init(key), ck::CKR_OK, "handles are stable");
}

#[test]
fn a_key_of_the_other_slot_is_no_key_here() {
    let fixture = Fixture::new();
    let (auth, sign) =
        (fixture.logged_in(Credential::Authentication), fixture.logged_in(Credential::Signature));
    let foreign = fixture.key(sign);
    assert_eq!(rv(fixture.sign_init(auth, ck::CKM_RSA_PKCS, foreign)), ck::CKR_KEY_HANDLE_INVALID);
}

#[test]
fn a_logout_between_the_beginning_and_the_signature_prevents_it() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Signature);
    fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, fixture.key(session)).expect("logged in");
    fixture.module().logout(session).expect("logged in");
    assert_eq!(rv(fixture.finish_sign(session, DATA)), ck::CKR_USER_NOT_LOGGED_IN);
    assert_eq!(fixture.card().signatures(), 0);
}

#[test]
fn the_card_is_not_left_verified_after_any_operation() {
    for profile in [Profile::full(), Profile::conservative()] {
        for (credential, pin) in [(Credential::Authentication, AUTH_PIN), (Credential::Signature, SIGN_PIN)] {
            let fixture = Fixture::with(profile.clone());
            let session = fixture.open_rw(fixture.slot_of(credential));
            let not_verified = |what| assert!(!fixture.card().verified(credential), "{what}");
            fixture.login(session, pin).expect("the right PIN");
            not_verified("login");
            fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, DATA).expect("a signature");
            not_verified("signature");
            fixture.find_by(session, &[]).expect("a search");
            not_verified("search");
            fixture.set_pin(session, pin, pin).expect("a change");
            not_verified("change of the PIN");
        }
    }
}

#[test]
fn data_without_end_takes_no_memory() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    fixture.sign_init(session, ck::CKM_RSA_PKCS, fixture.key(session)).expect("logged in");
    fixture.module().sign_update(session, &[0; 200]).expect("a part");
    assert_eq!(rv(fixture.module().sign_update(session, &[0; 46])), ck::CKR_DATA_LEN_RANGE);
    assert_eq!(rv(fixture.module().sign_final(session, LARGE)), ck::CKR_OPERATION_NOT_INITIALIZED);
}

#[test]
fn signatures_are_verified_in_software() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    let key = fixture.the(session, ck::CKO_PUBLIC_KEY);
    let signature = fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, DATA).expect("a signature");
    let mark = fixture.card().mark();
    let verify = |data: &[u8], signature: &[u8]| {
        fixture.module().verify_init(session, request(ck::CKM_SHA256_RSA_PKCS), key).expect("a key");
        rv(fixture.module().verify(session, data, signature))
    };
    assert_eq!(verify(DATA, &signature), ck::CKR_OK);
    assert_eq!(verify(b"other data", &signature), ck::CKR_SIGNATURE_INVALID);
    assert_eq!(verify(DATA, &signature[1..]), ck::CKR_SIGNATURE_LEN_RANGE);
    fixture.module().verify_init(session, request(ck::CKM_SHA256_RSA_PKCS), key).expect("a key");
    DATA.chunks(3).for_each(|part| fixture.module().verify_update(session, part).expect("a part"));
    assert_eq!(rv(fixture.module().verify_final(session, &signature)), ck::CKR_OK);
    assert_eq!(fixture.card().commands_since(mark), 0);
    let private = fixture.key(session);
    let init = fixture.module().verify_init(session, request(ck::CKM_SHA256_RSA_PKCS), private);
    assert_eq!(rv(init), ck::CKR_KEY_FUNCTION_NOT_PERMITTED);
}

#[test]
fn hashes_are_computed_in_software() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    let cases = [
        (ck::CKM_SHA_1, Sha1::digest(DATA).to_vec()),
        (ck::CKM_SHA224, Sha224::digest(DATA).to_vec()),
        (ck::CKM_SHA256, Sha256::digest(DATA).to_vec()),
        (ck::CKM_SHA384, Sha384::digest(DATA).to_vec()),
        (ck::CKM_SHA512, Sha512::digest(DATA).to_vec()),
    ];
    for (kind, hash) in cases {
        fixture.module().digest_init(session, request(kind)).expect("offered");
        assert_eq!(fixture.module().digest(session, DATA, BufferSize::Query), Ok(Output::Length(hash.len())));
        assert_eq!(
            fixture.module().digest(session, DATA, BufferSize::Bytes(1)),
            Ok(Output::TooSmall(hash.len()))
        );
        assert_eq!(fixture.module().digest(session, DATA, LARGE), Ok(Output::Bytes(hash.clone())));
        fixture.module().digest_init(session, request(kind)).expect("offered");
        DATA.chunks(3).for_each(|part| fixture.module().digest_update(session, part).expect("a part"));
        assert_eq!(fixture.module().digest_final(session, LARGE), Ok(Output::Bytes(hash)));
    }
}
