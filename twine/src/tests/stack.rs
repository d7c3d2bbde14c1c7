//! The bytes that a call leaves on the stack.

use std::{arch::asm, collections::HashSet, ptr, vec, vec::Vec};

/// The number of bytes that are examined.
const DEPTH: usize = 64 * 1024;

/// Bytes below the stack pointer that the compiler may use without moving it, and some more.
const RED_ZONE: usize = 256;

/// What unused stack is filled with.
const PAINT: u8 = 0xA5;

/// Paints the stack, calls `f` and returns the bytes below the stack pointer, from the lowest one that has changed. They include all that
/// `f` has left there.
#[inline(never)]
pub fn left_by(f: impl FnOnce()) -> Vec<u8> {
    let mut left = vec![0; DEPTH];
    let top: usize;
    // SAFETY: it reads a register.
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code, reason = "the stack pointer")]
    unsafe {
        asm!("mov {}, rsp", out(reg) top, options(nomem, nostack, preserves_flags));
    }
    // SAFETY: it reads a register.
    #[cfg(target_arch = "aarch64")]
    #[allow(unsafe_code, reason = "the stack pointer")]
    unsafe {
        asm!("mov {}, sp", out(reg) top, options(nomem, nostack, preserves_flags));
    }
    let lowest = ptr::with_exposed_provenance_mut::<u8>(top - DEPTH);
    for i in 0..DEPTH - RED_ZONE {
        // SAFETY: what is below the stack pointer and its red zone is not in use, and the stack of a test has as much.
        #[allow(unsafe_code, reason = "the stack below its pointer")]
        unsafe {
            lowest.add(i).write_volatile(PAINT);
        }
    }
    call(f);
    for (i, byte) in left.iter_mut().enumerate() {
        // SAFETY: as above; it is only read.
        #[allow(unsafe_code, reason = "the stack below its pointer")]
        unsafe {
            *byte = lowest.add(i).read_volatile();
        }
    }
    let lowest_used = left.iter().position(|byte| *byte != PAINT).unwrap_or(DEPTH);
    left.split_off(lowest_used)
}

#[inline(never)]
fn call(f: impl FnOnce()) {
    f();
}

/// How many runs of `run` bytes of `secret`, one after the other, are in `left`. Runs of fewer than three values are too common to
/// count.
#[must_use]
#[inline] // so that it is optimised as its user is
pub fn copies(left: &[u8], secret: &[u8], run: usize) -> usize {
    let is_telling = |bytes: &&[u8]| bytes.iter().collect::<HashSet<_>>().len() >= 3;
    let runs: HashSet<_> = secret.windows(run).filter(is_telling).collect();
    left.windows(run).filter(|bytes| runs.contains(bytes)).count()
}

/// The bytes of a value.
#[must_use]
pub fn bytes_of<T>(value: &T) -> Vec<u8> {
    let start = ptr::from_ref(value).cast::<u8>();
    // SAFETY: the bytes are those of a living value; volatile, so that the compiler assumes nothing about padding.
    #[allow(unsafe_code, reason = "it looks at memory")]
    (0..size_of::<T>()).map(|i| unsafe { ptr::read_volatile(start.add(i)) }).collect()
}
