//! A PIN that is remembered to know it again, and cannot be sent.
//!
//! What was refused, or whose answer was lost, is remembered as long as the library is loaded. The
//! PIN itself is not kept for that. The page holds a random mask and the PIN under it, so that no
//! search of the memory finds the PIN. The page is in no core file and in no child.

use std::sync::Arc;

use zeroize::Zeroize;

use super::pin::{MAX_PIN, Pin};
use crate::os::{SecretMemory, SecretPage, fill_random};

/// What is masked: the length, and as many bytes as the longest PIN has.
const LENGTH: usize = 1 + MAX_PIN;

/// A PIN to know again.
#[derive(Clone)]
pub struct RememberedPin(Arc<MaskedPin>);

/// The mask, and behind it the PIN under the mask.
struct MaskedPin(Box<dyn SecretPage>);

impl RememberedPin {
    /// Remembers a PIN. `None` when there is no memory, or no random numbers.
    #[must_use]
    pub fn of(pin: &Pin, memory: &dyn SecretMemory) -> Option<Self> {
        let mut page = memory.page()?;
        let (mask, masked) = page.bytes_mut().get_mut(..2 * LENGTH)?.split_at_mut(LENGTH);
        if !fill_random(mask) {
            return None;
        }
        masked.copy_from_slice(mask);
        let (length, rest) = masked.split_first_mut()?;
        *length ^= u8::try_from(pin.bytes().len()).ok()?;
        rest.iter_mut().zip(pin.bytes()).for_each(|(masked, byte)| *masked ^= byte);
        Some(Self(Arc::new(MaskedPin(page))))
    }
}

impl PartialEq for RememberedPin {
    fn eq(&self, other: &Self) -> bool {
        let (Some((one_mask, one)), Some((two_mask, two))) = (self.0.halves(), other.0.halves()) else {
            return false;
        };
        let differences = one_mask.iter().zip(one).zip(two_mask.iter().zip(two));
        differences.fold(0, |all, ((a, b), (c, d))| all | (a ^ b ^ c ^ d)) == 0
    }
}

impl MaskedPin {
    /// The mask, and what is under it.
    fn halves(&self) -> Option<(&[u8], &[u8])> {
        self.0.bytes().get(..2 * LENGTH).map(|bytes| bytes.split_at(LENGTH))
    }
}

impl Drop for MaskedPin {
    fn drop(&mut self) {
        self.0.bytes_mut().zeroize();
    }
}
