//! The card as a reader sees it: present or not, powered or not, one command at a time.
//!
//! Wraps the application in the ledger, the script of faults and the latencies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::applet::{Applet, Processed};
use crate::fault::{Effect, Script};
use crate::ledger::{CommandRecord, Event, Outcome, Verify};
use crate::{Application, Credential, Fault, Identity, Ledger, Mark, Profile};

const VERIFY: u8 = 0x20;
const SIGN: u8 = 0x2a;

/// What comes back for a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Data and status word.
    Answer(Vec<u8>),
    /// There is no card.
    Removed,
    /// The card was reset meanwhile and has not seen the command, or its answer was lost.
    Reset,
    /// The card has no power.
    Mute,
    /// A scripted failure of the transport.
    TransportError(i32),
}

/// A handle on one card; clones are the same card.
#[derive(Clone, Debug)]
pub struct VirtualCard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Held over a whole command, latency included: a card does one thing at a time.
    line: Mutex<()>,
    /// Held for moments only, so that a test can look while the card is busy.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    applet: Applet,
    ledger: Ledger,
    script: Script,
    present: bool,
    powered: bool,
    insertions: u64,
    resets: u64,
    command_latency: Duration,
    signature_latency: Duration,
}

impl VirtualCard {
    /// A card of this kind and owner, inserted and with power.
    pub fn new(profile: Profile, identity: Identity) -> Self {
        let state = State {
            applet: Applet::new(profile, identity),
            ledger: Ledger::default(),
            script: Script::default(),
            present: true,
            powered: true,
            insertions: 0,
            resets: 0,
            command_latency: Duration::ZERO,
            signature_latency: Duration::ZERO,
        };
        Self(Arc::new(Inner { line: Mutex::new(()), state: Mutex::new(state) }))
    }

    /// A full card of the shared identity.
    pub fn full() -> Self {
        Self::new(Profile::full(), Identity::shared())
    }

    /// Sends a command.
    pub fn transmit(&self, command: &[u8]) -> Reply {
        let _line = self.0.line.lock().unwrap_or_else(PoisonError::into_inner);
        let (struck, latency) = self.state().begin(command);
        if !latency.is_zero() {
            std::thread::sleep(latency);
        }
        self.state().finish(command, struck)
    }

    /// The answer to reset.
    pub fn atr(&self) -> Vec<u8> {
        self.state().applet.profile().atr.clone()
    }

    /// Gives power, if there was none.
    pub fn power_on(&self) {
        let mut state = self.state();
        if state.present && !state.powered {
            state.powered = true;
            state.ledger.push(Event::PowerOn);
        }
    }

    /// Takes the power away: the card forgets what was verified and selected.
    pub fn power_off(&self) {
        self.state().power_off();
    }

    /// Resets with power kept, as SCARD_RESET_CARD does.
    pub fn warm_reset(&self) {
        self.state().warm_reset();
    }

    /// Takes the card out.
    pub fn remove(&self) {
        self.state().remove();
    }

    /// Puts the card back, with power.
    pub fn insert(&self) {
        let mut state = self.state();
        if !state.present {
            state.present = true;
            state.powered = true;
            state.insertions += 1;
            state.ledger.push(Event::Inserted);
            state.ledger.push(Event::PowerOn);
        }
    }

    /// Whether the card is in its reader.
    pub fn is_present(&self) -> bool {
        self.state().present
    }

    /// How often the card was put back: a connection made at another number is dead.
    pub fn insertions(&self) -> u64 {
        self.state().insertions
    }

    /// How often the card was warm-reset, by scripts or [`VirtualCard::warm_reset`].
    pub fn resets(&self) -> u64 {
        self.state().resets
    }

    /// Adds a fault to the script.
    pub fn inject(&self, fault: Fault) {
        self.state().script.add(fault);
    }

    /// Drops the faults that have not struck yet.
    pub fn clear_faults(&self) {
        self.state().script.clear();
    }

    /// Faults that may still strike.
    pub fn pending_faults(&self) -> usize {
        self.state().script.len()
    }

    /// How long every command takes, and how much longer one with the sign instruction.
    pub fn set_latency(&self, command: Duration, signature: Duration) {
        let mut state = self.state();
        state.command_latency = command;
        state.signature_latency = signature;
    }

    /// The whole ledger so far.
    pub fn ledger(&self) -> Ledger {
        self.state().ledger.clone()
    }

    /// The ledger from `mark` on.
    pub fn ledger_since(&self, mark: Mark) -> Ledger {
        self.state().ledger.since(mark)
    }

    /// The end of the ledger as it is now.
    pub fn mark(&self) -> Mark {
        self.state().ledger.end()
    }

    /// Commands so far.
    pub fn commands(&self) -> usize {
        self.state().ledger.command_count()
    }

    /// Commands since `mark`.
    pub fn commands_since(&self, mark: Mark) -> usize {
        self.ledger_since(mark).command_count()
    }

    /// VERIFY commands with data so far.
    pub fn verifies(&self, credential: Credential) -> usize {
        self.state().ledger.verifies(credential)
    }

    /// VERIFY commands so far that were wrong or found the PIN blocked.
    pub fn failed_verifies(&self, credential: Credential) -> usize {
        self.state().ledger.failed_verifies(credential)
    }

    /// Signatures so far.
    pub fn signatures(&self) -> usize {
        self.state().ledger.signatures()
    }

    /// Tries left, read past the card's command interface.
    pub fn tries_left(&self, credential: Credential) -> u8 {
        self.state().applet.pins.tries_left(credential)
    }

    /// Whether the card would use that key now.
    pub fn verified(&self, credential: Credential) -> bool {
        self.state().applet.pins.is_verified(credential)
    }

    /// The current application.
    pub fn application(&self) -> Application {
        self.state().applet.application()
    }

    /// The profile the card was made from.
    pub fn profile(&self) -> Profile {
        self.state().applet.profile().clone()
    }

    /// Whose card it is.
    pub fn identity(&self) -> Identity {
        self.state().applet.identity().clone()
    }

    /// Sets a counter, as a municipal office or another machine would.
    pub fn set_tries_left(&self, credential: Credential, tries_left: u8) {
        self.state().applet.pins.set_tries_left(credential, tries_left);
    }

    /// Sets a PIN, as another machine would.
    pub fn set_pin(&self, credential: Credential, pin: &str) {
        self.state().applet.pins.set_value(credential, pin);
    }

    /// Sets the content of a file, keeping its access rule; `None` removes the file.
    pub fn set_file(&self, id: u16, content: Option<Vec<u8>>) {
        self.state().applet.files.set(id, content);
    }

    /// Makes it another card in the same reader's hand: everything new but ledger, script and latencies.
    pub fn replace(&self, profile: Profile, identity: Identity) {
        self.state().applet = Applet::new(profile, identity);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What strikes at this command, and how long it takes in all.
    fn begin(&mut self, command: &[u8]) -> (Vec<Fault>, Duration) {
        if !self.present || !self.powered {
            return (Vec::new(), Duration::ZERO);
        }
        let struck = self.script.strike(command);
        let delays = struck.iter().map(|fault| match fault.effect {
            Effect::Delay(delay) => delay,
            _ => Duration::ZERO,
        });
        let mut latency = self.command_latency + delays.sum::<Duration>();
        if command.get(1) == Some(&SIGN) {
            latency += self.signature_latency;
        }
        (struck, latency)
    }

    fn finish(&mut self, command: &[u8], struck: Vec<Fault>) -> Reply {
        if !self.present {
            return Reply::Removed;
        }
        if !self.powered {
            return Reply::Mute;
        }
        let (after, before): (Vec<_>, Vec<_>) = struck.into_iter().partition(|fault| fault.after);
        for fault in before {
            if let Some(reply) = self.apply(fault.effect, None) {
                self.record_unprocessed(command, &reply);
                return reply;
            }
        }
        let (mut record, processed) = self.process(command);
        let mut bytes = processed.into_bytes();
        for fault in after {
            match fault.effect {
                Effect::Edit(edit) => bytes = edit(bytes),
                effect => {
                    if let Some(reply) = self.apply(effect, Some(&mut record)) {
                        note_answer(&mut record, &reply);
                        return reply;
                    }
                }
            }
        }
        let reply = Reply::Answer(bytes);
        note_answer(&mut record, &reply);
        self.ledger.push(Event::Command(record));
        reply
    }

    /// Carries an effect out; the reply when it ends the command. A command carried out before is recorded first.
    fn apply(&mut self, effect: Effect, carried_out: Option<&mut CommandRecord>) -> Option<Reply> {
        let reply = match &effect {
            Effect::Answer(bytes) => Reply::Answer(bytes.clone()),
            Effect::Remove => Reply::Removed,
            Effect::Reset => Reply::Reset,
            Effect::TransportError(code) => Reply::TransportError(*code),
            Effect::Foreign(_) | Effect::Edit(_) | Effect::Delay(_) => {
                if let Effect::Foreign(commands) = effect {
                    self.play_foreign(&commands);
                }
                return None;
            }
        };
        if let Some(record) = carried_out {
            note_answer(record, &reply);
            self.ledger.push(Event::Command(record.clone()));
        }
        match reply {
            Reply::Removed => self.remove(),
            Reply::Reset => self.warm_reset(),
            _ => {}
        }
        Some(reply)
    }

    fn play_foreign(&mut self, commands: &[Vec<u8>]) {
        for command in commands {
            let (mut record, processed) = self.process(command);
            record.foreign = true;
            note_answer(&mut record, &Reply::Answer(processed.into_bytes()));
            self.ledger.push(Event::Command(record));
        }
    }

    fn process(&mut self, command: &[u8]) -> (CommandRecord, Processed) {
        let mut record = self.blank_record(command);
        let processed = self.applet.process(command);
        record.verify = processed.verify;
        record.signed = processed.signed;
        record.verified_after = self.applet.verified();
        (record, processed)
    }

    fn record_unprocessed(&mut self, command: &[u8], reply: &Reply) {
        let mut record = self.blank_record(command);
        record.processed = false;
        if record.instruction() == Some(VERIFY) && command.len() > 5 {
            let credential = self.applet.pin_meant_by(command);
            record.verify = Some(Verify { credential, outcome: Outcome::Lost });
        }
        note_answer(&mut record, reply);
        self.ledger.push(Event::Command(record));
    }

    fn blank_record(&self, command: &[u8]) -> CommandRecord {
        let verified = self.applet.verified();
        CommandRecord {
            application: self.applet.application(),
            header: command[..command.len().min(4)].to_vec(),
            command_length: command.len(),
            answer_length: 0,
            status: None,
            verify: None,
            signed: None,
            verified_before: verified,
            verified_after: verified,
            foreign: false,
            processed: true,
        }
    }

    fn power_off(&mut self) {
        if self.powered {
            self.powered = false;
            self.applet.cold_reset();
            self.ledger.push(Event::PowerOff);
        }
    }

    fn warm_reset(&mut self) {
        if self.present && self.powered {
            self.applet.warm_reset();
            self.resets += 1;
            self.ledger.push(Event::WarmReset);
        }
    }

    fn remove(&mut self) {
        if self.present {
            self.power_off();
            self.present = false;
            self.ledger.push(Event::Removed);
        }
    }
}

fn note_answer(record: &mut CommandRecord, reply: &Reply) {
    let Reply::Answer(bytes) = reply else { return };
    record.answer_length = bytes.len().saturating_sub(2);
    if let Some(&[high, low]) = bytes.last_chunk() {
        record.status = Some(u16::from_be_bytes([high, low]));
    }
}
