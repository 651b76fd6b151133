//! What is in the reader: a look that asks the service alone, the recognition of a new card, and
//! the end of one that is gone. A card is recognised once for each insertion, whatever comes of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use parking_lot::MutexGuard;

use super::card::{Card, CardCredential};
use super::error::CardError;
use super::{CardManager, Line, OpenCard};
use crate::jpki::applet::{Applet, NeutralApplication};
use crate::jpki::capability::{Capability, CardCapabilities, Evidence};
use crate::jpki::credential::{CertificateRole, Credential};
use crate::jpki::recognition::{CardKind, has_signature_certificate, recognise};
use crate::transport::{Connection, ReaderState, TransportError};

/// How long the finding holds that another program has the card for itself, that the service
/// refuses it to this user, or that the reader is not ready.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a card may stay away that a reader lost at an extended command. Chosen: twice the 0.7 s
/// of the tests' reader; no source gives a time.
const RETURN_TIMEOUT: Duration = Duration::from_millis(1500);

/// How often the service is asked whether it is back.
const RETURN_PERIOD: Duration = Duration::from_millis(50);

/// Whether a new card is asked for its signature certificate in the transaction that recognises it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskSignature {
    /// The caller asks for it next.
    Yes,
    /// The caller may never ask for it.
    No,
}

/// What is done about a new card to which another program is connected. pcscd lets a connect wait
/// as long as the other program's transaction goes on. Before it is connected, a program cannot
/// learn of the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenInUse {
    /// It is asked, however long that takes.
    Wait,
    /// It is left alone, and counts as held by others for now.
    LeaveAlone,
}

/// How old the answer may be to the question whether a card is in the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// The service is asked.
    Now,
    /// What it said a moment ago will do.
    Lately,
}

/// What the last look at the reader found.
#[derive(Clone)]
pub(super) struct Snapshot {
    /// What the service knew of the reader then.
    then: ReaderState,
    found: Found,
}

/// What a look finds.
#[derive(Clone)]
enum Found {
    /// A JPKI card.
    Card(Arc<Card>),
    /// Something else. It is not asked again before the next insertion.
    Other {
        /// What was found.
        cause: CardError,
        /// When.
        at: Instant,
    },
    /// A card that other programs keep from being recognised, or the service or the reader does.
    HeldByOthers(Instant, TransportError),
}

impl Snapshot {
    fn card(&self) -> Result<Arc<Card>, CardError> {
        match &self.found {
            Found::Card(card) => Ok(card.clone()),
            Found::Other { cause: cause @ (CardError::NotJpki | CardError::Juki), .. } => Err(*cause),
            Found::Other { .. } => Err(CardError::Unusable),
            Found::HeldByOthers(..) => Err(CardError::Held),
        }
    }

    /// What keeps the card from being used, in more detail than a return code.
    pub(super) fn cause(&self) -> Option<CardError> {
        match &self.found {
            Found::Card(_) => None,
            Found::Other { cause, .. } => Some(*cause),
            Found::HeldByOthers(_, error) => Some(CardError::Transport(*error)),
        }
    }

    /// Whether this is the same finding.
    fn is(&self, other: &Self) -> bool {
        self.then.is_same_as(other.then)
            && match (&self.found, &other.found) {
                (Found::Card(card), Found::Card(other)) => Arc::ptr_eq(card, other),
                (Found::Other { at, .. }, Found::Other { at: other, .. }) => at == other,
                (Found::HeldByOthers(at, _), Found::HeldByOthers(other, _)) => at == other,
                _ => false,
            }
    }

    /// Whether it still holds, when this is what the service knows of a reader with a card.
    fn holds(&self, now: Option<ReaderState>, manager: &CardManager) -> bool {
        let service = &manager.service;
        now.is_some_and(|now| self.then.is_same_as(now))
            && match &self.found {
                Found::HeldByOthers(at, error) => {
                    let is_by_others =
                        !matches!(error, TransportError::AccessDenied | TransportError::NotReady);
                    at.elapsed() < RETRY_AFTER && (!is_by_others || service.is_exclusive(&manager.reader))
                }
                Found::Other { at, .. } => {
                    service.counts_changes() || at.elapsed() < manager.settings.uncounted_reuse
                }
                Found::Card(_) => true,
            }
    }
}

impl CardManager {
    /// Whether this card is in the reader. Asks the service, if at all, and not the card.
    pub fn is_there(&self, card: &Arc<Card>, as_of: AsOf) -> bool {
        if as_of == AsOf::Lately && card.is_there() && card.unseen_for() < self.settings.look_reuse {
            return true;
        }
        let current = self.look().ok().flatten().and_then(|snapshot| snapshot.card().ok());
        current.is_some_and(|current| Arc::ptr_eq(&current, card))
    }

    /// The JPKI card in the reader, recognised now if need be.
    ///
    /// # Errors
    /// [`CardError::NoCard`], [`CardError::NotJpki`], [`CardError::Juki`], [`CardError::Held`],
    /// [`CardError::Unusable`], or what kept the card from being recognised.
    pub fn open_card(&self, ask: AskSignature, when: WhenInUse) -> Result<Arc<Card>, CardError> {
        if let Some(snapshot) = self.look()? {
            return snapshot.card();
        }
        if when == WhenInUse::LeaveAlone && self.is_in_use_by_others() {
            return Err(CardError::Held);
        }
        let mut io = self.io.lock();
        match self.look()? {
            Some(snapshot) => snapshot.card(),
            None => self.recognise_card(&mut io, ask),
        }
    }

    /// Whether a card has this credential.
    ///
    /// # Errors
    /// When the card does not answer.
    pub fn has(&self, of: &CardCredential) -> Result<bool, CardError> {
        // Of the other credential that is known since the recognition.
        let ask = || {
            self.with_card(&of.card, |applet| {
                let present = has_signature_certificate(applet, of.card.has_authentication())?;
                if present {
                    // A client that looks at the slot asks for its token's flags next.
                    self.count_for_display(applet, of)?;
                }
                Ok(present)
            })
        };
        of.present().get_or_try_init(ask).copied()
    }

    /// Ends both logins of the card that was last recognised. Nothing is asked.
    pub(super) fn end_logins(&self) {
        let known = self.snapshot.lock().as_ref().and_then(|snapshot| snapshot.card().ok());
        known.into_iter().for_each(|card| card.log_out_all());
    }

    /// The card is gone: its logins end. What is known of another card that came since stays.
    pub(super) fn close_removed(&self, card: &Arc<Card>) {
        if card.is_there() {
            info!("{}: the card was removed", self.reader);
        }
        card.close();
        let is_this =
            |known: &mut Snapshot| matches!(&known.found, Found::Card(other) if Arc::ptr_eq(other, card));
        self.snapshot.lock().take_if(is_this);
    }

    /// Asks the service whether what is known still holds. `None`: a card that was not looked at
    /// yet.
    fn look(&self) -> Result<Option<Snapshot>, CardError> {
        // In this order. Otherwise the snapshot could be newer than the answer: a card that another
        // thread has just recognised would count as gone.
        let known = self.snapshot.lock().clone();
        let now = self.state_with_card();
        match known {
            Some(known) if known.holds(now, self) => {
                if let Found::Card(card) = &known.found {
                    card.note_seen();
                }
                return Ok(Some(known));
            }
            Some(Snapshot { found: Found::Card(card), .. }) => self.close_removed(&card),
            Some(outdated) => drop(self.snapshot.lock().take_if(|now| now.is(&outdated))),
            None => {}
        }
        now.map(|_| None).ok_or(CardError::NoCard)
    }

    /// Whether another program is connected to a card that was not recognised yet. An operation of
    /// another thread counts as such.
    fn is_in_use_by_others(&self) -> bool {
        let Some(mut io) = self.io.try_lock() else { return true };
        io.take_if(|open| !open.card.is_there());
        if io.is_some() {
            // Another thread has recognised it since the look.
            return false;
        }
        self.service.reader_state(&self.reader).is_ok_and(|state| state.is_some_and(|state| state.in_use))
    }

    /// Connects to the card in the reader and finds out what it is.
    fn recognise_card(
        &self,
        io: &mut MutexGuard<'_, Option<OpenCard>>,
        ask: AskSignature,
    ) -> Result<Arc<Card>, CardError> {
        **io = None;
        let mut then = self.state_with_card().ok_or(CardError::NoCard)?;
        let known_to_fail = self.has_lost_extended_length();
        let mut opened = self.try_to_open(then.changes, ask);
        let is_gone = matches!(opened, Err(CardError::Removed | CardError::NoCard));
        if is_gone && !known_to_fail && self.has_lost_extended_length() {
            // The reader lost the card at a command that it will not get again.
            then = self.wait_for_return().ok_or(CardError::NoCard)?;
            opened = self.try_to_open(then.changes, ask);
        }
        let found = match opened {
            Ok(open) => {
                info!("{}: a card with the JPKI application", self.reader);
                let card = open.card.clone();
                self.seen_jpki_card.store(true, Ordering::Release);
                **io = Some(open);
                Found::Card(card)
            }
            Err(CardError::Removed | CardError::NoCard) => return Err(CardError::NoCard),
            Err(error @ CardError::ShuttingDown) => return Err(error),
            Err(error @ (CardError::NotJpki | CardError::Juki)) => {
                Found::Other { cause: error, at: Instant::now() }
            }
            Err(CardError::Transport(
                error @ (TransportError::Busy
                | TransportError::Reset
                | TransportError::AccessDenied
                | TransportError::NotReady),
            )) => {
                debug!("{}: the card cannot be recognised now: {error}", self.reader);
                Found::HeldByOthers(Instant::now(), error)
            }
            Err(error) => {
                warn!("{}: the card cannot be used: {error}", self.reader);
                Found::Other { cause: error, at: Instant::now() }
            }
        };
        let snapshot = Snapshot { then, found };
        let card = snapshot.card();
        *self.snapshot.lock() = Some(snapshot);
        card
    }

    /// One connection to the card, and its recognition.
    fn try_to_open(&self, changes: u32, ask: AskSignature) -> Result<OpenCard, CardError> {
        let connection = self.service.connect(&self.reader)?;
        let capabilities = self.reader_capabilities(&connection);
        let neutral = NeutralApplication::default();
        let mut line = Line { connection, capabilities, neutral, must_recheck: false, took_power: false };
        let mut examine = || self.transact(&mut line, None, |applet| self.examine(applet, changes, ask));
        let examined = match examine() {
            // It may have been one bad answer. No PIN was sent; after this the card is not looked
            // at again.
            Err(CardError::Malformed(_) | CardError::Transport(TransportError::BadLength)) => examine(),
            examined => examined,
        };
        self.memory.note_reader(&self.reader, &line.capabilities);
        Ok(OpenCard { card: examined?, line })
    }

    /// What card it is. The application is selected.
    fn examine(
        &self,
        applet: &mut Applet<'_, '_>,
        changes: u32,
        ask: AskSignature,
    ) -> Result<Arc<Card>, CardError> {
        let recognised = match recognise(applet)? {
            CardKind::Jpki(recognised) => recognised,
            CardKind::Juki => {
                warn!("{}: {}", self.reader, CardError::Juki);
                return Err(CardError::Juki);
            }
        };
        let memory = self.memory.card(recognised.serial_number, recognised.may_hide_certificate());
        let card = Arc::new(Card::new(recognised, changes, memory));
        let of = |credential| CardCredential { card: card.clone(), credential };
        let authentication = of(Credential::UserAuthentication);
        if let Some(Some(certificate)) = authentication.certificate(CertificateRole::EndEntity) {
            self.warn_about_expiry(authentication.credential, &certificate);
        }
        if ask == AskSignature::Yes {
            let present = has_signature_certificate(applet, card.has_authentication());
            // The cell is new: it takes the value.
            let _ = of(Credential::DigitalSignature).present().set(present?);
        }
        self.count_for_display(applet, &authentication)?;
        Ok(card)
    }

    /// What is known of the reader. Its driver is asked once.
    fn reader_capabilities(&self, connection: &Connection) -> CardCapabilities {
        if !self.memory.knows_reader(&self.reader) {
            let mut told = CardCapabilities::default();
            if self.settings.no_extended_length {
                told.learn(Capability::ExtendedLength, Evidence::Disproven);
                self.memory.note_reader(&self.reader, &told);
            } else if let Ok(answer) = connection.takes_extended_length() {
                debug!("{}: extended length, says the driver: {answer:?}", self.reader);
                if let Some(extended) = answer {
                    told.learn(Capability::ExtendedLength, Evidence::ToldByReader(extended));
                }
                self.memory.note_reader(&self.reader, &told);
            }
        }
        self.memory.reader(&self.reader)
    }

    /// Whether extended length was tried in this reader, and failed.
    fn has_lost_extended_length(&self) -> bool {
        let evidence = self.memory.reader(&self.reader).evidence(Capability::ExtendedLength);
        evidence == Some(Evidence::Disproven) && !self.settings.no_extended_length
    }

    /// What the service knows of the reader when a card is there again.
    fn wait_for_return(&self) -> Option<ReaderState> {
        let end = Instant::now() + RETURN_TIMEOUT;
        loop {
            if let Some(state) = self.state_with_card() {
                return Some(state);
            }
            if Instant::now() >= end || self.check_running().is_err() {
                return None;
            }
            std::thread::sleep(RETURN_PERIOD);
        }
    }

    /// What the service knows of the reader, if a card is there.
    fn state_with_card(&self) -> Option<ReaderState> {
        self.service.reader_state(&self.reader).ok().flatten().filter(|state| state.card_present)
    }
}
