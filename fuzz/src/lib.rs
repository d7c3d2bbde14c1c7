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

/// A key that depends on all `bytes` (FNV-1a): the fuzzer remembers what earlier inputs sealed, and under one key that would be no
/// forgery.
fn key_of(bytes: &[u8]) -> [u8; 16] {
    let step = |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul((1 << 88) + 0x13B);
    bytes.iter().fold(0x6C62_272E_07BB_0142_62B8_2175_6295_C58D, step).to_be_bytes()
}
