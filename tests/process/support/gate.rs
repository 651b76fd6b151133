//! A gate in front of a command: the card stands still there, and the test decides what happens meanwhile.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use virtual_card::{Fault, VirtualCard};

use super::PATIENCE;

/// A closed gate. While a command stands before it the card can be asked nothing; it opens when dropped.
pub struct Gate {
    reached: Receiver<()>,
    _open: Sender<()>,
}

impl Gate {
    /// Stops the `number`th command from now, 1 being the next one, before the card has carried it out.
    pub fn before(card: &VirtualCard, number: usize) -> Self {
        let (reach, reached) = channel();
        let (open, opened) = channel();
        let (passed, opened) = (AtomicUsize::new(0), Mutex::new(opened));
        card.clear_faults();
        card.inject(
            Fault::when(move |_| {
                if passed.fetch_add(1, Ordering::Relaxed) + 1 == number {
                    let _ = reach.send(());
                    // An error means that the gate was dropped, which opens it.
                    let _: Result<(), _> = opened.lock().expect("nobody panics with it").recv();
                }
                false
            })
            .answer_status(0x6f00),
        );
        Self { reached, _open: open }
    }

    /// Waits until the command stands before the gate.
    pub fn wait(&self) {
        self.reached.recv_timeout(PATIENCE).expect("the command comes");
    }

    /// Lets the command through.
    pub fn open(self) {}
}
