//! What runs when a host unloads the library without C_Finalize: the pages for secrets are wiped.
//!
//! The loader's lock is held then. What waits for another thread, or has the service answer, could
//! stop the host; so sessions and connections stay what they are until the process ends.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::slice;

use parking_lot::Mutex;
use zeroize::Zeroize;

use super::memory::PAGE;

/// The library is unloaded, or the process ends (winnt.h).
const DLL_PROCESS_DETACH: u32 = 0;

/// The pages that hold secrets now.
pub(super) static LIVE_PAGES: LivePages = LivePages(Mutex::new(Vec::new()));

/// A list of pages.
pub(super) struct LivePages(Mutex<Vec<LivePage>>);

/// The start of a page.
struct LivePage(NonNull<u8>);

// SAFETY: it is read and written by the thread alone that unloads the library. That is the only
// thread which has called the library: a second one has it stay in the process.
unsafe impl Send for LivePage {}

impl LivePages {
    /// A page of [`PAGE`] bytes that lives until it is removed.
    pub(super) fn add(&self, start: NonNull<u8>) {
        self.0.lock().push(LivePage(start));
    }

    /// The page is going to be given back.
    pub(super) fn remove(&self, start: NonNull<u8>) {
        self.0.lock().retain(|page| page.0 != start);
    }

    /// Wipes every page. Waits for nothing: a thread that was ended while it had the list keeps it.
    fn wipe(&self) {
        let Some(pages) = self.0.try_lock() else { return };
        for page in pages.iter() {
            // SAFETY: a page of this list is there, that long, and may be written; the thread
            // that used it does not run any more.
            unsafe { slice::from_raw_parts_mut(page.0.as_ptr(), PAGE) }.zeroize();
        }
    }
}

/// The loader calls the function of this name. `reserved` is NULL when the library is unloaded, and
/// not when the process ends: that gives all of its memory back.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the loader's name")]
extern "system" fn DllMain(_library: *mut c_void, reason: u32, reserved: *mut c_void) -> i32 {
    if reason == DLL_PROCESS_DETACH && reserved.is_null() {
        LIVE_PAGES.wipe();
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_of_the_list_are_wiped_and_no_others() {
        let pages = LivePages(Mutex::new(Vec::new()));
        let mut memory = [[0x31_u8; PAGE]; 3];
        let starts = memory.each_mut().map(|page| NonNull::from(page).cast::<u8>());
        starts.iter().for_each(|start| pages.add(*start));
        pages.remove(starts[1]);
        pages.wipe();
        assert_eq!(memory, [[0; PAGE], [0x31; PAGE], [0; PAGE]]);
    }

    #[test]
    fn a_list_that_another_thread_has_is_not_waited_for() {
        let pages = LivePages(Mutex::new(Vec::new()));
        let _kept = pages.0.lock();
        pages.wipe();
    }
}
