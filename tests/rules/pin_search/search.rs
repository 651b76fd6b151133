//! The search: breadth first over all histories, until no new state appears.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::time::Instant;

use super::card::{Card, Change, Fate, Pin, Query, Tells};
use super::interner::{Interner, Number};
use super::ledger::{Mark, Violation};
use super::machine::Machine;
use super::program::Action;
use super::situation::{Event, Situation};

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Lost,
    Open,
    Malformed,
    SetPin,
    Context,
    Look,
    Restart,
    Reinsert,
    Swap,
}

/// What is searched.
#[derive(Debug, Clone, Copy)]
pub struct Configuration {
    pub tells: Tells,
    pub full: u8,
    /// The counts to begin with.
    pub start: (u8, u8),
    pub pins: Pin,
    pub parts: &'static [Part],
    /// Whether the count for display is forgotten after each action.
    pub forgets_count: bool,
}

/// How far a search came.
#[derive(Debug)]
pub struct Found {
    pub states: usize,
    /// States of one program.
    pub programs: usize,
    pub steps: usize,
    /// The shortest history that breaks a rule.
    pub history: Option<(Violation, String)>,
}

type NumberedSituation<const N: usize> = Situation<Number, N>;

struct Search<M, const N: usize> {
    configuration: Configuration,
    events: Vec<Event>,
    ways: (Vec<Vec<Event>>, Query),
    steps: usize,
    interner: Interner<M>,
    situations: Vec<NumberedSituation<N>>,
    parents: Vec<Option<usize>>,
    known: HashMap<NumberedSituation<N>, usize>,
    /// Situations as they came, before their PINs were renamed.
    seen: HashSet<NumberedSituation<N>>,
}

impl Configuration {
    fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    fn queries(&self) -> &'static [Query] {
        match self.tells {
            Tells::Always if self.has(Part::Open) => &[Query::Count, Query::Open],
            Tells::Always => &[Query::Count],
            Tells::Never => &[Query::Silent],
            Tells::Constant => &[Query::Constant],
            Tells::AtTimes if self.has(Part::Open) => &[Query::Count, Query::Silent, Query::StaysOpen],
            Tells::AtTimes => &[Query::Count, Query::Silent],
        }
    }

    fn fates(&self) -> &'static [Fate] {
        let all = &[Fate::Answered, Fate::LostBefore, Fate::LostAfter];
        if self.has(Part::Lost) { all } else { &all[..1] }
    }

    /// What one program may do.
    fn actions(&self) -> Vec<Action> {
        let mut actions = vec![Action::LogOut];
        let simple = [(Part::Malformed, Action::EnterMalformed), (Part::Restart, Action::Restart)];
        actions.extend(simple.into_iter().filter(|(part, _)| self.has(*part)).map(|(_, action)| action));
        for query in self.queries().iter().copied() {
            if self.has(Part::Look) {
                actions.push(Action::Look(query));
            }
            for fate in self.fates().iter().copied() {
                self.add_actions(&mut actions, query, fate);
            }
        }
        actions
    }

    fn add_actions(&self, actions: &mut Vec<Action>, query: Query, fate: Fate) {
        actions.push(Action::Use(query, fate));
        actions.extend((0..self.pins).map(|pin| Action::Enter(pin, query, fate)));
        if self.has(Part::Context) {
            actions.push(Action::UseContext(query, fate));
            actions.extend((0..self.pins).map(|pin| Action::EnterContext(pin, query, fate)));
        }
        if self.has(Part::SetPin) {
            for change in changes(fate) {
                let pairs = (0..self.pins).flat_map(|old| (0..self.pins).map(move |new| (old, new)));
                actions.extend(pairs.map(|(old, new)| Action::SetPin(old, new, query, change)));
            }
        }
    }

    /// Programs that have just started.
    pub fn situation<P: Clone, const N: usize>(&self, tries: u8, program: &P) -> Situation<P, N> {
        Situation::new(self.tells, self.full, tries, program)
    }

    /// Everything that may happen, with so many programs of ours.
    pub fn events(&self, programs: usize) -> Vec<Event> {
        let mut events = vec![Event::OtherSuccess, Event::OtherFailure, Event::Unblock];
        events.extend((0..self.pins).map(Event::OtherChange));
        if self.has(Part::Reinsert) {
            events.push(Event::Reinsert);
        }
        if self.has(Part::Swap) {
            events.push(Event::Swap);
        }
        let actions = self.actions();
        events.extend(
            (0..programs).flat_map(|seat| actions.iter().map(move |action| Event::Ours(seat, *action))),
        );
        events
    }

    /// (d) From every state one of these ways leads to a success, if the PIN is not blocked. After
    /// a removal a card that tells its count at times may tell it again. Where it never does, a
    /// right PIN that was refused before waits until another one is right; `pins` is one that no
    /// program has entered.
    pub fn ways_back(&self) -> (Vec<Vec<Event>>, Query) {
        let mut ways = vec![vec![], vec![Event::OtherSuccess]];
        match self.tells {
            Tells::Always => {}
            Tells::AtTimes => ways.push(vec![Event::Reinsert, Event::OtherSuccess]),
            Tells::Never | Tells::Constant => ways.push(vec![Event::OtherChange(self.pins)]),
        }
        (ways, self.queries()[0])
    }
}

/// What becomes of CHANGE where a command that carries a PIN has this fate.
fn changes(fate: Fate) -> Vec<Change> {
    let confirmed = [Change::Taken(fate), Change::Ignored(fate)];
    let lost = match fate {
        Fate::Answered => None,
        Fate::LostBefore => Some(Change::Lost { taken: false }),
        Fate::LostAfter => Some(Change::Lost { taken: true }),
    };
    confirmed.into_iter().chain(lost).collect()
}

/// Searches until no new state appears, or a rule is broken.
pub fn search<M: Machine, const N: usize>(configuration: Configuration, machine: M) -> Found {
    let begun = Instant::now();
    let mut search = Search::<M, N> {
        configuration,
        events: configuration.events(N),
        ways: configuration.ways_back(),
        steps: 0,
        interner: Interner::new(machine, configuration.pins, configuration.forgets_count),
        situations: Vec::new(),
        parents: Vec::new(),
        known: HashMap::new(),
        seen: HashSet::new(),
    };
    let found = search.run();
    println!(
        "{N} program(s), {:?}, full {}, {} PINs, {:?}: {} states, {} of one program, {} steps, {:.1} s",
        configuration.tells,
        configuration.full,
        configuration.pins,
        configuration.parts,
        found.states,
        found.programs,
        found.steps,
        begun.elapsed().as_secs_f64()
    );
    found
}

impl<M: Machine, const N: usize> Search<M, N> {
    fn run(&mut self) -> Found {
        let (first, last) = self.configuration.start;
        for tries in first..=last {
            self.add(self.configuration.situation(tries, &0), None);
        }
        let (mut at, mut broken) = (0, None);
        while at < self.situations.len() && broken.is_none() {
            broken = self.expand(at);
            at += 1;
        }
        let history = broken.map(|(violation, event)| (violation, self.history(at - 1, violation, event)));
        Found { states: self.situations.len(), programs: self.interner.len(), steps: self.steps, history }
    }

    /// Everything that can happen in a state: the rule that it breaks, and with which event.
    fn expand(&mut self, at: usize) -> Option<(Violation, Option<Event>)> {
        let situation = self.situations[at];
        for index in 0..self.events.len() {
            let event = self.events[index];
            let mut next = situation;
            let Some(result) = next.step(event, &mut self.interner) else { continue };
            self.steps += 1;
            if let Err(violation) = result {
                return Some((violation, Some(event)));
            }
            if next != situation {
                self.add(next, Some(at));
            }
        }
        let (ways, query) = &self.ways;
        let way_back = situation.check_way_back(ways, *query, &mut self.interner);
        way_back.err().map(|violation| (violation, None))
    }

    fn add(&mut self, situation: NumberedSituation<N>, parent: Option<usize>) {
        if !self.seen.insert(situation) {
            return;
        }
        let situation = self.canonical(&situation);
        let next = self.situations.len();
        let number = *self.known.entry(situation).or_insert(next);
        if number == next {
            self.situations.push(situation);
            self.parents.push(parent);
        }
    }

    /// One situation for all that differ in the names of PINs and in the order of programs.
    fn canonical(&mut self, situation: &NumberedSituation<N>) -> NumberedSituation<N> {
        let mut situation = *situation;
        if !self.configuration.has(Part::Swap) {
            // The other card is never put in.
            situation.cards[1] = situation.cards[0];
        }
        let right = usize::from(situation.card().pin);
        let all = 0..self.interner.renamings().len();
        let mut least: Option<NumberedSituation<N>> = None;
        for renaming in all {
            // The right PIN has the name 0.
            if self.interner.renamings()[renaming][right] == 0 {
                let renamed = renamed(&situation, renaming, &mut self.interner);
                least = Some(least.map_or(renamed, |least| least.min(renamed)));
            }
        }
        least.expect("there is such a renaming")
    }

    /// The history that leads to a state, and then to a broken rule. The states have their PINs
    /// renamed at each step, so that it is gone through once more, from the beginning.
    fn history(&mut self, end: usize, violation: Violation, last: Option<Event>) -> String {
        let mut path = vec![end];
        while let Some(parent) = path.last().and_then(|at| self.parents[*at]) {
            path.push(parent);
        }
        path.reverse();
        let mut situation = self.situations[path[0]];
        let mut text =
            format!("{violation:?} after {} events:\n  {:?}\n", path.len() - 1, situation.cards[0]);
        for at in &path[1..] {
            let wanted = self.situations[*at];
            let event = self.find(&situation, |search, next, broken| {
                broken.is_none() && search.canonical(next) == wanted
            });
            self.write(&mut text, &mut situation, event);
        }
        if last.is_some() {
            let event = self.find(&situation, |_, _, broken| broken == Some(violation));
            self.write(&mut text, &mut situation, event);
        }
        text
    }

    fn find(
        &mut self,
        situation: &NumberedSituation<N>,
        is_it: impl Fn(&mut Self, &NumberedSituation<N>, Option<Violation>) -> bool,
    ) -> Event {
        for event in self.events.clone() {
            let mut next = *situation;
            let result = next.step(event, &mut self.interner);
            if result.is_some_and(|result| is_it(self, &next, result.err())) {
                return event;
            }
        }
        panic!("the history can be gone through again");
    }

    fn write(&mut self, text: &mut String, situation: &mut NumberedSituation<N>, event: Event) {
        let _ = situation.step(event, &mut self.interner);
        writeln!(text, "  {event:?} -> {:?}", situation.card()).expect("a string takes text");
    }
}

fn renamed<M: Machine, const N: usize>(
    situation: &NumberedSituation<N>,
    renaming: usize,
    interner: &mut Interner<M>,
) -> NumberedSituation<N> {
    let mut renamed = *situation;
    for seat in &mut renamed.seats {
        seat.program = interner.rename(seat.program, renaming);
    }
    let names = &interner.renamings()[renaming];
    for card in &mut renamed.cards {
        *card = Card { pin: names[usize::from(card.pin)], ..*card };
    }
    for (seat, old) in renamed.seats.iter_mut().zip(&situation.seats) {
        for (marks, old) in seat.page.marks.iter_mut().zip(&old.page.marks) {
            rename_marks(marks, old, names);
        }
    }
    renamed.seats.sort_unstable();
    renamed
}

fn rename_marks(marks: &mut [Mark], old: &[Mark], names: &[Pin]) {
    for (pin, name) in names.iter().enumerate() {
        marks[usize::from(*name)] = old[pin];
    }
}
