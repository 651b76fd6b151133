//! The machine under test: what one program of ours knows of the PINs of two cards.

use std::hash::Hash;

use jpki_pkcs11::iso7816::status::TriesLeft;
use jpki_pkcs11::jpki::applet::CountAnswer;
use jpki_pkcs11::manager::pin_state::{Decision, Origin, PinMemory, PinState, Sent};

use super::card::Pin;

/// How many cards there are.
pub const CARDS: usize = 2;

/// Where an entry comes from.
pub const ENTRY: Origin = Origin::Entry { reserve: 0 };
/// Where one for one signature comes from.
pub const CONTEXT_ENTRY: Origin = Origin::ContextEntry { reserve: 0 };

/// A machine. Each operation is the real one's; a mutant replaces some.
pub trait Machine: Clone + Eq + Hash {
    fn real(&self) -> &Real;
    fn real_mut(&mut self) -> &mut Real;

    fn decide(&mut self, pin: Pin, origin: Origin, answer: CountAnswer) -> Decision {
        let real = self.real_mut();
        real.state.decide(&mut real.memories[real.card], origin, &pin, answer)
    }

    fn learn(&mut self, pin: Pin, sent: Sent, origin: Origin) {
        let real = self.real_mut();
        real.state.learn(&mut real.memories[real.card], origin, &pin, sent);
    }

    /// The question right after a refusal.
    fn observe_refusal(&mut self, pin: Pin, answer: CountAnswer) {
        let real = self.real_mut();
        if real.state.tells() {
            real.state.observe_refusal(&mut real.memories[real.card], &pin, answer);
        }
    }

    /// The new PIN was sent after CHANGE.
    fn learn_confirmation(&mut self, pin: Pin, sent: Sent) {
        self.learn(pin, sent, ENTRY);
    }

    fn observe(&mut self, answer: CountAnswer) {
        let real = self.real_mut();
        real.state.observe(&mut real.memories[real.card], answer);
    }

    fn note_malformed(&mut self) {
        self.real_mut().state.note_malformed();
    }

    fn log_in(&mut self, pin: Pin) {
        self.real_mut().state.log_in(Some(pin));
    }

    fn log_out(&mut self) {
        self.real_mut().state.log_out();
    }

    /// The answer to CHANGE was lost.
    fn lose_change(&mut self, _old: Pin, _new: Pin) {
        self.real_mut().state.lose_change();
    }

    /// Whether a context login ends when this program has changed the PIN.
    fn change_ends_context_login(&self) -> bool {
        true
    }

    /// A card was put in: a new state, and the memory of that card.
    fn insert(&mut self, card: usize) {
        let real = self.real_mut();
        real.state = PinState::new(TriesLeft::new(real.full));
        real.card = card;
    }

    /// C_Finalize and C_Initialize.
    fn restart(&mut self) {
        let real = self.real_mut();
        real.state = PinState::new(TriesLeft::new(real.full));
    }
}

/// The machine of the library.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Real {
    pub memories: [PinMemory<Pin>; CARDS],
    pub state: PinState<Pin>,
    pub card: usize,
    pub full: u8,
}

impl Real {
    /// A program that has just loaded the library.
    pub fn new(full: u8) -> Self {
        Self { memories: Default::default(), state: PinState::new(TriesLeft::new(full)), card: 0, full }
    }
}

impl Machine for Real {
    fn real(&self) -> &Real {
        self
    }

    fn real_mut(&mut self) -> &mut Real {
        self
    }
}
