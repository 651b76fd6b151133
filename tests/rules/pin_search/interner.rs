//! Programs as numbers. What a program does in a state is carried out once and looked up from then
//! on, and a program with its PINs renamed has a number of its own.
//!
//! Renaming needs no look into the machine. It takes any type as a PIN and can only compare PINs,
//! so a machine with its PINs renamed is the machine that did the same things with the renamed
//! PINs.

use std::collections::HashMap;

use super::card::{Card, Pin};
use super::machine::Machine;
use super::program::{Action, Program, Report};
use super::situation::Perform;

/// The number of a program in some state.
pub type Number = u32;

/// PINs by their new names.
pub type Renaming = Vec<Pin>;

type Done = Option<(Number, Report)>;

/// All states of a program that were seen.
pub struct Interner<M> {
    programs: Vec<Program<M>>,
    /// How the program came to this state first.
    origins: Vec<Option<(Number, Action, Card)>>,
    numbers: HashMap<Program<M>, Number>,
    done: HashMap<(Number, Action, Card), Done>,
    renamings: Vec<Renaming>,
    /// By state and renaming.
    renamed: Vec<Vec<Option<Number>>>,
    /// Whether the count for display is forgotten after each action. No decision goes by it.
    forgets_count: bool,
}

impl<M: Machine> Interner<M> {
    /// With a program that has just started, which has the number 0.
    pub fn new(machine: M, pins: Pin, forgets_count: bool) -> Self {
        let mut interner = Self {
            programs: Vec::new(),
            origins: Vec::new(),
            numbers: HashMap::new(),
            done: HashMap::new(),
            renamings: renamings(pins),
            renamed: Vec::new(),
            forgets_count,
        };
        interner.number(Program::new(machine), None);
        interner
    }

    /// How many states there are.
    pub fn len(&self) -> usize {
        self.programs.len()
    }

    pub fn renamings(&self) -> &[Renaming] {
        &self.renamings
    }

    fn number(&mut self, program: Program<M>, origin: Option<(Number, Action, Card)>) -> Number {
        if let Some(number) = self.numbers.get(&program) {
            return *number;
        }
        let number = Number::try_from(self.programs.len()).expect("few states");
        self.programs.push(program.clone());
        self.origins.push(origin);
        self.renamed.push(vec![None; self.renamings.len()]);
        self.numbers.insert(program, number);
        number
    }

    /// The program with its PINs renamed.
    pub fn rename(&mut self, program: Number, renaming: usize) -> Number {
        if let Some(known) = self.renamed[program as usize][renaming] {
            return known;
        }
        let Some((parent, action, card)) = self.origins[program as usize] else { return program };
        let parent = self.rename(parent, renaming);
        let names = &self.renamings[renaming];
        let (action, card) = (action.rename(names), Card { pin: names[usize::from(card.pin)], ..card });
        let (number, _) = self.perform(parent, action, card).expect("it did this before");
        self.renamed[program as usize][renaming] = Some(number);
        number
    }
}

impl<M: Machine> Perform<Number> for Interner<M> {
    fn perform(&mut self, number: Number, action: Action, card: Card) -> Option<(Number, Report)> {
        let key = (number, action, card);
        if let Some(done) = self.done.get(&key) {
            return *done;
        }
        let mut program = self.programs[number as usize].clone();
        let report = program.perform(action, card);
        if self.forgets_count {
            program.forget_count();
        }
        let done = report.map(|report| (self.number(program, Some(key)), report));
        self.done.insert(key, done);
        done
    }
}

/// Every way to rename so many PINs.
fn renamings(pins: Pin) -> Vec<Renaming> {
    let mut all = vec![Vec::new()];
    for pin in 0..pins {
        let longer = |short: Renaming| {
            (0..=short.len()).rev().map(move |at| {
                let mut long = short.clone();
                long.insert(at, pin);
                long
            })
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    all
}
