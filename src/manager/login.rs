//! The login of one credential: the PIN while it is needed, and what was learned from wrong ones.
//!
//! The card does not tell whether a PIN is verified, and each operation of ours makes it forget, so that this is the
//! truth about who is logged in.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::card::Epoch;
use crate::iso7816::status::TriesLeft;
use crate::jpki::pin::{Fingerprint, Pin};

/// The login of one credential.
#[derive(Default)]
pub(super) struct Login {
    user: Option<User>,
    rejected: Option<Rejected>,
    /// A wrong PIN was entered since the last right one, whether or not it was sent.
    wrong_entry: bool,
    tries: Option<TriesLeft>,
}

/// Somebody who is logged in.
struct User {
    epoch: Epoch,
    /// `None` when every signature asks for the PIN again.
    pin: Option<Arc<Pin>>,
    /// The answer to the last VERIFY got lost.
    doubtful: bool,
    /// The PINs that were given for one signature each.
    tickets: Vec<Weak<Ticket>>,
}

/// A PIN that was given for one signature. It is wiped with the ticket, or before that when the login ends.
#[derive(Debug)]
pub struct Ticket(Mutex<Option<Arc<Pin>>>);

/// A PIN that was refused.
struct Rejected {
    fingerprint: Fingerprint,
    tries: Option<TriesLeft>,
}

impl Login {
    /// Whether somebody is logged in to the card of this epoch.
    pub(super) fn is_in(&self, epoch: Epoch) -> bool {
        self.user.as_ref().is_some_and(|user| user.epoch == epoch)
    }

    /// The PIN of the login to the card of this epoch.
    pub(super) fn pin(&self, epoch: Epoch) -> Option<Arc<Pin>> {
        self.user.as_ref().filter(|user| user.epoch == epoch)?.pin.clone()
    }

    /// Ends the login. The PIN is wiped with its last user: an operation that is under way.
    pub(super) fn log_out(&mut self) {
        self.user = None;
    }

    /// Forgets everything: the next card is another one.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether this PIN was the last one refused.
    pub(super) fn is_rejected(&self, fingerprint: Fingerprint) -> bool {
        self.rejected.as_ref().is_some_and(|rejected| rejected.fingerprint == fingerprint)
    }

    /// A wrong PIN was entered since the last right one.
    pub(super) fn wrong_entry(&self) -> bool {
        self.wrong_entry
    }

    /// The tries left when the card last told; `None` when it did not, or something happened since.
    pub(super) fn tries(&self) -> Option<TriesLeft> {
        self.tries
    }

    /// The card took the PIN.
    pub(super) fn accept(&mut self, epoch: Epoch, pin: Option<Arc<Pin>>, tries: TriesLeft) {
        let user = User { epoch, pin, doubtful: false, tickets: Vec::new() };
        *self = Self { user: Some(user), rejected: None, wrong_entry: false, tries: Some(tries) };
    }

    /// The card took the PIN that somebody entered, and nobody's login changes.
    pub(super) fn confirm(&mut self, tries: TriesLeft) {
        self.settle(tries);
        self.rejected = None;
    }

    /// The card or the form check refused the PIN.
    pub(super) fn reject(&mut self, fingerprint: Fingerprint, tries: Option<TriesLeft>) {
        self.rejected = Some(Rejected { fingerprint, tries });
        self.wrong_entry = true;
        self.tries = tries;
    }

    /// Takes a PIN for one signature of whoever is logged in to the card of this epoch.
    pub(super) fn issue(&mut self, epoch: Epoch, pin: Pin) -> Option<Arc<Ticket>> {
        let user = self.user.as_mut().filter(|user| user.epoch == epoch)?;
        user.tickets.retain(|ticket| ticket.strong_count() > 0);
        let ticket = Arc::new(Ticket(Mutex::new(Some(Arc::new(pin)))));
        user.tickets.push(Arc::downgrade(&ticket));
        Some(ticket)
    }

    /// A PIN was sent and nobody knows what became of it: the count of tries has to be asked for.
    pub(super) fn lose_count(&mut self) {
        self.tries = None;
    }

    /// The answer to a VERIFY with the PIN of whoever is logged in got lost: the count tells what became of it.
    pub(super) fn doubt(&mut self) {
        self.lose_count();
        if let Some(user) = &mut self.user {
            user.doubtful = true;
        }
    }

    /// Whether the tries have to be counted before the PIN is sent again.
    pub(super) fn is_doubtful(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.doubtful)
    }

    /// The PIN of whoever is logged in holds, and the card has set its count back.
    pub(super) fn settle(&mut self, tries: TriesLeft) {
        if let Some(user) = &mut self.user {
            user.doubtful = false;
        }
        self.wrong_entry = false;
        self.tries = Some(tries);
    }

    /// The card told the tries left. If the count changed since a PIN was refused, somebody else used the card, and
    /// the refused PIN may be right now.
    pub(super) fn observe(&mut self, tries: Option<TriesLeft>) {
        if self.rejected.as_ref().is_some_and(|rejected| rejected.tries.is_some() && rejected.tries != tries)
        {
            self.rejected = None;
        }
        self.tries = tries;
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.tickets.iter().filter_map(Weak::upgrade).for_each(|ticket| ticket.revoke());
    }
}

impl Ticket {
    /// The PIN, unless the login has ended since it was given.
    pub(super) fn pin(&self) -> Option<Arc<Pin>> {
        self.0.lock().clone()
    }

    fn revoke(&self) {
        *self.0.lock() = None;
    }
}
