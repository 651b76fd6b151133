//! Leaving the card alone now and then, so that other programs get their turn.
//!
//! pcscd has no queue for transactions: a client that waits looks every 100 ms whether the card is
//! free. A program that signs without a pause leaves gaps of less than a millisecond, and others
//! would hardly ever see one.

use std::thread;
use std::time::{Duration, Instant};

use crate::os;

/// How long the card may be used without a pause.
const LONGEST_USE: Duration = Duration::from_secs(2);

/// The same, while other programs are known to use the card: half of the last wait, at least this,
/// at most [`LONGEST_USE`]. So a program that waited for many turns of others has a long one
/// itself.
const USE_AMONG_OTHERS: Duration = Duration::from_millis(700);

/// A pause in which each client that waits looks at least once: late, on a busy machine.
const PAUSE: Duration = Duration::from_millis(150);

/// The shortest pause as long as other programs are known to use the card too. It costs nothing
/// then: one of them uses the card meanwhile.
const PAUSE_AMONG_OTHERS: Duration = Duration::from_millis(200);

/// How much longer such a pause may be, at random. Without it clients that look at the same pace
/// can meet in the same order at each turn, and one of three waits for ever.
const MOST_ADDED: Duration = Duration::from_millis(100);

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
    /// When a begin had to wait for another program, and how long.
    waited: Option<(Instant, Duration)>,
}

impl Fairness {
    /// Before a transaction is asked for: pauses when it is another program's turn.
    pub(super) fn before_begin(&mut self) {
        let now = Instant::now();
        let waited = self.waited.filter(|(at, _)| now.duration_since(*at) < OTHERS_REMEMBERED);
        let longest = waited.map_or(LONGEST_USE, |(_, wait)| (wait / 2).clamp(USE_AMONG_OTHERS, LONGEST_USE));
        let paused = self.last_end.is_none_or(|end| now.duration_since(end) >= PAUSE);
        match self.in_use_since {
            Some(since) if !paused && now.duration_since(since) >= longest => {
                thread::sleep(waited.map_or(PAUSE, |_| PAUSE_AMONG_OTHERS + at_random(MOST_ADDED)));
                self.in_use_since = None;
            }
            Some(_) if !paused => {}
            Some(_) | None => self.in_use_since = None,
        }
        self.asked = Some(Instant::now());
    }

    /// The transaction has begun. A begin that had to wait was a pause for others.
    pub(super) fn begun(&mut self) {
        let now = Instant::now();
        let wait = self.asked.map_or(Duration::ZERO, |asked| now.duration_since(asked));
        if wait >= WAITED {
            self.waited = Some((now, wait));
            self.in_use_since = None;
        }
        self.in_use_since.get_or_insert(now);
    }

    /// The transaction ends now.
    pub(super) fn ended(&mut self) {
        self.last_end = Some(Instant::now());
    }
}

/// A part of a duration.
fn at_random(whole: Duration) -> Duration {
    let mut part = [0];
    // Without random numbers it is the whole.
    if !os::fill_random(&mut part) {
        return whole;
    }
    let [part] = part;
    whole * u32::from(part) / u32::from(u8::MAX)
}
