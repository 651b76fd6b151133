//! Slot and token management functions (PKCS #11, "Slot and token management functions").

use cryptoki_sys as ck;
use cryptoki_sys::{CK_MECHANISM_TYPE, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CK_ULONG, CK_UTF8CHAR};

use super::boundary::call;
use super::ptr::{self, Out, OutBuffer};
use crate::os::stay_loaded;
use crate::token::output::BufferSize;

/// PKCS #11, C_GetSlotList. A NULL list asks for the number, and is the only call that looks for
/// new readers.
pub(super) unsafe extern "C" fn C_GetSlotList(
    token_present: ck::CK_BBOOL,
    slot_list: *mut CK_SLOT_ID,
    count: *mut CK_ULONG,
) -> CK_RV {
    call("C_GetSlotList", |module| {
        let token_present = token_present != ck::CK_FALSE;
        // SAFETY: the caller's duty for pSlotList and pulCount.
        let list = unsafe { OutBuffer::new(slot_list, count) }?;
        match list.size() {
            BufferSize::Query => {
                list.write_length(module.count_slots(token_present)?);
                Ok(())
            }
            BufferSize::Bytes(_) => {
                let slots = module.list_slots(token_present)?;
                list.write_items(&slots.iter().map(|slot| ptr::ulong(slot.raw())).collect::<Vec<_>>())
            }
        }
    })
}

/// PKCS #11, C_GetSlotInfo.
pub(super) unsafe extern "C" fn C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut ck::CK_SLOT_INFO) -> CK_RV {
    call("C_GetSlotInfo", |module| {
        // SAFETY: the caller's duty for pInfo.
        let info = unsafe { Out::new(info) }?;
        info.write(module.slot_info(ptr::slot(slot))?);
        Ok(())
    })
}

/// PKCS #11, C_GetTokenInfo.
pub(super) unsafe extern "C" fn C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut ck::CK_TOKEN_INFO) -> CK_RV {
    call("C_GetTokenInfo", |module| {
        // SAFETY: the caller's duty for pInfo.
        let info = unsafe { Out::new(info) }?;
        info.write(module.token_info(ptr::slot(slot))?);
        Ok(())
    })
}

/// PKCS #11, C_GetMechanismList.
pub(super) unsafe extern "C" fn C_GetMechanismList(
    slot: CK_SLOT_ID,
    mechanism_list: *mut CK_MECHANISM_TYPE,
    count: *mut CK_ULONG,
) -> CK_RV {
    call("C_GetMechanismList", |module| {
        // SAFETY: the caller's duty for pMechanismList and pulCount.
        let list = unsafe { OutBuffer::new(mechanism_list, count) }?;
        list.write_items(&module.mechanism_list(ptr::slot(slot))?)
    })
}

/// PKCS #11, C_GetMechanismInfo.
pub(super) unsafe extern "C" fn C_GetMechanismInfo(
    slot: CK_SLOT_ID,
    mechanism: CK_MECHANISM_TYPE,
    info: *mut ck::CK_MECHANISM_INFO,
) -> CK_RV {
    call("C_GetMechanismInfo", |module| {
        // SAFETY: the caller's duty for pInfo.
        let info = unsafe { Out::new(info) }?;
        info.write(module.mechanism_info(ptr::slot(slot), mechanism)?);
        Ok(())
    })
}

/// PKCS #11, C_WaitForSlotEvent.
pub(super) unsafe extern "C" fn C_WaitForSlotEvent(
    flags: ck::CK_FLAGS,
    slot: *mut CK_SLOT_ID,
    reserved: ck::CK_VOID_PTR,
) -> CK_RV {
    call("C_WaitForSlotEvent", |module| {
        ptr::reserved(reserved)?;
        // SAFETY: the caller's duty for pSlot.
        let slot = unsafe { Out::new(slot) }?;
        let blocking = flags & ck::CKF_DONT_BLOCK == 0;
        if blocking {
            // The host may unload the library meanwhile, and this thread comes back to it.
            stay_loaded();
        }
        slot.write(ptr::ulong(module.wait_for_slot_event(blocking)?.raw()));
        Ok(())
    })
}

/// PKCS #11, C_SetPIN.
pub(super) unsafe extern "C" fn C_SetPIN(
    session: CK_SESSION_HANDLE,
    old_pin: *mut CK_UTF8CHAR,
    old_len: CK_ULONG,
    new_pin: *mut CK_UTF8CHAR,
    new_len: CK_ULONG,
) -> CK_RV {
    call("C_SetPIN", |module| {
        // SAFETY: the caller's duty for pOldPin.
        let old = unsafe { ptr::pin(old_pin, old_len) }?;
        // SAFETY: the caller's duty for pNewPin.
        let new = unsafe { ptr::pin(new_pin, new_len) }?;
        module.live_session(ptr::session(session))?.set_pin(old, new)
    })
}
