//! A board under a debugger or in QEMU: it prints and exits by semihosting, but RISC-V in QEMU by devices of QEMU's.

use core::fmt::Write;

use crate::measure;

/// What the RP2040 runs first: it makes the flash executable, that of the Pico with four lines at once.
#[cfg(feature = "rp2040")]
#[allow(unsafe_code, reason = "where the boot ROM looks for it")]
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT_LOADER: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

/// What the boot ROM of the RP2350 looks for at the start of the flash: an image for its Arm cores, in secure state. A block of two items
/// between its marks (datasheet, section 5.9).
#[cfg(feature = "rp2350")]
#[allow(unsafe_code, reason = "where the boot ROM looks for it")]
#[unsafe(link_section = ".start_block")]
#[used]
static IMAGE_DEFINITION: [u32; 5] = [0xFFFF_DED3, 0x1021_0142, 0x0000_01FF, 0, 0xAB12_3579];

/// The same for its RISC-V cores, with a third item: where the program starts, and the end of its stack. The crate riscv-rt defines both.
#[cfg(feature = "rp2350-riscv")]
#[allow(unsafe_code, reason = "where the boot ROM looks for it")]
mod image_definition {
    core::arch::global_asm!(
        ".pushsection .start_block, \"a\"",
        ".word 0xFFFFDED3, 0x11010142, 0x00000344, _start, _stack_start, 0x000004FF, 0, 0xAB123579",
        ".popsection",
    );
}

/// What the crate riscv-rt calls for a trap; its own answer is an endless loop.
#[cfg(feature = "riscv-board")]
#[allow(unsafe_code, reason = "a name for the crate")]
#[unsafe(export_name = "ExceptionHandler")]
extern "C" fn trap(_: &riscv_rt::TrapFrame) -> ! {
    use riscv::register::{mcause, mepc};
    fail(format_args!("trap {:#x} at {:#x}", mcause::read().bits(), mepc::read()))
}

/// Measures everything and ends.
pub fn run() -> ! {
    let done = output().and_then(|mut out| measure::all(&mut out).ok());
    exit(done.is_some())
}

/// Prints `message` and ends the run as failed.
#[doc(hidden)]
pub fn fail(message: core::fmt::Arguments<'_>) -> ! {
    if let Some(mut out) = output() {
        // There is nobody left to tell if this fails too.
        let _ = writeln!(out, "{message}");
    }
    exit(false)
}

#[cfg(all(target_arch = "riscv32", not(feature = "riscv-board")))]
use qemu_virt::exit;

#[cfg(all(target_arch = "riscv32", not(feature = "riscv-board")))]
fn output() -> Option<impl Write> {
    Some(qemu_virt::Output)
}

#[cfg(feature = "riscv-board")]
fn output() -> Option<impl Write> {
    riscv_semihosting::hio::hstdout().ok()
}

#[cfg(feature = "riscv-board")]
fn exit(has_passed: bool) -> ! {
    use riscv_semihosting::debug;
    debug::exit(if has_passed { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    // A debugger that ignores the request keeps the board here.
    loop {
        riscv::asm::nop();
    }
}

#[cfg(target_arch = "arm")]
fn output() -> Option<impl Write> {
    cortex_m_semihosting::hio::hstdout().ok()
}

#[cfg(target_arch = "arm")]
fn exit(has_passed: bool) -> ! {
    use cortex_m_semihosting::debug;
    debug::exit(if has_passed { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    // A debugger that ignores the request keeps the board here.
    loop {
        cortex_m::asm::nop();
    }
}
