//! The objects of a token, made from its certificates.
//!
//! Every object has a handle from the beginning; what it says is read from the card when somebody asks for it, so that
//! a client that looks for a private key does not wait for a CA certificate.

use std::sync::Arc;

use cryptoki_sys as ck;
use once_cell::sync::OnceCell;
use sha1::{Digest, Sha1};

use super::attribute::Attributes;
use crate::handle::{HandleCounter, ObjectHandle};
use crate::jpki::certificate::Certificate;
use crate::jpki::layout::Credential;
use crate::manager::card::{Card, Holder};
use crate::manager::error::CardError;
use crate::manager::{CardManager, Settings};

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectKind {
    /// The owner's certificate, or the one of its CA.
    Certificate(Holder),
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
    /// All there is to know, once it was read.
    read: OnceCell<Attributes>,
}

/// The objects of a token, in the order in which they are found.
pub(super) fn objects(
    credential: Credential,
    card: &Card,
    handles: &HandleCounter,
    settings: Settings,
) -> Vec<Object> {
    let always_authenticate = settings.asks_each_time(credential);
    let authority = settings.ca_certificates.then_some(ObjectKind::Certificate(Holder::Authority));
    let kinds = [ObjectKind::Certificate(Holder::User)]
        .into_iter()
        .chain(authority)
        .chain([ObjectKind::PublicKey, ObjectKind::PrivateKey]);
    let profiles = profiles(credential, card).iter().map(|&profile| ObjectKind::Profile(profile));
    let object = |kind| {
        let private = match kind {
            ObjectKind::Certificate(Holder::User) | ObjectKind::PublicKey => card.is_private(credential),
            ObjectKind::Certificate(Holder::Authority) | ObjectKind::Profile(_) => false,
            ObjectKind::PrivateKey => true,
        };
        Object {
            handle: ObjectHandle::new(handles.take()),
            kind,
            private,
            known: known(kind, credential, card, private, always_authenticate),
            read: OnceCell::new(),
        }
    };
    kinds.chain(profiles).map(object).collect()
}

/// A certificate that anybody may read, beside the public key, is a profile of its own: NSS then looks for
/// certificates without asking for the PIN first.
fn profiles(credential: Credential, card: &Card) -> &'static [ck::CK_PROFILE_ID] {
    if card.is_private(credential) {
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

    /// Its attributes, read from the card at the first call; `None` when the card does not have the object in a form
    /// that can be used.
    pub(super) fn attributes(
        &self,
        manager: &CardManager,
        card: &Card,
        credential: Credential,
    ) -> Result<Option<&Attributes>, CardError> {
        let holder = match self.kind {
            ObjectKind::Profile(_) => return Ok(Some(&self.known)),
            ObjectKind::Certificate(holder) => holder,
            ObjectKind::PublicKey | ObjectKind::PrivateKey => Holder::User,
        };
        if let Some(read) = self.read.get() {
            return Ok(Some(read));
        }
        let certificate = manager.certificate(card.epoch(), credential, holder)?;
        let described = certificate.and_then(|certificate| self.described_by(&certificate));
        Ok(described.map(|attributes| self.read.get_or_init(|| attributes)))
    }

    /// Everything that the certificate says about this object.
    fn described_by(&self, certificate: &Arc<Certificate>) -> Option<Attributes> {
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
fn known(
    kind: ObjectKind,
    credential: Credential,
    card: &Card,
    private: bool,
    always_authenticate: bool,
) -> Attributes {
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
        .bytes(ck::CKA_UNIQUE_ID, unique_id(kind, credential, card).as_bytes());
    match kind {
        ObjectKind::Profile(profile) => attributes.number(ck::CKA_PROFILE_ID, profile),
        ObjectKind::Certificate(holder) => certificate(named(attributes, kind, credential), holder),
        ObjectKind::PublicKey => public_key(key(named(attributes, kind, credential))),
        ObjectKind::PrivateKey => private_key(key(named(attributes, kind, credential)), always_authenticate),
    }
}

/// Label and id, both as OpenSC gives them: scripts depend on them.
fn named(attributes: Attributes, kind: ObjectKind, credential: Credential) -> Attributes {
    let (subject, id, ca_id) = match credential {
        Credential::UserAuthentication => ("User Authentication", 0x01, 0x03),
        Credential::DigitalSignature => ("Digital Signature", 0x02, 0x04),
    };
    let (what, id) = match kind {
        ObjectKind::Certificate(Holder::Authority) => ("Certificate CA", ca_id),
        ObjectKind::Certificate(Holder::User) => ("Certificate", id),
        ObjectKind::PublicKey => ("Public Key", id),
        ObjectKind::PrivateKey | ObjectKind::Profile(_) => ("Key", id),
    };
    attributes.bytes(ck::CKA_LABEL, format!("{subject} {what}").as_bytes()).bytes(ck::CKA_ID, &[id])
}

fn certificate(attributes: Attributes, holder: Holder) -> Attributes {
    let category = match holder {
        Holder::User => ck::CK_CERTIFICATE_CATEGORY_TOKEN_USER,
        Holder::Authority => ck::CK_CERTIFICATE_CATEGORY_AUTHORITY,
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
}

fn private_key(attributes: Attributes, always_authenticate: bool) -> Attributes {
    attributes
        .flags(&[ck::CKA_SIGN, ck::CKA_SENSITIVE, ck::CKA_ALWAYS_SENSITIVE, ck::CKA_NEVER_EXTRACTABLE], true)
        .flags(&[ck::CKA_DECRYPT, ck::CKA_SIGN_RECOVER, ck::CKA_UNWRAP], false)
        .flags(&[ck::CKA_EXTRACTABLE, ck::CKA_WRAP_WITH_TRUSTED], false)
        .flag(ck::CKA_ALWAYS_AUTHENTICATE, always_authenticate)
        .sensitive(&[ck::CKA_PRIVATE_EXPONENT, ck::CKA_PRIME_1, ck::CKA_PRIME_2])
        .sensitive(&[ck::CKA_EXPONENT_1, ck::CKA_EXPONENT_2, ck::CKA_COEFFICIENT])
}

/// A name that no other object of any card has (PKCS #11, CKA_UNIQUE_ID).
fn unique_id(kind: ObjectKind, credential: Credential, card: &Card) -> String {
    let slot = match credential {
        Credential::UserAuthentication => "authentication",
        Credential::DigitalSignature => "signature",
    };
    let object = match kind {
        ObjectKind::Certificate(Holder::User) => "certificate".to_owned(),
        ObjectKind::Certificate(Holder::Authority) => "ca-certificate".to_owned(),
        ObjectKind::PublicKey => "public-key".to_owned(),
        ObjectKind::PrivateKey => "private-key".to_owned(),
        ObjectKind::Profile(profile) => format!("profile-{profile}"),
    };
    format!("{}-{slot}-{object}", hex(&card.serial_number()))
}

/// Upper-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
