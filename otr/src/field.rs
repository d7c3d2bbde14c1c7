//! The field GF(2^n) that the masks live in.
//!
//! Blocks are polynomials in big-endian order, modulo x^64 + x^4 + x^3 + x + 1 or x^128 + x^7 + x^2 + x + 1.

use core::ops::{BitXor, BitXorAssign};

use aead::array::{
    Array,
    typenum::{U8, U16},
};

use crate::size::BlockSize;

#[cfg(feature = "zeroize")]
use zeroize::Zeroize as MaybeZeroize;

/// `Zeroize` where the feature `zeroize` is on, and nothing where it is off.
#[cfg(not(feature = "zeroize"))]
pub trait MaybeZeroize {}
#[cfg(not(feature = "zeroize"))]
impl<T> MaybeZeroize for T {}

/// A block as an integer: either an element of GF(2^n), or the block's bytes in the order of memory.
///
/// [`Field::swap`] goes from the one to the other. Sums are the same in both; [`Field::double`] takes the element.
pub trait Field: Copy + Default + BitXor<Output = Self> + BitXorAssign + MaybeZeroize {
    /// The size of a block.
    type Size: BlockSize<Field = Self>;

    /// The zero block.
    const ZERO: Self;

    /// The bytes of a block, in the order of memory.
    fn load(block: &Array<u8, Self::Size>) -> Self;

    /// The inverse of [`Field::load`].
    fn store(self) -> Array<u8, Self::Size>;

    /// From the element to the order of memory, and back.
    fn swap(self) -> Self;

    /// 2x for the element x, without a branch.
    fn double(self) -> Self;
}

macro_rules! field {
    ($word:ty, $size:ty, $polynomial:literal) => {
        impl Field for $word {
            type Size = $size;

            const ZERO: Self = 0;

            #[inline(always)]
            fn load(block: &Array<u8, $size>) -> Self {
                Self::from_ne_bytes(block.0)
            }

            #[inline(always)]
            fn store(self) -> Array<u8, $size> {
                Array(self.to_ne_bytes())
            }

            #[inline(always)]
            fn swap(self) -> Self {
                self.to_be()
            }

            #[inline(always)]
            fn double(self) -> Self {
                let carry = (self >> (Self::BITS - 1)).wrapping_neg();
                self << 1 ^ carry & $polynomial
            }
        }
    };
}

field!(u64, U8, 0x1B);
field!(u128, U16, 0x87);
