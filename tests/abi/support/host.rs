//! A program that uses the module: a reader, a card and an initialized module.

use std::ops::Deref;

use cryptoki_sys::CK_SESSION_HANDLE;
use pcsc_stand_in::client::StandIn;
use rsa::Pkcs1v15Sign;
use sha2::{Digest, Sha256};
use test_support::c;
use test_support::client::Client;
use test_support::library::Library;
use virtual_card::{Credential, Identity};

pub const READER: &str = "Virtual Reader 00 00";
/// The card in it.
pub const CARD: &str = "mine";
pub const AUTHENTICATION_PIN: &[u8] = b"1234";
pub const SIGNATURE_PIN: &[u8] = b"ABC123";

pub struct Host {
    pub stand_in: StandIn,
    pub library: Library,
    client: Client,
}

/// The client's helpers are the host's.
impl Deref for Host {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Host {
    /// A loaded module that is not initialized, without a reader.
    pub fn loaded(stand_in: StandIn) -> Self {
        limit_time();
        let library = Library::load();
        let client = Client::of(&library);
        Self { stand_in, library, client }
    }

    /// An initialized module, with a card in a reader.
    pub fn new(stand_in: StandIn) -> Self {
        stand_in.add_reader(READER);
        stand_in.new_card(CARD, "full");
        stand_in.insert(READER, CARD);
        let host = Self::loaded(stand_in);
        host.initialize().ok();
        host
    }

    /// A session with the authentication key's slot, and its user logged in.
    pub fn logged_in(&self) -> CK_SESSION_HANDLE {
        let session = self.open();
        self.login(session, AUTHENTICATION_PIN).ok();
        session
    }

    /// Logs in and signs, from nothing.
    pub fn signs(&self) {
        let session = self.logged_in();
        let signature = self.sign_sha256(session, b"data").unwrap();
        assert_signature(Credential::Authentication, b"data", &signature);
        c!(self.p11, C_CloseSession(session)).ok();
    }

    /// How many signatures the card has made.
    pub fn signatures(&self) -> u64 {
        self.stand_in.card(CARD, &["signatures"]).parse().unwrap()
    }

    /// How many tries were lost.
    pub fn lost_tries(&self) -> u64 {
        let lost = |name| self.stand_in.card(CARD, &["failed-verifies", name]).parse::<u64>().unwrap();
        lost("authentication") + lost("signature")
    }
}

/// A test that hangs is ended by SIGALRM, and fails. Tests take seconds; those that run beside them
/// may be many. What takes many steps says this again at each.
pub fn limit_time() {
    // SAFETY: no preconditions.
    unsafe { libc::alarm(120) };
}

/// Asserts that a signature is CKM_SHA256_RSA_PKCS over `data`, with the card owner's key and not
/// through the module.
pub fn assert_signature(credential: Credential, data: &[u8], signature: &[u8]) {
    let key = Identity::shared().public_key(credential);
    let verified = key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(data), signature);
    assert!(verified.is_ok(), "not the card's signature");
}

/// Asserts that a signature is CKM_RSA_PKCS over `block`.
pub fn assert_raw_signature(credential: Credential, block: &[u8], signature: &[u8]) {
    let key = Identity::shared().public_key(credential);
    let verified = key.verify(Pkcs1v15Sign::new_unprefixed(), block, signature);
    assert!(verified.is_ok(), "not the card's signature");
}

/// A field of PKCS#11: text and blanks. Fails for anything else.
pub fn text_of(field: &[u8]) -> &str {
    let text = std::str::from_utf8(field).expect("UTF-8, not cut inside a character");
    assert!(!text.contains('\0'), "{text:?} has a NUL");
    text.trim_end_matches(' ')
}
