//! One reader: its card, who shares it, who has a transaction.

use std::ffi::CString;
use std::sync::Arc;

use super::code::{protocol, state, status};
use super::{CardHandle, Quirks};
use crate::icc::Icc;

/// A reader for as long as it is plugged in: one that comes back under its name is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReaderId(pub(super) u64);

/// What a connection is told at its next call, for ever, until it reconnects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Latched {
    Reset,
    Removed,
}

/// How the connections share the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// So many shared or direct connections.
    Shared(u32),
    Exclusive,
}

/// A transaction: its holder, and how many times it was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) holder: CardHandle,
    pub(super) depth: u32,
}

pub(super) struct Inserted {
    /// Tells this insertion from any other, also of the same card.
    pub(super) serial: u64,
    pub(super) icc: Arc<dyn Icc>,
    pub(super) power: Power,
}

/// The card's side of the contacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Power {
    Off,
    On { atr: Vec<u8> },
    Mute,
}

pub(super) struct Reader {
    pub(super) id: ReaderId,
    pub(super) name: CString,
    pub(super) card: Option<Inserted>,
    /// Insertions and removals.
    pub(super) events: u32,
    pub(super) sharing: Sharing,
    pub(super) transaction: Option<Transaction>,
    pub(super) protocol: u32,
    /// An exchange with the card goes on, outside the service's lock.
    pub(super) busy: bool,
}

impl Reader {
    pub(super) fn new(id: ReaderId, name: CString) -> Self {
        Self {
            id,
            name,
            card: None,
            events: 0,
            sharing: Sharing::Shared(0),
            transaction: None,
            protocol: protocol::UNDEFINED,
            busy: false,
        }
    }

    /// Counts an insertion or a removal, where the service does; it has 16 bits for that.
    pub(super) fn count_event(&mut self, quirks: Quirks) {
        if quirks.is_macos {
            return;
        }
        self.events = if self.events >= 0xffff { 0 } else { self.events + 1 };
    }

    pub(super) fn is_locked_against(&self, card: CardHandle) -> bool {
        self.transaction.is_some_and(|transaction| transaction.holder != card)
    }

    /// Begins a transaction, or begins it once more.
    pub(super) fn lock(&mut self, holder: CardHandle) {
        let depth = self.transaction.map_or(0, |transaction| transaction.depth);
        self.transaction = Some(Transaction { holder, depth: depth + 1 });
    }

    /// Ends a transaction once; `false` when there is none. An exclusive connection keeps its last
    /// one.
    pub(super) fn unlock(&mut self) -> bool {
        let least = u32::from(self.sharing == Sharing::Exclusive);
        match &mut self.transaction {
            Some(transaction) if transaction.depth > least => {
                transaction.depth -= 1;
                if transaction.depth == 0 {
                    self.transaction = None;
                }
                true
            }
            _ => false,
        }
    }

    pub(super) fn remove_connection(&mut self) {
        self.sharing = match self.sharing {
            Sharing::Exclusive => Sharing::Shared(0),
            Sharing::Shared(count) => Sharing::Shared(count.saturating_sub(1)),
        };
    }

    pub(super) fn atr(&self) -> &[u8] {
        match self.card.as_ref().map(|card| &card.power) {
            Some(Power::On { atr }) => atr,
            _ => &[],
        }
    }

    /// `SCARD_PRESENT` and its like.
    pub(super) fn status(&self) -> u32 {
        match self.card.as_ref().map(|card| &card.power) {
            None => status::ABSENT,
            Some(Power::Off) => status::PRESENT,
            Some(Power::On { .. }) => status::PRESENT | status::POWERED | status::NEGOTIABLE,
            Some(Power::Mute) => status::PRESENT | status::SWALLOWED,
        }
    }

    /// `SCARD_STATE_PRESENT` and its like, and the number of events.
    pub(super) fn event_state(&self) -> u32 {
        let presence = match self.card.as_ref().map(|card| &card.power) {
            None => state::EMPTY,
            Some(Power::Mute) => state::PRESENT | state::MUTE,
            Some(_) => state::PRESENT,
        };
        let sharing = match self.sharing {
            Sharing::Exclusive => state::EXCLUSIVE,
            Sharing::Shared(count) if count > 0 && self.card.is_some() => state::INUSE,
            Sharing::Shared(_) => 0,
        };
        presence | sharing | (self.events << 16)
    }

    /// Settles the protocol of a new or renewed connection; `None` when the card has none of the
    /// wanted ones. Cards here speak T=1, as the My Number card does in contact and contactless
    /// readers.
    pub(super) fn negotiate(&mut self, preferred: u32) -> Option<u32> {
        let preferred = if preferred & protocol::ANY_OLD != 0 {
            preferred | protocol::T0 | protocol::T1
        } else {
            preferred
        };
        if preferred & protocol::RAW != 0 {
            self.protocol = protocol::RAW;
        } else if self.protocol == protocol::UNDEFINED {
            if preferred & protocol::T1 == 0 {
                return None;
            }
            self.protocol = protocol::T1;
        } else if preferred & self.protocol == 0 {
            return None;
        }
        Some(self.protocol)
    }
}
