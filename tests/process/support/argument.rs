//! The PINs that a host gives to the library.
//!
//! A host has to hold a PIN during C_Login. These arguments lie on pages like those of the library:
//! locked, not dumped, and empty in a fork. So a search of the other pages finds only real copies.

use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::slice;

use zeroize::Zeroize;

/// Bytes of the page.
const PAGE: usize = 4096;

/// One argument. It is wiped when it is dropped.
pub struct Argument {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the page belongs to its owner alone.
unsafe impl Send for Argument {}

impl Argument {
    /// Room for so many bytes.
    pub fn new(length: usize) -> Self {
        assert!(length <= PAGE, "one page");
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let start = unsafe { libc::mmap(ptr::null_mut(), PAGE, rights, kind, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED, "a page");
        // A host with a low limit cannot lock it. A search then takes the page for a find.
        // SAFETY: the mapping is new, and has this length.
        unsafe { libc::mlock(start, PAGE) };
        for advice in [libc::MADV_DONTDUMP, libc::MADV_WIPEONFORK] {
            // SAFETY: as above. The advice does not change the bytes.
            assert_eq!(unsafe { libc::madvise(start, PAGE, advice) }, 0, "advice {advice}");
        }
        Self { start: NonNull::new(start.cast()).expect("not NULL"), length }
    }
}

impl Deref for Argument {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is readable, longer than this, and lives as long as `self`.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for Argument {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is the only owner.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Argument {
    fn drop(&mut self) {
        self.zeroize();
        // SAFETY: the mapping is our own, and no reference to it is left.
        unsafe { libc::munmap(self.start.as_ptr().cast(), PAGE) };
    }
}
