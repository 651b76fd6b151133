//! Good arguments in guarded memory, and a session in which the function can do its work.

use std::ptr;

use cryptoki_sys as ck;
use cryptoki_sys::{CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_SLOT_ID, CK_ULONG};

use super::functions::{Function, of_3_2};
use super::guarded::Guarded;
use super::host::{AUTHENTICATION_PIN, Host};
use super::rows::{Argument, Row, row};
use test_support::Rv;
use test_support::c;
use test_support::client::ulong;
use test_support::client::{mechanism, query};

/// What a [`PreparedCall`] is made from. The user of the authentication key is logged in.
pub struct PreparedArguments<'host> {
    pub host: &'host Host,
    slots: [CK_SLOT_ID; 2],
    /// Stays open, so that the login does not end with another session.
    anchor: CK_SESSION_HANDLE,
    private_key: CK_OBJECT_HANDLE,
    public_key: CK_OBJECT_HANDLE,
}

/// One call, ready to be made or to be spoiled first.
pub struct PreparedCall<'host> {
    host: &'host Host,
    session: CK_SESSION_HANDLE,
    /// The arguments.
    pub words: Vec<CK_ULONG>,
    /// What those of them that are pointers lead to.
    pub memory: Vec<Option<Guarded>>,
}

/// The supported functions of the table of version 3.2, but those that begin and end everything.
pub fn supported(host: &Host) -> Vec<(Function, Row)> {
    let functions = of_3_2(host.p11).into_iter();
    let usual = functions.filter(|function| !["C_Initialize", "C_Finalize"].contains(&function.name));
    usual.filter_map(|function| row(function.name).map(|row| (function, row))).collect()
}

impl<'host> PreparedArguments<'host> {
    pub fn new(host: &'host Host) -> Self {
        Self::at(host, host.both_slots())
    }

    /// With these slots: of the authentication key, and of the signature key.
    pub fn at(host: &'host Host, slots: [CK_SLOT_ID; 2]) -> Self {
        let anchor = host.open_on(slots[0]).unwrap();
        host.login(anchor, AUTHENTICATION_PIN).ok();
        let (private_key, public_key) = (host.private_key(anchor), host.find(anchor, ck::CKO_PUBLIC_KEY));
        Self { host, slots, anchor, private_key, public_key }
    }

    /// Prepares a call of the function that is called `name`. What goes wrong here shows in what
    /// the call returns.
    pub fn prepare(&self, name: &str, arguments: &[Argument]) -> PreparedCall<'host> {
        if name.starts_with("C_Login") {
            c!(self.host.p11, C_Logout(self.anchor));
        } else {
            self.host.login(self.anchor, AUTHENTICATION_PIN);
        }
        let session = self.host.open_on(self.slots[0]).unwrap_or_default();
        if !name.ends_with("Init") && !name.starts_with("C_Login") {
            self.start_operations(session);
        }
        let mut call = PreparedCall { host: self.host, session, words: Vec::new(), memory: Vec::new() };
        for (index, argument) in arguments.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|before| arguments.get(before));
            let (word, memory) = self.place(session, argument, before.map_or(0, Argument::count));
            call.words.push(word);
            call.memory.push(memory);
        }
        call
    }

    fn start_operations(&self, session: CK_SESSION_HANDLE) {
        let p11 = self.host.p11;
        let (mut signing, mut hashing) = (mechanism(ck::CKM_SHA256_RSA_PKCS), mechanism(ck::CKM_SHA256));
        c!(p11, C_SignInit(session, &raw mut signing, self.private_key));
        c!(p11, C_VerifyInit(session, &raw mut signing, self.public_key));
        c!(p11, C_DigestInit(session, &raw mut hashing));
        c!(p11, C_FindObjectsInit(session, ptr::null_mut(), 0));
    }

    /// The word for an argument, and the memory that it leads to.
    fn place(
        &self,
        session: CK_SESSION_HANDLE,
        argument: &Argument,
        count: usize,
    ) -> (CK_ULONG, Option<Guarded>) {
        let memory = match argument {
            Argument::Session => return (session, None),
            Argument::Slot => return (self.slots[0], None),
            Argument::OtherSlot => return (self.slots[1], None),
            Argument::PrivateKey => return (self.private_key, None),
            Argument::PublicKey => return (self.public_key, None),
            Argument::Number(value) => return (*value, None),
            Argument::Optional | Argument::Reserved => return (0, None),
            Argument::Count => return (ulong(count), None),
            Argument::Input(bytes) => Guarded::of(bytes),
            Argument::Pin(bytes) => Guarded::of(bytes),
            Argument::Template(kind) => Guarded::holding(query(*kind)),
            Argument::Output(size) => Guarded::room(*size),
            Argument::List(items, size) | Argument::Buffer(items, size) => Guarded::room(items * size),
            Argument::CountPointer => Guarded::holding(ulong(count)),
            Argument::Mechanism(kind) => Guarded::holding(mechanism(*kind)),
        };
        (memory.word(), Some(memory))
    }
}

impl PreparedCall<'_> {
    /// Makes the call.
    pub fn make(&self, function: &Function) -> Rv {
        // For the case that it ends the process: the output shows where.
        eprintln!("{} {:x?}", function.name, self.words);
        function.call(&self.words)
    }

    /// The memory of an argument.
    pub fn at(&self, index: usize) -> &Guarded {
        self.memory[index].as_ref().expect("a pointer")
    }

    /// Writes a count where a [`Argument::CountPointer`] leads to.
    pub fn set_count(&mut self, index: usize, count: CK_ULONG) {
        self.memory[index] = Some(Guarded::holding(count));
        self.words[index] = self.at(index).word();
    }
}

impl Drop for PreparedCall<'_> {
    fn drop(&mut self) {
        c!(self.host.p11, C_CloseSession(self.session));
    }
}
