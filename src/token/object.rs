//! The objects of a token, made from its certificates.
//!
//! Every object has a handle from the beginning. What it says is read from the card when a client
//! asks for it: one that looks for a private key does not wait for a CA certificate.

use cryptoki_sys as ck;
use sha1::{Digest, Sha1};

use super::attribute::Attributes;
use crate::handle::{HandleCounter, ObjectHandle};
use crate::jpki::certificate::Certificate;
use crate::jpki::credential::{CertificateRole, Credential};
use crate::manager::{CaCertificates, CardCredential, Settings};

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectKind {
    /// The owner's certificate, or the one of its CA.
    Certificate(CertificateRole),
    /// The public half of the key.
    PublicKey,
    /// The key on the card.
    PrivateKey,
    /// A profile that the token keeps to (PKCS #11, "Profile objects").
    Profile(ck::CK_PROFILE_ID),
}

/// An object of a token.
pub(super) struct Object {
    handle: ObjectHandle,
    kind: ObjectKind,
    private: bool,
    /// What is known without reading the card.
    known: Attributes,
}

/// The objects of a token, in the order in which they are found.
pub(super) fn objects(of: &CardCredential, handles: &HandleCounter, settings: Settings) -> Vec<Object> {
    let ca_is_private = ca_certificate_is_private(of.credential, settings.ca_certificates);
    let ca = ca_is_private.map(|_| ObjectKind::Certificate(CertificateRole::Ca));
    let kinds = [ObjectKind::Certificate(CertificateRole::EndEntity)]
        .into_iter()
        .chain(ca)
        .chain([ObjectKind::PublicKey, ObjectKind::PrivateKey]);
    let profiles = profiles(of.is_private()).iter().map(|&profile| ObjectKind::Profile(profile));
    let object = |kind| {
        let private = match kind {
            ObjectKind::Certificate(CertificateRole::EndEntity) | ObjectKind::PublicKey => of.is_private(),
            ObjectKind::Certificate(CertificateRole::Ca) => ca_is_private == Some(true),
            ObjectKind::Profile(_) => false,
            ObjectKind::PrivateKey => true,
        };
        Some(Object {
            handle: ObjectHandle::new(handles.take()?),
            kind,
            private,
            known: known(kind, of, private, settings.asks_each_time(of.credential)),
        })
    };
    kinds.chain(profiles).filter_map(object).collect()
}

/// Whether the CA's certificate is shown, and then whether only after login. Clients take every
/// certificate beside the authentication key for one of the user's (OpenSSH, sssd), and the one of
/// the signature CA, found first, keeps OpenSSL from logging in.
fn ca_certificate_is_private(credential: Credential, configured: CaCertificates) -> Option<bool> {
    match (configured, credential) {
        (CaCertificates::Hidden, _) | (CaCertificates::Auto, Credential::UserAuthentication) => None,
        (CaCertificates::Auto, Credential::DigitalSignature) => Some(true),
        (CaCertificates::Shown, _) => Some(false),
    }
}

/// A certificate that is free to read, beside the public key, is a profile of its own: NSS then
/// looks for certificates without asking for the PIN first.
fn profiles(certificate_is_private: bool) -> &'static [ck::CK_PROFILE_ID] {
    if certificate_is_private {
        &[ck::CKP_BASELINE_PROVIDER, ck::CKP_AUTHENTICATION_TOKEN]
    } else {
        &[ck::CKP_BASELINE_PROVIDER, ck::CKP_AUTHENTICATION_TOKEN, ck::CKP_PUBLIC_CERTIFICATES_TOKEN]
    }
}

impl Object {
    /// Its handle.
    pub(super) fn handle(&self) -> ObjectHandle {
        self.handle
    }

    /// What it is.
    pub(super) fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// Whether only a logged-in user sees it.
    pub(super) fn is_private(&self) -> bool {
        self.private
    }

    /// What is known of it without reading the card.
    pub(super) fn known(&self) -> &Attributes {
        &self.known
    }

    /// Everything that the certificate says about this object.
    pub(super) fn described_by(&self, certificate: &Certificate) -> Option<Attributes> {
        let attributes = self
            .known
            .clone()
            .bytes(ck::CKA_SUBJECT, certificate.subject())
            .bytes(ck::CKA_PUBLIC_KEY_INFO, certificate.public_key_info())
            .date(ck::CKA_START_DATE, certificate.not_before())
            .date(ck::CKA_END_DATE, certificate.not_after());
        if matches!(self.kind, ObjectKind::Certificate(_)) {
            let hash = Sha1::digest(certificate.der());
            let check_value = hash.first_chunk::<3>()?;
            return Some(
                attributes
                    .bytes(ck::CKA_ISSUER, certificate.issuer())
                    .bytes(ck::CKA_SERIAL_NUMBER, certificate.serial_number())
                    .bytes(ck::CKA_CHECK_VALUE, check_value)
                    .bytes(ck::CKA_VALUE, certificate.der()),
            );
        }
        let key = certificate.public_key()?;
        let bits = ck::CK_ULONG::try_from(key.modulus().len() * 8).ok()?;
        Some(
            attributes
                .bytes(ck::CKA_MODULUS, key.modulus())
                .number(ck::CKA_MODULUS_BITS, bits)
                .bytes(ck::CKA_PUBLIC_EXPONENT, key.exponent()),
        )
    }
}

/// What is known of an object without reading the card.
fn known(kind: ObjectKind, of: &CardCredential, private: bool, always_authenticate: bool) -> Attributes {
    let class = match kind {
        ObjectKind::Certificate(_) => ck::CKO_CERTIFICATE,
        ObjectKind::PublicKey => ck::CKO_PUBLIC_KEY,
        ObjectKind::PrivateKey => ck::CKO_PRIVATE_KEY,
        ObjectKind::Profile(_) => ck::CKO_PROFILE,
    };
    let attributes = Attributes::default()
        .number(ck::CKA_CLASS, class)
        .flag(ck::CKA_TOKEN, true)
        .flag(ck::CKA_PRIVATE, private)
        .flags(&[ck::CKA_MODIFIABLE, ck::CKA_COPYABLE, ck::CKA_DESTROYABLE], false)
        .bytes(ck::CKA_UNIQUE_ID, unique_id(kind, of).as_bytes());
    match kind {
        ObjectKind::Profile(profile) => attributes.number(ck::CKA_PROFILE_ID, profile),
        ObjectKind::Certificate(role) => certificate(named(attributes, kind, of.credential), role),
        ObjectKind::PublicKey => public_key(key(named(attributes, kind, of.credential))),
        ObjectKind::PrivateKey => {
            private_key(key(named(attributes, kind, of.credential)), always_authenticate)
        }
    }
}

/// Label and id, both as OpenSC gives them: scripts depend on them.
fn named(attributes: Attributes, kind: ObjectKind, credential: Credential) -> Attributes {
    let facts = credential.facts();
    let (what, id) = match kind {
        ObjectKind::Certificate(CertificateRole::Ca) => ("Certificate CA", facts.ca_object_id),
        ObjectKind::Certificate(CertificateRole::EndEntity) => ("Certificate", facts.object_id),
        ObjectKind::PublicKey => ("Public Key", facts.object_id),
        ObjectKind::PrivateKey | ObjectKind::Profile(_) => ("Key", facts.object_id),
    };
    attributes.bytes(ck::CKA_LABEL, format!("{} {what}", facts.name).as_bytes()).bytes(ck::CKA_ID, &[id])
}

fn certificate(attributes: Attributes, role: CertificateRole) -> Attributes {
    let category = match role {
        CertificateRole::EndEntity => ck::CK_CERTIFICATE_CATEGORY_TOKEN_USER,
        CertificateRole::Ca => ck::CK_CERTIFICATE_CATEGORY_AUTHORITY,
    };
    attributes
        .number(ck::CKA_CERTIFICATE_TYPE, ck::CKC_X_509)
        .number(ck::CKA_CERTIFICATE_CATEGORY, category)
        // Whether to trust the CA is for the host and its user to say.
        .flag(ck::CKA_TRUSTED, false)
        .bytes(ck::CKA_URL, &[])
        .bytes(ck::CKA_HASH_OF_SUBJECT_PUBLIC_KEY, &[])
        .bytes(ck::CKA_HASH_OF_ISSUER_PUBLIC_KEY, &[])
        .number(ck::CKA_NAME_HASH_ALGORITHM, ck::CKM_SHA_1)
        .number(ck::CKA_JAVA_MIDP_SECURITY_DOMAIN, ck::CK_SECURITY_DOMAIN_UNSPECIFIED)
}

/// What both halves of the key say.
fn key(attributes: Attributes) -> Attributes {
    attributes
        .number(ck::CKA_KEY_TYPE, ck::CKK_RSA)
        // Where the key was generated is not published.
        .flag(ck::CKA_LOCAL, false)
        .number(ck::CKA_KEY_GEN_MECHANISM, ck::CK_UNAVAILABLE_INFORMATION)
        .flag(ck::CKA_DERIVE, false)
}

fn public_key(attributes: Attributes) -> Attributes {
    attributes
        .flag(ck::CKA_VERIFY, true)
        .flags(&[ck::CKA_ENCRYPT, ck::CKA_VERIFY_RECOVER, ck::CKA_WRAP, ck::CKA_TRUSTED], false)
        .flag(ck::CKA_ENCAPSULATE, false)
}

fn private_key(attributes: Attributes, always_authenticate: bool) -> Attributes {
    attributes
        .flags(&[ck::CKA_SIGN, ck::CKA_SENSITIVE, ck::CKA_ALWAYS_SENSITIVE, ck::CKA_NEVER_EXTRACTABLE], true)
        .flags(&[ck::CKA_DECRYPT, ck::CKA_SIGN_RECOVER, ck::CKA_UNWRAP, ck::CKA_DECAPSULATE], false)
        .flags(&[ck::CKA_EXTRACTABLE, ck::CKA_WRAP_WITH_TRUSTED], false)
        .flag(ck::CKA_ALWAYS_AUTHENTICATE, always_authenticate)
        .sensitive(&[ck::CKA_PRIVATE_EXPONENT, ck::CKA_PRIME_1, ck::CKA_PRIME_2])
        .sensitive(&[ck::CKA_EXPONENT_1, ck::CKA_EXPONENT_2, ck::CKA_COEFFICIENT])
}

/// A name that no other object of any card has (PKCS #11, CKA_UNIQUE_ID).
fn unique_id(kind: ObjectKind, of: &CardCredential) -> String {
    let slot = of.credential.facts().short_name.to_lowercase();
    let object = match kind {
        ObjectKind::Certificate(CertificateRole::EndEntity) => "certificate".to_owned(),
        ObjectKind::Certificate(CertificateRole::Ca) => "ca-certificate".to_owned(),
        ObjectKind::PublicKey => "public-key".to_owned(),
        ObjectKind::PrivateKey => "private-key".to_owned(),
        ObjectKind::Profile(profile) => format!("profile-{profile}"),
    };
    format!("{}-{slot}-{object}", of.card.serial_number())
}
