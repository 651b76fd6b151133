//! Memory that ends where a page begins that cannot be accessed: reading or writing one byte too
//! far ends the process.

use std::ptr::{self, NonNull};
use std::slice;

use cryptoki_sys::CK_ULONG;

use super::functions::address;

/// What memory holds before it is written.
pub const UNTOUCHED: u8 = 0xee;

/// Such memory.
#[derive(Debug)]
pub struct Guarded {
    mapping: NonNull<u8>,
    mapped: usize,
    length: usize,
}

// SAFETY: the memory is owned like that of a `Vec<u8>`.
unsafe impl Send for Guarded {}

impl Guarded {
    /// `length` bytes of [`UNTOUCHED`].
    pub fn room(length: usize) -> Self {
        let page = page_size();
        let usable = length.div_ceil(page) * page;
        let mapped = usable + page;
        // SAFETY: a new mapping where the kernel likes.
        let mapping = unsafe {
            libc::mmap(
                ptr::null_mut(),
                mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(mapping, libc::MAP_FAILED, "no memory");
        let mapping = NonNull::new(mapping.cast::<u8>()).expect("not at 0");
        // SAFETY: the mapping is that long.
        unsafe { mapping.write_bytes(UNTOUCHED, mapped) };
        // SAFETY: within the mapping.
        let guard = unsafe { mapping.add(usable) };
        // SAFETY: the last page of this mapping, to which no other pointer leads yet.
        let protected = unsafe { libc::mprotect(guard.as_ptr().cast(), page, libc::PROT_NONE) };
        assert_eq!(protected, 0);
        Self { mapping, mapped, length }
    }

    /// These bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut guarded = Self::room(bytes.len());
        guarded.bytes_mut().copy_from_slice(bytes);
        guarded
    }

    /// Room for a value, or a value.
    pub fn holding<T: Copy>(value: T) -> Self {
        let guarded = Self::room(size_of::<T>());
        // SAFETY: there is room for one.
        unsafe { guarded.place::<T>().write_unaligned(value) };
        guarded
    }

    /// Where it begins.
    pub fn place<T>(&self) -> *mut T {
        let before = self.mapped - page_size() - self.length;
        // SAFETY: within the mapping.
        unsafe { self.mapping.add(before) }.as_ptr().cast()
    }

    /// Where it begins, as a word.
    pub fn word(&self) -> CK_ULONG {
        address(self.place::<u8>())
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes are readable, and have been written.
        unsafe { slice::from_raw_parts(self.place(), self.length) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and no other reference to it exists.
        unsafe { slice::from_raw_parts_mut(self.place(), self.length) }
    }

    /// The value at its beginning.
    pub fn value<T: Copy>(&self) -> T {
        assert!(size_of::<T>() <= self.length);
        // SAFETY: there is room for one, and the test knows what was written there.
        unsafe { self.place::<T>().read_unaligned() }
    }

    /// Whether it is unchanged, and the bytes before it too.
    pub fn is_untouched(&self) -> bool {
        self.is_untouched_before() && self.bytes().iter().all(|byte| *byte == UNTOUCHED)
    }

    /// Whether the bytes before it are unchanged.
    pub fn is_untouched_before(&self) -> bool {
        let before = self.mapped - page_size() - self.length;
        // SAFETY: so many bytes are readable, and have been written.
        let before = unsafe { slice::from_raw_parts(self.mapping.as_ptr(), before) };
        before.iter().all(|byte| *byte == UNTOUCHED)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own.
        unsafe { libc::munmap(self.mapping.as_ptr().cast(), self.mapped) };
    }
}

pub fn page_size() -> usize {
    // SAFETY: no preconditions.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.try_into().expect("a size")
}
