//! A service of one reader with a card, a module over it, and what tests do with them.
//!
//! When a fixture is dropped and the test has not failed, it checks what must be true at the end of
//! every test; see [`invariants`](super::invariants).

mod builder;

use std::ffi::CStr;
use std::sync::{Arc, Barrier, Mutex};

use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::error::Error;
use jpki_pkcs11::handle::{ObjectHandle, SessionHandle, SlotId};
use jpki_pkcs11::jpki::pin::PinEntry;
use jpki_pkcs11::module::Module;
use jpki_pkcs11::token::attribute::{AttributeAnswer, AttributeQuery};
use jpki_pkcs11::token::mechanism::{MechanismRequest, Parameter};
use jpki_pkcs11::token::output::{BufferSize, Output};
use jpki_pkcs11::token::template::TemplateEntry;
use pcsc_stand_in::service::{Fault, Foreign, Function, Service, When};
use virtual_card::{Credential, Identity, Profile, VirtualCard};

pub use self::builder::Builder;
use super::by_handle::ByHandle;
use super::invariants::{Attempts, Expectations};
use super::memory::TestMemory;

/// The reader of every fixture.
pub const READER: &CStr = c"Virtual Reader 00 00";

/// The right PINs of a full card.
pub const AUTH_PIN: &[u8] = b"1234";
/// See [`AUTH_PIN`].
pub const SIGN_PIN: &[u8] = b"ABC123";

/// More than any attribute has.
const LARGE: usize = 65_536;

/// A module over a simulated service, and the card in its reader. Threads may share `&Fixture`.
pub struct Fixture {
    service: Service,
    card: VirtualCard,
    /// Every card that was ever in the reader.
    cards: Mutex<Vec<VirtualCard>>,
    memory: Arc<TestMemory>,
    /// `None` only while it is dropped.
    module: Option<Module>,
    pub(super) attempts: Mutex<Attempts>,
    pub(super) expectations: Mutex<Expectations>,
}

impl Fixture {
    /// A full card in the reader and the default configuration.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A card of this kind in the reader.
    pub fn with(profile: Profile) -> Self {
        Self::builder().profile(profile).build()
    }

    /// Anything else.
    pub fn builder() -> Builder {
        let (profile, identity) = (Profile::full(), Identity::shared());
        Builder {
            profile,
            identity,
            config: Config::default(),
            inserted: true,
            reuses_counts: false,
            waits: false,
        }
    }

    /// The module under test.
    pub fn module(&self) -> &Module {
        self.module.as_ref().expect("the fixture lives")
    }

    /// The PC/SC service: faults, calls, foreign programs.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The card: ledger, faults, counters.
    pub fn card(&self) -> &VirtualCard {
        &self.card
    }

    /// The pages of PINs.
    pub fn memory(&self) -> &TestMemory {
        &self.memory
    }

    /// Another program at the same readers.
    pub fn foreign(&self) -> Foreign {
        self.service.foreign()
    }

    /// The slot of user authentication at the first reader.
    pub fn auth_slot(&self) -> SlotId {
        SlotId::new(0)
    }

    /// The slot of digital signatures at the first reader.
    pub fn sign_slot(&self) -> SlotId {
        SlotId::new(1)
    }

    /// The slot of a credential.
    pub fn slot_of(&self, credential: Credential) -> SlotId {
        match credential {
            Credential::Authentication => self.auth_slot(),
            Credential::Signature => self.sign_slot(),
        }
    }

    /// A read-only session.
    pub fn open(&self, slot: SlotId) -> SessionHandle {
        self.module().open_session(slot, ck::CKF_SERIAL_SESSION).expect("a session")
    }

    /// A read-only session. A card that could not be recognised is not looked at again before it
    /// was out: so it goes out and comes back, without its faults.
    pub fn open_after_failure(&self, slot: SlotId) -> SessionHandle {
        if self.module().token_info(slot).is_err() {
            self.card.clear_faults();
            self.service.clear_faults();
            self.service.out_and_in(READER);
        }
        self.open(slot)
    }

    /// A read-write session.
    pub fn open_rw(&self, slot: SlotId) -> SessionHandle {
        self.module().open_session(slot, ck::CKF_SERIAL_SESSION | ck::CKF_RW_SESSION).expect("a session")
    }

    /// A session that is logged in with the right PIN of a full card.
    pub fn logged_in(&self, credential: Credential) -> SessionHandle {
        let session = self.open(self.slot_of(credential));
        let pin = match credential {
            Credential::Authentication => AUTH_PIN,
            Credential::Signature => SIGN_PIN,
        };
        self.login(session, pin).expect("the right PIN");
        session
    }

    /// C_Login of the user.
    ///
    /// # Errors
    /// As the module says.
    pub fn login(&self, session: SessionHandle, pin: &[u8]) -> Result<(), Error> {
        self.login_as(session, ck::CKU_USER, pin)
    }

    /// C_Login for the operation that is active.
    ///
    /// # Errors
    /// As the module says.
    pub fn login_for_operation(&self, session: SessionHandle, pin: &[u8]) -> Result<(), Error> {
        self.login_as(session, ck::CKU_CONTEXT_SPECIFIC, pin)
    }

    /// C_Login of any user. A login that does not go through here has no right to cost a try.
    ///
    /// # Errors
    /// As the module says.
    pub fn login_as(&self, session: SessionHandle, user: ck::CK_USER_TYPE, pin: &[u8]) -> Result<(), Error> {
        let credential = self.credential_of(session);
        let result = self.module().login(session, user, PinEntry::Bytes(pin));
        self.attempts.lock().unwrap().note(credential, pin, result.is_ok());
        result
    }

    /// C_SetPIN.
    ///
    /// # Errors
    /// As the module says.
    pub fn set_pin(&self, session: SessionHandle, old: &[u8], new: &[u8]) -> Result<(), Error> {
        let credential = self.credential_of(session);
        let result = self.module().set_pin(session, PinEntry::Bytes(old), PinEntry::Bytes(new));
        self.attempts.lock().unwrap().note(credential, old, result.is_ok());
        result
    }

    /// The objects of a class that the session sees.
    pub fn find(&self, session: SessionHandle, class: ck::CK_OBJECT_CLASS) -> Vec<ObjectHandle> {
        let value = class.to_ne_bytes();
        self.find_by(session, &[TemplateEntry { kind: ck::CKA_CLASS, value: &value }]).expect("a search")
    }

    /// A whole search.
    ///
    /// # Errors
    /// The first one that the module returns.
    pub fn find_by(
        &self,
        session: SessionHandle,
        template: &[TemplateEntry<'_>],
    ) -> Result<Vec<ObjectHandle>, Error> {
        self.module().find_objects_init(session, template)?;
        let found = self.module().find_objects(session, 64);
        self.module().find_objects_final(session)?;
        found
    }

    /// The one object of a class.
    pub fn the(&self, session: SessionHandle, class: ck::CK_OBJECT_CLASS) -> ObjectHandle {
        match self.find(session, class)[..] {
            [object] => object,
            ref found => panic!("not one object of class {class} but {found:?}"),
        }
    }

    /// The private key of the session's token, which has to be logged in to.
    pub fn key(&self, session: SessionHandle) -> ObjectHandle {
        self.the(session, ck::CKO_PRIVATE_KEY)
    }

    /// The value of one attribute.
    ///
    /// # Errors
    /// As the module says.
    pub fn attribute(
        &self,
        session: SessionHandle,
        object: ObjectHandle,
        kind: ck::CK_ATTRIBUTE_TYPE,
    ) -> Result<Vec<u8>, Error> {
        let query = AttributeQuery { kind, buffer: BufferSize::Bytes(LARGE) };
        let result = self.module().attributes(session, object, &[query])?;
        result.result?;
        match result.answers.as_slice() {
            [AttributeAnswer::Value(value)] => Ok(value.to_vec()),
            other => panic!("an attribute without a value: {other:?}"),
        }
    }

    /// C_SignInit with the token's private key and C_Sign, with room for any signature.
    ///
    /// # Errors
    /// As the module says.
    pub fn sign(
        &self,
        session: SessionHandle,
        mechanism: ck::CK_MECHANISM_TYPE,
        data: &[u8],
    ) -> Result<Vec<u8>, Error> {
        self.sign_init(session, mechanism, self.key(session))?;
        self.finish_sign(session, data)
    }

    /// C_SignInit for RSASSA-PSS with SHA-256 and the token's private key, and C_Sign.
    ///
    /// # Errors
    /// As the module says.
    pub fn sign_pss(&self, session: SessionHandle) -> Result<Vec<u8>, Error> {
        let parameter = [ck::CKM_SHA256, ck::CKG_MGF1_SHA256, 32].map(ck::CK_ULONG::to_ne_bytes).concat();
        let request =
            MechanismRequest { kind: ck::CKM_SHA256_RSA_PKCS_PSS, parameter: Parameter::Bytes(&parameter) };
        self.module().sign_init(session, Some(request), self.key(session))?;
        self.finish_sign(session, b"data")
    }

    /// C_SignInit with a mechanism without parameter.
    ///
    /// # Errors
    /// As the module says.
    pub fn sign_init(
        &self,
        session: SessionHandle,
        kind: ck::CK_MECHANISM_TYPE,
        key: ObjectHandle,
    ) -> Result<(), Error> {
        let request = MechanismRequest { kind, parameter: Parameter::None };
        self.module().sign_init(session, Some(request), key)
    }

    /// C_Sign, with room for any signature.
    ///
    /// # Errors
    /// As the module says.
    pub fn finish_sign(&self, session: SessionHandle, data: &[u8]) -> Result<Vec<u8>, Error> {
        match self.module().sign(session, data, BufferSize::Bytes(LARGE))? {
            Output::Bytes(signature) => Ok(signature),
            other => panic!("no signature but {other:?}"),
        }
    }

    /// Puts the card in, when it lies beside the reader.
    pub fn insert_card(&self) {
        self.service.insert(READER, Arc::new(self.card.clone()));
    }

    /// Takes the card out.
    pub fn remove_card(&self) {
        self.service.remove_card(READER);
    }

    /// Takes the card out and lets the module look, where the service counts no insertions: there
    /// it could not know later that the card was exchanged.
    pub fn show_empty_reader(&self) {
        if self.service.quirks().is_macos {
            self.remove_card();
            assert_eq!(self.module().count_slots(true), Ok(0));
        }
    }

    /// Puts another card in, in place of what is there. It counts at the end as the first one does.
    pub fn swap_card(&self, profile: Profile, identity: Identity) -> VirtualCard {
        let card = VirtualCard::new(profile, identity);
        self.cards.lock().unwrap().push(card.clone());
        self.service.insert(READER, Arc::new(card.clone()));
        card
    }

    /// Stops the thread that makes such a call of a function: it has come when the first wait of
    /// the barrier is over, and goes on at the second.
    pub fn stop_before(&self, function: Function, when: When) -> Arc<Barrier> {
        let breakpoint = Arc::new(Barrier::new(2));
        let reached = breakpoint.clone();
        let stop = Fault::before(move |_| {
            reached.wait();
            reached.wait();
        });
        self.service.inject(function, when, stop);
        breakpoint
    }

    /// Tries left, as the card counts them.
    pub fn tries_left(&self, credential: Credential) -> u8 {
        self.card.tries_left(credential)
    }

    /// Every card that was ever in the reader.
    pub(super) fn cards(&self) -> Vec<VirtualCard> {
        self.cards.lock().unwrap().clone()
    }

    /// Which PIN a session's login is for. A session that is none takes no PIN at all.
    fn credential_of(&self, session: SessionHandle) -> Option<Credential> {
        let info = self.module().session_info(session).ok()?;
        // Two slots for each reader, authentication first.
        Some(if info.slotID % 2 == 0 { Credential::Authentication } else { Credential::Signature })
    }
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.check_card();
        self.module().shut_down();
        self.module = None;
        self.check_nothing_is_left();
    }
}
