//! A PKCS#11 client: short helpers over the table of version 3.2.

use std::ptr;

use cryptoki_sys as ck;
use cryptoki_sys::{CK_ATTRIBUTE, CK_FUNCTION_LIST_3_2, CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE};
use cryptoki_sys::{CK_SLOT_ID, CK_ULONG};

use crate::Rv;
use crate::library::Library;

/// Bytes of every signature.
pub const SIGNATURE: usize = 256;

/// Calls a function of a table with C's own types. The arguments are as bad as the test wants them;
/// that the module stands it is what is tested.
#[macro_export]
macro_rules! c {
    ($table:expr, $name:ident($($argument:expr),* $(,)?)) => {{
        let function = $table.$name.expect(stringify!($name));
        // SAFETY: what is not good memory is memory that the standard keeps a module from touching.
        $crate::Rv(unsafe { function($($argument),*) })
    }};
}

/// The client. Threads may share it.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The functions, for calls that have no helper.
    pub p11: &'static CK_FUNCTION_LIST_3_2,
}

impl Client {
    /// A client of this library, which must stay loaded.
    #[must_use]
    pub fn of(library: &Library) -> Self {
        Self { p11: library.table_3_2() }
    }

    /// C_Initialize for a program with threads.
    pub fn initialize(&self) -> Rv {
        let mut arguments = ck::CK_C_INITIALIZE_ARGS { flags: ck::CKF_OS_LOCKING_OK, ..Default::default() };
        c!(self.p11, C_Initialize(ptr::from_mut(&mut arguments).cast()))
    }

    /// C_Finalize.
    pub fn finalize(&self) -> Rv {
        c!(self.p11, C_Finalize(ptr::null_mut()))
    }

    /// The slots, looked for anew.
    ///
    /// # Errors
    /// As the module says.
    pub fn try_slots(&self, with_token: bool) -> Result<Vec<CK_SLOT_ID>, Rv> {
        let with_token = if with_token { ck::CK_TRUE } else { ck::CK_FALSE };
        let mut count = 0;
        c!(self.p11, C_GetSlotList(with_token, ptr::null_mut(), &raw mut count)).result()?;
        loop {
            let mut slots = vec![0; size(count)];
            match c!(self.p11, C_GetSlotList(with_token, slots.as_mut_ptr(), &raw mut count)) {
                Rv::OK => {
                    slots.truncate(size(count));
                    return Ok(slots);
                }
                // A card came in between.
                Rv(ck::CKR_BUFFER_TOO_SMALL) => {}
                other => return Err(other),
            }
        }
    }

    /// The slots, looked for anew.
    pub fn slots(&self, with_token: bool) -> Vec<CK_SLOT_ID> {
        self.try_slots(with_token).expect("slots")
    }

    /// The slots of the authentication key and of the signature key.
    #[must_use]
    pub fn both_slots(&self) -> [CK_SLOT_ID; 2] {
        self.slots(true).try_into().expect("two slots with a token")
    }

    /// A read-write session.
    ///
    /// # Errors
    /// As the module says.
    pub fn open_on(&self, slot: CK_SLOT_ID) -> Result<CK_SESSION_HANDLE, Rv> {
        let mut session = 0;
        let flags = ck::CKF_SERIAL_SESSION | ck::CKF_RW_SESSION;
        c!(self.p11, C_OpenSession(slot, flags, ptr::null_mut(), None, &raw mut session)).result()?;
        Ok(session)
    }

    /// A session with the authentication key's slot.
    #[must_use]
    pub fn open(&self) -> CK_SESSION_HANDLE {
        self.open_on(self.both_slots()[0]).expect("a session")
    }

    /// C_Login of the user. The client makes no copy of the PIN.
    pub fn login(&self, session: CK_SESSION_HANDLE, pin: &[u8]) -> Rv {
        c!(self.p11, C_Login(session, ck::CKU_USER, pin.as_ptr().cast_mut(), ulong(pin.len())))
    }

    /// The first object of a class that this session sees.
    #[must_use]
    pub fn find(&self, session: CK_SESSION_HANDLE, class: ck::CK_OBJECT_CLASS) -> CK_OBJECT_HANDLE {
        let object = self.try_find(session, class).expect("a search");
        assert_ne!(object, ck::CK_INVALID_HANDLE, "an object of class {class}");
        object
    }

    /// The first object of a class that this session sees, or `CK_INVALID_HANDLE`.
    ///
    /// # Errors
    /// As the module says.
    pub fn try_find(
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
        Ok(if count == 0 { ck::CK_INVALID_HANDLE } else { object })
    }

    /// The private key of the session's token.
    #[must_use]
    pub fn private_key(&self, session: CK_SESSION_HANDLE) -> CK_OBJECT_HANDLE {
        self.find(session, ck::CKO_PRIVATE_KEY)
    }

    /// C_SignInit with a mechanism without parameter.
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
    ///
    /// # Errors
    /// As the module says.
    pub fn sign(&self, session: CK_SESSION_HANDLE, data: &[u8]) -> Result<Vec<u8>, Rv> {
        let mut signature = vec![0; SIGNATURE];
        let mut length = ulong(SIGNATURE);
        let data_length = ulong(data.len());
        let data = data.as_ptr().cast_mut();
        c!(self.p11, C_Sign(session, data, data_length, signature.as_mut_ptr(), &raw mut length)).result()?;
        signature.truncate(size(length));
        Ok(signature)
    }

    /// Finds the key, and begins to sign with SHA-256.
    ///
    /// # Errors
    /// As the module says.
    pub fn sign_sha256_init(&self, session: CK_SESSION_HANDLE) -> Result<(), Rv> {
        let key = self.try_find(session, ck::CKO_PRIVATE_KEY)?;
        self.sign_init(session, ck::CKM_SHA256_RSA_PKCS, key).result()
    }

    /// Finds the key, and signs with SHA-256.
    ///
    /// # Errors
    /// As the module says.
    pub fn sign_sha256(&self, session: CK_SESSION_HANDLE, data: &[u8]) -> Result<Vec<u8>, Rv> {
        self.sign_sha256_init(session)?;
        self.sign(session, data)
    }
}

/// A mechanism without a parameter.
#[must_use]
pub fn mechanism(kind: ck::CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM { mechanism: kind, pParameter: ptr::null_mut(), ulParameterLen: 0 }
}

/// An attribute with a value, or with room for one.
pub fn attribute(kind: ck::CK_ATTRIBUTE_TYPE, value: &mut [u8]) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_: kind, pValue: value.as_mut_ptr().cast(), ulValueLen: ulong(value.len()) }
}

/// An attribute of which only the length is asked for.
#[must_use]
pub fn query(kind: ck::CK_ATTRIBUTE_TYPE) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_: kind, pValue: ptr::null_mut(), ulValueLen: 0 }
}

/// A length or a count for C.
///
/// # Panics
/// Never, where CK_ULONG is as wide.
#[must_use]
pub fn ulong(size: usize) -> CK_ULONG {
    size.try_into().expect("CK_ULONG is as wide")
}

/// A length or a count that C gave.
///
/// # Panics
/// Never, where CK_ULONG is as wide.
#[must_use]
pub fn size(number: CK_ULONG) -> usize {
    number.try_into().expect("CK_ULONG is as wide")
}
