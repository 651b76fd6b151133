//! The commands of the JPKI application, within one transaction.
//!
//! Every method is one thing the application does. What is learned of the chip goes to
//! [`CardCapabilities`], which outlive the transaction. Where sources disagree about the card, the
//! method says so.

mod files;
mod pin_commands;
mod signing;

use log::trace;
use thiserror::Error;

pub use self::pin_commands::{CountAnswer, VerifyOutcome};
use super::capability::{Capability, CardCapabilities};
use super::credential::{Aid, FileId, JPKI, NEUTRAL_APPLICATIONS};
use crate::iso7816::apdu::{Command, Response, SecretCommand};
use crate::iso7816::exchange::exchange;
use crate::iso7816::status::{Status, StatusWord};
use crate::transport::{ReaderState, Transaction, TransportError};

/// The instruction of READ BINARY.
const READ_BINARY: u8 = 0xb0;

/// The most commands in one transaction. The longest one needs about 30, and 80 on a chip that
/// gives 32 bytes at a time; a card that answers with a byte at a time, or with 61xx for ever, ends
/// here.
const MAX_EXCHANGES: u8 = 128;

/// What a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandKind {
    /// SELECT of an application.
    SelectApplication,
    /// Reading a file.
    Read,
    /// Asking for the tries left.
    CountTries,
    /// VERIFY with a PIN. Whether the card counted it is not known when no answer came.
    Verify,
    /// CHANGE REFERENCE DATA.
    ChangePin,
    /// VERIFY with a PIN that the card has just taken as the new one.
    ConfirmPin,
    /// The sign command.
    Sign,
    /// The sign command with an input that no card signs, to see what it is refused for.
    AskForScheme,
}

/// Why the application did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AppletError {
    /// It said so.
    #[error("{command:?} was answered with {status}")]
    Refused {
        /// What was asked.
        command: CommandKind,
        /// What it answered.
        status: StatusWord,
    },
    /// Its answer makes no sense.
    #[error("{0:?} was answered with nonsense")]
    Malformed(CommandKind),
    /// A certificate's file does not hold one.
    #[error("the file holds no certificate")]
    NoCertificate,
    /// The page of a PIN is empty: this process is a forked child. Nothing was sent.
    #[error("the PIN is gone")]
    NoPin,
    /// No answer came.
    #[error("{command:?}: {error}")]
    Transport {
        /// What was asked.
        command: CommandKind,
        /// Why no answer came.
        error: TransportError,
    },
}

impl AppletError {
    /// Whether it is known that the card got nothing of the command.
    pub fn is_before_sending(self) -> bool {
        matches!(self, Self::NoPin | Self::Transport { error: TransportError::NotSent, .. })
    }

    /// Whether another program's reset took the answer.
    #[must_use]
    pub fn is_reset(self) -> bool {
        matches!(self, Self::Transport { error: TransportError::Reset, .. })
    }
}

/// The application, while a transaction lasts.
pub struct Applet<'a, 'b> {
    transaction: &'a mut Transaction<'b>,
    capabilities: &'a mut CardCapabilities,
    /// Which neutral application the card selects, if that was learned.
    neutral: &'a mut NeutralApplication,
    exchanges: u8,
    /// The most bytes that the card gave at once of the file that is read, where it says so.
    longest_read: Option<u16>,
    /// The card may hold a verified state that is to be cleared: a command with a PIN went out.
    may_be_verified: bool,
    /// The card has lost its power just before.
    has_lost_power: bool,
    /// What may lose the card can be tried: it is being recognised, and no session depends on it
    /// yet.
    may_experiment: bool,
    /// An exchange did not go as it should: another card may be answering by now.
    disturbed: bool,
}

/// Which application is selected to make a card forget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NeutralApplication {
    /// The first one that was not refused yet, as a place in the list of all.
    next: usize,
}

impl<'a, 'b> Applet<'a, 'b> {
    /// The application over a transaction; nothing is sent yet.
    pub fn new(
        transaction: &'a mut Transaction<'b>,
        capabilities: &'a mut CardCapabilities,
        neutral: &'a mut NeutralApplication,
    ) -> Self {
        Self {
            transaction,
            capabilities,
            neutral,
            exchanges: 0,
            longest_read: None,
            may_be_verified: false,
            has_lost_power: false,
            may_experiment: false,
            disturbed: false,
        }
    }

    /// The same, with leave to try what may lose the card: it is being recognised.
    #[must_use]
    pub fn experimenting(self) -> Self {
        Self { may_experiment: true, ..self }
    }

    /// The same for a card that has just lost its power, and every verified state with it.
    #[must_use]
    pub fn after_power_off(self) -> Self {
        Self { has_lost_power: true, ..self }
    }

    /// Whether the card has lost its power just before.
    #[must_use]
    pub fn has_lost_power(&self) -> bool {
        self.has_lost_power
    }

    /// Whether the card may hold a verified state: a PIN was sent since it was last made to forget,
    /// or another program left it so.
    #[must_use]
    pub fn may_be_verified(&self) -> bool {
        self.may_be_verified
    }

    /// Another program left the card verified.
    pub fn note_verified(&mut self) {
        self.may_be_verified = true;
    }

    /// Whether an exchange of this transaction failed, so that it is not certain that the same card
    /// answers.
    #[must_use]
    pub fn is_disturbed(&self) -> bool {
        self.disturbed
    }

    /// What is known of the chip and its reader.
    #[must_use]
    pub fn capabilities(&self) -> &CardCapabilities {
        self.capabilities
    }

    /// What the service knows of the reader now. No exchange with the card.
    ///
    /// # Errors
    /// When the service cannot be asked.
    pub fn reader_state(&self) -> Result<Option<ReaderState>, TransportError> {
        self.transaction.reader_state()
    }

    /// Selects the JPKI application.
    ///
    /// # Errors
    /// [`AppletError::Refused`] when the card answers anything but 9000: then it has no such
    /// application.
    pub fn select(&mut self) -> Result<(), AppletError> {
        let mut status = self.select_application(JPKI)?;
        // After a power-up the first command may be answered 6F00 once (myna-card).
        if status.raw() == 0x6f00 {
            status = self.select_application(JPKI)?;
        }
        if status == StatusWord::OK {
            return Ok(());
        }
        Err(AppletError::Refused { command: CommandKind::SelectApplication, status })
    }

    /// Makes the card forget every verified PIN by selecting another application. `false` when none
    /// could be selected, so that the card may still know one. Which one could is remembered.
    pub fn forget(&mut self) -> bool {
        while let Some(&application) = NEUTRAL_APPLICATIONS.get(self.neutral.next) {
            match self.select_application(application) {
                Ok(StatusWord::OK) => {
                    self.may_be_verified = false;
                    return true;
                }
                Ok(_) => self.neutral.next += 1,
                Err(_) => return false,
            }
        }
        false
    }

    /// Whether a capability is known to be there.
    fn can(&self, capability: Capability) -> bool {
        self.capabilities.has(capability) == Some(true)
    }

    /// Whether a capability is worth a try.
    fn may(&self, capability: Capability) -> bool {
        self.capabilities.has(capability) != Some(false)
    }

    /// SELECT by application identifier, asking for no data back.
    fn select_application(&mut self, aid: Aid) -> Result<StatusWord, AppletError> {
        let command = Command::new(0x00, 0xa4, 0x04, 0x0c).data(aid.bytes());
        Ok(self.exchange(CommandKind::SelectApplication, &command)?.status())
    }

    /// SELECT of a file of the application.
    fn select_file(&mut self, file: FileId, kind: CommandKind) -> Result<(), AppletError> {
        let command = Command::new(0x00, 0xa4, 0x02, 0x0c).data(&file.bytes());
        ok(kind, self.exchange(kind, &command)?).map(drop)
    }

    /// One command and its whole answer.
    fn exchange(&mut self, kind: CommandKind, command: &Command) -> Result<Response, AppletError> {
        exchange(command, |command| {
            let answer =
                self.transmit(kind, &command.encode(), |answer| trace!("{command:?} -> {answer:?}"))?;
            if let (READ_BINARY, Status::WrongLe(most)) = (command.instruction(), answer.status().classify())
            {
                self.longest_read = Some(most);
            }
            Ok(answer)
        })?
        .ok_or(AppletError::Malformed(kind))
    }

    /// One command with a PIN: sent once, whatever the answer.
    fn send_secret(
        &mut self,
        kind: CommandKind,
        command: SecretCommand<'_>,
    ) -> Result<Response, AppletError> {
        self.may_be_verified = true;
        self.transmit(kind, command.bytes(), |answer| trace!("{command:?} -> {answer:?}"))
    }

    /// One command APDU and its response APDU.
    fn transmit(
        &mut self,
        kind: CommandKind,
        command: &[u8],
        log: impl FnOnce(&Result<Response, AppletError>),
    ) -> Result<Response, AppletError> {
        if self.exchanges >= MAX_EXCHANGES {
            return Err(AppletError::Malformed(kind));
        }
        self.exchanges += 1;
        let answer = self.transaction.transmit(command);
        let response = answer
            .map_err(|error| AppletError::Transport { command: kind, error })
            .and_then(|answer| Response::parse(answer).ok_or(AppletError::Malformed(kind)));
        log(&response);
        self.disturbed |= response.is_err();
        response
    }
}

/// The data of a response that must be 9000.
fn ok(kind: CommandKind, response: Response) -> Result<Response, AppletError> {
    if response.status() == StatusWord::OK { Ok(response) } else { Err(refused(kind, &response)) }
}

/// The error for an answer that is not the one hoped for.
fn refused(command: CommandKind, response: &Response) -> AppletError {
    AppletError::Refused { command, status: response.status() }
}

/// Whether a status word can mean that a card does not take a short identifier in P1 or P2. Sources
/// name many, and a chip may have its own: any checking error will do (ISO/IEC 7816-4, 5.6). The
/// command has done nothing then.
fn is_refused_form(status: StatusWord) -> bool {
    matches!(status.raw(), 0x6700..=0x6fff)
}
