//! The callers' memory: strings in, bytes out, and blocks that the callers free.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use super::{AUTOALLOCATE, Dword};
use crate::service::Code;

/// A string of the caller; `None` for NULL.
///
/// # Safety
/// Not NULL means a string that ends with NUL and stays for the call.
pub(super) unsafe fn string<'call>(text: *const c_char) -> Option<&'call CStr> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not NULL, and the caller promises a string.
    Some(unsafe { CStr::from_ptr(text) })
}

/// Writes a value where the caller wants one.
///
/// # Safety
/// Not NULL means writable.
pub(super) unsafe fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: not NULL, and the caller promises that it is writable.
        unsafe { place.write_unaligned(value) };
    }
}

/// Writes bytes by the rules of PC/SC: to a buffer of `*length` bytes, to a new block for
/// AUTOALLOCATE, or only their length when `buffer` is NULL. `*length` is set in any case.
///
/// # Safety `length` is readable and writable. `buffer` is NULL, or has `*length` bytes, or is a
/// pointer to a pointer for AUTOALLOCATE.
pub(super) unsafe fn put_bytes(buffer: *mut u8, length: *mut Dword, bytes: &[u8]) -> Result<(), Code> {
    // SAFETY: the caller promises that it is readable.
    let room = unsafe { length.read_unaligned() };
    let needed = dword(bytes.len());
    // SAFETY: the caller promises that it is writable.
    unsafe { put(length, needed) };
    if room == AUTOALLOCATE {
        if buffer.is_null() {
            return Err(Code::INVALID_PARAMETER);
        }
        // SAFETY: malloc takes any size.
        let block = unsafe { libc::malloc(bytes.len().max(1)) }.cast::<u8>();
        if block.is_null() {
            return Err(Code::NO_MEMORY);
        }
        // SAFETY: the block is new and as long as the bytes.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), block, bytes.len()) };
        // SAFETY: with AUTOALLOCATE the caller gives a place for a pointer.
        unsafe { put(buffer.cast::<*mut u8>(), block) };
        return Ok(());
    }
    if buffer.is_null() {
        return Ok(());
    }
    if room < needed {
        return Err(Code::INSUFFICIENT_BUFFER);
    }
    // SAFETY: the buffer has `room` bytes, which are enough.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, bytes.len()) };
    Ok(())
}

/// Strings one after the other, each with its NUL, and one NUL more.
pub(super) fn multi_string(strings: &[CString]) -> Vec<u8> {
    let mut bytes: Vec<u8> = strings.iter().flat_map(|string| string.as_bytes_with_nul()).copied().collect();
    bytes.push(0);
    bytes
}

pub(super) fn dword(length: usize) -> Dword {
    Dword::try_from(length).unwrap_or(Dword::MAX)
}
