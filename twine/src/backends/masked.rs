//! Rounds and key schedules on two shares.

#[cfg(feature = "zeroize")]
use cipher::zeroize::Zeroize;

use crate::consts::ROUNDS;

#[cfg(twine_thumb = "v7m")]
#[path = "masked/v7m.rs"]
mod kernels;

#[cfg(not(twine_thumb = "v7m"))]
#[path = "masked/portable.rs"]
mod kernels;

pub(crate) use kernels::{encrypt, expand_80, expand_128, refresh};

/// Four blocks in two shares, as words in little-endian order.
#[derive(Clone)]
#[repr(C)]
pub(crate) struct Shares {
    pub(crate) a: [[u32; 2]; 4],
    pub(crate) b: [[u32; 2]; 4],
}

impl Shares {
    pub(crate) const ZERO: Self = Self { a: [[0; 2]; 4], b: [[0; 2]; 4] };
}

/// The round keys in two shares: for each round four words of one share, and then of the other.
#[derive(Clone)]
#[repr(transparent)]
pub(crate) struct RoundKeys([[u32; 8]; ROUNDS]);

impl RoundKeys {
    /// Without a key.
    pub(crate) const ZERO: Self = Self([[0; 8]; ROUNDS]);
}

#[cfg(feature = "zeroize")]
impl Drop for Shares {
    fn drop(&mut self) {
        self.a.as_flattened_mut().zeroize();
        self.b.as_flattened_mut().zeroize();
    }
}

#[cfg(feature = "zeroize")]
impl Drop for RoundKeys {
    fn drop(&mut self) {
        self.0.as_flattened_mut().zeroize();
    }
}
