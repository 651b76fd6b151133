//! The card session manager: one for each reader.
//!
//! It owns the connection to the card, its transactions, the login of both credentials and what was read of the card.
//! It knows nothing of PKCS#11: sessions, objects and return codes are above it.
//!
//! # A login that cannot be borrowed
//!
//! A JPKI card's verified state belongs to whoever talks to it next: it survives a disconnect, and on reported cards
//! even a reset. So each operation that needs the PIN is one transaction that selects the application, verifies,
//! does its work and selects another application, which makes the card forget. Where that is not confirmed, the card
//! loses its power. Another program's reset or SELECT costs the user nothing: the next operation verifies again.
//!
//! # Locks
//!
//! `io` is the reader's lock, and the only one held while the card works. `known` and `logins` are held for a few
//! instructions, by whoever holds `io` or nothing, and never both.

pub mod card;
pub mod error;

mod login;
mod pins;
mod reading;
mod recognition;
mod signing;

use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{debug, info};
use parking_lot::Mutex;

use self::card::{Card, Epoch, Identity, PerCredential};
use self::error::CardError;
use self::login::Login;
pub use self::login::Ticket;
pub use self::pins::PinStatus;
pub use self::signing::Authorization;
use crate::handle::HandleCounter;
use crate::jpki::applet::{Applet, Features, Step};
use crate::jpki::layout::Credential;
use crate::jpki::pin::SecretMemory;
use crate::transport::{Connection, Continuity, Leave, ReaderName, Transport, TransportError};

/// How often an operation begins again because another program reset the card, before it gives up.
const MAX_ATTEMPTS: usize = 5;

/// What the configuration says about every card.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many last tries of a PIN are not spent.
    pub reserve_tries: u8,
    /// Whether each digital signature asks for its PIN.
    pub always_authenticate: bool,
    /// Whether PSS signatures are offered without asking the card: `None` asks it.
    pub pss: Option<bool>,
    /// Whether the certificates of the CAs are shown.
    pub ca_certificates: bool,
}

impl Settings {
    /// Whether each use of a credential's key asks for its PIN.
    #[must_use]
    pub fn asks_each_time(self, credential: Credential) -> bool {
        self.always_authenticate && credential == Credential::DigitalSignature
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { reserve_tries: 0, always_authenticate: false, pss: None, ca_certificates: true }
    }
}

/// The manager of the cards in one reader, one after another.
pub struct CardManager {
    reader: ReaderName,
    transport: Arc<dyn Transport>,
    memory: Arc<dyn SecretMemory>,
    settings: Settings,
    epochs: HandleCounter,
    shutting_down: AtomicBool,
    io: Mutex<Option<Live>>,
    known: Mutex<Option<Known>>,
    logins: Mutex<PerCredential<Login>>,
    /// The key of the fingerprints by which a refused PIN is known again.
    fingerprint_key: RandomState,
}

/// A connection to the card of one epoch.
struct Live {
    connection: Box<dyn Connection>,
    epoch: Epoch,
    features: Features,
    /// The card was reset since it was last recognised: it may be another one.
    suspect: bool,
}

/// What the last look at the reader found.
#[derive(Clone)]
struct Known {
    /// The service's count of insertions and removals then.
    changes: u32,
    /// `None`: a card, but not one of JPKI's. It is not asked again.
    card: Option<Arc<Card>>,
}

impl Known {
    /// Whether this is the same finding.
    fn is(&self, other: &Self) -> bool {
        self.changes == other.changes
            && match (&self.card, &other.card) {
                (Some(card), Some(other)) => card.epoch() == other.epoch(),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }
    }
}

impl CardManager {
    /// A manager for a reader. The reader is not touched yet.
    pub fn new(
        reader: ReaderName,
        transport: Arc<dyn Transport>,
        memory: Arc<dyn SecretMemory>,
        settings: Settings,
    ) -> Self {
        Self {
            reader,
            transport,
            memory,
            settings,
            epochs: HandleCounter::new(),
            shutting_down: AtomicBool::new(false),
            io: Mutex::new(None),
            known: Mutex::new(None),
            logins: Mutex::default(),
            fingerprint_key: RandomState::new(),
        }
    }

    /// The reader.
    pub fn reader(&self) -> &ReaderName {
        &self.reader
    }

    /// What the configuration says about every card.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Ends both logins and lets no further operation begin. Does not wait for one that is under way.
    pub fn shut_down(&self) {
        self.shutting_down.store(true, Ordering::Release);
        self.clear_logins();
    }

    /// The JPKI card in the reader if it is known already. No exchange with the card.
    pub fn current(&self) -> Option<Arc<Card>> {
        self.look().ok().flatten()?.card
    }

    /// Whether the card of `epoch` is still the one that is known. Nobody is asked.
    pub fn is_known(&self, epoch: Epoch) -> bool {
        self.known_card(epoch).is_ok()
    }

    /// The JPKI card in the reader, recognised now if need be: two exchanges for any other card, then silence until
    /// the next one.
    ///
    /// # Errors
    /// [`CardError::NoCard`], [`CardError::NotJpki`], or what kept the card from being recognised.
    pub fn card(&self) -> Result<Arc<Card>, CardError> {
        self.recognised(false)
    }

    /// Whether the card in the reader has this credential.
    ///
    /// # Errors
    /// As [`CardManager::card`].
    pub fn has(&self, credential: Credential) -> Result<bool, CardError> {
        let card = self.recognised(credential == Credential::DigitalSignature)?;
        if let Some(present) = card.present(credential) {
            return Ok(present);
        }
        let present = self.with_card(card.epoch(), |applet| Ok(applet.has_certificate(credential)?))?;
        card.set_present(credential, present);
        Ok(present)
    }

    /// As [`CardManager::card`]; `with_signature` also asks, in the same transaction, for the signature certificate.
    pub fn recognised(&self, with_signature: bool) -> Result<Arc<Card>, CardError> {
        let decided = |known: Known| known.card.ok_or(CardError::NotJpki);
        if let Some(known) = self.look()? {
            return decided(known);
        }
        let mut io = self.io.lock();
        match self.look()? {
            Some(known) => decided(known),
            None => self.recognise(&mut io, with_signature),
        }
    }

    /// Asks the service, not the card, whether what is known still holds. `None`: a card that is not known yet.
    fn look(&self) -> Result<Option<Known>, CardError> {
        // In this order: what another thread finds out about a newer card meanwhile is not older than the answer.
        let known = self.known.lock().clone();
        let state = self.transport.reader_state(&self.reader);
        let changes = state.ok().flatten().filter(|state| state.card_present).map(|state| state.changes);
        match known {
            Some(known) if Some(known.changes) == changes => Ok(Some(known)),
            known => {
                self.forget(|now| known.is_some_and(|known| known.is(now)));
                changes.map(|_| None).ok_or(CardError::NoCard)
            }
        }
    }

    /// Forgets what was known, if it is outdated and nobody knows better by now: nobody is logged in to a card that is
    /// gone, and nothing of it is true of the next one.
    fn forget(&self, is_outdated: impl FnOnce(&Known) -> bool) {
        let Some(gone) = self.known.lock().take_if(|known| is_outdated(known)) else { return };
        if gone.card.is_some() {
            info!("{}: the card was removed", self.reader);
        }
        self.forget_logins();
    }

    /// Forgets the logins, and what was learned from wrong PINs.
    fn forget_logins(&self) {
        let mut logins = self.logins.lock();
        Credential::ALL.into_iter().for_each(|credential| logins.of_mut(credential).clear());
    }

    /// Ends both logins.
    fn clear_logins(&self) {
        let mut logins = self.logins.lock();
        Credential::ALL.into_iter().for_each(|credential| logins.of_mut(credential).log_out());
    }

    /// Runs `work` in one transaction on the card of `epoch`.
    fn with_card<T>(
        &self,
        epoch: Epoch,
        work: impl FnMut(&mut Applet<'_>) -> Result<T, CardError>,
    ) -> Result<T, CardError> {
        self.with_io(&mut self.io.lock(), epoch, work)
    }

    /// As [`CardManager::with_card`], for a caller that has the reader's lock.
    fn with_io<T>(
        &self,
        io: &mut Option<Live>,
        epoch: Epoch,
        work: impl FnMut(&mut Applet<'_>) -> Result<T, CardError>,
    ) -> Result<T, CardError> {
        let card = self.known_card(epoch)?;
        let live = io.as_mut().filter(|live| live.epoch == epoch).ok_or(CardError::Removed)?;
        let result = self.transact(live, Some(&card), work);
        if matches!(result, Err(CardError::Removed)) {
            *io = None;
            self.forget(|known| known.card.as_ref().is_some_and(|card| card.epoch() == epoch));
        }
        result
    }

    /// The card of `epoch`, unless it is known to be gone.
    fn known_card(&self, epoch: Epoch) -> Result<Arc<Card>, CardError> {
        let known = self.known.lock();
        let card = known.as_ref().and_then(|known| known.card.as_ref());
        card.filter(|card| card.epoch() == epoch).cloned().ok_or(CardError::Removed)
    }

    /// One transaction, begun again when another program resets the card in the middle of it. `card` is the one that
    /// must answer, if it is known already.
    fn transact<T>(
        &self,
        live: &mut Live,
        card: Option<&Card>,
        mut work: impl FnMut(&mut Applet<'_>) -> Result<T, CardError>,
    ) -> Result<T, CardError> {
        for _ in 0..MAX_ATTEMPTS {
            match self.attempt(live, card, &mut work) {
                Err(CardError::Interrupted) => {
                    debug!("{}: another program reset the card; beginning again", self.reader);
                    live.suspect = true;
                }
                result => return result,
            }
        }
        Err(CardError::Transport(TransportError::Reset))
    }

    /// One transaction: select, recognise, work, leave.
    fn attempt<T>(
        &self,
        live: &mut Live,
        card: Option<&Card>,
        work: &mut impl FnMut(&mut Applet<'_>) -> Result<T, CardError>,
    ) -> Result<T, CardError> {
        self.check_running()?;
        let (mut transaction, continuity) = live.connection.begin().map_err(|error| match error {
            TransportError::Reset | TransportError::NotSent => CardError::Interrupted,
            other => CardError::from(other),
        })?;
        live.suspect |= continuity == Continuity::WasReset;
        // A reconnect after a reset takes whatever card is there now, also one that came in meanwhile.
        let swapped = live.suspect && card.is_some() && !matches!(self.look(), Ok(Some(_)));
        let mut applet = Applet::new(&mut *transaction, &mut live.features);
        // The wait for the transaction may have been long.
        let result = self
            .check_running()
            .and(if swapped { Err(CardError::Removed) } else { Ok(()) })
            .and_then(|()| open(&mut applet, card.filter(|_| live.suspect), card.is_some()))
            .inspect(|()| live.suspect = false)
            .and_then(|()| work(&mut applet));
        let forgotten = !applet.verify_sent() || applet.leave();
        let leave = if forgotten { Leave::AsIs } else { Leave::Unpowered };
        if let Err(error) = transaction.end(leave) {
            // The work is done or not done all the same; what it did stands. Somebody may have reset the card.
            live.suspect = true;
            debug!("{}: the transaction did not end well: {error}", self.reader);
        }
        result
    }

    fn check_running(&self) -> Result<(), CardError> {
        if self.shutting_down.load(Ordering::Acquire) { Err(CardError::ShuttingDown) } else { Ok(()) }
    }
}

/// Selects the application and makes sure that a card that was reset is still `suspect`, if one is given.
fn open(applet: &mut Applet<'_>, suspect: Option<&Card>, known: bool) -> Result<(), CardError> {
    if !applet.select()? {
        return Err(if known { CardError::Malformed(Step::SelectApplication) } else { CardError::NotJpki });
    }
    let same = match suspect.map(Card::identity) {
        None => true,
        Some(Identity::Certificate(start)) => {
            let file = Credential::UserAuthentication.certificate();
            applet.read_start(file, Identity::CERTIFICATE_BYTES)? == *start
        }
        Some(Identity::TokenInfo(info)) => applet.token_info()? == *info,
    };
    if same { Ok(()) } else { Err(CardError::Removed) }
}
