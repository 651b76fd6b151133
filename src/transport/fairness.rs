//! Leaving the card alone now and then, so that other programs get their turn.
//!
//! pcscd has no queue for transactions: a client that waits looks every 100 ms whether the card is
//! free. A program that signs without a pause leaves gaps of less than a millisecond, and others
//! would hardly ever see one.

use std::thread;
use std::time::{Duration, Instant};

/// How long the card may be used without a pause.
const LONGEST_USE: Duration = Duration::from_secs(2);

/// The same, as long as other programs are known to use the card too.
const LONGEST_USE_AMONG_OTHERS: Duration = Duration::from_millis(700);

/// A pause in which each client that waits looks at least once.
const PAUSE: Duration = Duration::from_millis(110);

/// A begin that takes longer has waited for another program.
const WAITED: Duration = Duration::from_millis(40);

/// How long a wait of ours tells that other programs use the card.
const OTHERS_REMEMBERED: Duration = Duration::from_secs(5);

/// When the card was used.
#[derive(Debug, Default)]
pub(super) struct Fairness {
    /// Since when there was no pause.
    in_use_since: Option<Instant>,
    last_end: Option<Instant>,
    asked: Option<Instant>,
    /// When a begin had to wait for another program.
    waited_at: Option<Instant>,
}

impl Fairness {
    /// Before a transaction is asked for: pauses when it is another program's turn.
    pub(super) fn before_begin(&mut self) {
        let now = Instant::now();
        let paused = self.last_end.is_none_or(|end| now.duration_since(end) >= PAUSE);
        let others = self.waited_at.is_some_and(|at| now.duration_since(at) < OTHERS_REMEMBERED);
        let longest = if others { LONGEST_USE_AMONG_OTHERS } else { LONGEST_USE };
        match self.in_use_since {
            Some(since) if !paused && now.duration_since(since) >= longest => {
                thread::sleep(PAUSE);
                self.in_use_since = None;
            }
            Some(_) if !paused => {}
            Some(_) | None => self.in_use_since = None,
        }
        self.asked = Some(Instant::now());
    }

    /// The transaction has begun. One that had to wait for it was a pause for others.
    pub(super) fn begun(&mut self) {
        let now = Instant::now();
        if self.asked.is_some_and(|asked| now.duration_since(asked) >= WAITED) {
            self.waited_at = Some(now);
            self.in_use_since = None;
        }
        self.in_use_since.get_or_insert(now);
    }

    /// The transaction ends now.
    pub(super) fn ended(&mut self) {
        self.last_end = Some(Instant::now());
    }
}
