//! What is known of one card while it is connected. Nothing of it outlives the connection.

use std::sync::Arc;

use once_cell::sync::OnceCell;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::jpki::certificate::Certificate;
use crate::jpki::layout::{Credential, FileId};

/// One connection to one card. A session belongs to the epoch in which it was opened and dies with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

/// A value for each of the two credentials.
#[derive(Debug, Default)]
pub struct PerCredential<T> {
    authentication: T,
    signature: T,
}

/// What tells this card from another one after a reset.
#[derive(PartialEq, Eq)]
pub enum Identity {
    /// The first bytes of the authentication certificate: its serial number is among them.
    Certificate(Vec<u8>),
    /// The token information, of a card whose authentication certificate cannot be read without a PIN.
    TokenInfo(Vec<u8>),
}

/// A JPKI card in a reader.
pub struct Card {
    epoch: Epoch,
    identity: Identity,
    serial_number: [u8; 8],
    /// Whether the certificate of authentication wants the PIN, as it does on a phone.
    private_authentication: bool,
    present: PerCredential<OnceCell<bool>>,
    certificates: PerCredential<OnceCell<Option<Arc<Certificate>>>>,
    ca_certificates: PerCredential<OnceCell<Option<Arc<Certificate>>>>,
    pss: Mutex<Option<bool>>,
}

/// One of the two certificates that go with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The card's owner.
    User,
    /// The CA that issued the owner's certificate.
    Authority,
}

impl Epoch {
    /// The epoch with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

impl<T> PerCredential<T> {
    /// The value for one of them.
    pub fn of(&self, credential: Credential) -> &T {
        match credential {
            Credential::UserAuthentication => &self.authentication,
            Credential::DigitalSignature => &self.signature,
        }
    }

    /// The value for one of them, to change.
    pub fn of_mut(&mut self, credential: Credential) -> &mut T {
        match credential {
            Credential::UserAuthentication => &mut self.authentication,
            Credential::DigitalSignature => &mut self.signature,
        }
    }
}

impl Identity {
    /// How many bytes of a certificate identify it. One short READ BINARY brings them.
    pub const CERTIFICATE_BYTES: u16 = 256;

    /// The identity that a readable authentication certificate gives.
    #[must_use]
    pub fn of_certificate(certificate: &Certificate) -> Self {
        let start = certificate.der().iter().copied().take(usize::from(Self::CERTIFICATE_BYTES));
        Self::Certificate(start.collect())
    }
}

impl Card {
    /// A card whose authentication certificate is free to read.
    #[must_use]
    pub fn with_certificate(epoch: Epoch, certificate: Certificate) -> Self {
        let serial_number = digest(certificate.der());
        let card = Self::new(epoch, Identity::of_certificate(&certificate), serial_number, false);
        card.put(Credential::UserAuthentication, Holder::User, Some(Arc::new(certificate)));
        card.set_present(Credential::UserAuthentication, true);
        card
    }

    /// A card whose authentication certificate is not one.
    #[must_use]
    pub fn with_unusable_certificate(epoch: Epoch, token_info: Vec<u8>) -> Self {
        let serial_number = digest(&token_info);
        let card = Self::new(epoch, Identity::TokenInfo(token_info), serial_number, false);
        card.put(Credential::UserAuthentication, Holder::User, None);
        card.set_present(Credential::UserAuthentication, true);
        card
    }

    /// A phone, whose authentication certificate wants the PIN.
    #[must_use]
    pub fn with_private_certificate(epoch: Epoch, token_info: Vec<u8>) -> Self {
        let serial_number = digest(&token_info);
        let card = Self::new(epoch, Identity::TokenInfo(token_info), serial_number, true);
        card.set_present(Credential::UserAuthentication, true);
        card
    }

    /// A card without an authentication certificate.
    #[must_use]
    pub fn without_certificate(epoch: Epoch, token_info: Vec<u8>) -> Self {
        let serial_number = digest(&token_info);
        let card = Self::new(epoch, Identity::TokenInfo(token_info), serial_number, false);
        card.set_present(Credential::UserAuthentication, false);
        card
    }

    fn new(epoch: Epoch, identity: Identity, serial_number: [u8; 8], private_authentication: bool) -> Self {
        Self {
            epoch,
            identity,
            serial_number,
            private_authentication,
            present: PerCredential::default(),
            certificates: PerCredential::default(),
            ca_certificates: PerCredential::default(),
            pss: Mutex::new(None),
        }
    }

    /// The connection it belongs to.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What tells it from other cards.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A number that differs from card to card, and that nobody can lead back to its owner: the beginning of a
    /// SHA-256 hash. The card's own serial number may be the same on all cards, and 00000000 (OpenSC) makes two cards
    /// indistinguishable to PKCS#11 URIs.
    #[must_use]
    pub fn serial_number(&self) -> [u8; 8] {
        self.serial_number
    }

    /// Whether the owner's certificate can be read only after a login.
    #[must_use]
    pub fn is_private(&self, credential: Credential) -> bool {
        match credential {
            Credential::UserAuthentication => self.private_authentication,
            Credential::DigitalSignature => true,
        }
    }

    /// Whether the card has this credential, if it is known.
    #[must_use]
    pub fn present(&self, credential: Credential) -> Option<bool> {
        self.present.of(credential).get().copied()
    }

    /// Remembers whether the card has this credential.
    pub fn set_present(&self, credential: Credential, present: bool) {
        // Set before: it was the same answer of the same card.
        let _ = self.present.of(credential).set(present);
    }

    /// A certificate, if it was read; `Some(None)` when the card has none that can be used.
    #[must_use]
    pub fn certificate(&self, credential: Credential, holder: Holder) -> Option<Option<Arc<Certificate>>> {
        self.cell(credential, holder).get().cloned()
    }

    /// Remembers a certificate. The first one stays: a card that answers differently later does not get two keys
    /// mixed.
    pub fn put(&self, credential: Credential, holder: Holder, certificate: Option<Arc<Certificate>>) {
        let _ = self.cell(credential, holder).set(certificate);
    }

    /// Whether the card makes PSS signatures, if it is known.
    #[must_use]
    pub fn pss(&self) -> Option<bool> {
        *self.pss.lock()
    }

    /// Remembers whether the card makes PSS signatures.
    pub fn set_pss(&self, offered: bool) {
        *self.pss.lock() = Some(offered);
    }

    fn cell(&self, credential: Credential, holder: Holder) -> &OnceCell<Option<Arc<Certificate>>> {
        match holder {
            Holder::User => self.certificates.of(credential),
            Holder::Authority => self.ca_certificates.of(credential),
        }
    }
}

impl Holder {
    /// The file of the certificate.
    #[must_use]
    pub fn file(self, credential: Credential) -> FileId {
        match self {
            Self::User => credential.certificate(),
            Self::Authority => credential.ca_certificate(),
        }
    }
}

/// The first eight bytes of a SHA-256 hash.
fn digest(bytes: &[u8]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(bytes));
    [a, b, c, d, e, f, g, h]
}
