//! What a reader asks of the chip in it (an ICC, in the words of PC/SC).

use crate::world::Code;

/// A card as a reader sees it. The world calls it from many threads, one call at a time for each reader.
pub trait Icc: Send + Sync {
    /// Power and the answer to reset; `None` when the card stays mute.
    fn power_on(&self) -> Option<Vec<u8>>;

    /// No power: a card forgets everything that is not in its files.
    fn power_off(&self);

    /// A reset under power.
    fn warm_reset(&self) -> Option<Vec<u8>>;

    /// One exchange.
    fn transmit(&self, command: &[u8]) -> Exchange;
}

/// What came of one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// The response APDU.
    Answer(Vec<u8>),
    /// The card was pulled out instead.
    Removed,
    /// The card was reset by somebody instead.
    Reset,
    /// The reader reports this.
    Failed(Code),
}

/// A card that answers every command with the same bytes: no JPKI card.
#[derive(Debug, Clone)]
pub struct Parrot {
    /// The answer to reset.
    pub atr: Vec<u8>,
    /// The response APDU.
    pub answer: Vec<u8>,
}

impl Icc for Parrot {
    fn power_on(&self) -> Option<Vec<u8>> {
        Some(self.atr.clone())
    }

    fn power_off(&self) {}

    fn warm_reset(&self) -> Option<Vec<u8>> {
        Some(self.atr.clone())
    }

    fn transmit(&self, _command: &[u8]) -> Exchange {
        Exchange::Answer(self.answer.clone())
    }
}
