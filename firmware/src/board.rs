//! A board: prints what the checks say, and ends with their result.

#[cfg(target_arch = "arm")]
mod cortex_m;
#[cfg(target_arch = "riscv32")]
mod riscv;

use crate::{Checks, Report};
use core::{fmt::Write as _, panic::PanicInfo};

#[cfg(target_arch = "arm")]
use self::cortex_m::{exit, output};
#[cfg(target_arch = "riscv32")]
use self::riscv::{exit, output};

/// Runs `checks` and ends, with success if all of them held.
pub fn run(checks: Checks) -> ! {
    let Some(mut out) = output() else { exit(false) };
    let mut report = Report::new(&mut out);
    let failed = checks(&mut report).and_then(|()| report.finish());
    exit(failed == Ok(0))
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    fail(format_args!("{info}"))
}

/// Prints `message` and ends the run as failed.
fn fail(message: core::fmt::Arguments<'_>) -> ! {
    if let Some(mut out) = output() {
        // There is nobody left to tell if this fails too.
        let _ = writeln!(out, "{message}");
    }
    exit(false)
}
