//! Cards, programs and events: one step of a history, checked.

use super::card::{Card, Fate, Pin, Query, Tells};
use super::ledger::{Effect, Page, Violation};
use super::machine::{CARDS, Machine};
use super::program::{Action, Attempt, Program, Report};

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// One of our programs does something.
    Ours(usize, Action),
    /// A program that is not ours enters the right PIN.
    OtherSuccess,
    /// It enters a wrong one.
    OtherFailure,
    /// It changes the PIN.
    OtherChange(Pin),
    /// The municipal office unblocks the PIN.
    Unblock,
    /// The card is taken out and put in again.
    Reinsert,
    /// The other card is put in.
    Swap,
}

/// How an action of a program comes out. A search looks it up, a random run carries it out.
pub trait Perform<P> {
    fn perform(&mut self, program: P, action: Action, card: Card) -> Option<(P, Report)>;
}

/// Carries actions out.
pub struct Directly;

impl<M: Machine> Perform<Program<M>> for Directly {
    fn perform(
        &mut self,
        mut program: Program<M>,
        action: Action,
        card: Card,
    ) -> Option<(Program<M>, Report)> {
        let report = program.perform(action, card)?;
        Some((program, report))
    }
}

/// One program, and its page of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seat<P> {
    pub program: P,
    pub page: Page,
}

/// The cards, the programs, and what the ledger has of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Situation<P, const PROGRAMS: usize> {
    pub tells: Tells,
    pub full: u8,
    pub at: usize,
    pub cards: [Card; CARDS],
    /// A stored PIN has cost a try since the count rose.
    pub stored_spent: [bool; CARDS],
    pub seats: [Seat<P>; PROGRAMS],
}

impl<P: Clone, const N: usize> Situation<P, N> {
    /// Programs that have just started. The other card has one try less than full.
    pub fn new(tells: Tells, full: u8, tries: u8, program: &P) -> Self {
        Self {
            tells,
            full,
            at: 0,
            cards: [Card { pin: 0, tries }, Card { pin: 1, tries: full - 1 }],
            stored_spent: [false; CARDS],
            seats: std::array::from_fn(|_| Seat { program: program.clone(), page: Page::default() }),
        }
    }

    /// The card in the reader.
    pub fn card(&self) -> Card {
        self.cards[self.at]
    }

    /// One event. `None`: it cannot happen now.
    pub fn step(&mut self, event: Event, by: &mut impl Perform<P>) -> Option<Result<(), Violation>> {
        let card = self.card();
        match event {
            Event::Ours(seat, action) => return self.ours(seat, action, by),
            Event::OtherSuccess | Event::OtherFailure | Event::OtherChange(_) if card.tries == 0 => {
                return None;
            }
            Event::OtherSuccess if card.tries == self.full => return None,
            Event::OtherChange(pin) if pin == card.pin => return None,
            Event::OtherSuccess => self.succeed_elsewhere(card.pin),
            Event::OtherChange(pin) => self.succeed_elsewhere(pin),
            Event::OtherFailure => {
                self.cards[self.at].tries -= 1;
                self.note_failure(None);
            }
            Event::Unblock if card.tries > 0 => return None,
            Event::Unblock => {
                self.cards[self.at].tries = self.full;
                self.rise();
            }
            Event::Reinsert => self.insert(self.at, by)?,
            Event::Swap => self.insert((self.at + 1) % CARDS, by)?,
        }
        Some(Ok(()))
    }

    fn ours(
        &mut self,
        seat: usize,
        action: Action,
        by: &mut impl Perform<P>,
    ) -> Option<Result<(), Violation>> {
        let before = self.card();
        let (program, report) = by.perform(self.seats[seat].program.clone(), action, before)?;
        let between = report.confirmation.map_or(report.card, |(card, _)| card);
        let effect = Effect { tells: self.tells, full: self.full, before, after: between };
        self.seats[seat].program = program;
        self.cards[self.at] = report.card;
        if action == Action::Restart {
            self.seats[seat].page.told = false;
        }
        let entered = self.seats[seat].page.enter(self.at, &report, effect);
        let noted = entered.and_then(|()| self.note(seat, report.attempt, effect));
        Some(noted.and_then(|()| self.confirmation(seat, &report)))
    }

    /// The VERIFY of a new PIN, after CHANGE.
    fn confirmation(&mut self, seat: usize, report: &Report) -> Result<(), Violation> {
        let Some((before, attempt)) = report.confirmation else { return Ok(()) };
        let effect = Effect { tells: self.tells, full: self.full, before, after: report.card };
        self.seats[seat].page.enter_sent(self.at, attempt, effect)?;
        self.note(seat, Some(attempt), effect)
    }

    /// What an attempt of ours means for the others.
    fn note(&mut self, seat: usize, attempt: Option<Attempt>, effect: Effect) -> Result<(), Violation> {
        if effect.counted() {
            self.note_failure(Some(seat));
            let is_stored = attempt.is_some_and(|attempt| attempt.is_stored() && attempt.told);
            if is_stored && std::mem::replace(&mut self.stored_spent[self.at], true) {
                return Err(Violation::StoredCostTwo);
            }
        }
        if effect.rose() {
            self.rise();
        }
        if effect.before.pin != effect.after.pin {
            let others = self.seats.iter_mut().enumerate().filter(|(other, _)| *other != seat);
            others.for_each(|(_, other)| other.page.changed_elsewhere = true);
        }
        Ok(())
    }

    fn succeed_elsewhere(&mut self, pin: Pin) {
        let card = self.card();
        if card.pin != pin {
            self.seats.iter_mut().for_each(|seat| seat.page.changed_elsewhere = true);
        }
        self.cards[self.at] = Card { pin, tries: self.full };
        if card.tries < self.full {
            self.rise();
        }
    }

    fn note_failure(&mut self, of: Option<usize>) {
        if matches!(self.tells, Tells::Never | Tells::Constant) {
            return;
        }
        let others = self.seats.iter_mut().enumerate().filter(|(seat, _)| Some(*seat) != of);
        others.for_each(|(_, seat)| seat.page.unknown_failure[self.at] = true);
    }

    fn rise(&mut self) {
        self.stored_spent[self.at] = false;
        self.seats.iter_mut().for_each(|seat| seat.page.rise(self.at));
    }

    fn insert(&mut self, at: usize, by: &mut impl Perform<P>) -> Option<()> {
        self.at = at;
        let card = self.card();
        for seat in &mut self.seats {
            let (program, _) = by.perform(seat.program.clone(), Action::SeeInserted(at), card)?;
            seat.program = program;
            seat.page.told = false;
            seat.page.changed_elsewhere = false;
        }
        Some(())
    }

    /// (d): the right entry succeeds now, or after the shortest way that the rules leave for this
    /// kind of card.
    pub fn check_way_back(
        &self,
        ways: &[Vec<Event>],
        query: Query,
        by: &mut impl Perform<P>,
    ) -> Result<(), Violation> {
        if self.card().tries == 0 {
            return Ok(());
        }
        let reachable = (0..N).all(|seat| ways.iter().any(|way| self.succeeds(seat, way, query, by)));
        if reachable { Ok(()) } else { Err(Violation::NoWayBack) }
    }

    /// Whether an entry of the right PIN succeeds after these events.
    fn succeeds(&self, seat: usize, way: &[Event], query: Query, by: &mut impl Perform<P>) -> bool {
        let mut situation = self.clone();
        let log_out = Event::Ours(seat, Action::LogOut);
        for event in [&log_out].into_iter().chain(way) {
            let _ = situation.step(*event, by);
        }
        let enter = Action::Enter(situation.card().pin, query, Fate::Answered);
        let entered = by.perform(situation.seats[seat].program.clone(), enter, situation.card());
        entered.and_then(|(_, report)| report.attempt).is_some_and(|attempt| attempt.accepted)
    }
}
