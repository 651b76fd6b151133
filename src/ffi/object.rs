//! Object management functions (PKCS #11, "Object management functions").

use cryptoki_sys::{CK_ATTRIBUTE, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_ULONG};

use super::boundary::call;
use super::ptr::{self, Out, OutList, Template};

/// PKCS #11, C_GetObjectSize.
pub(super) unsafe extern "C" fn C_GetObjectSize(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    size: *mut CK_ULONG,
) -> CK_RV {
    call("C_GetObjectSize", |module| {
        // SAFETY: the caller's duty for pulSize.
        let size = unsafe { Out::new(size) }?;
        size.write_size(module.session(ptr::session(session))?.object_size(ptr::object(object))?);
        Ok(())
    })
}

/// PKCS #11, C_GetAttributeValue. The whole template is answered, then one error is returned.
pub(super) unsafe extern "C" fn C_GetAttributeValue(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    call("C_GetAttributeValue", |module| {
        // SAFETY: the caller's duty for pTemplate and what it leads to.
        let template = unsafe { Template::new(template, count) }?;
        let result =
            module.session(ptr::session(session))?.attributes(ptr::object(object), &template.queries())?;
        template.write(&result.answers);
        result.result
    })
}

/// PKCS #11, C_FindObjectsInit.
pub(super) unsafe extern "C" fn C_FindObjectsInit(
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    call("C_FindObjectsInit", |module| {
        // SAFETY: the caller's duty for pTemplate and what it leads to.
        let template = unsafe { Template::new(template, count) }?;
        module.live_session(ptr::session(session))?.find_objects_init(&template.entries()?)
    })
}

/// PKCS #11, C_FindObjects.
pub(super) unsafe extern "C" fn C_FindObjects(
    session: CK_SESSION_HANDLE,
    objects: *mut CK_OBJECT_HANDLE,
    max_count: CK_ULONG,
    count: *mut CK_ULONG,
) -> CK_RV {
    call("C_FindObjects", |module| {
        // SAFETY: the caller's duty for phObject.
        let list = unsafe { OutList::new(objects, max_count) }?;
        // SAFETY: the caller's duty for pulObjectCount.
        let count = unsafe { Out::new(count) }?;
        let found = module.session(ptr::session(session))?.find_objects(list.room())?;
        let found = found.iter().map(|object| ptr::ulong(object.raw())).collect::<Vec<_>>();
        count.write_size(list.write(&found));
        Ok(())
    })
}

/// PKCS #11, C_FindObjectsFinal.
pub(super) extern "C" fn C_FindObjectsFinal(session: CK_SESSION_HANDLE) -> CK_RV {
    call("C_FindObjectsFinal", |module| module.session(ptr::session(session))?.find_objects_final())
}
