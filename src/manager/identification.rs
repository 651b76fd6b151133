//! Whether it is the card that a PIN was entered for.

use log::debug;

use super::CardManager;
use super::card::{Card, CardCredential};
use super::error::CardError;
use crate::jpki::applet::{Applet, AppletError};
use crate::jpki::identity::Identity;
use crate::jpki::recognition::{is_same_card, number_without_certificate};

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
        // A reset that the service has not reported yet looks the same. It reports it at the next
        // command, or the application has to be selected again.
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

    /// Before an entry is sent. A card that shows its certificate may be one that hid it before,
    /// and that has refused this entry.
    pub(super) fn settle_before_entry(
        &self,
        applet: &mut Applet<'_, '_>,
        card: &Card,
    ) -> Result<(), CardError> {
        if card.is_settled() || !self.memory.knows_hidden_cards() {
            return Ok(());
        }
        forget_others(applet)?;
        self.settle(applet, card)
    }

    /// After the card refused a PIN, or may have: it must be known again when it comes back. Until
    /// this has succeeded, it may be any card that hides its certificate.
    pub(super) fn settle_after_refusal(&self, applet: &mut Applet<'_, '_>, card: &Card) {
        let is_to_be_asked = !card.is_settled() && self.memory.is_unsettled(&card.memory());
        if !is_to_be_asked || applet.is_disturbed() || !applet.forget() {
            return;
        }
        let settled = applet.select().map_err(CardError::from).and_then(|()| self.settle(applet, card));
        if let Err(error) = settled {
            debug!("{}: what the card shows without a PIN cannot be asked now: {error}", self.reader);
        }
    }

    /// Looks at what a card shows that has forgotten every PIN, and remembers its PINs under that.
    fn settle(&self, applet: &mut Applet<'_, '_>, card: &Card) -> Result<(), CardError> {
        let lasting = number_without_certificate(applet)?;
        if applet.is_disturbed() {
            // It may have been another card's answer.
            return Err(CardError::Interrupted);
        }
        self.confirm_insertion(applet, card)?;
        self.memory.note_settled(&card.memory());
        card.settle(lasting.map(|lasting| self.memory.unite(card.serial_number(), lasting)));
        Ok(())
    }

    /// Immediately before a PIN, whose file is selected: it goes to the card that it was entered
    /// for, and to none while the module ends.
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

/// Makes the card forget what another program left verified, and selects the application again.
pub(super) fn forget_others(applet: &mut Applet<'_, '_>) -> Result<(), CardError> {
    if !applet.forget() && !applet.has_lost_power() {
        // Only without power does it forget.
        applet.note_verified();
        return Err(CardError::LeftVerified);
    }
    Ok(applet.select()?)
}
