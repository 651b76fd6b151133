//! What must be true at the end of every test, whatever it did.
//!
//! - **No try is lost to software**: each VERIFY that the card refused goes back to one call of the
//!   fixture's own `login` or `set_pin` that failed, with a PIN that was well formed and not the
//!   one refused before it. PINs that foreign programs sent through
//!   [`pcsc_stand_in::service::ForeignCard::verify`] are not counted.
//! - No PIN was sent where no PIN is.
//! - The card is not left verified.
//! - The module never reset a card.
//! - Without the module no context, no connection and no PIN is left, and every page was wiped.
//!
//! A test that must break one of them on purpose says so through the methods here.

use std::collections::BTreeMap;

use virtual_card::Credential;

use super::fixture::Fixture;

/// The calls that had a right to cost a try.
#[derive(Debug, Default)]
pub struct Attempts {
    allowed: BTreeMap<Credential, usize>,
    refused: BTreeMap<Credential, Vec<u8>>,
}

/// What this test does on purpose.
#[derive(Debug, Default)]
pub struct Expectations {
    leaves_verified: bool,
    loses_handles: bool,
    unchecked: bool,
}

impl Attempts {
    /// Notes a call with a PIN.
    pub fn note(&mut self, credential: Option<Credential>, pin: &[u8], accepted: bool) {
        let Some(credential) = credential else { return };
        let Some(pin) = well_formed(credential, pin) else { return };
        if accepted {
            self.refused.remove(&credential);
            return;
        }
        if self.refused.insert(credential, pin.clone()) != Some(pin) {
            *self.allowed.entry(credential).or_default() += 1;
        }
    }
}

impl Fixture {
    /// So many more refused VERIFYs are right: a PIN that was changed elsewhere, a PIN sent past
    /// the fixture.
    pub fn allow_failed_verifies(&self, credential: Credential, count: usize) {
        *self.attempts.lock().unwrap().allowed.entry(credential).or_default() += count;
    }

    /// The card is verified at the end: a foreign program did it, or the card could not be reached
    /// any more.
    pub fn expect_verified(&self) {
        self.expectations.lock().unwrap().leaves_verified = true;
    }

    /// Handles are left over: the service has died.
    pub fn expect_lost_handles(&self) {
        self.expectations.lock().unwrap().loses_handles = true;
    }

    /// Nothing is checked: for cards that lie about their own state.
    pub fn without_invariants(&self) {
        self.expectations.lock().unwrap().unchecked = true;
    }

    /// The invariants of the cards. Also to be called in the middle of a test.
    pub fn check_card(&self) {
        let expectations = self.expectations.lock().unwrap();
        if expectations.unchecked {
            return;
        }
        for credential in Credential::ALL {
            let refused: usize = self.cards().iter().map(|card| card.failed_verifies(credential)).sum();
            let foreign =
                usize::try_from(self.service().foreign_failed_verifies(pin_ef(credential))).unwrap();
            let allowed = self.attempts.lock().unwrap().allowed.get(&credential).copied().unwrap_or(0);
            assert!(
                refused <= allowed + foreign,
                "{refused} refused VERIFYs of the {} PIN, {allowed} logins and {foreign} foreign ones had a right to \
                 one\n{}",
                credential.name(),
                self.card().ledger()
            );
        }
        for card in self.cards() {
            assert_eq!(
                card.ledger().misplaced_verifies(),
                0,
                "a PIN was sent where none is\n{}",
                card.ledger()
            );
            let verified = Credential::ALL.into_iter().any(|credential| card.verified(credential));
            assert!(
                !verified || expectations.leaves_verified,
                "the card is left verified\n{}",
                card.ledger()
            );
        }
        let resets = self.service().power_counts(pcsc_stand_in::service::Caller::Tested).resets;
        assert_eq!(resets, 0, "the module has reset a card");
    }

    /// The invariants that hold when the module is gone.
    pub(super) fn check_nothing_is_left(&self) {
        let expectations = self.expectations.lock().unwrap();
        if expectations.unchecked {
            return;
        }
        if !expectations.loses_handles {
            assert_eq!(self.service().open_handles(), (0, 0), "contexts and connections are left");
        }
        assert_eq!(self.memory().live_pages(), 0, "PINs are left in memory");
        assert!(self.memory().is_wiped(), "a page was given back with something in it");
    }
}

fn pin_ef(credential: Credential) -> u16 {
    match credential {
        Credential::Authentication => 0x0018,
        Credential::Signature => 0x001b,
    }
}

/// The PIN as the card compares it, when it has the form of one.
fn well_formed(credential: Credential, pin: &[u8]) -> Option<Vec<u8>> {
    match credential {
        Credential::Authentication => {
            (pin.len() == 4 && pin.iter().all(u8::is_ascii_digit)).then(|| pin.to_vec())
        }
        Credential::Signature => {
            let narrow = |character: char| match character {
                '！'..='～' => char::from_u32(u32::from(character) - 0xfee0),
                other => Some(other),
            };
            let text: Option<String> = std::str::from_utf8(pin).ok()?.chars().map(narrow).collect();
            let text = text?.to_ascii_uppercase();
            let fits =
                (6..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
            fits.then(|| text.into_bytes())
        }
    }
}
