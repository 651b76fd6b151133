//! The four certificates of a card, laid out as those of JPKI are, with names that say TEST.
//!
//! Names, extensions and their criticality follow the certificate table of the card description;
//! the order of extensions and the things an issuer adds besides (CRL distribution point, OCSP
//! address, issuer's other name) bring the sizes near those of real certificates: 1.3 KB for a CA,
//! 1.57 and 1.75 KB for a person's own.

use rsa::sha2::{Digest, Sha256};
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};

use crate::Credential;
use crate::calendar::Day;
use crate::der::{
    bit_string, boolean_true, context, context_primitive, element, ia5, integer, null, octet_string, oid,
    printable, sequence, set, utf8,
};

const AGENCY: &str = "Japan Agency for Local Authority Information Systems";
const UTC_TIME: u8 = 0x17;

/// First and last day of a certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Period {
    pub(crate) first: Day,
    pub(crate) last: Day,
}

/// A CA's certificate, signed by itself.
pub(crate) fn ca(credential: Credential, key: &RsaPrivateKey, period: Period) -> Vec<u8> {
    let name = issuer(credential);
    let extensions = [
        extension("2.5.29.15", true, &bit_string(1, &[0x06])),
        extension("2.5.29.17", false, &sequence(&[japanese_name(credential)])),
        extension("2.5.29.19", true, &sequence(&[boolean_true()])),
        extension("2.5.29.31", false, &distribution_point(&name)),
        extension("2.5.29.14", false, &octet_string(&key_id(&key.to_public_key()))),
    ];
    certificate(&ca_serial(credential), &name, &name, period, &key.to_public_key(), &extensions, key)
}

/// The certificate of a person's key, signed by the CA's key.
pub(crate) fn end_entity(
    credential: Credential,
    seed: u64,
    key: &RsaPublicKey,
    ca: &RsaPrivateKey,
    period: Period,
) -> Vec<u8> {
    let policy = match credential {
        Credential::Authentication => "1.2.392.200149.8.5.1.3.30",
        Credential::Signature => "1.2.392.200149.8.5.1.1.20",
    };
    let usage = match credential {
        Credential::Authentication => bit_string(7, &[0x80]),
        Credential::Signature => bit_string(6, &[0xc0]),
    };
    let mut extensions = vec![extension("2.5.29.15", true, &usage)];
    extensions.push(match credential {
        Credential::Authentication => extension("2.5.29.37", false, &sequence(&[oid("1.3.6.1.5.5.7.3.2")])),
        Credential::Signature => extension("2.5.29.17", false, &personal_data()),
    });
    extensions.extend([
        extension("2.5.29.32", true, &policies(policy)),
        extension("2.5.29.18", false, &sequence(&[japanese_name(credential)])),
        extension("2.5.29.31", false, &distribution_point(&crl_name(credential))),
    ]);
    if credential == Credential::Authentication {
        extensions.push(extension(
            "1.3.6.1.5.5.7.1.1",
            false,
            &ocsp("http://ocsp.test.invalid/authentication"),
        ));
    }
    extensions.extend([
        extension("2.5.29.35", false, &authority_key_id(credential, &ca.to_public_key())),
        extension("2.5.29.14", false, &octet_string(&key_id(key))),
    ]);
    let serial = Sha256::digest(seed.to_be_bytes());
    certificate(&serial[..4], &issuer(credential), &subject(credential, seed), period, key, &extensions, ca)
}

/// Identifies a public key in SubjectKeyIdentifier and AuthorityKeyIdentifier.
fn key_id(key: &RsaPublicKey) -> Vec<u8> {
    Sha256::digest(key.n().to_bytes_be())[..20].to_vec()
}

fn ca_serial(credential: Credential) -> [u8; 4] {
    match credential {
        Credential::Authentication => [0x06, 0xd1, 0x80, 0x01],
        Credential::Signature => [0x06, 0x7c, 0x6a, 0x01],
    }
}

fn certificate(
    serial: &[u8],
    issuer: &[u8],
    subject: &[u8],
    period: Period,
    key: &RsaPublicKey,
    extensions: &[Vec<u8>],
    signer: &RsaPrivateKey,
) -> Vec<u8> {
    let algorithm = sequence(&[oid("1.2.840.113549.1.1.11"), null()]);
    let validity = sequence(&[
        element(UTC_TIME, period.first.utc_time(false).as_bytes()),
        element(UTC_TIME, period.last.utc_time(true).as_bytes()),
    ]);
    let body = sequence(&[
        context(0, &integer(&[2])),
        integer(serial),
        algorithm.clone(),
        issuer.to_vec(),
        validity,
        subject.to_vec(),
        public_key_info(key),
        context(3, &sequence(extensions)),
    ]);
    let signature = signer
        .sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(&body))
        .expect("a 2048-bit key signs a SHA-256 hash");
    sequence(&[body, algorithm, bit_string(0, &signature)])
}

fn public_key_info(key: &RsaPublicKey) -> Vec<u8> {
    let numbers = sequence(&[integer(&key.n().to_bytes_be()), integer(&key.e().to_bytes_be())]);
    sequence(&[sequence(&[oid("1.2.840.113549.1.1.1"), null()]), bit_string(0, &numbers)])
}

fn extension(id: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![oid(id)];
    if critical {
        parts.push(boolean_true());
    }
    parts.push(octet_string(value));
    sequence(&parts)
}

fn attribute(id: &str, value: Vec<u8>) -> Vec<u8> {
    set(&[sequence(&[oid(id), value])])
}

fn country() -> Vec<u8> {
    attribute("2.5.4.6", printable("JP"))
}

fn organization(name: &str) -> Vec<u8> {
    attribute("2.5.4.10", utf8(name))
}

fn unit(name: &str) -> Vec<u8> {
    attribute("2.5.4.11", utf8(name))
}

fn locality(name: &str) -> Vec<u8> {
    attribute("2.5.4.7", utf8(name))
}

fn common_name(name: &str) -> Vec<u8> {
    attribute("2.5.4.3", utf8(name))
}

fn service(credential: Credential) -> &'static str {
    match credential {
        Credential::Authentication => "JPKI for user authentication",
        Credential::Signature => "JPKI for digital signature",
    }
}

fn issuer(credential: Credential) -> Vec<u8> {
    sequence(&[country(), organization("JPKI"), unit(service(credential)), unit(AGENCY)])
}

fn crl_name(credential: Credential) -> Vec<u8> {
    sequence(&[
        country(),
        organization("JPKI"),
        unit(service(credential)),
        unit("CRL Distribution Points"),
        unit("TEST-to"),
        common_name("TEST-shi CRLDP"),
    ])
}

/// 23 characters for authentication, 28 for signatures, the seed in the middle.
fn subject(credential: Credential, seed: u64) -> Vec<u8> {
    match credential {
        Credential::Authentication => sequence(&[country(), common_name(&format!("TEST{seed:018}A"))]),
        Credential::Signature => sequence(&[
            country(),
            locality("TEST-to"),
            locality("TEST-shi"),
            common_name(&format!("TEST{seed:023}A")),
        ]),
    }
}

/// The issuer's Japanese name as a GeneralName.
fn japanese_name(credential: Credential) -> Vec<u8> {
    let service = match credential {
        Credential::Authentication => "公的個人認証サービス利用者証明用",
        Credential::Signature => "公的個人認証サービス署名用",
    };
    let name = [
        country(),
        organization("公的個人認証サービス"),
        unit(service),
        unit("地方公共団体情報システム機構"),
    ];
    context(4, &sequence(&name))
}

/// The subject alternative name of a signature certificate: what its PIN protects.
fn personal_data() -> Vec<u8> {
    let fields = [
        ("1.2.392.200149.8.5.5.1", "試験　太郎"),
        ("1.2.392.200149.8.5.5.4", "320000101"),
        ("1.2.392.200149.8.5.5.3", "1"),
        ("1.2.392.200149.8.5.5.5", "試験都試験市試験町一丁目１２－７－２０２"),
        ("1.2.392.200149.8.5.5.2", "00000"),
        ("1.2.392.200149.8.5.5.6", "00000000000000000000"),
    ];
    let names = fields.map(|(id, text)| context(0, &[oid(id), context(0, &utf8(text))].concat()));
    sequence(&names)
}

fn policies(policy: &str) -> Vec<u8> {
    let address = sequence(&[oid("1.3.6.1.5.5.7.2.1"), ia5("http://www.test.invalid/cps.html")]);
    sequence(&[sequence(&[oid(policy), sequence(&[address])])])
}

fn distribution_point(name: &[u8]) -> Vec<u8> {
    let full_name = context(0, &context(4, name));
    sequence(&[sequence(&[context(0, &full_name)])])
}

fn ocsp(address: &str) -> Vec<u8> {
    let location = context_primitive(6, address.as_bytes());
    sequence(&[sequence(&[oid("1.3.6.1.5.5.7.48.1"), location])])
}

fn authority_key_id(credential: Credential, ca: &RsaPublicKey) -> Vec<u8> {
    let serial = integer(&ca_serial(credential));
    sequence(&[
        context_primitive(0, &key_id(ca)),
        context(1, &context(4, &issuer(credential))),
        context_primitive(2, &serial[2..]),
    ])
}
