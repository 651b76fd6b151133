//! Certificates that are none, and others than a moment ago.

use cryptoki_sys as ck;
use jpki_pkcs11::handle::{ObjectHandle, SessionHandle};
use virtual_card::{CertificateFile, CommandRecord, Credential, Fault, Identity, Profile, Validity};

use super::{MOST_EXCHANGES, READ};
use crate::support::by_handle::ByHandle;
use crate::support::calls::{Call, rv};
use crate::support::fixture::{Fixture, READER};
use crate::support::signatures::assert_sha256_signature;

/// The most bytes the module reads of a file.
const MOST_BYTES: usize = 8192;

const AUTHENTICATION_CERTIFICATE: u16 = 0x000a;
const SIGNATURE_CERTIFICATE: u16 = 0x0001;

/// A card with this in one of its certificate files.
fn with_certificate(profile: Profile, credential: Credential, content: &[u8]) -> Fixture {
    let mut profile = profile;
    profile.credential_mut(credential).certificate = CertificateFile::Bytes(content.to_vec());
    Fixture::with(profile)
}

fn certificate(credential: Credential) -> Vec<u8> {
    Identity::shared().certificate(credential, Validity::Current)
}

/// What is to become of a spoilt certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Neither certificate nor key.
    Dropped,
    /// The certificate as it is, without a key that could be used.
    WithoutKey,
    /// One or the other: what matters is that nothing breaks.
    Either,
}

/// That a token whose certificate file holds `content` is listed, works as far as it can, and that
/// reading ends.
fn assert_contained(content: &[u8], fate: Fate, what: &str) {
    for credential in Credential::ALL {
        for profile in [Profile::full(), Profile::conservative()] {
            let fixture = with_certificate(profile, credential, content);
            assert_eq!(fixture.module().count_slots(true), Ok(2), "{what}");
            let session = fixture.logged_in(credential);
            let spoilt = usize::from(own_certificate(&fixture, session).is_some());
            let keys = fixture.find(session, ck::CKO_PRIVATE_KEY).len();
            assert_eq!(fixture.find(session, ck::CKO_PUBLIC_KEY).len(), keys, "{what}");
            match fate {
                Fate::Dropped => assert_eq!((spoilt, keys), (0, 0), "{what}"),
                Fate::WithoutKey => assert_eq!((spoilt, keys), (1, 0), "{what}"),
                Fate::Either => assert!(keys <= spoilt, "{what}"),
            }
            let ca = usize::from(credential == Credential::Signature);
            assert_eq!(fixture.find(session, ck::CKO_CERTIFICATE).len(), ca + spoilt, "{what}");
            if let Some(object) = own_certificate(&fixture, session) {
                let value = fixture.attribute(session, object, ck::CKA_VALUE).unwrap();
                assert!(content.starts_with(&value), "{what}");
                fixture.module().object_size(session, object).unwrap();
            }
            assert_bounded(&fixture, what);
            let other = Credential::ALL.into_iter().find(|&other| other != credential).unwrap();
            let session = fixture.logged_in(other);
            let signature = fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").unwrap();
            assert_sha256_signature(fixture.card(), other, b"data", &signature);
        }
    }
}

/// The holder's certificate, as a handle.
fn own_certificate(fixture: &Fixture, session: SessionHandle) -> Option<ObjectHandle> {
    fixture
        .find(session, ck::CKO_CERTIFICATE)
        .into_iter()
        .find(|&object| !fixture.attribute(session, object, ck::CKA_LABEL).unwrap().ends_with(b"CA"))
}

/// That no transaction took more than its commands, and no file more than its bytes.
fn assert_bounded(fixture: &Fixture, what: &str) {
    let (mut commands, mut bytes) = (0, 0);
    for command in fixture.card().ledger().commands() {
        if command.header.starts_with(&[0x00, 0xa4, 0x04]) {
            (commands, bytes) = (0, 0);
        }
        commands += 1;
        bytes += command.answer_length;
        // A transaction reads three certificates at most.
        assert!(commands <= MOST_EXCHANGES && bytes <= 3 * MOST_BYTES, "{what}: {commands}, {bytes}");
    }
}

#[test]
fn a_certificate_whose_length_is_a_lie_is_dropped() {
    let good = certificate(Credential::Authentication);
    let mut headers: Vec<Vec<u8>> = vec![
        vec![],
        vec![0x30],
        vec![0x30, 0x00],
        vec![0x30, 0x01],
        vec![0x30, 0x7f],
        // Indefinite, reserved, and longer than there can be.
        vec![0x30, 0x80],
        vec![0x30, 0xff],
        vec![0x30, 0x81, 0x00],
        vec![0x30, 0x82, 0x00, 0x01],
        vec![0x30, 0x82, 0x7f, 0xff],
        vec![0x30, 0x82, 0xff, 0xff],
        vec![0x30, 0x83, 0x00, 0x05, 0x2d],
        vec![0x30, 0x83, 0xff, 0xff, 0xff],
        vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        vec![0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![0x30, 0xfe],
        // Not a SEQUENCE.
        vec![0x31, 0x82, 0x05, 0x00],
        vec![0x00; 4],
        vec![0xff; 4],
    ];
    let length = u16::try_from(good.len() - 4).unwrap();
    for wrong in [length - 1, length + 1, length / 2, length * 2, 3804, 3805, 8188, 8189] {
        headers.push([&[0x30, 0x82], &wrong.to_be_bytes()[..]].concat());
    }
    for header in headers {
        let content = [&header[..], &good[4..]].concat();
        assert_contained(&content, Fate::Dropped, &format!("header {header:02x?}"));
    }
}

#[test]
fn a_certificate_that_ends_too_early_is_dropped() {
    let ends = ["refusal", "warning", "silence"].map(|end| format!("full+end-of-file={end}"));
    for (credential, end) in Credential::ALL.into_iter().flat_map(|it| ends.iter().map(move |end| (it, end)))
    {
        let good = certificate(credential);
        for length in [5, 100, 255, 256, 257, 511, 512, 513] {
            let profile = Profile::described_by(end).expect("a trait");
            let fixture = with_certificate(profile, credential, &good[..length]);
            // What follows is filler, or nothing at all.
            let id = if credential == Credential::Signature {
                SIGNATURE_CERTIFICATE
            } else {
                AUTHENTICATION_CERTIFICATE
            };
            for content in [None, Some(good[..length].to_vec())] {
                if content.is_some() {
                    fixture.card().set_file(id, content);
                    fixture.service().out_and_in(READER);
                }
                assert_eq!(fixture.module().count_slots(true), Ok(2), "{length} bytes");
                let session = fixture.logged_in(credential);
                assert!(own_certificate(&fixture, session).is_none(), "{length} bytes");
                assert_eq!(fixture.find(session, ck::CKO_PRIVATE_KEY), [], "{length} bytes");
                fixture.module().close_session(session).unwrap();
                assert_bounded(&fixture, &format!("{length} bytes"));
            }
        }
    }
}

#[test]
fn der_of_great_depth_is_dropped() {
    // As deep as a file can be: two to four bytes for each level.
    let nest = |tag: u8, content: &[u8], most: usize| {
        let mut nested = content.to_vec();
        while nested.len() + 4 <= most {
            nested = tlv(tag, &nested);
        }
        nested
    };
    let deep = nest(0x30, &[0x05, 0x00], 3800);
    assert_contained(&deep, Fate::Dropped, "nothing but SEQUENCEs");
    assert_contained(&nest(0x30, &[], 8000), Fate::Dropped, "SEQUENCEs to the limit");
    for tag in [0x30, 0x31, 0xa0, 0x24] {
        let deep = nest(tag, &[], 3000);
        for field in [Field::Issuer, Field::Subject, Field::Extensions] {
            let content = replaced(&certificate(Credential::Authentication), field, &deep);
            assert_contained(&content, Fate::Either, &format!("tag {tag:02x} in {field:?}"));
        }
    }
}

#[test]
fn a_certificate_with_an_impossible_key_has_no_key() {
    let rsa = [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let key = |modulus: &[u8], exponent: &[u8]| {
        let numbers = [tlv(0x02, modulus), tlv(0x02, exponent)].concat();
        tlv(0x30, &[&rsa[..], &tlv(0x03, &[&[0][..], &tlv(0x30, &numbers)].concat())].concat())
    };
    let usual: &[u8] = &[0x01, 0x00, 0x01];
    let number = |bytes: usize, last: u8| [&[0x00][..], &vec![0xc5; bytes - 1], &[last]].concat();
    let p256 = [
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
        0x3d, 0x03, 0x01, 0x07,
    ];
    let point = [&[0x00, 0x04][..], &[0x5a; 64]].concat();
    let keys = [
        ("modulus 0", key(&[0x00], usual)),
        ("modulus 1", key(&[0x01], usual)),
        ("no modulus", key(&[], usual)),
        ("even modulus", key(&number(256, 0xc4), usual)),
        ("1024 bits", key(&number(128, 0xc5), usual)),
        ("2040 bits", key(&number(255, 0xc5), usual)),
        ("2056 bits", key(&number(257, 0xc5), usual)),
        ("16,384 bits", key(&number(2048, 0xc5), usual)),
        ("exponent 0", key(&number(256, 0xc5), &[0x00])),
        ("exponent 1", key(&number(256, 0xc5), &[0x01])),
        ("even exponent", key(&number(256, 0xc5), &[0x04])),
        ("exponent of 256 bytes", key(&number(256, 0xc5), &number(256, 0xc5))),
        ("elliptic curve", tlv(0x30, &[&p256[..], &tlv(0x03, &point)].concat())),
        ("empty bit string", tlv(0x30, &[&rsa[..], &[0x03, 0x01, 0x00]].concat())),
    ];
    for (what, key) in keys {
        let content = replaced(&certificate(Credential::Authentication), Field::Key, &key);
        assert_contained(&content, Fate::WithoutKey, what);
    }
    let no_bits = tlv(0x30, &[&rsa[..], &[0x04, 0x02, 0x00, 0x00]].concat());
    let content = replaced(&certificate(Credential::Authentication), Field::Key, &no_bits);
    assert_contained(&content, Fate::Dropped, "key that is no bit string");
}

#[test]
fn bytes_after_the_fields_of_a_certificate_are_contained() {
    let good = certificate(Credential::Authentication);
    let (_, inside) = split(&good);
    let longer = tlv(0x30, &[inside, &[0x05, 0x00]].concat());
    assert_contained(&longer, Fate::Dropped, "a fourth field");
    let key = tlv(0x30, &[]);
    assert_contained(&replaced(&good, Field::Key, &key), Fate::Dropped, "a key without fields");
    // What follows the certificate in its file is not looked at.
    for filler in [0x00, 0x30, 0xff] {
        let content = [&good[..], &[filler; 100]].concat();
        let fixture = with_certificate(Profile::full(), Credential::Authentication, &content);
        let session = fixture.logged_in(Credential::Authentication);
        let object = own_certificate(&fixture, session).unwrap();
        assert_eq!(fixture.attribute(session, object, ck::CKA_VALUE).unwrap(), good);
        fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").unwrap();
    }
}

#[test]
fn every_byte_of_a_certificate_may_be_wrong() {
    let good = certificate(Credential::Authentication);
    for index in (0..good.len()).step_by(3) {
        let mut content = good.clone();
        content[index] ^= 0xff;
        let fixture = with_certificate(Profile::full(), Credential::Authentication, &content);
        fixture.module().count_slots(true).unwrap();
        if fixture.module().token_info(fixture.auth_slot()).is_ok() {
            let session = fixture.open(fixture.auth_slot());
            let found = fixture.find_by(session, &[]).unwrap();
            assert!((2..=6).contains(&found.len()), "byte {index}: {found:?}");
        }
    }
}

#[test]
fn a_certificate_that_was_refused_once_is_read_when_it_is_needed() {
    let profile = Profile::full();
    for call in [Call::Login(Credential::Signature), Call::Find(Credential::Authentication)] {
        let reads = |command: &CommandRecord| command.instruction() == Some(READ);
        for (command, number) in call.commands(&profile).iter().zip(1..).filter(|(command, _)| reads(command))
        {
            for status in [0x6400, 0x6581, 0x6900, 0x6982, 0x6985, 0x6f00] {
                let ready = call.ready(&profile);
                ready.fixture.card().inject(Fault::at(number).answer_status(status));
                ready.make().unwrap();
                ready.assert_session_works();
                let certificates = ready.fixture.find(ready.session(), ck::CKO_CERTIFICATE);
                assert_eq!(certificates.len(), 2, "{call:?}, {status:04x} to {command}");
            }
        }
    }
}

#[test]
fn a_certificate_replaced_on_the_card_is_not_mixed_with_the_one_before() {
    for credential in Credential::ALL {
        let fixture = Fixture::new();
        let session = fixture.logged_in(credential);
        let object = own_certificate(&fixture, session).unwrap();
        let before = fixture.attribute(session, object, ck::CKA_VALUE).unwrap();
        let modulus = fixture.attribute(session, fixture.key(session), ck::CKA_MODULUS).unwrap();

        let other = Identity::from_seed(1).certificate(credential, Validity::Current);
        let id = if credential == Credential::Signature {
            SIGNATURE_CERTIFICATE
        } else {
            AUTHENTICATION_CERTIFICATE
        };
        fixture.card().set_file(id, Some([&other[..], &[0xff; 2000]].concat()));
        assert_eq!(fixture.attribute(session, object, ck::CKA_VALUE).unwrap(), before);
        assert_eq!(fixture.attribute(session, fixture.key(session), ck::CKA_MODULUS).unwrap(), modulus);
        // The key is still the one of the certificate that is shown.
        let signature = fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data").unwrap();
        assert_sha256_signature(fixture.card(), credential, b"data", &signature);

        // Looked at anew, the card shows the new certificate, to which its key does not belong.
        fixture.service().out_and_in(READER);
        assert_eq!(rv(fixture.module().session_info(session)), ck::CKR_DEVICE_REMOVED);
        let session = fixture.logged_in(credential);
        let object = own_certificate(&fixture, session).unwrap();
        assert_eq!(fixture.attribute(session, object, ck::CKA_VALUE).unwrap(), other);
        assert_eq!(rv(fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data")), ck::CKR_DEVICE_ERROR);
    }
}

#[test]
fn a_certificate_replaced_behind_a_reset_ends_the_session() {
    let fixture = Fixture::new();
    let session = fixture.logged_in(Credential::Authentication);
    let other = Identity::from_seed(1).certificate(Credential::Authentication, Validity::Current);
    fixture.card().set_file(AUTHENTICATION_CERTIFICATE, Some([&other[..], &[0xff; 2000]].concat()));
    fixture.service().disturb(READER);
    let mark = fixture.card().mark();
    assert_eq!(rv(fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data")), ck::CKR_DEVICE_REMOVED);
    assert_eq!(fixture.card().ledger_since(mark).verifies(Credential::Authentication), 0);
    assert_eq!(fixture.memory().live_pages(), 0);
}

/// A part of a certificate that tests replace.
#[derive(Debug, Clone, Copy)]
enum Field {
    Issuer,
    Subject,
    Key,
    Extensions,
}

/// Tag, length and value, in as few bytes as DER takes.
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len();
    let header = match (u8::try_from(length), u16::try_from(length).unwrap().to_be_bytes()) {
        (Ok(length @ ..0x80), _) => vec![tag, length],
        (Ok(length), _) => vec![tag, 0x81, length],
        (Err(_), [high, low]) => vec![tag, 0x82, high, low],
    };
    [&header[..], value].concat()
}

/// The first element's bytes with its header, and what is in it.
fn split(der: &[u8]) -> (&[u8], &[u8]) {
    let (header, length) = match der[1] {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(u16::from_be_bytes([der[2], der[3]]))),
        short => (2, usize::from(short)),
    };
    (&der[..header + length], &der[header..header + length])
}

/// The elements that follow each other.
fn elements(mut der: &[u8]) -> Vec<&[u8]> {
    let mut elements = Vec::new();
    while !der.is_empty() {
        let (element, _) = split(der);
        elements.push(element);
        der = &der[element.len()..];
    }
    elements
}

/// A certificate with one of its fields replaced. Its signature does not hold any more, and no
/// reader checks it.
fn replaced(certificate: &[u8], field: Field, with: &[u8]) -> Vec<u8> {
    // TBSCertificate: version, serial number, algorithm, issuer, validity, subject, key,
    // extensions.
    let index = match field {
        Field::Issuer => 3,
        Field::Subject => 5,
        Field::Key => 6,
        Field::Extensions => 7,
    };
    let outer = elements(split(certificate).1);
    let mut inner = elements(split(outer[0]).1);
    assert_eq!(inner.len(), 8);
    inner[index] = with;
    tlv(0x30, &[&tlv(0x30, &inner.concat()), outer[1], outer[2]].concat())
}
