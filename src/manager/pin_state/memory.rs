//! The entries that a card refused, or may have refused.

use crate::iso7816::status::TriesLeft;

/// How often an entry is sent to a card without a count when no answer comes.
const SENDS_WITHOUT_ANSWER: u8 = 2;

/// What was learned from entries. It holds for the card, wherever it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PinMemory<P> {
    refused: Vec<Refused<P>>,
    lost: Vec<Lost<P>>,
    /// What our own refusals leave at worst, where the card has told no count since.
    at_worst: Option<TriesLeft>,
}

/// An entry that the card refused, or may have refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Refused<P> {
    entry: P,
    /// The count right after the refusal. Where the card told none it is the highest that it can
    /// be. A higher one says that the entry was not refused, or that the PIN may have changed
    /// since.
    tries: TriesLeft,
}

/// An entry that was sent without a count, and whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Lost<P> {
    entry: P,
    /// How often it was sent.
    sent: u8,
}

impl<P> Default for PinMemory<P> {
    fn default() -> Self {
        Self { refused: Vec::new(), lost: Vec::new(), at_worst: None }
    }
}

impl<P> Lost<P> {
    fn is_spent(&self) -> bool {
        self.sent >= SENDS_WITHOUT_ANSWER
    }
}

impl<P: PartialEq + Clone> PinMemory<P> {
    /// Takes note of a count. What was refused before the count rose may be right now.
    pub(super) fn observe(&mut self, count: TriesLeft, full: TriesLeft) {
        self.at_worst = None;
        for lost in std::mem::take(&mut self.lost) {
            if count < full && lost.is_spent() {
                self.hold_back(lost.entry, count);
            } else if count < full {
                self.lost.push(lost);
            }
        }
        self.refused.retain(|refused| count <= refused.tries);
    }

    /// The card has refused an entry, and this was the count afterwards.
    pub(super) fn refuse(&mut self, entry: P, tries: TriesLeft) {
        self.lost.retain(|lost| lost.entry != entry);
        self.hold_back(entry, tries);
    }

    /// Takes note of a refusal that left so many tries, where the card has named them.
    pub(super) fn spend(&mut self, left: Option<TriesLeft>, full: TriesLeft) {
        let counted = self.at_worst.unwrap_or(full).one_less();
        self.at_worst = Some(left.unwrap_or(counted));
    }

    /// What our own refusals leave at worst, where the card has told no count since.
    pub(super) fn at_worst(&self) -> Option<TriesLeft> {
        self.at_worst
    }

    /// Takes note of the count right after an entry was refused: only a higher one is a rise.
    pub(super) fn observe_refusal(&mut self, entry: &P, count: TriesLeft) {
        let known = self.refused.iter_mut().filter(|refused| refused.entry == *entry);
        known.for_each(|refused| refused.tries = refused.tries.max(count));
    }

    /// Holds an entry back until the count is higher than `tries`.
    fn hold_back(&mut self, entry: P, tries: TriesLeft) {
        self.refused.retain(|refused| refused.entry != entry);
        self.refused.push(Refused { entry, tries });
    }

    pub(super) fn is_refused(&self, entry: &P) -> bool {
        self.refused.iter().any(|refused| refused.entry == *entry)
            || self.lost.iter().any(|lost| lost.entry == *entry && lost.is_spent())
    }

    /// The answer was lost. If no try is missing afterwards, it was no refusal.
    pub(super) fn lose(&mut self, entry: P, before: Option<TriesLeft>) {
        if let Some(before) = before {
            return self.hold_back(entry, before.one_less());
        }
        match self.lost.iter_mut().find(|lost| lost.entry == entry) {
            Some(lost) => lost.sent = lost.sent.saturating_add(1),
            None => self.lost.push(Lost { entry, sent: 1 }),
        }
    }

    /// Takes over what was learned of the same card under another name.
    pub fn unite(&mut self, other: &Self) {
        for Refused { entry, tries } in &other.refused {
            let known = self.refused.iter().find(|refused| refused.entry == *entry);
            let tries = known.map_or(*tries, |known| known.tries.max(*tries));
            self.hold_back(entry.clone(), tries);
        }
        self.at_worst = self.at_worst.into_iter().chain(other.at_worst).min();
        for Lost { entry, sent } in &other.lost {
            match self.lost.iter_mut().find(|known| known.entry == *entry) {
                Some(known) => known.sent = known.sent.max(*sent),
                None => self.lost.push(Lost { entry: entry.clone(), sent: *sent }),
            }
        }
    }

    /// A PIN of ours was right.
    pub(super) fn forget_all(&mut self) {
        *self = Self::default();
    }
}
