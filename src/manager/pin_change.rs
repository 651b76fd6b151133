//! Changing a PIN: the old one is verified, the new one set, and verified at once.
//!
//! In every outcome that leaves the PIN unknown the login ends: it may be that of the old PIN.

use log::warn;

use super::CardManager;
use super::card::{CardCredential, KnownPin};
use super::error::CardError;
use crate::jpki::applet::{Applet, AppletError, CommandKind, VerifyOutcome};
use crate::jpki::pin::{PinEntry, PinError, PinUse};

impl CardManager {
    /// Changes a PIN. A user who is logged in stays so, with the new PIN. Context logins end.
    ///
    /// # Errors
    /// [`CardError::NewPinLength`] and [`CardError::NewPinCharacters`] without an exchange; for the
    /// old PIN as [`CardManager::log_in`].
    pub fn change_pin(
        &self,
        of: &CardCredential,
        old: PinEntry<'_>,
        new: PinEntry<'_>,
    ) -> Result<(), CardError> {
        let new = self.entry(of, new, PinUse::Set).map_err(|error| match error {
            PinError::Length => CardError::NewPinLength,
            PinError::Characters => CardError::NewPinCharacters,
            PinError::Memory => CardError::SecretMemory,
        })?;
        let old = self.well_formed(of, old)?;
        // Held until the new PIN is the one that is kept: a signature in another thread must not
        // send the old one.
        let mut io = self.io.lock();
        let mut is_sent = false;
        let changed = self.with_io(&mut io, &of.card, |applet| {
            self.verify_entry(applet, of, &self.entered(of, &old))?;
            self.confirm_before_pin(applet, of)?;
            let answer = applet.change_selected(&new.pin);
            is_sent = !answer.is_err_and(AppletError::is_before_sending);
            if is_sent && answer.is_err() {
                // Which PIN the card has is not known, whatever it says.
                self.lose_change(of);
            }
            answer?;
            self.confirm_change(applet, of, &new)
        });
        changed.map_err(|error| match error {
            CardError::ShuttingDown => CardError::ShuttingDown,
            error if is_sent => CardError::ChangeLost { removed: error == CardError::Removed },
            error => error,
        })?;
        let kept = self.kept(of, new);
        of.with_pin(|record, _| {
            // A PIN that was given for one signature is not sent once it was changed.
            record.end_context_logins();
            if record.state.is_logged_in() {
                record.state.log_in(kept);
            }
        });
        Ok(())
    }

    /// Makes sure that the card has taken the new PIN. One that it refuses now is a refused entry:
    /// a card may answer 9000 to CHANGE and keep the old PIN. Whatever fails here, the work does
    /// not begin again: the old PIN may not hold any more.
    fn confirm_change(
        &self,
        applet: &mut Applet<'_, '_>,
        of: &CardCredential,
        new: &KnownPin,
    ) -> Result<(), CardError> {
        self.confirm_before_pin(applet, of).map_err(|error| {
            self.lose_change(of);
            error.without_repetition()
        })?;
        let answer = applet.confirm_selected(&new.pin);
        let outgoing = self.entered(of, new);
        self.learn(of, &outgoing, answer);
        self.ask_after_refusal(applet, of, &outgoing, answer);
        match answer {
            Ok(VerifyOutcome::Accepted) => Ok(()),
            Ok(VerifyOutcome::Rejected(_) | VerifyOutcome::Blocked) => {
                warn!("{}: the card has not taken the new PIN", self.reader);
                end_login(of);
                Err(CardError::Malformed(CommandKind::ConfirmPin))
            }
            Err(error) => {
                self.lose_change(of);
                Err(CardError::from(error))
            }
        }
    }

    /// Ends the login, since its PIN may be the old one.
    fn lose_change(&self, of: &CardCredential) {
        warn!("{}: it is not known whether the PIN was changed: try the new one first", self.reader);
        end_login(of);
    }
}

/// Ends the login whose PIN may be the old one.
fn end_login(of: &CardCredential) {
    of.with_pin(|record, _| record.state.lose_change());
}
