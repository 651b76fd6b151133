//! The real thing that the reference is compared with: two modules over one simulated reader, and
//! three virtual cards.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::Duration;

use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::error::Error;
use jpki_pkcs11::handle::{ObjectHandle, SessionHandle, SlotId};
use jpki_pkcs11::jpki::pin::PinEntry;
use jpki_pkcs11::manager::memory::ProcessMemory;
use jpki_pkcs11::module::Module;
use jpki_pkcs11::token::mechanism::{MechanismRequest, Parameter};
use jpki_pkcs11::token::output::{BufferSize, Output};
use jpki_pkcs11::token::template::TemplateEntry;
use pcsc_stand_in::service::{Caller, Disposition, Service};
use virtual_card::{Credential, Identity, Profile, VirtualCard};

use super::acts::{Act, Call, nth_last};
use super::reference::{ALWAYS_AUTHENTICATES, Answer, Entry};
use crate::support::by_handle::ByHandle;
use crate::support::memory::{TestMemory, process_memory};
use crate::support::signatures::assert_sha256_signature;
use crate::support::simulated_pcsc::SimulatedPcsc;

const READER: &CStr = c"Virtual Reader 00 00";

/// 共通カード
const OTHER_APPLICATION: [u8; 10] = [0xd3, 0x92, 0x10, 0x00, 0x31, 0x00, 0x01, 0x01, 0x01, 0x00];

const PIN_FLAGS: ck::CK_FLAGS =
    ck::CKF_USER_PIN_COUNT_LOW | ck::CKF_USER_PIN_FINAL_TRY | ck::CKF_USER_PIN_LOCKED;

/// A module and what its user remembers.
pub struct User {
    module: Module,
    pub memory: Arc<TestMemory>,
    /// What outlives C_Finalize.
    process: Arc<ProcessMemory>,
    sessions: Vec<(SessionHandle, Credential)>,
    /// The private keys found last.
    keys: BTreeMap<Credential, ObjectHandle>,
}

/// One PIN of one card.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    /// VERIFYs that the card refused so far.
    pub failed: usize,
    pub is_full: bool,
}

/// The reader, the cards and the two users.
pub struct Modules {
    service: Service,
    pub cards: [VirtualCard; 3],
    pub users: [User; 2],
    inserted: Option<usize>,
}

impl User {
    fn new(service: &Service, index: usize, process: Arc<ProcessMemory>) -> Self {
        let memory = Arc::new(TestMemory::default());
        let transport = Arc::new(SimulatedPcsc::new(service.clone()));
        let always = if index == ALWAYS_AUTHENTICATES { "always_authenticate = true" } else { "" };
        let mut config = Config::parse(always);
        config.settings.count_reuse = Duration::ZERO;
        config.settings.look_reuse = Duration::ZERO;
        let module = Module::new(config, transport, memory.clone(), process.clone());
        module.count_slots(false).expect("counting slots never fails");
        Self { module, memory, process, sessions: Vec::new(), keys: BTreeMap::new() }
    }

    /// A session, counted backwards; a handle of nothing when there are too few.
    fn session(&self, back: usize) -> (SessionHandle, Credential) {
        let session = self.sessions.get(nth_last(self.sessions.len(), back));
        session.copied().unwrap_or((SessionHandle::new(0), Credential::Authentication))
    }

    fn open(&mut self, credential: Credential, read_write: bool) -> Result<(), Error> {
        let read_write = if read_write { ck::CKF_RW_SESSION } else { 0 };
        let session = self.module.open_session(slot(credential), ck::CKF_SERIAL_SESSION | read_write)?;
        assert!(self.sessions.iter().all(|(other, _)| *other != session), "a handle is used again");
        self.sessions.push((session, credential));
        Ok(())
    }

    /// C_Login and, when that went well, a search for the private key.
    fn login(&mut self, back: usize, entry: usize) -> Result<(), Error> {
        let (session, credential) = self.session(back);
        self.module.login(session, ck::CKU_USER, pin(credential, entry))?;
        let class = ck::CKO_PRIVATE_KEY.to_ne_bytes();
        self.module.find_objects_init(session, &[TemplateEntry { kind: ck::CKA_CLASS, value: &class }])?;
        let found = self.module.find_objects(session, 2)?;
        self.module.find_objects_final(session)?;
        let [key] = found[..] else { panic!("not one private key but {found:?}") };
        self.keys.insert(credential, key);
        Ok(())
    }

    fn sign_init(&self, back: usize) -> Result<(), Error> {
        let (session, credential) = self.session(back);
        let key = self.keys.get(&credential).copied().unwrap_or(ObjectHandle::new(0));
        let request = MechanismRequest { kind: ck::CKM_SHA256_RSA_PKCS, parameter: Parameter::None };
        self.module.sign_init(session, Some(request), key)
    }

    /// C_Sign, and before it the two calls that must change nothing.
    fn sign(&self, back: usize, card: Option<&VirtualCard>) -> Result<(), Error> {
        let (session, credential) = self.session(back);
        for (room, refusal) in
            [(BufferSize::Query, Output::Length(256)), (BufferSize::Bytes(255), Output::TooSmall(256))]
        {
            assert_eq!(self.module.sign(session, b"data", room)?, refusal);
        }
        match self.module.sign(session, b"data", BufferSize::Bytes(256))? {
            Output::Bytes(signature) => {
                let card = card.expect("a signature without a card");
                assert_sha256_signature(card, credential, b"data", &signature);
                Ok(())
            }
            other => panic!("no signature but {other:?}"),
        }
    }

    /// C_Login for the signature that has begun.
    fn authorize(&self, back: usize, entry: usize) -> Result<(), Error> {
        let (session, credential) = self.session(back);
        self.module.login(session, ck::CKU_CONTEXT_SPECIFIC, pin(credential, entry))
    }

    fn token_info(&self, credential: Credential) -> Result<Answer, Error> {
        let info = self.module.token_info(slot(credential))?;
        Ok(Answer::Token {
            flags: info.flags & PIN_FLAGS,
            sessions: info.ulSessionCount,
            read_write: info.ulRwSessionCount,
        })
    }

    fn perform(&mut self, call: Call, card: Option<&VirtualCard>) -> Result<Answer, Error> {
        match call {
            Call::Open(credential, read_write) => self.open(credential, read_write)?,
            Call::Close(back) => self.module.close_session(self.session(back).0)?,
            Call::CloseAll(credential) => self.module.close_all_sessions(slot(credential))?,
            Call::Login(back, entry) => self.login(back, entry)?,
            Call::Logout(back) => self.module.logout(self.session(back).0)?,
            Call::SetPin(back, old, new) => {
                let (session, credential) = self.session(back);
                self.module.set_pin(session, pin(credential, old), pin(credential, new))?;
            }
            Call::SignInit(back) => self.sign_init(back)?,
            Call::Sign(back) => self.sign(back, card)?,
            Call::SignAtOnce(back) => match self.sign_init(back) {
                Ok(()) | Err(Error::OperationActive) => self.sign(back, card)?,
                Err(error) => return Err(error),
            },
            Call::Authorize(back, entry) | Call::SignOnce(back, entry) => {
                match self.sign_init(back) {
                    Ok(()) | Err(Error::OperationActive) => self.authorize(back, entry)?,
                    Err(error) => return Err(error),
                }
                if matches!(call, Call::SignOnce(..)) {
                    self.sign(back, card)?;
                }
            }
            Call::SessionInfo(back) => {
                return Ok(Answer::State(self.module.session_info(self.session(back).0)?.state));
            }
            Call::TokenInfo(credential) => return self.token_info(credential),
            Call::Restart => unreachable!("it makes another module"),
        }
        Ok(Answer::Code(ck::CKR_OK))
    }
}

impl Modules {
    /// As [`reference::Model::new`](super::reference::Model::new) has it.
    pub fn new() -> Self {
        let service = Service::new();
        service.add_reader(READER);
        let cards = [
            VirtualCard::new(Profile::full(), Identity::shared()),
            VirtualCard::new(Profile::full(), Identity::from_seed(1)),
            VirtualCard::new(Profile::not_jpki(), Identity::shared()),
        ];
        service.insert(READER, Arc::new(cards[0].clone()));
        let users = [0, 1].map(|index| User::new(&service, index, process_memory()));
        Self { service, cards, users, inserted: Some(0) }
    }

    /// The PINs of all cards as they are now.
    pub fn tries(&self) -> [[Tries; 2]; 3] {
        let of = |card: &VirtualCard, credential| Tries {
            failed: card.failed_verifies(credential),
            is_full: card.tries_left(credential) == full(credential),
        };
        self.cards.each_ref().map(|card| Credential::ALL.map(|credential| of(card, credential)))
    }

    /// Does it.
    pub fn perform(&mut self, act: Act) -> Answer {
        match act {
            Act::Call(index, Call::Restart) => {
                let user = &mut self.users[index];
                user.module.shut_down();
                *user = User::new(&self.service, index, user.process.clone());
            }
            Act::Call(index, call) => {
                let card = self.inserted.map(|card| &self.cards[card]);
                let result = self.users[index].perform(call, card);
                return result.unwrap_or_else(|error| Answer::Code(error.return_value()));
            }
            Act::Put(card) => {
                self.service.remove_card(READER);
                if let Some(card) = card {
                    self.service.insert(READER, Arc::new(self.cards[card].clone()));
                }
                self.inserted = card;
            }
            Act::OutAndIn => self.service.out_and_in(READER),
            Act::Disturb => self.service.disturb(READER),
            Act::ForeignReset | Act::ForeignSelect | Act::ForeignWrongPin(_) => self.foreign(act),
            Act::ForeignTries(credential, left) => {
                if let Some(card) = self.inserted.map(|card| &self.cards[card]) {
                    card.set_tries_left(credential, left.min(full(credential)));
                }
            }
            Act::ForeignPinChange(credential, entry) => {
                if let Some(card) = self.inserted.map(|card| &self.cards[card]) {
                    card.set_pin(credential, Entry::of(credential, entry).means.expect("a PIN"));
                    card.set_tries_left(credential, full(credential));
                }
            }
        }
        Answer::Code(ck::CKR_OK)
    }

    fn foreign(&self, act: Act) {
        // Without a card there is nothing to connect to.
        let Ok(card) = self.service.foreign().connect(READER) else { return };
        match act {
            Act::ForeignReset => card.disconnect(Disposition::Reset).expect("connected"),
            Act::ForeignWrongPin(credential) => {
                let (file, pin) = match credential {
                    Credential::Authentication => (0x0018, b"0000".as_slice()),
                    Credential::Signature => (0x001b, b"FOREIGN0".as_slice()),
                };
                if card.select_jpki() == Ok(0x9000) {
                    card.verify(file, pin).expect("connected");
                }
            }
            _ => drop(card.select(&OTHER_APPLICATION).expect("connected")),
        }
    }

    /// Ends both modules; nothing of them may be left.
    pub fn finish(self) {
        let Self { service, users, .. } = self;
        for User { module, memory, .. } in users {
            module.shut_down();
            drop(module);
            assert_eq!(memory.live_pages(), 0, "PINs are left in memory");
            assert!(memory.is_wiped(), "a page was given back with something in it");
        }
        assert_eq!(service.open_handles(), (0, 0), "contexts and connections are left");
        assert_eq!(service.power_counts(Caller::Tested).resets, 0, "a module has reset a card");
    }
}

fn slot(credential: Credential) -> SlotId {
    // Two slots for each reader, authentication first.
    SlotId::new(credential as u64)
}

fn pin(credential: Credential, entry: usize) -> PinEntry<'static> {
    PinEntry::Bytes(Entry::of(credential, entry).text.as_bytes())
}

fn full(credential: Credential) -> u8 {
    match credential {
        Credential::Authentication => 3,
        Credential::Signature => 5,
    }
}
