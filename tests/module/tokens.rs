//! Slots, tokens and objects, as clients look at them.

mod slots;

use crate::support::by_handle::ByHandle;
use crate::support::fixture::{AUTH_PIN, Fixture, SIGN_PIN};
use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::handle::SessionHandle;
use jpki_pkcs11::token::attribute::{AttributeAnswer, AttributeQuery};
use jpki_pkcs11::token::output::BufferSize;
use jpki_pkcs11::token::template::TemplateEntry;
use virtual_card::{Credential, Identity};

fn text(field: &[u8]) -> &str {
    std::str::from_utf8(field).expect("UTF-8").trim_end_matches(' ')
}

fn labels(fixture: &Fixture, session: SessionHandle) -> Vec<String> {
    let mut labels = Vec::new();
    for object in fixture.find_by(session, &[]).expect("a search") {
        if let Ok(label) = fixture.attribute(session, object, ck::CKA_LABEL) {
            labels.push(String::from_utf8(label).expect("UTF-8"));
        }
    }
    labels
}

#[test]
fn token_information_is_that_of_the_two_pins() {
    let fixture = Fixture::new();
    let auth = fixture.module().token_info(fixture.auth_slot()).expect("a token");
    assert_eq!((auth.ulMinPinLen, auth.ulMaxPinLen), (4, 4));
    let sign = fixture.module().token_info(fixture.sign_slot()).expect("a token");
    assert_eq!((sign.ulMinPinLen, sign.ulMaxPinLen), (6, 16));
    let flags = ck::CKF_LOGIN_REQUIRED | ck::CKF_USER_PIN_INITIALIZED | ck::CKF_TOKEN_INITIALIZED;
    assert_eq!((auth.flags, sign.flags), (flags, flags));
    assert_eq!(auth.utcTime, [b' '; 16]);
}

#[test]
fn the_serial_number_differs_between_cards_and_is_the_same_for_both_slots() {
    let serial = |identity: Identity| {
        let fixture = Fixture::builder().identity(identity).build();
        let auth = fixture.module().token_info(fixture.auth_slot()).expect("a token").serialNumber;
        let sign = fixture.module().token_info(fixture.sign_slot()).expect("a token").serialNumber;
        assert_eq!(auth, sign);
        // The command says the same, to be copied into a URI.
        let readers = fixture.module().readers().expect("a service");
        let told = fixture.module().survey(&readers[0]).expect("a card").serial_number.to_string();
        assert_eq!(told.as_bytes(), auth);
        auth
    };
    let first = serial(Identity::shared());
    assert_eq!(first, serial(Identity::shared()));
    assert_ne!(first, serial(Identity::from_seed(7)));
    assert!(first.iter().all(u8::is_ascii_hexdigit));
}

#[test]
fn session_counts_are_told() {
    let fixture = Fixture::new();
    fixture.open(fixture.auth_slot());
    fixture.open_rw(fixture.auth_slot());
    fixture.open(fixture.sign_slot());
    let info = fixture.module().token_info(fixture.auth_slot()).expect("a token");
    assert_eq!((info.ulSessionCount, info.ulRwSessionCount), (2, 1));
}

fn with_ca_certificates() -> Fixture {
    Fixture::builder().config(Config::parse("ca_certificates = true")).build()
}

#[test]
fn the_authentication_slot_shows_all_but_the_private_key_before_login() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    // No CA's: ssh and sssd take each certificate here for one of the user's.
    let public = ["User Authentication Certificate", "User Authentication Public Key"];
    assert_eq!(labels(&fixture, session), public);
    fixture.login(session, AUTH_PIN).expect("the right PIN");
    assert_eq!(labels(&fixture, session), [&public[..], &["User Authentication Key"]].concat());
}

#[test]
fn the_signature_slot_shows_nothing_before_login() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.sign_slot());
    assert_eq!(labels(&fixture, session), Vec::<String>::new());
    fixture.login(session, SIGN_PIN).expect("the right PIN");
    let all = [
        "Digital Signature Certificate",
        "Digital Signature Certificate CA",
        "Digital Signature Public Key",
        "Digital Signature Key",
    ];
    assert_eq!(labels(&fixture, session), all);
    fixture.module().logout(session).expect("logged in");
    assert_eq!(labels(&fixture, session), Vec::<String>::new());
}

#[test]
fn with_ca_certificates_both_slots_show_them_before_login() {
    let fixture = with_ca_certificates();
    let certificates = |slot| {
        let session = fixture.open(slot);
        fixture.find(session, ck::CKO_CERTIFICATE).len()
    };
    assert_eq!((certificates(fixture.auth_slot()), certificates(fixture.sign_slot())), (2, 1));
}

#[test]
fn ids_are_those_that_opensc_users_know_and_the_cas_have_their_own() {
    for (credential, id, ca_id) in [(Credential::Authentication, 1, 3), (Credential::Signature, 2, 4)] {
        let fixture = with_ca_certificates();
        let session = fixture.logged_in(credential);
        let ids: Vec<Vec<u8>> = fixture
            .find_by(session, &[])
            .expect("a search")
            .into_iter()
            .filter_map(|object| fixture.attribute(session, object, ck::CKA_ID).ok())
            .collect();
        assert_eq!(ids, [vec![id], vec![ca_id], vec![id], vec![id]]);
    }
}

#[test]
fn a_logout_takes_private_objects_out_of_a_search() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Signature);
    fixture.module().find_objects_init(session, &[]).expect("a search");
    fixture.module().logout(session).expect("logged in");
    for object in fixture.module().find_objects(session, 64).expect("a search") {
        assert_eq!(fixture.attribute(session, object, ck::CKA_PRIVATE), Ok(vec![0]));
    }
}

#[test]
fn every_object_has_the_attributes_that_clients_read() {
    let common = [
        ck::CKA_CLASS,
        ck::CKA_TOKEN,
        ck::CKA_PRIVATE,
        ck::CKA_MODIFIABLE,
        ck::CKA_COPYABLE,
        ck::CKA_DESTROYABLE,
        ck::CKA_LABEL,
        ck::CKA_ID,
        ck::CKA_UNIQUE_ID,
        ck::CKA_SUBJECT,
        ck::CKA_START_DATE,
        ck::CKA_END_DATE,
        ck::CKA_PUBLIC_KEY_INFO,
    ];
    let certificate = [
        ck::CKA_CERTIFICATE_TYPE,
        ck::CKA_ISSUER,
        ck::CKA_SERIAL_NUMBER,
        ck::CKA_VALUE,
        ck::CKA_CERTIFICATE_CATEGORY,
        ck::CKA_TRUSTED,
        ck::CKA_CHECK_VALUE,
    ];
    let key = [
        ck::CKA_KEY_TYPE,
        ck::CKA_MODULUS,
        ck::CKA_MODULUS_BITS,
        ck::CKA_PUBLIC_EXPONENT,
        ck::CKA_LOCAL,
        ck::CKA_DERIVE,
        ck::CKA_ALLOWED_MECHANISMS,
        ck::CKA_KEY_GEN_MECHANISM,
    ];
    let public = [
        ck::CKA_ENCRYPT,
        ck::CKA_ENCAPSULATE,
        ck::CKA_VERIFY,
        ck::CKA_VERIFY_RECOVER,
        ck::CKA_WRAP,
        ck::CKA_TRUSTED,
    ];
    let private = [
        ck::CKA_DECRYPT,
        ck::CKA_DECAPSULATE,
        ck::CKA_SIGN,
        ck::CKA_SIGN_RECOVER,
        ck::CKA_UNWRAP,
        ck::CKA_SENSITIVE,
        ck::CKA_ALWAYS_SENSITIVE,
        ck::CKA_EXTRACTABLE,
        ck::CKA_NEVER_EXTRACTABLE,
        ck::CKA_WRAP_WITH_TRUSTED,
        ck::CKA_ALWAYS_AUTHENTICATE,
    ];
    for credential in Credential::ALL {
        let fixture = Fixture::new();
        let session = fixture.logged_in(credential);
        let expect = |class, kinds: &[ck::CK_ATTRIBUTE_TYPE]| {
            for object in fixture.find(session, class) {
                for &kind in common.iter().chain(kinds) {
                    assert!(
                        fixture.attribute(session, object, kind).is_ok(),
                        "class {class}, attribute {kind:#x}"
                    );
                }
            }
        };
        expect(ck::CKO_CERTIFICATE, &certificate);
        expect(ck::CKO_PUBLIC_KEY, &[&key[..], &public].concat());
        expect(ck::CKO_PRIVATE_KEY, &[&key[..], &private].concat());
    }
}

#[test]
fn key_attributes_are_those_of_a_key_that_only_signs() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    let key = fixture.key(session);
    let flag = |kind| fixture.attribute(session, key, kind).expect("present") == [1];
    assert!(flag(ck::CKA_SIGN) && flag(ck::CKA_SENSITIVE) && flag(ck::CKA_PRIVATE) && flag(ck::CKA_TOKEN));
    assert!(!flag(ck::CKA_DECRYPT) && !flag(ck::CKA_EXTRACTABLE) && !flag(ck::CKA_ALWAYS_AUTHENTICATE));
    assert_eq!(fixture.attribute(session, key, ck::CKA_MODULUS).expect("present").len(), 256);
    assert_eq!(fixture.attribute(session, key, ck::CKA_PUBLIC_EXPONENT), Ok(vec![1, 0, 1]));
    let bits: ck::CK_ULONG = 2048;
    assert_eq!(fixture.attribute(session, key, ck::CKA_MODULUS_BITS), Ok(bits.to_ne_bytes().to_vec()));
}

#[test]
fn secret_parts_of_the_key_are_sensitive_and_the_template_is_read_to_its_end() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    let kinds = [ck::CKA_PRIVATE_EXPONENT, ck::CKA_PRIME_1, ck::CKA_VALUE, ck::CKA_ID];
    let queries = kinds.map(|kind| AttributeQuery { kind, buffer: BufferSize::Bytes(1) });
    let answers = fixture.module().attributes(session, fixture.key(session), &queries).expect("a key");
    assert_eq!(
        answers.answers,
        [
            AttributeAnswer::Unavailable,
            AttributeAnswer::Unavailable,
            AttributeAnswer::Unavailable,
            AttributeAnswer::Value(vec![1].into())
        ]
    );
    assert_eq!(answers.result.map_err(|error| error.return_value()), Err(ck::CKR_ATTRIBUTE_SENSITIVE));
}

#[test]
fn certificates_are_found_by_what_clients_search_for() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    let certificate = fixture.find(session, ck::CKO_CERTIFICATE)[0];
    let value = |kind| fixture.attribute(session, certificate, kind).expect("present");
    let class = ck::CKO_CERTIFICATE.to_ne_bytes();
    let class = TemplateEntry { kind: ck::CKA_CLASS, value: &class };
    for kinds in [
        &[ck::CKA_SUBJECT][..],
        &[ck::CKA_ISSUER, ck::CKA_SERIAL_NUMBER],
        &[ck::CKA_VALUE],
        &[ck::CKA_ID],
        &[ck::CKA_LABEL],
        &[ck::CKA_TOKEN, ck::CKA_CERTIFICATE_TYPE, ck::CKA_LABEL],
    ] {
        let values: Vec<_> = kinds.iter().map(|&kind| (kind, value(kind))).collect();
        let mut template: Vec<_> =
            values.iter().map(|(kind, value)| TemplateEntry { kind: *kind, value }).collect();
        template.push(class);
        assert_eq!(fixture.find_by(session, &template), Ok(vec![certificate]), "{kinds:x?}");
    }
}

#[test]
fn what_no_object_has_is_no_match_and_no_error() {
    let fixture = Fixture::new();
    let session = fixture.open(fixture.auth_slot());
    let classes = [ck::CKO_DATA, ck::CKO_SECRET_KEY, 0xce53_4351, ck::CK_ULONG::MAX];
    for class in classes {
        assert_eq!(fixture.find(session, class), [], "{class:#x}");
    }
    let odd = TemplateEntry { kind: 0x8000_1234, value: b"x" };
    assert_eq!(fixture.find_by(session, &[odd]), Ok(Vec::new()));
    let wrong_size = TemplateEntry { kind: ck::CKA_CLASS, value: &[1] };
    assert_eq!(fixture.find_by(session, &[wrong_size]), Ok(Vec::new()));
}

#[test]
fn the_ca_certificate_is_that_of_the_own_slot() {
    for credential in Credential::ALL {
        let fixture = with_ca_certificates();
        let session = fixture.logged_in(credential);
        let [user, ca] = fixture.find(session, ck::CKO_CERTIFICATE)[..] else { panic!("two certificates") };
        let issuer = fixture.attribute(session, user, ck::CKA_ISSUER).expect("present");
        assert_eq!(fixture.attribute(session, ca, ck::CKA_SUBJECT), Ok(issuer));
        let category =
            |object| fixture.attribute(session, object, ck::CKA_CERTIFICATE_CATEGORY).expect("present");
        assert_eq!(category(user), ck::CK_ULONG::from(1_u8).to_ne_bytes());
        assert_eq!(category(ca), ck::CK_ULONG::from(2_u8).to_ne_bytes());
    }
}

#[test]
fn profiles_tell_that_authentication_needs_no_pin_to_find_its_certificate() {
    let profiles = |slot: fn(&Fixture) -> jpki_pkcs11::handle::SlotId| {
        let fixture = Fixture::new();
        let session = fixture.open(slot(&fixture));
        let profiles = fixture.find(session, ck::CKO_PROFILE);
        let ids = profiles.into_iter().map(|object| fixture.attribute(session, object, ck::CKA_PROFILE_ID));
        ids.map(|id| id.expect("present")[0]).collect::<Vec<u8>>()
    };
    assert_eq!(profiles(Fixture::auth_slot), [1, 3, 4]);
    assert_eq!(profiles(Fixture::sign_slot), [1, 3]);
}

#[test]
fn unique_ids_are_unique() {
    let mut ids = Vec::new();
    for identity in [Identity::shared(), Identity::from_seed(7)] {
        let fixture = Fixture::builder().identity(identity).build();
        for credential in Credential::ALL {
            let session = fixture.logged_in(credential);
            for object in fixture.find_by(session, &[]).expect("a search") {
                ids.push(fixture.attribute(session, object, ck::CKA_UNIQUE_ID).expect("present"));
            }
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn without_ca_certificates_the_slot_before_login_shows_what_ssh_should_see() {
    let fixture = Fixture::builder().config(Config::parse("ca_certificates = false")).build();
    let session = fixture.open(fixture.auth_slot());
    assert_eq!(
        labels(&fixture, session),
        ["User Authentication Certificate", "User Authentication Public Key"]
    );
    assert_eq!(labels(&fixture, fixture.open(fixture.sign_slot())), Vec::<String>::new());
}
