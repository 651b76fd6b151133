//! The card as a test holds it: a handle to send commands through, to look past them and to script
//! faults.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::applet::Applet;
use crate::state::State;
use crate::{Application, Credential, Fault, Identity, Ledger, Mark, Profile, Verified};

/// What comes back for a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Data and status word.
    Answer(Vec<u8>),
    /// There is no card.
    Removed,
    /// The card was reset meanwhile and has not seen the command, or its answer was lost.
    Reset,
    /// The card has no power, or it fell silent ([`ExtendedLength::Mute`](crate::ExtendedLength)):
    /// until a reset or until its power was off, every command comes to this.
    Mute,
    /// The transport failed: by a script, or since the reader fails at this command or answer.
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

impl VirtualCard {
    /// A card of this kind with this identity, inserted and with power.
    pub fn new(profile: Profile, identity: Identity) -> Self {
        let state = State::new(Applet::new(profile, identity));
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
        pause(latency);
        let reply = self.state().finish(command, struck);
        if let Reply::Answer(bytes) = &reply {
            let latency = self.state().transfer(bytes);
            pause(latency);
        }
        reply
    }

    /// The answer to reset.
    pub fn atr(&self) -> Vec<u8> {
        self.state().applet.profile().atr.clone()
    }

    /// Gives power, if there was none.
    pub fn power_on(&self) {
        self.state().power_on();
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
        self.state().insert();
    }

    /// Whether the card is in its reader.
    pub fn is_present(&self) -> bool {
        self.state().present
    }

    /// How long until a card that left the field by itself
    /// ([`ExtendedLength::LeavesField`](crate::ExtendedLength)) is back; `None` for any other card.
    /// The reader gets [`Reply::Removed`] from such a card and asks here when to
    /// [`insert`](VirtualCard::insert) it again, which nothing else does.
    pub fn returns_in(&self) -> Option<Duration> {
        self.state().returns_in()
    }

    /// Verifies both PINs past the card's command interface, as another program leaves them that
    /// ended without a reset. The JPKI application is selected afterwards.
    pub fn leave_verified(&self) {
        self.state().applet.leave_verified();
    }

    /// Which PINs the card has accepted and not forgotten.
    pub fn verified_pins(&self) -> Verified {
        self.state().applet.verified()
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

    /// How long each byte of a command and of its answer takes, besides.
    pub fn set_byte_latency(&self, byte: Duration) {
        self.state().byte_latency = byte;
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

    /// The identity the card was made with.
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

    /// Makes it another card in the same reader's hand: everything new but ledger, script and
    /// latencies.
    pub fn replace(&self, profile: Profile, identity: Identity) {
        self.state().applet = Applet::new(profile, identity);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pause(time: Duration) {
    if !time.is_zero() {
        std::thread::sleep(time);
    }
}
