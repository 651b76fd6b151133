//! What is known of one PIN, and what follows from it: a value, without a card.
//!
//! [`PinMemory`] is what must outlive a removal of the card and a C_Finalize; [`PinState`] is what
//! ends with either. `P` is a PIN, known again and not sent; `K` is one that a login keeps to send
//! it. The search puts numbers in their place.
//!
//! # The rules
//!
//! An *entry* is what a caller gave now; a *stored* PIN is the one of a login. The *count* is the
//! card's answer to the question that carries no PIN. It is asked in the transaction that would
//! send a PIN, before every PIN.
//!
//! 1. A stored PIN is sent only while the count is full. So the logins of all programs together
//!    cost one try at most when the PIN was changed elsewhere. A login ends when its PIN may not be
//!    right any more, and when an entry for one signature finds the PIN locked.
//! 2. An entry that was refused is not sent again before the count was seen higher than right after
//!    its refusal, or before a success of our own.
//! 3. A blocked PIN is blocked, whatever was entered.
//! 4. An entry whose answer was lost counts as refused only if the count is lower afterwards.
//! 5. A card that has told its count, and does not now, gets no PIN. One that never told is used
//!    without a count: an entry whose answer was lost may be sent once more, and the first refusal
//!    ends a login. A reserve goes by the refusals of our own then.

mod memory;
#[cfg(test)]
mod tests;

pub use memory::PinMemory;

use crate::iso7816::status::TriesLeft;
use crate::jpki::applet::{CountAnswer, VerifyOutcome};

/// What is known of a PIN of the card that is in the reader.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PinState<K> {
    full: TriesLeft,
    /// The count when the card last told it; `None` when it never did, or something happened since.
    count: Option<TriesLeft>,
    /// Whether the card has told its count since it was put in.
    tells: bool,
    /// Whether the card has refused a PIN as blocked, and told no count since.
    blocked: bool,
    /// Whether a wrong entry was made since the last right one, sent or not.
    wrong_entry: bool,
    login: Login<K>,
}

/// Whether the user is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Login<K> {
    No,
    /// With the PIN for the operations to come; `None` when each of them asks for it again.
    Yes(Option<K>),
}

/// Where a PIN that may be sent comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A caller gave it now.
    Entry {
        /// How many tries are to be left; fewer than all.
        reserve: u8,
    },
    /// A caller gave it now for one signature.
    ContextEntry {
        /// As above.
        reserve: u8,
    },
    /// It is that of the login.
    Login,
    /// It is that of a login for one signature.
    ContextLogin,
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
    Lost {
        /// Another program has reset the card: nothing speaks against the PIN, and the count tells
        /// what the answer was before it is sent again.
        by_reset: bool,
    },
    /// It has not reached the card.
    NotSent,
}

impl Decision {
    /// Whether a login whose PIN is not sent therefore ends: it may not be right any more.
    #[must_use]
    pub fn ends_kept_login(self) -> bool {
        matches!(self, Self::Refuse(Refusal::NotFull | Refusal::Repeated))
    }

    /// Whether an entry for one signature that is not sent therefore ends the login: CKR_PIN_LOCKED
    /// does (PKCS#11 2.40, 4.9, `CKA_ALWAYS_AUTHENTICATE`).
    fn is_locked(self) -> bool {
        matches!(self, Self::Refuse(Refusal::Blocked | Refusal::Reserved(_)))
    }
}

impl Sent {
    /// Whether the login with this PIN ends: it may not be right any more.
    #[must_use]
    pub fn ends_kept_login(self) -> bool {
        match self {
            Self::Answered(outcome) => outcome != VerifyOutcome::Accepted,
            Self::Lost { by_reset } => !by_reset,
            Self::NotSent => false,
        }
    }
}

impl<K: Clone> PinState<K> {
    /// A card that was just put in.
    #[must_use]
    pub fn new(full: TriesLeft) -> Self {
        Self { full, count: None, tells: false, blocked: false, wrong_entry: false, login: Login::No }
    }

    /// Whether the user is logged in.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        matches!(self.login, Login::Yes(_))
    }

    /// The PIN of the login, if it is kept.
    #[must_use]
    pub fn stored(&self) -> Option<K> {
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

    /// Takes note of the card's answer to the question for the count.
    pub fn observe<P: PartialEq + Clone>(&mut self, memory: &mut PinMemory<P>, answer: CountAnswer) {
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

    /// Whether a PIN may be sent. The login ends where the answer speaks against its PIN, and where
    /// an entry for one signature finds the PIN locked.
    pub fn decide<P: PartialEq + Clone>(
        &mut self,
        memory: &mut PinMemory<P>,
        origin: Origin,
        pin: &P,
        answer: CountAnswer,
    ) -> Decision {
        self.observe(memory, answer);
        let (decision, ends) = match origin {
            Origin::Entry { reserve } => (self.decide_entry(memory, pin, answer, reserve), false),
            Origin::ContextEntry { reserve } => {
                let decision = self.decide_entry(memory, pin, answer, reserve);
                (decision, decision.is_locked())
            }
            Origin::Login => {
                let decision = self.decide_stored(memory, pin, answer);
                (decision, decision.ends_kept_login())
            }
            Origin::ContextLogin => (self.decide_stored(memory, pin, answer), false),
        };
        if ends {
            self.log_out();
        }
        decision
    }

    fn decide_entry<P: PartialEq + Clone>(
        &self,
        memory: &PinMemory<P>,
        entry: &P,
        answer: CountAnswer,
        reserve: u8,
    ) -> Decision {
        let left = match answer {
            CountAnswer::Told(count) => Some(count),
            CountAnswer::Verified | CountAnswer::NotTold => memory.at_worst(),
        };
        match answer {
            CountAnswer::Told(TriesLeft::BLOCKED) => Decision::Refuse(Refusal::Blocked),
            CountAnswer::Verified => Decision::ForgetAndAsk,
            CountAnswer::NotTold if self.tells => Decision::Refuse(Refusal::NoCount),
            _ if memory.is_refused(entry) => {
                Decision::Refuse(if self.blocked { Refusal::Blocked } else { Refusal::Repeated })
            }
            CountAnswer::Told(_) | CountAnswer::NotTold => {
                let reserved = left.filter(|left| reserve > 0 && left.count() <= reserve);
                reserved.map_or(Decision::Send, |left| Decision::Refuse(Refusal::Reserved(left)))
            }
        }
    }

    fn decide_stored<P: PartialEq + Clone>(
        &self,
        memory: &PinMemory<P>,
        pin: &P,
        answer: CountAnswer,
    ) -> Decision {
        match answer {
            CountAnswer::Told(count) if count < self.full => Decision::Refuse(Refusal::NotFull),
            CountAnswer::Verified => Decision::ForgetAndAsk,
            CountAnswer::NotTold if self.tells => Decision::Refuse(Refusal::NoCount),
            // The same PIN was entered again, or is kept twice, and the card has refused it.
            _ if memory.is_refused(pin) => Decision::Refuse(Refusal::Repeated),
            CountAnswer::Told(_) | CountAnswer::NotTold => Decision::Send,
        }
    }

    /// Learns what came of a PIN. The login ends where that speaks against its PIN, and where an
    /// entry for one signature finds the PIN locked. A success begins none.
    pub fn learn<P: PartialEq + Clone>(
        &mut self,
        memory: &mut PinMemory<P>,
        origin: Origin,
        pin: &P,
        sent: Sent,
    ) {
        let ends = match origin {
            Origin::Login => sent.ends_kept_login(),
            Origin::ContextEntry { .. } => sent == Sent::Answered(VerifyOutcome::Blocked),
            Origin::Entry { .. } | Origin::ContextLogin => false,
        };
        if ends {
            self.log_out();
        }
        let before = self.count;
        let tries = match sent {
            Sent::NotSent => return,
            Sent::Lost { .. } => {
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
        // A card may name fewer tries here than it answers to the question. Later counts come from
        // the question, so the higher number is kept.
        let held_at = tries.max(before.map(TriesLeft::one_less));
        memory.refuse(pin.clone(), held_at.unwrap_or(self.full.one_less()));
        memory.spend(tries, self.full);
    }

    /// Takes note of the card's answer to the question right after it refused a PIN.
    pub fn observe_refusal<P: PartialEq + Clone>(
        &self,
        memory: &mut PinMemory<P>,
        pin: &P,
        answer: CountAnswer,
    ) {
        if let CountAnswer::Told(count) = answer {
            memory.observe_refusal(pin, self.credible(count));
        }
    }

    /// The user is logged in from now on, with a PIN to keep if there is one.
    pub fn log_in(&mut self, kept: Option<K>) {
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
}
