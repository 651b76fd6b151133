//! Contexts and readers.

#![expect(non_snake_case, reason = "the names of winscard.h")]

use std::ffi::{c_char, c_void};
use std::slice;
use std::time::Duration;

use super::memory::{multi_string, put, put_bytes, string};
use super::{Dword, INFINITE, Long, MAX_ATR_SIZE, ScardContext, ScardReaderState, dword, handle, long};
use crate::command::Console;
use crate::service::{Code, ContextHandle, ReaderState};

/// The most readers the service has.
const MAX_READERS: usize = 16;

/// Makes a client.
///
/// # Safety
/// `phContext` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SCardEstablishContext(
    dwScope: Dword,
    _pvReserved1: *const c_void,
    _pvReserved2: *const c_void,
    phContext: *mut ScardContext,
) -> Long {
    if phContext.is_null() {
        return long(Err(Code::INVALID_PARAMETER));
    }
    // SAFETY: not NULL, so writable.
    unsafe { put(phContext, 0) };
    if dwScope > 3 {
        return long(Err(Code::INVALID_VALUE));
    }
    // SAFETY: not NULL, so writable.
    long(the_service().establish_context().map(|context| unsafe { put(phContext, handle(context.0)) }))
}

/// Ends a client.
#[unsafe(no_mangle)]
pub extern "C" fn SCardReleaseContext(hContext: ScardContext) -> Long {
    long(the_service().release_context(ContextHandle(hContext.into())))
}

/// Asks whether a context is known.
#[unsafe(no_mangle)]
pub extern "C" fn SCardIsValidContext(hContext: ScardContext) -> Long {
    long(the_service().is_valid_context(ContextHandle(hContext.into())))
}

/// Ends a wait for changes.
#[unsafe(no_mangle)]
pub extern "C" fn SCardCancel(hContext: ScardContext) -> Long {
    long(the_service().cancel(ContextHandle(hContext.into())))
}

/// Lists the readers.
///
/// # Safety `pcchReaders` is NULL or writable; `mszReaders` is NULL or has as many bytes as that
/// says, or is a place for a pointer with SCARD_AUTOALLOCATE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SCardListReaders(
    hContext: ScardContext,
    _mszGroups: *const c_char,
    mszReaders: *mut c_char,
    pcchReaders: *mut Dword,
) -> Long {
    if pcchReaders.is_null() {
        return long(Err(Code::INVALID_PARAMETER));
    }
    let listed = the_service().list_readers(ContextHandle(hContext.into()));
    long(listed.and_then(|readers| {
        // SAFETY: the caller's promises are those that `put_bytes` asks for.
        unsafe { put_bytes(mszReaders.cast(), pcchReaders, &multi_string(&readers)) }
    }))
}

/// Lists the groups of readers.
///
/// # Safety
/// As [`SCardListReaders`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SCardListReaderGroups(
    hContext: ScardContext,
    mszGroups: *mut c_char,
    pcchGroups: *mut Dword,
) -> Long {
    if pcchGroups.is_null() {
        return long(Err(Code::INVALID_PARAMETER));
    }
    let listed = the_service().list_reader_groups(ContextHandle(hContext.into()));
    long(listed.and_then(|groups| {
        // SAFETY: the caller's promises are those that `put_bytes` asks for.
        unsafe { put_bytes(mszGroups.cast(), pcchGroups, &multi_string(&groups)) }
    }))
}

/// Frees what SCARD_AUTOALLOCATE has allocated.
///
/// # Safety
/// `pvMem` is NULL or from SCARD_AUTOALLOCATE, and not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SCardFreeMemory(hContext: ScardContext, pvMem: *const c_void) -> Long {
    if the_service().is_valid_context(ContextHandle(hContext.into())).is_err() {
        return long(Err(Code::INVALID_HANDLE));
    }
    // SAFETY: it comes from `malloc`, and the caller frees it once.
    unsafe { libc::free(pvMem.cast_mut()) };
    0
}

/// Waits until a reader is not as the caller knows it.
///
/// # Safety `rgReaderStates` is NULL, or `cReaders` of them are readable and writable, each with a
/// string for a name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SCardGetStatusChange(
    hContext: ScardContext,
    dwTimeout: Dword,
    rgReaderStates: *mut ScardReaderState,
    cReaders: Dword,
) -> Long {
    let count = usize::try_from(cReaders).unwrap_or(usize::MAX);
    if (rgReaderStates.is_null() && count > 0) || count > MAX_READERS {
        return long(Err(Code::INVALID_PARAMETER));
    }
    if count == 0 {
        return 0;
    }
    // SAFETY: not NULL, and the caller promises `cReaders` of them.
    let states = unsafe { slice::from_raw_parts_mut(rgReaderStates, count) };
    let mut readers = Vec::with_capacity(count);
    for state in states.iter() {
        // SAFETY: the caller promises a string for every name.
        let Some(name) = (unsafe { string(state.szReader) }) else {
            return long(Err(Code::INVALID_VALUE));
        };
        let current = low_half(state.dwCurrentState);
        readers.push(ReaderState { current, ..ReaderState::unaware(name) });
    }
    let timeout = match low_half(dwTimeout) {
        endless if u64::from(endless) == INFINITE => None,
        milliseconds => Some(Duration::from_millis(milliseconds.into())),
    };
    let result = the_service().get_status_change(ContextHandle(hContext.into()), timeout, &mut readers);
    for (state, reader) in states.iter_mut().zip(&readers) {
        state.dwEventState = reader.event.into();
        let length = reader.atr.len().min(MAX_ATR_SIZE);
        state.cbAtr = dword(length);
        state.rgbAtr[..length].copy_from_slice(&reader.atr[..length]);
    }
    long(result)
}

/// The name of a code.
#[unsafe(no_mangle)]
pub extern "C" fn pcsc_stringify_error(pcscError: Long) -> *const c_char {
    if pcscError == 0 { c"Command successful.".as_ptr() } else { c"Error of the stand-in.".as_ptr() }
}

/// Carries out a request of the test (see [`crate::command`]) and writes the reply, cut off if need
/// be and with a NUL. Returns the length of the whole reply, or -1 for a NULL request. The reply
/// begins with `+` or, for a request that went wrong, with `-`.
///
/// # Safety
/// `request` is NULL or has `length` bytes; `reply` is NULL or has `room` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcsc_stand_in_command(
    request: *const u8,
    length: usize,
    reply: *mut u8,
    room: usize,
) -> isize {
    if request.is_null() {
        return -1;
    }
    // SAFETY: not NULL, and the caller promises that many bytes.
    let request = unsafe { slice::from_raw_parts(request, length) };
    let answer = match Console::of_this_process().execute(request) {
        Ok(mut answer) => {
            answer.insert(0, b'+');
            answer
        }
        Err(reason) => format!("-{reason}").into_bytes(),
    };
    if !reply.is_null() && room > 0 {
        let copied = answer.len().min(room - 1);
        // SAFETY: the caller promises `room` bytes, one more than are copied.
        unsafe { reply.copy_from_nonoverlapping(answer.as_ptr(), copied) };
        // SAFETY: within `room`.
        let end = unsafe { reply.add(copied) };
        // SAFETY: within `room`.
        unsafe { put(end, 0) };
    }
    isize::try_from(answer.len()).unwrap_or(isize::MAX)
}

/// The low 32 bits, as the service has them in its messages.
fn low_half(value: Dword) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(u32::MAX)
}

pub(super) fn the_service() -> &'static crate::service::Service {
    Console::of_this_process().service()
}
