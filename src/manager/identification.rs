//! Whether it is the card that a PIN was entered for.

use super::CardManager;
use super::card::{Card, CardCredential};
use super::error::CardError;
use crate::jpki::applet::{Applet, AppletError};
use crate::jpki::identity::Identity;
use crate::jpki::recognition::is_same_card;

impl CardManager {
    /// Makes sure that `card` still answers, after a reset or a failure: a reconnect takes whatever
    /// card is there now.
    pub(super) fn confirm_identity(&self, applet: &mut Applet<'_, '_>, card: &Card) -> Result<(), CardError> {
        self.confirm_insertion(applet, card)?;
        let identity = card.identity();
        if is_same_card(applet, identity)? {
            return Ok(());
        }
        if *identity == Identity::None {
            return Err(CardError::Removed);
        }
        // A reset that the service has not told yet looks the same. It tells at the next command, or the
        // application has to be selected again.
        match applet.select() {
            Err(AppletError::Refused { .. }) => return Err(CardError::Removed),
            result => result?,
        }
        if is_same_card(applet, identity)? { Ok(()) } else { Err(CardError::Removed) }
    }

    /// Makes sure that the service has seen no other card since `card` was recognised. No exchange
    /// with the card.
    pub(super) fn confirm_insertion(&self, applet: &Applet<'_, '_>, card: &Card) -> Result<(), CardError> {
        let state = applet.reader_state()?.filter(|state| state.card_present);
        let same = state.is_some_and(|state| state.changes == card.changes());
        if same { Ok(()) } else { Err(CardError::Removed) }
    }

    /// Whether the identity of this card is read at the beginning of each transaction and before
    /// each PIN: where the service counts no changes, nothing else tells that another card came. A
    /// card without an identity is another one after any reset, as everywhere.
    pub(super) fn always_rechecks(&self, card: &Card) -> bool {
        !self.service.counts_changes() && *card.identity() != Identity::None
    }

    /// Immediately before a PIN, whose file is selected: it goes to the card that it was entered for,
    /// and to none while the module ends.
    pub(super) fn confirm_before_pin(
        &self,
        applet: &mut Applet<'_, '_>,
        of: &CardCredential,
    ) -> Result<(), CardError> {
        if applet.is_disturbed() || self.always_rechecks(&of.card) {
            self.confirm_identity(applet, &of.card)?;
            // For that another file was selected.
            applet.select_pin(of.credential)?;
        } else {
            self.confirm_insertion(applet, &of.card)?;
        }
        self.check_running()
    }
}
