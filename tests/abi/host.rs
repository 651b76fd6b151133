//! A program that uses the module: a reader, a card and an initialized module, and short helpers over the table of
//! version 3.2.

use std::ptr;

use cryptoki_sys as ck;
use cryptoki_sys::{CK_ATTRIBUTE, CK_FUNCTION_LIST_3_2, CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE};
use cryptoki_sys::{CK_SLOT_ID, CK_ULONG};
use pcsc_stand_in::client::StandIn;
use rsa::Pkcs1v15Sign;
use sha2::{Digest, Sha256};
use virtual_card::{Credential, Identity};

use super::library::Library;
use super::{Rv, ulong};

pub const READER: &str = "Virtual Reader 00 00";
/// The card in it.
pub const CARD: &str = "mine";
pub const AUTHENTICATION_PIN: &[u8] = b"1234";
pub const SIGNATURE_PIN: &[u8] = b"ABC123";
/// Bytes of every signature.
pub const SIGNATURE: usize = 256;

pub struct Host {
    pub stand_in: StandIn,
    pub library: Library,
    pub p11: &'static CK_FUNCTION_LIST_3_2,
}

impl Host {
    /// A loaded module that is not initialized, without a reader.
    pub fn loaded(stand_in: StandIn) -> Self {
        limit_time();
        let library = Library::load();
        let p11 = library.table_3_2();
        Self { stand_in, library, p11 }
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

    pub fn initialize(&self) -> Rv {
        let mut arguments = ck::CK_C_INITIALIZE_ARGS { flags: ck::CKF_OS_LOCKING_OK, ..Default::default() };
        c!(self.p11, C_Initialize(ptr::from_mut(&mut arguments).cast()))
    }

    pub fn finalize(&self) -> Rv {
        c!(self.p11, C_Finalize(ptr::null_mut()))
    }

    /// The slots, looked for anew.
    pub fn slots(&self, with_token: bool) -> Vec<CK_SLOT_ID> {
        let with_token = if with_token { ck::CK_TRUE } else { ck::CK_FALSE };
        let mut count = 0;
        c!(self.p11, C_GetSlotList(with_token, ptr::null_mut(), &raw mut count)).ok();
        let mut slots = vec![0; count.try_into().unwrap()];
        c!(self.p11, C_GetSlotList(with_token, slots.as_mut_ptr(), &raw mut count)).ok();
        slots.truncate(count.try_into().unwrap());
        slots
    }

    /// The slots of the authentication key and of the signature key.
    pub fn both_slots(&self) -> [CK_SLOT_ID; 2] {
        self.slots(true).try_into().expect("two slots with a token")
    }

    pub fn open_on(&self, slot: CK_SLOT_ID) -> Result<CK_SESSION_HANDLE, Rv> {
        let mut session = 0;
        let flags = ck::CKF_SERIAL_SESSION | ck::CKF_RW_SESSION;
        c!(self.p11, C_OpenSession(slot, flags, ptr::null_mut(), None, &raw mut session)).result()?;
        Ok(session)
    }

    /// A session with the authentication key's slot.
    pub fn open(&self) -> CK_SESSION_HANDLE {
        self.open_on(self.both_slots()[0]).unwrap()
    }

    pub fn login(&self, session: CK_SESSION_HANDLE, pin: &[u8]) -> Rv {
        c!(self.p11, C_Login(session, ck::CKU_USER, pin.as_ptr().cast_mut(), ulong(pin.len())))
    }

    /// A session with the authentication key's slot, and its user logged in.
    pub fn logged_in(&self) -> CK_SESSION_HANDLE {
        let session = self.open();
        self.login(session, AUTHENTICATION_PIN).ok();
        session
    }

    /// The first object of a class that this session sees.
    pub fn find(&self, session: CK_SESSION_HANDLE, class: ck::CK_OBJECT_CLASS) -> CK_OBJECT_HANDLE {
        self.try_find(session, class).unwrap()
    }

    fn try_find(
        &self,
        session: CK_SESSION_HANDLE,
        class: ck::CK_OBJECT_CLASS,
    ) -> Result<CK_OBJECT_HANDLE, Rv> {
        let mut value = class.to_ne_bytes();
        let mut template = attribute(ck::CKA_CLASS, &mut value);
        c!(self.p11, C_FindObjectsInit(session, &raw mut template, 1)).result()?;
        let (mut object, mut count) = (0, 0);
        c!(self.p11, C_FindObjects(session, &raw mut object, 1, &raw mut count)).result()?;
        c!(self.p11, C_FindObjectsFinal(session)).result()?;
        assert_eq!(count, 1, "an object of class {class}");
        Ok(object)
    }

    pub fn private_key(&self, session: CK_SESSION_HANDLE) -> CK_OBJECT_HANDLE {
        self.find(session, ck::CKO_PRIVATE_KEY)
    }

    pub fn sign_init(
        &self,
        session: CK_SESSION_HANDLE,
        kind: ck::CK_MECHANISM_TYPE,
        key: CK_OBJECT_HANDLE,
    ) -> Rv {
        let mut mechanism = mechanism(kind);
        c!(self.p11, C_SignInit(session, &raw mut mechanism, key))
    }

    /// C_Sign with a buffer of the right size.
    pub fn sign(&self, session: CK_SESSION_HANDLE, data: &[u8]) -> Result<Vec<u8>, Rv> {
        let mut signature = vec![0; SIGNATURE];
        let mut length = ulong(SIGNATURE);
        let data_length = ulong(data.len());
        let data = data.as_ptr().cast_mut();
        let rv = c!(self.p11, C_Sign(session, data, data_length, signature.as_mut_ptr(), &raw mut length));
        rv.result().map(|()| signature)
    }

    /// Finds the key, and signs with SHA-256.
    pub fn sign_sha256(&self, session: CK_SESSION_HANDLE, data: &[u8]) -> Result<Vec<u8>, Rv> {
        let key = self.try_find(session, ck::CKO_PRIVATE_KEY)?;
        self.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).result()?;
        self.sign(session, data)
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

/// A test that hangs is ended by SIGALRM, and fails. Tests take seconds; those that run beside them may be many.
fn limit_time() {
    // SAFETY: no preconditions.
    unsafe { libc::alarm(120) };
}

/// A mechanism without a parameter.
pub fn mechanism(kind: ck::CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM { mechanism: kind, pParameter: ptr::null_mut(), ulParameterLen: 0 }
}

/// An attribute with a value, or with room for one.
pub fn attribute(kind: ck::CK_ATTRIBUTE_TYPE, value: &mut [u8]) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_: kind, pValue: value.as_mut_ptr().cast(), ulValueLen: ulong(value.len()) }
}

/// An attribute of which only the length is asked for.
pub fn query(kind: ck::CK_ATTRIBUTE_TYPE) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_: kind, pValue: ptr::null_mut(), ulValueLen: 0 }
}

/// Asserts that a signature is CKM_SHA256_RSA_PKCS over `data`, with the card owner's key and not through the module.
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

/// A length or a count that C gave.
pub fn size(number: CK_ULONG) -> usize {
    number.try_into().unwrap()
}
