//! The model of a card: one PIN, a count of tries, and how its answers reach a program.

use jpki_pkcs11::iso7816::status::TriesLeft;
use jpki_pkcs11::jpki::applet::{CountAnswer, VerifyOutcome};

/// A PIN. Only whether two are equal counts.
pub type Pin = u8;

/// One PIN of one card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Card {
    pub pin: Pin,
    pub tries: u8,
}

/// Whether the card tells its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tells {
    Always,
    Never,
    /// It names a full count always, but counts the tries, and names them where it refuses a PIN.
    Constant,
    /// Now and then, and it may stop.
    AtTimes,
}

/// What the card answers to the question for the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Query {
    /// The count.
    Count,
    /// 9000, and the count after the card was made to forget.
    Open,
    /// 9000, and 9000 again.
    StaysOpen,
    /// No count.
    Silent,
    /// A full count, whatever it is.
    Constant,
}

/// What becomes of a command that carries a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    Answered,
    /// The command does not reach the card.
    LostBefore,
    /// The card does its work, and the answer is lost.
    LostAfter,
}

/// What becomes of CHANGE, and of the VERIFY of the new PIN that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// The card takes the new PIN.
    Taken(Fate),
    /// The card says so, and keeps the old one.
    Ignored(Fate),
    /// The answer to CHANGE is lost, or CHANGE itself: nothing follows.
    Lost { taken: bool },
}

impl Query {
    /// Whether the program gets to know the count.
    pub fn tells(self) -> bool {
        matches!(self, Self::Count | Self::Open)
    }
}

impl Card {
    /// VERIFY, on the card. `None`: the PIN is blocked and nothing was compared.
    pub fn compare(&mut self, pin: Pin, full: u8) -> Option<bool> {
        if self.tries == 0 {
            return None;
        }
        let right = pin == self.pin;
        self.tries = if right { full } else { self.tries - 1 };
        Some(right)
    }

    /// VERIFY, as the program sees it. `None`: the answer is lost.
    pub fn verify(&mut self, pin: Pin, full: u8, query: Query, fate: Fate) -> Option<VerifyOutcome> {
        if fate == Fate::LostBefore {
            return None;
        }
        let compared = self.compare(pin, full);
        let answer = match compared {
            None => VerifyOutcome::Blocked,
            Some(true) => VerifyOutcome::Accepted,
            Some(false) if query != Query::Constant && !query.tells() => VerifyOutcome::Rejected(None),
            Some(false) if self.tries == 0 => VerifyOutcome::Blocked,
            Some(false) => VerifyOutcome::Rejected(Some(TriesLeft::new(self.tries))),
        };
        (fate == Fate::Answered).then_some(answer)
    }

    /// The first answer to the question for the count.
    pub fn first_answer(self, query: Query) -> CountAnswer {
        match query {
            Query::Count => CountAnswer::Told(TriesLeft::new(self.tries)),
            Query::Open | Query::StaysOpen => CountAnswer::Verified,
            Query::Silent => CountAnswer::NotTold,
            Query::Constant => CountAnswer::Told(TriesLeft::new(15)),
        }
    }

    /// The answer right after it has refused a PIN.
    pub fn answer_after_refusal(self, query: Query) -> CountAnswer {
        match query {
            Query::Open => self.first_answer(Query::Count),
            Query::Count | Query::StaysOpen | Query::Silent | Query::Constant => self.first_answer(query),
        }
    }

    /// The answer after the card was made to forget. A card that stays open tells nothing.
    pub fn second_answer(self, query: Query) -> CountAnswer {
        match query {
            Query::StaysOpen => CountAnswer::NotTold,
            Query::Open => self.first_answer(Query::Count),
            Query::Count | Query::Silent | Query::Constant => self.first_answer(query),
        }
    }
}
