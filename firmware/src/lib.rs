//! Known answers for boards without an operating system.
//!
//! There is an image for each set of checks, as all together exceed the flash of the smallest board. What is checked is
//! independent of the board; `board` has what is not, and exists only where there is no operating system.
#![no_std]
#![deny(unsafe_code)]

mod aead;
mod block;
#[cfg(target_os = "none")]
pub mod board;
mod constant_time;
#[cfg(twine_masked)]
mod masked;
mod report;

/// TWINE as its paper states it: the oracle of backends that only run here.
#[path = "../../twine/src/reference.rs"]
#[allow(unreachable_pub, dead_code, reason = "shared with the tests of twine-cipher")]
mod reference;

/// The vectors that the build script takes from the crate `test-vectors`.
#[allow(unreachable_pub, dead_code, reason = "the generated source serves firmware of other shapes as well")]
mod vectors {
    include!(concat!(env!("OUT_DIR"), "/vectors.rs"));
}

use core::fmt;

pub use report::Report;

/// A set of checks.
pub type Checks = fn(&mut Report<'_>) -> fmt::Result;

/// Checks TWINE, the masked ciphers if they are there, and OTR over TWINE.
///
/// # Errors
/// If the report cannot be written.
pub fn twine(report: &mut Report<'_>) -> fmt::Result {
    block::run(report)?;
    #[cfg(twine_masked)]
    masked::run(report)?;
    aead::twine(report)
}

/// Checks OTR over AES: the mode with a 128-bit cipher, and the vectors that its designers published.
///
/// # Errors
/// If the report cannot be written.
pub fn aes(report: &mut Report<'_>) -> fmt::Result {
    aead::aes(report)
}

/// Runs deliberate leaks, then everything that must be constant-time, with many secrets. It checks that sealed messages open
/// and changed ones do not; what matters is the trace.
///
/// # Errors
/// If the report cannot be written.
pub fn constant_time(report: &mut Report<'_>) -> fmt::Result {
    constant_time::run(report)
}
