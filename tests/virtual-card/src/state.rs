//! The card as a reader sees it: present or not, powered or not, one command at a time.
//!
//! Wraps the application in the ledger, the script of faults and the latencies.

use std::time::{Duration, Instant};

use crate::apdu::Command;
use crate::applet::{Applet, Processed};
use crate::behaviour::{ExtendedLength, LongRead};
use crate::fault::{Effect, Script};
use crate::ledger::{CommandRecord, Event, Outcome, Verify};
use crate::{Fault, Ledger, Reply};

const VERIFY: u8 = 0x20;
const SIGN: u8 = 0x2a;
const READ: u8 = 0xb0;

/// The answer data and status word that some readers fail at.
const LONGEST_SHORT_ANSWER: usize = 256 + 2;
/// SCARD_E_NOT_TRANSACTED, which the reader's driver comes to when an exchange fails.
const NOT_TRANSACTED: i32 = i32::from_be_bytes([0x80, 0x10, 0x00, 0x16]);

/// All there is to know of a card.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) applet: Applet,
    pub(crate) ledger: Ledger,
    pub(crate) script: Script,
    pub(crate) present: bool,
    pub(crate) powered: bool,
    /// Answers nothing until a reset or until the power was off.
    mute: bool,
    /// When a card that left the field by itself is back.
    returns_at: Option<Instant>,
    pub(crate) insertions: u64,
    pub(crate) resets: u64,
    pub(crate) command_latency: Duration,
    pub(crate) signature_latency: Duration,
    /// Of each byte of a command and of its answer.
    pub(crate) byte_latency: Duration,
}

impl State {
    /// Inserted and with power.
    pub(crate) fn new(applet: Applet) -> Self {
        Self {
            applet,
            ledger: Ledger::default(),
            script: Script::default(),
            present: true,
            powered: true,
            mute: false,
            returns_at: None,
            insertions: 0,
            resets: 0,
            command_latency: Duration::ZERO,
            signature_latency: Duration::ZERO,
            byte_latency: Duration::ZERO,
        }
    }

    /// What strikes at this command, and how long it takes in all.
    pub(crate) fn begin(&mut self, command: &[u8]) -> (Vec<Fault>, Duration) {
        if !self.present || !self.powered {
            return (Vec::new(), Duration::ZERO);
        }
        let struck = self.script.strike(command);
        let delays = struck.iter().map(|fault| match fault.effect {
            Effect::Delay(delay) => delay,
            _ => Duration::ZERO,
        });
        let mut latency = self.command_latency + delays.sum::<Duration>() + self.transfer(command);
        if command.get(1) == Some(&SIGN) {
            latency += self.signature_latency;
        }
        (struck, latency)
    }

    /// How long these bytes are on their way.
    pub(crate) fn transfer(&self, bytes: &[u8]) -> Duration {
        self.byte_latency * u32::try_from(bytes.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn finish(&mut self, command: &[u8], struck: Vec<Fault>) -> Reply {
        if !self.present {
            return Reply::Removed;
        }
        if !self.powered {
            return Reply::Mute;
        }
        if let Some(reply) = self.lose(command) {
            self.record_unprocessed(command, &reply);
            self.take_away(&reply);
            return reply;
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
        if self.reader_fails_at(command, &bytes) {
            self.ledger.push(Event::Command(record));
            return Reply::TransportError(NOT_TRANSACTED);
        }
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

    /// What comes in place of an answer when the card does not get the command.
    fn lose(&mut self, command: &[u8]) -> Option<Reply> {
        let extended = Command::parse(command).is_some_and(|command| command.extended);
        match self.applet.profile().extended_length {
            _ if self.mute => Some(Reply::Mute),
            ExtendedLength::TransmitFails if extended => Some(Reply::TransportError(NOT_TRANSACTED)),
            ExtendedLength::Mute if extended => Some(self.fall_silent()),
            ExtendedLength::LeavesField(absence) if extended => Some(self.be_absent(absence)),
            _ => None,
        }
    }

    fn fall_silent(&mut self) -> Reply {
        self.mute = true;
        Reply::Mute
    }

    /// Notes the time only; the removal follows with the reply.
    fn be_absent(&mut self, absence: Duration) -> Reply {
        self.returns_at = Some(Instant::now() + absence);
        Reply::Removed
    }

    fn reader_fails_at(&self, command: &[u8], answer: &[u8]) -> bool {
        self.applet.profile().long_read == LongRead::ReaderFails
            && command.get(1) == Some(&READ)
            && answer.len() == LONGEST_SHORT_ANSWER
    }

    /// How long until a card that left the field by itself is back.
    pub(crate) fn returns_in(&self) -> Option<Duration> {
        let returns_at = self.returns_at.filter(|_| !self.present)?;
        Some(returns_at.saturating_duration_since(Instant::now()))
    }

    /// Carries an effect out; the reply when it ends the command. A command carried out before is
    /// recorded first.
    fn apply(&mut self, effect: Effect, carried_out: Option<&mut CommandRecord>) -> Option<Reply> {
        let reply = match &effect {
            Effect::Answer(bytes) => Reply::Answer(bytes.clone()),
            Effect::Remove => Reply::Removed,
            Effect::Reset => Reply::Reset,
            Effect::Mute => self.fall_silent(),
            Effect::LeaveField(absence) => self.be_absent(*absence),
            Effect::TransportError(code) => Reply::TransportError(*code),
            Effect::Swap(card) => {
                let (profile, identity) = *card.clone();
                self.applet = Applet::new(profile, identity);
                Reply::TransportError(NOT_TRANSACTED)
            }
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
        self.take_away(&reply);
        Some(reply)
    }

    /// What happens to the card with this reply.
    fn take_away(&mut self, reply: &Reply) {
        match reply {
            Reply::Removed => self.leave(),
            Reply::Reset => self.warm_reset(),
            _ => {}
        }
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
            change: self.applet.pin_to_change(command),
            signed: None,
            verified_before: verified,
            verified_after: verified,
            foreign: false,
            processed: true,
        }
    }

    pub(crate) fn power_on(&mut self) {
        if self.present && !self.powered {
            self.powered = true;
            self.ledger.push(Event::PowerOn);
        }
    }

    pub(crate) fn insert(&mut self) {
        if !self.present {
            self.present = true;
            self.returns_at = None;
            self.insertions += 1;
            self.ledger.push(Event::Inserted);
            self.power_on();
        }
    }

    pub(crate) fn power_off(&mut self) {
        if self.powered {
            self.powered = false;
            self.mute = false;
            self.applet.cold_reset();
            self.ledger.push(Event::PowerOff);
        }
    }

    pub(crate) fn warm_reset(&mut self) {
        if self.present && self.powered {
            self.mute = false;
            self.applet.warm_reset();
            self.resets += 1;
            self.ledger.push(Event::WarmReset);
        }
    }

    /// Taken out by hand: it comes back only by hand.
    pub(crate) fn remove(&mut self) {
        self.leave();
        self.returns_at = None;
    }

    fn leave(&mut self) {
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
