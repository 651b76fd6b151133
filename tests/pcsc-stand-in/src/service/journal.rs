//! What the clients have done: a log of the last calls, and counters that never forget.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use super::code::Code;

/// How many calls the log keeps. Bounded, so that a test that watches memory does not watch the
/// stand-in's.
const KEPT: usize = 4096;

/// Defines the functions of the C API.
macro_rules! functions {
    ($($name:ident)*) => {
        /// A function of the PC/SC API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is SCard and its name")]
        pub enum Function {
            $($name),*
        }

        impl Function {
            const NAMES: &[(Self, &'static str)] = &[$((Self::$name, stringify!($name))),*];
        }
    };
}

functions! {
    EstablishContext ReleaseContext IsValidContext Connect Reconnect Disconnect BeginTransaction EndTransaction
    Status GetStatusChange Control Transmit ListReaderGroups ListReaders Cancel GetAttrib SetAttrib
}

impl Function {
    /// Reads a name, with or without `SCard`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("SCard").unwrap_or(text);
        Self::NAMES.iter().find(|(_, name)| *name == text).map(|(function, _)| *function)
    }
}

impl fmt::Display for Function {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SCard{self:?}")
    }
}

/// Who called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// The program under test.
    Tested,
    /// Another program, played by [`super::Foreign`].
    Foreign,
}

/// One call of the program under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Which function.
    pub function: Function,
    /// What it returned.
    pub result: Code,
}

/// How often cards were reset or lost their power, and by whom.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct PowerCounts {
    /// Resets: Disconnect, Reconnect or EndTransaction with SCARD_RESET_CARD, and a client gone
    /// inside a transaction.
    pub resets: u64,
    /// The same with SCARD_UNPOWER_CARD.
    pub unpowers: u64,
}

/// The record of one service.
#[derive(Debug, Default)]
pub(super) struct Journal {
    log: VecDeque<Call>,
    calls: BTreeMap<Function, u64>,
    tested: PowerCounts,
    foreign: PowerCounts,
    foreign_failed_verifies: BTreeMap<u16, u64>,
}

impl Journal {
    pub(super) fn record(&mut self, function: Function, result: Code) {
        *self.calls.entry(function).or_default() += 1;
        if self.log.len() == KEPT {
            self.log.pop_front();
        }
        self.log.push_back(Call { function, result });
    }

    pub(super) fn calls(&self, function: Function) -> u64 {
        self.calls.get(&function).copied().unwrap_or(0)
    }

    pub(super) fn all_calls(&self) -> u64 {
        self.calls.values().sum()
    }

    pub(super) fn log(&self) -> Vec<Call> {
        self.log.iter().copied().collect()
    }

    pub(super) fn count_foreign_failed_verify(&mut self, pin_ef: u16) {
        *self.foreign_failed_verifies.entry(pin_ef).or_default() += 1;
    }

    pub(super) fn foreign_failed_verifies(&self, pin_ef: u16) -> u64 {
        self.foreign_failed_verifies.get(&pin_ef).copied().unwrap_or(0)
    }

    /// Forgets the calls and resets. What happened to a PIN stays: a card remembers it as well.
    pub(super) fn clear(&mut self) {
        let foreign_failed_verifies = std::mem::take(&mut self.foreign_failed_verifies);
        *self = Self { foreign_failed_verifies, ..Self::default() };
    }

    pub(super) fn power(&mut self, caller: Caller) -> &mut PowerCounts {
        match caller {
            Caller::Tested => &mut self.tested,
            Caller::Foreign => &mut self.foreign,
        }
    }
}
