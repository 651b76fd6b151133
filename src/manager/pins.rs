//! Logging in and out, changing a PIN, and counting tries.
//!
//! The invariant: every VERIFY that the card counts as wrong goes back to one call of [`CardManager::log_in`],
//! [`CardManager::authorize_once`] or [`CardManager::change_pin`] with a PIN that was well formed and new.

use std::sync::Arc;

use log::{info, warn};

use super::card::{Epoch, Holder};
use super::error::CardError;
use super::login::Ticket;
use super::{CardManager, Live};
use crate::iso7816::status::TriesLeft;
use crate::jpki::applet::{Applet, AppletError, Step, Verified};
use crate::jpki::layout::Credential;
use crate::jpki::pin::{Pin, PinEntry, PinError, PinUse};
use crate::transport::TransportError;

/// What is known of a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinStatus {
    /// The tries left, if the card tells.
    pub tries: Option<TriesLeft>,
    /// Whether a wrong PIN was entered since the last right one.
    pub wrong_entry: bool,
}

impl CardManager {
    /// Whether somebody is logged in to this credential of the card of `epoch`.
    pub fn is_logged_in(&self, epoch: Epoch, credential: Credential) -> bool {
        self.logins.lock().of(credential).is_in(epoch)
    }

    /// Whether each use of the key asks for its PIN.
    pub fn asks_each_time(&self, credential: Credential) -> bool {
        self.settings.asks_each_time(credential)
    }

    /// The state of a PIN, asked of the card now. Costs no try.
    ///
    /// # Errors
    /// When the card does not answer.
    pub fn pin_status(&self, epoch: Epoch, credential: Credential) -> Result<PinStatus, CardError> {
        let tries = self.with_card(epoch, |applet| Ok(applet.tries_left(credential)?))?;
        let mut logins = self.logins.lock();
        let login = logins.of_mut(credential);
        login.observe(tries);
        Ok(PinStatus { tries, wrong_entry: login.wrong_entry() })
    }

    /// Logs in: one VERIFY, and the PIN is kept for the operations to come.
    ///
    /// # Errors
    /// [`CardError::PinMalformed`], [`CardError::PinRepeated`] and [`CardError::PinReserved`] without a try spent;
    /// [`CardError::PinIncorrect`] and [`CardError::PinBlocked`] as the card says.
    pub fn log_in(&self, epoch: Epoch, credential: Credential, entry: PinEntry<'_>) -> Result<(), CardError> {
        let pin = self.well_formed(credential, entry)?;
        let mut io = self.io.lock();
        if self.is_logged_in(epoch, credential) {
            return Err(CardError::AlreadyLoggedIn);
        }
        self.check_pin(&mut io, epoch, credential, entry, &pin, true)?;
        let kept = (!self.asks_each_time(credential)).then(|| Arc::new(pin));
        self.logins.lock().of_mut(credential).accept(epoch, kept, credential.tries());
        // C_Finalize does not wait for the card, nor does whoever notices that it is gone: the last cleans up.
        self.check_running()
            .and_then(|()| self.known_card(epoch).map(drop))
            .inspect_err(|_| self.log_out(credential))
    }

    /// Checks a PIN for one use of a key that asks each time. It serves as long as the login.
    ///
    /// # Errors
    /// [`CardError::NotLoggedIn`], or as [`CardManager::log_in`].
    pub fn authorize_once(
        &self,
        epoch: Epoch,
        credential: Credential,
        entry: PinEntry<'_>,
    ) -> Result<Arc<Ticket>, CardError> {
        if !self.is_logged_in(epoch, credential) {
            return Err(CardError::NotLoggedIn);
        }
        let pin = self.well_formed(credential, entry)?;
        self.check_pin(&mut self.io.lock(), epoch, credential, entry, &pin, false)?;
        let mut logins = self.logins.lock();
        let login = logins.of_mut(credential);
        login.confirm(credential.tries());
        // Somebody may have logged out while the card thought about the PIN.
        login.issue(epoch, pin).ok_or(CardError::NotLoggedIn)
    }

    /// Logs out. The PIN is wiped.
    pub fn log_out(&self, credential: Credential) {
        self.logins.lock().of_mut(credential).log_out();
    }

    /// Logs out of the card of `epoch`; the login to a card that came after it stays.
    pub fn log_out_of(&self, epoch: Epoch, credential: Credential) {
        let mut logins = self.logins.lock();
        let login = logins.of_mut(credential);
        if login.is_in(epoch) {
            login.log_out();
        }
    }

    /// Changes a PIN. Whoever is logged in stays so, with the new PIN.
    ///
    /// # Errors
    /// [`CardError::NewPinLength`] and [`CardError::NewPinCharacters`] without an exchange; for the old PIN as
    /// [`CardManager::log_in`].
    pub fn change_pin(
        &self,
        epoch: Epoch,
        credential: Credential,
        old: PinEntry<'_>,
        new: PinEntry<'_>,
    ) -> Result<(), CardError> {
        let new = Pin::parse(new, credential, PinUse::Set, &*self.memory).map_err(|error| match error {
            PinError::Length => CardError::NewPinLength,
            PinError::Characters => CardError::NewPinCharacters,
            PinError::Memory => CardError::SecretMemory,
        })?;
        let old_pin = self.well_formed(credential, old)?;
        let mut io = self.io.lock();
        self.refuse_hopeless(epoch, credential, old)?;
        let ask_first = self.must_count(credential);
        let outcome = self.with_io(&mut io, epoch, |applet| {
            if ask_first {
                self.count_before_verify(applet, credential)?;
            }
            self.verified(credential, old, applet.change_pin(credential, &old_pin, &new))
        });
        if outcome.is_err() && self.logins.lock().of(credential).tries().is_none() {
            // Nobody knows which PIN the card has now.
            self.log_out(credential);
        }
        outcome?;
        let kept = (!self.asks_each_time(credential)).then(|| Arc::new(new));
        let mut logins = self.logins.lock();
        let login = logins.of_mut(credential);
        if login.is_in(epoch) {
            login.accept(epoch, kept, credential.tries());
        } else {
            login.confirm(credential.tries());
        }
        Ok(())
    }

    /// Verifies the PIN of whoever is logged in, as [`CardManager::verify_again`].
    pub(super) fn verify_login(
        &self,
        applet: &mut Applet<'_>,
        epoch: Epoch,
        credential: Credential,
    ) -> Result<(), CardError> {
        let pin = self.logins.lock().of(credential).pin(epoch).ok_or(CardError::NotLoggedIn)?;
        self.verify_again(applet, credential, &pin)
    }

    /// Verifies the PIN of a login for the operation that follows in the same transaction. Any answer but 9000 ends
    /// the login: the PIN was right once, and is not tried again. A reset that took the answer away ends nothing: the
    /// count of tries tells what the answer was. A try that is reserved is not spent on it either.
    pub(super) fn verify_again(
        &self,
        applet: &mut Applet<'_>,
        credential: Credential,
        pin: &Pin,
    ) -> Result<(), CardError> {
        if self.settings.reserve_tries > 0 {
            self.count_before_verify(applet, credential).map_err(|error| match error {
                CardError::PinBlocked | CardError::PinReserved => {
                    self.log_out(credential);
                    CardError::NotLoggedIn
                }
                other => other,
            })?;
        }
        let doubtful = self.logins.lock().of(credential).is_doubtful();
        if doubtful {
            // A PIN that holds has set the count back.
            let tries = applet.tries_left(credential)?;
            if tries != Some(credential.tries()) {
                // It was wrong, or somebody else entered a wrong one meanwhile. It is not sent again unasked, and not
                // refused either when it is entered again: it may be right.
                let mut logins = self.logins.lock();
                let login = logins.of_mut(credential);
                login.log_out();
                login.observe(tries);
                return Err(CardError::NotLoggedIn);
            }
        }
        let tries = match applet.verify(credential, pin) {
            Ok(Verified::Yes) => {
                self.logins.lock().of_mut(credential).settle(credential.tries());
                return Ok(());
            }
            Ok(Verified::Wrong(tries)) => tries,
            Ok(Verified::Blocked) => Some(TriesLeft::BLOCKED),
            Err(AppletError::Transport { step: Step::Verify, error: TransportError::Reset }) => {
                self.logins.lock().of_mut(credential).doubt();
                return Err(CardError::Interrupted);
            }
            Err(error) => {
                if leaves_doubt(error) {
                    let mut logins = self.logins.lock();
                    let login = logins.of_mut(credential);
                    login.log_out();
                    login.lose_count();
                }
                return Err(error.into());
            }
        };
        Err(self.end_stale_login(credential, pin, tries))
    }

    /// Ends a login whose PIN does not hold any more. A client that logs in again with the PIN it has kept must not
    /// spend another try.
    fn end_stale_login(&self, credential: Credential, pin: &Pin, tries: Option<TriesLeft>) -> CardError {
        let fingerprint = PinEntry::Bytes(pin.bytes()).fingerprint(credential, &self.fingerprint_key);
        let mut logins = self.logins.lock();
        let login = logins.of_mut(credential);
        login.log_out();
        login.reject(fingerprint, tries);
        warn!("{}: the PIN does not hold any more; it was changed since the login", self.reader);
        CardError::PinStale
    }

    /// The form check. A malformed PIN is remembered, so that a client that repeats it is stopped.
    fn well_formed(&self, credential: Credential, entry: PinEntry<'_>) -> Result<Pin, CardError> {
        Pin::parse(entry, credential, PinUse::Verify, &*self.memory).map_err(|error| {
            if error == PinError::Memory {
                return CardError::SecretMemory;
            }
            let fingerprint = entry.fingerprint(credential, &self.fingerprint_key);
            let mut logins = self.logins.lock();
            let login = logins.of_mut(credential);
            if login.is_rejected(fingerprint) {
                return CardError::PinRepeated;
            }
            let tries = login.tries();
            login.reject(fingerprint, tries);
            CardError::PinMalformed
        })
    }

    /// Sends a PIN to the card, once, unless it is known that it cannot be right or may not be sent.
    fn check_pin(
        &self,
        io: &mut Option<Live>,
        epoch: Epoch,
        credential: Credential,
        entry: PinEntry<'_>,
        pin: &Pin,
        read_certificate: bool,
    ) -> Result<(), CardError> {
        self.refuse_hopeless(epoch, credential, entry)?;
        let card = self.known_card(epoch)?;
        let ask_first = self.must_count(credential);
        self.with_io(io, epoch, |applet| {
            if ask_first {
                self.count_before_verify(applet, credential)?;
            }
            self.verified(credential, entry, applet.verify(credential, pin))?;
            if read_certificate && card.is_private(credential) {
                // The PIN is verified now: reading the certificate later would cost another VERIFY. If it cannot be
                // read, it is asked for again when it is needed; only a card that is gone is nobody's login.
                let read = self.read_certificate(applet, &card, credential, Holder::User);
                if matches!(read, Err(CardError::Removed)) {
                    return Err(CardError::Removed);
                }
            }
            Ok(())
        })
    }

    /// Refuses a PIN that was refused before, or any PIN for a card that is not there.
    fn refuse_hopeless(
        &self,
        epoch: Epoch,
        credential: Credential,
        entry: PinEntry<'_>,
    ) -> Result<(), CardError> {
        self.known_card(epoch)?;
        if self.logins.lock().of(credential).is_rejected(entry.fingerprint(credential, &self.fingerprint_key))
        {
            return Err(CardError::PinRepeated);
        }
        Ok(())
    }

    /// Whether the tries have to be counted before a PIN is sent: when the count is not known, when the PIN was
    /// blocked, or when some tries are reserved.
    fn must_count(&self, credential: Credential) -> bool {
        let tries = self.logins.lock().of(credential).tries();
        self.settings.reserve_tries > 0 || tries.is_none_or(|tries| tries == TriesLeft::BLOCKED)
    }

    /// Counts the tries and refuses to go on where none may be spent.
    fn count_before_verify(&self, applet: &mut Applet<'_>, credential: Credential) -> Result<(), CardError> {
        let tries = applet.tries_left(credential)?;
        self.logins.lock().of_mut(credential).observe(tries);
        match tries {
            Some(TriesLeft::BLOCKED) => {
                self.warn_blocked(credential);
                Err(CardError::PinBlocked)
            }
            Some(left) if left.count() <= self.settings.reserve_tries => {
                warn!(
                    "{}: {left} tries are left and the configuration reserves {} (reserve_tries): no PIN was sent",
                    self.reader, self.settings.reserve_tries
                );
                Err(CardError::PinReserved)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Notes what the card said of a PIN.
    fn verified(
        &self,
        credential: Credential,
        entry: PinEntry<'_>,
        answer: Result<Verified, AppletError>,
    ) -> Result<(), CardError> {
        let mut logins = self.logins.lock();
        let login = logins.of_mut(credential);
        let (tries, error) = match answer {
            Ok(Verified::Yes) => return Ok(()),
            Ok(Verified::Wrong(tries)) => (tries, CardError::PinIncorrect),
            Ok(Verified::Blocked) => (Some(TriesLeft::BLOCKED), CardError::PinBlocked),
            Err(error) => {
                if leaves_doubt(error) {
                    login.lose_count();
                }
                return Err(error.into());
            }
        };
        login.reject(entry.fingerprint(credential, &self.fingerprint_key), tries);
        drop(logins);
        match (error, tries) {
            (CardError::PinBlocked, _) => self.warn_blocked(credential),
            (_, Some(tries)) => warn!("{}: wrong PIN, {tries} tries left", self.reader),
            (_, None) => warn!("{}: wrong PIN", self.reader),
        }
        Err(error)
    }

    fn warn_blocked(&self, credential: Credential) {
        let (name, other) = match credential {
            Credential::UserAuthentication => ("authentication (利用者証明用)", "signature password"),
            Credential::DigitalSignature => ("signature (署名用)", "authentication PIN"),
        };
        warn!(
            "{}: the {name} PIN is blocked. The municipal office resets it, or a convenience-store kiosk if you know \
             the {other}",
            self.reader
        );
        info!("{}: the certificates can still be listed", self.reader);
    }
}

/// Whether a PIN may have reached the card without an answer that tells what became of it.
fn leaves_doubt(error: AppletError) -> bool {
    match error {
        AppletError::Transport { step: Step::Verify | Step::ChangePin, error: TransportError::NotSent }
        | AppletError::NoCertificate => false,
        AppletError::Refused { step, .. }
        | AppletError::Transport { step, .. }
        | AppletError::Malformed(step) => matches!(step, Step::Verify | Step::ChangePin | Step::ConfirmPin),
    }
}
