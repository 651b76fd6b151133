//! What happened to a card, in order. Never holds a PIN, nor any other command or answer data.

use std::fmt;

use crate::{Application, Credential};

/// A place in the ledger; counting starts there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(pub usize);

/// Which PINs the card has accepted and not forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// The authentication PIN.
    pub authentication: bool,
    /// The signature PIN.
    pub signature: bool,
}

impl Verified {
    /// Whether any PIN is verified.
    pub fn any(self) -> bool {
        self.authentication || self.signature
    }
}

/// What became of a VERIFY command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No data: tries left were asked for.
    Query,
    /// The PIN was right.
    Right,
    /// The PIN was wrong and cost a try.
    Wrong,
    /// The PIN was blocked before.
    Blocked,
    /// PIN data sent where no PIN is: to another application or file.
    Misplaced,
    /// A fault kept the command from the card.
    Lost,
}

/// A VERIFY command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verify {
    /// The PIN it was for, as far as it reached one.
    pub credential: Option<Credential>,
    /// What became of it.
    pub outcome: Outcome,
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRecord {
    /// The application current when the command came.
    pub application: Application,
    /// Class, instruction, P1 and P2 (fewer bytes when the command was shorter).
    pub header: Vec<u8>,
    /// Bytes of the whole command.
    pub command_length: usize,
    /// Bytes of answer data, without the status word.
    pub answer_length: usize,
    /// The status word; `None` when no answer came out.
    pub status: Option<u16>,
    /// Set for VERIFY.
    pub verify: Option<Verify>,
    /// The PIN that a CHANGE REFERENCE DATA command with data was for, if it reached one.
    pub change: Option<Credential>,
    /// The key, when the card made a signature.
    pub signed: Option<Credential>,
    /// What was verified before.
    pub verified_before: Verified,
    /// What was verified afterwards.
    pub verified_after: Verified,
    /// A script played another program.
    pub foreign: bool,
    /// `false` when a fault answered in the card's place.
    pub processed: bool,
}

impl CommandRecord {
    /// The instruction byte.
    pub fn instruction(&self) -> Option<u8> {
        self.header.get(1).copied()
    }
}

/// A line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The card got a command.
    Command(CommandRecord),
    /// Power came.
    PowerOn,
    /// Power went.
    PowerOff,
    /// Reset with power kept.
    WarmReset,
    /// The card was put into a reader.
    Inserted,
    /// The card was taken out.
    Removed,
}

/// A stretch of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    events: Vec<Event>,
}

impl Ledger {
    /// The events in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The commands in order, other programs' excepted.
    pub fn commands(&self) -> impl Iterator<Item = &CommandRecord> {
        self.records().filter(|record| !record.foreign)
    }

    /// How many commands there were.
    pub fn command_count(&self) -> usize {
        self.commands().count()
    }

    /// VERIFY commands with data for `credential`, whatever became of them at the card.
    pub fn verifies(&self, credential: Credential) -> usize {
        self.verify_count(
            Some(credential),
            &[Outcome::Right, Outcome::Wrong, Outcome::Blocked, Outcome::Lost],
        )
    }

    /// VERIFY commands that were wrong or found the PIN blocked.
    pub fn failed_verifies(&self, credential: Credential) -> usize {
        self.verify_count(Some(credential), &[Outcome::Wrong, Outcome::Blocked])
    }

    /// VERIFY commands without data.
    pub fn queries(&self, credential: Credential) -> usize {
        self.verify_count(Some(credential), &[Outcome::Query])
    }

    /// VERIFY commands without data for either PIN, or for none.
    pub fn all_queries(&self) -> usize {
        self.verify_count(None, &[Outcome::Query])
    }

    /// Tries that a PIN lost.
    pub fn tries_lost(&self, credential: Credential) -> usize {
        self.verify_count(Some(credential), &[Outcome::Wrong])
    }

    /// Commands that carried PIN data for `credential`, to compare it or to change it.
    pub fn pin_commands(&self, credential: Credential) -> usize {
        let changes = self.commands().filter(|record| record.change == Some(credential)).count();
        self.verifies(credential) + changes
    }

    /// PIN data sent where no PIN is.
    pub fn misplaced_verifies(&self) -> usize {
        self.verify_count(None, &[Outcome::Misplaced])
    }

    /// Signatures made with either key.
    pub fn signatures(&self) -> usize {
        self.signing_commands().count()
    }

    /// Signatures made with one key.
    pub fn signatures_by(&self, credential: Credential) -> usize {
        self.commands().filter(|record| record.signed == Some(credential)).count()
    }

    /// The commands that made a signature, in order, whether it was wanted or not: P1 is in the
    /// header.
    pub fn signing_commands(&self) -> impl Iterator<Item = &CommandRecord> {
        self.commands().filter(|record| record.signed.is_some())
    }

    /// Signatures beyond those that were wanted.
    pub fn unwanted_signatures(&self, wanted: usize) -> usize {
        self.signatures().saturating_sub(wanted)
    }

    /// How often the power went, removals included.
    pub fn power_offs(&self) -> usize {
        self.event_count(&Event::PowerOff)
    }

    /// How often the card left its reader.
    pub fn removals(&self) -> usize {
        self.event_count(&Event::Removed)
    }

    /// Warm resets.
    pub fn resets(&self) -> usize {
        self.event_count(&Event::WarmReset)
    }

    pub(crate) fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    pub(crate) fn end(&self) -> Mark {
        Mark(self.events.len())
    }

    pub(crate) fn since(&self, mark: Mark) -> Self {
        Self { events: self.events.get(mark.0..).unwrap_or_default().to_vec() }
    }

    fn event_count(&self, wanted: &Event) -> usize {
        self.events.iter().filter(|event| *event == wanted).count()
    }

    fn records(&self) -> impl Iterator<Item = &CommandRecord> {
        self.events.iter().filter_map(|event| match event {
            Event::Command(record) => Some(record),
            _ => None,
        })
    }

    fn verify_count(&self, credential: Option<Credential>, outcomes: &[Outcome]) -> usize {
        let wanted = |verify: Verify| {
            (credential.is_none() || verify.credential == credential) && outcomes.contains(&verify.outcome)
        };
        self.commands().filter_map(|record| record.verify).filter(|verify| wanted(*verify)).count()
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.events.iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(record) => write!(f, "{record}"),
            Self::PowerOn => f.write_str("power on"),
            Self::PowerOff => f.write_str("power off"),
            Self::WarmReset => f.write_str("warm reset"),
            Self::Inserted => f.write_str("inserted"),
            Self::Removed => f.write_str("removed"),
        }
    }
}

impl fmt::Display for CommandRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ", self.application)?;
        self.header.iter().try_for_each(|byte| write!(f, "{byte:02X}"))?;
        write!(f, " ({} bytes) -> {} bytes, ", self.command_length, self.answer_length)?;
        match self.status {
            Some(status) => write!(f, "{status:04X}")?,
            None => f.write_str("no answer")?,
        }
        if let Some(Verify { credential, outcome }) = self.verify {
            let whose = credential.map_or("no", Credential::name);
            write!(f, ", {whose} PIN: {outcome:?}")?;
        }
        if let Some(credential) = self.change {
            write!(f, ", a new {} PIN", credential.name())?;
        }
        if let Some(credential) = self.signed {
            write!(f, ", signed with the {} key", credential.name())?;
        }
        if self.verified_before.any() || self.verified_after.any() {
            let Verified { authentication, signature } = self.verified_after;
            write!(f, ", verified afterwards: authentication {authentication}, signature {signature}")?;
        }
        if self.foreign {
            f.write_str(", by another program")?;
        }
        if !self.processed {
            f.write_str(", kept from the card")?;
        }
        Ok(())
    }
}
