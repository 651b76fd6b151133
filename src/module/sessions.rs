//! Session handles, and the rule that a login ends with the last session of its token.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::error::Error;
use crate::handle::{HandleCounter, SessionHandle, SlotId};
use crate::token::session::Session;
use crate::token::{SessionCounts, Token};

/// The most sessions of one application, far above what any needs. An application that never closes
/// one is stopped before memory runs out.
const MAX_SESSIONS: usize = 1 << 18;

/// The open sessions.
#[derive(Default)]
pub(super) struct SessionTable {
    sessions: RwLock<HashMap<SessionHandle, Arc<Session>>>,
    handles: HandleCounter,
}

impl SessionTable {
    /// No session yet.
    pub(super) fn new(handles: HandleCounter) -> Self {
        Self { sessions: RwLock::default(), handles }
    }

    /// Gives a session a handle.
    pub(super) fn open(&self, session: Session) -> Result<SessionHandle, Error> {
        let mut sessions = self.sessions.write();
        if sessions.len() >= MAX_SESSIONS {
            return Err(Error::SessionCount);
        }
        let handle = SessionHandle::new(self.handles.take().ok_or(Error::SessionCount)?);
        sessions.insert(handle, Arc::new(session));
        Ok(handle)
    }

    /// The session with this handle.
    pub(super) fn get(&self, handle: SessionHandle) -> Result<Arc<Session>, Error> {
        self.sessions.read().get(&handle).cloned().ok_or(Error::SessionHandleInvalid)
    }

    /// How many sessions a token has. Those of a card that was taken out before belong to that
    /// card's token.
    pub(super) fn counts(&self, token: &Arc<Token>) -> SessionCounts {
        let sessions = self.sessions.read();
        let of_token = sessions.values().filter(|session| Arc::ptr_eq(session.token(), token));
        of_token.fold(SessionCounts::default(), |counts, session| SessionCounts {
            all: counts.all + 1,
            read_write: counts.read_write + usize::from(session.is_read_write()),
        })
    }

    /// Closes a session. Those of a card that was in the slot before do not keep the login.
    pub(super) fn close(&self, handle: SessionHandle) -> Result<(), Error> {
        let mut sessions = self.sessions.write();
        let session = sessions.remove(&handle).ok_or(Error::SessionHandleInvalid)?;
        if !sessions.values().any(|other| Arc::ptr_eq(other.token(), session.token())) {
            session.token().credential().log_out();
        }
        Ok(())
    }

    /// Ends a login of a token that has no session any more: another thread closed the last one
    /// while the card checked the PIN, before there was a login to end.
    pub(super) fn end_login_without_session(&self, token: &Arc<Token>) -> Result<(), Error> {
        let sessions = self.sessions.read();
        if sessions.values().any(|session| Arc::ptr_eq(session.token(), token)) {
            return Ok(());
        }
        token.credential().log_out();
        Err(Error::SessionHandleInvalid)
    }

    /// Closes every session of a slot.
    pub(super) fn close_all(&self, slot: SlotId) {
        self.end(|session| session.slot() == slot);
    }

    /// Closes the sessions of a token whose card is gone, and of the other token on it.
    pub(super) fn close_removed(&self, token: &Token) {
        self.end(|session| Arc::ptr_eq(session.token().card(), token.card()));
    }

    /// Closes every session.
    pub(super) fn clear(&self) {
        self.end(|_| true);
    }

    /// Closes the sessions that match, and ends the logins of their tokens: all sessions of a token
    /// match or none.
    fn end(&self, matches: impl Fn(&Session) -> bool) {
        self.sessions.write().retain(|_, session| {
            let ends = matches(session);
            if ends {
                session.token().credential().log_out();
            }
            !ends
        });
    }
}
