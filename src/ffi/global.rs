//! The static of the module: which [`Module`] this process has initialized. Other statics of the
//! crate hold nothing of a card or a caller.
//!
//! A forked child is another application and has to call C_Initialize itself (PKCS #11 Usage Guide,
//! "Applications and processes"). It inherits a copy of everything. A lock that another thread of
//! the parent held at the fork is never released there, and the socket to the PC/SC service is
//! still the parent's. So the child touches none of it. The instance is marked with the process
//! that made it, and a process that finds another's mark starts with an instance of its own. The
//! parent's is left where it is, never dropped. `pthread_atfork` would be simpler and is not used:
//! its handlers outlive a library that is unloaded.

use std::ptr::from_ref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use once_cell::sync::OnceCell;
use parking_lot::RwLock;

use crate::error::Error;
use crate::handle::HandleCounters;
use crate::manager::memory::ProcessMemory;
use crate::module::Module;
use crate::os::{ForkMarker, LockedMemory, stay_loaded};

/// How long the end of the library or of the process waits for calls that are under way.
const CALLS_TIMEOUT: Duration = Duration::from_secs(2);

/// How often it looks.
const CALLS_PERIOD: Duration = Duration::from_millis(10);

/// How long the last call has for its way out of this library. The way is a few instructions, but
/// the thread may have to wait for a processor.
const WAY_OUT: Duration = Duration::from_millis(100);

/// The module of one process.
struct Instance {
    owner: ForkMarker,
    /// Whether the process is a child of one that had an instance.
    is_child: bool,
    /// How many calls are under way.
    calls: AtomicUsize,
    /// Which thread called first; 0 before that.
    first_caller: AtomicUsize,
    /// Whether the library is being unloaded.
    unloading: AtomicBool,
    module: RwLock<Option<Arc<Module>>>,
    /// What outlives C_Finalize.
    memory: OnceCell<Arc<ProcessMemory>>,
    /// This too, and a fork: handles of the parent name nothing in its child.
    handles: OnceCell<HandleCounters>,
}

/// The instance of the process that loaded the library. Only children of a fork need another.
static FIRST: Instance = Instance::new(false);

static CURRENT: AtomicPtr<Instance> = AtomicPtr::new((&raw const FIRST).cast_mut());

impl Instance {
    const fn new(is_child: bool) -> Self {
        Self {
            owner: ForkMarker::new(),
            is_child,
            calls: AtomicUsize::new(0),
            first_caller: AtomicUsize::new(0),
            unloading: AtomicBool::new(false),
            module: RwLock::new(None),
            memory: OnceCell::new(),
            handles: OnceCell::new(),
        }
    }

    /// The first instance of a child of the process that had this one.
    fn of_child(&self) -> &'static Self {
        let fresh: &'static Self = Box::leak(Box::new(Self::new(true)));
        if let Some(handles) = self.handles.get() {
            // No lock: the counters are the child's own copy.
            let _ = fresh.handles.set(handles.clone());
        }
        // Marked before another thread can see it, or a fork can happen.
        fresh.owner.is_ours();
        fresh
    }

    /// As the function of this name.
    fn initialize(&self, make: impl FnOnce(Arc<ProcessMemory>, bool) -> Module) -> Result<(), Error> {
        // `make` reads the configuration and talks to no card. If it panics, the module stays
        // absent.
        let mut module = self.module.write();
        if module.is_some() {
            return Err(Error::AlreadyInitialized);
        }
        let memory = self.memory.get_or_init(|| Arc::new(ProcessMemory::new(Arc::new(LockedMemory)))).clone();
        let handles = self.handles.get_or_init(HandleCounters::default).clone();
        *module = Some(Arc::new(make(memory, self.is_child).with_handles(handles)));
        Ok(())
    }

    /// Whether this thread called first, or does now. A thread has the place of a thread-local, and
    /// a later one may have that of one that has ended.
    fn is_first_caller(&self) -> bool {
        thread_local!(static PLACE: u8 = const { 0 });
        let place = PLACE.with(|place| from_ref(place).addr());
        match self.first_caller.compare_exchange(0, place, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => true,
            Err(first) => first == place,
        }
    }
}

/// A call that is under way.
pub(super) struct CallUnderWay(&'static Instance);

impl CallUnderWay {
    /// A call begins. It ends when this is dropped. `None` when the library is being unloaded: such
    /// a call must not wait for a lock, since a thread that waits registers work for its own end,
    /// and the library would be gone by then.
    pub(super) fn begin() -> Option<Self> {
        let instance = instance();
        // In one order with `end_calls`: either this finds the mark, or that finds the call.
        instance.calls.fetch_add(1, Ordering::SeqCst);
        let call = Self(instance);
        if instance.unloading.load(Ordering::SeqCst) { None } else { Some(call) }
    }

    /// Has the library stay in the process once a second thread calls it: only then does a thread
    /// wait for another one, which registers work for its end, or outlast the unloading.
    pub(super) fn keep_library(&self) {
        if !self.0.is_first_caller() {
            stay_loaded();
        }
    }
}

impl Drop for CallUnderWay {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Refuses further calls and waits until none is under way, two seconds at most: the code that a
/// thread returns to must not be unloaded before. A thread may wait for the loader, which waits for
/// this; so the wait ends.
pub(super) fn end_calls() {
    let instance = instance();
    instance.unloading.store(true, Ordering::SeqCst);
    let end = Instant::now() + CALLS_TIMEOUT;
    while instance.calls.load(Ordering::SeqCst) > 0 && Instant::now() < end {
        thread::sleep(CALLS_PERIOD);
    }
    if !instance.is_first_caller() {
        // The other thread's last call is counted no more, and may still be on its way out.
        thread::sleep(WAY_OUT);
    }
}

/// The module, for the time of one call. The lock is not held while it works, so that C_Finalize
/// can run meanwhile.
///
/// # Errors
/// [`Error::NotInitialized`], in a child of the process that initialized it too.
pub(super) fn module() -> Result<Arc<Module>, Error> {
    instance().module.read().clone().ok_or(Error::NotInitialized)
}

/// Makes the module of this process. `make` is told whether that is a child of a fork. Of threads
/// that try at the same time one succeeds.
///
/// # Errors
/// [`Error::AlreadyInitialized`].
pub(super) fn initialize(make: impl FnOnce(Arc<ProcessMemory>, bool) -> Module) -> Result<(), Error> {
    instance().initialize(make)
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

/// As [`finalize`], at the end of the process. What the PC/SC service would have to answer is left
/// to that end: a service that hangs must not keep the host.
pub(super) fn leave() {
    // C_Initialize may be under way, in this very thread where a signal ends it.
    let module = instance().module.try_write_for(CALLS_TIMEOUT).and_then(|mut module| module.take());
    if let Some(module) = module {
        module.leave();
        // Dropped, it would close its connections. The process closes them now.
        std::mem::forget(module);
    }
}

/// The instance of this process.
fn instance() -> &'static Instance {
    let current = CURRENT.load(Ordering::Acquire);
    // SAFETY: CURRENT leads to FIRST or to a leaked box; neither ever goes away.
    let instance = unsafe { &*current };
    if instance.owner.is_ours() {
        return instance;
    }
    let fresh = instance.of_child();
    match CURRENT.compare_exchange(current, from_ref(fresh).cast_mut(), Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => fresh,
        // Another thread of this process was faster. What leaks are a few bytes, once in a process.
        // SAFETY: as above.
        Err(other) => unsafe { &*other },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_child_is_told_that_it_is_one_and_so_is_its_own_child() {
        let parent = Instance::new(false);
        let child = parent.of_child();
        for (instance, expected) in [(&parent, false), (child, true), (child.of_child(), true)] {
            let made = instance.initialize(|memory, is_child| {
                assert_eq!(is_child, expected);
                Module::of_this_system(Config::default(), memory)
            });
            assert_eq!(made, Ok(()));
        }
    }
}
