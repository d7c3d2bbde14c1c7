#![no_std]
#![doc = include_str!("../README.md")]

/// Runs `f` as a region of the trace.
///
/// Never inlined: a region has one place in the image for each type of `f`, whatever calls it, so that two runs of it can
/// be compared address by address. What `f` computes has to leave it, by its result or a reference, or the compiler drops it.
#[inline(never)]
pub fn region<R>(f: impl FnOnce() -> R) -> R {
    begin();
    let result = f();
    end();
    result
}

/// Begins a region.
#[inline(always)]
fn begin() {
    // SAFETY: the instruction moves a register to itself. It is taken to access memory, so nothing moves across it.
    #[cfg(target_arch = "arm")]
    #[allow(unsafe_code, reason = "an instruction that the plugin knows")]
    unsafe {
        core::arch::asm!("mov r10, r10", options(nostack, preserves_flags));
    }
    // SAFETY: the instruction is a hint without effect. It is taken to access memory as well.
    #[cfg(target_arch = "riscv32")]
    #[allow(unsafe_code, reason = "an instruction that the plugin knows")]
    unsafe {
        core::arch::asm!("xori zero, zero, 1", options(nostack, preserves_flags));
    }
}

/// Ends a region.
#[inline(always)]
fn end() {
    // SAFETY: as above.
    #[cfg(target_arch = "arm")]
    #[allow(unsafe_code, reason = "an instruction that the plugin knows")]
    unsafe {
        core::arch::asm!("mov r11, r11", options(nostack, preserves_flags));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "riscv32")]
    #[allow(unsafe_code, reason = "an instruction that the plugin knows")]
    unsafe {
        core::arch::asm!("xori zero, zero, 2", options(nostack, preserves_flags));
    }
}
