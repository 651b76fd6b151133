//! Pages for secrets.

use std::ffi::{CStr, c_void};
use std::io::Error as IoError;
use std::mem::transmute;
use std::ptr::{NonNull, null};
use std::slice;

use log::{debug, warn};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};
use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_READWRITE, VirtualAlloc, VirtualFree, VirtualLock,
};
use zeroize::Zeroize;

use super::unloading::LIVE_PAGES;
use crate::os::{SecretMemory, SecretPage};

/// The size of a page on every processor that Windows runs on.
pub(super) const PAGE: usize = 4096;

/// Gives out pages for secrets: not swapped, and not in error reports.
#[derive(Debug, Default, Clone, Copy)]
pub struct LockedMemory;

/// One page; wiped and given back on drop.
struct Page {
    start: NonNull<u8>,
}

// SAFETY: a page belongs to its owner alone, like a `Box<[u8]>`.
unsafe impl Send for Page {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Page {}

impl SecretMemory for LockedMemory {
    fn page(&self) -> Option<Box<dyn SecretPage>> {
        // SAFETY: new memory where the system likes; no memory in use is touched.
        let start = unsafe { VirtualAlloc(null(), PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) };
        let Some(start) = NonNull::new(start.cast::<u8>()) else {
            warn!("no memory for a PIN: {}", IoError::last_os_error());
            return None;
        };
        let page = Page { start };
        page.protect();
        LIVE_PAGES.add(start);
        Some(Box::new(page))
    }
}

impl SecretPage for Page {
    fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is readable, that long, and lives until the drop.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), PAGE) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, writable too, and `&mut self` keeps others away.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), PAGE) }
    }
}

impl Page {
    /// Keeps the page out of the page file and of error reports. A failure is logged and no more.
    fn protect(&self) {
        let start = self.start.as_ptr().cast::<c_void>();
        // SAFETY: the memory is this page's own.
        if unsafe { VirtualLock(start, PAGE) } == 0 {
            debug!("VirtualLock on a page: {}", IoError::last_os_error());
        }
        let Some(exclude) = error_report_function(c"WerRegisterExcludedMemoryBlock") else {
            debug!("WerRegisterExcludedMemoryBlock: not in this version of Windows");
            return;
        };
        // SAFETY: the function of this name is of this type (werapi.h).
        let exclude: unsafe extern "system" fn(*const c_void, u32) -> i32 = unsafe { transmute(exclude) };
        let length = u32::try_from(PAGE).unwrap_or_default();
        // SAFETY: the memory is this page's own, and is taken off the list before it goes.
        let result = unsafe { exclude(start, length) };
        if result != 0 {
            debug!("WerRegisterExcludedMemoryBlock on a page: {result:#010x}");
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        LIVE_PAGES.remove(self.start);
        let start = self.start.as_ptr().cast::<c_void>();
        if let Some(include) = error_report_function(c"WerUnregisterExcludedMemoryBlock") {
            // SAFETY: the function of this name is of this type (werapi.h).
            let include: unsafe extern "system" fn(*const c_void) -> i32 = unsafe { transmute(include) };
            // SAFETY: an address that is not on the list is refused.
            unsafe { include(start) };
        }
        // SAFETY: the memory is this page's own, and no reference into it outlives the page.
        unsafe { VirtualFree(start, 0, MEM_RELEASE) };
    }
}

/// A function that not every Windows has (they came with version 1703, and Wine 10 lacks them), so
/// that it cannot be linked.
fn error_report_function(name: &CStr) -> Option<unsafe extern "system" fn() -> isize> {
    // SAFETY: the name ends with a NUL, and this library stays in every process.
    let library = unsafe { GetModuleHandleA(c"kernel32.dll".as_ptr().cast()) };
    // SAFETY: the library is one, and the name ends with a NUL.
    unsafe { GetProcAddress(library, name.as_ptr().cast()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_empty_and_can_be_written() {
        let mut page = LockedMemory.page().unwrap();
        assert!(page.bytes().len() >= 4096 && page.bytes().iter().all(|byte| *byte == 0));
        page.bytes_mut()[..4].copy_from_slice(b"1234");
        assert_eq!(&page.bytes()[..5], b"1234\0");
    }
}
