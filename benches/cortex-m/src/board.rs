//! A board under a debugger or in QEMU: a Cortex-M prints and exits by semihosting, RISC-V by devices of QEMU's.

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

#[cfg(target_arch = "riscv32")]
use qemu_virt::exit;

#[cfg(target_arch = "riscv32")]
fn output() -> Option<impl Write> {
    Some(qemu_virt::Output)
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
