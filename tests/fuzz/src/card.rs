//! A reader whose card is a virtual one with a script: at some commands something else comes back,
//! or nothing.
//!
//! Whatever the script does, two things are checked at every command: no transaction is longer than
//! it may be, and the card does not stay verified unless the script itself says that it was left
//! when it was not.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jpki_pkcs11::transport::calls::{Calls, Card, CardTransaction, Code, Context, ReaderEvent};
use jpki_pkcs11::transport::{Disposition, MAX_ANSWER, ReaderName};
use virtual_card::{CertificateFile, Credential, Identity, Profile, Reply, VirtualCard};

use crate::input::Input;

/// The most commands of one transaction.
const MAX_COMMANDS: usize = 128;

const VERIFY: u8 = 0x20;
const SIGN: u8 = 0x2a;
const SELECT_APPLICATION: [u8; 3] = [0x00, 0xa4, 0x04];
const SELECT_JPKI: [u8; 10] = [0x00, 0xa4, 0x04, 0x0c, 0x0a, 0xd3, 0x92, 0xf0, 0x00, 0x26];
const OK: [u8; 2] = [0x90, 0x00];

/// SCARD_STATE_EMPTY and SCARD_STATE_PRESENT.
const EMPTY: u32 = 0x10;
const PRESENT: u32 = 0x20;

/// SCARD_E_NOT_TRANSACTED.
pub(crate) const NOT_TRANSACTED: Code = Code::new(0x8010_0016);

/// The last one is for a command that was not passed on.
const ERRORS: [Code; 8] = [
    Code::REMOVED_CARD,
    Code::RESET_CARD,
    Code::SHARING_VIOLATION,
    Code::NO_SERVICE,
    Code::NO_ACCESS,
    Code::INSUFFICIENT_BUFFER,
    NOT_TRANSACTED,
    Code::PROTO_MISMATCH,
];

/// What happens to one command.
#[derive(Debug, Clone)]
pub enum Twist {
    /// The card does not see it, and this comes back.
    Answer(Vec<u8>),
    /// The status word is another one.
    Status(u16),
    /// More or less data in front of the status word.
    Data(Vec<u8>),
    /// One byte of the answer is another one.
    Byte(u16, u8),
    /// The card does not see it.
    FailBefore(Code),
    /// The card has carried it out.
    FailAfter(Code),
}

/// The reader. Clones are the same reader.
#[derive(Clone)]
pub struct Reader(Arc<Mutex<State>>);

struct State {
    card: VirtualCard,
    present: bool,
    changes: u32,
    was_reset: bool,
    /// By the number of the command from now on.
    script: BTreeMap<usize, Twist>,
    commands: usize,
    in_transaction: usize,
    refused_verifies: usize,
    /// The script told the module something of the card's state that is not true.
    lied: bool,
}

impl Twist {
    /// Reads one.
    pub fn read(input: &mut Input<'_>) -> Option<Self> {
        Some(match input.byte()? % 6 {
            0 => Self::Answer(input.bytes()?.to_vec()),
            1 => Self::Status(input.number()?),
            2 => Self::Data(input.bytes()?.to_vec()),
            3 => Self::Byte(input.number()?, input.byte()?),
            4 => Self::FailBefore(input.choice(&ERRORS)?),
            _ => Self::FailAfter(input.choice(&ERRORS[..7])?),
        })
    }
}

impl Reader {
    /// A reader with a card of one of the virtual card's profiles, or with none.
    pub fn new(profile: u8) -> Self {
        static PROFILES: OnceLock<Vec<Profile>> = OnceLock::new();
        let profiles =
            PROFILES.get_or_init(|| Profile::all().into_iter().map(with_ready_certificates).collect());
        let profile = &profiles[usize::from(profile) % profiles.len()];
        let card = VirtualCard::new(profile.clone(), Identity::shared());
        Self(Arc::new(Mutex::new(State {
            card,
            present: true,
            changes: 1,
            was_reset: false,
            script: BTreeMap::new(),
            commands: 0,
            in_transaction: 0,
            refused_verifies: 0,
            lied: false,
        })))
    }

    /// The card.
    pub fn card(&self) -> VirtualCard {
        self.state().card.clone()
    }

    /// Adds a twist to the script, so many commands from now.
    pub fn twist(&self, after: u8, twist: Twist) {
        let mut state = self.state();
        let at = state.commands + usize::from(after);
        state.script.insert(at, twist);
    }

    /// Takes the card out or puts it in again.
    pub fn turn(&self) {
        let mut state = self.state();
        state.present = !state.present;
        state.changes += 1;
        if state.present { state.card.insert() } else { state.card.remove() }
    }

    /// Another program resets the card.
    pub fn reset(&self) {
        let mut state = self.state();
        state.was_reset = true;
        state.card.warm_reset();
    }

    /// VERIFYs with a PIN that were refused, or whose answer was lost, since this was asked last.
    pub fn take_refused_verifies(&self) -> usize {
        std::mem::take(&mut self.state().refused_verifies)
    }

    /// One command, as the card in its slot gets it.
    pub(crate) fn exchange(&self, command: &[u8]) -> Result<Vec<u8>, Code> {
        let mut state = self.state();
        if command.starts_with(&SELECT_JPKI) {
            // A transaction begins so.
            state.in_transaction = 0;
        }
        state.transmit(command)
    }

    /// Checks that the card is not verified, between two calls of a program.
    pub(crate) fn must_be_closed(&self) {
        self.state().must_be_closed();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, Code> {
        self.in_transaction += 1;
        assert!(self.in_transaction <= MAX_COMMANDS, "a transaction without an end");
        let twist = self.script.remove(&self.commands);
        self.commands += 1;
        let select = command.starts_with(&SELECT_APPLICATION);
        let wrong_before = self.wrong_pins();
        let result = self.twisted(twist, command);
        if select && matches!(&result, Ok(answer) if answer.as_slice() == OK) && self.is_verified() {
            self.lied = true;
        }
        let verify = command.get(1) == Some(&VERIFY) && command.len() > 5;
        let refused = match &result {
            Ok(answer) => answer.as_slice() != OK,
            // After a reset the card's count tells what became of the PIN.
            Err(Code::RESET_CARD | Code::PROTO_MISMATCH) => self.wrong_pins() > wrong_before,
            Err(_) => true,
        };
        self.refused_verifies += usize::from(verify && refused);
        self.was_reset |= matches!(result, Err(Code::RESET_CARD));
        result
    }

    fn twisted(&mut self, twist: Option<Twist>, command: &[u8]) -> Result<Vec<u8>, Code> {
        let mut answer = match &twist {
            Some(Twist::Answer(bytes)) => return Ok(bytes.clone()),
            Some(Twist::FailBefore(error)) => return Err(*error),
            Some(_) | None => self.carry_out(command)?,
        };
        let data = answer.len().saturating_sub(2);
        match twist {
            Some(Twist::Status(status)) => answer.splice(data.., status.to_be_bytes()).for_each(drop),
            Some(Twist::Data(bytes)) => answer.splice(..data, bytes).for_each(drop),
            Some(Twist::Byte(at, byte)) => {
                let at = usize::from(at) % answer.len().max(1);
                answer[at] = byte;
            }
            Some(Twist::FailAfter(error)) => return Err(error),
            _ => {}
        }
        if answer.len() > MAX_ANSWER { Err(Code::INSUFFICIENT_BUFFER) } else { Ok(answer) }
    }

    /// The card's own answer. It signs each message once in the life of the process: that takes the
    /// most time.
    fn carry_out(&mut self, command: &[u8]) -> Result<Vec<u8>, Code> {
        static SIGNATURES: Mutex<Option<HashMap<Vec<u8>, Vec<u8>>>> = Mutex::new(None);
        let signs = command.get(1) == Some(&SIGN) && self.is_verified();
        let mut signatures = SIGNATURES.lock().unwrap_or_else(PoisonError::into_inner);
        let signatures = signatures.get_or_insert_default();
        // Both keys sign with the same command where the key was selected before.
        let key: Vec<u8> = Credential::ALL.map(|credential| u8::from(self.card.verified(credential))).into();
        let key = [key.as_slice(), command].concat();
        if let Some(signature) = signatures.get(&key).filter(|_| signs) {
            return Ok(signature.clone());
        }
        match self.card.transmit(command) {
            Reply::Answer(answer) => {
                if signs && answer.ends_with(&OK) && signatures.len() < 1024 {
                    signatures.insert(key, answer.clone());
                }
                Ok(answer)
            }
            Reply::Removed => Err(Code::REMOVED_CARD),
            Reply::Reset => Err(Code::RESET_CARD),
            Reply::Mute => Err(Code::UNRESPONSIVE_CARD),
            Reply::TransportError(code) => Err(Code::new(u32::from_ne_bytes(code.to_ne_bytes()))),
        }
    }

    fn wrong_pins(&self) -> usize {
        Credential::ALL.into_iter().map(|credential| self.card.failed_verifies(credential)).sum()
    }

    fn is_verified(&self) -> bool {
        Credential::ALL.into_iter().any(|credential| self.card.verified(credential))
    }

    fn dispose(&mut self, disposition: Disposition) {
        if disposition == Disposition::UnpowerCard {
            self.card.power_off();
            self.card.power_on();
        }
    }

    fn end(&mut self, disposition: Disposition) {
        self.dispose(disposition);
        self.must_be_closed();
        self.in_transaction = 0;
    }

    fn must_be_closed(&mut self) {
        assert!(self.lied || !self.is_verified(), "the card is left verified\n{}", self.card.ledger());
        // A module that was told that the card forgot does not look again.
        if self.lied {
            self.card.warm_reset();
            self.card.power_off();
            self.card.power_on();
            self.lied = false;
        }
    }
}

impl Calls for Reader {
    fn counts_changes(&self) -> bool {
        true
    }

    fn establish_context(&self) -> Result<Box<dyn Context>, Code> {
        Ok(Box::new(self.clone()))
    }
}

impl Context for Reader {
    fn list_readers(&self) -> Result<Vec<ReaderName>, Code> {
        Ok(vec![ReaderName::from(CString::from(c"Reader"))])
    }

    /// Without a wait: the script alone changes anything.
    fn get_status_change(&self, _: Duration, readers: &mut [ReaderEvent]) -> Result<(), Code> {
        let state = self.state();
        let event = (state.changes << 16) | if state.present { PRESENT } else { EMPTY };
        readers.iter_mut().for_each(|reader| reader.event = event);
        if readers.iter().any(|reader| reader.current != event) { Ok(()) } else { Err(Code::TIMEOUT) }
    }

    fn cancel(&self) -> Result<(), Code> {
        Ok(())
    }

    fn connect(&self, _: &ReaderName) -> Result<Box<dyn Card>, Code> {
        let mut state = self.state();
        if !state.present {
            return Err(Code::NO_SMARTCARD);
        }
        state.was_reset = false;
        Ok(Box::new(Wire { reader: self.clone(), changes: state.changes }))
    }
}

/// A connection, good for one insertion.
struct Wire {
    reader: Reader,
    changes: u32,
}

/// A transaction on it.
struct Exchange<'a>(&'a mut Wire);

impl Card for Wire {
    fn begin_transaction<'a>(
        &'a mut self,
    ) -> Result<Box<dyn CardTransaction + 'a>, (&'a mut dyn Card, Code)> {
        let (changes, was_reset) = {
            let state = self.reader.state();
            (state.changes, state.was_reset)
        };
        if changes != self.changes {
            return Err((self, Code::REMOVED_CARD));
        }
        if was_reset {
            return Err((self, Code::RESET_CARD));
        }
        Ok(Box::new(Exchange(self)))
    }

    fn reconnect(&mut self, initialization: Disposition) -> Result<(), Code> {
        let mut state = self.reader.state();
        if state.changes != self.changes {
            return Err(Code::REMOVED_CARD);
        }
        state.was_reset = false;
        state.dispose(initialization);
        Ok(())
    }

    fn control(&self, _: u32, _: &[u8]) -> Result<Vec<u8>, Code> {
        Err(Code::INVALID_HANDLE)
    }

    fn disconnect(self: Box<Self>, disposition: Disposition) {
        self.reader.state().dispose(disposition);
    }
}

impl CardTransaction for Exchange<'_> {
    fn transmit(&mut self, command: &[u8]) -> Result<Option<Vec<u8>>, Code> {
        self.0.reader.state().transmit(command).map(Some)
    }

    fn reconnect(&mut self, initialization: Disposition) -> Result<(), Code> {
        self.0.reconnect(initialization)
    }

    fn end<'a>(self: Box<Self>, disposition: Disposition) -> Result<(), (Box<dyn CardTransaction + 'a>, Code)>
    where
        Self: 'a,
    {
        let was_reset = self.0.reader.state().was_reset;
        if was_reset {
            return Err((self, Code::RESET_CARD));
        }
        self.0.reader.state().end(disposition);
        Ok(())
    }
}

/// Makes the certificates now, so that a new card of this profile costs nothing.
fn with_ready_certificates(mut profile: Profile) -> Profile {
    for credential in Credential::ALL {
        if profile.credential(credential).is_none() {
            continue;
        }
        let part = profile.credential_mut(credential);
        if let CertificateFile::Present = part.certificate {
            let der = Identity::shared().certificate(credential, part.validity);
            part.certificate = CertificateFile::Bytes(der);
        }
        if let CertificateFile::Present = part.ca_certificate {
            part.ca_certificate = CertificateFile::Bytes(Identity::ca_certificate(credential));
        }
    }
    profile
}
