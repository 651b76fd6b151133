//! The PINs of a card, and what a module knows of them.

use cryptoki_sys as ck;

use super::entries::Entry;

/// One PIN on one card.
#[derive(Debug, Clone)]
pub struct CardPin {
    pub value: &'static str,
    pub full: u8,
    pub left: u8,
    /// VERIFYs that were wrong or found it blocked.
    pub failed: usize,
}

/// What ends with the removal of the card.
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// The PIN of the user who is logged in.
    pub pin: Option<&'static str>,
    /// Changes with each login, logout and change of the PIN.
    pub generation: usize,
    /// The malformed entry that was made last.
    malformed: Option<&'static str>,
    pub wrong_entry: bool,
}

/// The PINs that one card refused, each with the tries left after it. They outlive a removal.
#[derive(Debug, Clone, Default)]
pub struct Refused(Vec<(&'static str, u8)>);

impl CardPin {
    /// VERIFY: `Ok`, or the tries that are left.
    fn verify(&mut self, pin: &str) -> Result<(), u8> {
        if self.left > 0 && self.value == pin {
            self.left = self.full;
            return Ok(());
        }
        self.left = self.left.saturating_sub(1);
        self.failed += 1;
        Err(self.left)
    }
}

impl Refused {
    /// The module sees the tries left. A PIN that left fewer when it was refused may be right now.
    pub fn observe(&mut self, left: u8) {
        self.0.retain(|(_, then)| left <= *then);
    }

    fn contains(&self, pin: &str) -> bool {
        self.0.iter().any(|(refused, _)| *refused == pin)
    }

    /// VERIFY with a PIN that is sent, and what is learned from the answer.
    fn verify(&mut self, pin: &'static str, login: &mut Login, card: &mut CardPin) -> Result<(), u8> {
        let verified = card.verify(pin);
        match verified {
            Ok(()) => {
                self.0.clear();
                login.malformed = None;
            }
            Err(left) => self.0.push((pin, left)),
        }
        login.wrong_entry = verified.is_err();
        verified
    }

    /// An entry on its way to the card. `Err` when it does not get there, or is wrong.
    pub fn enter(&mut self, entry: Entry, login: &mut Login, card: &mut CardPin) -> Result<(), ck::CK_RV> {
        let Some(pin) = entry.means else {
            if login.malformed.replace(entry.text) == Some(entry.text) {
                return Err(ck::CKR_FUNCTION_CANCELED);
            }
            login.wrong_entry = true;
            return Err(ck::CKR_PIN_INCORRECT);
        };
        self.observe(card.left);
        if card.left == 0 {
            return Err(ck::CKR_PIN_LOCKED);
        }
        if self.contains(pin) {
            return Err(ck::CKR_FUNCTION_CANCELED);
        }
        self.verify(pin, login, card).map_err(|left| match left {
            0 => ck::CKR_PIN_LOCKED,
            _ => ck::CKR_PIN_INCORRECT,
        })
    }

    /// The PIN of a login, before a signature. `Err` when it is not sent, or is wrong by now.
    pub fn repeat(
        &mut self,
        pin: &'static str,
        login: &mut Login,
        card: &mut CardPin,
    ) -> Result<(), ck::CK_RV> {
        self.observe(card.left);
        if card.left < card.full {
            return Err(ck::CKR_USER_NOT_LOGGED_IN);
        }
        self.verify(pin, login, card).map_err(|_| ck::CKR_USER_NOT_LOGGED_IN)
    }
}

impl Login {
    pub fn set(&mut self, pin: Option<&'static str>) {
        self.pin = pin;
        self.generation += 1;
    }

    /// Whether a PIN that was given for one signature still serves.
    pub fn honours(&self, ticket: &(&'static str, usize)) -> bool {
        self.pin.is_some() && ticket.1 == self.generation
    }
}
