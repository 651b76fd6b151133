//! The commands about a PIN: asking for the tries, VERIFY, CHANGE REFERENCE DATA.

use super::{Applet, AppletError, CommandKind, ok, refused};
use crate::iso7816::apdu::{Command, Response};
use crate::iso7816::status::{Status, TriesLeft};
use crate::jpki::capability::Capability;
use crate::jpki::credential::{Credential, FileId};
use crate::jpki::pin::Pin;

/// What the card says when it is asked for the tries left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountAnswer {
    /// So many.
    Told(TriesLeft),
    /// 9000: the PIN is verified at this moment, by another program. Some cards tell no count then.
    Verified,
    /// Any other answer tells nothing.
    NotTold,
}

/// What became of a PIN that was sent to the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyOutcome {
    /// It is right.
    Accepted,
    /// It is wrong, with the tries left if the card tells.
    Rejected(Option<TriesLeft>),
    /// Too many were wrong, now or before.
    Blocked,
}

impl Applet<'_, '_> {
    /// Selects the file of a PIN, for the commands below.
    ///
    /// # Errors
    /// When the card does not.
    pub fn select_pin(&mut self, credential: Credential) -> Result<(), AppletError> {
        self.select_file(credential.facts().pin_file, CommandKind::CountTries)
    }

    /// The tries left of the PIN that is selected, without spending one: a VERIFY of four bytes,
    /// without a PIN.
    ///
    /// # Errors
    /// When no answer came.
    pub fn count_selected(&mut self) -> Result<CountAnswer, AppletError> {
        let query = Command::new(0x00, 0x20, 0x00, 0x80);
        Ok(count(&self.exchange(CommandKind::CountTries, &query)?))
    }

    /// The tries left of a PIN, for display: in one command where the card takes short identifiers.
    /// A decision about a PIN goes by [`Applet::count_selected`].
    ///
    /// # Errors
    /// When no answer came.
    pub fn count_tries(&mut self, credential: Credential) -> Result<CountAnswer, AppletError> {
        if self.can(Capability::ShortFileIds) {
            let short = FileId::short(credential.facts().pin_file);
            let query = Command::new(0x00, 0x20, 0x00, 0x80 | short);
            let answer = count(&self.exchange(CommandKind::CountTries, &query)?);
            // What means blocked elsewhere may mean here that there is no such identifier.
            if !matches!(answer, CountAnswer::NotTold | CountAnswer::Told(TriesLeft::BLOCKED)) {
                return Ok(answer);
            }
        }
        match self.select_pin(credential) {
            Err(AppletError::Refused { .. }) => Ok(CountAnswer::NotTold),
            selected => selected.and_then(|()| self.count_selected()),
        }
    }

    /// Sends a PIN, once, to the file that is selected. The form with a SELECT before it is the one
    /// that every project uses: a try is too dear to experiment with.
    ///
    /// # Errors
    /// When the answer says neither right, wrong nor blocked, or none came; [`AppletError::NoPin`]
    /// when there was none to send.
    pub fn verify_selected(&mut self, pin: &Pin) -> Result<VerifyOutcome, AppletError> {
        self.verify(CommandKind::Verify, pin)
    }

    /// Changes the PIN that is selected and verified: CHANGE REFERENCE DATA with the new one alone.
    ///
    /// Known from jpki/myna (`ChangePin`) and myna-card (`Card::change_reference_data`). It was not
    /// confirmed on a physical card, so that [`Applet::confirm_selected`] follows.
    ///
    /// # Errors
    /// When the card does not take the new PIN, or it is not known whether it did.
    pub fn change_selected(&mut self, new: &Pin) -> Result<(), AppletError> {
        let change = new.change_command().ok_or(AppletError::NoPin)?;
        let response = self.send_secret(CommandKind::ChangePin, change)?;
        ok(CommandKind::ChangePin, response).map(drop)
    }

    /// Makes sure that the card has taken the new PIN: sends it, once.
    ///
    /// # Errors
    /// As [`Applet::verify_selected`].
    pub fn confirm_selected(&mut self, new: &Pin) -> Result<VerifyOutcome, AppletError> {
        self.verify(CommandKind::ConfirmPin, new)
    }

    fn verify(&mut self, kind: CommandKind, pin: &Pin) -> Result<VerifyOutcome, AppletError> {
        let command = pin.verify_command().ok_or(AppletError::NoPin)?;
        let response = self.send_secret(kind, command)?;
        match response.status().classify() {
            Status::Ok if response.data().is_empty() => Ok(VerifyOutcome::Accepted),
            Status::TriesLeft(TriesLeft::BLOCKED) | Status::Blocked => Ok(VerifyOutcome::Blocked),
            Status::TriesLeft(tries) => Ok(VerifyOutcome::Rejected(Some(tries))),
            Status::VerificationFailed => Ok(VerifyOutcome::Rejected(None)),
            _ => Err(refused(kind, &response)),
        }
    }
}

/// What an answer to the question for the tries says. A card answers 63Cx even when the PIN is
/// verified (OpenSC, PR 959); whether every one does is not known.
fn count(response: &Response) -> CountAnswer {
    match response.status().classify() {
        Status::TriesLeft(tries) => CountAnswer::Told(tries),
        Status::Blocked => CountAnswer::Told(TriesLeft::BLOCKED),
        Status::Ok => CountAnswer::Verified,
        _ => CountAnswer::NotTold,
    }
}
