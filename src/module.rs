//! The module: one safe method for each supported `C_` function.
//!
//! It knows slots and session handles and finds the token or session that a call is about; what the call means is
//! decided below. Pointers are [`crate::ffi`]'s.

mod operations;
mod sessions;
mod slots;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cryptoki_sys as ck;

use self::sessions::SessionTable;
use self::slots::SlotTable;
use crate::config::Config;
use crate::error::Error;
use crate::handle::{HandleCounter, ObjectHandle, SessionHandle, SlotId};
use crate::jpki::pin::{PinEntry, SecretMemory};
use crate::token::attribute::{AttributeAnswers, AttributeQuery};
use crate::token::session::Session;
use crate::token::template::TemplateEntry;
use crate::transport::Transport;

/// A PKCS#11 module between `C_Initialize` and `C_Finalize`. Many can live in one process.
pub struct Module {
    transport: Arc<dyn Transport>,
    slots: SlotTable,
    sessions: SessionTable,
    objects: HandleCounter,
    shutting_down: AtomicBool,
}

impl Module {
    /// A module. Neither a reader nor the service is asked yet.
    #[must_use]
    pub fn new(config: Config, transport: Arc<dyn Transport>, memory: Arc<dyn SecretMemory>) -> Self {
        Self {
            slots: SlotTable::new(config, transport.clone(), memory),
            transport,
            sessions: SessionTable::default(),
            objects: HandleCounter::new(),
            shutting_down: AtomicBool::new(false),
        }
    }

    /// PKCS #11, C_Finalize: ends waits, sessions and logins. A call that waits for a card is not waited for; it finds
    /// the module finalized when it comes back.
    pub fn shut_down(&self) {
        self.shutting_down.store(true, Ordering::Release);
        self.slots.shut_down();
        self.sessions.clear();
        self.transport.interrupt();
    }

    /// PKCS #11, C_GetSlotList without a buffer: the only call that looks for readers that came.
    ///
    /// # Errors
    /// None of its own: without a PC/SC service there are no slots.
    pub fn count_slots(&self, token_present: bool) -> Result<usize, Error> {
        self.slots.refresh();
        Ok(self.slots.list(token_present).len())
    }

    /// PKCS #11, C_GetSlotList with a buffer: the slots that the last count found, with their tokens as they are now.
    ///
    /// # Errors
    /// As [`Module::count_slots`].
    pub fn list_slots(&self, token_present: bool) -> Result<Vec<SlotId>, Error> {
        self.slots.refresh_if_new();
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
    /// [`Error::NoEvent`] when not `blocking`; [`Error::NotInitialized`] when the module is finalized meanwhile.
    pub fn wait_for_slot_event(&self, blocking: bool) -> Result<SlotId, Error> {
        loop {
            self.check_running()?;
            let known = self.slots.look_for_events();
            if let Some(slot) = self.slots.take_event() {
                return Ok(slot);
            }
            if !blocking {
                return Err(Error::NoEvent);
            }
            self.transport.wait_for_change(&known, slots::WAIT_SLICE);
        }
    }

    /// PKCS #11, C_OpenSession.
    ///
    /// # Errors
    /// [`Error::SessionParallelNotSupported`] without `CKF_SERIAL_SESSION`, [`Error::TokenNotPresent`],
    /// [`Error::SessionCount`].
    pub fn open_session(&self, slot: SlotId, flags: ck::CK_FLAGS) -> Result<SessionHandle, Error> {
        let found = self.slots.get(slot)?;
        if flags & ck::CKF_SERIAL_SESSION == 0 {
            return Err(Error::SessionParallelNotSupported);
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

    /// Whether there is such a session.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`].
    pub fn check_session(&self, session: SessionHandle) -> Result<(), Error> {
        self.session(session).map(drop)
    }

    /// PKCS #11, C_GetSessionInfo. Notices a card that is gone, without an exchange with it.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`] or, when it is noticed now, device removed.
    pub fn session_info(&self, session: SessionHandle) -> Result<ck::CK_SESSION_INFO, Error> {
        Ok(self.live_session(session)?.info())
    }

    /// PKCS #11, C_SessionCancel.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`].
    pub fn session_cancel(&self, session: SessionHandle, flags: ck::CK_FLAGS) -> Result<(), Error> {
        self.session(session)?.cancel(flags);
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

    /// PKCS #11, C_Logout.
    ///
    /// # Errors
    /// See [`Session::logout`].
    pub fn logout(&self, session: SessionHandle) -> Result<(), Error> {
        self.session(session)?.logout()
    }

    /// PKCS #11, C_SetPIN.
    ///
    /// # Errors
    /// See [`Session::set_pin`].
    pub fn set_pin(&self, session: SessionHandle, old: PinEntry<'_>, new: PinEntry<'_>) -> Result<(), Error> {
        self.live_session(session)?.set_pin(old, new)
    }

    /// PKCS #11, C_GetAttributeValue.
    ///
    /// # Errors
    /// See [`Session::attributes`].
    pub fn attributes(
        &self,
        session: SessionHandle,
        object: ObjectHandle,
        queries: &[AttributeQuery],
    ) -> Result<AttributeAnswers, Error> {
        self.session(session)?.attributes(object, queries)
    }

    /// PKCS #11, C_GetObjectSize: the bytes of all attributes together.
    ///
    /// # Errors
    /// See [`Session::object_size`].
    pub fn object_size(&self, session: SessionHandle, object: ObjectHandle) -> Result<usize, Error> {
        self.session(session)?.object_size(object)
    }

    /// PKCS #11, C_FindObjectsInit.
    ///
    /// # Errors
    /// See [`Session::find_objects_init`].
    pub fn find_objects_init(
        &self,
        session: SessionHandle,
        template: &[TemplateEntry<'_>],
    ) -> Result<(), Error> {
        self.live_session(session)?.find_objects_init(template)
    }

    /// PKCS #11, C_FindObjects.
    ///
    /// # Errors
    /// See [`Session::find_objects`].
    pub fn find_objects(&self, session: SessionHandle, max: usize) -> Result<Vec<ObjectHandle>, Error> {
        self.session(session)?.find_objects(max)
    }

    /// PKCS #11, C_FindObjectsFinal.
    ///
    /// # Errors
    /// See [`Session::find_objects_final`].
    pub fn find_objects_final(&self, session: SessionHandle) -> Result<(), Error> {
        self.session(session)?.find_objects_final()
    }

    /// A session whose card is not known to be gone.
    fn session(&self, handle: SessionHandle) -> Result<Arc<Session>, Error> {
        self.check_running()?;
        let session = self.sessions.get(handle)?;
        let token = session.token();
        if token.manager().is_known(token.card().epoch()) {
            return Ok(session);
        }
        self.sessions.bury(token);
        Err(Error::SessionHandleInvalid)
    }

    /// A session whose card is there, as the service says now. Whoever notices that it is gone says so; after that
    /// the handle is invalid.
    fn live_session(&self, handle: SessionHandle) -> Result<Arc<Session>, Error> {
        let session = self.session(handle)?;
        let token = session.token();
        let current = token.manager().current();
        if current.is_some_and(|card| card.epoch() == token.card().epoch()) {
            return Ok(session);
        }
        self.sessions.bury(token);
        Err(Error::Card(crate::manager::error::CardError::Removed))
    }

    fn check_running(&self) -> Result<(), Error> {
        if self.shutting_down.load(Ordering::Acquire) { Err(Error::NotInitialized) } else { Ok(()) }
    }
}
