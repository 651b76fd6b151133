//! A login for one signature (PKCS #11, C_Login, `CKU_CONTEXT_SPECIFIC`).

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::card::KnownPin;

/// A PIN that was given for one signature. It is wiped with this, or before that when the login of
/// the token ends.
pub struct ContextLogin(Mutex<Option<Arc<KnownPin>>>);

impl fmt::Debug for ContextLogin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ContextLogin")
    }
}

impl ContextLogin {
    /// A login with a PIN that the card has accepted.
    pub(super) fn new(pin: KnownPin) -> Self {
        Self(Mutex::new(Some(Arc::new(pin))))
    }

    /// The PIN, unless the login has ended since it was given.
    pub(super) fn pin(&self) -> Option<Arc<KnownPin>> {
        self.0.lock().clone()
    }

    /// Ends it.
    pub(super) fn revoke(&self) {
        *self.0.lock() = None;
    }
}
