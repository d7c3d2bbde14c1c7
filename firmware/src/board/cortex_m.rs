//! A Cortex-M board under a debugger or in QEMU: prints and exits by semihosting.

use core::fmt::Write;
use cortex_m_rt::{ExceptionFrame, exception};
use cortex_m_semihosting::{debug, hio};

/// Makes an image that runs `$checks`.
#[macro_export]
macro_rules! image {
    ($checks:expr) => {
        #[cortex_m_rt::entry]
        fn main() -> ! {
            $crate::board::run($checks)
        }
    };
}

pub(super) fn output() -> Option<impl Write> {
    hio::hstdout().ok()
}

pub(super) fn exit(has_passed: bool) -> ! {
    debug::exit(if has_passed { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    // A debugger that ignores the request keeps the board here.
    loop {
        cortex_m::asm::nop();
    }
}

// SAFETY: it does not return, so it does not matter what state the fault left behind.
#[allow(unsafe_code)]
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    super::fail(format_args!("HardFault: {frame:?}"))
}

// SAFETY: as above.
#[allow(unsafe_code)]
#[exception]
unsafe fn DefaultHandler(number: i16) {
    super::fail(format_args!("unexpected exception {number}"))
}
