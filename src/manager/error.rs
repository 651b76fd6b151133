//! What can go wrong with a card, told apart by what the user has to do.

use thiserror::Error;

use crate::iso7816::status::StatusWord;
use crate::jpki::applet::{AppletError, CommandKind};
use crate::transport::TransportError;

/// Why the card session manager could not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CardError {
    /// There is no card in the reader.
    #[error("no card in the reader")]
    NoCard,
    /// There is a card, and it is not one of JPKI's.
    #[error("the card has no JPKI application")]
    NotJpki,
    /// There is a juki card: the same application, and no certificate that is still valid.
    #[error("a juki card (住民基本台帳カード); its certificates have all expired")]
    Juki,
    /// There is a card, and it cannot be used: it has no power, or does not answer.
    #[error("the card cannot be used")]
    Unusable,
    /// There is a card, and another program has it for itself, or the service does not let this
    /// user at it.
    #[error("the card is held by another program, or access is refused")]
    Held,
    /// The card that the caller means is gone.
    #[error("the card was removed")]
    Removed,
    /// The PIN has not the form of this PIN. Nothing was sent.
    #[error("this cannot be the PIN")]
    PinMalformed,
    /// The PIN was refused before. Nothing was sent.
    #[error("this PIN was refused before")]
    PinRepeated,
    /// The PIN is wrong. The card has counted it.
    #[error("wrong PIN")]
    PinIncorrect,
    /// The PIN is blocked. Only the municipal office, or a kiosk with the other PIN, can change
    /// that.
    #[error("the PIN is blocked")]
    PinBlocked,
    /// The configuration keeps the last tries back. Nothing was sent.
    #[error("the configuration keeps the last tries of this PIN in reserve")]
    PinReserved,
    /// The card told the tries left before, and does not now. Nothing was sent.
    #[error("the card does not tell the tries left")]
    NoCount,
    /// The new PIN is too long or too short. Nothing was sent.
    #[error("the new PIN is too long or too short")]
    NewPinLength,
    /// The new PIN has characters that it may not have, or lacks a kind that it must have. Nothing
    /// was sent.
    #[error("the new PIN has the wrong characters")]
    NewPinCharacters,
    /// The new PIN was sent, and it is not known whether the card has taken it.
    #[error("it is not known whether the PIN was changed")]
    ChangeLost {
        /// Whether the card is gone.
        removed: bool,
    },
    /// The user has logged in already.
    #[error("already logged in")]
    AlreadyLoggedIn,
    /// The user has not logged in.
    #[error("not logged in")]
    NotLoggedIn,
    /// The PIN that was right at login is not any more: another program changed or blocked it.
    #[error("the PIN was changed since the login")]
    PinStale,
    /// The certificate, without which no signature can be checked, cannot be read.
    #[error("the certificate cannot be read")]
    NoCertificate,
    /// The card answered with something that is not its key's signature.
    #[error("the card's signature is wrong")]
    WrongSignature,
    /// There is no memory for a PIN.
    #[error("no memory for a PIN")]
    SecretMemory,
    /// The module is being finalized.
    #[error("the module is being finalized")]
    ShuttingDown,
    /// Another program reset the card at a point where it is safe to begin again.
    #[error("the card was reset by another program")]
    Interrupted,
    /// The reader failed at a point where it is safe to begin again.
    #[error("no answer came: {0}")]
    Unanswered(TransportError),
    /// Another program left the card verified, and it forgets only without power.
    #[error("the card was left verified by another program")]
    LeftVerified,
    /// The card refused a command.
    #[error("{command:?} was answered with {status}")]
    Refused {
        /// What was asked.
        command: CommandKind,
        /// What it answered.
        status: StatusWord,
    },
    /// The card's answer makes no sense.
    #[error("{0:?} was answered with nonsense")]
    Malformed(CommandKind),
    /// No answer came.
    #[error("{0}")]
    Transport(TransportError),
}

impl CardError {
    /// The same where the work must not begin again.
    pub(super) fn without_repetition(self) -> Self {
        match self {
            Self::Interrupted => Self::Transport(TransportError::Reset),
            Self::Unanswered(error) => Self::Transport(error),
            Self::LeftVerified => Self::NoCount,
            other => other,
        }
    }
}

impl From<AppletError> for CardError {
    fn from(error: AppletError) -> Self {
        match error {
            AppletError::Refused { command, status } => Self::Refused { command, status },
            AppletError::Malformed(command) => Self::Malformed(command),
            AppletError::NoCertificate => Self::NoCertificate,
            AppletError::NoPin => Self::NotLoggedIn,
            AppletError::Transport { command, error } => from_transport(command, error),
        }
    }
}

impl From<TransportError> for CardError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Removed | TransportError::NoService => Self::Removed,
            TransportError::Reset
            | TransportError::NotSent
            | TransportError::Busy
            | TransportError::NotReady
            | TransportError::Unpowered
            | TransportError::AccessDenied
            | TransportError::BadLength
            | TransportError::Failed(_) => Self::Transport(error),
        }
    }
}

/// Whether the work may begin again. Where the card may have carried the command out, a PIN may
/// have been counted, and a signature is never made twice.
fn from_transport(command: CommandKind, error: TransportError) -> CardError {
    let is_repeatable = match command {
        CommandKind::SelectApplication
        | CommandKind::Read
        | CommandKind::CountTries
        | CommandKind::AskForScheme => true,
        CommandKind::Verify | CommandKind::ChangePin | CommandKind::Sign => error == TransportError::NotSent,
        // The work would begin with the old PIN, which does not hold any more.
        CommandKind::ConfirmPin => false,
    };
    match error {
        TransportError::Reset | TransportError::NotSent if is_repeatable => CardError::Interrupted,
        TransportError::Failed(_) | TransportError::NotReady if is_repeatable => CardError::Unanswered(error),
        other => CardError::from(other),
    }
}
