//! The service in a child of a fork, where it may not be called there.

use std::sync::Arc;

use super::calls::{Calls, Code, Context};

/// There is no service.
struct NoService;

/// What a child of a fork calls: nothing at all, where the service does not serve it.
#[must_use]
pub fn in_child(calls: Arc<dyn Calls>) -> Arc<dyn Calls> {
    if calls.serves_children() { calls } else { Arc::new(NoService) }
}

impl Calls for NoService {
    fn counts_changes(&self) -> bool {
        false
    }

    fn establish_context(&self) -> Result<Box<dyn Context>, Code> {
        Err(Code::NO_SERVICE)
    }
}
