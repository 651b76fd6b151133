//! The machine with one part of one rule left out.

use jpki_pkcs11::iso7816::status::TriesLeft;
use jpki_pkcs11::jpki::applet::{CountAnswer, VerifyOutcome};
use jpki_pkcs11::manager::pin_state::{Decision, Origin, PinMemory, Refusal, Sent};

use super::card::Pin;
use super::machine::{ENTRY, Machine, Real};

/// What is left out or done instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Instead {
    /// Rule 1: a stored PIN is sent whatever the count.
    StoredAtAnyCount,
    /// Rule 1: a stored PIN is sent also at one less than full.
    StoredAtOneLess,
    /// Rule 1: a context login outlives our own change of the PIN.
    ContextOutlivesChange,
    /// Rule 2: any change of the count clears the list.
    AnyChangeClears,
    /// Rule 2: removal clears the list.
    RemovalClears,
    /// Rule 2: C_Finalize clears the list.
    FinalizeClears,
    /// Rule 2: a malformed entry clears the list.
    MalformedClears,
    /// Rule 2: the list has one place.
    OneDeep,
    /// Rule 2: a rise does not clear the list.
    RiseDoesNotClear,
    /// Rule 2: a success of our own does not clear the list.
    SuccessDoesNotClear,
    /// Rule 2: the count is not asked before an entry; the last one seen serves.
    OldCount,
    /// Rule 2: one list for all cards.
    OneListForAllCards,
    /// Rule 2: a refused stored PIN is not on the list.
    StoredNotListed,
    /// Rule 2: a new PIN that the card refuses after CHANGE is not on the list.
    RefusedChangeNotListed,
    /// Rule 3: repetition comes before blocked.
    RepeatedBeforeBlocked,
    /// Rule 4: a lost answer is a refusal.
    LostIsRefused,
    /// Rule 4: a lost answer is nothing.
    LostIsNothing,
    /// Rule 4: a lost answer is a refusal if the count is less than full.
    LostBelowFull,
    /// Rule 4: the login outlives a lost answer to CHANGE.
    LostChangeKeepsLogin,
    /// Rule 4: a lost answer to CHANGE puts both PINs on the list.
    LostChangeMarks,
    /// Rule 5: a card that told its count and does not now gets entries.
    SilentGetsEntry,
    /// Rule 5: such a card gets stored PINs.
    SilentGetsStored,
    /// Rule 5: such a card ends the login.
    SilentEndsLogin,
    /// Rule 5: 9000 is a full count for an entry.
    OpenIsFullForEntry,
    /// Rule 5: 9000 is a full count for a stored PIN.
    OpenIsFullForStored,
    /// Rule 5: without a count an entry whose answer was lost may be sent again and again.
    ManyWithoutCount,
    /// Rule 5: without a count it may not be sent again.
    OnceWithoutCount,
    /// Rule 5: without a count a refusal does not end a login.
    RefusalKeepsLogin,
    /// Rule 5: without a count a stored PIN is sent though this program knows that it was refused.
    StoredThoughRefused,
    /// Rule 2: the count is not asked right after a refusal.
    NotAskedAfterRefusal,
}

/// A mutant. It remembers a little more than the machine, for its own ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mutant {
    real: Real,
    instead: Instead,
    /// PINs, as bits.
    held: u8,
    lost: Option<Pin>,
    seen: Option<TriesLeft>,
}

impl Mutant {
    pub fn new(full: u8, instead: Instead) -> Self {
        Self { real: Real::new(full), instead, held: 0, lost: None, seen: None }
    }

    fn is(&self, instead: Instead) -> bool {
        self.instead == instead
    }

    fn memory(&mut self) -> &mut PinMemory<Pin> {
        &mut self.real.memories[self.real.card]
    }

    fn clear_list(&mut self) {
        *self.memory() = PinMemory::default();
    }

    fn hold(&mut self, pin: Pin) {
        self.held |= 1 << pin;
    }

    fn is_held(&self, pin: Pin) -> bool {
        self.held & (1 << pin) != 0
    }

    /// Takes note of a count as the mutant does, before the machine sees it.
    fn see(&mut self, answer: CountAnswer) {
        let CountAnswer::Told(count) = answer else { return };
        if self.is(Instead::AnyChangeClears) && self.seen.is_some_and(|seen| seen != count) {
            self.clear_list();
        }
        if self.is(Instead::LostBelowFull) {
            let is_full = count.count() == self.real.full;
            self.held = if is_full { 0 } else { self.held };
            if let Some(lost) = self.lost.take().filter(|_| !is_full) {
                self.hold(lost);
            }
        }
        self.seen = Some(count);
    }

    fn holds_back(&self, pin: Pin) -> bool {
        let holds = [Instead::RiseDoesNotClear, Instead::LostBelowFull, Instead::LostChangeMarks];
        (holds.contains(&self.instead) || self.is(Instead::OnceWithoutCount)) && self.is_held(pin)
    }

    fn decide_entry(&mut self, pin: Pin, origin: Origin, answer: CountAnswer) -> Decision {
        let answer = match (self.instead, self.seen) {
            (Instead::OldCount, Some(seen)) => CountAnswer::Told(seen),
            (Instead::OpenIsFullForEntry, _) if answer == CountAnswer::Verified => {
                CountAnswer::Told(TriesLeft::new(self.real.full))
            }
            _ => answer,
        };
        self.see(answer);
        let decision = self.real.decide(pin, origin, answer);
        match decision {
            Decision::Send if self.holds_back(pin) => Decision::Refuse(Refusal::Repeated),
            Decision::Refuse(Refusal::Blocked)
                if self.is(Instead::RepeatedBeforeBlocked) && self.is_held(pin) =>
            {
                Decision::Refuse(Refusal::Repeated)
            }
            Decision::Refuse(Refusal::NoCount) if self.is(Instead::SilentGetsEntry) => Decision::Send,
            decision => decision,
        }
    }

    fn decide_stored(&mut self, pin: Pin, origin: Origin, answer: CountAnswer) -> Decision {
        self.see(answer);
        let login = self.real.state.stored();
        let decision = self.real.decide(pin, origin, answer);
        let one_less = CountAnswer::Told(TriesLeft::new(self.real.full - 1));
        let decision = match (self.instead, decision) {
            (Instead::StoredAtAnyCount, Decision::Refuse(Refusal::NotFull)) => Decision::Send,
            (Instead::StoredAtOneLess, _) if answer == one_less => Decision::Send,
            (Instead::OpenIsFullForStored, Decision::ForgetAndAsk) => Decision::Send,
            (Instead::SilentGetsStored, Decision::Refuse(Refusal::NoCount)) => Decision::Send,
            (Instead::SilentEndsLogin, Decision::Refuse(Refusal::NoCount)) => {
                Decision::Refuse(Refusal::NotFull)
            }
            (
                Instead::StoredThoughRefused | Instead::RefusalKeepsLogin,
                Decision::Refuse(Refusal::Repeated),
            ) => Decision::Send,
            (_, decision) => decision,
        };
        if decision.ends_kept_login() && origin == Origin::Login {
            self.real.state.log_out();
        } else if login.is_some() {
            self.real.state.log_in(login);
        }
        decision
    }
}

impl Machine for Mutant {
    fn real(&self) -> &Real {
        &self.real
    }

    fn real_mut(&mut self) -> &mut Real {
        &mut self.real
    }

    fn decide(&mut self, pin: Pin, origin: Origin, answer: CountAnswer) -> Decision {
        match origin {
            Origin::Entry { .. } | Origin::ContextEntry { .. } => self.decide_entry(pin, origin, answer),
            Origin::Login | Origin::ContextLogin => self.decide_stored(pin, origin, answer),
        }
    }

    fn learn(&mut self, pin: Pin, sent: Sent, origin: Origin) {
        let login = self.real.state.stored();
        let count = self.real.state.count();
        let before = self.memory().clone();
        let is_refused = matches!(sent, Sent::Answered(VerifyOutcome::Rejected(_) | VerifyOutcome::Blocked));
        if is_refused {
            self.hold(pin);
        }
        if is_refused && self.is(Instead::OneDeep) {
            self.clear_list();
        }
        let sent = match (self.instead, sent) {
            (Instead::LostIsRefused, Sent::Lost { .. }) => Sent::Answered(VerifyOutcome::Rejected(count)),
            (Instead::LostIsNothing, Sent::Lost { .. }) => Sent::NotSent,
            (Instead::ManyWithoutCount, Sent::Lost { .. }) if count.is_none() => Sent::NotSent,
            (_, sent) => sent,
        };
        match sent {
            Sent::Lost { .. } if self.is(Instead::LostBelowFull) => self.lost = Some(pin),
            Sent::Lost { .. } if self.is(Instead::OnceWithoutCount) && count.is_none() => self.hold(pin),
            Sent::Answered(VerifyOutcome::Accepted) => (self.held, self.lost) = (0, None),
            _ => {}
        }
        self.real.learn(pin, sent, origin);
        if is_refused && self.is(Instead::RefusalKeepsLogin) && login.is_some() {
            self.real.state.log_in(login);
        }
        let is_accepted = sent == Sent::Answered(VerifyOutcome::Accepted);
        let is_stored = matches!(origin, Origin::Login | Origin::ContextLogin);
        let keeps = (is_accepted && self.is(Instead::SuccessDoesNotClear))
            || (is_refused && is_stored && self.is(Instead::StoredNotListed));
        if keeps {
            *self.memory() = before;
        }
        self.seen = self.real.state.count().or(self.seen);
    }

    fn observe_refusal(&mut self, pin: Pin, answer: CountAnswer) {
        if !self.is(Instead::NotAskedAfterRefusal) {
            self.real.observe_refusal(pin, answer);
        }
    }

    fn learn_confirmation(&mut self, pin: Pin, sent: Sent) {
        if !self.is(Instead::RefusedChangeNotListed) {
            self.learn(pin, sent, ENTRY);
        }
    }

    fn observe(&mut self, answer: CountAnswer) {
        self.see(answer);
        self.real.observe(answer);
    }

    fn note_malformed(&mut self) {
        if self.is(Instead::MalformedClears) {
            self.clear_list();
        }
        self.real.note_malformed();
    }

    fn lose_change(&mut self, old: Pin, new: Pin) {
        match self.instead {
            Instead::LostChangeKeepsLogin => return,
            Instead::LostChangeMarks => [old, new].into_iter().for_each(|pin| self.hold(pin)),
            _ => {}
        }
        self.real.lose_change(old, new);
    }

    fn change_ends_context_login(&self) -> bool {
        !self.is(Instead::ContextOutlivesChange)
    }

    fn insert(&mut self, card: usize) {
        let memory = self.memory().clone();
        Machine::insert(&mut self.real, card);
        match self.instead {
            Instead::RemovalClears => self.clear_list(),
            Instead::OneListForAllCards => *self.memory() = memory,
            _ => {}
        }
    }

    fn restart(&mut self) {
        self.real.restart();
        if self.is(Instead::FinalizeClears) {
            self.clear_list();
        }
    }
}
