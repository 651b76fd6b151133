//! The commands of the JPKI application, within one transaction.
//!
//! Every method is one thing the application does. Nothing is remembered here but [`Features`], which belongs to the
//! card and outlives the transaction. Where sources disagree about the card, the method says so.

mod files;
mod signing;

use log::trace;
use thiserror::Error;

pub use self::signing::PssAnswer;
use super::layout::{self, Aid, Credential, FileId};
use super::pin::Pin;
use crate::iso7816::apdu::{Command, Expected, Response};
use crate::iso7816::status::{Status, StatusWord, TriesLeft};
use crate::transport::{Transaction, TransportError};

/// The most commands in one transaction. The longest one needs about 30; a card that answers with a byte at a time,
/// or with 61xx for ever, ends here.
const MAX_EXCHANGES: u8 = 64;

/// The most bytes of a file, and of an answer put together from pieces. The card allots 3808 to a certificate.
const MAX_FILE: usize = 8192;

/// What a short READ BINARY asks for.
const CHUNK: u16 = 256;

/// What the chip and the reader can do beyond the least. `None`: not known yet.
#[derive(Debug, Clone, Copy, Default)]
pub struct Features {
    /// Files and keys can be named by their short identifier in P1 or P2, which saves a SELECT.
    pub short_file_ids: Option<bool>,
    /// A file that was named so is the current one afterwards.
    pub short_file_ids_select: Option<bool>,
    /// Keys can be named so.
    pub short_key_ids: Option<bool>,
    /// An answer can be longer than 256 bytes.
    pub extended_length: Option<bool>,
}

/// What was going on when something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
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
    /// The sign command without a PIN, to see what it is refused for.
    AskForPss,
    /// GET CHALLENGE.
    Challenge,
}

/// Why the application did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AppletError {
    /// It said so.
    #[error("{step:?} was answered with {status}")]
    Refused {
        /// What was asked.
        step: Step,
        /// What it answered.
        status: StatusWord,
    },
    /// Its answer makes no sense.
    #[error("{0:?} was answered with nonsense")]
    Malformed(Step),
    /// A certificate's file does not hold one.
    #[error("the file holds no certificate")]
    NoCertificate,
    /// No answer came.
    #[error("{step:?}: {error}")]
    Transport {
        /// What was asked.
        step: Step,
        /// Why no answer came.
        error: TransportError,
    },
}

/// What became of a PIN that was sent to the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// It is right.
    Yes,
    /// It is wrong, with the tries left if the card tells.
    Wrong(Option<TriesLeft>),
    /// Too many were wrong, now or before.
    Blocked,
}

/// The application, while a transaction lasts.
pub struct Applet<'a> {
    transaction: &'a mut dyn Transaction,
    features: &'a mut Features,
    exchanges: u8,
    /// Whether a VERIFY with a PIN went out, so that the card may hold a verified state that is to be cleared.
    verify_sent: bool,
}

impl<'a> Applet<'a> {
    /// The application over a transaction; nothing is sent yet.
    pub fn new(transaction: &'a mut dyn Transaction, features: &'a mut Features) -> Self {
        Self { transaction, features, exchanges: 0, verify_sent: false }
    }

    /// Whether a PIN was sent in this transaction.
    #[must_use]
    pub fn verify_sent(&self) -> bool {
        self.verify_sent
    }

    /// Whether the card is known to take short file identifiers.
    #[must_use]
    pub fn knows_short_file_ids(&self) -> bool {
        self.features.short_file_ids == Some(true)
    }

    /// Selects the JPKI application. `false` when the card has none, or is of a kind that does not know the command.
    ///
    /// # Errors
    /// When the card answers anything else.
    pub fn select(&mut self) -> Result<bool, AppletError> {
        let mut status = self.select_application(layout::JPKI)?;
        // After a power-up the first command may be answered 6F00 once (myna-card).
        if status.raw() == 0x6f00 {
            status = self.select_application(layout::JPKI)?;
        }
        match status.classify() {
            Status::Ok => Ok(true),
            Status::NotFound => Ok(false),
            _ if is_not_understood(status) => Ok(false),
            _ => Err(AppletError::Refused { step: Step::SelectApplication, status }),
        }
    }

    /// Makes the card forget every verified PIN by selecting another application. `false` when it did not answer
    /// 9000, so that nobody knows whether it has.
    pub fn leave(&mut self) -> bool {
        self.select_application(layout::ISSUER_SECURITY_DOMAIN).is_ok_and(|status| status == StatusWord::OK)
    }

    /// The tries left, without spending one: a VERIFY of four bytes, without a PIN. A card answers it with 63Cx even
    /// when the PIN is verified. `None` when the answer is none of those that tell (OpenSC, PR 959).
    ///
    /// # Errors
    /// When no answer came.
    pub fn tries_left(&mut self, credential: Credential) -> Result<Option<TriesLeft>, AppletError> {
        if self.knows_short_file_ids() {
            let query = Command::new(0x00, 0x20, 0x00, 0x80 | credential.pin().short());
            if let Some(tries) = count(&self.exchange(Step::CountTries, &query)?) {
                return Ok(Some(tries));
            }
        }
        self.select_file(credential.pin(), Step::CountTries)?;
        Ok(count(&self.exchange(Step::CountTries, &Command::new(0x00, 0x20, 0x00, 0x80))?))
    }

    /// Sends a PIN, once. The form with a SELECT before it is the one that every project uses: a try is too dear to
    /// experiment with.
    ///
    /// # Errors
    /// When the answer says neither right, wrong nor blocked, or none came.
    pub fn verify(&mut self, credential: Credential, pin: &Pin) -> Result<Verified, AppletError> {
        self.select_file(credential.pin(), Step::CountTries)?;
        self.verify_selected(Step::Verify, pin)
    }

    /// Changes a PIN: VERIFY of the old one, then CHANGE REFERENCE DATA with the new one alone.
    ///
    /// Known from two projects that both mark it as untested or have one author; not confirmed on a physical card.
    ///
    /// # Errors
    /// As [`Applet::verify`], or when the card does not take the new PIN.
    pub fn change_pin(
        &mut self,
        credential: Credential,
        old: &Pin,
        new: &Pin,
    ) -> Result<Verified, AppletError> {
        let verified = self.verify(credential, old)?;
        if verified != Verified::Yes {
            return Ok(verified);
        }
        let change = Command::new(0x00, 0x24, 0x01, 0x80).data(new.bytes());
        ok(Step::ChangePin, self.exchange(Step::ChangePin, &change)?)?;
        match self.verify_selected(Step::ConfirmPin, new)? {
            Verified::Yes => Ok(Verified::Yes),
            // The card said that it took the new PIN and does not take it now.
            Verified::Wrong(_) | Verified::Blocked => Err(AppletError::Malformed(Step::ChangePin)),
        }
    }

    /// Random bytes from the card, at most 256 and perhaps fewer than asked for.
    ///
    /// # Errors
    /// When the card gives none.
    pub fn challenge(&mut self, length: u16) -> Result<Vec<u8>, AppletError> {
        let command = Command::new(0x00, 0x84, 0, 0).expect(Expected::Short(length.clamp(1, CHUNK)));
        let bytes = ok(Step::Challenge, self.exchange(Step::Challenge, &command)?)?;
        if bytes.is_empty() { Err(AppletError::Malformed(Step::Challenge)) } else { Ok(bytes) }
    }

    /// VERIFY for the PIN file that is selected.
    fn verify_selected(&mut self, step: Step, pin: &Pin) -> Result<Verified, AppletError> {
        let command = Command::new(0x00, 0x20, 0x00, 0x80).data(pin.bytes());
        self.verify_sent = true;
        let response = self.exchange(step, &command)?;
        match response.status().classify() {
            Status::Ok if response.data().is_empty() => Ok(Verified::Yes),
            Status::TriesLeft(TriesLeft::BLOCKED) | Status::Blocked => Ok(Verified::Blocked),
            Status::TriesLeft(tries) => Ok(Verified::Wrong(Some(tries))),
            Status::VerificationFailed => Ok(Verified::Wrong(None)),
            _ => Err(refused(step, &response)),
        }
    }

    /// SELECT by application identifier, asking for no data back.
    fn select_application(&mut self, aid: Aid) -> Result<StatusWord, AppletError> {
        let command = Command::new(0x00, 0xa4, 0x04, 0x0c).data(aid.bytes());
        Ok(self.exchange(Step::SelectApplication, &command)?.status())
    }

    /// SELECT of a file of the application.
    fn select_file(&mut self, file: FileId, step: Step) -> Result<(), AppletError> {
        let command = Command::new(0x00, 0xa4, 0x02, 0x0c).data(&file.bytes());
        ok(step, self.exchange(step, &command)?).map(drop)
    }

    /// One command and its whole answer: 61xx is followed by GET RESPONSE, 6Cxx by the same command with the right
    /// Le. A command with a PIN is sent once, whatever the answer.
    fn exchange(&mut self, step: Step, command: &Command) -> Result<Response, AppletError> {
        let mut response = self.transmit(step, command)?;
        let sends_a_pin = matches!(step, Step::Verify | Step::ChangePin | Step::ConfirmPin);
        if let (Status::WrongLe(le), false) = (response.status().classify(), sends_a_pin) {
            response = self.transmit(step, &command.clone().expect(Expected::Short(le)))?;
        }
        let mut data = Vec::new();
        while let (Status::MoreData(more), false) = (response.status().classify(), sends_a_pin) {
            data.extend_from_slice(response.data());
            if data.len() > MAX_FILE {
                return Err(AppletError::Malformed(step));
            }
            response = self.transmit(step, &Command::new(0x00, 0xc0, 0, 0).expect(Expected::Short(more)))?;
        }
        if data.is_empty() {
            return Ok(response);
        }
        data.extend_from_slice(response.data());
        data.extend_from_slice(&response.status().raw().to_be_bytes());
        Response::parse(data).ok_or(AppletError::Malformed(step))
    }

    /// One command APDU and its response APDU.
    fn transmit(&mut self, step: Step, command: &Command) -> Result<Response, AppletError> {
        if self.exchanges >= MAX_EXCHANGES {
            return Err(AppletError::Malformed(step));
        }
        self.exchanges += 1;
        let answer = self
            .transaction
            .transmit(&command.encode())
            .inspect_err(|error| trace!("{command:?} -> {error}"))
            .map_err(|error| AppletError::Transport { step, error })?;
        let response = Response::parse(answer).ok_or(AppletError::Malformed(step))?;
        trace!("{command:?} -> {response:?}");
        Ok(response)
    }
}

/// The data of a response that must be 9000.
fn ok(step: Step, response: Response) -> Result<Vec<u8>, AppletError> {
    if response.status() == StatusWord::OK { Ok(response.into_data()) } else { Err(refused(step, &response)) }
}

/// Whether a card of some other kind says that it does not know such a command: ISO/IEC 7816-4, 5.6, wrong length,
/// function of the class, parameters, instruction or class.
fn is_not_understood(status: StatusWord) -> bool {
    let [sw1, _] = status.raw().to_be_bytes();
    matches!(sw1, 0x67 | 0x68 | 0x6a | 0x6b | 0x6d | 0x6e)
}

/// The error for an answer that is not the one hoped for.
fn refused(step: Step, response: &Response) -> AppletError {
    AppletError::Refused { step, status: response.status() }
}

/// The count of tries in an answer to the query for it.
fn count(response: &Response) -> Option<TriesLeft> {
    match response.status().classify() {
        Status::TriesLeft(tries) => Some(tries),
        Status::Blocked => Some(TriesLeft::BLOCKED),
        _ => None,
    }
}
