//! The function tables of versions 2.40, 3.0 and 3.2, the interfaces that lead to them, and the
//! three symbols that the library exports (PKCS #11, "General data types", "General-purpose
//! functions").
//!
//! Everything here works before C_Initialize, and in a forked child.

use std::ffi::c_void;
use std::ptr::from_ref;

use cryptoki_sys as ck;
use cryptoki_sys::{
    CK_FUNCTION_LIST, CK_FUNCTION_LIST_3_0, CK_FUNCTION_LIST_3_2, CK_INTERFACE, CK_RV, CK_ULONG, CK_VERSION,
};

use super::boundary::entry;
use super::digest::*;
use super::general::*;
use super::object::*;
use super::ptr::{self, Out, OutBuffer};
use super::random::*;
use super::session::*;
use super::sign::*;
use super::slot_token::*;
use super::unsupported::*;
use super::verify::*;
use super::versions::{VERSION_2_40, VERSION_3_0, VERSION_3_2};
use crate::error::Error;

/// The name of the standard's own interface, with its NUL.
const INTERFACE_NAME: &[u8] = b"PKCS 11\0";

/// Defines the tables. The compiler checks that each is complete and that each function has its
/// signature.
macro_rules! tables {
    (since_2_40: $($f_2_40:ident)*; since_3_0: $($f_3_0:ident)*; since_3_2: $($f_3_2:ident)*;) => {
        static TABLE_2_40: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
            version: VERSION_2_40,
            C_GetInfo: Some(C_GetInfo_2_40),
            $($f_2_40: Some($f_2_40),)*
        };
        static TABLE_3_0: CK_FUNCTION_LIST_3_0 = CK_FUNCTION_LIST_3_0 {
            version: VERSION_3_0,
            C_GetInfo: Some(C_GetInfo_3_0),
            $($f_2_40: Some($f_2_40),)*
            $($f_3_0: Some($f_3_0),)*
        };
        static TABLE_3_2: CK_FUNCTION_LIST_3_2 = CK_FUNCTION_LIST_3_2 {
            version: VERSION_3_2,
            C_GetInfo: Some(C_GetInfo_3_2),
            $($f_2_40: Some($f_2_40),)*
            $($f_3_0: Some($f_3_0),)*
            $($f_3_2: Some($f_3_2),)*
        };
    };
}

tables! {
    // All but C_GetInfo, which differs.
    since_2_40:
        C_Initialize C_Finalize C_GetFunctionList
        C_GetSlotList C_GetSlotInfo C_GetTokenInfo C_GetMechanismList C_GetMechanismInfo C_InitToken C_InitPIN
        C_SetPIN
        C_OpenSession C_CloseSession C_CloseAllSessions C_GetSessionInfo C_GetOperationState C_SetOperationState
        C_Login C_Logout
        C_CreateObject C_CopyObject C_DestroyObject C_GetObjectSize C_GetAttributeValue C_SetAttributeValue
        C_FindObjectsInit C_FindObjects C_FindObjectsFinal
        C_EncryptInit C_Encrypt C_EncryptUpdate C_EncryptFinal
        C_DecryptInit C_Decrypt C_DecryptUpdate C_DecryptFinal
        C_DigestInit C_Digest C_DigestUpdate C_DigestKey C_DigestFinal
        C_SignInit C_Sign C_SignUpdate C_SignFinal C_SignRecoverInit C_SignRecover
        C_VerifyInit C_Verify C_VerifyUpdate C_VerifyFinal C_VerifyRecoverInit C_VerifyRecover
        C_DigestEncryptUpdate C_DecryptDigestUpdate C_SignEncryptUpdate C_DecryptVerifyUpdate
        C_GenerateKey C_GenerateKeyPair C_WrapKey C_UnwrapKey C_DeriveKey
        C_SeedRandom C_GenerateRandom
        C_GetFunctionStatus C_CancelFunction
        C_WaitForSlotEvent;
    since_3_0:
        C_GetInterfaceList C_GetInterface C_LoginUser C_SessionCancel
        C_MessageEncryptInit C_EncryptMessage C_EncryptMessageBegin C_EncryptMessageNext C_MessageEncryptFinal
        C_MessageDecryptInit C_DecryptMessage C_DecryptMessageBegin C_DecryptMessageNext C_MessageDecryptFinal
        C_MessageSignInit C_SignMessage C_SignMessageBegin C_SignMessageNext C_MessageSignFinal
        C_MessageVerifyInit C_VerifyMessage C_VerifyMessageBegin C_VerifyMessageNext C_MessageVerifyFinal;
    since_3_2:
        C_EncapsulateKey C_DecapsulateKey
        C_VerifySignatureInit C_VerifySignature C_VerifySignatureUpdate C_VerifySignatureFinal
        C_GetSessionValidationFlags
        C_AsyncComplete C_AsyncGetID C_AsyncJoin
        C_WrapKeyAuthenticated C_UnwrapKeyAuthenticated;
}

/// The symbols that the library exports.
///
/// The tables do not lead to them. Several libraries of a program may export one name, and the
/// loader binds it to the first of them: a copy's table would lead into another library.
mod exported {
    use super::{CK_FUNCTION_LIST, CK_INTERFACE, CK_RV, CK_ULONG, CK_VERSION, ck};

    // SAFETY: the name is the standard's, with the standard's meaning.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
        // SAFETY: as this function's caller promises.
        unsafe { super::C_GetFunctionList(list) }
    }

    // SAFETY: the name is the standard's, with the standard's meaning.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn C_GetInterfaceList(interfaces: *mut CK_INTERFACE, count: *mut CK_ULONG) -> CK_RV {
        // SAFETY: as this function's caller promises.
        unsafe { super::C_GetInterfaceList(interfaces, count) }
    }

    // SAFETY: the name is the standard's, with the standard's meaning.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn C_GetInterface(
        name: *mut ck::CK_UTF8CHAR,
        version: *mut CK_VERSION,
        interface: *mut *mut CK_INTERFACE,
        flags: ck::CK_FLAGS,
    ) -> CK_RV {
        // SAFETY: as this function's caller promises.
        unsafe { super::C_GetInterface(name, version, interface, flags) }
    }
}

/// Interfaces stand in a static, which needs to know that threads may share them.
struct Interfaces([CK_INTERFACE; 3]);

// SAFETY: the pointers lead to statics that are never written.
unsafe impl Sync for Interfaces {}

/// The newest is the default and stands first. None claims `CKF_INTERFACE_FORK_SAFE`: a child must
/// initialize.
static INTERFACES: Interfaces = Interfaces([
    interface((&raw const TABLE_3_2).cast()),
    interface((&raw const TABLE_3_0).cast()),
    interface((&raw const TABLE_2_40).cast()),
]);

/// The versions of the tables that [`INTERFACES`] leads to, in the same order.
const INTERFACE_VERSIONS: [CK_VERSION; 3] = [VERSION_3_2, VERSION_3_0, VERSION_2_40];

const fn interface(table: *const c_void) -> CK_INTERFACE {
    // The C structure has no `const`; an application that writes through these pointers is out of
    // its duty.
    CK_INTERFACE {
        pInterfaceName: INTERFACE_NAME.as_ptr().cast_mut(),
        pFunctionList: table.cast_mut(),
        flags: 0,
    }
}

/// PKCS #11, C_GetFunctionList.
#[inline(never)]
unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    entry("C_GetFunctionList", || {
        // SAFETY: the caller's duty for ppFunctionList.
        let list = unsafe { Out::new(list) }?;
        list.write((&raw const TABLE_2_40).cast_mut());
        Ok(())
    })
}

/// PKCS #11, C_GetInterfaceList.
#[inline(never)]
unsafe extern "C" fn C_GetInterfaceList(interfaces: *mut CK_INTERFACE, count: *mut CK_ULONG) -> CK_RV {
    entry("C_GetInterfaceList", || {
        // SAFETY: the caller's duty for pInterfacesList and pulCount.
        let list = unsafe { OutBuffer::new(interfaces, count) }?;
        list.write_items(&INTERFACES.0)
    })
}

/// PKCS #11, C_GetInterface. A NULL name asks for the default, a NULL version for the newest. An
/// interface that is not there is `CKR_ARGUMENTS_BAD`, as in other modules; the standard does not
/// say.
#[inline(never)]
unsafe extern "C" fn C_GetInterface(
    name: *mut ck::CK_UTF8CHAR,
    version: *mut CK_VERSION,
    interface: *mut *mut CK_INTERFACE,
    flags: ck::CK_FLAGS,
) -> CK_RV {
    entry("C_GetInterface", || {
        // SAFETY: the caller's duty for ppInterface.
        let place = unsafe { Out::new(interface) }?;
        // SAFETY: the caller's duty for pInterfaceName.
        let named = name.is_null() || unsafe { ptr::is_text(name, INTERFACE_NAME) };
        // SAFETY: the caller's duty for pVersion.
        let wanted = unsafe { ptr::optional(version) };
        let fits = |(offered, version): &(&CK_INTERFACE, CK_VERSION)| {
            wanted.is_none_or(|wanted| (wanted.major, wanted.minor) == (version.major, version.minor))
                && offered.flags & flags == flags
        };
        let found = INTERFACES.0.iter().zip(INTERFACE_VERSIONS).find(fits).filter(|_| named);
        let (found, _) = found.ok_or(Error::ArgumentsBad)?;
        place.write(from_ref(found).cast_mut());
        Ok(())
    })
}
