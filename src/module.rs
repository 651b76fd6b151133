//! The module: one safe method for each supported `C_` function.
//!
//! It knows slots and session handles and finds the token or session that a call is about. A
//! function of a session is one of [`Session`]: [`Module::session`] or [`Module::live_session`]
//! finds it. Pointers are [`crate::ffi`]'s.

pub mod survey;

mod pairs;
mod sessions;
mod slot;
mod slots;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cryptoki_sys as ck;

use self::sessions::SessionTable;
use self::slots::SlotTable;
use crate::config::Config;
use crate::error::Error;
use crate::handle::{HandleCounter, HandleCounters, SessionHandle, SlotId};
use crate::jpki::pin::PinEntry;
use crate::manager::AsOf;
use crate::manager::error::CardError;
use crate::manager::memory::ProcessMemory;
use crate::os::{LockedMemory, SecretMemory};
use crate::token::session::Session;
use crate::transport::Service;
use crate::transport::calls::Calls;
use crate::transport::child::in_child;
use crate::transport::pcsc::Pcsc;
use crate::transport::service::EarlyEnds;

/// How long C_Finalize waits for operations that are under way.
const FINALIZE_TIMEOUT: Duration = Duration::from_secs(2);

/// A PKCS#11 module between `C_Initialize` and `C_Finalize`. Many can live in one process.
pub struct Module {
    service: Arc<Service>,
    slots: SlotTable,
    sessions: SessionTable,
    objects: HandleCounter,
    shutting_down: AtomicBool,
}

impl Module {
    /// A module. Neither a reader nor the service is asked yet.
    #[must_use]
    pub fn new(
        config: Config,
        calls: Arc<dyn Calls>,
        secrets: Arc<dyn SecretMemory>,
        memory: Arc<ProcessMemory>,
    ) -> Self {
        let service = Arc::new(Service::new(calls));
        Self {
            slots: SlotTable::new(config, service.clone(), secrets, memory),
            service,
            sessions: SessionTable::default(),
            objects: HandleCounter::new(),
            shutting_down: AtomicBool::new(false),
        }
    }

    /// A module over the system's PC/SC service.
    #[must_use]
    pub fn of_this_system(config: Config, memory: Arc<ProcessMemory>) -> Self {
        Self::new(config, Arc::new(Pcsc), Arc::new(LockedMemory), memory)
    }

    /// The same in a child of a fork. It has no readers where the service does not serve children.
    #[must_use]
    pub fn of_a_child(config: Config, memory: Arc<ProcessMemory>) -> Self {
        Self::new(config, in_child(Arc::new(Pcsc)), Arc::new(LockedMemory), memory)
    }

    /// The same, with a memory for refused PINs of its own: for a process that makes one module.
    #[must_use]
    pub fn alone(config: Config) -> Self {
        Self::of_this_system(config, Arc::new(ProcessMemory::new(Arc::new(LockedMemory))))
    }

    /// The same with handles that go on where others ended.
    #[must_use]
    pub fn with_handles(self, HandleCounters { sessions, objects }: HandleCounters) -> Self {
        Self { sessions: SessionTable::new(sessions), objects, ..self }
    }

    /// PKCS #11, C_Finalize: ends waits, sessions and logins. It waits for operations under way,
    /// two seconds at most, so that the card is left as it should be. One that hangs longer gets no
    /// further PIN, and finds the module finalized when it comes back.
    pub fn shut_down(&self) {
        let deadline = Instant::now() + FINALIZE_TIMEOUT;
        self.end_logins();
        self.service.close();
        self.slots.wait_for_operations(deadline);
        self.slots.close_connections();
    }

    /// The same when the process ends anyway: no call to the PC/SC service is made.
    pub fn leave(&self) {
        let deadline = Instant::now() + FINALIZE_TIMEOUT;
        self.end_logins();
        self.slots.wait_for_operations(deadline);
    }

    fn end_logins(&self) {
        self.shutting_down.store(true, Ordering::Release);
        self.slots.shut_down();
        self.sessions.clear();
    }

    /// PKCS #11, C_GetSlotList without a buffer: the only call that changes the list.
    ///
    /// # Errors
    /// None of its own: without a PC/SC service there are no slots.
    pub fn count_slots(&self, token_present: bool) -> Result<usize, Error> {
        self.slots.refresh(token_present);
        Ok(self.slots.list(token_present).len())
    }

    /// PKCS #11, C_GetSlotList with a buffer: the slots that the last count found, with their
    /// tokens as they are now.
    ///
    /// # Errors
    /// As [`Module::count_slots`].
    pub fn list_slots(&self, token_present: bool) -> Result<Vec<SlotId>, Error> {
        self.slots.refresh_if_new(token_present);
        Ok(self.slots.list(token_present))
    }

    /// PKCS #11, C_GetSlotInfo.
    ///
    /// # Errors
    /// [`Error::SlotIdInvalid`].
    pub fn slot_info(&self, slot: SlotId) -> Result<ck::CK_SLOT_INFO, Error> {
        Ok(self.slots.get(slot)?.info())
    }

    /// PKCS #11, C_GetTokenInfo.
    ///
    /// # Errors
    /// [`Error::TokenNotPresent`], or when the card does not answer.
    pub fn token_info(&self, slot: SlotId) -> Result<ck::CK_TOKEN_INFO, Error> {
        let token = self.slots.get(slot)?.token(&self.objects)?;
        token.info(self.sessions.counts(&token))
    }

    /// PKCS #11, C_GetMechanismList.
    ///
    /// # Errors
    /// As [`Module::token_info`].
    pub fn mechanism_list(&self, slot: SlotId) -> Result<Vec<ck::CK_MECHANISM_TYPE>, Error> {
        self.slots.get(slot)?.token(&self.objects)?.mechanisms()
    }

    /// PKCS #11, C_GetMechanismInfo.
    ///
    /// # Errors
    /// [`Error::MechanismInvalid`], or as [`Module::token_info`].
    pub fn mechanism_info(
        &self,
        slot: SlotId,
        mechanism: ck::CK_MECHANISM_TYPE,
    ) -> Result<ck::CK_MECHANISM_INFO, Error> {
        self.slots.get(slot)?.token(&self.objects)?.mechanism_info(mechanism)
    }

    /// PKCS #11, C_WaitForSlotEvent.
    ///
    /// # Errors
    /// [`Error::NoEvent`] when not `blocking`; [`Error::NotInitialized`] when the module is
    /// finalized meanwhile.
    pub fn wait_for_slot_event(&self, blocking: bool) -> Result<SlotId, Error> {
        let mut early_ends = EarlyEnds::default();
        loop {
            self.check_running()?;
            let seen = self.slots.look_for_events();
            if let Some(slot) = self.slots.take_event() {
                return Ok(slot);
            }
            if !blocking {
                return Err(Error::NoEvent);
            }
            self.service.wait_for_change(&seen.readers, seen.timeout, &mut early_ends);
        }
    }

    /// PKCS #11, C_OpenSession.
    ///
    /// # Errors
    /// [`Error::SlotIdInvalid`],
    /// [`Error::SessionParallelNotSupported`] without `CKF_SERIAL_SESSION`,
    /// [`Error::SessionAsyncNotSupported`] with `CKF_ASYNC_SESSION` (PKCS #11 v3.2),
    /// [`Error::TokenNotPresent`], [`Error::SessionCount`].
    pub fn open_session(&self, slot: SlotId, flags: ck::CK_FLAGS) -> Result<SessionHandle, Error> {
        let found = self.slots.get(slot)?;
        if flags & ck::CKF_SERIAL_SESSION == 0 {
            return Err(Error::SessionParallelNotSupported);
        }
        if flags & ck::CKF_ASYNC_SESSION != 0 {
            return Err(Error::SessionAsyncNotSupported);
        }
        let token = found.token(&self.objects)?;
        self.check_running()?;
        self.sessions.open(Session::new(token, slot, flags & ck::CKF_RW_SESSION != 0))
    }

    /// PKCS #11, C_CloseSession. With the last session of a token goes its login.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`].
    pub fn close_session(&self, session: SessionHandle) -> Result<(), Error> {
        self.session(session)?;
        self.sessions.close(session)
    }

    /// PKCS #11, C_CloseAllSessions, of this slot only.
    ///
    /// # Errors
    /// [`Error::SlotIdInvalid`].
    pub fn close_all_sessions(&self, slot: SlotId) -> Result<(), Error> {
        self.slots.get(slot)?;
        self.sessions.close_all(slot);
        Ok(())
    }

    /// PKCS #11, C_Login.
    ///
    /// # Errors
    /// See [`Session::login`].
    pub fn login(
        &self,
        session: SessionHandle,
        user: ck::CK_USER_TYPE,
        pin: PinEntry<'_>,
    ) -> Result<(), Error> {
        let found = self.live_session(session)?;
        found.login(user, pin)?;
        self.sessions.end_login_without_session(found.token())
    }

    /// A session whose card was not seen to be gone. Nothing is asked.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`].
    pub fn session(&self, handle: SessionHandle) -> Result<Arc<Session>, Error> {
        self.check_running()?;
        let session = self.sessions.get(handle)?;
        if session.token().card().is_there() {
            return Ok(session);
        }
        self.sessions.close_removed(session.token());
        Err(Error::SessionHandleInvalid)
    }

    /// A session whose card is there, as the service said a moment ago or says now. Programs poll
    /// C_GetSessionInfo right after C_GetSlotInfo: the second call need not ask again.
    ///
    /// # Errors
    /// As [`Module::live_session`].
    pub fn polled_session(&self, handle: SessionHandle) -> Result<Arc<Session>, Error> {
        self.session_of_card_there(handle, AsOf::Lately)
    }

    /// A session whose card is there, as the service says now. The call that notices that it is
    /// gone says so; after that the handle is invalid.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`], or device removed.
    pub fn live_session(&self, handle: SessionHandle) -> Result<Arc<Session>, Error> {
        self.session_of_card_there(handle, AsOf::Now)
    }

    fn session_of_card_there(&self, handle: SessionHandle, as_of: AsOf) -> Result<Arc<Session>, Error> {
        let session = self.session(handle)?;
        let token = session.token();
        if token.manager().is_there(token.card(), as_of) {
            return Ok(session);
        }
        self.sessions.close_removed(token);
        Err(Error::Card(CardError::Removed))
    }

    fn check_running(&self) -> Result<(), Error> {
        if self.shutting_down.load(Ordering::Acquire) { Err(Error::NotInitialized) } else { Ok(()) }
    }
}
