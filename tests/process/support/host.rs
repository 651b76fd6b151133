//! A PKCS#11 host: the library and the sessions that it has open, one for each token of the first
//! reader.

use std::sync::Mutex;
use std::{ptr, thread};

use cryptoki_sys as ck;
use cryptoki_sys::{CK_SESSION_HANDLE, CK_SLOT_ID};
use test_support::client::{Client, SIGNATURE, attribute, query, size, ulong};
use test_support::library::Library;
use test_support::{Rv, c};
use zeroize::{Zeroize, Zeroizing};

/// The PINs of a new virtual card.
const PINS: [&str; 2] = ["1234", "ABC123"];

/// What is signed.
const DATA: [u8; 100] = [0x5a; 100];

/// What a client reads of an object.
const ATTRIBUTES: [ck::CK_ATTRIBUTE_TYPE; 8] = [
    ck::CKA_LABEL,
    ck::CKA_ID,
    ck::CKA_SUBJECT,
    ck::CKA_ISSUER,
    ck::CKA_SERIAL_NUMBER,
    ck::CKA_PUBLIC_KEY_INFO,
    ck::CKA_MODULUS,
    ck::CKA_VALUE,
];

/// A host with the library loaded.
pub struct Host {
    client: Client,
    sessions: [Mutex<CK_SESSION_HANDLE>; 2],
}

/// One of the two tokens of the first reader.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Token {
    Authentication,
    Signature,
}

impl Token {
    /// From its name.
    pub fn named(name: &str) -> Self {
        match name {
            "authentication" => Self::Authentication,
            "signature" => Self::Signature,
            other => panic!("no token {other}"),
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Authentication => 0,
            Self::Signature => 1,
        }
    }
}

/// What came of several calls: the first refusal, or `CKR_OK`.
fn rv(result: Result<(), Rv>) -> Rv {
    result.err().unwrap_or(Rv::OK)
}

impl Host {
    /// Loads the library. It stays loaded.
    pub fn load() -> Self {
        Self { client: Client::of(&Library::load()), sessions: [Mutex::new(0), Mutex::new(0)] }
    }

    /// C_Initialize without arguments.
    pub fn initialize(&self) -> Rv {
        c!(self.client.p11, C_Initialize(ptr::null_mut()))
    }

    pub fn finalize(&self) -> Rv {
        self.client.finalize()
    }

    pub fn info(&self) -> Rv {
        c!(self.client.p11, C_GetInfo(&mut ck::CK_INFO::default()))
    }

    /// How many slots there are, or slots with a token, after a look for new readers.
    pub fn count(&self, with_token: bool) -> (Rv, usize) {
        match self.client.try_slots(with_token) {
            Ok(slots) => (Rv::OK, slots.len()),
            Err(value) => (value, 0),
        }
    }

    fn slot(&self, token: Token) -> Result<CK_SLOT_ID, Rv> {
        self.client.try_slots(false)?.get(token.index()).copied().ok_or(Rv(ck::CKR_SLOT_ID_INVALID))
    }

    /// The flags of a token.
    pub fn token_info(&self, token: Token) -> Rv {
        rv(self.slot(token).and_then(|slot| self.token_info_of(slot)))
    }

    fn token_info_of(&self, slot: CK_SLOT_ID) -> Result<(), Rv> {
        c!(self.client.p11, C_GetTokenInfo(slot, &mut ck::CK_TOKEN_INFO::default())).result()
    }

    /// C_GetSlotInfo of the first reader's slot for a token. The list of slots is not asked for.
    pub fn slot_info(&self, token: Token) -> Rv {
        c!(self.client.p11, C_GetSlotInfo(ulong(token.index()), &mut ck::CK_SLOT_INFO::default()))
    }

    /// Asks so often what a browser asks once a second to see whether the card is still there.
    pub fn poll(&self, token: Token, times: usize) -> Rv {
        rv((0..times).try_for_each(|_| self.poll_once(token)))
    }

    fn poll_once(&self, token: Token) -> Result<(), Rv> {
        let tokens = self.client.try_slots(true)?;
        assert!(tokens.len() > token.index(), "the token is there");
        let slot = self.slot(token).expect("it was listed");
        c!(self.client.p11, C_GetSlotInfo(slot, &mut ck::CK_SLOT_INFO::default())).result()?;
        self.token_info_of(slot)?;
        self.session_info(token).result()
    }

    /// Asks the authentication token of a reader for its state, in a session of its own.
    pub fn reader(&self, number: usize) -> Rv {
        rv(self.try_reader(number))
    }

    fn try_reader(&self, number: usize) -> Result<(), Rv> {
        let slots = self.client.try_slots(false).unwrap_or_default();
        let slot = *slots.get(2 * number).ok_or(Rv(ck::CKR_SLOT_ID_INVALID))?;
        self.token_info_of(slot)?;
        let session = self.client.open_on(slot)?;
        c!(self.client.p11, C_CloseSession(session)).result()
    }

    /// Logs in on the slot with this id, in a session that stays open.
    pub fn login_at(&self, slot: CK_SLOT_ID, pin: &[u8]) -> Rv {
        match self.client.open_on(slot) {
            Ok(session) => self.client.login(session, pin),
            Err(value) => value,
        }
    }

    pub fn wait_for_slot_event(&self) -> Rv {
        c!(self.client.p11, C_WaitForSlotEvent(0, &mut 0, ptr::null_mut()))
    }

    /// Opens the session that the other functions use.
    pub fn open(&self, token: Token) -> Rv {
        rv(self.open_another(token).map(|session| *self.sessions[token.index()].lock().unwrap() = session))
    }

    fn open_another(&self, token: Token) -> Result<CK_SESSION_HANDLE, Rv> {
        let opened = self.client.open_on(self.slot(token)?);
        if opened != Err(Rv(ck::CKR_TOKEN_NOT_PRESENT)) {
            return opened;
        }
        // A busy pcscd that has just started may list the empty reader first.
        match self.client.try_slots(true).unwrap_or_default().as_slice() {
            slots @ [_, _] => self.client.open_on(slots[token.index()]),
            _ => opened,
        }
    }

    fn session(&self, token: Token) -> CK_SESSION_HANDLE {
        *self.sessions[token.index()].lock().unwrap()
    }

    pub fn close(&self, token: Token) -> Rv {
        c!(self.client.p11, C_CloseSession(self.session(token)))
    }

    pub fn close_all(&self, token: Token) -> Rv {
        rv(self.slot(token).and_then(|slot| c!(self.client.p11, C_CloseAllSessions(slot)).result()))
    }

    pub fn session_info(&self, token: Token) -> Rv {
        c!(self.client.p11, C_GetSessionInfo(self.session(token), &mut ck::CK_SESSION_INFO::default()))
    }

    /// Logs in with a new card's PIN.
    pub fn login(&self, token: Token) -> Rv {
        self.login_with(token, &mut PINS[token.index()].as_bytes().to_vec())
    }

    /// Logs in and wipes the PIN.
    pub fn login_with(&self, token: Token, pin: &mut [u8]) -> Rv {
        let value = self.client.login(self.session(token), pin);
        pin.zeroize();
        value
    }

    pub fn logout(&self, token: Token) -> Rv {
        c!(self.client.p11, C_Logout(self.session(token)))
    }

    /// Changes a PIN and wipes both.
    pub fn set_pin(&self, token: Token, old: &mut [u8], new: &mut [u8]) -> Rv {
        let (old_length, new_length) = (ulong(old.len()), ulong(new.len()));
        let (old_pin, new_pin) = (old.as_mut_ptr(), new.as_mut_ptr());
        let session = self.session(token);
        let value = c!(self.client.p11, C_SetPIN(session, old_pin, old_length, new_pin, new_length));
        old.zeroize();
        new.zeroize();
        value
    }

    /// Reads the attributes of all objects of a token, and wipes what it has read.
    pub fn read_objects(&self, token: Token) -> Rv {
        rv(self.try_read_objects(self.session(token)))
    }

    fn try_read_objects(&self, session: CK_SESSION_HANDLE) -> Result<(), Rv> {
        let p11 = self.client.p11;
        c!(p11, C_FindObjectsInit(session, ptr::null_mut(), 0)).result()?;
        let (mut objects, mut count) = ([0; 32], 0);
        c!(p11, C_FindObjects(session, objects.as_mut_ptr(), 32, &raw mut count)).result()?;
        c!(p11, C_FindObjectsFinal(session)).result()?;
        for object in &objects[..size(count)] {
            c!(p11, C_GetObjectSize(session, *object, &mut 0)).result()?;
            for kind in ATTRIBUTES {
                let mut length = query(kind);
                if c!(p11, C_GetAttributeValue(session, *object, &raw mut length, 1)) != Rv::OK {
                    continue;
                }
                let mut value = Zeroizing::new(vec![0; size(length.ulValueLen)]);
                let mut place = attribute(kind, &mut value);
                c!(p11, C_GetAttributeValue(session, *object, &raw mut place, 1)).result()?;
            }
        }
        Ok(())
    }

    /// One signature.
    pub fn sign(&self, token: Token) -> Rv {
        rv(self.sign_once(self.session(token)))
    }

    /// C_SignInit alone.
    pub fn begin_signing(&self, token: Token) -> Rv {
        rv(self.client.sign_sha256_init(self.session(token)))
    }

    /// C_Sign alone.
    pub fn end_signing(&self, token: Token) -> Rv {
        rv(self.finish_signing(self.session(token)))
    }

    /// So many signatures in each of so many threads, each with a session of its own.
    pub fn sign_in_threads(&self, token: Token, threads: usize, each: usize) -> Result<usize, Rv> {
        let work = || {
            let session = self.open_another(token)?;
            (0..each).try_for_each(|_| self.sign_once(session))?;
            c!(self.client.p11, C_CloseSession(session)).result()
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let results = workers.into_iter().map(|worker| worker.join().expect("no panic"));
            let refusals: Vec<Rv> = results.filter_map(Result::err).collect();
            refusals.last().map_or(Ok(threads * each), |refusal| Err(*refusal))
        })
    }

    fn sign_once(&self, session: CK_SESSION_HANDLE) -> Result<(), Rv> {
        self.client.sign_sha256_init(session)?;
        self.finish_signing(session)
    }

    /// The library checks the signature itself before it gives it away.
    fn finish_signing(&self, session: CK_SESSION_HANDLE) -> Result<(), Rv> {
        let signature = self.client.sign(session, &DATA)?;
        let is_one = signature.len() == SIGNATURE && signature.iter().any(|byte| *byte != 0);
        if is_one { Ok(()) } else { Err(Rv(ck::CKR_SIGNATURE_INVALID)) }
    }
}
