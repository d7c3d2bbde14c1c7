//! A check that a dropped value leaves no secrets in its memory.

use std::{boxed::Box, mem::MaybeUninit, ptr, vec::Vec};

/// Drops the values that `new` makes of two seeds, and compares what was in their memory and what is left there.
///
/// `padding` is the number of bytes of the type that belong to no field. A moved value takes along whatever was on the stack there.
///
/// # Panics
/// If fewer than `secret` bytes depended on the seed before, or, apart from padding, any does afterwards.
#[allow(unsafe_code, reason = "it looks at memory whose value is gone")]
pub fn is_erased_on_drop<T>(what: &str, secret: usize, padding: usize, new: impl Fn(u8) -> T) {
    let [one, other] = [0x35, 0xCA].map(|seed| {
        let mut place = Box::new(MaybeUninit::<T>::zeroed());
        place.write(new(seed));
        let before = bytes(&place);
        // SAFETY: it was written above, and nobody uses it again.
        unsafe { place.assume_init_drop() };
        (before, bytes(&place))
    });
    let different = |a: &[u8], b: &[u8]| (0..a.len()).filter(|&i| a[i] != b[i]).collect::<Vec<_>>();
    let before = different(&one.0, &other.0).len();
    assert!(before >= secret, "{what}: only {before} of {} bytes are secret", one.0.len());
    let left = different(&one.1, &other.1);
    assert!(left.len() <= padding, "{what}: {} secret bytes are left, the first at {}", left.len(), left[0]);
}

/// All bytes of the place, whatever they hold.
#[allow(unsafe_code, reason = "it looks at memory whose value is gone")]
fn bytes<T>(place: &MaybeUninit<T>) -> Vec<u8> {
    let start = place.as_ptr().cast::<u8>();
    // SAFETY: the bytes are those of a living allocation; volatile, so that the compiler assumes nothing about them.
    (0..size_of::<T>()).map(|i| unsafe { ptr::read_volatile(start.add(i)) }).collect()
}
