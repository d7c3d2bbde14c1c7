//! Checks of pointers and lengths from C, before they become references.

use crate::status::Failure;

/// A region of memory.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    start: usize,
    end: usize,
}

impl Region {
    /// Returns the region of `len` bytes at `start`. A null pointer, more bytes than an object can have, and a wrap-around are refused. A
    /// region without bytes may be anywhere.
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

    /// Returns the region of the object `*object`.
    pub(crate) fn of<T>(object: *const T) -> Result<Self, Failure> {
        let region = Self::new(object, size_of::<T>())?;
        if object.is_aligned() { Ok(region) } else { Err(Failure::Argument) }
    }

    /// Returns the region that `*object` has or would have, at any alignment. A null pointer has an empty region.
    pub(crate) fn around<T>(object: *const T) -> Self {
        let start = object.addr();
        let len = if start == 0 { 0 } else { size_of::<T>() };
        Self { start, end: start.saturating_add(len) }
    }

    /// Returns whether the two regions have no byte in common.
    pub(crate) fn is_apart_from(self, other: Self) -> bool {
        self.is_empty() || other.is_empty() || self.end <= other.start || other.end <= self.start
    }

    fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Returns the region of `count` objects at `start`.
pub(crate) fn array_region<T>(start: *const T, count: usize) -> Result<Region, Failure> {
    Region::new(start, count.checked_mul(size_of::<T>()).ok_or(Failure::Argument)?)
}

/// Refuses `written` if it has a byte in common with one of `others`.
pub(crate) fn apart(written: Region, others: &[Region]) -> Result<(), Failure> {
    if others.iter().all(|other| written.is_apart_from(*other)) { Ok(()) } else { Err(Failure::Argument) }
}

/// Returns the slice at `start`. It is empty if `len` is 0, wherever `start` points.
///
/// # Safety
/// As for [`core::slice::from_raw_parts`], if `len` is not 0.
pub(crate) unsafe fn slice<'a, T>(start: *const T, len: usize) -> &'a [T] {
    if len == 0 {
        return &[];
    }
    // SAFETY: by the caller's word.
    unsafe { core::slice::from_raw_parts(start, len) }
}

/// Returns the slice at `start`, to be written. It is empty if `len` is 0, wherever `start` points.
///
/// # Safety
/// As for [`core::slice::from_raw_parts_mut`], if `len` is not 0.
pub(crate) unsafe fn slice_mut<'a, T>(start: *mut T, len: usize) -> &'a mut [T] {
    if len == 0 {
        return &mut [];
    }
    // SAFETY: by the caller's word.
    unsafe { core::slice::from_raw_parts_mut(start, len) }
}

#[cfg(test)]
mod tests {
    use super::{Region, apart};
    use crate::status::Failure;

    fn region(start: usize, len: usize) -> Result<Region, Failure> {
        Region::new(core::ptr::without_provenance::<u8>(start), len)
    }

    /// What the tests in C cannot have at every address.
    #[test]
    fn regions_are_where_objects_can_be() {
        let most = isize::MAX.unsigned_abs();
        for (start, len) in [(0, 0), (usize::MAX, 0), (1, 1), (1, most), (usize::MAX - 1, 1), (most, most)] {
            assert!(region(start, len).is_ok(), "{len} at {start:#x}");
        }
        for (start, len) in
            [(0, 1), (usize::MAX, 1), (1, most + 1), (1, usize::MAX), (usize::MAX - 8, 9), (most + 2, most)]
        {
            assert_eq!(region(start, len).err(), Some(Failure::Argument), "{len} at {start:#x}");
        }
        for (start, end) in [(0, 0), (3, 11), (usize::MAX - 7, usize::MAX), (usize::MAX, usize::MAX)] {
            let around = Region::around(core::ptr::without_provenance::<u64>(start));
            assert_eq!((around.start, around.end), (start, end));
        }
        assert!(Region::of(core::ptr::without_provenance::<u64>(8)).is_ok());
        assert!(Region::of(core::ptr::without_provenance::<u64>(4)).is_err());
    }

    #[test]
    fn regions_are_apart_or_not() {
        let [a, b, c, inner, none] = [(8, 8), (16, 8), (15, 2), (10, 2), (12, 0)]
            .map(|(start, len)| region(start, len).expect("an object could be there"));
        assert!(a.is_apart_from(b) && b.is_apart_from(a) && apart(a, &[b, none]).is_ok());
        for other in [c, inner, a] {
            assert!(!a.is_apart_from(other) && !other.is_apart_from(a) && apart(a, &[b, other]).is_err());
        }
        assert!(inner.is_apart_from(c) && none.is_apart_from(a) && a.is_apart_from(none));
    }
}
