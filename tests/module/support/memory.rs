//! Pages for PINs that tests can count and look into.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jpki_pkcs11::manager::memory::ProcessMemory;
use jpki_pkcs11::os::{SecretMemory, SecretPage};

/// As much as the longest entry needs. Pages of a real system are longer, and to wipe those takes
/// long where little is optimised.
const PAGE: usize = 512;

/// What happens before a page is given.
type Hook = Box<dyn FnOnce() + Send>;

/// Memory that counts its pages and looks into those that are given back.
#[derive(Default)]
pub struct TestMemory {
    before_next_page: Mutex<Option<Hook>>,
    exhausted: AtomicBool,
    live: Arc<AtomicUsize>,
    /// How many pages were given back with something in them.
    unwiped: Arc<AtomicUsize>,
}

struct TestPage {
    bytes: [u8; PAGE],
    live: Arc<AtomicUsize>,
    /// How many pages were given back with something in them.
    unwiped: Arc<AtomicUsize>,
}

impl TestMemory {
    /// Whether it gives no pages from now on.
    pub fn set_exhausted(&self, exhausted: bool) {
        self.exhausted.store(exhausted, Ordering::Relaxed);
    }

    /// Runs `hook` on the thread that takes the next page, before it gets it.
    pub fn before_next_page(&self, hook: impl FnOnce() + Send + 'static) {
        *self.before_next_page.lock().unwrap() = Some(Box::new(hook));
    }

    /// How many pages are in use: how many PINs are kept.
    pub fn live_pages(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Whether every page that was given back had been wiped before.
    pub fn is_wiped(&self) -> bool {
        self.unwiped.load(Ordering::Relaxed) == 0
    }
}

/// What a copy of the library remembers, in pages that [`TestMemory`] of the module does not count.
pub fn process_memory() -> Arc<ProcessMemory> {
    Arc::new(ProcessMemory::new(Arc::new(TestMemory::default())))
}

impl SecretMemory for TestMemory {
    fn page(&self) -> Option<Box<dyn SecretPage>> {
        let hook = self.before_next_page.lock().unwrap().take();
        hook.into_iter().for_each(|hook| hook());
        if self.exhausted.load(Ordering::Relaxed) {
            return None;
        }
        self.live.fetch_add(1, Ordering::Relaxed);
        Some(Box::new(TestPage {
            bytes: [0; PAGE],
            live: Arc::clone(&self.live),
            unwiped: Arc::clone(&self.unwiped),
        }))
    }
}

impl SecretPage for TestPage {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for TestPage {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
        // One comparison of memory. A loop over the bytes takes most of the time of a login here.
        if self.bytes != [0; PAGE] {
            self.unwiped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
