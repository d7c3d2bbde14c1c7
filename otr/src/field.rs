//! The field GF(2^n) that the masks live in.
//!
//! Blocks are polynomials in big-endian order, modulo x^64 + x^4 + x^3 + x + 1 or x^128 + x^7 + x^2 + x + 1.

use core::ops::{BitXor, BitXorAssign};

use aead::array::{
    Array, ArraySize,
    typenum::{U8, U16},
};

use subtle::{Choice, ConstantTimeEq};

#[cfg(feature = "zeroize")]
use zeroize::Zeroize as MaybeZeroize;

/// A bound that is `Zeroize` if the feature `zeroize` is on, and that everything meets if it is off.
#[cfg(not(feature = "zeroize"))]
pub trait MaybeZeroize {}
#[cfg(not(feature = "zeroize"))]
impl<T> MaybeZeroize for T {}

/// The block sizes: 8 or 16 bytes.
pub trait BlockSize: ArraySize + sealed::BlockSize {
    /// The field of the masks for this block size.
    #[doc(hidden)]
    type Field: Field<Size = Self>;
}

impl BlockSize for U8 {
    type Field = u64;
}

impl BlockSize for U16 {
    type Field = Halves;
}

mod sealed {
    use super::{U8, U16};

    pub trait BlockSize {}
    impl BlockSize for U8 {}
    impl BlockSize for U16 {}
}

/// A block as an integer, in the order of memory. [`Field::swap`] converts it to an [`Element`].
///
/// Use `==` only for public values.
pub trait Field:
    Copy + Default + PartialEq + BitXor<Output = Self> + BitXorAssign + ConstantTimeEq + MaybeZeroize
{
    /// The size of a block.
    type Size: BlockSize<Field = Self>;

    /// The zero block.
    const ZERO: Self;

    /// A block as words, with the alignment of words.
    type Words: bytemuck::Pod;

    /// Converts words. Words and result are in the order of memory.
    fn from_words(words: Self::Words) -> Self;

    /// Is the inverse of [`Field::from_words`].
    fn to_words(self) -> Self::Words;

    /// Loads a block, in the order of memory.
    fn load(block: &Array<u8, Self::Size>) -> Self;

    /// Is the inverse of [`Field::load`].
    fn store(self) -> Array<u8, Self::Size>;

    /// Loads at most a block of bytes, with zeros after them.
    fn load_start(bytes: &[u8]) -> Self;

    /// Loads at most a block of bytes, with zeros before them.
    fn load_end(bytes: &[u8]) -> Self;

    /// Stores the first bytes, at most a block.
    fn store_start(self, bytes: &mut [u8]);

    /// Returns a block with the byte 0x80 in place `place` and zeros elsewhere. It is zero if the place is beyond the block.
    fn end_mark(place: usize) -> Self;

    /// Loads at most a block of bytes. If they do not fill it, a one bit and zeros follow. This takes little code.
    fn pad_bytewise(bytes: &[u8]) -> Self;

    /// Does what [`Field::store_start`] does, in little code.
    fn store_start_bytewise(self, bytes: &mut [u8]);

    /// Converts the block to an element.
    fn swap(self) -> Element<Self>;

    /// Returns 2x, without a branch.
    fn double(x: Element<Self>) -> Element<Self>;

    /// Returns 2^exponent x, without a branch. The exponent is 1 to 32.
    fn times_power_of_2(x: Element<Self>, exponent: u32) -> Element<Self>;
}

/// An element of GF(2^n), as the integer that a block stands for. Only elements can be multiplied, and only blocks can be loaded and stored.
/// Sums are the same for both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Element<F>(F);

impl<F: Field> Element<F> {
    /// The zero element.
    pub(crate) const ZERO: Self = Self(F::ZERO);

    /// Converts the element to a block, in the order of memory.
    #[inline(always)]
    pub(crate) fn swap(self) -> F {
        self.0.swap().0
    }

    /// Returns some block, for memory that is written before it is read.
    #[inline(always)]
    pub(crate) fn placeholder(self) -> F {
        self.0
    }

    /// Returns 2x for this element x, without a branch.
    #[inline(always)]
    pub(crate) fn double(self) -> Self {
        F::double(self)
    }

    /// Returns 2^exponent x for this element x, without a branch. The exponent is 1 to 32.
    #[inline(always)]
    pub(crate) fn times_power_of_2(self, exponent: u32) -> Self {
        F::times_power_of_2(self, exponent)
    }
}

impl<F: Field> BitXor for Element<F> {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }
}

#[cfg(feature = "zeroize")]
impl<F: Field> MaybeZeroize for Element<F> {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// Reduces a carry of up to 32 bits. Returns `carry` times x^4 + x^3 + x + 1.
#[inline(always)]
fn reduce_64(carry: u64) -> u64 {
    let twice = carry ^ carry << 1;
    twice ^ twice << 3
}

/// Reduces a carry of up to 32 bits. Returns `carry` times x^7 + x^2 + x + 1.
#[inline(always)]
fn reduce_128(carry: u64) -> u64 {
    carry ^ carry << 1 ^ carry << 2 ^ carry << 7
}

/// Returns at most 8 bytes as an integer. It makes no copy of variable length, because the CPU could not load the result of that at once.
#[inline(always)]
fn little_endian(bytes: &[u8]) -> u64 {
    if let Some(bytes) = bytes.first_chunk() {
        u64::from_le_bytes(*bytes)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        // Two halves that overlap.
        u64::from(u32::from_le_bytes(*first))
            | u64::from(u32::from_le_bytes(*last)) << (8 * (bytes.len() - 4))
    } else {
        bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
}

impl Field for u64 {
    type Size = U8;

    type Words = [u32; 2];

    const ZERO: Self = 0;

    #[inline(always)]
    fn from_words(words: [u32; 2]) -> Self {
        bytemuck::must_cast(words)
    }

    #[inline(always)]
    fn to_words(self) -> [u32; 2] {
        bytemuck::must_cast(self)
    }

    #[inline(always)]
    fn load(block: &Array<u8, U8>) -> Self {
        Self::from_ne_bytes(block.0)
    }

    #[inline(always)]
    fn store(self) -> Array<u8, U8> {
        Array(self.to_ne_bytes())
    }

    #[inline(always)]
    fn load_start(bytes: &[u8]) -> Self {
        little_endian(bytes).to_le()
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "at most 64")]
    fn load_end(bytes: &[u8]) -> Self {
        little_endian(bytes).checked_shl((64 - 8 * bytes.len()) as u32).unwrap_or(0).to_le()
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the bytes that are asked for")]
    fn store_start(self, bytes: &mut [u8]) {
        let value = self.to_le();
        let len = bytes.len();
        if let Some(bytes) = bytes.first_chunk_mut() {
            *bytes = value.to_le_bytes();
        } else if let Some(last) = bytes.last_chunk_mut() {
            // Two halves that overlap.
            *last = ((value >> (8 * (len - 4))) as u32).to_le_bytes();
            if let Some(first) = bytes.first_chunk_mut() {
                *first = (value as u32).to_le_bytes();
            }
        } else {
            for (byte, value) in bytes.iter_mut().zip(value.to_le_bytes()) {
                *byte = value;
            }
        }
    }

    #[inline(always)]
    fn end_mark(place: usize) -> Self {
        if place < 8 { (0x80_u64 << (8 * place)).to_le() } else { 0 }
    }

    #[inline(always)]
    fn pad_bytewise(bytes: &[u8]) -> Self {
        bytes.iter().rev().fold(0x80, |value, byte| value << 8 | Self::from(*byte)).to_le()
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "a byte at a time")]
    fn store_start_bytewise(self, bytes: &mut [u8]) {
        let mut value = self.to_le();
        for byte in bytes {
            *byte = value as u8;
            value >>= 8;
        }
    }

    #[inline(always)]
    fn swap(self) -> Element<Self> {
        Element(self.to_be())
    }

    #[inline(always)]
    fn double(Element(x): Element<Self>) -> Element<Self> {
        Element(x << 1 ^ (x >> 63).wrapping_neg() & 0x1B)
    }

    #[inline(always)]
    fn times_power_of_2(Element(x): Element<Self>, exponent: u32) -> Element<Self> {
        Element(x << exponent ^ reduce_64(x >> (64 - exponent)))
    }
}

/// A block of 128 bits, with the high half first. It is in halves because the compiler makes vector instructions only of 64-bit words.
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

impl ConstantTimeEq for Halves {
    #[inline(always)]
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0) & self.1.ct_eq(&other.1)
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

    type Words = [u32; 4];

    const ZERO: Self = Self(0, 0);

    #[inline(always)]
    fn from_words(words: [u32; 4]) -> Self {
        let [high, low] = bytemuck::must_cast(words);
        Self(high, low)
    }

    #[inline(always)]
    fn to_words(self) -> [u32; 4] {
        bytemuck::must_cast([self.0, self.1])
    }

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
    fn load_start(bytes: &[u8]) -> Self {
        match bytes.split_first_chunk::<8>() {
            Some((high, low)) => Self(u64::from_ne_bytes(*high), u64::load_start(low)),
            None => Self(u64::load_start(bytes), 0),
        }
    }

    #[inline(always)]
    fn load_end(bytes: &[u8]) -> Self {
        match bytes.split_last_chunk::<8>() {
            Some((high, low)) => Self(u64::load_end(high), u64::from_ne_bytes(*low)),
            None => Self(0, u64::load_end(bytes)),
        }
    }

    #[inline(always)]
    fn store_start(self, bytes: &mut [u8]) {
        match bytes.split_first_chunk_mut::<8>() {
            Some((high, low)) => {
                *high = self.0.to_ne_bytes();
                self.1.store_start(low);
            }
            None => self.0.store_start(bytes),
        }
    }

    #[inline(always)]
    fn end_mark(place: usize) -> Self {
        Self(u64::end_mark(place), u64::end_mark(place.wrapping_sub(8)))
    }

    #[inline(always)]
    fn pad_bytewise(bytes: &[u8]) -> Self {
        match bytes.split_first_chunk::<8>() {
            Some((high, low)) => Self(u64::from_ne_bytes(*high), u64::pad_bytewise(low)),
            None => Self(u64::pad_bytewise(bytes), 0),
        }
    }

    #[inline(always)]
    fn store_start_bytewise(self, bytes: &mut [u8]) {
        match bytes.split_first_chunk_mut::<8>() {
            Some((high, low)) => {
                *high = self.0.to_ne_bytes();
                self.1.store_start_bytewise(low);
            }
            None => self.0.store_start_bytewise(bytes),
        }
    }

    #[inline(always)]
    fn swap(self) -> Element<Self> {
        Element(Self(self.0.to_be(), self.1.to_be()))
    }

    #[inline(always)]
    fn double(Element(Self(high, low)): Element<Self>) -> Element<Self> {
        Element(Self(high << 1 | low >> 63, low << 1 ^ (high >> 63).wrapping_neg() & 0x87))
    }

    #[inline(always)]
    fn times_power_of_2(Element(Self(high, low)): Element<Self>, exponent: u32) -> Element<Self> {
        let rest = 64 - exponent;
        Element(Self(high << exponent | low >> rest, low << exponent ^ reduce_128(high >> rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples() {
        let mut x = Element(0x8123_4567_89AB_CDEF_u64);
        let mut y = Element(Halves(0xFEDC_BA98_7654_3210, 0x8123_4567_89AB_CDEF));
        for _ in 0..100 {
            for exponent in 1..=32 {
                assert_eq!(x.times_power_of_2(exponent), (0..exponent).fold(x, |x, _| x.double()));
                assert_eq!(y.times_power_of_2(exponent), (0..exponent).fold(y, |y, _| y.double()));
            }
            (x, y) = (x ^ x.double(), y ^ y.double());
        }
    }

    #[test]
    fn blocks_are_stored_as_loaded() {
        let bytes = Array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        let block = Halves::load(&bytes);
        assert_eq!(block.swap(), Element(Halves(0x0001_0203_0405_0607, 0x0809_0A0B_0C0D_0E0F)));
        assert_eq!(block.swap().swap(), block);
        assert_eq!(block.store(), bytes);
    }

    fn parts_are_loaded_and_stored<F: Field + PartialEq + core::fmt::Debug>() {
        let bytes: [u8; 16] = core::array::from_fn(|i| 0xF0 | u8::try_from(i).unwrap());
        let size = F::ZERO.store().len();
        for len in 0..=size {
            let (mut start, mut end) = (F::ZERO.store(), F::ZERO.store());
            start[..len].copy_from_slice(&bytes[..len]);
            end[size - len..].copy_from_slice(&bytes[..len]);
            assert_eq!(F::load_start(&bytes[..len]).store(), start);
            assert_eq!(F::load_end(&bytes[..len]).store(), end);

            let mut stored = [0; 16];
            F::load_start(&bytes[..size]).store_start(&mut stored[..len]);
            assert_eq!(stored[..len], bytes[..len]);
            assert_eq!(stored[len..], [0; 16][len..]);
            let mut bytewise = [0; 16];
            F::load_start(&bytes[..size]).store_start_bytewise(&mut bytewise[..len]);
            assert_eq!(bytewise, stored);

            let mut mark = F::ZERO.store();
            mark.iter_mut().skip(len).take(1).for_each(|byte| *byte = 0x80);
            assert_eq!(F::end_mark(len).store(), mark);
            assert_eq!(F::pad_bytewise(&bytes[..len]), F::load_start(&bytes[..len]) ^ F::load_start(&mark));
        }
    }

    #[test]
    fn parts() {
        parts_are_loaded_and_stored::<u64>();
        parts_are_loaded_and_stored::<Halves>();
    }
}
