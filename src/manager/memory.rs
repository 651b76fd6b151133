//! What is remembered as long as the library is loaded, over removals and over C_Finalize.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::pin_state::PinMemory;
use crate::jpki::capability::{Capability, CardCapabilities, Evidence};
use crate::jpki::credential::PerCredential;
use crate::jpki::remembered_pin::RememberedPin;
use crate::os::SecretMemory;
use crate::transport::ReaderName;

/// What entries have taught about the PINs of one card.
pub(super) type CardPinMemory = Arc<Mutex<PerCredential<PinMemory<RememberedPin>>>>;

/// The memory of one loaded copy of the library. A card is known by its serial number in whatever
/// reader it is; cards without an identity share one entry.
pub struct ProcessMemory {
    secrets: Arc<dyn SecretMemory>,
    cards: Mutex<HashMap<[u8; 8], CardPinMemory>>,
    readers: Mutex<HashMap<ReaderName, CardCapabilities>>,
}

impl ProcessMemory {
    /// An empty memory, whose secrets lie in these pages.
    #[must_use]
    pub fn new(secrets: Arc<dyn SecretMemory>) -> Self {
        Self { secrets, cards: Mutex::default(), readers: Mutex::default() }
    }

    /// Where what is remembered of PINs lies.
    pub(super) fn secrets(&self) -> &dyn SecretMemory {
        &*self.secrets
    }

    /// What is remembered of a card's PINs.
    pub(super) fn card(&self, serial_number: [u8; 8]) -> CardPinMemory {
        self.cards.lock().entry(serial_number).or_default().clone()
    }

    /// What is known of a reader, for a card that was just put in.
    pub(super) fn reader(&self, reader: &ReaderName) -> CardCapabilities {
        self.readers.lock().get(reader).copied().unwrap_or_default()
    }

    /// Whether anything was ever noted of a reader.
    pub(super) fn knows_reader(&self, reader: &ReaderName) -> bool {
        self.readers.lock().contains_key(reader)
    }

    /// Notes what was learned of a reader: those capabilities that are not the chip's alone. That a
    /// chip did something in it does not say that the next one does.
    pub(super) fn note_reader(&self, reader: &ReaderName, learned: &CardCapabilities) {
        let mut readers = self.readers.lock();
        let known = readers.entry(reader.clone()).or_default();
        for capability in Capability::OF_READER {
            if let Some(evidence) = learned.evidence(capability).filter(|&it| it != Evidence::Proven) {
                known.learn(capability, evidence);
            }
        }
    }
}
