//! Raw pointers of the caller become checked views here, and nowhere else.
//!
//! The rules, for every function alike:
//! - NULL with length 0 is empty; NULL with any other length is [`Error::ArgumentsBad`], as is a
//!   length that no memory can have.
//! - Values are read and written without regard to alignment: a misaligned `CK_ULONG *` is no
//!   undefined behaviour.
//! - No `&mut` to the caller's memory ever exists, and results are copied out at the very end, so
//!   that input and output may overlap.
//! - `CK_ULONG`, `usize` and the handles' `u64` are converted into each other here only.

mod out;
mod template;
#[cfg(test)]
mod tests;

use std::slice;

use cryptoki_sys as ck;
use cryptoki_sys::{CK_BYTE, CK_MECHANISM, CK_ULONG};

use crate::error::Error;
use crate::handle::{ObjectHandle, SessionHandle, SlotId};
use crate::jpki::pin::PinEntry;
use crate::token::mechanism::{MechanismRequest, Parameter};

pub(super) use out::{Out, OutBuffer, OutList};
pub(super) use template::Template;

/// The longest mechanism parameter that is looked at. Those that this token knows have 24 bytes.
const MAX_PARAMETER: usize = 4096;

/// The caller's input bytes. The lifetime is the caller's to keep: the view must not leave the `C_`
/// function.
///
/// # Errors
/// [`Error::ArgumentsBad`] for NULL with a length and for a length that no memory can have.
///
/// # Safety
/// `start` is NULL, or so many bytes may be read there, and are not written, as long as the view
/// lives.
pub(super) unsafe fn bytes<'a>(start: *const CK_BYTE, length: CK_ULONG) -> Result<&'a [u8], Error> {
    let length = possible_count::<CK_BYTE>(length)?;
    match (start.is_null(), length) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Error::ArgumentsBad),
        // SAFETY: as this function's caller promises; the length is possible.
        (false, _) => Ok(unsafe { slice::from_raw_parts(start, length) }),
    }
}

/// A PIN as a user gave it. NULL would ask for the reader's own PIN pad, which this module does not
/// use; it is refused with any length, so that no mistake becomes an empty VERIFY. What is too long
/// for any PIN is not read.
///
/// # Errors
/// [`Error::ArgumentsBad`] for NULL.
///
/// # Safety
/// As for [`bytes`].
pub(super) unsafe fn pin<'a>(start: *const CK_BYTE, length: CK_ULONG) -> Result<PinEntry<'a>, Error> {
    if start.is_null() {
        return Err(Error::ArgumentsBad);
    }
    match usize::try_from(length) {
        // SAFETY: as this function's caller promises.
        Ok(known) if known <= PinEntry::MAX_BYTES => Ok(PinEntry::Bytes(unsafe { bytes(start, length) }?)),
        Ok(_) | Err(_) => Ok(PinEntry::TooLong),
    }
}

/// A mechanism with its parameter; `None` for NULL, which cancels an operation.
///
/// # Safety
/// `place` is NULL, or a `CK_MECHANISM` may be read there and its parameter as for [`bytes`].
pub(super) unsafe fn mechanism<'a>(place: *const CK_MECHANISM) -> Option<MechanismRequest<'a>> {
    if place.is_null() {
        return None;
    }
    // SAFETY: as this function's caller promises.
    let mechanism = unsafe { place.read_unaligned() };
    let parameter = match usize::try_from(mechanism.ulParameterLen) {
        Ok(0) => Parameter::None,
        Ok(length) if length <= MAX_PARAMETER => {
            // SAFETY: as this function's caller promises.
            unsafe { bytes(mechanism.pParameter.cast(), mechanism.ulParameterLen) }
                .map_or(Parameter::Unreadable, Parameter::Bytes)
        }
        Ok(_) | Err(_) => Parameter::Unreadable,
    };
    Some(MechanismRequest { kind: mechanism.mechanism, parameter })
}

/// The arguments of C_Initialize, which may be absent.
///
/// # Errors
/// [`Error::ArgumentsBad`] for a pointer that cannot be one to this structure. Callers that pass
/// one have mistaken the parameter for something else, so this is not just read unaligned.
///
/// # Safety
/// `place` is NULL, or a `CK_C_INITIALIZE_ARGS` may be read there if it is aligned.
pub(super) unsafe fn initialize_arguments(
    place: ck::CK_VOID_PTR,
) -> Result<Option<ck::CK_C_INITIALIZE_ARGS>, Error> {
    let place = place.cast::<ck::CK_C_INITIALIZE_ARGS>();
    if place.is_null() {
        return Ok(None);
    }
    if !place.is_aligned() {
        return Err(Error::ArgumentsBad);
    }
    // SAFETY: as this function's caller promises.
    Ok(Some(unsafe { place.read() }))
}

/// A parameter that the standard keeps for itself.
///
/// # Errors
/// [`Error::ArgumentsBad`] if it is used.
pub(super) fn reserved(place: ck::CK_VOID_PTR) -> Result<(), Error> {
    if place.is_null() { Ok(()) } else { Err(Error::ArgumentsBad) }
}

/// Whether the NUL-terminated text at `place` is `expected`, which includes its NUL. Reads up to
/// the first difference.
///
/// # Safety
/// `place` leads to bytes that may be read up to and including a NUL.
pub(super) unsafe fn is_text(place: *const ck::CK_UTF8CHAR, expected: &[u8]) -> bool {
    expected.iter().enumerate().all(|(index, wanted)| {
        // SAFETY: all bytes before were those of `expected`, none of which is NUL but the last.
        let byte = unsafe { place.add(index) };
        // SAFETY: as above.
        *wanted == unsafe { byte.read() }
    })
}

/// One value that the caller passes by pointer; `None` for NULL.
///
/// # Safety
/// `place` is NULL or one `T` may be read there.
pub(super) unsafe fn optional<T: Copy>(place: *const T) -> Option<T> {
    // SAFETY: as this function's caller promises.
    (!place.is_null()).then(|| unsafe { place.read_unaligned() })
}

/// A slot as the caller named it.
#[allow(clippy::useless_conversion, reason = "CK_ULONG has 32 bits on some machines")]
pub(super) fn slot(raw: ck::CK_SLOT_ID) -> SlotId {
    SlotId::new(raw.into())
}

/// A session as the caller named it.
#[allow(clippy::useless_conversion, reason = "CK_ULONG has 32 bits on some machines")]
pub(super) fn session(raw: ck::CK_SESSION_HANDLE) -> SessionHandle {
    SessionHandle::new(raw.into())
}

/// An object as the caller named it.
#[allow(clippy::useless_conversion, reason = "CK_ULONG has 32 bits on some machines")]
pub(super) fn object(raw: ck::CK_OBJECT_HANDLE) -> ObjectHandle {
    ObjectHandle::new(raw.into())
}

/// The number of a slot, a session or an object. The counter gives none that `CK_ULONG` cannot
/// hold.
#[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions, reason = "as above")]
pub(super) fn ulong(raw: u64) -> CK_ULONG {
    CK_ULONG::try_from(raw).unwrap_or(ck::CK_INVALID_HANDLE)
}

/// A number of `T` that can exist: no object is larger than `isize::MAX` bytes.
///
/// On 64-bit Windows `CK_ULONG` is narrower than that: -1, which an earlier answer may have left in
/// a template, would be 4 GiB of room. So no count is larger than half of what a `CK_ULONG` counts.
fn possible_count<T>(count: CK_ULONG) -> Result<usize, Error> {
    Some(count)
        .filter(|count| *count <= CK_ULONG::MAX / 2)
        .and_then(|count| usize::try_from(count).ok())
        .filter(|count| count.checked_mul(size_of::<T>()).is_some_and(|size| isize::try_from(size).is_ok()))
        .ok_or(Error::ArgumentsBad)
}

/// A length or a count for the caller. On 64-bit Windows `CK_ULONG` is narrower than `usize`;
/// nothing that this module gives is that long.
fn from_usize(size: usize) -> CK_ULONG {
    CK_ULONG::try_from(size).unwrap_or(ck::CK_UNAVAILABLE_INFORMATION)
}
