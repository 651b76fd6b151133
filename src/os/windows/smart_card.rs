//! The calls of winscard.dll, each with a safe face. Names of readers are UTF-16: the other form of
//! the calls has them in the code page of the machine, which not every name fits into.
//!
//! Handles are numbers, and the service refuses one that it does not know.

use std::ptr::{null, null_mut};

use windows_sys::Win32::Security::Credentials::{
    SCARD_IO_REQUEST, SCARD_PROTOCOL_T0, SCARD_PROTOCOL_T1, SCARD_READERSTATEW, SCARD_SCOPE_USER,
    SCARD_SHARE_SHARED, SCardBeginTransaction, SCardCancel, SCardConnectW, SCardControl, SCardDisconnect,
    SCardEndTransaction, SCardEstablishContext, SCardGetStatusChangeW, SCardListReadersW, SCardReconnect,
    SCardReleaseContext, SCardTransmit,
};

use crate::os::utf16::{texts_of, with_zero};

/// SCARD_E_INSUFFICIENT_BUFFER
const INSUFFICIENT_BUFFER: u32 = 0x8010_0008;

/// How often the list of readers may grow between the question for its length and the list.
const LIST_ATTEMPTS: usize = 5;

const PROTOCOLS: u32 = SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1;

/// One reader in [`get_status_change`].
#[derive(Debug, Clone)]
pub struct ReaderQuery {
    /// Its name, without a NUL.
    pub name: String,
    /// `dwCurrentState`.
    pub current: u32,
    /// `dwEventState`.
    pub event: u32,
}

/// SCardEstablishContext.
///
/// # Errors
/// The code of the service, as of every function here.
pub fn establish_context() -> Result<usize, u32> {
    let mut context = 0;
    // SAFETY: the context may be written.
    result(unsafe { SCardEstablishContext(SCARD_SCOPE_USER, null(), null(), &raw mut context) })?;
    Ok(context)
}

/// SCardReleaseContext.
///
/// # Errors
/// As [`establish_context`].
pub fn release_context(context: usize) -> Result<(), u32> {
    // SAFETY: a number is passed.
    result(unsafe { SCardReleaseContext(context) })
}

/// SCardCancel.
///
/// # Errors
/// As [`establish_context`].
pub fn cancel(context: usize) -> Result<(), u32> {
    // SAFETY: a number is passed.
    result(unsafe { SCardCancel(context) })
}

/// SCardListReaders.
///
/// # Errors
/// As [`establish_context`].
pub fn list_readers(context: usize) -> Result<Vec<String>, u32> {
    for _ in 0..LIST_ATTEMPTS {
        let mut length = 0;
        // SAFETY: the length may be written; a NULL list asks for it alone.
        result(unsafe { SCardListReadersW(context, null(), null_mut(), &raw mut length) })?;
        let mut list = vec![0_u16; usize::try_from(length).unwrap_or_default()];
        // SAFETY: so many units may be written.
        match result(unsafe { SCardListReadersW(context, null(), list.as_mut_ptr(), &raw mut length) }) {
            // Another reader came in between.
            Err(INSUFFICIENT_BUFFER) => {}
            answer => {
                return answer.map(|()| texts_of(&list));
            }
        }
    }
    Err(INSUFFICIENT_BUFFER)
}

/// SCardGetStatusChange.
///
/// # Errors
/// As [`establish_context`].
pub fn get_status_change(context: usize, milliseconds: u32, readers: &mut [ReaderQuery]) -> Result<(), u32> {
    let names: Vec<Vec<u16>> = readers.iter().map(|reader| with_zero(&reader.name)).collect();
    let mut states: Vec<SCARD_READERSTATEW> = readers
        .iter()
        .zip(&names)
        .map(|(reader, name)| SCARD_READERSTATEW {
            szReader: name.as_ptr(),
            dwCurrentState: reader.current,
            ..SCARD_READERSTATEW::default()
        })
        .collect();
    let count = u32::try_from(states.len()).unwrap_or_default();
    // SAFETY: there are so many, and the names end with NULs and stay for the call.
    let changed = unsafe { SCardGetStatusChangeW(context, milliseconds, states.as_mut_ptr(), count) };
    for (reader, state) in readers.iter_mut().zip(&states) {
        reader.event = state.dwEventState;
    }
    result(changed)
}

/// SCardConnect, shared, with whatever protocol the card has: the connection and its protocol.
///
/// # Errors
/// As [`establish_context`].
pub fn connect(context: usize, reader: &str) -> Result<(usize, u32), u32> {
    let reader = with_zero(reader);
    let (mut card, mut protocol) = (0, 0);
    let (mode, name) = (SCARD_SHARE_SHARED, reader.as_ptr());
    // SAFETY: the name ends with a NUL, and both numbers may be written.
    let connected =
        unsafe { SCardConnectW(context, name, mode, PROTOCOLS, &raw mut card, &raw mut protocol) };
    result(connected)?;
    Ok((card, protocol))
}

/// SCardReconnect, as [`connect`]: the protocol.
///
/// # Errors
/// As [`establish_context`].
pub fn reconnect(card: usize, initialization: u32) -> Result<u32, u32> {
    let mut protocol = 0;
    // SAFETY: the protocol may be written.
    result(unsafe {
        SCardReconnect(card, SCARD_SHARE_SHARED, PROTOCOLS, initialization, &raw mut protocol)
    })?;
    Ok(protocol)
}

/// SCardDisconnect.
///
/// # Errors
/// As [`establish_context`].
pub fn disconnect(card: usize, disposition: u32) -> Result<(), u32> {
    // SAFETY: numbers are passed.
    result(unsafe { SCardDisconnect(card, disposition) })
}

/// SCardBeginTransaction.
///
/// # Errors
/// As [`establish_context`].
pub fn begin_transaction(card: usize) -> Result<(), u32> {
    // SAFETY: a number is passed.
    result(unsafe { SCardBeginTransaction(card) })
}

/// SCardEndTransaction.
///
/// # Errors
/// As [`establish_context`].
pub fn end_transaction(card: usize, disposition: u32) -> Result<(), u32> {
    // SAFETY: numbers are passed.
    result(unsafe { SCardEndTransaction(card, disposition) })
}

/// SCardTransmit: how long the answer is.
///
/// # Errors
/// As [`establish_context`].
pub fn transmit(card: usize, protocol: u32, command: &[u8], answer: &mut [u8]) -> Result<usize, u32> {
    let size = u32::try_from(size_of::<SCARD_IO_REQUEST>()).unwrap_or_default();
    let request = SCARD_IO_REQUEST { dwProtocol: protocol, cbPciLength: size };
    let send_length = u32::try_from(command.len()).map_err(|_| INSUFFICIENT_BUFFER)?;
    let mut length = u32::try_from(answer.len()).map_err(|_| INSUFFICIENT_BUFFER)?;
    // SAFETY: so many bytes may be read and written, and the length may be written.
    result(unsafe {
        SCardTransmit(
            card,
            &raw const request,
            command.as_ptr(),
            send_length,
            null_mut(),
            answer.as_mut_ptr(),
            &raw mut length,
        )
    })?;
    usize::try_from(length).map_err(|_| INSUFFICIENT_BUFFER)
}

/// SCardControl: how long the answer is.
///
/// # Errors
/// As [`establish_context`].
pub fn control(card: usize, code: u32, input: &[u8], answer: &mut [u8]) -> Result<usize, u32> {
    let send_length = u32::try_from(input.len()).map_err(|_| INSUFFICIENT_BUFFER)?;
    let room = u32::try_from(answer.len()).map_err(|_| INSUFFICIENT_BUFFER)?;
    let mut length = 0;
    // SAFETY: so many bytes may be read and written, and the length may be written.
    result(unsafe {
        SCardControl(
            card,
            code,
            input.as_ptr().cast(),
            send_length,
            answer.as_mut_ptr().cast(),
            room,
            &raw mut length,
        )
    })?;
    usize::try_from(length).map_err(|_| INSUFFICIENT_BUFFER)
}

/// What a call returned: 0 is success.
fn result(code: i32) -> Result<(), u32> {
    if code == 0 { Ok(()) } else { Err(u32::from_ne_bytes(code.to_ne_bytes())) }
}
