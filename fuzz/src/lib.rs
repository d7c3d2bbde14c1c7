//! What the fuzz targets check. Each module has one property: an `Input` that `arbitrary` makes from the fuzzer's bytes,
//! and `check`, which panics if the property does not hold for it. The programs in `fuzz_targets` only connect the two to
//! libFuzzer.
//!
//! An input is fields of fixed size, then all remaining bytes. `arbitrary` reads such a struct from front to back, integers
//! in little-endian order, so that [`seeds`] can write what the fuzzer starts from. Fields that choose something
//! are reduced modulo the number of choices: every input means something.
#![cfg(fuzzing)]

pub mod backends;
pub mod capi;
pub mod forgery;
pub mod frame;
pub mod mode;
pub mod seal;
pub mod sealer;
pub mod seeds;
pub mod vectors;

/// The first `len` of `bytes`, or all, and the rest.
fn split(bytes: &[u8], len: u16) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.len().min(len.into()))
}
