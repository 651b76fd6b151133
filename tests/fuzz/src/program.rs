//! A C program that calls the tables' functions with whatever it is told to. Its buffers are as
//! long as it says, so that AddressSanitizer sees a byte too many.

use std::ptr;

use cryptoki_sys as ck;
use cryptoki_sys::{CK_FUNCTION_LIST_3_2, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_ULONG};

use crate::input::Input;
use crate::slot::Slot;
use crate::user::{ATTRIBUTES, MECHANISMS};

/// What a buffer holds before a call.
const FILLER: u8 = 0xee;

/// Bytes of a signature.
const SIGNATURE: CK_ULONG = 256;

/// The most attributes of a template.
const MAX_ENTRIES: usize = 32;

/// One of the functions that take data and give back bytes.
type OneShot = unsafe extern "C" fn(CK_SESSION_HANDLE, *mut u8, CK_ULONG, *mut u8, *mut CK_ULONG) -> CK_RV;

/// One of the functions that take bytes.
type Update = unsafe extern "C" fn(CK_SESSION_HANDLE, *mut u8, CK_ULONG) -> CK_RV;

/// One of the functions that give bytes back.
type Final = unsafe extern "C" fn(CK_SESSION_HANDLE, *mut u8, *mut CK_ULONG) -> CK_RV;

// The crate of the module defines it; a C program finds it with dlsym.
unsafe extern "C" {
    fn C_GetInterface(
        name: *mut u8,
        version: *mut ck::CK_VERSION,
        interface: *mut *mut ck::CK_INTERFACE,
        flags: CK_ULONG,
    ) -> CK_RV;
}

/// The program, with the module initialized.
pub struct Program {
    p11: &'static CK_FUNCTION_LIST_3_2,
    slot: Slot,
    sessions: Vec<CK_SESSION_HANDLE>,
    objects: Vec<CK_OBJECT_HANDLE>,
}

/// Room for an answer.
struct Buffer {
    bytes: Option<Box<[u8]>>,
    length: CK_ULONG,
}

/// Calls a function of the table.
macro_rules! call {
    ($program:expr, $name:ident($($argument:expr),* $(,)?)) => {{
        let function = $program.p11.$name.expect(stringify!($name));
        // SAFETY: every pointer is NULL or leads to as much memory as the length beside it says.
        unsafe { function($($argument),*) }
    }};
}

impl Program {
    /// Loads and initializes the module.
    pub fn start(slot: Slot) -> Self {
        let mut interface = ptr::null_mut();
        // SAFETY: NULL asks for the default; the place is writable.
        let rv = unsafe { C_GetInterface(ptr::null_mut(), ptr::null_mut(), &raw mut interface, 0) };
        assert_eq!(rv, ck::CKR_OK);
        // SAFETY: the module's interfaces and tables are statics, and the newest interface is the
        // default.
        let p11 = unsafe { &*(*interface).pFunctionList.cast::<CK_FUNCTION_LIST_3_2>() };
        let program = Self { p11, slot, sessions: Vec::new(), objects: Vec::new() };
        assert_eq!(call!(program, C_Initialize(ptr::null_mut())), ck::CKR_OK);
        program
    }

    /// The reader.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Ends it: C_Finalize leaves nothing behind.
    pub fn finish(self) {
        assert_eq!(call!(self, C_Finalize(ptr::null_mut())), ck::CKR_OK);
        self.must_have_cost(0);
        self.slot.must_be_left_alone();
    }

    /// Counts or lists slots and asks one of them for what it tells without a session.
    pub fn list(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (present, slot) = (input.byte()?, self.slot_id(input)?);
        let mut count = CK_ULONG::from(input.byte()?);
        let mut slots = vec![0; usize::try_from(count).expect("a byte")];
        let list = if count == 0 { ptr::null_mut() } else { slots.as_mut_ptr() };
        call!(self, C_GetSlotList(present, list, &raw mut count));
        let mut info = ck::CK_SLOT_INFO::default();
        call!(self, C_GetSlotInfo(slot, &raw mut info));
        let mut token = ck::CK_TOKEN_INFO::default();
        call!(self, C_GetTokenInfo(slot, &raw mut token));
        let mut count = CK_ULONG::from(input.byte()?);
        let mut kinds = vec![0; usize::try_from(count).expect("a byte")];
        let list = if count == 0 { ptr::null_mut() } else { kinds.as_mut_ptr() };
        call!(self, C_GetMechanismList(slot, list, &raw mut count));
        let mut mechanism = ck::CK_MECHANISM_INFO::default();
        call!(self, C_GetMechanismInfo(slot, number(input, &MECHANISMS)?, &raw mut mechanism));
        self.must_have_cost(0);
        Some(())
    }

    /// Opens or closes a session, or all of a slot.
    pub fn session(&mut self, input: &mut Input<'_>) -> Option<()> {
        match input.byte()? {
            0 => {
                call!(self, C_CloseAllSessions(self.slot_id(input)?));
            }
            1 => {
                call!(self, C_CloseSession(self.handle(input)?));
            }
            2 => {
                let mut info = ck::CK_SESSION_INFO::default();
                call!(self, C_GetSessionInfo(self.handle(input)?, &raw mut info));
            }
            flags => {
                let mut session = 0;
                let slot = self.slot_id(input)?;
                let flags = CK_ULONG::from(flags);
                let rv = call!(self, C_OpenSession(slot, flags, ptr::null_mut(), None, &raw mut session));
                if rv == ck::CKR_OK {
                    self.sessions.push(session);
                }
            }
        }
        self.must_have_cost(0);
        Some(())
    }

    /// C_Login, C_Logout and C_SetPIN.
    pub fn login(&mut self, input: &mut Input<'_>, pin: &[u8], new: &[u8]) -> Option<()> {
        let session = self.handle(input)?;
        let text = |pin: &[u8]| (pin.as_ptr().cast_mut(), ulong(pin.len()));
        let (pin, length) = text(pin);
        let most = match input.byte()? {
            0..=0x0f => {
                call!(self, C_Logout(session));
                0
            }
            0x10..=0x3f => {
                let (new, new_length) = text(new);
                call!(self, C_SetPIN(session, pin, length, new, new_length));
                1
            }
            0x40..=0xef => {
                call!(self, C_Login(session, ck::CKU_USER, pin, length));
                1
            }
            user => {
                call!(self, C_Login(session, CK_ULONG::from(user - 0xf0), pin, length));
                1
            }
        };
        self.must_have_cost(most);
        Some(())
    }

    /// Searches with any template.
    pub fn search(&mut self, input: &mut Input<'_>) -> Option<()> {
        let session = self.handle(input)?;
        let mut template = Vec::new();
        for _ in 0..usize::from(input.byte()?) % MAX_ENTRIES {
            let kind = number(input, &ATTRIBUTES)?;
            let value = input.bytes()?;
            template.push(ck::CK_ATTRIBUTE {
                type_: kind,
                pValue: value.as_ptr().cast_mut().cast(),
                ulValueLen: ulong(value.len()),
            });
        }
        let count = ulong(template.len());
        let list = if template.is_empty() { ptr::null_mut() } else { template.as_mut_ptr() };
        let rv = call!(self, C_FindObjectsInit(session, list, count));
        // A certificate that only the PIN opens may be read here, with a PIN that was right at
        // login.
        self.must_have_cost(1);
        let mut objects = vec![0; 16];
        let mut found = 0;
        let room = ulong(objects.len());
        if call!(self, C_FindObjects(session, objects.as_mut_ptr(), room, &raw mut found)) == ck::CKR_OK {
            objects.truncate(usize::try_from(found).expect("as many as there is room for"));
            self.objects.extend(objects);
            self.objects.truncate(64);
        }
        if input.byte()? & 1 == 0 || rv == ck::CKR_OK {
            call!(self, C_FindObjectsFinal(session));
        }
        self.must_have_cost(0);
        Some(())
    }

    /// Reads any attributes of any object into rooms of any size.
    pub fn read(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (session, object) = (self.handle(input)?, self.object(input)?);
        let mut kinds = Vec::new();
        let mut rooms = Vec::new();
        for _ in 0..usize::from(input.byte()?) % MAX_ENTRIES {
            kinds.push(number(input, &ATTRIBUTES)?);
            rooms.push(Buffer::read(input)?);
        }
        let mut template: Vec<_> = kinds
            .iter()
            .zip(&mut rooms)
            .map(|(&type_, room)| ck::CK_ATTRIBUTE {
                type_,
                pValue: room.pointer().cast(),
                ulValueLen: room.length,
            })
            .collect();
        let count = ulong(template.len());
        let list = if template.is_empty() { ptr::null_mut() } else { template.as_mut_ptr() };
        let rv = call!(self, C_GetAttributeValue(session, object, list, count));
        let refused = template.iter().any(|entry| entry.ulValueLen == ck::CK_UNAVAILABLE_INFORMATION);
        assert!(rv != ck::CKR_OK || !refused, "a refused attribute and CKR_OK");
        for (entry, room) in template.iter().zip(&rooms) {
            assert!(room.is_kept_by(entry.ulValueLen), "more than there was room for");
        }
        let mut size = 0;
        call!(self, C_GetObjectSize(session, object, &raw mut size));
        self.must_have_cost(0);
        Some(())
    }

    /// Begins an operation with any mechanism and any key.
    pub fn begin(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (session, object) = (self.handle(input)?, self.object(input)?);
        let kind = number(input, &MECHANISMS)?;
        let parameter = input.bytes()?;
        let parameter_pointer =
            if parameter.is_empty() { ptr::null_mut() } else { parameter.as_ptr().cast_mut().cast() };
        let mut mechanism = ck::CK_MECHANISM {
            mechanism: kind,
            pParameter: parameter_pointer,
            ulParameterLen: ulong(parameter.len()),
        };
        let mechanism = &raw mut mechanism;
        match input.byte()? & 0x0f {
            0 => call!(self, C_DigestInit(session, mechanism)),
            1 | 2 => call!(self, C_VerifyInit(session, mechanism, object)),
            3 => call!(self, C_SignInit(session, ptr::null_mut(), object)),
            4 => call!(self, C_SessionCancel(session, CK_ULONG::from(input.number()?))),
            _ => call!(self, C_SignInit(session, mechanism, object)),
        };
        self.must_have_cost(1);
        Some(())
    }

    /// Goes on with an operation, or ends it.
    pub fn go_on(&mut self, input: &mut Input<'_>) -> Option<()> {
        let session = self.handle(input)?;
        let kind = input.byte()? % 10;
        let data = input.bytes()?;
        let (pointer, length) = (data.as_ptr().cast_mut(), ulong(data.len()));
        match kind {
            0 => self.update(session, self.p11.C_DigestUpdate, data),
            1 => self.update(session, self.p11.C_SignUpdate, data),
            2 => self.update(session, self.p11.C_VerifyUpdate, data),
            3 => self.update(session, self.p11.C_VerifyFinal, data),
            4 => {
                let signature = input.bytes()?;
                let (signature, signature_length) = (signature.as_ptr().cast_mut(), ulong(signature.len()));
                call!(self, C_Verify(session, pointer, length, signature, signature_length));
            }
            5 => self.one_shot(session, self.p11.C_Digest, data, Buffer::read(input)?, None),
            6 => self.end(session, self.p11.C_DigestFinal, Buffer::read(input)?, None),
            7 => self.end(session, self.p11.C_SignFinal, Buffer::read(input)?, Some(SIGNATURE)),
            _ => self.one_shot(session, self.p11.C_Sign, data, Buffer::read(input)?, Some(SIGNATURE)),
        }
        self.must_have_cost(1);
        Some(())
    }

    /// Random bytes, and the next slot event.
    pub fn random(&mut self, input: &mut Input<'_>) -> Option<()> {
        let session = self.handle(input)?;
        let mut bytes = vec![FILLER; usize::from(input.byte()?)];
        call!(self, C_GenerateRandom(session, bytes.as_mut_ptr(), ulong(bytes.len())));
        call!(self, C_SeedRandom(session, bytes.as_mut_ptr(), ulong(bytes.len())));
        let mut slot = 0;
        call!(self, C_WaitForSlotEvent(ck::CKF_DONT_BLOCK, &raw mut slot, ptr::null_mut()));
        self.must_have_cost(0);
        Some(())
    }

    fn update(&self, session: CK_SESSION_HANDLE, function: Option<Update>, data: &[u8]) {
        let function = function.expect("in the table");
        // SAFETY: the data are as long as it says.
        unsafe { function(session, data.as_ptr().cast_mut(), ulong(data.len())) };
    }

    fn one_shot(
        &self,
        session: CK_SESSION_HANDLE,
        function: Option<OneShot>,
        data: &[u8],
        mut room: Buffer,
        exact: Option<CK_ULONG>,
    ) {
        let function = function.expect("in the table");
        let (output, mut length) = (room.pointer(), room.length);
        // SAFETY: the data and the room are as long as it says.
        let rv = unsafe {
            function(session, data.as_ptr().cast_mut(), ulong(data.len()), output, &raw mut length)
        };
        room.check(rv, length, exact);
    }

    fn end(
        &self,
        session: CK_SESSION_HANDLE,
        function: Option<Final>,
        mut room: Buffer,
        exact: Option<CK_ULONG>,
    ) {
        let function = function.expect("in the table");
        let (output, mut length) = (room.pointer(), room.length);
        // SAFETY: the room is as long as it says.
        let rv = unsafe { function(session, output, &raw mut length) };
        room.check(rv, length, exact);
    }

    fn slot_id(&self, input: &mut Input<'_>) -> Option<CK_ULONG> {
        number(input, &[0, 1])
    }

    /// A session, open or closed, or any number.
    fn handle(&self, input: &mut Input<'_>) -> Option<CK_SESSION_HANDLE> {
        number(input, &self.sessions)
    }

    fn object(&self, input: &mut Input<'_>) -> Option<CK_OBJECT_HANDLE> {
        number(input, &self.objects)
    }

    /// Checks what the calls since this was checked last have done to the card.
    fn must_have_cost(&self, most: usize) {
        let card = self.slot.card();
        let refused = card.take_refused_verifies();
        assert!(refused <= most, "{refused} VERIFYs were refused\n{}", card.card().ledger());
        card.must_be_closed();
    }
}

impl Buffer {
    /// None, a small one, or one of any size.
    fn read(input: &mut Input<'_>) -> Option<Self> {
        let size = match input.byte()? {
            0xff => return Some(Self { bytes: None, length: CK_ULONG::from(input.byte()?) }),
            0xfe => usize::from(input.number()?),
            0xfd => usize::try_from(SIGNATURE).expect("small"),
            small => usize::from(small),
        };
        Some(Self { bytes: Some(vec![FILLER; size].into()), length: ulong(size) })
    }

    fn pointer(&mut self) -> *mut u8 {
        self.bytes.as_mut().map_or(ptr::null_mut(), |bytes| bytes.as_mut_ptr())
    }

    /// After an error nothing is written; after success no more than there was room for.
    fn check(&self, rv: CK_RV, length: CK_ULONG, exact: Option<CK_ULONG>) {
        if rv == ck::CKR_OK {
            assert!(self.is_kept_by(length), "more than there was room for");
            assert!(exact.is_none_or(|exact| exact == length), "not the length of a signature");
        } else {
            let bytes = self.bytes.as_deref().unwrap_or_default();
            assert!(bytes.iter().all(|&byte| byte == FILLER), "an error, and something was written");
        }
    }

    fn is_kept_by(&self, length: CK_ULONG) -> bool {
        self.bytes.is_none() || length == ck::CK_UNAVAILABLE_INFORMATION || length <= self.length
    }
}

/// One that is known, or any number.
pub fn number(input: &mut Input<'_>, known: &[u64]) -> Option<u64> {
    match input.byte()? {
        known_one @ ..0xf0 if !known.is_empty() => known.get(usize::from(known_one) % known.len()).copied(),
        0xff => Some(u64::MAX - u64::from(input.byte()?)),
        shift => Some(u64::from(input.number()?) << (shift & 0x0f)),
    }
}

fn ulong(size: usize) -> CK_ULONG {
    size.try_into().expect("CK_ULONG is as wide")
}
