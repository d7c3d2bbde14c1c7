//! How much stack an operation takes, by painting it first.

use core::{arch::asm, ptr};

/// What is painted; no operation takes so much.
const PAINTED: usize = 6 * 1024;
const PAINT: u32 = 0xA5A5_5A5A;

/// The bytes of stack that calling `f` takes.
#[inline(never)]
#[allow(unsafe_code, reason = "the stack below its pointer")]
pub(crate) fn used(f: impl FnOnce()) -> usize {
    let top: usize;
    // SAFETY: what is below the stack pointer is not in use, and the board has as much.
    #[cfg(target_arch = "riscv32")]
    unsafe {
        asm!(
            "mv {top}, sp",
            "sub {at}, {top}, {at}",
            "2:",
            "sw {paint}, 0({at})",
            "addi {at}, {at}, 4",
            "bne {at}, {top}, 2b",
            at = inout(reg) PAINTED => _,
            top = out(reg) top,
            paint = in(reg) PAINT,
            options(nostack),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "arm")]
    unsafe {
        asm!(
            "mov {top}, sp",
            "subs {at}, {top}, {at}",
            "2:",
            "str {paint}, [{at}]",
            "adds {at}, #4",
            "cmp {at}, {top}",
            "bne 2b",
            at = inout(reg) PAINTED => _,
            top = out(reg) top,
            paint = in(reg) PAINT,
            options(nostack),
        );
    }
    call(f);
    let lowest = ptr::with_exposed_provenance::<u32>(top - PAINTED);
    let words = PAINTED / 4;
    // SAFETY: these are the words that were painted.
    let is_painted = |word: &usize| unsafe { lowest.add(*word).read_volatile() } == PAINT;
    PAINTED - 4 * (0..words).take_while(is_painted).count()
}

/// Not inlined: what `f` takes must be below the frame of its caller.
#[inline(never)]
fn call(f: impl FnOnce()) {
    f();
}
