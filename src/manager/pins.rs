//! Logging in and out, and counting tries: what the [state of a PIN](super::pin_state) decides is
//! done here, and it learns what the card answers. [`change_pin`](super::pin_change) does so too.
//!
//! The invariant: every VERIFY that the card counts as wrong goes back to one call of
//! [`CardManager::log_in`], [`CardManager::log_in_once`] or [`CardManager::change_pin`] with a PIN
//! that was well formed and new, or to a PIN that another program has changed since the login.

use std::sync::Arc;
use std::time::Instant;

use log::warn;

use super::CardManager;
use super::card::{CardCredential, KnownPin};
use super::context_login::ContextLogin;
use super::error::CardError;
use super::identification::forget_others;
use super::pin_state::{Decision, Origin, Refusal, Sent};
use crate::iso7816::status::TriesLeft;
use crate::jpki::applet::{Applet, AppletError, CountAnswer, VerifyOutcome};
use crate::jpki::credential::{CertificateRole, Credential};
use crate::jpki::pin::{MalformedEntry, Pin, PinEntry, PinError, PinUse};
use crate::jpki::remembered_pin::RememberedPin;
use crate::transport::TransportError;

/// What is known of a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinStatus {
    /// The tries left, if the card tells.
    pub tries: Option<TriesLeft>,
    /// Whether tries were lost, or a wrong PIN was entered since the last right one.
    pub count_low: bool,
}

/// A PIN that may be sent, and whose it is.
pub(super) struct OutgoingPin<'a> {
    pin: &'a KnownPin,
    origin: Origin,
    /// The login for one signature, if it is that one's.
    context_login: Option<&'a ContextLogin>,
}

impl OutgoingPin<'_> {
    /// The PIN may not be right any more. The login itself is ended by its state.
    fn end_context_login(&self) {
        self.context_login.into_iter().for_each(ContextLogin::revoke);
    }
}

impl CardManager {
    /// The state of a PIN, asked of the card unless it has told a moment ago. Costs no try.
    ///
    /// # Errors
    /// When the card does not answer.
    pub fn pin_status(&self, of: &CardCredential) -> Result<PinStatus, CardError> {
        let is_fresh = of.with_pin(|record, _| {
            let at = record.counted_at.filter(|_| record.state.count().is_some());
            at.is_some_and(|at| at.elapsed() < self.settings.count_reuse)
        });
        if !is_fresh || !of.card.is_there() {
            self.with_card(&of.card, |applet| self.count_for_display(applet, of))?;
        }
        Ok(of.with_pin(|record, _| PinStatus {
            tries: record.state.count(),
            count_low: record.state.is_count_low(),
        }))
    }

    /// Asks for a count within a transaction.
    pub(super) fn count_for_display(
        &self,
        applet: &mut Applet<'_, '_>,
        of: &CardCredential,
    ) -> Result<(), CardError> {
        let answer = applet.count_tries(of.credential)?;
        of.with_pin(|record, memory| {
            record.counted_at = Some(Instant::now());
            record.state.observe(memory, answer);
        });
        Ok(())
    }

    /// Logs in: one VERIFY, and the PIN is kept for the operations to come.
    ///
    /// # Errors
    /// [`CardError::AlreadyLoggedIn`], [`CardError::PinMalformed`], [`CardError::PinRepeated`],
    /// [`CardError::PinReserved`], [`CardError::NoCount`] and [`CardError::SecretMemory`] without a
    /// try spent; [`CardError::PinIncorrect`] and [`CardError::PinBlocked`] as the card says;
    /// [`CardError::Removed`], or what else kept the card from answering.
    pub fn log_in(&self, of: &CardCredential, entry: PinEntry<'_>) -> Result<(), CardError> {
        let entry = self.well_formed(of, entry)?;
        let mut io = self.io.lock();
        if of.is_logged_in() {
            return Err(CardError::AlreadyLoggedIn);
        }
        self.with_io(&mut io, &of.card, |applet| {
            self.verify_entry(applet, of, &self.entered(of, &entry))?;
            if of.is_private() {
                // The PIN is verified now: reading the certificate later would cost another VERIFY.
                // If it cannot be read, it is asked for again when it is needed; only a card that
                // is gone ends the login.
                let role = CertificateRole::EndEntity;
                let read = self.read_certificate(applet, of, role);
                if matches!(read, Err(CardError::Removed)) {
                    return Err(CardError::Removed);
                }
            }
            Ok(())
        })?;
        let kept = self.kept(of, entry);
        of.with_pin(|record, _| record.state.log_in(kept));
        // C_Finalize may have ended its wait for us, and another thread may have seen that the card
        // is gone: both have ended the logins that there were.
        let still_there = if of.card.is_there() { self.check_running() } else { Err(CardError::Removed) };
        still_there.inspect_err(|_| of.log_out())
    }

    /// Checks a PIN for one use of a key that asks each time. It serves as long as the login.
    ///
    /// # Errors
    /// [`CardError::NotLoggedIn`], or as [`CardManager::log_in`].
    pub fn log_in_once(
        &self,
        of: &CardCredential,
        entry: PinEntry<'_>,
    ) -> Result<Arc<ContextLogin>, CardError> {
        if !of.is_logged_in() {
            return Err(CardError::NotLoggedIn);
        }
        let entry = self.well_formed(of, entry)?;
        // Held until the PIN is kept: a change of the PIN in another thread has to find it, and end
        // it.
        let mut io = self.io.lock();
        let origin = Origin::ContextEntry { reserve: self.reserve(of) };
        let outgoing = OutgoingPin { pin: &entry, origin, context_login: None };
        self.with_io(&mut io, &of.card, |applet| self.verify_entry(applet, of, &outgoing))?;
        of.with_pin(|record, _| {
            // Another thread may have logged out while the card checked the PIN.
            if !record.state.is_logged_in() {
                return Err(CardError::NotLoggedIn);
            }
            let login = Arc::new(ContextLogin::new(entry));
            record.context_logins.retain(|login| login.strong_count() > 0);
            record.context_logins.push(Arc::downgrade(&login));
            Ok(login)
        })
    }

    /// What a login keeps of its entry: nothing where each use of the key asks for it.
    pub(super) fn kept(&self, of: &CardCredential, entry: KnownPin) -> Option<Arc<KnownPin>> {
        (!self.settings.asks_each_time(of.credential)).then(|| Arc::new(entry))
    }

    /// An entry, to be sent.
    pub(super) fn entered<'a>(&self, of: &CardCredential, pin: &'a KnownPin) -> OutgoingPin<'a> {
        OutgoingPin { pin, origin: Origin::Entry { reserve: self.reserve(of) }, context_login: None }
    }

    fn reserve(&self, of: &CardCredential) -> u8 {
        self.settings.reserved_tries(of.credential)
    }

    /// Sends an entry, once, if it may be sent, and learns what comes of it.
    pub(super) fn verify_entry(
        &self,
        applet: &mut Applet<'_, '_>,
        of: &CardCredential,
        outgoing: &OutgoingPin<'_>,
    ) -> Result<(), CardError> {
        self.settle_before_entry(applet, &of.card)?;
        self.permit(applet, of, outgoing)?;
        match self.send(applet, of, outgoing)? {
            VerifyOutcome::Accepted => Ok(()),
            VerifyOutcome::Blocked => {
                self.warn_blocked(of.credential);
                Err(CardError::PinBlocked)
            }
            VerifyOutcome::Rejected(tries) => {
                let left = tries.map_or_else(String::new, |tries| format!(", {tries} tries left"));
                warn!("{}: wrong PIN{left}", self.reader);
                Err(CardError::PinIncorrect)
            }
        }
    }

    /// Verifies the PIN of the login for the operation that follows in the same transaction. It is
    /// looked up only now: the user may have logged out while this thread waited for the card.
    /// Any answer but 9000 ends the login.
    pub(super) fn verify_stored(
        &self,
        applet: &mut Applet<'_, '_>,
        of: &CardCredential,
    ) -> Result<(), CardError> {
        let stored = of.with_pin(|record, _| record.state.stored());
        let pin = &*stored.ok_or(CardError::NotLoggedIn)?;
        self.verify_kept(applet, of, &OutgoingPin { pin, origin: Origin::Login, context_login: None })
    }

    /// Verifies the PIN that was given for one signature. Any answer but 9000 ends that login
    /// alone.
    pub(super) fn verify_context_login(
        &self,
        applet: &mut Applet<'_, '_>,
        of: &CardCredential,
        login: &ContextLogin,
    ) -> Result<(), CardError> {
        let pin = &*login.pin().filter(|_| of.is_logged_in()).ok_or(CardError::NotLoggedIn)?;
        let outgoing = OutgoingPin { pin, origin: Origin::ContextLogin, context_login: Some(login) };
        self.verify_kept(applet, of, &outgoing)
    }

    /// Verifies a PIN that was right once.
    fn verify_kept(
        &self,
        applet: &mut Applet<'_, '_>,
        of: &CardCredential,
        outgoing: &OutgoingPin<'_>,
    ) -> Result<(), CardError> {
        self.permit(applet, of, outgoing).map_err(|error| match error {
            CardError::PinRepeated => CardError::PinStale,
            other => other,
        })?;
        match self.send(applet, of, outgoing) {
            Ok(VerifyOutcome::Accepted) => Ok(()),
            Ok(VerifyOutcome::Rejected(_) | VerifyOutcome::Blocked) => {
                warn!("{}: the PIN does not hold any more; it was changed since the login", self.reader);
                Err(CardError::PinStale)
            }
            Err(CardError::Transport(TransportError::Reset)) => Err(CardError::Interrupted),
            Err(error) => {
                if error == CardError::NotLoggedIn {
                    // The page of the PIN is empty: there is nothing left to log in with.
                    of.log_out();
                }
                Err(error)
            }
        }
    }

    /// Asks for the count, lets the state decide, and makes sure of the card: after this the PIN
    /// may be sent.
    fn permit(
        &self,
        applet: &mut Applet<'_, '_>,
        of: &CardCredential,
        outgoing: &OutgoingPin<'_>,
    ) -> Result<(), CardError> {
        applet.select_pin(of.credential)?;
        let decide = |answer| {
            let decision = of.with_pin(|record, memory| {
                record.counted_at = Some(Instant::now());
                record.state.decide(memory, outgoing.origin, &outgoing.pin.remembered, answer)
            });
            if decision.ends_kept_login() {
                outgoing.end_context_login();
            }
            decision
        };
        let mut decision = decide(applet.count_selected()?);
        if decision == Decision::ForgetAndAsk {
            forget_others(applet)?;
            applet.select_pin(of.credential)?;
            let again = applet.count_selected()?;
            let tells_nothing = again == CountAnswer::Verified;
            decision = decide(if tells_nothing { CountAnswer::NotTold } else { again });
        }
        match decision {
            Decision::Send => self.confirm_before_pin(applet, of),
            Decision::ForgetAndAsk => Err(CardError::NoCount),
            Decision::Refuse(refusal) => Err(self.refusal(of.credential, refusal)),
        }
    }

    fn refusal(&self, credential: Credential, refusal: Refusal) -> CardError {
        match refusal {
            Refusal::Blocked => {
                self.warn_blocked(credential);
                CardError::PinBlocked
            }
            Refusal::Repeated => CardError::PinRepeated,
            Refusal::Reserved(left) => {
                warn!(
                    "{}: {left} tries are left and the configuration reserves {} (reserve_tries): no PIN was sent",
                    self.reader,
                    self.settings.reserved_tries(credential)
                );
                CardError::PinReserved
            }
            Refusal::NoCount => {
                warn!("{}: the card does not tell the tries left any more: no PIN was sent", self.reader);
                CardError::NoCount
            }
            Refusal::NotFull => {
                warn!("{}: another program entered a wrong PIN: log in again", self.reader);
                CardError::NotLoggedIn
            }
        }
    }

    /// Sends a PIN to the file that is selected, and learns what comes of it.
    fn send(
        &self,
        applet: &mut Applet<'_, '_>,
        of: &CardCredential,
        outgoing: &OutgoingPin<'_>,
    ) -> Result<VerifyOutcome, CardError> {
        let answer = applet.verify_selected(&outgoing.pin.pin);
        self.learn(of, outgoing, answer);
        self.ask_after_refusal(applet, of, outgoing, answer);
        Ok(answer?)
    }

    /// Asks for the count right after a refusal: on a card that always names the same number, the
    /// next answer would be taken for a rise. Where no answer comes, nothing is learned.
    pub(super) fn ask_after_refusal(
        &self,
        applet: &mut Applet<'_, '_>,
        of: &CardCredential,
        outgoing: &OutgoingPin<'_>,
        answer: Result<VerifyOutcome, AppletError>,
    ) {
        let is_refused = matches!(answer, Ok(VerifyOutcome::Rejected(_)));
        if !is_refused || !of.with_pin(|record, _| record.state.tells()) {
            return;
        }
        if let Ok(count) = applet.count_selected() {
            let pin = &outgoing.pin.remembered;
            of.with_pin(|record, memory| record.state.observe_refusal(memory, pin, count));
        }
    }

    /// Takes note of what came of a PIN.
    pub(super) fn learn(
        &self,
        of: &CardCredential,
        outgoing: &OutgoingPin<'_>,
        answer: Result<VerifyOutcome, AppletError>,
    ) {
        let sent = match answer {
            Ok(outcome) => Sent::Answered(outcome),
            Err(error) if error.is_before_sending() => Sent::NotSent,
            Err(error) => Sent::Lost { by_reset: error.is_reset() },
        };
        of.with_pin(|record, memory| {
            record.state.learn(memory, outgoing.origin, &outgoing.pin.remembered, sent);
            record.counted_at = Some(Instant::now());
            if sent == Sent::Answered(VerifyOutcome::Accepted) {
                record.malformed = None;
            }
        });
        if sent.ends_kept_login() {
            outgoing.end_context_login();
        }
        if !matches!(sent, Sent::NotSent | Sent::Answered(VerifyOutcome::Accepted)) && !of.card.is_settled() {
            self.memory.note_unsettled(of.card.memory());
        }
    }

    /// The form check. A malformed entry is remembered, so that a client that repeats it is
    /// stopped.
    pub(super) fn well_formed(
        &self,
        of: &CardCredential,
        entry: PinEntry<'_>,
    ) -> Result<KnownPin, CardError> {
        self.entry(of, entry, PinUse::Verify).map_err(|error| {
            if error == PinError::Memory {
                return CardError::SecretMemory;
            }
            of.with_pin(|record, _| {
                if record.malformed.as_ref().is_some_and(|malformed| malformed.is(entry)) {
                    return CardError::PinRepeated;
                }
                record.malformed = MalformedEntry::keep(entry, self.memory.secrets());
                record.state.note_malformed();
                CardError::PinMalformed
            })
        })
    }

    pub(super) fn entry(
        &self,
        of: &CardCredential,
        entry: PinEntry<'_>,
        usage: PinUse,
    ) -> Result<KnownPin, PinError> {
        let pin = Pin::parse(entry, of.credential, usage, &*self.secrets)?;
        let remembered = RememberedPin::of(&pin, self.memory.secrets()).ok_or(PinError::Memory)?;
        Ok(KnownPin { pin, remembered })
    }

    fn warn_blocked(&self, credential: Credential) {
        let (blocked, other) = (credential.facts(), credential.other().facts());
        warn!(
            "{}: the PIN of {} ({}) is blocked. The municipal office resets it, or a convenience-store kiosk if you \
             know the PIN of {} ({}). The certificates can still be listed.",
            self.reader, blocked.name, blocked.japanese_name, other.name, other.japanese_name
        );
    }
}
