//! The functions of `libpcsclite.so.1` over the one service of the process.
//!
//! Signatures are those of `winscard.h` on Linux, where DWORD and LONG have the width of a pointer.
//! Each function checks its pointers as the client library does, makes one call on the service and
//! writes the result out.

#![allow(
    clippy::useless_conversion,
    clippy::unnecessary_fallible_conversions,
    reason = "DWORD and LONG have 32 bits on some machines"
)]

mod card;
mod memory;
mod service;

use std::ffi::{c_char, c_long, c_ulong, c_void};

pub use self::card::*;
use self::memory::dword;
pub use self::service::*;
use crate::service::Code;

/// DWORD
pub type Dword = c_ulong;
/// LONG
pub type Long = c_long;
/// SCARDCONTEXT
pub type ScardContext = c_long;
/// SCARDHANDLE
pub type ScardHandle = c_long;

/// SCARD_AUTOALLOCATE
const AUTOALLOCATE: Dword = Dword::MAX;
/// INFINITE
const INFINITE: u64 = 0xffff_ffff;
/// MAX_ATR_SIZE
const MAX_ATR_SIZE: usize = 33;

/// The size of [`ScardIoRequest`].
const PCI_LENGTH: Dword = size_of::<ScardIoRequest>() as Dword;

/// SCARD_IO_REQUEST
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[expect(non_snake_case, reason = "the names of winscard.h")]
pub struct ScardIoRequest {
    /// The protocol.
    pub dwProtocol: c_ulong,
    /// The size of this structure.
    pub cbPciLength: c_ulong,
}

/// SCARD_READERSTATE
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[expect(non_snake_case, reason = "the names of winscard.h")]
pub struct ScardReaderState {
    /// The reader's name.
    pub szReader: *const c_char,
    /// The caller's own.
    pub pvUserData: *mut c_void,
    /// What the caller knows.
    pub dwCurrentState: Dword,
    /// What is.
    pub dwEventState: Dword,
    /// The length of the answer to reset.
    pub cbAtr: Dword,
    /// The answer to reset.
    pub rgbAtr: [u8; MAX_ATR_SIZE],
}

/// SCARD_PCI_T0
#[used]
#[unsafe(no_mangle)]
pub static g_rgSCardT0Pci: ScardIoRequest = pci(1);

/// SCARD_PCI_T1
#[used]
#[unsafe(no_mangle)]
pub static g_rgSCardT1Pci: ScardIoRequest = pci(2);

/// SCARD_PCI_RAW
#[used]
#[unsafe(no_mangle)]
pub static g_rgSCardRawPci: ScardIoRequest = pci(4);

const fn pci(protocol: Dword) -> ScardIoRequest {
    ScardIoRequest { dwProtocol: protocol, cbPciLength: PCI_LENGTH }
}

/// The LONG of a result.
fn long(result: Result<(), Code>) -> Long {
    match result {
        Ok(()) => 0,
        // With 32 bits it is a negative number.
        Err(code) => {
            Long::try_from(code.raw()).unwrap_or_else(|_| i32::from_ne_bytes(code.raw().to_ne_bytes()).into())
        }
    }
}

/// A handle of the service for a client: they have 32 bits.
fn handle(raw: i64) -> ScardHandle {
    raw.try_into().expect("a handle of 32 bits")
}
