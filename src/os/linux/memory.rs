//! Pages for secrets, and the page that the kernel empties at a fork.

use std::ffi::c_void;
use std::io::Error as IoError;
use std::process;
use std::ptr::{NonNull, from_ref, null_mut};
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use log::{debug, warn};
use zeroize::Zeroize;

use crate::os::{SecretMemory, SecretPage};

/// Gives out pages for secrets: not swapped, not in core files, zero in a forked child.
#[derive(Debug, Default, Clone, Copy)]
pub struct LockedMemory;

/// One page; wiped and given back on drop.
struct Page {
    start: NonNull<u8>,
    length: usize,
}

/// Tells a process from the children that it forks.
///
/// The mark lies on a page that the kernel empties in a child (madvise(2), `MADV_WIPEONFORK`). A
/// process id would not do: a child in a new PID namespace can have the id that its parent has in
/// its own. Where the kernel does not know the advice (before Linux 4.14) the process id is all
/// there is.
pub struct ForkMarker {
    /// The mark; null until the first question. It is never given back: other threads may read it.
    mark: AtomicPtr<AtomicU32>,
}

/// As long as the largest page of any kernel, and aligned to it.
#[repr(C, align(65536))]
struct LargestPage([AtomicU32; 16384]);

/// The page of the first mark. It is zero-initialised memory of the library, which the loader maps
/// without a file, and which goes when the library is unloaded.
static FIRST_PAGE: LargestPage = LargestPage([const { AtomicU32::new(0) }; 16384]);

/// Whether a marker has [`FIRST_PAGE`].
static FIRST_PAGE_TAKEN: AtomicBool = AtomicBool::new(false);

/// The value of a mark on a page that the kernel would not empty: then the process id is compared.
const NOT_WIPED: u32 = 1 << 31;

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
    fn map() -> Option<Self> {
        // SAFETY: the call has no preconditions.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let length = usize::try_from(size).ok().filter(|size| *size != 0)?;
        // SAFETY: a new anonymous mapping where the kernel likes; no memory in use is touched.
        let start = unsafe {
            libc::mmap(
                null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
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
        // SAFETY: as above; the advice does not change what is in the page.
        log_failure("MADV_DONTDUMP", unsafe { libc::madvise(start, self.length, libc::MADV_DONTDUMP) });
        self.wipe_on_fork();
    }

    /// Has the kernel empty the page in children. `false` where it cannot.
    fn wipe_on_fork(&self) -> bool {
        let start = self.start.as_ptr().cast::<c_void>();
        // SAFETY: the mapping is this page's own; a child finds zeros, and every bit pattern is a valid
        // `u8`.
        unsafe { wipe_on_fork(start, self.length) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        // SAFETY: the mapping is this page's own, and no reference into it outlives the page.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

impl ForkMarker {
    /// A marker that belongs to no process yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { mark: AtomicPtr::new(null_mut()) }
    }

    /// Whether this process is the one that asked first, and no child of it.
    pub fn is_ours(&self) -> bool {
        let mut mark = self.mark.load(Ordering::Acquire);
        if mark.is_null() {
            mark = self.set();
        }
        // SAFETY: a mark that is not null leads to a page that stays mapped as long as the process lives.
        let found = unsafe { mark.as_ref() }.map_or(0, |mark| mark.load(Ordering::Relaxed));
        if found & NOT_WIPED != 0 { found == own_number() | NOT_WIPED } else { found != 0 }
    }

    /// Sets the mark, unless another thread was faster. Lock-free: a fork may happen at any
    /// instruction.
    fn set(&self) -> *mut AtomicU32 {
        if let ([mark, ..], false) = (&FIRST_PAGE.0, FIRST_PAGE_TAKEN.swap(true, Ordering::AcqRel)) {
            let start = (&raw const FIRST_PAGE).cast_mut().cast::<c_void>();
            // SAFETY: nothing else lies on these pages, and a child finds the zeros that they began with.
            let wiped = unsafe { wipe_on_fork(start, size_of::<LargestPage>()) };
            mark.store(if wiped { 1 } else { own_number() | NOT_WIPED }, Ordering::Relaxed);
            return self.publish(from_ref(mark).cast_mut()).unwrap_or_else(|other| other);
        }
        let Some(page) = Page::map() else { return null_mut() };
        let value = if page.wipe_on_fork() { 1 } else { own_number() | NOT_WIPED };
        let mark = page.start.as_ptr().cast::<AtomicU32>();
        // SAFETY: a page is aligned for any type, longer than this one, and no other thread knows it yet.
        if let Some(mark) = unsafe { mark.as_ref() } {
            mark.store(value, Ordering::Relaxed);
        }
        self.publish(mark).inspect(|_| std::mem::forget(page)).unwrap_or_else(|other| other)
    }

    /// Makes this the mark. An error gives that of a thread that was faster.
    fn publish(&self, mark: *mut AtomicU32) -> Result<*mut AtomicU32, *mut AtomicU32> {
        let set = self.mark.compare_exchange(null_mut(), mark, Ordering::AcqRel, Ordering::Acquire);
        set.map(|_| mark)
    }
}

impl Default for ForkMarker {
    fn default() -> Self {
        Self::new()
    }
}

/// The process id, in the bits beside [`NOT_WIPED`].
fn own_number() -> u32 {
    process::id() & !NOT_WIPED
}

/// Has the kernel empty memory in children. `false` where it cannot.
///
/// # Safety
/// The memory belongs to the caller, and zeros are valid in it.
unsafe fn wipe_on_fork(start: *mut c_void, length: usize) -> bool {
    // SAFETY: as this function's caller promises.
    let result = unsafe { libc::madvise(start, length, libc::MADV_WIPEONFORK) };
    log_failure("MADV_WIPEONFORK", result);
    result == 0
}

/// Logs that a protection is missing.
fn log_failure(what: &str, result: libc::c_int) {
    if result != 0 {
        debug!("{what} on a page: {}", IoError::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_belongs_to_the_process_that_asks_first() {
        // The first has its page in the library, the second one of its own.
        let markers = [ForkMarker::new(), ForkMarker::new()];
        assert!(markers.iter().all(|marker| marker.is_ours() && marker.is_ours()));
        // SAFETY: the child calls nothing but `_exit`.
        match unsafe { libc::fork() } {
            // SAFETY: ends the child at once, without running what the parent registered.
            0 => unsafe { libc::_exit(i32::from(markers.iter().any(ForkMarker::is_ours))) },
            child => {
                let mut status = -1;
                // SAFETY: `status` may be written.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                assert_eq!(status, 0, "the child took itself for its parent");
            }
        }
    }

    #[test]
    fn a_mark_is_wiped_by_the_kernel_and_not_compared_with_a_process_id() {
        for marker in [ForkMarker::new(), ForkMarker::new()] {
            assert!(marker.is_ours());
            // SAFETY: a mark that was set leads to a page that stays.
            let mark = unsafe { &*marker.mark.load(Ordering::Acquire) };
            assert_eq!(mark.load(Ordering::Relaxed) & NOT_WIPED, 0);
        }
    }

    #[test]
    fn a_page_begins_empty_and_can_be_written() {
        let mut page = LockedMemory.page().unwrap();
        assert!(page.bytes().len() >= 4096 && page.bytes().iter().all(|byte| *byte == 0));
        page.bytes_mut()[..4].copy_from_slice(b"1234");
        assert_eq!(&page.bytes()[..5], b"1234\0");
    }
}
