//! A board under a debugger or in QEMU: prints and exits by semihosting.

use core::fmt::Write as _;
use cortex_m_semihosting::{debug, hio};

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
    let done = hio::hstdout().ok().and_then(|mut out| measure::all(&mut out).ok());
    end(if done.is_some() { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE })
}

/// Prints `message` and ends the run as failed.
#[doc(hidden)]
pub fn fail(message: core::fmt::Arguments<'_>) -> ! {
    if let Ok(mut out) = hio::hstdout() {
        // There is nobody left to tell if this fails too.
        let _ = writeln!(out, "{message}");
    }
    end(debug::EXIT_FAILURE)
}

fn end(status: debug::ExitStatus) -> ! {
    debug::exit(status);
    // A debugger that ignores the request keeps the board here.
    loop {
        cortex_m::asm::nop();
    }
}
