//! The card session manager: one for each reader.
//!
//! It owns the connection to the card, its transactions, the login of both credentials and what was
//! read of the card. It knows nothing of PKCS#11: sessions, objects and return codes are above it.
//!
//! # A login that cannot be borrowed
//!
//! Any program that talks to a JPKI card uses its verified state: that survives a disconnect, and
//! on reported cards even a reset. So each operation that needs the PIN is one transaction that
//! selects the application, asks for the tries left, verifies, does its work and selects another
//! application, which makes the card forget. Where that is not confirmed, the card loses its power.
//! Another program's reset or SELECT costs the user nothing: the next operation verifies again.
//!
//! # Locks
//!
//! `io` is the reader's lock, and the only one held while the card works. The others (`snapshot`,
//! and those in [`Card`]) are held for a few instructions.

pub mod card;
pub mod error;
pub mod memory;
pub mod pin_state;
pub mod survey;

mod context_login;
mod identification;
mod pin_change;
mod pins;
mod presence;
mod reading;
mod signing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use log::debug;
use parking_lot::Mutex;

use self::card::Card;
pub use self::card::CardCredential;
pub use self::context_login::ContextLogin;
use self::error::CardError;
use self::memory::ProcessMemory;
pub use self::pins::PinStatus;
use self::presence::Snapshot;
pub use self::presence::{AsOf, AskSignature, WhenInUse};
pub use self::signing::Authorization;
use crate::jpki::applet::{Applet, AppletError, NeutralApplication};
use crate::jpki::capability::CardCapabilities;
use crate::jpki::credential::Credential;
use crate::jpki::identity::Identity;
use crate::os::SecretMemory;
use crate::transport::{Connection, Disposition, ReaderName, Service, TransportError};

/// How often an operation begins again because another program reset the card, before it gives up.
/// A program that does nothing but reset can hit five in a row; with this many some seconds pass.
const MAX_ATTEMPTS: usize = 40;

/// Which certificates of CAs are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CaCertificates {
    /// None beside the authentication certificate, where clients take every certificate for one of
    /// the user's; a private one beside the signature certificate.
    #[default]
    Auto,
    /// Both, free to read.
    Shown,
    /// None.
    Hidden,
}

/// What the configuration says about every card.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many last tries of a PIN are not spent.
    pub reserve_tries: u8,
    /// Whether each digital signature asks for its PIN.
    pub always_authenticate: bool,
    /// Whether PSS signatures are offered without asking the card: `None` asks it.
    pub pss: Option<bool>,
    /// Which certificates of CAs are shown.
    pub ca_certificates: CaCertificates,
    /// Whether extended length is never tried.
    pub no_extended_length: bool,
    /// How long a count of tries serves for display once the card has told it. Decisions about a
    /// PIN ask anew.
    pub count_reuse: Duration,
    /// How long a look at the reader serves for what is shown of a session. pcscd itself looks at
    /// some readers every 400 ms only.
    pub look_reuse: Duration,
    /// How long the finding "no JPKI card" holds where the service does not count the exchange of
    /// cards.
    pub uncounted_reuse: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reserve_tries: 0,
            always_authenticate: false,
            pss: None,
            ca_certificates: CaCertificates::Auto,
            no_extended_length: false,
            count_reuse: Duration::from_secs(1),
            look_reuse: Duration::from_millis(100),
            uncounted_reuse: Duration::from_secs(5),
        }
    }
}

impl Settings {
    /// Whether each use of a credential's key asks for its PIN.
    #[must_use]
    pub fn asks_each_time(self, credential: Credential) -> bool {
        self.always_authenticate && credential == Credential::DigitalSignature
    }

    /// How many last tries of a credential's PIN are not spent: never all of them.
    #[must_use]
    pub fn reserved_tries(self, credential: Credential) -> u8 {
        self.reserve_tries.min(credential.facts().max_tries.one_less().count())
    }
}

/// The manager of the cards in one reader, one after another.
pub struct CardManager {
    reader: ReaderName,
    service: Arc<Service>,
    secrets: Arc<dyn SecretMemory>,
    memory: Arc<ProcessMemory>,
    settings: Settings,
    shutting_down: AtomicBool,
    io: Mutex<Option<OpenCard>>,
    snapshot: Mutex<Option<Snapshot>>,
    seen_jpki_card: AtomicBool,
}

/// A card and the line to it.
struct OpenCard {
    card: Arc<Card>,
    line: Line,
}

/// A connection, and what is known of what is at its end.
struct Line {
    connection: Connection,
    capabilities: CardCapabilities,
    neutral: NeutralApplication,
    /// Another card may be at the end by now: the identity is read before the next PIN.
    must_recheck: bool,
    /// The last transaction took the card's power to make it forget, and nothing else has happened:
    /// the reset that the service tells of is our own.
    took_power: bool,
}

impl CardManager {
    /// A manager for a reader. The reader is not touched yet.
    pub fn new(
        reader: ReaderName,
        service: Arc<Service>,
        secrets: Arc<dyn SecretMemory>,
        memory: Arc<ProcessMemory>,
        settings: Settings,
    ) -> Self {
        Self {
            reader,
            service,
            secrets,
            memory,
            settings,
            shutting_down: AtomicBool::new(false),
            io: Mutex::new(None),
            snapshot: Mutex::new(None),
            seen_jpki_card: AtomicBool::new(false),
        }
    }

    /// The reader.
    pub fn reader(&self) -> &ReaderName {
        &self.reader
    }

    /// Whether a JPKI card was ever recognised in the reader. Nothing is asked.
    #[must_use]
    pub fn has_seen_jpki_card(&self) -> bool {
        self.seen_jpki_card.load(Ordering::Acquire)
    }

    /// What the configuration says about every card.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Ends both logins and lets no further PIN be sent. Does not wait for an operation that is
    /// under way.
    pub fn shut_down(&self) {
        self.shutting_down.store(true, Ordering::Release);
        self.end_logins();
    }

    /// Closes the connection, unless an operation is under way: that one closes it.
    pub fn close_connection(&self) {
        if let Some(mut io) = self.io.try_lock() {
            *io = None;
        }
    }

    /// Waits until no operation is under way; not beyond `deadline`.
    pub fn wait_for_operations(&self, deadline: Instant) {
        drop(self.io.try_lock_until(deadline));
        self.end_logins();
    }

    /// Runs `work` in one transaction on `card`.
    fn with_card<T>(
        &self,
        card: &Arc<Card>,
        work: impl FnMut(&mut Applet<'_, '_>) -> Result<T, CardError>,
    ) -> Result<T, CardError> {
        self.with_io(&mut self.io.lock(), card, work)
    }

    /// As [`CardManager::with_card`], for a caller that has the reader's lock.
    fn with_io<T>(
        &self,
        io: &mut Option<OpenCard>,
        card: &Arc<Card>,
        work: impl FnMut(&mut Applet<'_, '_>) -> Result<T, CardError>,
    ) -> Result<T, CardError> {
        // C_Finalize has closed the connection: the card is not gone.
        self.check_running()?;
        let open = io.as_mut().filter(|open| Arc::ptr_eq(&open.card, card) && card.is_there());
        let Some(open) = open else {
            self.close_removed(card);
            return Err(CardError::Removed);
        };
        let result = self.transact(&mut open.line, Some(card), work);
        if matches!(result, Err(CardError::Removed)) {
            *io = None;
            self.close_removed(card);
        }
        result
    }

    /// One transaction. It begins again when another program resets the card in the middle. It
    /// begins again once when the reader fails, or when the card is to forget what another program
    /// left: the card has lost its power then. `card` is the one that must answer, if it is known
    /// already.
    fn transact<T>(
        &self,
        line: &mut Line,
        card: Option<&Card>,
        mut work: impl FnMut(&mut Applet<'_, '_>) -> Result<T, CardError>,
    ) -> Result<T, CardError> {
        let mut failed = false;
        for _ in 0..MAX_ATTEMPTS {
            match self.attempt(line, card, failed, &mut work) {
                Err(CardError::Interrupted) => {
                    debug!("{}: another program reset the card; beginning again", self.reader);
                }
                Err(error @ (CardError::Unanswered(_) | CardError::LeftVerified)) => {
                    if failed {
                        return Err(error.without_repetition());
                    }
                    debug!("{}: {error}; beginning again after a power-off", self.reader);
                    failed = true;
                }
                result => return result,
            }
        }
        Err(CardError::Transport(TransportError::Reset))
    }

    /// One transaction: select, make sure of the card, work, leave; after a power-off if it
    /// `has_failed`.
    fn attempt<T>(
        &self,
        line: &mut Line,
        card: Option<&Card>,
        has_failed: bool,
        work: &mut impl FnMut(&mut Applet<'_, '_>) -> Result<T, CardError>,
    ) -> Result<T, CardError> {
        self.check_running()?;
        let mut transaction = line.connection.begin().map_err(|error| {
            // The connection may have been renewed on the way, and lead to another card now.
            line.must_recheck = true;
            line.took_power = false;
            match error {
                TransportError::Reset | TransportError::NotSent => CardError::Interrupted,
                other => CardError::from(other),
            }
        })?;
        let own_reset = std::mem::take(&mut line.took_power);
        line.must_recheck |= transaction.was_reset();
        let mut applet = Applet::new(&mut transaction, &mut line.capabilities, &mut line.neutral);
        if card.is_none() {
            applet = applet.experimenting();
        }
        if has_failed {
            applet = applet.after_power_off();
        }
        // The wait for the transaction may have been long.
        let result = self
            .check_running()
            .and_then(|()| select(&mut applet, card.is_some()))
            .and_then(|()| match card.filter(|card| line.must_recheck || self.always_rechecks(card)) {
                // A card without an identity can be used at all only if our own power-off does not
                // end it.
                Some(card) if own_reset && *card.identity() == Identity::None => {
                    self.confirm_insertion(&applet, card)
                }
                Some(card) => self.confirm_identity(&mut applet, card),
                None => Ok(()),
            })
            .inspect(|()| line.must_recheck = false)
            .and_then(|()| {
                let result = work(&mut applet);
                if let Some(card) = card.filter(|_| !matches!(result, Err(CardError::Removed))) {
                    self.settle_after_refusal(&mut applet, card);
                }
                result
            });
        let forgotten = !applet.may_be_verified() || applet.forget();
        line.must_recheck |= applet.is_disturbed();
        let disposition = if forgotten { Disposition::LeaveCard } else { Disposition::UnpowerCard };
        line.must_recheck |= !forgotten;
        line.took_power = !forgotten && !applet.is_disturbed();
        if let Err(error) = transaction.end(disposition) {
            // The work is done or not done all the same; what it did stands. Another program may
            // have reset the card.
            line.must_recheck = true;
            line.took_power = false;
            debug!("{}: the transaction did not end well: {error}", self.reader);
        }
        self.memory.note_reader(&self.reader, &line.capabilities);
        if let Some(card) = card {
            card.learn_all(&line.capabilities);
        }
        result
    }

    fn check_running(&self) -> Result<(), CardError> {
        if self.shutting_down.load(Ordering::Acquire) { Err(CardError::ShuttingDown) } else { Ok(()) }
    }
}

/// Selects the application. A card that was not recognised yet and refuses it is none of JPKI's,
/// whatever it says.
fn select(applet: &mut Applet<'_, '_>, is_recognised: bool) -> Result<(), CardError> {
    match applet.select() {
        Err(AppletError::Refused { .. }) if !is_recognised => Err(CardError::NotJpki),
        Err(AppletError::Refused { command, .. }) => Err(CardError::Malformed(command)),
        result => Ok(result?),
    }
}
