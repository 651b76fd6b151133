//! What is known of one PIN, and what follows from it: a value, without a card.
//!
//! [`PinMemory`] is what must outlive a removal of the card and a C_Finalize; [`PinState`] is what
//! ends with either. `P` is a PIN; tests and the model put numbers in its place.
//!
//! # The rules
//!
//! An *entry* is what a caller gave now; a *stored* PIN is the one of a login. The *count* is the
//! card's answer to the question that carries no PIN. It is asked in the transaction that would
//! send a PIN, before every PIN.
//!
//! 1. A stored PIN is sent only while the count is full. So the logins of all programs together
//!    cost one try at most when the PIN was changed elsewhere.
//! 2. An entry that was refused is not sent again before the count was seen higher than right after
//!    its refusal, or before a success of our own.
//! 3. A blocked PIN is blocked, whatever was entered.
//! 4. An entry whose answer was lost counts as refused only if the count is lower afterwards.
//! 5. A card that has told its count, and does not now, gets no PIN. One that never told is used
//!    without a count: an entry whose answer was lost may be sent once more, and the first refusal
//!    ends a login.

#[cfg(test)]
mod tests;

use crate::iso7816::status::TriesLeft;
use crate::jpki::applet::{CountAnswer, VerifyOutcome};

/// How often an entry is sent to a card without a count when no answer comes.
const SENDS_WITHOUT_ANSWER: u8 = 2;

/// What was learned from entries. It holds for the card, wherever it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PinMemory<P> {
    refused: Vec<Refused<P>>,
    lost: Vec<Lost<P>>,
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

/// What is known of a PIN of the card that is in the reader.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PinState<P> {
    full: TriesLeft,
    /// The count when the card last told it; `None` when it never did, or something happened since.
    count: Option<TriesLeft>,
    /// Whether the card has told its count since it was put in.
    tells: bool,
    /// Whether the card has refused a PIN as blocked, and told no count since.
    blocked: bool,
    /// Whether a wrong entry was made since the last right one, sent or not.
    wrong_entry: bool,
    login: Login<P>,
}

/// Whether the user is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Login<P> {
    No,
    /// With the PIN for the operations to come; `None` when each of them asks for it again.
    Yes(Option<P>),
}

/// What to do with a PIN after the count was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Send it.
    Send,
    /// Another program left the card verified, and it tells no count: make it forget, and ask
    /// again.
    ForgetAndAsk,
    /// Do not send it.
    Refuse(Refusal),
}

/// Why a PIN is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The PIN is blocked.
    Blocked,
    /// The entry was refused before, and nothing has happened since that could make it right.
    Repeated,
    /// The last tries are to be kept.
    Reserved(TriesLeft),
    /// The card told its count before, and does not now.
    NoCount,
    /// The count is not full: the stored PIN may be one that was changed.
    NotFull,
}

/// What came of a PIN that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The card's answer.
    Answered(VerifyOutcome),
    /// It is not known whether the card compared it.
    Lost,
    /// It has not reached the card.
    NotSent,
}

impl<P> Default for PinMemory<P> {
    fn default() -> Self {
        Self { refused: Vec::new(), lost: Vec::new() }
    }
}

impl<P> Lost<P> {
    fn is_spent(&self) -> bool {
        self.sent >= SENDS_WITHOUT_ANSWER
    }
}

impl<P: PartialEq + Clone> PinMemory<P> {
    /// Takes note of a count. What was refused before the count rose may be right now.
    fn observe(&mut self, count: TriesLeft, full: TriesLeft) {
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
    fn refuse(&mut self, entry: P, tries: TriesLeft) {
        self.lost.retain(|lost| lost.entry != entry);
        self.hold_back(entry, tries);
    }

    /// Holds an entry back until the count is higher than `tries`.
    fn hold_back(&mut self, entry: P, tries: TriesLeft) {
        self.refused.retain(|refused| refused.entry != entry);
        self.refused.push(Refused { entry, tries });
    }

    fn is_refused(&self, entry: &P) -> bool {
        self.refused.iter().any(|refused| refused.entry == *entry)
            || self.lost.iter().any(|lost| lost.entry == *entry && lost.is_spent())
    }

    /// The answer was lost. If no try is missing afterwards, it was no refusal.
    fn lose(&mut self, entry: P, before: Option<TriesLeft>) {
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
        for Lost { entry, sent } in &other.lost {
            match self.lost.iter_mut().find(|known| known.entry == *entry) {
                Some(known) => known.sent = known.sent.max(*sent),
                None => self.lost.push(Lost { entry: entry.clone(), sent: *sent }),
            }
        }
    }

    /// A PIN of ours was right.
    fn forget_all(&mut self) {
        *self = Self::default();
    }
}

impl<P: PartialEq + Clone> PinState<P> {
    /// A card that was just put in.
    #[must_use]
    pub fn new(full: TriesLeft) -> Self {
        Self { full, count: None, tells: false, blocked: false, wrong_entry: false, login: Login::No }
    }

    /// Whether the user is logged in.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        self.login != Login::No
    }

    /// The PIN of the login, if it is kept.
    #[must_use]
    pub fn stored(&self) -> Option<P> {
        match &self.login {
            Login::Yes(pin) => pin.clone(),
            Login::No => None,
        }
    }

    /// The count as far as it is known.
    #[must_use]
    pub fn count(&self) -> Option<TriesLeft> {
        self.count
    }

    /// Whether the user should be told that tries were lost, or that an entry was wrong.
    #[must_use]
    pub fn is_count_low(&self) -> bool {
        self.wrong_entry || self.count.is_some_and(|count| count < self.full)
    }

    /// Ends the login.
    pub fn log_out(&mut self) {
        self.login = Login::No;
    }

    /// An entry that cannot be the PIN was made.
    pub fn note_malformed(&mut self) {
        self.wrong_entry = true;
    }

    /// The card has told the count of the other PIN: it is one that tells.
    pub fn note_that_card_tells(&mut self) {
        self.tells = true;
    }

    /// Whether the card has told a count since it was put in.
    #[must_use]
    pub fn tells(&self) -> bool {
        self.tells
    }

    /// Takes note of the card's answer to the question for the count. Both decisions do so first.
    pub fn observe(&mut self, memory: &mut PinMemory<P>, answer: CountAnswer) {
        self.count = match answer {
            CountAnswer::Told(count) => {
                self.tells = true;
                self.blocked = false;
                let count = self.credible(count);
                memory.observe(count, self.full);
                Some(count)
            }
            CountAnswer::Verified | CountAnswer::NotTold => None,
        };
    }

    /// Whether an entry may be sent: not when no more than `reserve` tries are left.
    pub fn decide_entry(
        &mut self,
        memory: &mut PinMemory<P>,
        entry: &P,
        answer: CountAnswer,
        reserve: u8,
    ) -> Decision {
        self.observe(memory, answer);
        match answer {
            CountAnswer::Told(TriesLeft::BLOCKED) => Decision::Refuse(Refusal::Blocked),
            CountAnswer::Verified => Decision::ForgetAndAsk,
            CountAnswer::NotTold if self.tells => Decision::Refuse(Refusal::NoCount),
            _ if memory.is_refused(entry) => {
                Decision::Refuse(if self.blocked { Refusal::Blocked } else { Refusal::Repeated })
            }
            CountAnswer::Told(count) if count.count() <= reserve.min(self.most_reserved()) => {
                Decision::Refuse(Refusal::Reserved(count))
            }
            CountAnswer::Told(_) | CountAnswer::NotTold => Decision::Send,
        }
    }

    /// Whether a stored PIN may be sent. `NotFull` and `Repeated` end the login; the caller says so
    /// with [`PinState::log_out`] unless the PIN is that of one signature.
    pub fn decide_stored(&mut self, memory: &mut PinMemory<P>, pin: &P, answer: CountAnswer) -> Decision {
        self.observe(memory, answer);
        match answer {
            CountAnswer::Told(count) if count >= self.full => Decision::Send,
            CountAnswer::Told(_) => Decision::Refuse(Refusal::NotFull),
            CountAnswer::Verified => Decision::ForgetAndAsk,
            CountAnswer::NotTold if self.tells => Decision::Refuse(Refusal::NoCount),
            // The same PIN was entered again, or is kept twice, and the card has refused it.
            CountAnswer::NotTold if memory.is_refused(pin) => Decision::Refuse(Refusal::Repeated),
            CountAnswer::NotTold => Decision::Send,
        }
    }

    /// Learns what came of a PIN, entry or stored. Who is logged in does not change.
    pub fn learn(&mut self, memory: &mut PinMemory<P>, pin: &P, sent: Sent) {
        let before = self.count;
        let tries = match sent {
            Sent::NotSent => return,
            Sent::Lost => {
                self.count = None;
                return memory.lose(pin.clone(), before);
            }
            Sent::Answered(VerifyOutcome::Accepted) => {
                self.count = self.tells.then_some(self.full);
                self.blocked = false;
                self.wrong_entry = false;
                return memory.forget_all();
            }
            Sent::Answered(VerifyOutcome::Blocked) => Some(TriesLeft::BLOCKED),
            // A card that tells its count, but not here, has counted one.
            Sent::Answered(VerifyOutcome::Rejected(None)) => before.map(TriesLeft::one_less),
            Sent::Answered(VerifyOutcome::Rejected(tries)) => tries,
        };
        let tries = tries.map(|tries| self.credible(tries));
        self.count = tries;
        self.blocked = tries == Some(TriesLeft::BLOCKED);
        self.wrong_entry = true;
        // A card may name fewer tries here than it answers to the question. Later counts come from the
        // question, so the higher number is kept.
        let held_at = tries.max(before.map(TriesLeft::one_less));
        memory.refuse(pin.clone(), held_at.unwrap_or(self.full.one_less()));
    }

    /// The user is logged in from now on, with a PIN to keep if there is one.
    pub fn log_in(&mut self, kept: Option<P>) {
        self.login = Login::Yes(kept);
    }

    /// The answer to a change of the PIN was lost: which one the card has now is not known.
    pub fn lose_change(&mut self) {
        self.count = None;
        self.log_out();
    }

    /// No more than there can be: a count that rises without end would free every refused entry.
    fn credible(&self, count: TriesLeft) -> TriesLeft {
        count.min(self.full)
    }

    /// A reserve of all tries would be a lock of our own.
    fn most_reserved(&self) -> u8 {
        self.full.one_less().count()
    }
}
