//! What a reader asks of the chip in it (an ICC, in the words of PC/SC).

use std::time::Duration;

use virtual_card::{Reply, VirtualCard};

use crate::service::Code;

/// A card as a reader sees it. The service calls it from many threads, one call at a time for each
/// reader.
pub trait Icc: Send + Sync {
    /// Power and the answer to reset; `None` when the card stays mute.
    fn power_on(&self) -> Option<Vec<u8>>;

    /// No power: a card forgets everything that is not in its files.
    fn power_off(&self);

    /// A reset under power.
    fn warm_reset(&self) -> Option<Vec<u8>>;

    /// One exchange.
    fn transmit(&self, command: &[u8]) -> Exchange;

    /// Put into a reader, which gives power at once.
    fn put_in(&self) -> Option<Vec<u8>> {
        self.power_on()
    }

    /// Taken out of its reader.
    fn taken_out(&self) {
        self.power_off();
    }

    /// How long until a chip that left the reader's field by itself is back. `None`: it stays away.
    fn returns_in(&self) -> Option<Duration> {
        None
    }
}

/// What came of one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// The response APDU.
    Answer(Vec<u8>),
    /// The card was pulled out instead, or left the field by itself ([`Icc::returns_in`]).
    Removed,
    /// Another program reset the card instead.
    Reset,
    /// The reader reports this.
    Failed(Code),
}

/// A card that answers every command with the same bytes: no JPKI card.
#[derive(Debug, Clone)]
pub struct FixedAnswerCard {
    /// The answer to reset.
    pub atr: Vec<u8>,
    /// The response APDU.
    pub answer: Vec<u8>,
}

impl Icc for FixedAnswerCard {
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

impl Icc for VirtualCard {
    fn power_on(&self) -> Option<Vec<u8>> {
        Self::power_on(self);
        Some(self.atr())
    }

    fn power_off(&self) {
        Self::power_off(self);
    }

    fn warm_reset(&self) -> Option<Vec<u8>> {
        Self::warm_reset(self);
        Some(self.atr())
    }

    fn transmit(&self, command: &[u8]) -> Exchange {
        match Self::transmit(self, command) {
            Reply::Answer(answer) => Exchange::Answer(answer),
            Reply::Removed => Exchange::Removed,
            Reply::Reset => Exchange::Reset,
            Reply::Mute => Exchange::Failed(Code::NOT_TRANSACTED),
            Reply::TransportError(code) => Exchange::Failed(reader_error(code)),
        }
    }

    fn put_in(&self) -> Option<Vec<u8>> {
        self.insert();
        Icc::power_on(self)
    }

    fn taken_out(&self) {
        self.remove();
    }

    fn returns_in(&self) -> Option<Duration> {
        Self::returns_in(self)
    }
}

/// A scripted code as PC/SC's: one of its own as it is, any other as a driver that has failed.
fn reader_error(code: i32) -> Code {
    let raw = u32::from_ne_bytes(code.to_ne_bytes());
    if raw >> 16 == 0x8010 { Code::new(raw) } else { Code::NOT_TRANSACTED }
}
