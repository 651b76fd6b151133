//! The card's operating system: which application is current, and what each command does there.
//!
//! Knows no ledger and no faults; `card` wraps it in those.

use rsa::rand_core::{OsRng, RngCore};

use crate::apdu::{Command, sw};
use crate::files::{Access, File, Files};
use crate::ledger::{Outcome, Verified, Verify};
use crate::pins::Pins;
use crate::profile::Profile;
use crate::signing::{SIGNATURE_LENGTH, Scheme};
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
        Some(match *aid {
            [0xa0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00] => Self::CardManager,
            [0xd3, 0x92, 0xf0, 0x00, 0x26, 0x01, 0x00, 0x00, 0x00, 0x01] => Self::Jpki,
            [0xd3, 0x92, 0x10, 0x00, 0x31, 0x00, 0x01, 0x01, 0x01, 0x00] => Self::Common,
            [0xd3, 0x92, 0x10, 0x00, 0x31, 0x00, 0x01, 0x01, 0x04, 0x02] => Self::SurfaceCheck,
            [0xd3, 0x92, 0x10, 0x00, 0x31, 0x00, 0x01, 0x01, 0x04, 0x08] => Self::SurfaceInput,
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
    fn status(status: u16) -> Self {
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
type Refusal = u16;

/// The state of one card.
#[derive(Clone, Debug)]
pub(crate) struct Applet {
    profile: Profile,
    identity: Identity,
    pub(crate) files: Files,
    pub(crate) pins: Pins,
    application: Application,
    current_file: Option<u16>,
    /// Answer data that waits for GET RESPONSE.
    waiting: Vec<u8>,
    first_command: bool,
}

impl Applet {
    pub(crate) fn new(profile: Profile, identity: Identity) -> Self {
        Self {
            files: Files::new(&profile, &identity),
            pins: Pins::new(&profile),
            identity,
            profile,
            application: Application::CardManager,
            current_file: None,
            waiting: Vec::new(),
            first_command: true,
        }
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

    /// Where sources disagree: real cards are reported to keep the verified state over a warm reset, so that the
    /// application need only be selected again; ISO/IEC 7816-4 would have it cleared.
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
            return Processed::status(sw::FILE_NOT_FOUND);
        }
        let Some(command) = Command::parse(bytes) else { return Processed::status(sw::WRONG_LENGTH) };
        if command.extended && !self.profile.extended_length {
            return Processed::status(sw::WRONG_LENGTH);
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
            (0x00, 0xb0) => self.read_binary(command).map(Processed::data),
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
                let application = Application::from_aid(command.data).ok_or(sw::FILE_NOT_FOUND)?;
                // Only another application ends the verified state, and after a warm reset it is the
                // application that was current before that counts.
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
                self.current_file = Some(id);
                Ok(sw::OK)
            }
            _ => Err(sw::WRONG_PARAMETERS),
        }
    }

    fn read_binary(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Refusal> {
        let (id, offset) = if command.p1 & 0x80 == 0 {
            let offset = usize::from(u16::from_be_bytes([command.p1, command.p2]));
            (self.current_file.ok_or(sw::NO_CURRENT_FILE)?, offset)
        } else {
            let id = self.short_id(command.p1).ok_or(sw::WRONG_PARAMETERS)?;
            (id, usize::from(command.p2))
        };
        let File::Transparent { content, access } = self.file(id).ok_or(sw::FILE_NOT_FOUND)? else {
            return Err(sw::WRONG_FILE_TYPE);
        };
        if matches!(access, Access::Pin(credential) if !self.pins.is_verified(*credential)) {
            return Err(sw::NOT_VERIFIED);
        }
        let expected = command.expected.filter(|_| command.data.is_empty()).ok_or(sw::WRONG_LENGTH)?;
        let rest = content.get(offset..).filter(|rest| !rest.is_empty()).ok_or(sw::PAST_THE_END)?;
        if self.profile.insists_on_exact_length && expected > rest.len() {
            return Err(exact_length(rest.len()));
        }
        let answer = rest[..rest.len().min(expected)].to_vec();
        self.current_file = Some(id);
        Ok(answer)
    }

    fn verify(&mut self, command: &Command<'_>) -> Processed {
        let entered = (!command.data.is_empty()).then_some(command.data);
        let target = self.pin_named_by(command);
        let (status, outcome) = match (target, entered, command.expected) {
            (Err(status), Some(_), _) => (status, Outcome::Misplaced),
            (Err(status), None, _) => return Processed::status(status),
            (Ok(_), None, Some(_)) => return Processed::status(sw::WRONG_LENGTH),
            (Ok(credential), None, None) => (self.pins.query(credential), Outcome::Query),
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
        match self.named_by(command.p2)? {
            File::Pin(credential) => Ok(*credential),
            _ => Err(sw::WRONG_FILE_TYPE),
        }
    }

    fn change_pin(&mut self, command: &Command<'_>) -> Result<u16, Refusal> {
        if (command.p1, command.p2) != (0x01, 0x80) {
            return Err(sw::WRONG_PARAMETERS);
        }
        let &File::Pin(credential) = self.named_by(command.p2)? else { return Err(sw::WRONG_FILE_TYPE) };
        if command.data.is_empty() {
            return Err(sw::WRONG_LENGTH);
        }
        Ok(self.pins.change(credential, command.data))
    }

    /// P1 is looked at first, then the key, the PIN and at last the lengths.
    fn sign(&mut self, command: &Command<'_>) -> Result<Processed, Refusal> {
        let supported = self.profile.sign_schemes.contains(&command.p1);
        let scheme = Scheme::from_p1(command.p1).filter(|_| supported).ok_or(sw::WRONG_PARAMETERS)?;
        let &File::Key(credential) = self.named_by(command.p2)? else { return Err(sw::WRONG_FILE_TYPE) };
        if !self.pins.is_verified(credential) {
            return Err(sw::NOT_VERIFIED);
        }
        let expected = command.expected.filter(|_| !command.data.is_empty()).ok_or(sw::WRONG_LENGTH)?;
        if !scheme.takes(command.data.len()) {
            return Err(self.profile.wrong_input_status);
        }
        if expected < SIGNATURE_LENGTH {
            return Err(exact_length(SIGNATURE_LENGTH));
        }
        let data = scheme.sign(self.identity.private_key(credential), command.data);
        Ok(Processed { data, status: sw::OK, verify: None, signed: Some(credential) })
    }

    /// The file P2 means: 80 the current one, 80|SFI the one with that short id.
    fn named_by(&self, p2: u8) -> Result<&File, Refusal> {
        if p2 == 0x80 {
            let id = self.current_file.ok_or(sw::NO_CURRENT_FILE)?;
            return self.file(id).ok_or(sw::NO_CURRENT_FILE);
        }
        let id = self.short_id(p2).ok_or(sw::WRONG_PARAMETERS)?;
        self.file(id).ok_or(sw::REFERENCE_NOT_FOUND)
    }

    fn short_id(&self, parameter: u8) -> Option<u16> {
        let id = parameter & 0x1f;
        let valid = self.profile.short_file_ids && parameter & 0xe0 == 0x80 && id != 0 && id != 0x1f;
        valid.then_some(u16::from(id))
    }

    fn file(&self, id: u16) -> Option<&File> {
        self.files.find(id).filter(|_| self.application == Application::Jpki)
    }

    /// Keeps back what does not fit into one piece, when the profile has pieces.
    fn cut(&mut self, command: &Command<'_>, processed: &mut Processed) {
        let is_get_response = command.instruction == 0xc0;
        let expected = command.expected.unwrap_or(0);
        if is_get_response && processed.data.is_empty() {
            processed.status = sw::CONDITIONS;
            return;
        }
        let Some(piece) = self.profile.longest_piece else { return };
        let keep = if is_get_response { piece.min(expected) } else { piece };
        if processed.data.len() > keep {
            self.waiting = processed.data.split_off(keep);
            let announced = u8::try_from(self.waiting.len()).unwrap_or(0);
            processed.status = sw::MORE_DATA | u16::from(announced);
        }
    }
}

fn exact_length(length: usize) -> Refusal {
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
