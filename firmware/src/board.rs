//! A Cortex-M board under a debugger or in QEMU: prints and exits by semihosting.

use crate::{Checks, Report};
use core::{fmt::Write, panic::PanicInfo};
use cortex_m_rt::{ExceptionFrame, exception};
use cortex_m_semihosting::{debug, hio};

/// Runs `checks` and ends, with success if all of them held.
pub fn run(checks: Checks) -> ! {
    let Ok(mut out) = hio::hstdout() else { exit(debug::EXIT_FAILURE) };
    let mut report = Report::new(&mut out);
    match checks(&mut report).and_then(|()| report.finish()) {
        Ok(0) => exit(debug::EXIT_SUCCESS),
        _ => exit(debug::EXIT_FAILURE),
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    fail(format_args!("{info}"))
}

// SAFETY: it does not return, so it does not matter what state the fault left behind.
#[allow(unsafe_code)]
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    fail(format_args!("HardFault: {frame:?}"))
}

// SAFETY: as above.
#[allow(unsafe_code)]
#[exception]
unsafe fn DefaultHandler(number: i16) {
    fail(format_args!("unexpected exception {number}"))
}

/// Prints `message` and ends the run as failed.
fn fail(message: core::fmt::Arguments<'_>) -> ! {
    if let Ok(mut out) = hio::hstdout() {
        // There is nobody left to tell if this fails too.
        let _ = writeln!(out, "{message}");
    }
    exit(debug::EXIT_FAILURE)
}

fn exit(status: debug::ExitStatus) -> ! {
    debug::exit(status);
    // A debugger that ignores the request keeps the board here.
    loop {
        cortex_m::asm::nop();
    }
}
