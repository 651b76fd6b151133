//! Attribute templates: read as queries or as values, and answered in place.

use cryptoki_sys as ck;
use cryptoki_sys::{CK_ATTRIBUTE, CK_BYTE, CK_ULONG};

use super::out::copy_out;
use super::{bytes, from_usize, possible_count};
use crate::error::Error;
use crate::token::attribute::{AttributeAnswer, AttributeQuery};
use crate::token::output::BufferSize;
use crate::token::template::TemplateEntry;

/// The most attributes a template may have. Standard and vendor attributes together are fewer; a
/// count beyond is a mistake, and would walk through memory that is not the caller's template.
const MAX_TEMPLATE: usize = 4096;

/// An attribute template, and where it stands.
#[derive(Debug)]
pub(in crate::ffi) struct Template {
    start: *mut CK_ATTRIBUTE,
    /// What the caller wrote there before the call.
    attributes: Vec<CK_ATTRIBUTE>,
}

impl Template {
    /// A view of the caller's template.
    ///
    /// # Errors
    /// [`Error::ArgumentsBad`] for NULL with a count, and for a count that no template has;
    /// [`Error::HostMemory`].
    ///
    /// # Safety
    /// `start` is NULL, or as long as the view lives `count` attributes may be read there, and
    /// whatever they lead to as their lengths say; both may be written too if
    /// [`Template::write`] is called.
    pub(in crate::ffi) unsafe fn new(start: *mut CK_ATTRIBUTE, count: CK_ULONG) -> Result<Self, Error> {
        let count = possible_count::<CK_ATTRIBUTE>(count)?;
        if count > MAX_TEMPLATE || (start.is_null() && count != 0) {
            return Err(Error::ArgumentsBad);
        }
        let mut attributes = Vec::new();
        attributes.try_reserve_exact(count).map_err(|_| Error::HostMemory)?;
        for index in 0..count {
            // SAFETY: `index` is below `count`.
            let attribute = unsafe { start.add(index) };
            // SAFETY: as this function's caller promises.
            attributes.push(unsafe { attribute.read_unaligned() });
        }
        Ok(Self { start, attributes })
    }

    /// The template of C_GetAttributeValue: kinds, and room for values.
    pub(in crate::ffi) fn queries(&self) -> Vec<AttributeQuery> {
        self.attributes
            .iter()
            .map(|attribute| AttributeQuery { kind: attribute.type_, buffer: buffer_size(attribute) })
            .collect()
    }

    /// The template of C_FindObjectsInit: kinds and values.
    ///
    /// # Errors
    /// [`Error::ArgumentsBad`] for a NULL value with a length and for a length that no memory can
    /// have.
    pub(in crate::ffi) fn entries(&self) -> Result<Vec<TemplateEntry<'_>>, Error> {
        self.attributes
            .iter()
            .map(|attribute| {
                // SAFETY: `new`'s caller allows to read the values.
                let value = unsafe { bytes(attribute.pValue.cast(), attribute.ulValueLen) }?;
                Ok(TemplateEntry { kind: attribute.type_, value })
            })
            .collect()
    }

    /// Writes one answer to each attribute, in order. A value is never written where it does not
    /// fit.
    pub(in crate::ffi) fn write(&self, answers: &[AttributeAnswer]) {
        for (index, (attribute, answer)) in self.attributes.iter().zip(answers).enumerate() {
            let length = match answer {
                AttributeAnswer::Length(length) => from_usize(*length),
                AttributeAnswer::Unavailable => ck::CK_UNAVAILABLE_INFORMATION,
                AttributeAnswer::Value(value) => match buffer_size(attribute) {
                    BufferSize::Bytes(size) if value.len() <= size => {
                        // SAFETY: `new`'s caller allows to write `size` bytes; `value` is not the
                        // caller's memory.
                        unsafe { copy_out(value, attribute.pValue.cast()) };
                        from_usize(value.len())
                    }
                    BufferSize::Bytes(_) | BufferSize::Query => ck::CK_UNAVAILABLE_INFORMATION,
                },
            };
            // SAFETY: `index` is below the count that `new` was given.
            let place = unsafe { self.start.add(index) };
            // SAFETY: `new`'s caller allows it.
            unsafe { place.write_unaligned(CK_ATTRIBUTE { ulValueLen: length, ..*attribute }) };
        }
    }
}

/// How much a caller has for an attribute's value. A length that no memory can have, such as the
/// `CK_UNAVAILABLE_INFORMATION` that an earlier call left there, is no room.
fn buffer_size(attribute: &CK_ATTRIBUTE) -> BufferSize {
    if attribute.pValue.is_null() {
        return BufferSize::Query;
    }
    BufferSize::Bytes(possible_count::<CK_BYTE>(attribute.ulValueLen).unwrap_or(0))
}
