//! What is known of one card while it is connected. Nothing of it outlives the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use once_cell::sync::OnceCell;
use parking_lot::Mutex;

use super::context_login::ContextLogin;
use super::memory::CardPinMemory;
use super::pin_state::{PinMemory, PinState};
use crate::jpki::capability::{Capability, CardCapabilities, Evidence};
use crate::jpki::certificate::Certificate;
use crate::jpki::credential::{CertificateRole, Credential, PerCredential};
use crate::jpki::identity::{Identity, SerialNumber};
use crate::jpki::pin::{MalformedEntry, Pin};
use crate::jpki::recognition::{AuthenticationCertificate, RecognisedCard};
use crate::jpki::remembered_pin::RememberedPin;

/// A JPKI card in a reader, from its recognition to its removal.
pub struct Card {
    identity: Identity,
    serial_number: SerialNumber,
    /// What it shows without a PIN is known. One that another program left verified may show a
    /// certificate that it hides later.
    is_settled: AtomicBool,
    /// The service's count of insertions and removals when it was recognised.
    changes: u32,
    /// It was seen to be gone.
    removed: AtomicBool,
    /// When the service last said that it is there.
    seen_at: Mutex<Instant>,
    private: PerCredential<bool>,
    present: PerCredential<OnceCell<bool>>,
    certificates: Mutex<PerCredential<Certificates>>,
    capabilities: Mutex<CardCapabilities>,
    pins: Mutex<PerCredential<PinRecord>>,
    memory: Mutex<CardPinMemory>,
}

/// One credential of one card.
#[derive(Clone)]
pub struct CardCredential {
    /// The card.
    pub card: Arc<Card>,
    /// Which one.
    pub credential: Credential,
}

/// What was read; the inner `None` is a certificate that the card does not have in a form that can
/// be used.
#[derive(Default)]
struct Certificates {
    end_entity: Option<Option<Arc<Certificate>>>,
    ca: Option<Option<Arc<Certificate>>>,
}

/// What is known of one PIN.
pub(super) struct PinRecord {
    pub(super) state: PinState<Arc<KnownPin>>,
    /// When the card last told its count.
    pub(super) counted_at: Option<Instant>,
    pub(super) malformed: Option<MalformedEntry>,
    pub(super) context_logins: Vec<std::sync::Weak<ContextLogin>>,
}

/// A PIN that a caller gave, and what will be remembered of it.
pub(super) struct KnownPin {
    pub(super) pin: Pin,
    pub(super) remembered: RememberedPin,
}

impl Card {
    /// A card that was recognised when the service had counted so many changes.
    pub(super) fn new(recognised: RecognisedCard, changes: u32, memory: CardPinMemory) -> Self {
        let is_shown = recognised.shows_certificate();
        let RecognisedCard { identity, serial_number, authentication } = recognised;
        let private = |credential: Credential| match credential {
            Credential::UserAuthentication => matches!(authentication, AuthenticationCertificate::Private),
            Credential::DigitalSignature => credential.facts().certificate_is_private,
        };
        let card = Self {
            identity,
            serial_number,
            is_settled: AtomicBool::new(!is_shown),
            changes,
            removed: AtomicBool::new(false),
            seen_at: Mutex::new(Instant::now()),
            private: PerCredential::new(private),
            present: PerCredential::default(),
            certificates: Mutex::default(),
            capabilities: Mutex::default(),
            pins: Mutex::new(PerCredential::new(PinRecord::new)),
            memory: Mutex::new(memory),
        };
        let missing = matches!(authentication, AuthenticationCertificate::Missing);
        // The cell is new: it takes the value.
        let _ = card.present.of(Credential::UserAuthentication).set(!missing);
        let certificate = match authentication {
            AuthenticationCertificate::Read(certificate) => Some(Arc::new(*certificate)),
            AuthenticationCertificate::Private => return card,
            AuthenticationCertificate::Unusable | AuthenticationCertificate::Missing => None,
        };
        card.put(Credential::UserAuthentication, CertificateRole::EndEntity, certificate);
        card
    }

    /// What tells it from other cards.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether it is known what the card shows without a PIN.
    pub(super) fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Acquire)
    }

    /// Notes that what the card shows without a PIN is known, and takes the memory of its PINs for
    /// that, if it is another one.
    pub(super) fn settle(&self, memory: Option<CardPinMemory>) {
        if let Some(memory) = memory {
            *self.memory.lock() = memory;
        }
        self.is_settled.store(true, Ordering::Release);
    }

    /// What is remembered of its PINs.
    pub(super) fn memory(&self) -> CardPinMemory {
        self.memory.lock().clone()
    }

    /// A number that differs from card to card, and that leads to no person.
    #[must_use]
    pub fn serial_number(&self) -> SerialNumber {
        self.serial_number
    }

    /// The service's count of insertions and removals when it was recognised.
    pub(super) fn changes(&self) -> u32 {
        self.changes
    }

    /// Whether it was not seen to be gone. Nothing is asked.
    #[must_use]
    pub fn is_there(&self) -> bool {
        !self.removed.load(Ordering::Acquire)
    }

    /// The service has just said that it is there.
    pub(super) fn note_seen(&self) {
        *self.seen_at.lock() = Instant::now();
    }

    /// How long ago the service last said that it is there.
    pub(super) fn unseen_for(&self) -> Duration {
        self.seen_at.lock().elapsed()
    }

    /// It is gone: its logins end.
    pub(super) fn close(&self) {
        self.removed.store(true, Ordering::Release);
        self.log_out_all();
    }

    /// Ends both logins.
    pub(super) fn log_out_all(&self) {
        Credential::ALL.into_iter().for_each(|credential| self.log_out(credential));
    }

    /// Ends a login. What only the PIN opens is forgotten though there was none: a thread that was
    /// reading it may have put it here after the login had ended.
    fn log_out(&self, credential: Credential) {
        self.with_pin(credential, |record, _| record.state.log_out());
        self.forget_private(credential);
    }

    /// Forgets what only the PIN opens.
    fn forget_private(&self, credential: Credential) {
        if self.is_private(credential) {
            self.certificates.lock().of_mut(credential).end_entity = None;
        }
    }

    /// Runs `work` on what is known of a PIN. When that ends the login, all ends that hangs on it:
    /// the PIN is wiped when its last user drops it, which may be an operation under way, and what
    /// only the PIN opens is forgotten.
    fn with_pin<T>(
        &self,
        credential: Credential,
        work: impl FnOnce(&mut PinRecord, &mut PinMemory<RememberedPin>) -> T,
    ) -> T {
        let mut pins = self.pins.lock();
        let memory = self.memory();
        let mut memory = memory.lock();
        let record = pins.of_mut(credential);
        let was_logged_in = record.state.is_logged_in();
        let result = work(record, memory.of_mut(credential));
        if was_logged_in && !record.state.is_logged_in() {
            record.end_context_logins();
            self.forget_private(credential);
        }
        if record.state.tells() {
            pins.of_mut(credential.other()).state.note_that_card_tells();
        }
        result
    }

    /// Whether it has the certificate for user authentication.
    pub(super) fn has_authentication(&self) -> bool {
        self.present.of(Credential::UserAuthentication).get() == Some(&true)
    }

    fn is_private(&self, credential: Credential) -> bool {
        *self.private.of(credential)
    }

    /// Whether the card can do something, as far as is known.
    pub(super) fn can(&self, capability: Capability) -> Option<bool> {
        self.capabilities.lock().has(capability)
    }

    /// Notes what was learned of the chip.
    pub(super) fn learn_all(&self, learned: &CardCapabilities) {
        self.capabilities.lock().learn_all(learned);
    }

    /// Notes that the chip tried something, and failed.
    pub(super) fn disprove(&self, capability: Capability) {
        self.capabilities.lock().learn(capability, Evidence::Disproven);
    }

    fn put(&self, credential: Credential, role: CertificateRole, certificate: Option<Arc<Certificate>>) {
        self.certificates.lock().of_mut(credential).of(role).get_or_insert(certificate);
    }
}

impl CardCredential {
    /// Runs `work` on what is known of the PIN: see [`Card::with_pin`].
    pub(super) fn with_pin<T>(
        &self,
        work: impl FnOnce(&mut PinRecord, &mut PinMemory<RememberedPin>) -> T,
    ) -> T {
        self.card.with_pin(self.credential, work)
    }

    /// A certificate, if it was read; `Some(None)` when the card has none that can be used.
    pub(super) fn certificate(&self, role: CertificateRole) -> Option<Option<Arc<Certificate>>> {
        self.card.certificates.lock().of_mut(self.credential).of(role).clone()
    }

    /// Remembers a certificate. The first one stays: a card that answers differently later does not
    /// get two keys mixed.
    pub(super) fn put(&self, role: CertificateRole, certificate: Option<Arc<Certificate>>) {
        self.card.put(self.credential, role, certificate);
    }

    /// Whether the card has this credential, as soon as that is known.
    pub(super) fn present(&self) -> &OnceCell<bool> {
        self.card.present.of(self.credential)
    }

    /// Whether the user is logged in.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        self.with_pin(|record, _| record.state.is_logged_in())
    }

    /// Ends the login.
    pub fn log_out(&self) {
        self.card.log_out(self.credential);
    }

    /// Whether the owner's certificate can be read only after a login.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.card.is_private(self.credential)
    }
}

impl Certificates {
    fn of(&mut self, role: CertificateRole) -> &mut Option<Option<Arc<Certificate>>> {
        match role {
            CertificateRole::EndEntity => &mut self.end_entity,
            CertificateRole::Ca => &mut self.ca,
        }
    }
}

impl PinRecord {
    /// Ends the logins for one signature.
    pub(super) fn end_context_logins(&mut self) {
        self.context_logins.drain(..).filter_map(|login| login.upgrade()).for_each(|login| login.revoke());
    }

    fn new(credential: Credential) -> Self {
        Self {
            state: PinState::new(credential.facts().max_tries),
            counted_at: None,
            malformed: None,
            context_logins: Vec::new(),
        }
    }
}
