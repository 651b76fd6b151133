//! What a module has to answer, in as few words as possible.
//!
//! [`Model`] is a reader, three cards and two modules, as values without locks, handles or bytes.
//! Each act on it gives the answer that the real module must give, and leaves the counters that the
//! real cards must have.

mod entries;
mod pins;

use cryptoki_sys as ck;
use virtual_card::Credential;

pub use self::entries::{ENTRIES, Entry};
pub use self::pins::CardPin;
use self::pins::{Login, Refused};

/// What a call answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Code(ck::CK_RV),
    State(ck::CK_STATE),
    Token { flags: ck::CK_FLAGS, sessions: ck::CK_ULONG, read_write: ck::CK_ULONG },
}

/// A card; without PINs it has no JPKI application.
#[derive(Debug, Clone)]
pub struct Card {
    pub pins: Option<[CardPin; 2]>,
    pub signatures: usize,
}

/// The module that is configured with `always_authenticate`: each of its digital signatures asks
/// for the PIN.
pub const ALWAYS_AUTHENTICATES: usize = 1;

fn asks_each_time(module: usize, credential: Credential) -> bool {
    module == ALWAYS_AUTHENTICATES && credential == Credential::Signature
}

#[derive(Debug, Clone)]
struct Session {
    credential: Credential,
    read_write: bool,
    insertion: usize,
    signing: bool,
    /// The PIN for the signature, and the generation of the login in which it was given.
    ticket: Option<(&'static str, usize)>,
}

#[derive(Debug, Clone, Default)]
struct Module {
    /// The insertion of the card that it knows.
    known: Option<usize>,
    /// Every session there ever was; `None` when it is closed.
    sessions: Vec<Option<Session>>,
    logins: [Login; 2],
    /// Of each card, whether or not it is in the reader.
    refused: [[Refused; 2]; 3],
    /// Of which insertion the private keys are that were found last.
    keys: [Option<usize>; 2],
}

/// All there is.
#[derive(Debug, Clone)]
pub struct Model {
    pub cards: [Card; 3],
    /// Which card is in the reader.
    pub inserted: Option<usize>,
    insertion: usize,
    modules: [Module; 2],
}

impl Card {
    fn full() -> Self {
        let pin = |value, full| CardPin { value, full, left: full, failed: 0 };
        Self { pins: Some([pin("1234", 3), pin("ABC123", 5)]), signatures: 0 }
    }
}

impl Module {
    /// Asks the service whether the card is still the one that is known.
    fn look(&mut self, inserted: Option<usize>) {
        if self.known != inserted {
            (self.known, self.logins) = (None, Default::default());
        }
    }

    /// A session of the card that is known.
    fn session(&mut self, index: usize) -> Result<&mut Session, ck::CK_RV> {
        let session = self.sessions.get_mut(index).and_then(Option::as_mut);
        session.filter(|session| Some(session.insertion) == self.known).ok_or(ck::CKR_SESSION_HANDLE_INVALID)
    }

    /// As [`Module::session`], for a call that asks the service whether the card is still there.
    fn live(&mut self, index: usize, inserted: Option<usize>) -> Result<&mut Session, ck::CK_RV> {
        self.session(index)?;
        self.look(inserted);
        self.session(index).map_err(|_| ck::CKR_DEVICE_REMOVED)
    }

    fn of(&self, credential: Credential) -> impl Iterator<Item = &Session> {
        let alive = move |session: &&Session| {
            session.credential == credential && Some(session.insertion) == self.known
        };
        self.sessions.iter().flatten().filter(alive)
    }
}

impl Model {
    /// The first card is in; each module has counted its slots, and no session is open.
    pub fn new() -> Self {
        let other = Card { pins: None, signatures: 0 };
        Self {
            cards: [Card::full(), Card::full(), other],
            inserted: Some(0),
            insertion: 1,
            modules: Default::default(),
        }
    }

    /// How many sessions a module ever opened.
    pub fn opened(&self, module: usize) -> usize {
        self.modules[module].sessions.len()
    }

    /// How many PINs a module keeps.
    pub fn kept(&self, module: usize) -> usize {
        let kept = Credential::ALL.into_iter().map(|credential| {
            let (state, login) = (&self.modules[module], &self.modules[module].logins[credential as usize]);
            let tickets = state.of(credential).filter_map(|session| session.ticket.as_ref());
            let own = usize::from(login.pin.is_some() && !asks_each_time(module, credential));
            own + tickets.filter(|ticket| login.honours(ticket)).count()
        });
        kept.sum()
    }

    pub fn pin(&mut self, card: usize, credential: Credential) -> Option<&mut CardPin> {
        self.cards[card].pins.as_mut().map(|pins| &mut pins[credential as usize])
    }

    /// Takes the card out and puts this one in, if any.
    pub fn put(&mut self, card: Option<usize>) {
        self.inserted = card;
        self.insertion += 1;
    }

    fn insertion(&self) -> Option<usize> {
        self.inserted.map(|_| self.insertion)
    }

    /// The PINs that a module knows as refused, its login, and the PIN of the card in the reader.
    fn at_card(&mut self, module: usize, credential: Credential) -> (&mut Refused, &mut Login, &mut CardPin) {
        let card = self.inserted.expect("a live session");
        let (module, index) = (&mut self.modules[module], credential as usize);
        let pins = self.cards[card].pins.as_mut().expect("a JPKI card");
        (&mut module.refused[card][index], &mut module.logins[index], &mut pins[index])
    }

    /// The insertion of a JPKI card, recognised by a module now if need be. A new card is asked for
    /// the tries left.
    fn recognise(&mut self, module: usize) -> Result<usize, ck::CK_RV> {
        let (insertion, inserted) = (self.insertion(), self.inserted);
        let known = &mut self.modules[module];
        known.look(insertion);
        let is_new = known.known != insertion;
        known.known = insertion;
        let is_jpki = inserted.is_some_and(|card| self.cards[card].pins.is_some());
        let insertion = insertion.filter(|_| is_jpki).ok_or(ck::CKR_TOKEN_NOT_PRESENT)?;
        if is_new {
            let (refused, _, pin) = self.at_card(module, Credential::Authentication);
            refused.observe(pin.left);
        }
        Ok(insertion)
    }

    pub fn open(&mut self, module: usize, credential: Credential, read_write: bool) -> Result<(), ck::CK_RV> {
        let insertion = self.recognise(module)?;
        let session = Session { credential, read_write, insertion, signing: false, ticket: None };
        self.modules[module].sessions.push(Some(session));
        Ok(())
    }

    pub fn close(&mut self, module: usize, session: usize) -> Result<(), ck::CK_RV> {
        let module = &mut self.modules[module];
        let credential = module.session(session)?.credential;
        module.sessions[session] = None;
        if module.of(credential).next().is_none() {
            module.logins[credential as usize].set(None);
        }
        Ok(())
    }

    pub fn close_all(&mut self, module: usize, credential: Credential) {
        let module = &mut self.modules[module];
        let ends = |session: &Session| session.credential == credential;
        module.sessions.iter_mut().for_each(|session| *session = session.take_if(|s| !ends(s)));
        module.logins[credential as usize].set(None);
    }

    /// C_Finalize and C_Initialize: what was refused stays known.
    pub fn restart(&mut self, module: usize) {
        let refused = std::mem::take(&mut self.modules[module].refused);
        self.modules[module] = Module { refused, ..Module::default() };
    }

    pub fn session_state(&mut self, module: usize, session: usize) -> Result<ck::CK_STATE, ck::CK_RV> {
        let insertion = self.insertion();
        let session = self.modules[module].live(session, insertion)?.clone();
        let logged_in = self.modules[module].logins[session.credential as usize].pin.is_some();
        Ok(match (session.read_write, logged_in) {
            (false, false) => ck::CKS_RO_PUBLIC_SESSION,
            (false, true) => ck::CKS_RO_USER_FUNCTIONS,
            (true, false) => ck::CKS_RW_PUBLIC_SESSION,
            (true, true) => ck::CKS_RW_USER_FUNCTIONS,
        })
    }

    pub fn token_info(&mut self, module: usize, credential: Credential) -> Result<Answer, ck::CK_RV> {
        self.recognise(module)?;
        let (refused, login, &mut CardPin { left, full, .. }) = self.at_card(module, credential);
        refused.observe(left);
        let mut flags = 0;
        let mut set = |flag, on| flags |= if on { flag } else { 0 };
        set(ck::CKF_USER_PIN_COUNT_LOW, left < full || login.wrong_entry);
        set(ck::CKF_USER_PIN_FINAL_TRY, left == 1);
        set(ck::CKF_USER_PIN_LOCKED, left == 0);
        let module = &self.modules[module];
        let read_write = module.of(credential).filter(|session| session.read_write).count() as ck::CK_ULONG;
        Ok(Answer::Token { flags, sessions: module.of(credential).count() as ck::CK_ULONG, read_write })
    }

    pub fn login(&mut self, module: usize, session: usize, entry: usize) -> Result<(), ck::CK_RV> {
        let insertion = self.insertion();
        let credential = self.modules[module].live(session, insertion)?.credential;
        let entry = Entry::of(credential, entry);
        let (refused, login, card) = self.at_card(module, credential);
        if login.pin.is_some() {
            return Err(ck::CKR_USER_ALREADY_LOGGED_IN);
        }
        refused.enter(entry, login, card)?;
        login.set(entry.means);
        self.modules[module].keys[credential as usize] = insertion;
        Ok(())
    }

    pub fn logout(&mut self, module: usize, session: usize) -> Result<(), ck::CK_RV> {
        let credential = self.modules[module].session(session)?.credential;
        let login = &mut self.modules[module].logins[credential as usize];
        login.pin.ok_or(ck::CKR_USER_NOT_LOGGED_IN)?;
        login.set(None);
        Ok(())
    }

    pub fn set_pin(
        &mut self,
        module: usize,
        session: usize,
        old: usize,
        new: usize,
    ) -> Result<(), ck::CK_RV> {
        let insertion = self.insertion();
        let Session { credential, read_write, .. } = *self.modules[module].live(session, insertion)?;
        let (old, new) = (Entry::of(credential, old), Entry::of(credential, new));
        if !read_write {
            return Err(ck::CKR_SESSION_READ_ONLY);
        }
        if new.as_new != ck::CKR_OK {
            return Err(new.as_new);
        }
        let (refused, login, card) = self.at_card(module, credential);
        refused.enter(old, login, card)?;
        card.value = new.means.expect("a PIN");
        login.set(login.pin.and(new.means));
        Ok(())
    }

    /// C_SignInit with the private key that was found last.
    pub fn sign_init(&mut self, module: usize, session: usize) -> Result<(), ck::CK_RV> {
        let insertion = self.insertion();
        let Session { credential, signing, .. } = *self.modules[module].live(session, insertion)?;
        let module = &mut self.modules[module];
        if signing {
            return Err(ck::CKR_OPERATION_ACTIVE);
        }
        if module.keys[credential as usize] != module.known {
            return Err(ck::CKR_KEY_HANDLE_INVALID);
        }
        if module.logins[credential as usize].pin.is_none() {
            return Err(ck::CKR_USER_NOT_LOGGED_IN);
        }
        module.session(session)?.signing = true;
        Ok(())
    }

    /// C_Login for the signature that has begun.
    pub fn authorize(&mut self, module: usize, session: usize, entry: usize) -> Result<(), ck::CK_RV> {
        let insertion = self.insertion();
        let Session { credential, signing, .. } = *self.modules[module].live(session, insertion)?;
        if !signing || !asks_each_time(module, credential) {
            return Err(ck::CKR_OPERATION_NOT_INITIALIZED);
        }
        let entry = Entry::of(credential, entry);
        let (refused, login, card) = self.at_card(module, credential);
        login.pin.ok_or(ck::CKR_USER_NOT_LOGGED_IN)?;
        refused.enter(entry, login, card).inspect_err(|&code| {
            if code == ck::CKR_PIN_LOCKED {
                login.set(None);
            }
        })?;
        let ticket = (entry.means.expect("a PIN"), login.generation);
        self.modules[module].session(session)?.ticket = Some(ticket);
        Ok(())
    }

    pub fn sign(&mut self, module: usize, session: usize) -> Result<(), ck::CK_RV> {
        let insertion = self.insertion();
        let known = &mut self.modules[module];
        let session = known.session(session)?;
        let credential = session.credential;
        if !std::mem::take(&mut session.signing) {
            return Err(ck::CKR_OPERATION_NOT_INITIALIZED);
        }
        let ticket = session.ticket.take();
        let login = &known.logins[credential as usize];
        let asks_each_time = asks_each_time(module, credential);
        let given = if asks_each_time { ticket.map(|ticket| ticket.0) } else { login.pin };
        let pin = login.pin.and(given).ok_or(ck::CKR_USER_NOT_LOGGED_IN)?;
        let holds = ticket.is_none_or(|ticket| login.honours(&ticket));
        known.look(insertion);
        if known.known.is_none() {
            return Err(ck::CKR_DEVICE_REMOVED);
        }
        if !holds {
            return Err(ck::CKR_USER_NOT_LOGGED_IN);
        }
        let (refused, login, card) = self.at_card(module, credential);
        refused.repeat(pin, login, card).inspect_err(|_| {
            // The PIN that was given for one signature is spent; the login stays.
            if !asks_each_time {
                login.set(None);
            }
        })?;
        self.cards[self.inserted.expect("a live session")].signatures += 1;
        Ok(())
    }
}
