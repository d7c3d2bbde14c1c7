//! The kernels for ARMv7-M and ARMv8-M with the Main Extension, which the package `masking` of the repository makes.

use core::arch::global_asm;

use super::{RoundKeys, Shares};
use crate::schedule::{MASKED_CONSTANTS, MaskedConstants};

global_asm!(include_str!("v7m.s"), options(raw));

// Their names are those in `v7m.s`.
unsafe extern "C" {
    fn twine_masked_encrypt(keys: *const RoundKeys, blocks: *mut Shares);
    fn twine_masked_schedule_128(
        keys: *mut RoundKeys,
        key: *const [[u32; 4]; 2],
        constants: *const MaskedConstants,
    );
    fn twine_masked_schedule_80(
        keys: *mut RoundKeys,
        key: *const [[u32; 3]; 2],
        constants: *const MaskedConstants,
    );
    fn twine_masked_refresh(keys: *mut RoundKeys, masks: *const [u32; 4]);
}

/// Encrypts four blocks.
pub(crate) fn encrypt(keys: &RoundKeys, blocks: &mut Shares) {
    // SAFETY: it reads the round keys, 36 times eight words, and reads and writes the blocks, 16 words, those of share a first. `RoundKeys`
    // and `Shares` are arrays of so many words in this order.
    unsafe { twine_masked_encrypt(keys, blocks) }
}

/// Makes the round keys of a key of 128 bits.
pub(crate) fn expand_128(keys: &mut RoundKeys, key: &[[u32; 4]; 2]) {
    // SAFETY: it reads the key, four words of share a and then of share b, and the constants, six words for each of nine steps, and writes the
    // round keys, 36 times eight words. These arrays have so many words in this order.
    unsafe { twine_masked_schedule_128(keys, key, &raw const MASKED_CONSTANTS) }
}

/// Makes the round keys of a key of 80 bits; the rest of the words does not count.
pub(crate) fn expand_80(keys: &mut RoundKeys, key: &[[u32; 3]; 2]) {
    // SAFETY: as above, with three words of each share of the key.
    unsafe { twine_masked_schedule_80(keys, key, &raw const MASKED_CONSTANTS) }
}

/// Adds masks to all round keys.
pub(crate) fn refresh(keys: &mut RoundKeys, masks: &[u32; 4]) {
    // SAFETY: it reads four words of masks, and reads and writes the round keys, 36 times eight words. These arrays have so many.
    unsafe { twine_masked_refresh(keys, masks) }
}
