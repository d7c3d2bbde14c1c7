//! What pointers and lengths from C must be before they become references.

use crate::status::Failure;

/// Where bytes lie, whatever they are.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    start: usize,
    end: usize,
}

impl Region {
    /// `len` bytes at `start`. A null pointer, more than an object can have, and a wrap-around are refused; no bytes at
    /// all may be anywhere.
    pub(crate) fn new<T>(start: *const T, len: usize) -> Result<Self, Failure> {
        let start = start.addr();
        if len == 0 {
            return Ok(Self { start, end: start });
        }
        match start.checked_add(len) {
            Some(end) if start != 0 && isize::try_from(len).is_ok() => Ok(Self { start, end }),
            _ => Err(Failure::Argument),
        }
    }

    /// Where the object `*object` lies.
    pub(crate) fn of<T>(object: *const T) -> Result<Self, Failure> {
        let region = Self::new(object, size_of::<T>())?;
        if object.is_aligned() { Ok(region) } else { Err(Failure::Argument) }
    }

    /// Whether no byte is in both.
    pub(crate) fn is_apart_from(self, other: Self) -> bool {
        self.is_empty() || other.is_empty() || self.end <= other.start || other.end <= self.start
    }

    fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Refuses `written` if it shares a byte with one of `others`.
pub(crate) fn apart(written: Region, others: &[Region]) -> Result<(), Failure> {
    if others.iter().all(|other| written.is_apart_from(*other)) { Ok(()) } else { Err(Failure::Argument) }
}

/// The bytes at `start`; none if `len` is 0, wherever `start` points.
///
/// # Safety
/// As of [`core::slice::from_raw_parts`], if `len` is not 0.
pub(crate) unsafe fn slice<'a>(start: *const u8, len: usize) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: by the caller's word.
    unsafe { core::slice::from_raw_parts(start, len) }
}

/// The bytes at `start`, to be written; none if `len` is 0, wherever `start` points.
///
/// # Safety
/// As of [`core::slice::from_raw_parts_mut`], if `len` is not 0.
pub(crate) unsafe fn slice_mut<'a, T>(start: *mut T, len: usize) -> &'a mut [T] {
    if len == 0 {
        return &mut [];
    }
    // SAFETY: by the caller's word.
    unsafe { core::slice::from_raw_parts_mut(start, len) }
}
