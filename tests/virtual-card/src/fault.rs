//! Scripted faults: what goes wrong, and at which command.
//!
//! ```
//! use virtual_card::{Fault, Identity, Profile, Reply, VirtualCard};
//!
//! let card = VirtualCard::new(Profile::full(), Identity::shared());
//! card.inject(Fault::at(2).answer_status(0x6f00));
//! card.inject(Fault::on_instruction(0x20).after_processing().transport_error(5));
//! card.inject(Fault::when(|command| command.starts_with(&[0x80, 0x2a])).remove());
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Identity, Profile};

type Predicate = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;
type Edit = Arc<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>;

/// A fault without its effect: say what is to happen with one of the methods.
#[derive(Clone)]
pub struct Trigger {
    when: When,
    times: Option<usize>,
    after: bool,
}

/// What goes wrong, and when. It happens once unless said otherwise.
#[derive(Clone)]
pub struct Fault {
    when: When,
    /// How often yet; `None` is for ever.
    times: Option<usize>,
    pub(crate) after: bool,
    pub(crate) effect: Effect,
}

#[derive(Clone)]
enum When {
    /// After this many further commands.
    In(usize),
    Matching(Predicate),
}

/// What a fault does.
#[derive(Clone)]
pub(crate) enum Effect {
    Answer(Vec<u8>),
    Edit(Edit),
    Remove,
    Reset,
    Mute,
    LeaveField(Duration),
    TransportError(i32),
    /// Another card, too fast for the reader to tell.
    Swap(Box<(Profile, Identity)>),
    /// Commands of another program just before.
    Foreign(Vec<Vec<u8>>),
    Delay(Duration),
}

impl Fault {
    /// At the `n`-th command from now; 1 is the next one.
    pub fn at(n: usize) -> Trigger {
        Trigger::new(When::In(n.max(1)))
    }

    /// At the next command with this instruction byte.
    pub fn on_instruction(instruction: u8) -> Trigger {
        Self::when(move |command| command.get(1) == Some(&instruction))
    }

    /// At the next sign command whose input is as long as a hash or a `DigestInfo`: of SHA-1 to
    /// SHA-512.
    pub fn on_signature() -> Trigger {
        Self::when(|command| matches!(command, [_, 0x2a, _, _, 20..=83, _, ..]))
    }

    /// At the next command for which `predicate` holds; it sees the whole command.
    pub fn when(predicate: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Trigger {
        Trigger::new(When::Matching(Arc::new(predicate)))
    }

    /// At every command.
    pub fn always() -> Trigger {
        Self::when(|_| true).repeated()
    }

    /// Counts a command; whether the fault strikes now.
    fn strikes(&mut self, command: &[u8]) -> bool {
        match &mut self.when {
            When::In(remaining) => {
                *remaining = remaining.saturating_sub(1);
                *remaining == 0
            }
            When::Matching(predicate) => predicate(command),
        }
    }
}

impl Trigger {
    fn new(when: When) -> Self {
        Self { when, times: Some(1), after: false }
    }

    /// The card carries the command out first and only its answer suffers.
    pub fn after_processing(self) -> Self {
        Self { after: true, ..self }
    }

    /// Every time the trigger holds. A fault at the n-th command strikes at all from that one on.
    pub fn repeated(self) -> Self {
        Self { times: None, ..self }
    }

    /// The first `times` times the trigger holds.
    pub fn times(self, times: usize) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Answer with this status word and no data.
    pub fn answer_status(self, status: u16) -> Fault {
        self.answer(status.to_be_bytes())
    }

    /// Answer with these bytes, status word included.
    pub fn answer(self, bytes: impl Into<Vec<u8>>) -> Fault {
        self.effect(Effect::Answer(bytes.into()))
    }

    /// Let the card answer, then change the answer's bytes, status word included.
    pub fn edit(self, edit: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Fault {
        self.after_processing().effect(Effect::Edit(Arc::new(edit)))
    }

    /// The card is pulled out.
    pub fn remove(self) -> Fault {
        self.effect(Effect::Remove)
    }

    /// Another program resets the card.
    pub fn reset(self) -> Fault {
        self.effect(Effect::Reset)
    }

    /// The card falls silent until a reset or until its power was off, as after a suspend with some
    /// readers.
    pub fn mute(self) -> Fault {
        self.effect(Effect::Mute)
    }

    /// The card leaves the field and comes back after this time; see
    /// [`VirtualCard::returns_in`](crate::VirtualCard::returns_in).
    pub fn leave_field(self, absence: Duration) -> Fault {
        self.effect(Effect::LeaveField(absence))
    }

    /// The transport fails with a code that only the caller understands.
    pub fn transport_error(self, code: i32) -> Fault {
        self.effect(Effect::TransportError(code))
    }

    /// Another card takes the place of this one, too fast for the reader to tell. The command
    /// reaches neither. What the card was told before is in the same ledger.
    pub fn swap(self, profile: Profile, identity: Identity) -> Fault {
        self.effect(Effect::Swap(Box::new((profile, identity))))
    }

    /// Another program selects the application `aid` just before.
    pub fn foreign_select(self, aid: &[u8]) -> Fault {
        let length = u8::try_from(aid.len()).expect("an application id is short");
        self.foreign_commands(vec![[&[0x00, 0xa4, 0x04, 0x0c, length], aid].concat()])
    }

    /// Another program sends these commands just before.
    pub fn foreign_commands(self, commands: Vec<Vec<u8>>) -> Fault {
        self.effect(Effect::Foreign(commands))
    }

    /// The card takes its time.
    pub fn delay(self, duration: Duration) -> Fault {
        self.effect(Effect::Delay(duration))
    }

    fn effect(self, effect: Effect) -> Fault {
        Fault { when: self.when, times: self.times, after: self.after, effect }
    }
}

/// The faults still to come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script(Vec<Fault>);

impl Script {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The faults that strike at this command, in the order they were added.
    pub(crate) fn strike(&mut self, command: &[u8]) -> Vec<Fault> {
        let mut struck = Vec::new();
        self.0.retain_mut(|fault| {
            if !fault.strikes(command) {
                return true;
            }
            struck.push(fault.clone());
            match &mut fault.times {
                None => true,
                Some(times) => {
                    *times = times.saturating_sub(1);
                    *times > 0
                }
            }
        });
        struck
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match &self.effect {
            Effect::Answer(_) => "answer",
            Effect::Edit(_) => "edit",
            Effect::Remove => "remove",
            Effect::Reset => "reset",
            Effect::Mute => "mute",
            Effect::LeaveField(_) => "leave field",
            Effect::TransportError(_) => "transport error",
            Effect::Swap(_) => "swap",
            Effect::Foreign(_) => "another program",
            Effect::Delay(_) => "delay",
        };
        write!(f, "Fault({effect})")
    }
}
