//! The kernels for ARMv7-M and ARMv8-M with the Main Extension, which the package `masking` of the repository makes.

use core::arch::global_asm;

use super::{RoundKeys, ShareBlock, Shares};
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
    fn twine_masked_add(
        to: *mut ShareBlock,
        x: *const ShareBlock,
        y: *const ShareBlock,
        end: *const ShareBlock,
    );
    fn twine_masked_select(
        to: *mut ShareBlock,
        x: *const ShareBlock,
        y: *const ShareBlock,
        end: *const ShareBlock,
    );
    fn twine_masked_double(first: *mut ShareBlock, last: *const ShareBlock);
    fn twine_masked_times_16(blocks: *mut ShareBlock, end: *const ShareBlock);
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

/// Makes each block of `to` the sum of the blocks of `x` and `y` in its place, as far as there are all three.
pub fn set_sum(to: &mut [ShareBlock], x: &[ShareBlock], y: &[ShareBlock]) {
    let count = to.len().min(x.len()).min(y.len());
    if count > 0 {
        let to = to.as_mut_ptr();
        // SAFETY: it reads `count` blocks of `x` and of `y`, and writes as many of `to`. There are as many of each, and at least one.
        unsafe { twine_masked_add(to, x.as_ptr(), y.as_ptr(), to.add(count)) }
    }
}

/// Adds the blocks of `x` to those of `to`, as far as there are both.
pub fn add(to: &mut [ShareBlock], x: &[ShareBlock]) {
    let count = to.len().min(x.len());
    if count > 0 {
        let to = to.as_mut_ptr();
        // SAFETY: as above. It reads each block before it writes it.
        unsafe { twine_masked_add(to, to, x.as_ptr(), to.add(count)) }
    }
}

/// Clears the bits of `to` that are not set in `kept`, as far as there are both.
pub fn select(to: &mut [ShareBlock], kept: &[ShareBlock]) {
    let count = to.len().min(kept.len());
    if count > 0 {
        let to = to.as_mut_ptr();
        // SAFETY: as above.
        unsafe { twine_masked_select(to, to, kept.as_ptr(), to.add(count)) }
    }
}

/// Makes each block but the first one two times the block before it.
pub fn double(blocks: &mut [ShareBlock]) {
    if let Some(doublings) = blocks.len().checked_sub(1).filter(|doublings| *doublings > 0) {
        let blocks = blocks.as_mut_ptr();
        // SAFETY: it reads the blocks from the first one on, and writes those after it up to the last one, which is another.
        unsafe { twine_masked_double(blocks, blocks.add(doublings)) }
    }
}

/// Multiplies all blocks by 16.
pub fn times_16(blocks: &mut [ShareBlock]) {
    if !blocks.is_empty() {
        let end = blocks.as_mut_ptr_range().end;
        // SAFETY: it reads and writes all blocks up to this end, of which there is at least one.
        unsafe { twine_masked_times_16(blocks.as_mut_ptr(), end) }
    }
}
