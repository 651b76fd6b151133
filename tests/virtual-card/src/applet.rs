//! The card's operating system: which application is current, and what each command does there.
//!
//! Knows no ledger and no faults; `card` wraps it in those.

use rsa::rand_core::{OsRng, RngCore};

use crate::aid;
use crate::apdu::{Command, sw};
use crate::behaviour::{ExtendedLength, FileAnswer};
use crate::files::{File, Files};
use crate::ledger::{Outcome, Verified, Verify};
use crate::pins::Pins;
use crate::profile::Profile;
use crate::{Credential, Identity};

/// An application of the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Application {
    /// The issuer security domain of GlobalPlatform, current after power-up.
    CardManager,
    /// The one all this is about.
    Jpki,
    /// 共通カード
    Common,
    /// 券面事項確認
    SurfaceCheck,
    /// 券面入力補助
    SurfaceInput,
}

impl Application {
    fn from_aid(aid: &[u8]) -> Option<Self> {
        Some(match aid {
            aid::ISD | aid::LONG_ISD => Self::CardManager,
            aid::JPKI => Self::Jpki,
            aid::COMMON => Self::Common,
            aid::SURFACE_CHECK => Self::SurfaceCheck,
            aid::SURFACE_INPUT => Self::SurfaceInput,
            _ => return None,
        })
    }
}

/// An answer and what the ledger wants to know of how it came about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processed {
    pub(crate) data: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) verify: Option<Verify>,
    pub(crate) signed: Option<Credential>,
}

impl Processed {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    fn data(data: Vec<u8>) -> Self {
        Self { data, status: sw::OK, ..Self::default() }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        [&self.data[..], &self.status.to_be_bytes()].concat()
    }
}

/// Why a command was refused; the status word is the whole answer.
pub(crate) type Refusal = u16;

/// The state of one card.
#[derive(Clone, Debug)]
pub(crate) struct Applet {
    pub(crate) profile: Profile,
    pub(crate) identity: Identity,
    pub(crate) files: Files,
    pub(crate) pins: Pins,
    application: Application,
    pub(crate) current_file: Option<u16>,
    /// Answer data that waits for GET RESPONSE.
    waiting: Vec<u8>,
    first_command: bool,
}

impl Applet {
    pub(crate) fn new(profile: Profile, identity: Identity) -> Self {
        let mut applet = Self {
            files: Files::new(&profile, &identity),
            pins: Pins::new(&profile),
            identity,
            profile,
            application: Application::CardManager,
            current_file: None,
            waiting: Vec::new(),
            first_command: true,
        };
        if applet.profile.left_verified {
            applet.leave_verified();
        }
        applet
    }

    /// What a program leaves that verified both PINs and ended without a reset.
    pub(crate) fn leave_verified(&mut self) {
        self.application = Application::Jpki;
        self.pins.verify_both();
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn application(&self) -> Application {
        self.application
    }

    pub(crate) fn verified(&self) -> Verified {
        self.pins.verified()
    }

    /// Power gone and come back: everything but counters and files is as new.
    pub(crate) fn cold_reset(&mut self) {
        self.pins.forget();
        self.deselect();
        self.first_command = true;
    }

    /// Where sources disagree: real cards are reported to keep the verified state over a warm
    /// reset, so that the application need only be selected again; ISO/IEC 7816-4 would have it
    /// cleared.
    pub(crate) fn warm_reset(&mut self) {
        if !self.profile.warm_reset_keeps_verified {
            self.pins.forget();
        }
        self.deselect();
    }

    fn deselect(&mut self) {
        self.application = Application::CardManager;
        self.current_file = None;
        self.waiting.clear();
    }

    /// Carries out one command.
    pub(crate) fn process(&mut self, bytes: &[u8]) -> Processed {
        if std::mem::take(&mut self.first_command) && self.profile.first_command_fails {
            return Processed::status(sw::NO_DIAGNOSIS);
        }
        if !self.profile.has_application {
            return Processed::status(self.profile.foreign_status);
        }
        let Some(command) = Command::parse(bytes) else { return Processed::status(sw::WRONG_LENGTH) };
        match self.profile.extended_length {
            ExtendedLength::Refused(status) if command.extended => return Processed::status(status),
            _ => {}
        }
        let waiting = std::mem::take(&mut self.waiting);
        let mut processed = match (command.class, command.instruction) {
            (0x00, 0xc0) => Processed::data(waiting),
            _ => self.dispatch(&command).unwrap_or_else(Processed::status),
        };
        self.cut(&command, &mut processed);
        processed
    }

    fn dispatch(&mut self, command: &Command<'_>) -> Result<Processed, Refusal> {
        match (command.class, command.instruction) {
            (0x00, 0xa4) => self.select(command).map(Processed::status),
            (0x00, 0xb0) => self.read_binary(command),
            (0x00, 0x20) => Ok(self.verify(command)),
            (0x00, 0x24) => self.change_pin(command).map(Processed::status),
            (0x00, 0x84) => challenge(command).map(Processed::data),
            (0x80, 0x2a) => self.sign(command),
            (0x00 | 0x80, 0x2a | 0xa4 | 0xb0 | 0x20 | 0x24 | 0x84 | 0xc0) => Err(sw::UNKNOWN_CLASS),
            (0x00 | 0x80, _) => Err(sw::UNKNOWN_INSTRUCTION),
            (0x01..=0x03, _) => Err(sw::NO_LOGICAL_CHANNEL),
            (0x04..=0x0f, _) => Err(sw::NO_SECURE_MESSAGING),
            _ => Err(sw::UNKNOWN_CLASS),
        }
    }

    fn select(&mut self, command: &Command<'_>) -> Result<u16, Refusal> {
        match (command.p1, command.p2) {
            (0x04, 0x00 | 0x0c) => {
                if let Some(&refusal) = self.profile.refused_applications.get(command.data) {
                    return Err(refusal);
                }
                let application = Application::from_aid(command.data).ok_or(sw::FILE_NOT_FOUND)?;
                // Only another application ends the verified state, and after a warm reset it is
                // the application that was current before that counts.
                if application != Application::Jpki {
                    self.pins.forget();
                }
                self.application = application;
                self.current_file = None;
                Ok(sw::OK)
            }
            (0x02, 0x0c) => {
                let &[high, low] = command.data else { return Err(sw::WRONG_LENGTH) };
                let id = u16::from_be_bytes([high, low]);
                self.file(id).ok_or(sw::FILE_NOT_FOUND)?;
                if let FileAnswer::Refused(status) = self.file_answer(id) {
                    return Err(status);
                }
                self.current_file = Some(id);
                Ok(sw::OK)
            }
            _ => Err(sw::WRONG_PARAMETERS),
        }
    }

    fn verify(&mut self, command: &Command<'_>) -> Processed {
        let entered = (!command.data.is_empty()).then_some(command.data);
        let target = self.pin_named_by(command);
        let (status, outcome) = match (target, entered, command.expected) {
            (Err(status), Some(_), _) => (status, Outcome::Misplaced),
            (Err(status), None, _) => return Processed::status(status),
            (Ok(credential), None, length) => match length.and(self.profile.fifth_byte_refusal) {
                Some(status) => return Processed::status(status),
                None => (self.pins.query(credential), Outcome::Query),
            },
            (Ok(credential), Some(entered), _) => self.pins.verify(credential, entered),
        };
        Processed {
            status,
            verify: Some(Verify { credential: target.ok(), outcome }),
            ..Processed::default()
        }
    }

    /// The PIN a VERIFY command is for, for the ledger of a command that never arrives.
    pub(crate) fn pin_meant_by(&self, bytes: &[u8]) -> Option<Credential> {
        Command::parse(bytes).and_then(|command| self.pin_named_by(&command).ok())
    }

    fn pin_named_by(&self, command: &Command<'_>) -> Result<Credential, Refusal> {
        if command.p1 != 0 {
            return Err(sw::WRONG_PARAMETERS);
        }
        match self.named_by(command.p2, self.profile.short_verify_refusal)? {
            File::Pin(credential) => Ok(*credential),
            _ => Err(sw::WRONG_FILE_TYPE),
        }
    }

    /// The PIN that a command with data would change, were it allowed.
    pub(crate) fn pin_to_change(&self, bytes: &[u8]) -> Option<Credential> {
        let is_change = |command: &Command<'_>| command.instruction == 0x24 && !command.data.is_empty();
        let command = Command::parse(bytes).filter(is_change)?;
        match self.named_by(command.p2, None) {
            Ok(File::Pin(credential)) => Some(*credential),
            _ => None,
        }
    }

    fn change_pin(&mut self, command: &Command<'_>) -> Result<u16, Refusal> {
        if (command.p1, command.p2) != (0x01, 0x80) {
            return Err(sw::WRONG_PARAMETERS);
        }
        let &File::Pin(credential) = self.named_by(command.p2, None)? else {
            return Err(sw::WRONG_FILE_TYPE);
        };
        if command.data.is_empty() {
            return Err(sw::WRONG_LENGTH);
        }
        Ok(self.pins.change(credential, command.data))
    }

    /// The file P2 means: 80 the current one, 80|SFI the one with that short id, unless such ids
    /// are refused.
    pub(crate) fn named_by(&self, p2: u8, short_refusal: Option<u16>) -> Result<&File, Refusal> {
        if p2 == 0x80 {
            let id = self.current_file.ok_or(sw::NO_CURRENT_FILE)?;
            return self.file(id).ok_or(sw::NO_CURRENT_FILE);
        }
        let id = self.short_id(p2, short_refusal)?;
        self.file(id).ok_or(sw::REFERENCE_NOT_FOUND)
    }

    pub(crate) fn short_id(&self, parameter: u8, refusal: Option<u16>) -> Result<u16, Refusal> {
        let id = parameter & 0x1f;
        let valid = self.profile.short_file_ids && parameter & 0xe0 == 0x80 && id != 0 && id != 0x1f;
        if valid { refusal.map_or(Ok(u16::from(id)), Err) } else { Err(sw::WRONG_PARAMETERS) }
    }

    pub(crate) fn file_answer(&self, id: u16) -> FileAnswer {
        self.profile.file_answers.get(&id).copied().unwrap_or_default()
    }

    pub(crate) fn file(&self, id: u16) -> Option<&File> {
        self.files.find(id).filter(|_| self.application == Application::Jpki)
    }

    /// Keeps back what does not fit into one piece, when the profile has pieces.
    fn cut(&mut self, command: &Command<'_>, processed: &mut Processed) {
        const LONGEST_SHORT_ANSWER: usize = 256;
        let is_get_response = command.instruction == 0xc0;
        if is_get_response && processed.data.is_empty() {
            processed.status = sw::CONDITIONS;
            return;
        }
        if command.extended && self.profile.extended_length == ExtendedLength::Cut {
            processed.data.truncate(LONGEST_SHORT_ANSWER);
        }
        let piece = self.profile.longest_piece;
        let keep = match processed.signed {
            Some(_) if self.profile.signature_waits => Some(0),
            _ if is_get_response => Some(piece.unwrap_or(usize::MAX).min(command.expected.unwrap_or(0))),
            _ => piece,
        };
        if let Some(keep) = keep.filter(|keep| processed.data.len() > *keep) {
            self.waiting = processed.data.split_off(keep);
            let announced = u8::try_from(self.waiting.len()).unwrap_or(0);
            processed.status = sw::MORE_DATA | u16::from(announced);
        }
    }
}

pub(crate) fn exact_length(length: usize) -> Refusal {
    sw::EXACT_LENGTH | u16::from(u8::try_from(length).unwrap_or(0))
}

fn challenge(command: &Command<'_>) -> Result<Vec<u8>, Refusal> {
    if (command.p1, command.p2) != (0, 0) {
        return Err(sw::WRONG_PARAMETERS);
    }
    let length = command.expected.filter(|_| command.data.is_empty() && !command.extended);
    let mut random = vec![0; length.ok_or(sw::WRONG_LENGTH)?];
    OsRng.fill_bytes(&mut random);
    Ok(random)
}
