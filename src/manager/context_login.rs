//! A login for one signature (PKCS #11, C_Login, `CKU_CONTEXT_SPECIFIC`).

use parking_lot::Mutex;

use crate::jpki::pin::SharedPin;

/// A PIN that was given for one signature. It is wiped with this, or before that when the login of the token ends.
#[derive(Debug)]
pub struct ContextLogin(Mutex<Option<SharedPin>>);

impl ContextLogin {
    /// A login with a PIN that the card has accepted.
    pub(super) fn new(pin: SharedPin) -> Self {
        Self(Mutex::new(Some(pin)))
    }

    /// The PIN, unless the login has ended since it was given.
    pub(super) fn pin(&self) -> Option<SharedPin> {
        self.0.lock().clone()
    }

    /// Ends it.
    pub(super) fn revoke(&self) {
        *self.0.lock() = None;
    }
}
