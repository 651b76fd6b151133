//! The two PINs: comparison, counters, and the verified state that outlives the program that
//! reached it.

use crate::Credential;
use crate::apdu::sw;
use crate::behaviour::TriesQuery;
use crate::ledger::{Outcome, Verified};
use crate::profile::{CredentialProfile, Profile};

/// Lengths of a signature PIN; the other one has four digits.
const SIGNATURE_LENGTHS: std::ops::RangeInclusive<usize> = 6..=16;

#[derive(Clone, Debug)]
struct Pin {
    value: Vec<u8>,
    tries: u8,
    tries_left: u8,
    verified: bool,
    /// What VERIFY answers where there is no PIN.
    absent: Option<u16>,
}

impl Pin {
    fn new(part: &CredentialProfile) -> Self {
        let value = part.pin.clone().into_bytes();
        Self { value, tries: part.tries, tries_left: part.tries_left, verified: false, absent: part.no_pin }
    }
}

/// Both PINs of a card, as far as it has them.
#[derive(Clone, Debug)]
pub(crate) struct Pins {
    authentication: Option<Pin>,
    signature: Option<Pin>,
    blocked_status: u16,
    blocked_query_status: u16,
    tries_query: TriesQuery,
}

impl Pins {
    pub(crate) fn new(profile: &Profile) -> Self {
        Self {
            authentication: profile.authentication.as_ref().map(Pin::new),
            signature: profile.signature.as_ref().map(Pin::new),
            blocked_status: profile.blocked_status,
            blocked_query_status: profile.blocked_query_status,
            tries_query: profile.tries_query,
        }
    }

    /// VERIFY with data: the status word and what became of the try.
    ///
    /// A wrong try also ends an earlier verified state, as ISO/IEC 7816-4 has it.
    pub(crate) fn verify(&mut self, credential: Credential, entered: &[u8]) -> (u16, Outcome) {
        let blocked_status = self.blocked_status;
        let Some(pin) = self.pin_mut(credential) else {
            return (sw::REFERENCE_NOT_FOUND, Outcome::Misplaced);
        };
        if let Some(status) = pin.absent {
            return (status, Outcome::Blocked);
        }
        if pin.tries_left == 0 {
            return (blocked_status, Outcome::Blocked);
        }
        if pin.value == entered {
            pin.tries_left = pin.tries;
            pin.verified = true;
            return (sw::OK, Outcome::Right);
        }
        pin.tries_left -= 1;
        pin.verified = false;
        (sw::TRIES_LEFT | u16::from(pin.tries_left), Outcome::Wrong)
    }

    /// VERIFY without data: the tries left, as far as the card tells them.
    pub(crate) fn query(&self, credential: Credential) -> u16 {
        let Some(pin) = self.pin(credential) else { return sw::REFERENCE_NOT_FOUND };
        match (pin.absent, self.tries_query) {
            (Some(status), _) | (None, TriesQuery::Refused(status)) => status,
            (None, TriesQuery::UnlessVerified) if pin.verified => sw::OK,
            _ if pin.tries_left == 0 => self.blocked_query_status,
            _ => sw::TRIES_LEFT | u16::from(pin.tries_left),
        }
    }

    /// CHANGE REFERENCE DATA: needs the old one verified.
    pub(crate) fn change(&mut self, credential: Credential, new: &[u8]) -> u16 {
        let Some(pin) = self.pin_mut(credential) else { return sw::REFERENCE_NOT_FOUND };
        if !pin.verified {
            return sw::NOT_VERIFIED;
        }
        let well_formed = match credential {
            Credential::Authentication => new.len() == 4 && new.iter().all(u8::is_ascii_digit),
            Credential::Signature => {
                SIGNATURE_LENGTHS.contains(&new.len())
                    && new.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
            }
        };
        if !well_formed {
            return sw::WRONG_DATA;
        }
        pin.value = new.to_vec();
        sw::OK
    }

    /// What leaving the application and losing power do.
    pub(crate) fn forget(&mut self) {
        for pin in [&mut self.authentication, &mut self.signature].into_iter().flatten() {
            pin.verified = false;
        }
    }

    /// What another program may have done before.
    pub(crate) fn verify_both(&mut self) {
        for pin in [&mut self.authentication, &mut self.signature].into_iter().flatten() {
            pin.verified = pin.absent.is_none() && pin.tries_left > 0;
        }
    }

    pub(crate) fn is_verified(&self, credential: Credential) -> bool {
        self.pin(credential).is_some_and(|pin| pin.verified)
    }

    pub(crate) fn verified(&self) -> Verified {
        Verified {
            authentication: self.is_verified(Credential::Authentication),
            signature: self.is_verified(Credential::Signature),
        }
    }

    pub(crate) fn tries_left(&self, credential: Credential) -> u8 {
        self.pin(credential).map_or(0, |pin| pin.tries_left)
    }

    pub(crate) fn set_tries_left(&mut self, credential: Credential, tries_left: u8) {
        if let Some(pin) = self.pin_mut(credential) {
            pin.tries_left = tries_left;
        }
    }

    pub(crate) fn set_value(&mut self, credential: Credential, value: &str) {
        if let Some(pin) = self.pin_mut(credential) {
            pin.value = value.as_bytes().to_vec();
        }
    }

    fn pin(&self, credential: Credential) -> Option<&Pin> {
        match credential {
            Credential::Authentication => self.authentication.as_ref(),
            Credential::Signature => self.signature.as_ref(),
        }
    }

    fn pin_mut(&mut self, credential: Credential) -> Option<&mut Pin> {
        match credential {
            Credential::Authentication => self.authentication.as_mut(),
            Credential::Signature => self.signature.as_mut(),
        }
    }
}
