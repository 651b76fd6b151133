//! General-purpose functions and the remains of parallel function management (PKCS #11,
//! "General-purpose functions", "Parallel function management functions").

use std::sync::Arc;

use cryptoki_sys as ck;
use cryptoki_sys::{CK_INFO, CK_RV, CK_SESSION_HANDLE, CK_VERSION};

use super::boundary::{call, entry, log_panics};
use super::ptr::{self, Out};
use super::{global, versions};
use crate::config::Config;
use crate::error::Error;
use crate::logging;
use crate::manager::memory::ProcessMemory;
use crate::module::Module;
use crate::os::{Ending, Environment, on_exit};

const MANUFACTURER: [u8; 32] = padded("jpki-pkcs11");
const DESCRIPTION: [u8; 32] = padded("JPKI My Number card module");
const LIBRARY_VERSION: CK_VERSION = CK_VERSION {
    major: number(env!("CARGO_PKG_VERSION_MAJOR")),
    minor: number(env!("CARGO_PKG_VERSION_MINOR")),
};

/// PKCS #11, C_Initialize.
pub(super) unsafe extern "C" fn C_Initialize(init_args: ck::CK_VOID_PTR) -> CK_RV {
    entry("C_Initialize", || {
        // SAFETY: the caller's duty for pInitArgs.
        let arguments = unsafe { ptr::initialize_arguments(init_args) }?;
        check_locking(arguments.as_ref())?;
        global::initialize(make_module)
    })
}

/// PKCS #11, C_Finalize.
pub(super) unsafe extern "C" fn C_Finalize(reserved: ck::CK_VOID_PTR) -> CK_RV {
    call("C_Finalize", |_| {
        ptr::reserved(reserved)?;
        global::finalize()?;
        logging::stop();
        Ok(())
    })
}

/// PKCS #11, C_GetInfo, in the table of version 2.40.
pub(super) unsafe extern "C" fn C_GetInfo_2_40(info: *mut CK_INFO) -> CK_RV {
    // SAFETY: the caller's duty for pInfo.
    unsafe { get_info(versions::VERSION_2_40, info) }
}

/// PKCS #11, C_GetInfo, in the table of version 3.0.
pub(super) unsafe extern "C" fn C_GetInfo_3_0(info: *mut CK_INFO) -> CK_RV {
    // SAFETY: the caller's duty for pInfo.
    unsafe { get_info(versions::VERSION_3_0, info) }
}

/// PKCS #11, C_GetInfo, in the table of version 3.2.
pub(super) unsafe extern "C" fn C_GetInfo_3_2(info: *mut CK_INFO) -> CK_RV {
    // SAFETY: the caller's duty for pInfo.
    unsafe { get_info(versions::VERSION_3_2, info) }
}

/// PKCS #11, C_GetFunctionStatus: a legacy function.
pub(super) extern "C" fn C_GetFunctionStatus(session: CK_SESSION_HANDLE) -> CK_RV {
    call("C_GetFunctionStatus", |module| not_parallel(module, session))
}

/// PKCS #11, C_CancelFunction: a legacy function.
pub(super) extern "C" fn C_CancelFunction(session: CK_SESSION_HANDLE) -> CK_RV {
    call("C_CancelFunction", |module| not_parallel(module, session))
}

/// C_GetInfo tells the version of the interface it was called through, so that an application which
/// knows only that one understands the answer.
///
/// # Safety
/// `info` is NULL or leads to a `CK_INFO`.
unsafe fn get_info(version: CK_VERSION, info: *mut CK_INFO) -> CK_RV {
    call("C_GetInfo", |_| {
        // SAFETY: as this function's caller promises.
        let info = unsafe { Out::new(info) }?;
        info.write(CK_INFO {
            cryptokiVersion: version,
            manufacturerID: MANUFACTURER,
            flags: 0,
            libraryDescription: DESCRIPTION,
            libraryVersion: LIBRARY_VERSION,
        });
        Ok(())
    })
}

/// Nothing runs in parallel. A bad session is reported first.
fn not_parallel(module: &Module, session: CK_SESSION_HANDLE) -> Result<(), Error> {
    module.session(ptr::session(session))?;
    Err(Error::FunctionNotParallel)
}

/// Which locks a caller may ask for (PKCS #11, C_Initialize).
///
/// This module locks with the operating system's means always. That serves callers with one thread
/// and callers that set `CKF_OS_LOCKING_OK`. A caller that offers only mutex functions wants those
/// to be used, and is refused. `CKF_LIBRARY_CANT_CREATE_OS_THREADS` costs nothing: no thread is
/// created.
fn check_locking(arguments: Option<&ck::CK_C_INITIALIZE_ARGS>) -> Result<(), Error> {
    let Some(arguments) = arguments else { return Ok(()) };
    ptr::reserved(arguments.pReserved)?;
    // Copied first: on Windows the structure is packed, and no field may be borrowed.
    let mutex_functions = [
        { arguments.CreateMutex }.is_some(),
        { arguments.DestroyMutex }.is_some(),
        { arguments.LockMutex }.is_some(),
        { arguments.UnlockMutex }.is_some(),
    ];
    let os_locking = arguments.flags & ck::CKF_OS_LOCKING_OK != 0;
    match mutex_functions {
        [true, true, true, true] if !os_locking => Err(Error::CantLock),
        [true, true, true, true] | [false, false, false, false] => Ok(()),
        _ => Err(Error::ArgumentsBad),
    }
}

/// The module of this process, over PC/SC.
fn make_module(memory: Arc<ProcessMemory>, is_child: bool) -> Module {
    log_panics();
    // A host that exits while its other threads sign must not leave the card open either.
    on_exit(|ending| match ending {
        Ending::Process => global::leave(),
        Ending::Library => {
            // First of all: afterwards no thread waits for a lock in here, this one neither.
            global::end_calls();
            let _ = global::finalize();
        }
    });
    let environment = Environment::of_this_process();
    let config = Config::load(&environment);
    logging::start(&config, &environment);
    if is_child { Module::of_a_child(config, memory) } else { Module::of_this_system(config, memory) }
}

/// A text as PKCS#11 has it in structures: padded with blanks, without an end mark.
const fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    let mut rest = text.as_bytes();
    let mut room: &mut [u8] = &mut field;
    while let (Some((byte, others)), Some((place, further))) = (rest.split_first(), room.split_first_mut()) {
        *place = *byte;
        rest = others;
        room = further;
    }
    assert!(rest.is_empty(), "longer than its field");
    field
}

/// A decimal number below 256. Used at compile time only, where an overflow is a compile error.
const fn number(digits: &str) -> u8 {
    match u8::from_str_radix(digits, 10) {
        Ok(number) => number,
        Err(_) => u8::MAX,
    }
}
