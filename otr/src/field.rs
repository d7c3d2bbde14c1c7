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

    /// 2^8 x for the element x, without a branch.
    fn times_256(self) -> Self;
}

impl Field for u64 {
    type Size = U8;

    const ZERO: Self = 0;

    #[inline(always)]
    fn load(block: &Array<u8, U8>) -> Self {
        Self::from_ne_bytes(block.0)
    }

    #[inline(always)]
    fn store(self) -> Array<u8, U8> {
        Array(self.to_ne_bytes())
    }

    #[inline(always)]
    fn swap(self) -> Self {
        self.to_be()
    }

    #[inline(always)]
    fn double(self) -> Self {
        self << 1 ^ (self >> 63).wrapping_neg() & 0x1B
    }

    #[inline(always)]
    fn times_256(self) -> Self {
        let carry = self >> 56;
        self << 8 ^ carry ^ carry << 1 ^ carry << 3 ^ carry << 4
    }
}

/// A block of 128 bits, the high half first. In halves, for the compiler makes vector instructions of 64-bit words only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Halves(u64, u64);

impl BitXor for Halves {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        Self(self.0 ^ other.0, self.1 ^ other.1)
    }
}

impl BitXorAssign for Halves {
    #[inline(always)]
    fn bitxor_assign(&mut self, other: Self) {
        *self = *self ^ other;
    }
}

#[cfg(feature = "zeroize")]
impl MaybeZeroize for Halves {
    fn zeroize(&mut self) {
        self.0.zeroize();
        self.1.zeroize();
    }
}

impl Field for Halves {
    type Size = U16;

    const ZERO: Self = Self(0, 0);

    #[inline(always)]
    fn load(block: &Array<u8, U16>) -> Self {
        let [b0, b1, b2, b3, b4, b5, b6, b7, c0, c1, c2, c3, c4, c5, c6, c7] = block.0;
        Self(
            u64::from_ne_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
            u64::from_ne_bytes([c0, c1, c2, c3, c4, c5, c6, c7]),
        )
    }

    #[inline(always)]
    fn store(self) -> Array<u8, U16> {
        let mut block = [0; 16];
        block[..8].copy_from_slice(&self.0.to_ne_bytes());
        block[8..].copy_from_slice(&self.1.to_ne_bytes());
        Array(block)
    }

    #[inline(always)]
    fn swap(self) -> Self {
        Self(self.0.to_be(), self.1.to_be())
    }

    #[inline(always)]
    fn double(self) -> Self {
        let Self(high, low) = self;
        Self(high << 1 | low >> 63, low << 1 ^ (high >> 63).wrapping_neg() & 0x87)
    }

    #[inline(always)]
    fn times_256(self) -> Self {
        let Self(high, low) = self;
        let carry = high >> 56;
        Self(high << 8 | low >> 56, low << 8 ^ carry ^ carry << 1 ^ carry << 2 ^ carry << 7)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples() {
        let mut x = 0x8123_4567_89AB_CDEF_u64;
        let mut y = Halves(0xFEDC_BA98_7654_3210, 0x8123_4567_89AB_CDEF);
        for _ in 0..100 {
            assert_eq!(x.times_256(), (0..8).fold(x, |x, _| x.double()));
            assert_eq!(y.times_256(), (0..8).fold(y, |y, _| y.double()));
            (x, y) = (x ^ x.double(), y ^ y.double());
        }
    }

    #[test]
    fn blocks_are_stored_as_loaded() {
        let bytes = Array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        let block = Halves::load(&bytes);
        assert_eq!(block.swap(), Halves(0x0001_0203_0405_0607, 0x0809_0A0B_0C0D_0E0F));
        assert_eq!(block.store(), bytes);
    }
}
