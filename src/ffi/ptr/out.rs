//! Where results go: one value, a buffer with an answered length, a buffer of fixed length.

use std::ptr::{NonNull, copy_nonoverlapping};

use cryptoki_sys::{CK_BYTE, CK_ULONG};

use super::{from_usize, possible_count};
use crate::error::Error;
use crate::token::output::{BufferSize, Output};

/// One value to write to the caller.
#[derive(Debug)]
pub(in crate::ffi) struct Out<T>(NonNull<T>);

/// A buffer whose length stands in memory of the caller and is answered there: `pSignature` with
/// `pulSignatureLen`.
#[derive(Debug)]
pub(in crate::ffi) struct OutBuffer<T> {
    start: *mut T,
    size: BufferSize,
    length: Out<CK_ULONG>,
}

/// A buffer of fixed length: `phObject` with `ulMaxObjectCount`.
#[derive(Debug)]
pub(in crate::ffi) struct OutList<T> {
    start: *mut T,
    room: usize,
}

impl<T: Copy> Out<T> {
    /// A view of the caller's place for one value.
    ///
    /// # Errors
    /// [`Error::ArgumentsBad`] for NULL.
    ///
    /// # Safety
    /// `place` is NULL, or one `T` may be written there as long as the view lives.
    pub(in crate::ffi) unsafe fn new(place: *mut T) -> Result<Self, Error> {
        NonNull::new(place).map(Self).ok_or(Error::ArgumentsBad)
    }

    /// Writes the value.
    pub(in crate::ffi) fn write(self, value: T) {
        // SAFETY: `new`'s caller allows it.
        unsafe { self.0.write_unaligned(value) }
    }
}

impl Out<CK_ULONG> {
    /// Writes a length or a count.
    pub(in crate::ffi) fn write_size(self, size: usize) {
        self.write(from_usize(size));
    }
}

impl<T: Copy> OutBuffer<T> {
    /// A view of the caller's buffer and of its length. A NULL `start` makes a size query; then the
    /// length is not read, only written.
    ///
    /// # Errors
    /// [`Error::ArgumentsBad`] for a NULL `length` and for a length that no memory can have.
    ///
    /// # Safety
    /// As long as the view lives: `length` is NULL, or a `CK_ULONG` may be written there. If
    /// `start` is not NULL, the `CK_ULONG` may be read too, and so many `T` may be written from
    /// `start` on.
    pub(in crate::ffi) unsafe fn new(start: *mut T, length: *mut CK_ULONG) -> Result<Self, Error> {
        // SAFETY: as this function's caller promises.
        let place = unsafe { Out::new(length) }?;
        if start.is_null() {
            return Ok(Self { start, size: BufferSize::Query, length: place });
        }
        // SAFETY: not NULL, and readable as `start` is not NULL.
        let given = unsafe { length.read_unaligned() };
        Ok(Self { start, size: BufferSize::Bytes(possible_count::<T>(given)?), length: place })
    }

    /// How much fits, counted in `T`.
    pub(in crate::ffi) fn size(&self) -> BufferSize {
        self.size
    }

    /// Answers a size query.
    pub(in crate::ffi) fn write_length(self, length: usize) {
        self.length.write_size(length);
    }

    /// Writes a list, or its length if that was asked for.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`], with the length written.
    pub(in crate::ffi) fn write_items(self, items: &[T]) -> Result<(), Error> {
        let refusal = self.size.refusal(items.len());
        if refusal.is_none() {
            // SAFETY: `new`'s caller allows to write as many as fit, and `items` is not the
            // caller's memory.
            unsafe { copy_out(items, self.start) };
        }
        self.length.write_size(items.len());
        match refusal {
            Some(Output::TooSmall(_)) => Err(Error::BufferTooSmall),
            Some(Output::Length(_) | Output::Bytes(_)) | None => Ok(()),
        }
    }
}

impl OutBuffer<CK_BYTE> {
    /// Writes what an operation gave.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`], with the length written.
    pub(in crate::ffi) fn write(self, output: Output) -> Result<(), Error> {
        match output {
            Output::Length(length) => {
                self.write_length(length);
                Ok(())
            }
            Output::TooSmall(length) => {
                self.write_length(length);
                Err(Error::BufferTooSmall)
            }
            Output::Bytes(bytes) => self.write_items(&bytes),
        }
    }
}

impl<T: Copy> OutList<T> {
    /// A view of the caller's place for a list.
    ///
    /// # Errors
    /// [`Error::ArgumentsBad`] for NULL with a length and for a length that no memory can have.
    ///
    /// # Safety
    /// `start` is NULL, or `room` times `T` may be written there as long as the view lives.
    pub(in crate::ffi) unsafe fn new(start: *mut T, room: CK_ULONG) -> Result<Self, Error> {
        let room = possible_count::<T>(room)?;
        if start.is_null() && room != 0 {
            return Err(Error::ArgumentsBad);
        }
        Ok(Self { start, room })
    }

    /// How many fit.
    pub(in crate::ffi) fn room(&self) -> usize {
        self.room
    }

    /// Writes as many items as fit and says how many that are.
    pub(in crate::ffi) fn write(self, items: &[T]) -> usize {
        let fitting = items.get(..self.room).unwrap_or(items);
        if !fitting.is_empty() {
            // SAFETY: `new`'s caller allows to write as many as fit, and `items` is not the
            // caller's memory.
            unsafe { copy_out(fitting, self.start) };
        }
        fitting.len()
    }
}

/// Copies values to the caller's memory.
///
/// # Safety
/// As many may be written to `place`, which does not overlap `values`. Alignment does not matter.
pub(super) unsafe fn copy_out<T: Copy>(values: &[T], place: *mut T) {
    // SAFETY: as this function's caller promises. As bytes, so that nothing has to be aligned.
    unsafe { copy_nonoverlapping(values.as_ptr().cast::<u8>(), place.cast::<u8>(), size_of_val(values)) }
}
