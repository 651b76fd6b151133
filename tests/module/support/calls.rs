//! Every call that talks to the card, ready to be made: for tests that disturb each of its
//! commands.

mod arguments;

use std::collections::BTreeMap;
use std::sync::Mutex;

use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::error::Error;
use jpki_pkcs11::handle::{ObjectHandle, SessionHandle};
use jpki_pkcs11::token::output::{BufferSize, Output};
use rsa::{Pkcs1v15Sign, Pss};
use sha2::{Digest, Sha256};
use virtual_card::{CommandRecord, Credential, Fault, Mark, Profile};

use self::arguments::{new_pin, pin, pss};
use super::by_handle::ByHandle;
use super::fixture::{Fixture, SIGN_PIN};

/// What is signed.
const DATA: &[u8] = b"data to be signed";

/// PERFORM SECURITY OPERATION.
const SIGN_COMMAND: u8 = 0x2a;

/// A call. Those on a slot whose card was never looked at say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// C_GetSlotList of tokens; the card is new.
    ListSlots,
    /// C_GetTokenInfo; the card is new.
    NewTokenInfo(Credential),
    /// C_OpenSession; the card is new.
    OpenSession(Credential),
    /// C_GetTokenInfo.
    TokenInfo(Credential),
    /// C_GetMechanismList.
    Mechanisms,
    /// C_FindObjectsInit of everything, before login.
    Find(Credential),
    /// C_FindObjectsInit of everything, after login.
    FindPrivate(Credential),
    /// C_Login.
    Login(Credential),
    /// C_Login under a configuration that has the tries counted first.
    CountedLogin(Credential),
    /// C_SignInit for PSS.
    SignInit,
    /// C_Sign.
    Sign(Credential),
    /// C_Sign for PSS.
    SignPss,
    /// C_SignFinal.
    SignFinal(Credential),
    /// C_Login for one operation.
    LoginForOperation,
    /// C_Sign after it.
    SignOnce,
    /// C_SetPIN.
    SetPin(Credential),
}

/// A call that is ready to be made in a service of its own.
pub struct Ready {
    /// That service.
    pub fixture: Fixture,
    /// The call.
    pub call: Call,
    /// The session it is made on; `None` for a call on a slot.
    pub session: Option<SessionHandle>,
    key: Option<ObjectHandle>,
    mark: Mark,
    was_logged_in: bool,
}

/// A signature is made with the key of this credential.
const AUTH: Credential = Credential::Authentication;
const SIGN: Credential = Credential::Signature;

impl Call {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::ListSlots,
        Self::NewTokenInfo(AUTH),
        Self::NewTokenInfo(SIGN),
        Self::OpenSession(AUTH),
        Self::OpenSession(SIGN),
        Self::TokenInfo(AUTH),
        Self::TokenInfo(SIGN),
        Self::Mechanisms,
        Self::Find(AUTH),
        Self::Find(SIGN),
        Self::FindPrivate(AUTH),
        Self::FindPrivate(SIGN),
        Self::Login(AUTH),
        Self::Login(SIGN),
        Self::CountedLogin(AUTH),
        Self::CountedLogin(SIGN),
        Self::SignInit,
        Self::Sign(AUTH),
        Self::Sign(SIGN),
        Self::SignPss,
        Self::SignFinal(AUTH),
        Self::SignFinal(SIGN),
        Self::LoginForOperation,
        Self::SignOnce,
        Self::SetPin(AUTH),
        Self::SetPin(SIGN),
    ];

    /// Those that a card of this kind can be asked for.
    pub fn all_on(profile: &Profile) -> impl Iterator<Item = Self> {
        let pss = profile.sign_schemes.contains(&0x04);
        Self::ALL.iter().copied().filter(move |call| pss || !matches!(call, Self::SignInit | Self::SignPss))
    }

    /// Makes a service in which only this call is left to be made.
    pub fn ready(self, profile: &Profile) -> Ready {
        let config = match self {
            Self::CountedLogin(_) => "reserve_tries = 1",
            Self::LoginForOperation | Self::SignOnce => "always_authenticate = true",
            _ => "",
        };
        let fixture = Fixture::builder().profile(profile.clone()).config(Config::parse(config)).build();
        let mut ready = Ready {
            fixture,
            call: self,
            session: None,
            key: None,
            mark: Mark::default(),
            was_logged_in: false,
        };
        ready.prepare();
        ready.was_logged_in = ready.session.is_some() && ready.is_logged_in();
        ready.mark = ready.fixture.card().mark();
        ready
    }

    /// The commands that the card gets when nothing disturbs the call.
    pub fn commands(self, profile: &Profile) -> Vec<CommandRecord> {
        let ready = self.ready(profile);
        ready.make().unwrap_or_else(|error| panic!("{self:?}: {error}"));
        ready.commands()
    }

    /// Which credential it is about.
    pub fn credential(self) -> Credential {
        match self {
            Self::ListSlots | Self::Mechanisms | Self::SignInit | Self::SignPss => AUTH,
            Self::LoginForOperation | Self::SignOnce => SIGN,
            Self::NewTokenInfo(credential)
            | Self::OpenSession(credential)
            | Self::TokenInfo(credential)
            | Self::Find(credential)
            | Self::FindPrivate(credential)
            | Self::Login(credential)
            | Self::CountedLogin(credential)
            | Self::Sign(credential)
            | Self::SignFinal(credential)
            | Self::SetPin(credential) => credential,
        }
    }

    /// Whether it is the first to look at the card.
    pub fn meets_the_card(self) -> bool {
        matches!(self, Self::ListSlots | Self::NewTokenInfo(_) | Self::OpenSession(_))
    }

    /// Whether it makes a signature.
    pub fn signs(self) -> bool {
        matches!(self, Self::Sign(_) | Self::SignPss | Self::SignFinal(_) | Self::SignOnce)
    }

    /// Whether it brings a PIN that may be right or wrong.
    pub fn brings_a_pin(self) -> bool {
        self.logs_in() || matches!(self, Self::LoginForOperation | Self::SetPin(_))
    }

    /// Whether it is C_Login of a user.
    pub fn logs_in(self) -> bool {
        matches!(self, Self::Login(_) | Self::CountedLogin(_))
    }
}

impl Ready {
    /// Makes the call. A signature that it brings is a right one.
    pub fn make(&self) -> Result<(), Error> {
        let (fixture, credential) = (&self.fixture, self.call.credential());
        let (module, slot) = (fixture.module(), fixture.slot_of(credential));
        match self.call {
            Call::ListSlots => module.count_slots(true).map(drop),
            Call::NewTokenInfo(_) | Call::TokenInfo(_) => module.token_info(slot).map(drop),
            Call::OpenSession(_) => module.open_session(slot, ck::CKF_SERIAL_SESSION).map(drop),
            Call::Mechanisms => module.mechanism_list(slot).map(drop),
            Call::Find(_) | Call::FindPrivate(_) => module.find_objects_init(self.session(), &[]),
            Call::Login(_) | Call::CountedLogin(_) => fixture.login(self.session(), pin(credential)),
            Call::SignInit => module.sign_init(self.session(), Some(pss()), self.key()),
            Call::Sign(_) | Call::SignOnce => {
                self.check(&fixture.finish_sign(self.session(), DATA)?);
                Ok(())
            }
            Call::SignPss => {
                let signature = fixture.finish_sign(self.session(), DATA)?;
                let key = fixture.card().identity().public_key(credential);
                key.verify(Pss::new::<Sha256>(), &Sha256::digest(DATA), &signature).expect("a signature");
                Ok(())
            }
            Call::SignFinal(_) => {
                let Output::Bytes(signature) = module.sign_final(self.session(), BufferSize::Bytes(256))?
                else {
                    panic!("no signature");
                };
                self.check(&signature);
                Ok(())
            }
            Call::LoginForOperation => fixture.login_for_operation(self.session(), SIGN_PIN),
            Call::SetPin(_) => fixture.set_pin(self.session(), pin(credential), new_pin(credential)),
        }
    }

    /// The commands that the card got since the call was ready.
    pub fn commands(&self) -> Vec<CommandRecord> {
        self.fixture.card().ledger_since(self.mark).commands().cloned().collect()
    }

    /// Whether the session's user is logged in.
    pub fn is_logged_in(&self) -> bool {
        let state = self.fixture.module().session_info(self.session()).expect("a session").state;
        [ck::CKS_RO_USER_FUNCTIONS, ck::CKS_RW_USER_FUNCTIONS].contains(&state)
    }

    /// That a call which failed, at a command that sends no PIN, has changed nothing about who is
    /// logged in.
    pub fn assert_login_unchanged(&self, case: &str) {
        if self.session.is_some() {
            assert_eq!(self.is_logged_in(), self.was_logged_in, "{case}: the login");
        }
    }

    /// The session.
    pub fn session(&self) -> SessionHandle {
        self.session.unwrap_or_else(|| panic!("{:?} has no session", self.call))
    }

    /// That the session, or a new one after a call on a slot, is good for a signature, with a new
    /// login where the old one is over.
    pub fn assert_session_works(&self) {
        match self.session {
            Some(session) => self.assert_works_on(session),
            None => self.assert_slot_works(),
        }
    }

    /// That a new session is good for a signature.
    pub fn assert_slot_works(&self) {
        self.assert_works_on(self.fixture.open_after_failure(self.slot()));
    }

    fn slot(&self) -> jpki_pkcs11::handle::SlotId {
        self.fixture.slot_of(self.call.credential())
    }

    fn assert_works_on(&self, session: SessionHandle) {
        let (fixture, credential) = (&self.fixture, self.call.credential());
        fixture.card().clear_faults();
        fixture.service().clear_faults();
        if matches!(self.call, Call::SetPin(_)) {
            // Which of the two PINs the card has now is another test's question.
            fixture.card().set_pin(credential, std::str::from_utf8(pin(credential)).expect("ASCII"));
            let _ = fixture.module().logout(session);
        }
        fixture.module().session_cancel(session, ck::CKF_SIGN | ck::CKF_FIND_OBJECTS).expect("a session");
        match fixture.login(session, pin(credential)) {
            Ok(()) | Err(Error::UserAlreadyLoggedIn) => {}
            Err(other) => panic!("{:?}: no login afterwards: {other}", self.call),
        }
        self.begin(session, ck::CKM_SHA256_RSA_PKCS);
        self.sign_again(session);
    }

    /// C_Sign, with a right signature. The card computes it once for each credential in the life of
    /// the process, since that takes the most time of all; later it only has to be asked for it in
    /// the right state.
    fn sign_again(&self, session: SessionHandle) {
        static SIGNATURES: Mutex<BTreeMap<Credential, Vec<u8>>> = Mutex::new(BTreeMap::new());
        let (card, credential) = (self.fixture.card(), self.call.credential());
        let remembered = SIGNATURES.lock().unwrap().get(&credential).cloned();
        if let Some(signature) = &remembered {
            card.inject(Fault::on_instruction(SIGN_COMMAND).answer([&signature[..], &[0x90, 0x00]].concat()));
        }
        let mark = card.mark();
        let signature = self
            .fixture
            .finish_sign(session, DATA)
            .unwrap_or_else(|error| panic!("{:?}: no signature: {error}", self.call));
        let ledger = card.ledger_since(mark);
        let mut signs = ledger.commands().filter(|command| command.instruction() == Some(SIGN_COMMAND));
        let sign = signs.next().expect("a command to sign");
        let verified = match credential {
            Credential::Authentication => sign.verified_before.authentication,
            Credential::Signature => sign.verified_before.signature,
        };
        assert!(verified, "{:?}: asked to sign without the PIN", self.call);
        assert!(signs.next().is_none(), "{:?}: asked to sign twice", self.call);
        self.check(&signature);
        SIGNATURES.lock().unwrap().insert(credential, signature);
    }

    /// C_SignInit, with the PIN for the one operation where it takes one.
    fn begin(&self, session: SessionHandle, mechanism: ck::CK_MECHANISM_TYPE) {
        let fixture = &self.fixture;
        fixture.sign_init(session, mechanism, fixture.key(session)).expect("a beginning");
        if matches!(self.call, Call::LoginForOperation | Call::SignOnce) {
            fixture.login_for_operation(session, SIGN_PIN).expect("the right PIN");
        }
    }

    fn check(&self, signature: &[u8]) {
        let key = self.fixture.card().identity().public_key(self.call.credential());
        key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(DATA), signature).expect("a signature");
    }

    fn key(&self) -> ObjectHandle {
        self.key.unwrap_or_else(|| panic!("{:?} has no key", self.call))
    }

    fn prepare(&mut self) {
        let (credential, slot) = (self.call.credential(), self.slot());
        if self.call.meets_the_card() {
            return;
        }
        // Whatever else the card is asked once is asked here.
        self.fixture.module().count_slots(true).expect("slots");
        match self.call {
            Call::ListSlots | Call::NewTokenInfo(_) | Call::OpenSession(_) => {}
            Call::TokenInfo(_) | Call::Mechanisms => {}
            Call::Find(_) | Call::Login(_) | Call::CountedLogin(_) => {
                self.session = Some(self.fixture.open(slot));
            }
            Call::SetPin(_) => self.session = Some(self.fixture.open_rw(slot)),
            Call::FindPrivate(_) => self.session = Some(self.fixture.logged_in(credential)),
            Call::SignInit => {
                let session = self.fixture.logged_in(credential);
                self.session = Some(session);
                self.key = Some(self.fixture.key(session));
            }
            Call::Sign(_) | Call::SignFinal(_) | Call::SignOnce => {
                let session = self.fixture.logged_in(credential);
                self.session = Some(session);
                self.begin(session, ck::CKM_SHA256_RSA_PKCS);
                if matches!(self.call, Call::SignFinal(_)) {
                    self.fixture.module().sign_update(session, DATA).expect("a part");
                }
            }
            Call::SignPss => {
                let session = self.fixture.logged_in(credential);
                self.session = Some(session);
                let key = self.fixture.key(session);
                self.fixture.module().sign_init(session, Some(pss()), key).expect("a beginning");
            }
            Call::LoginForOperation => {
                let session = self.fixture.logged_in(credential);
                self.session = Some(session);
                let key = self.fixture.key(session);
                self.fixture.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).expect("a beginning");
            }
        }
    }
}

/// The return code of a call.
pub fn rv<T>(result: Result<T, Error>) -> ck::CK_RV {
    result.map_or_else(Error::return_value, |_| ck::CKR_OK)
}

/// Whether the command selects the application in which the card is left.
pub fn is_leaving(command: &CommandRecord) -> bool {
    // SELECT by name; this name has seven bytes, the JPKI application's has ten.
    command.header == [0x00, 0xa4, 0x04, 0x0c] && command.command_length == 5 + 7
}

/// Whether the command is VERIFY with a PIN, or CHANGE REFERENCE DATA.
pub fn sends_a_pin(command: &CommandRecord) -> bool {
    matches!(command.instruction(), Some(0x20 | 0x24)) && command.command_length > 5
}
