//! Pages for secrets.

use std::ffi::c_void;
use std::io::Error as IoError;
use std::ptr::{NonNull, null_mut};
use std::slice;

use log::{debug, warn};
use zeroize::Zeroize;

use crate::os::{SecretMemory, SecretPage, system};

/// Gives out pages for secrets: not swapped, not in core files, zero in a forked child.
#[derive(Debug, Default, Clone, Copy)]
pub struct LockedMemory;

/// One page; wiped and given back on drop.
pub(super) struct Page {
    pub(super) start: NonNull<u8>,
    pub(super) length: usize,
}

// SAFETY: a page belongs to its owner alone, like a `Box<[u8]>`.
unsafe impl Send for Page {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Page {}

impl SecretMemory for LockedMemory {
    fn page(&self) -> Option<Box<dyn SecretPage>> {
        let page = Page::map()?;
        page.protect();
        Some(Box::new(page))
    }
}

impl SecretPage for Page {
    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is readable, that long, and lives until the drop.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, writable too, and `&mut self` keeps others away.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Page {
    /// A page that nothing protects yet.
    pub(super) fn map() -> Option<Self> {
        // SAFETY: the call has no preconditions.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let length = usize::try_from(size).ok().filter(|size| *size != 0)?;
        // SAFETY: a new anonymous mapping where the kernel likes; no memory in use is touched.
        let start = unsafe {
            libc::mmap(
                null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANON,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            warn!("no memory for a PIN: {}", IoError::last_os_error());
            return None;
        }
        Some(Self { start: NonNull::new(start.cast())?, length })
    }

    /// Keeps the page out of swap, core files and children. A failure is logged and no more: a
    /// limit on locked memory of 0, which containers set, is no reason to refuse the card.
    fn protect(&self) {
        let start = self.start.as_ptr().cast::<c_void>();
        // SAFETY: the mapping is this page's own.
        log_failure("mlock", unsafe { libc::mlock(start, self.length) });
        // SAFETY: as above.
        unsafe { system::keep_from_dumps(start, self.length) };
        // SAFETY: as above; a child finds zeros or no page, and every bit pattern is a valid `u8`.
        unsafe { system::keep_from_children(start, self.length) };
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        // SAFETY: the mapping is this page's own, and no reference into it outlives the page.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// Logs that a protection is missing.
pub(in crate::os) fn log_failure(what: &str, result: libc::c_int) {
    if result != 0 {
        debug!("{what} on a page: {}", IoError::last_os_error());
    }
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
