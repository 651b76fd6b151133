//! A user of the module who calls everything and checks every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::error::Error;
use jpki_pkcs11::handle::{ObjectHandle, SessionHandle, SlotId};
use jpki_pkcs11::jpki::pin::PinEntry;
use jpki_pkcs11::manager::memory::ProcessMemory;
use jpki_pkcs11::module::Module;
use jpki_pkcs11::os::{SecretMemory, SecretPage};
use jpki_pkcs11::token::attribute::{AttributeAnswer, AttributeQuery};
use jpki_pkcs11::token::mechanism::{MechanismRequest, Parameter};
use jpki_pkcs11::token::output::{BufferSize, Output};

use crate::by_handle::ByHandle;
use crate::card::Reader;

/// Every attribute that an object of this module may have, and some that none has.
pub const ATTRIBUTES: [ck::CK_ATTRIBUTE_TYPE; 26] = [
    ck::CKA_CLASS,
    ck::CKA_TOKEN,
    ck::CKA_PRIVATE,
    ck::CKA_LABEL,
    ck::CKA_VALUE,
    ck::CKA_CERTIFICATE_TYPE,
    ck::CKA_ISSUER,
    ck::CKA_SERIAL_NUMBER,
    ck::CKA_TRUSTED,
    ck::CKA_CERTIFICATE_CATEGORY,
    ck::CKA_CHECK_VALUE,
    ck::CKA_KEY_TYPE,
    ck::CKA_SUBJECT,
    ck::CKA_ID,
    ck::CKA_SENSITIVE,
    ck::CKA_SIGN,
    ck::CKA_VERIFY,
    ck::CKA_START_DATE,
    ck::CKA_END_DATE,
    ck::CKA_MODULUS,
    ck::CKA_MODULUS_BITS,
    ck::CKA_PUBLIC_EXPONENT,
    ck::CKA_PRIVATE_EXPONENT,
    ck::CKA_PUBLIC_KEY_INFO,
    ck::CKA_ALLOWED_MECHANISMS,
    ck::CKA_ALWAYS_AUTHENTICATE,
];

/// Every mechanism that this module has, and one that it has not.
pub const MECHANISMS: [ck::CK_MECHANISM_TYPE; 9] = [
    ck::CKM_RSA_PKCS,
    ck::CKM_SHA1_RSA_PKCS,
    ck::CKM_SHA224_RSA_PKCS,
    ck::CKM_SHA256_RSA_PKCS,
    ck::CKM_SHA384_RSA_PKCS,
    ck::CKM_SHA512_RSA_PKCS,
    ck::CKM_RSA_PKCS_PSS,
    ck::CKM_SHA256_RSA_PKCS_PSS,
    ck::CKM_RSA_X_509,
];

/// The two slots.
pub const SLOTS: [SlotId; 2] = [SlotId::new(0), SlotId::new(1)];

/// A module, one session on each slot and the objects that were found last.
pub struct User {
    pub module: Module,
    reader: Reader,
    memory: Memory,
    sessions: [SessionHandle; 2],
    objects: [Vec<ObjectHandle>; 2],
}

/// Bytes of a page.
const PAGE: usize = 4096;

/// Memory that counts its pages.
#[derive(Clone, Default)]
struct Memory(Arc<AtomicUsize>);

struct Page {
    bytes: Box<[u8; PAGE]>,
    live: Arc<AtomicUsize>,
}

impl User {
    /// A user of this reader, with a module of their own.
    pub fn new(reader: &Reader, mut config: Config) -> Self {
        // An input is seconds of a person's time, and microseconds here.
        config.settings.look_reuse = Duration::ZERO;
        let memory = Memory::default();
        let (calls, secrets) = (Arc::new(reader.clone()), Arc::new(memory.clone()));
        let module = Module::new(config, calls, secrets.clone(), Arc::new(ProcessMemory::new(secrets)));
        Self {
            module,
            reader: reader.clone(),
            memory,
            sessions: [SessionHandle::new(0); 2],
            objects: Default::default(),
        }
    }

    /// Counts and lists slots, and asks each for what it tells without a session.
    pub fn list(&self) {
        for token_present in [false, true] {
            let _ = self.module.count_slots(token_present);
            let _ = self.module.list_slots(token_present);
        }
        for slot in SLOTS {
            let _ = self.module.slot_info(slot);
            let _ = self.module.token_info(slot);
            let _ = self.module.mechanism_list(slot);
            for mechanism in MECHANISMS {
                let _ = self.module.mechanism_info(slot, mechanism);
            }
        }
        self.must_have_cost(0);
    }

    /// A session on a slot, the one there is or a new one.
    pub fn session(&mut self, slot: usize) -> SessionHandle {
        if self.module.session_info(self.sessions[slot]).is_err() {
            let flags = ck::CKF_SERIAL_SESSION | ck::CKF_RW_SESSION;
            self.sessions[slot] =
                self.module.open_session(SLOTS[slot], flags).unwrap_or(SessionHandle::new(0));
        }
        self.sessions[slot]
    }

    /// C_Login.
    pub fn login(&mut self, slot: usize, pin: &[u8]) {
        let session = self.session(slot);
        let _ = self.module.login(session, ck::CKU_USER, PinEntry::Bytes(pin));
        self.must_have_cost(1);
    }

    /// C_Logout.
    pub fn logout(&mut self, slot: usize) {
        let session = self.session(slot);
        let _ = self.module.logout(session);
        self.must_have_cost(0);
    }

    /// C_SetPIN.
    pub fn set_pin(&mut self, slot: usize, old: &[u8], new: &[u8]) {
        let session = self.session(slot);
        let _ = self.module.set_pin(session, PinEntry::Bytes(old), PinEntry::Bytes(new));
        self.must_have_cost(1);
    }

    /// Finds every object and reads every attribute.
    pub fn look(&mut self, slot: usize) {
        let session = self.session(slot);
        self.objects[slot] = self.find(session).unwrap_or_default();
        // A certificate that only the PIN opens may be read here, with a PIN that was right at
        // login.
        self.must_have_cost(1);
        let queries = |room| ATTRIBUTES.map(|kind| AttributeQuery { kind, buffer: room });
        for &object in &self.objects[slot] {
            for room in
                [BufferSize::Query, BufferSize::Bytes(0), BufferSize::Bytes(8), BufferSize::Bytes(65_536)]
            {
                let Ok(result) = self.module.attributes(session, object, &queries(room)) else { continue };
                assert_eq!(result.answers.len(), ATTRIBUTES.len());
                for answer in result.answers {
                    check_room(room, &answer);
                }
            }
            let _ = self.module.object_size(session, object);
        }
        self.must_have_cost(0);
    }

    fn find(&self, session: SessionHandle) -> Result<Vec<ObjectHandle>, Error> {
        self.module.find_objects_init(session, &[])?;
        let found = self.module.find_objects(session, 64);
        self.module.find_objects_final(session)?;
        found
    }

    /// Signs with every object as if it were the key.
    pub fn sign(&mut self, slot: usize, mechanism: ck::CK_MECHANISM_TYPE, parameter: Parameter<'_>) {
        let session = self.session(slot);
        for &object in &self.objects[slot] {
            let request = MechanismRequest { kind: mechanism, parameter };
            if self.module.sign_init(session, Some(request), object).is_err() {
                self.must_have_cost(1);
                continue;
            }
            self.must_have_cost(1);
            let data = if mechanism == ck::CKM_RSA_PKCS_PSS { [7; 32].as_slice() } else { b"data" };
            match self.module.sign(session, data, BufferSize::Bytes(256)) {
                Ok(Output::Bytes(signature)) => assert_eq!(signature.len(), 256),
                Ok(other) => panic!("no signature but {other:?}"),
                Err(_) => {}
            }
            self.must_have_cost(1);
            let ended = self.module.sign(session, b"data", BufferSize::Bytes(256));
            assert!(ended.is_err(), "a second signature");
        }
    }

    /// Verifies garbage with every object as if it were the key.
    pub fn verify(&mut self, slot: usize, mechanism: ck::CK_MECHANISM_TYPE, signature: &[u8]) {
        let session = self.session(slot);
        for &object in &self.objects[slot] {
            let request = MechanismRequest { kind: mechanism, parameter: Parameter::None };
            if self.module.verify_init(session, Some(request), object).is_ok() {
                let _ = self.module.verify(session, b"data", signature);
            }
            self.must_have_cost(1);
        }
    }

    /// The end: nothing of any PIN is left.
    pub fn finish(self) {
        self.module.shut_down();
        drop(self.module);
        assert_eq!(self.memory.0.load(Ordering::Relaxed), 0, "PINs are left in memory");
    }

    /// Checks how many VERIFYs may have failed since this was checked last.
    fn must_have_cost(&self, most: usize) {
        let refused = self.reader.take_refused_verifies();
        assert!(refused <= most, "{refused} VERIFYs were refused\n{}", self.reader.card().ledger());
    }
}

impl SecretMemory for Memory {
    fn page(&self) -> Option<Box<dyn SecretPage>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Some(Box::new(Page { bytes: Box::new([0; PAGE]), live: self.0.clone() }))
    }
}

impl SecretPage for Page {
    fn bytes(&self) -> &[u8] {
        &*self.bytes
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut *self.bytes
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
        assert!(self.bytes.iter().all(|&byte| byte == 0), "a page was given back with something in it");
    }
}

/// An answer fits where it goes.
pub fn check_room(buffer: BufferSize, answer: &AttributeAnswer) {
    match (buffer, answer) {
        (BufferSize::Query, AttributeAnswer::Length(_)) | (_, AttributeAnswer::Unavailable) => {}
        (BufferSize::Bytes(room), AttributeAnswer::Value(value)) => assert!(value.len() <= room),
        other => panic!("an answer that does not fit: {other:?}"),
    }
}
