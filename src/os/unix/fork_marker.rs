//! The page that the kernel empties at a fork.

use std::ffi::c_void;
use std::process;
use std::ptr::{from_ref, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use super::memory::Page;
use crate::os::system;

/// Tells a process from the children that it forks.
///
/// The mark lies on a page that the kernel empties in a child. A process id would not do: a child
/// in a new PID namespace can have the id that its parent has in its own. Where the kernel does not
/// empty pages (before Linux 4.14) the process id is all there is.
pub struct ForkMarker {
    /// The mark; null until the first question. It is never given back: other threads may read it.
    mark: AtomicPtr<AtomicU32>,
}

/// How many marks are as long as the largest page of any kernel: 65,536 bytes.
const LARGEST_PAGE: usize = 16_384;

/// Twice as long, so that a page of any size lies in it, wherever the loader puts it: not every
/// loader keeps to an alignment that is larger than a page.
#[repr(C, align(4096))]
struct AroundPage([AtomicU32; 2 * LARGEST_PAGE]);

/// The memory around the page of the first mark. It is zero-initialised memory of the library,
/// which the loader maps without a file, and which goes when the library is unloaded.
static AROUND_FIRST_PAGE: AroundPage = AroundPage([const { AtomicU32::new(0) }; 2 * LARGEST_PAGE]);

/// The first mark, and the rest of its page. It begins at a multiple of the largest page: nothing
/// else lies on the pages that it is made of, whatever their size.
fn first_page() -> &'static [AtomicU32] {
    let around = &AROUND_FIRST_PAGE.0;
    let length = LARGEST_PAGE * size_of::<AtomicU32>();
    let begin = around.as_ptr().addr().next_multiple_of(length) - around.as_ptr().addr();
    let begin = begin / size_of::<AtomicU32>();
    around.get(begin..begin + LARGEST_PAGE).unwrap_or_default()
}

/// Whether a marker has the page of [`first_page`].
static FIRST_PAGE_TAKEN: AtomicBool = AtomicBool::new(false);

/// The value of a mark on a page that the kernel would not empty: then the process id is compared.
const NOT_WIPED: u32 = 1 << 31;

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
        // SAFETY: a mark that is not null leads to a page that stays mapped as long as the process
        // lives.
        let found = unsafe { mark.as_ref() }.map_or(0, |mark| mark.load(Ordering::Relaxed));
        if found & NOT_WIPED != 0 { found == own_number() | NOT_WIPED } else { found != 0 }
    }

    /// Sets the mark, unless another thread was faster. Lock-free: a fork may happen at any
    /// instruction.
    fn set(&self) -> *mut AtomicU32 {
        let page = first_page();
        if let ([mark, ..], false) = (page, FIRST_PAGE_TAKEN.swap(true, Ordering::AcqRel)) {
            let start = page.as_ptr().cast_mut().cast::<c_void>();
            // SAFETY: nothing else lies on these pages, and a child finds the zeros that they began
            // with.
            let wiped = unsafe { system::keep_from_children(start, size_of_val(page)) };
            mark.store(if wiped { 1 } else { own_number() | NOT_WIPED }, Ordering::Relaxed);
            return self.publish(from_ref(mark).cast_mut()).unwrap_or_else(|other| other);
        }
        let Some(page) = Page::map() else { return null_mut() };
        // SAFETY: the mapping is this page's own, and nothing is in it yet.
        let wiped = unsafe { system::keep_from_children(page.start.as_ptr().cast(), page.length) };
        let value = if wiped { 1 } else { own_number() | NOT_WIPED };
        let mark = page.start.as_ptr().cast::<AtomicU32>();
        // SAFETY: a page is aligned for any type, longer than this one, and no other thread knows
        // it yet.
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
    fn the_first_page_lies_in_its_memory_and_on_whole_pages() {
        let around = (&raw const AROUND_FIRST_PAGE).addr();
        let (begin, length) = (first_page().as_ptr().addr(), size_of_val(first_page()));
        assert_eq!((begin % 65_536, length), (0, 65_536));
        assert!(begin >= around && begin + length <= around + size_of::<AroundPage>());
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
}
