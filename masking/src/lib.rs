//! Masked kernels of TWINE and of the mode for ARMv7-M: what makes them, and what proves of each that no bit that is seen in it depends on a secret.

pub mod check;
pub mod exact;
pub mod image;
pub mod ir;
pub mod kernel;
pub mod leakage;
pub mod linear;
pub mod machine;
pub mod message;
pub mod plain;
pub mod random;
pub mod report;
pub mod sbox;

// What the kernels have in common with the unmasked cipher. Its S-box is `circuit` here.
#[path = "../../twine/src/sbox.rs"]
#[allow(dead_code, reason = "shared with twine-cipher")]
mod circuit;
#[path = "../../twine/src/consts.rs"]
#[allow(unexpected_cfgs, reason = "shared with twine-cipher")]
mod consts;
#[path = "../../twine/src/placement.rs"]
#[allow(dead_code, reason = "shared with twine-cipher")]
mod placement;
#[cfg(test)]
#[path = "../../twine/src/reference.rs"]
#[allow(unreachable_pub, dead_code, reason = "shared with the tests of twine-cipher")]
mod reference;

/// The symbol of the kernel for four blocks.
pub const ENCRYPT: &str = "twine_masked_encrypt";
/// That of the key schedule of TWINE-128.
pub const SCHEDULE_128: &str = "twine_masked_schedule_128";
/// That of the key schedule of TWINE-80.
pub const SCHEDULE_80: &str = "twine_masked_schedule_80";
/// That of the kernel for new masks.
pub const REFRESH: &str = "twine_masked_refresh";

/// That of the kernel for the sum of blocks of one share.
pub const ADD: &str = "twine_masked_add";
/// That of the kernel for some bits of blocks of one share.
pub const SELECT: &str = "twine_masked_select";
/// That of the kernel for powers of two times a block of one share.
pub const DOUBLE: &str = "twine_masked_double";
/// That of the kernel for 16 times blocks of one share.
pub const TIMES_16: &str = "twine_masked_times_16";

/// The kernels as they are in `twine/src/backends/masked/v7m.s`.
///
/// # Panics
/// If there is no schedule of the S-box, which the tests exclude.
#[must_use]
pub fn kernels() -> Vec<kernel::Kernel> {
    let sbox = sbox::search(1, 2).next().expect("the search goes on until it finds one");
    kernel::all(&sbox)
}
