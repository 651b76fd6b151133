//! Stops a card before a command, so that the test decides what happens meanwhile.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use virtual_card::{Fault, VirtualCard};

use super::TIMEOUT;

/// A breakpoint. While a command waits at it the card answers nothing. When it is dropped the
/// command goes on.
pub struct Breakpoint {
    reached: Receiver<()>,
    _resume: Sender<()>,
}

impl Breakpoint {
    /// Stops the `number`th command from now, 1 being the next one, before the card has carried it
    /// out.
    pub fn before(card: &VirtualCard, number: usize) -> Self {
        let (reach, reached) = channel();
        let (resume, resumed) = channel();
        let (passed, resumed) = (AtomicUsize::new(0), Mutex::new(resumed));
        card.clear_faults();
        card.inject(
            Fault::when(move |_| {
                if passed.fetch_add(1, Ordering::Relaxed) + 1 == number {
                    let _ = reach.send(());
                    // An error means that the breakpoint was dropped, so the command goes on.
                    let _: Result<(), _> = resumed.lock().expect("no panic with the lock").recv();
                }
                false
            })
            .answer_status(0x6f00),
        );
        Self { reached, _resume: resume }
    }

    /// Waits until the command has come to the breakpoint.
    pub fn wait(&self) {
        self.reached.recv_timeout(TIMEOUT).expect("the command comes");
    }

    /// Lets the command go on.
    pub fn resume(self) {}
}
