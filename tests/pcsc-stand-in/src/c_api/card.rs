//! Connections, transactions and exchanges.

#![expect(non_snake_case, reason = "the names of winscard.h")]

use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::{ptr, slice};

use super::memory::{put, put_bytes, string};
use super::service::the_service;
use super::{Dword, Long, ScardContext, ScardHandle, ScardIoRequest, dword, handle, long};
use crate::service::{CardHandle, Code, ContextHandle, Disposition, ShareMode};

/// MAX_READERNAME
const MAX_READERNAME: usize = 128;
/// MAX_BUFFER_SIZE_EXTENDED
const MAX_BUFFER_SIZE_EXTENDED: usize = 4 + 3 + (1 << 16) + 3 + 2;
/// MAX_BUFFER_SIZE
const MAX_BUFFER_SIZE: Dword = 264;

/// Connects to a card.
///
/// # Safety
/// `szReader` is NULL or a string; the other pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SCardConnect(
    hContext: ScardContext,
    szReader: *const c_char,
    dwShareMode: Dword,
    dwPreferredProtocols: Dword,
    phCard: *mut ScardHandle,
    pdwActiveProtocol: *mut Dword,
) -> Long {
    if phCard.is_null() || pdwActiveProtocol.is_null() {
        return long(Err(Code::INVALID_PARAMETER));
    }
    // SAFETY: not NULL, so writable.
    unsafe { put(phCard, 0) };
    // SAFETY: the caller promises NULL or a string.
    let Some(reader) = (unsafe { string(szReader) }) else {
        return long(Err(Code::UNKNOWN_READER));
    };
    let Some(share) = ShareMode::from_raw(dwShareMode.into()) else {
        return long(Err(Code::INVALID_VALUE));
    };
    if reader.count_bytes() > MAX_READERNAME {
        return long(Err(Code::INVALID_VALUE));
    }
    let context = ContextHandle(hContext.into());
    long(the_service().connect(context, reader, share, mask(dwPreferredProtocols)).map(|(card, protocol)| {
        // SAFETY: not NULL, so writable.
        unsafe { put(phCard, handle(card.0)) };
        // SAFETY: not NULL, so writable.
        unsafe { put(pdwActiveProtocol, protocol.into()) };
    }))
}

/// Renews a connection.
///
/// # Safety
/// `pdwActiveProtocol` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SCardReconnect(
    hCard: ScardHandle,
    dwShareMode: Dword,
    dwPreferredProtocols: Dword,
    dwInitialization: Dword,
    pdwActiveProtocol: *mut Dword,
) -> Long {
    if pdwActiveProtocol.is_null() {
        return long(Err(Code::INVALID_PARAMETER));
    }
    let (Some(share), Some(initialization)) =
        (ShareMode::from_raw(dwShareMode.into()), Disposition::from_raw(dwInitialization.into()))
    else {
        return long(Err(Code::INVALID_VALUE));
    };
    let renewed =
        the_service().reconnect(CardHandle(hCard.into()), share, mask(dwPreferredProtocols), initialization);
    // SAFETY: not NULL, so writable.
    long(renewed.map(|protocol| unsafe { put(pdwActiveProtocol, protocol.into()) }))
}

/// Ends a connection.
#[unsafe(no_mangle)]
pub extern "C" fn SCardDisconnect(hCard: ScardHandle, dwDisposition: Dword) -> Long {
    match Disposition::from_raw(dwDisposition.into()) {
        Some(disposition) => long(the_service().disconnect(CardHandle(hCard.into()), disposition)),
        None => long(Err(Code::INVALID_VALUE)),
    }
}

/// Begins a transaction.
#[unsafe(no_mangle)]
pub extern "C" fn SCardBeginTransaction(hCard: ScardHandle) -> Long {
    long(the_service().begin_transaction(CardHandle(hCard.into())))
}

/// Ends a transaction.
#[unsafe(no_mangle)]
pub extern "C" fn SCardEndTransaction(hCard: ScardHandle, dwDisposition: Dword) -> Long {
    match Disposition::from_raw(dwDisposition.into()) {
        Some(disposition) => long(the_service().end_transaction(CardHandle(hCard.into()), disposition)),
        None => long(Err(Code::INVALID_VALUE)),
    }
}

/// Tells of the card and its reader.
///
/// # Safety
/// Every pointer is NULL or writable; the buffers have as many bytes as their lengths say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SCardStatus(
    hCard: ScardHandle,
    szReaderName: *mut c_char,
    pcchReaderLen: *mut Dword,
    pdwState: *mut Dword,
    pdwProtocol: *mut Dword,
    pbAtr: *mut u8,
    pcbAtrLen: *mut Dword,
) -> Long {
    let status = match the_service().status(CardHandle(hCard.into())) {
        Ok(status) => status,
        Err(code) => return long(Err(code)),
    };
    // SAFETY: NULL or writable.
    unsafe { put(pdwState, status.state.into()) };
    // SAFETY: NULL or writable.
    unsafe { put(pdwProtocol, status.protocol.into()) };
    let mut no_room: Dword = 0;
    let name_length = if pcchReaderLen.is_null() { ptr::from_mut(&mut no_room) } else { pcchReaderLen };
    // SAFETY: the caller promises a buffer of that length.
    let name = unsafe { put_bytes(szReaderName.cast(), name_length, status.reader.as_bytes_with_nul()) };
    let mut no_room: Dword = 0;
    let atr_length = if pcbAtrLen.is_null() { ptr::from_mut(&mut no_room) } else { pcbAtrLen };
    // SAFETY: the caller promises a buffer of that length.
    let atr = unsafe { put_bytes(pbAtr, atr_length, &status.atr) };
    long(name.and(atr))
}

/// One exchange.
///
/// # Safety
/// The buffers have as many bytes as their lengths say; every other pointer is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SCardTransmit(
    hCard: ScardHandle,
    pioSendPci: *const ScardIoRequest,
    pbSendBuffer: *const u8,
    cbSendLength: Dword,
    pioRecvPci: *mut ScardIoRequest,
    pbRecvBuffer: *mut u8,
    pcbRecvLength: *mut Dword,
) -> Long {
    if pioSendPci.is_null() || pbSendBuffer.is_null() || pbRecvBuffer.is_null() || pcbRecvLength.is_null() {
        return long(Err(Code::INVALID_PARAMETER));
    }
    let send_length = usize::try_from(cbSendLength).unwrap_or(usize::MAX);
    if send_length > MAX_BUFFER_SIZE_EXTENDED {
        return long(Err(Code::INSUFFICIENT_BUFFER));
    }
    // SAFETY: not NULL, so readable.
    let pci = unsafe { pioSendPci.read_unaligned() };
    // SAFETY: not NULL, so readable.
    let room = usize::try_from(unsafe { pcbRecvLength.read_unaligned() }).unwrap_or(usize::MAX);
    // SAFETY: the caller promises that many bytes.
    let command = unsafe { slice::from_raw_parts(pbSendBuffer, send_length) };
    let needed = Cell::new(0);
    let sent = the_service().transmit_telling(
        CardHandle(hCard.into()),
        mask(pci.dwProtocol),
        command,
        room,
        &needed,
    );
    let reported = match &sent {
        Ok(sent) => Dword::try_from(sent.reported).unwrap_or(Dword::MAX),
        Err(_) => dword(needed.get()),
    };
    // SAFETY: not NULL, so writable.
    unsafe { put(pcbRecvLength, reported) };
    long(sent.map(|sent| {
        let copied = sent.answer.len().min(room);
        // SAFETY: the buffer has `room` bytes.
        unsafe { ptr::copy_nonoverlapping(sent.answer.as_ptr(), pbRecvBuffer, copied) };
        // SAFETY: NULL or writable.
        unsafe { put(pioRecvPci, pci) };
    }))
}

/// Speaks to the reader.
///
/// # Safety
/// The buffers have as many bytes as their lengths say; `lpBytesReturned` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SCardControl(
    hCard: ScardHandle,
    dwControlCode: Dword,
    _pbSendBuffer: *const c_void,
    _cbSendLength: Dword,
    pbRecvBuffer: *mut c_void,
    cbRecvLength: Dword,
    lpBytesReturned: *mut Dword,
) -> Long {
    // SAFETY: NULL or writable.
    unsafe { put(lpBytesReturned, 0) };
    let answer = the_service().control(CardHandle(hCard.into()), dwControlCode.into());
    long(answer.and_then(|answer| {
        let mut length = cbRecvLength;
        // SAFETY: the caller promises a buffer of that length.
        unsafe { put_bytes(pbRecvBuffer.cast(), &raw mut length, &answer) }?;
        // SAFETY: NULL or writable.
        unsafe { put(lpBytesReturned, length) };
        Ok(())
    }))
}

/// Asks for an attribute.
///
/// # Safety `pcbAttrLen` is NULL or writable; `pbAttr` is NULL or has as many bytes as that says,
/// or is a place for a pointer with SCARD_AUTOALLOCATE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SCardGetAttrib(
    hCard: ScardHandle,
    dwAttrId: Dword,
    pbAttr: *mut u8,
    pcbAttrLen: *mut Dword,
) -> Long {
    if pcbAttrLen.is_null() {
        return long(Err(Code::INVALID_PARAMETER));
    }
    if pbAttr.is_null() {
        // SAFETY: not NULL, so writable.
        unsafe { put(pcbAttrLen, MAX_BUFFER_SIZE) };
    }
    let attribute = the_service().attribute(CardHandle(hCard.into()), dwAttrId.into());
    // SAFETY: the caller's promises are those that `put_bytes` asks for.
    long(attribute.and_then(|bytes| unsafe { put_bytes(pbAttr, pcbAttrLen, &bytes) }))
}

/// Sets an attribute.
///
/// # Safety
/// None: the value is not read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SCardSetAttrib(
    hCard: ScardHandle,
    _dwAttrId: Dword,
    _pbAttr: *const u8,
    _cbAttrLen: Dword,
) -> Long {
    long(the_service().set_attribute(CardHandle(hCard.into())))
}

/// A mask of 32 bits, as the service has them in its messages.
fn mask(value: Dword) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(u32::MAX)
}
