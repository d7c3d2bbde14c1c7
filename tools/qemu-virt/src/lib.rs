#![no_std]
#![doc = include_str!("../README.md")]
#![cfg(target_arch = "riscv32")]
#![allow(unsafe_code, reason = "start-up and registers")]

use core::{arch::global_asm, fmt};

global_asm!(
    ".pushsection .init, \"ax\"",
    ".option push",
    ".option arch, +zicsr",
    ".globl _start",
    "_start:",
    // The linker shortens it to a move from the pointer itself otherwise.
    ".option push",
    ".option norelax",
    "la gp, __global_pointer$",
    ".option pop",
    "la sp, _stack_top",
    "la t0, 2f",
    "csrw mtvec, t0",
    "call qemu_virt_main",
    ".balign 4",
    "2:",
    "la sp, _stack_top",
    "la t0, 3f",
    "csrw mtvec, t0",
    "csrr a0, mcause",
    "csrr a1, mepc",
    "call {trap}",
    // A trap while one is printed, as where the core lacks an instruction: only the exit code can tell.
    ".balign 4",
    "3:",
    "li t0, {test_device}",
    "li t1, {failed}",
    "sw t1, 0(t0)",
    "j 3b",
    ".option pop",
    ".popsection",
    trap = sym trap,
    test_device = const TEST_DEVICE,
    failed = const FAILED,
);

/// Makes the function `$main`, which does not return, the main program.
#[macro_export]
macro_rules! entry {
    ($main:expr) => {
        // SAFETY: the start-up code calls it, and nothing else has the name.
        #[allow(unsafe_code, reason = "a name for the start-up code")]
        #[unsafe(no_mangle)]
        extern "C" fn qemu_virt_main() -> ! {
            $main
        }
    };
}

extern "C" fn trap(cause: u32, address: u32) -> ! {
    // There is nobody left to tell if this fails.
    let _ = fmt::write(&mut Output, format_args!("trap {cause:#x} at {address:#x}\n"));
    exit(false)
}

/// The first serial port.
#[derive(Clone, Copy, Debug)]
pub struct Output;

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        const DATA: *mut u8 = 0x1000_0000 as *mut u8;
        const STATUS: *const u8 = 0x1000_0005 as *const u8;
        const IS_READY: u8 = 1 << 5;
        for byte in text.bytes() {
            // SAFETY: the registers of the port.
            unsafe {
                while STATUS.read_volatile() & IS_READY == 0 {}
                DATA.write_volatile(byte);
            }
        }
        Ok(())
    }
}

/// The register that ends QEMU.
const TEST_DEVICE: usize = 0x0010_0000;
const PASSED: u32 = 0x5555;
/// With an exit code of 1.
const FAILED: u32 = 0x1_3333;

/// Ends the run, as passed or failed.
pub fn exit(has_passed: bool) -> ! {
    // SAFETY: it is a register of 32 bits.
    unsafe { (TEST_DEVICE as *mut u32).write_volatile(if has_passed { PASSED } else { FAILED }) };
    loop {}
}
