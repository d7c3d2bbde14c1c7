//! Rounds and key schedules on two shares, and what a mode does with one share at a time.

use cipher::{Array, consts::U8};

use crate::{consts::ROUNDS, maybe::MaybeZeroize};

#[cfg(twine_thumb = "v7m")]
#[path = "masked/v7m.rs"]
mod kernels;

#[cfg(not(twine_thumb = "v7m"))]
#[path = "masked/portable.rs"]
mod kernels;

pub use kernels::{add, double, select, set_sum, times_16};
pub(crate) use kernels::{encrypt, expand_80, expand_128, refresh};

/// A share of a block, or a public block: its bytes as words in little-endian order.
pub type ShareBlock = [u32; 2];

/// Four blocks in two shares.
pub(crate) type Shares = [[ShareBlock; 4]; 2];

/// The round keys in two shares: for each round four words of one share, and then of the other.
#[derive(Clone)]
#[repr(transparent)]
pub(crate) struct RoundKeys([[u32; 8]; ROUNDS]);

impl RoundKeys {
    /// Without a key.
    pub(crate) const ZERO: Self = Self([[0; 8]; ROUNDS]);
}

#[cfg(feature = "zeroize")]
impl Drop for RoundKeys {
    fn drop(&mut self) {
        erase(&mut self.0);
    }
}

/// Erases shares or masks, with the feature `zeroize`.
pub(crate) fn erase(words: &mut impl MaybeZeroize) {
    #[cfg(feature = "zeroize")]
    words.zeroize();
    #[cfg(not(feature = "zeroize"))]
    let _ = words;
}

/// The words of a block, in little-endian order.
pub(crate) fn words(block: &Array<u8, U8>) -> [u32; 2] {
    let [b0, b1, b2, b3, b4, b5, b6, b7] = block.0;
    [u32::from_le_bytes([b0, b1, b2, b3]), u32::from_le_bytes([b4, b5, b6, b7])]
}

/// The block with these words.
pub(crate) fn bytes([low, high]: [u32; 2]) -> Array<u8, U8> {
    Array((u64::from(low) | u64::from(high) << 32).to_le_bytes())
}
