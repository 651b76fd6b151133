//! The library's function table, as a PKCS#11 host uses it.

use std::ffi::{CString, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::{env, ptr, thread};

use cryptoki_sys as ck;
use cryptoki_sys::{CK_RV, CK_SESSION_HANDLE};
use zeroize::Zeroize;

/// The PINs of a new virtual card.
const PINS: [&str; 2] = ["1234", "ABC123"];

/// A host with the library loaded.
pub struct Host {
    functions: &'static ck::CK_FUNCTION_LIST,
    sessions: [Mutex<CK_SESSION_HANDLE>; 2],
}

/// One of the two tokens of the first reader.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Token {
    Authentication,
    Signature,
}

/// Calls a function of the table.
macro_rules! call {
    ($host:expr, $name:ident $(, $argument:expr)*) => {{
        let function = $host.functions.$name.expect("the table is full");
        // SAFETY: each pointer that is given leads to a variable of the type and length the function expects, or is
        // NULL where the standard allows that.
        unsafe { function($($argument),*) }
    }};
}

/// Returns the return value of a function unless it is CKR_OK.
macro_rules! check {
    ($value:expr) => {
        match $value {
            ck::CKR_OK => {}
            other => return other,
        }
    };
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

impl Host {
    /// Loads the library. It stays loaded.
    pub fn load() -> Self {
        let path = CString::new(library().as_os_str().as_bytes()).expect("a path has no NUL");
        // SAFETY: the path is a string; the library's initialisers are the Rust runtime's.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!library.is_null(), "the library can be loaded");
        // SAFETY: the handle is of a loaded library, and the name is a string.
        let symbol = unsafe { libc::dlsym(library, c"C_GetFunctionList".as_ptr()) };
        assert!(!symbol.is_null(), "the library has a function table");
        type GetFunctionList = unsafe extern "C" fn(*mut *mut ck::CK_FUNCTION_LIST) -> CK_RV;
        // SAFETY: the standard gives the function this signature.
        let get = unsafe { std::mem::transmute::<*mut c_void, GetFunctionList>(symbol) };
        let mut list = ptr::null_mut();
        // SAFETY: the place is writable.
        assert_eq!(unsafe { get(&raw mut list) }, ck::CKR_OK);
        // SAFETY: the table is there as long as the library is loaded, which is for ever.
        let functions = unsafe { &*list };
        Self { functions, sessions: [Mutex::new(0), Mutex::new(0)] }
    }

    pub fn initialize(&self) -> CK_RV {
        call!(self, C_Initialize, ptr::null_mut())
    }

    pub fn finalize(&self) -> CK_RV {
        call!(self, C_Finalize, ptr::null_mut())
    }

    pub fn info(&self) -> CK_RV {
        call!(self, C_GetInfo, &mut ck::CK_INFO::default())
    }

    /// How many slots there are, or slots with a token, after a look for new readers.
    pub fn count(&self, with_token: bool) -> (CK_RV, usize) {
        match self.slots(with_token) {
            Ok(slots) => (ck::CKR_OK, slots.len()),
            Err(value) => (value, 0),
        }
    }

    fn slots(&self, with_token: bool) -> Result<Vec<ck::CK_SLOT_ID>, CK_RV> {
        let present = if with_token { ck::CK_TRUE } else { ck::CK_FALSE };
        let mut count = 0;
        match call!(self, C_GetSlotList, present, ptr::null_mut(), &raw mut count) {
            ck::CKR_OK => {}
            value => return Err(value),
        }
        loop {
            let mut slots = vec![0; usize::try_from(count).expect("a count")];
            match call!(self, C_GetSlotList, present, slots.as_mut_ptr(), &raw mut count) {
                ck::CKR_OK => {
                    slots.truncate(usize::try_from(count).expect("a count"));
                    return Ok(slots);
                }
                // A card came in between.
                ck::CKR_BUFFER_TOO_SMALL => {}
                value => return Err(value),
            }
        }
    }

    fn slot(&self, token: Token) -> Result<ck::CK_SLOT_ID, CK_RV> {
        self.slots(false)?.get(token.index()).copied().ok_or(ck::CKR_SLOT_ID_INVALID)
    }

    /// The flags of a token.
    pub fn token_info(&self, token: Token) -> CK_RV {
        match self.slot(token) {
            Ok(slot) => call!(self, C_GetTokenInfo, slot, &mut ck::CK_TOKEN_INFO::default()),
            Err(value) => value,
        }
    }

    /// Asks so often what a browser asks once a second to see whether the card is still there.
    pub fn poll(&self, token: Token, times: usize) -> CK_RV {
        for _ in 0..times {
            let (value, count) = self.count(true);
            check!(value);
            assert!(count > token.index(), "the token is there");
            let slot = self.slot(token).expect("it was listed");
            check!(call!(self, C_GetSlotInfo, slot, &mut ck::CK_SLOT_INFO::default()));
            check!(call!(self, C_GetTokenInfo, slot, &mut ck::CK_TOKEN_INFO::default()));
            check!(self.session_info(token));
        }
        ck::CKR_OK
    }

    /// Asks the authentication token of a reader for its state, in a session of its own.
    pub fn reader(&self, number: usize) -> CK_RV {
        let Ok(Some(slot)) = self.slots(false).map(|slots| slots.get(2 * number).copied()) else {
            return ck::CKR_SLOT_ID_INVALID;
        };
        let mut session = 0;
        let flags = ck::CKF_SERIAL_SESSION;
        check!(call!(self, C_GetTokenInfo, slot, &mut ck::CK_TOKEN_INFO::default()));
        check!(call!(self, C_OpenSession, slot, flags, ptr::null_mut(), None, &raw mut session));
        call!(self, C_CloseSession, session)
    }

    pub fn wait_for_slot_event(&self) -> CK_RV {
        call!(self, C_WaitForSlotEvent, 0, &mut 0, ptr::null_mut())
    }

    /// Opens the session that the other functions use.
    pub fn open(&self, token: Token) -> CK_RV {
        let mut session = 0;
        let value = self.open_another(token, &mut session);
        if value == ck::CKR_OK {
            *self.sessions[token.index()].lock().unwrap() = session;
        }
        value
    }

    fn open_another(&self, token: Token, session: &mut CK_SESSION_HANDLE) -> CK_RV {
        let slot = match self.slot(token) {
            Ok(slot) => slot,
            Err(value) => return value,
        };
        let flags = ck::CKF_SERIAL_SESSION | ck::CKF_RW_SESSION;
        call!(self, C_OpenSession, slot, flags, ptr::null_mut(), None, session)
    }

    fn session(&self, token: Token) -> CK_SESSION_HANDLE {
        *self.sessions[token.index()].lock().unwrap()
    }

    pub fn close(&self, token: Token) -> CK_RV {
        call!(self, C_CloseSession, self.session(token))
    }

    pub fn close_all(&self, token: Token) -> CK_RV {
        match self.slot(token) {
            Ok(slot) => call!(self, C_CloseAllSessions, slot),
            Err(value) => value,
        }
    }

    pub fn session_info(&self, token: Token) -> CK_RV {
        call!(self, C_GetSessionInfo, self.session(token), &mut ck::CK_SESSION_INFO::default())
    }

    /// Logs in with a new card's PIN.
    pub fn login(&self, token: Token) -> CK_RV {
        self.login_with(token, &mut PINS[token.index()].as_bytes().to_vec())
    }

    /// Logs in and wipes the PIN.
    pub fn login_with(&self, token: Token, pin: &mut [u8]) -> CK_RV {
        let length = pin.len().try_into().expect("a PIN is short");
        let value = call!(self, C_Login, self.session(token), ck::CKU_USER, pin.as_mut_ptr(), length);
        pin.zeroize();
        value
    }

    pub fn logout(&self, token: Token) -> CK_RV {
        call!(self, C_Logout, self.session(token))
    }

    /// Changes a PIN and wipes both.
    pub fn set_pin(&self, token: Token, old: &mut [u8], new: &mut [u8]) -> CK_RV {
        let length = |pin: &[u8]| pin.len().try_into().expect("a PIN is short");
        let (old_length, new_length) = (length(old), length(new));
        let session = self.session(token);
        let (old_pin, new_pin) = (old.as_mut_ptr(), new.as_mut_ptr());
        let value = call!(self, C_SetPIN, session, old_pin, old_length, new_pin, new_length);
        old.zeroize();
        new.zeroize();
        value
    }

    /// One signature.
    pub fn sign(&self, token: Token) -> CK_RV {
        let session = self.session(token);
        check!(self.sign_init(session));
        self.sign_final(session)
    }

    /// C_SignInit alone.
    pub fn begin_signing(&self, token: Token) -> CK_RV {
        self.sign_init(self.session(token))
    }

    /// C_Sign alone.
    pub fn end_signing(&self, token: Token) -> CK_RV {
        self.sign_final(self.session(token))
    }

    /// So many signatures in each of so many threads, each with a session of its own.
    pub fn sign_in_threads(&self, token: Token, threads: usize, each: usize) -> Result<usize, CK_RV> {
        let work = || {
            let mut session = 0;
            check!(self.open_another(token, &mut session));
            for _ in 0..each {
                check!(self.sign_init(session));
                check!(self.sign_final(session));
            }
            call!(self, C_CloseSession, session)
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let values = workers.into_iter().map(|worker| worker.join().expect("no panic"));
            let wrong = values.filter(|value| *value != ck::CKR_OK).last();
            wrong.map_or(Ok(threads * each), Err)
        })
    }

    fn sign_init(&self, session: CK_SESSION_HANDLE) -> CK_RV {
        let mut class = ck::CKO_PRIVATE_KEY;
        let mut template = ck::CK_ATTRIBUTE {
            type_: ck::CKA_CLASS,
            pValue: (&raw mut class).cast(),
            ulValueLen: size_of_val(&class).try_into().expect("a length"),
        };
        let (mut key, mut found) = (0, 0);
        check!(call!(self, C_FindObjectsInit, session, &raw mut template, 1));
        check!(call!(self, C_FindObjects, session, &raw mut key, 1, &raw mut found));
        check!(call!(self, C_FindObjectsFinal, session));
        let mut mechanism = ck::CK_MECHANISM {
            mechanism: ck::CKM_SHA256_RSA_PKCS,
            pParameter: ptr::null_mut(),
            ulParameterLen: 0,
        };
        call!(self, C_SignInit, session, &raw mut mechanism, key)
    }

    /// The library checks the signature itself before it gives it away.
    fn sign_final(&self, session: CK_SESSION_HANDLE) -> CK_RV {
        let (mut data, mut signature, mut length) = ([0x5a; 100], [0; 256], 256);
        check!(call!(self, C_Sign, session, data.as_mut_ptr(), 100, signature.as_mut_ptr(), &raw mut length));
        if length == 256 && signature != [0; 256] { ck::CKR_OK } else { ck::CKR_SIGNATURE_INVALID }
    }
}

/// The library that was built together with this program, beside it or one directory up.
pub fn library() -> PathBuf {
    let program = env::current_exe().expect("the program has a path");
    let places = program.ancestors().skip(1).take(2);
    let mut candidates = places.map(|place| place.join("libjpki_pkcs11.so"));
    candidates.find(|path| path.exists()).expect("the library is beside the test program")
}

/// The standard's name of a return value.
macro_rules! return_names {
    ($($name:ident)*) => {
        pub fn return_name(value: CK_RV) -> String {
            match value {
                $(ck::$name => stringify!($name).to_owned(),)*
                other => format!("{other:#x}"),
            }
        }
    };
}

return_names! {
    CKR_OK CKR_ARGUMENTS_BAD CKR_CRYPTOKI_ALREADY_INITIALIZED CKR_CRYPTOKI_NOT_INITIALIZED CKR_DEVICE_ERROR
    CKR_DEVICE_REMOVED CKR_FUNCTION_CANCELED CKR_GENERAL_ERROR CKR_HOST_MEMORY CKR_KEY_HANDLE_INVALID CKR_NO_EVENT
    CKR_OPERATION_ACTIVE CKR_OPERATION_NOT_INITIALIZED CKR_PIN_INCORRECT CKR_PIN_LOCKED CKR_SESSION_HANDLE_INVALID
    CKR_SIGNATURE_INVALID CKR_SLOT_ID_INVALID CKR_TOKEN_NOT_PRESENT CKR_USER_ALREADY_LOGGED_IN
    CKR_USER_NOT_LOGGED_IN
}
