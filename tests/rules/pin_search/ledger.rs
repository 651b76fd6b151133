//! What the rules ask for, kept apart from the machine: who has spent which try, and what no rule
//! allows.
//!
//! A PIN that is sent after the card told its count is sent *with the net*. A card that never tells
//! has no net.

use jpki_pkcs11::manager::pin_state::{Decision, Refusal};

use super::card::{Card, Tells};
use super::machine::CARDS;
use super::program::{Attempt, Report};

/// One more than the PINs of any search.
pub const MAX_PINS: usize = 6;

/// How often a program sends an entry without the net when no answer comes.
const SENDS_WITHOUT_NET: u8 = 2;

/// What a history must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// (a) One program has a PIN counted again before the count rose.
    CountedAgain,
    /// (a) Stored PINs cost a second try before the count rose.
    StoredCostTwo,
    /// (b) A stored PIN takes the count below full - 1.
    StoredBelow,
    /// (b) A stored PIN costs a try, and no other program has changed the PIN since the login.
    StoredCostWithoutChange,
    /// (c) The right PIN is held back.
    RightHeldBack,
    /// (c) The right stored PIN is not sent though the count is full.
    RightStoredHeldBack,
    /// (d) The right PIN cannot succeed any more.
    NoWayBack,
    /// Rule 3: a blocked PIN is not called so.
    BlockedNotSaid,
    /// Rule 4: a login outlives a lost answer to CHANGE.
    LoginAfterLostChange,
    /// Rule 5: a PIN goes to a card that has told its count and does not now, or such a card ends a
    /// login.
    SilentCard,
}

/// What one program has done with one PIN of one card. A number, since there are very many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Mark(u8);

/// How a PIN was counted since the count last rose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    No,
    Once,
    /// The answer is lost; it was sent with the net.
    Unheard,
    /// The answer is lost; it was sent without the net.
    UnheardWithoutNet,
    Twice,
}

impl Mark {
    const COUNTED: u8 = 0b0000_0111;
    const HEARD: u8 = 0b0000_1000;
    const UNANSWERED: u8 = 0b0001_0000;

    fn counted(self) -> Counted {
        match self.0 & Self::COUNTED {
            0 => Counted::No,
            1 => Counted::Once,
            2 => Counted::Unheard,
            3 => Counted::UnheardWithoutNet,
            _ => Counted::Twice,
        }
    }

    fn set_counted(&mut self, counted: Counted) {
        self.0 = self.0 & !Self::COUNTED | counted as u8;
    }

    /// Since a PIN of this program was last accepted or a full count was told: it may be known to
    /// be refused.
    fn is_heard(self) -> bool {
        self.0 & Self::HEARD != 0
    }

    /// Since then, how often it was sent without the net and without an answer.
    fn unanswered(self) -> u8 {
        self.0 / Self::UNANSWERED
    }

    fn note_unanswered(&mut self) {
        if self.unanswered() < SENDS_WITHOUT_NET {
            self.0 += Self::UNANSWERED;
        }
    }
}

/// The ledger of one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Page {
    pub marks: [[Mark; MAX_PINS]; CARDS],
    /// The card has told this program its count since it was put in and since C_Initialize.
    pub told: bool,
    /// Another program has changed the PIN since a PIN that is kept was accepted.
    pub changed_elsewhere: bool,
    /// Since the count last rose there was a failure that this program cannot set against a count:
    /// another program's, or its own without the net.
    pub unknown_failure: [bool; CARDS],
}

/// What an attempt did to the card.
#[derive(Debug, Clone, Copy)]
pub struct Effect {
    pub tells: Tells,
    pub full: u8,
    pub before: Card,
    pub after: Card,
}

impl Effect {
    pub fn counted(self) -> bool {
        self.after.tries < self.before.tries
    }

    pub fn rose(self) -> bool {
        self.after.tries > self.before.tries
    }
}

impl Page {
    /// The count rose.
    pub fn rise(&mut self, card: usize) {
        self.marks[card].iter_mut().for_each(|mark| mark.set_counted(Counted::No));
        self.unknown_failure[card] = false;
    }

    /// Checks one action of this program, and enters it.
    pub fn enter(&mut self, at: usize, report: &Report, effect: Effect) -> Result<(), Violation> {
        if report.change_lost && report.logged_in.1 {
            return Err(Violation::LoginAfterLostChange);
        }
        if report.told && effect.before.tries == effect.full {
            self.forget_doubts(at);
        }
        if let Some(attempt) = report.attempt {
            self.check_silence(attempt, report.logged_in)?;
            if attempt.decision == Decision::Send {
                self.enter_sent(at, attempt, effect)?;
            } else {
                self.check_refusal(at, attempt, effect)?;
            }
        }
        self.told |= report.told;
        self.changed_elsewhere &= report.keeps_pin;
        Ok(())
    }

    fn forget_doubts(&mut self, at: usize) {
        self.marks[at].iter_mut().for_each(|mark| mark.0 &= Mark::COUNTED);
    }

    fn check_silence(&self, attempt: Attempt, logged_in: (bool, bool)) -> Result<(), Violation> {
        let is_silent = self.told && !attempt.told;
        let is_right = attempt.decision == Decision::Refuse(Refusal::NoCount) && logged_in.0 == logged_in.1;
        if is_silent && !is_right { Err(Violation::SilentCard) } else { Ok(()) }
    }

    fn check_refusal(&self, at: usize, attempt: Attempt, effect: Effect) -> Result<(), Violation> {
        let Effect { full, before: card, .. } = effect;
        let Decision::Refuse(refusal) = attempt.decision else { return Err(Violation::RightHeldBack) };
        if attempt.told && card.tries == 0 && !attempt.is_stored() {
            return if refusal == Refusal::Blocked { Ok(()) } else { Err(Violation::BlockedNotSaid) };
        }
        if attempt.pin != card.pin || card.tries == 0 || (self.told && !attempt.told) {
            return Ok(());
        }
        let mark = self.marks[at][usize::from(attempt.pin)];
        let was_lost = mark.unanswered() >= SENDS_WITHOUT_NET;
        let is_held_back_rightly = if !attempt.told {
            mark.is_heard() || was_lost
        } else if attempt.is_stored() {
            card.tries < full
        } else {
            refusal == Refusal::Repeated && card.tries < full && (self.unknown_failure[at] || was_lost)
        };
        match attempt.is_stored() {
            _ if is_held_back_rightly => Ok(()),
            false => Err(Violation::RightHeldBack),
            true => Err(Violation::RightStoredHeldBack),
        }
    }

    /// Checks a PIN that was sent, and enters it.
    pub fn enter_sent(&mut self, at: usize, attempt: Attempt, effect: Effect) -> Result<(), Violation> {
        let Effect { tells, full, before, after } = effect;
        if attempt.told && before.tries == 0 {
            return Err(Violation::BlockedNotSaid);
        }
        let mark = &mut self.marks[at][usize::from(attempt.pin)];
        if effect.counted() {
            let counted = match mark.counted() {
                Counted::No if !attempt.lost => Counted::Once,
                Counted::No if attempt.told => Counted::Unheard,
                Counted::No => Counted::UnheardWithoutNet,
                Counted::Unheard if !attempt.told => Counted::Twice,
                Counted::UnheardWithoutNet => Counted::Twice,
                Counted::Once | Counted::Unheard | Counted::Twice => return Err(Violation::CountedAgain),
            };
            mark.set_counted(counted);
            self.unknown_failure[at] |= !attempt.told && tells == Tells::AtTimes;
            if attempt.is_stored() {
                if attempt.told && after.tries < full - 1 {
                    return Err(Violation::StoredBelow);
                }
                if !self.changed_elsewhere {
                    return Err(Violation::StoredCostWithoutChange);
                }
            }
        }
        if attempt.accepted {
            self.forget_doubts(at);
        } else if attempt.lost && !attempt.told {
            mark.note_unanswered();
        } else if tells != Tells::Always {
            mark.0 |= Mark::HEARD;
        }
        Ok(())
    }
}
