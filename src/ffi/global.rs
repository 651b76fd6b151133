//! The one static of the crate: which [`Module`] this process has initialized.
//!
//! A forked child is another application and has to call C_Initialize itself (PKCS #11 Usage Guide, "Applications
//! and processes"). It inherits a copy of everything, including locks that some other thread of the parent held at
//! the moment of the fork and that nobody will ever release, and a socket to the PC/SC service that is still the
//! parent's. So the child touches none of it: the instance is marked with the process that made it, and a process
//! that finds another's mark starts with an instance of its own. The parent's is left where it is, never dropped.
//! `pthread_atfork` would be simpler and is not used: its handlers outlive a library that is unloaded.

use std::process;
use std::ptr::from_ref;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use parking_lot::RwLock;

use crate::error::Error;
use crate::module::Module;

/// The module of one process.
struct Instance {
    /// The process this belongs to; 0 until somebody asks.
    owner: AtomicU32,
    module: RwLock<Option<Arc<Module>>>,
}

/// The instance of the process that loaded the library. Only children of a fork need another.
static FIRST: Instance = Instance::new(0);

static CURRENT: AtomicPtr<Instance> = AtomicPtr::new((&raw const FIRST).cast_mut());

impl Instance {
    const fn new(owner: u32) -> Self {
        Self { owner: AtomicU32::new(owner), module: RwLock::new(None) }
    }

    /// Whether this belongs to `process`, to which it belongs from now on if it was nobody's.
    fn belongs_to(&self, process: u32) -> bool {
        let mut owner = self.owner.load(Ordering::Relaxed);
        if owner == 0 {
            let claim = self.owner.compare_exchange(0, process, Ordering::Relaxed, Ordering::Relaxed);
            owner = claim.map_or_else(|other| other, |_| process);
        }
        owner == process
    }
}

/// The module, for the time of one call. The lock is not held while it works, so that C_Finalize can run meanwhile.
///
/// # Errors
/// [`Error::NotInitialized`], in a child of the process that initialized it too.
pub(super) fn module() -> Result<Arc<Module>, Error> {
    instance().module.read().clone().ok_or(Error::NotInitialized)
}

/// Makes the module of this process. Of threads that try at the same time one succeeds.
///
/// # Errors
/// [`Error::AlreadyInitialized`].
pub(super) fn initialize(make: impl FnOnce() -> Module) -> Result<(), Error> {
    // `make` reads the configuration and talks to no card. If it panics, the module stays absent.
    let mut module = instance().module.write();
    if module.is_some() {
        return Err(Error::AlreadyInitialized);
    }
    *module = Some(Arc::new(make()));
    Ok(())
}

/// Takes the module away from further calls and ends those that go on. The last of them drops it.
///
/// # Errors
/// [`Error::NotInitialized`].
pub(super) fn finalize() -> Result<(), Error> {
    let module = instance().module.write().take().ok_or(Error::NotInitialized)?;
    module.shut_down();
    Ok(())
}

/// The instance of this process.
fn instance() -> &'static Instance {
    let process = process::id();
    let current = CURRENT.load(Ordering::Acquire);
    // SAFETY: CURRENT leads to FIRST or to a leaked box; neither ever goes away.
    let instance = unsafe { &*current };
    if instance.belongs_to(process) {
        return instance;
    }
    let fresh: &'static Instance = Box::leak(Box::new(Instance::new(process)));
    match CURRENT.compare_exchange(current, from_ref(fresh).cast_mut(), Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => fresh,
        // Another thread of this process was faster. What leaks are a few bytes, once in a process.
        // SAFETY: as above.
        Err(other) => unsafe { &*other },
    }
}
