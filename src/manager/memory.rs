//! What is remembered as long as the library is loaded, over removals and over C_Finalize.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::pin_state::PinMemory;
use crate::jpki::capability::{Capability, CardCapabilities, Evidence};
use crate::jpki::credential::{Credential, PerCredential};
use crate::jpki::identity::SerialNumber;
use crate::jpki::remembered_pin::RememberedPin;
use crate::os::SecretMemory;
use crate::transport::ReaderName;

/// What entries have taught about the PINs of one card.
pub(super) type CardPinMemory = Arc<Mutex<PerCredential<PinMemory<RememberedPin>>>>;

/// The memory of one loaded copy of the library. A card is known by its serial number in whatever
/// reader it is; cards without an identity share one entry.
pub struct ProcessMemory {
    secrets: Arc<dyn SecretMemory>,
    cards: Mutex<Cards>,
    readers: Mutex<HashMap<ReaderName, CardCapabilities>>,
}

/// What is remembered of cards.
#[derive(Default)]
struct Cards {
    by_number: HashMap<SerialNumber, CardPinMemory>,
    /// Cards that refused a PIN, and that may show themselves as others when they come back.
    unsettled: Vec<Unsettled>,
    /// Whether a card was seen that hides its certificate.
    knows_hidden: bool,
}

/// One of these cards.
struct Unsettled {
    memory: CardPinMemory,
    /// The numbers of the cards that may be this one and took over its memory. Each does so once: a
    /// count may have cleared the entries since.
    taken_for: Vec<SerialNumber>,
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

    /// What is remembered of a card's PINs. One that hides its certificate may be any of those that
    /// showed it last.
    pub(super) fn card(&self, serial_number: SerialNumber, may_hide_certificate: bool) -> CardPinMemory {
        let mut cards = self.cards.lock();
        let memory = cards.by_number.entry(serial_number).or_default().clone();
        if may_hide_certificate {
            cards.knows_hidden = true;
            for other in &mut cards.unsettled {
                if !other.taken_for.contains(&serial_number) {
                    other.taken_for.push(serial_number);
                    unite(&memory, &other.memory);
                }
            }
        }
        memory
    }

    /// Whether a card was seen that hides its certificate.
    pub(super) fn knows_hidden_cards(&self) -> bool {
        self.cards.lock().knows_hidden
    }

    /// The card with this memory has refused a PIN, and may show itself as another one later.
    pub(super) fn note_unsettled(&self, memory: CardPinMemory) {
        self.note_settled(&memory);
        self.cards.lock().unsettled.push(Unsettled { memory, taken_for: Vec::new() });
    }

    /// Whether the card with this memory was noted so.
    pub(super) fn is_unsettled(&self, memory: &CardPinMemory) -> bool {
        self.cards.lock().unsettled.iter().any(|other| Arc::ptr_eq(&other.memory, memory))
    }

    /// Removes that note: it is known what the card shows without a PIN.
    pub(super) fn note_settled(&self, memory: &CardPinMemory) {
        self.cards.lock().unsettled.retain(|other| !Arc::ptr_eq(&other.memory, memory));
    }

    /// What is remembered of a card that was known by one number, and will be by another one.
    pub(super) fn unite(&self, former: SerialNumber, lasting: SerialNumber) -> CardPinMemory {
        let mut cards = self.cards.lock();
        let memory = cards.by_number.entry(lasting).or_default().clone();
        if let Some(former) = cards.by_number.insert(former, memory.clone()) {
            unite(&memory, &former);
        }
        memory
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

/// Adds what is remembered of the same card under another number.
fn unite(memory: &CardPinMemory, other: &CardPinMemory) {
    if Arc::ptr_eq(memory, other) {
        return;
    }
    let other = other.lock();
    let mut memory = memory.lock();
    for credential in Credential::ALL {
        memory.of_mut(credential).unite(other.of(credential));
    }
}
