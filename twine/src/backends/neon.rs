//! The vector of NEON for [`super::simd`].
//!
//! Nothing is detected at run time. This module is compiled only if NEON is part of the target, as it is on all targets except bare-metal ones
//! without floating point. Big-endian targets get the portable backend.

use core::arch::aarch64::*;

use cipher::{
    BlockCipherDecClosure, BlockCipherEncClosure, InOutBuf,
    consts::{U8, U16},
};

use super::simd::{self, Backend, Block, Kernels, Vector, keys::ExpandedKey};

/// The name of this backend.
pub(crate) const NAME: &str = "neon";

/// Whether no other backend is forced.
pub(crate) const IS_CHOSEN: bool = cfg!(not(any(
    twine_backend = "soft",
    twine_backend = "soft32",
    twine_backend = "soft64",
    twine_backend = "ssse3",
    twine_backend = "avx2",
    twine_backend = "avx512",
)));

/// 16 bytes.
#[derive(Clone, Copy)]
pub(crate) struct Neon(uint8x16_t);

impl Vector for Neon {
    const WIDTH: usize = 16;
    type Blocks = U16;

    #[inline(always)]
    unsafe fn load(bytes: &[u8]) -> Self {
        // SAFETY: the slice has 16 bytes; the target has NEON.
        unsafe { Self(vld1q_u8(bytes[..16].as_ptr())) }
    }

    #[inline(always)]
    unsafe fn load_part(bytes: &[u8]) -> Self {
        let block = |bytes: Option<&[u8; 8]>| match bytes {
            // SAFETY: there are 8 bytes; the target has NEON.
            Some(bytes) => unsafe { vld1_u8(bytes.as_ptr()) },
            // SAFETY: the target has NEON.
            None => unsafe { vdup_n_u8(0) },
        };
        let (first, second) = (bytes.first_chunk(), bytes.get(8..).and_then(<[u8]>::first_chunk));
        // SAFETY: the target has NEON.
        Self(unsafe { vcombine_u8(block(first), block(second)) })
    }

    #[inline(always)]
    unsafe fn repeat_16(bytes: &[u8; 16]) -> Self {
        // SAFETY: by the caller's word.
        unsafe { Self::load(bytes) }
    }

    #[inline(always)]
    unsafe fn repeat_8(bytes: u64) -> Self {
        // SAFETY: the target has NEON.
        unsafe { Self(vreinterpretq_u8_u64(vdupq_n_u64(bytes))) }
    }

    #[inline(always)]
    unsafe fn repeat_4(bytes: u32) -> Self {
        // SAFETY: the target has NEON.
        unsafe { Self(vreinterpretq_u8_u32(vdupq_n_u32(bytes))) }
    }

    #[inline(always)]
    fn store(self, bytes: &mut [u8]) {
        // SAFETY: the slice has 16 bytes; the target has NEON.
        unsafe { vst1q_u8(bytes[..16].as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn store_part(self, bytes: &mut [u8]) {
        if let Some(bytes) = bytes.first_chunk_mut::<8>() {
            // SAFETY: the slice has 8 bytes; the target has NEON.
            unsafe { vst1_u8(bytes.as_mut_ptr(), vget_low_u8(self.0)) }
        }
    }

    // An index above 15 gives zero, and so does 0x80.
    #[inline(always)]
    fn shuffle(self, index: Self) -> Self {
        // SAFETY: the target has NEON.
        unsafe { Self(vqtbl1q_u8(self.0, index.0)) }
    }

    #[inline(always)]
    fn interleave_low(self, other: Self) -> Self {
        // SAFETY: the target has NEON.
        unsafe { Self(vzip1q_u8(self.0, other.0)) }
    }

    #[inline(always)]
    fn interleave_high(self, other: Self) -> Self {
        // SAFETY: the target has NEON.
        unsafe { Self(vzip2q_u8(self.0, other.0)) }
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: the target has NEON.
        unsafe { Self(veorq_u8(self.0, other.0)) }
    }

    #[cfg(target_feature = "sha3")]
    #[inline(always)]
    fn xor_3(self, second: Self, third: Self) -> Self {
        // SAFETY: the target has the extension SHA3.
        unsafe { Self(veor3q_u8(self.0, second.0, third.0)) }
    }

    #[cfg(not(target_feature = "sha3"))]
    #[inline(always)]
    fn xor_3(self, second: Self, third: Self) -> Self {
        self.xor(second.xor(third))
    }

    #[inline(always)]
    fn high_nibbles(self) -> Self {
        // SAFETY: the target has NEON.
        unsafe { Self(vshrq_n_u8::<4>(self.0)) }
    }

    #[inline(always)]
    fn low_nibbles(self) -> Self {
        // SAFETY: the target has NEON.
        unsafe { Self(vandq_u8(self.0, vdupq_n_u8(0x0F))) }
    }

    #[inline(always)]
    fn with_high_nibbles(self, high: Self) -> Self {
        // SAFETY: the target has NEON.
        unsafe { Self(vsliq_n_u8::<4>(self.0, high.0)) }
    }
}

impl Kernels for Neon {
    unsafe fn encrypt(keys: &ExpandedKey, blocks: InOutBuf<'_, '_, Block>) {
        // SAFETY: the target has NEON.
        unsafe { simd::encrypt::<Self>(keys, blocks) }
    }

    unsafe fn decrypt(keys: &ExpandedKey, blocks: InOutBuf<'_, '_, Block>) {
        // SAFETY: the target has NEON.
        unsafe { simd::decrypt::<Self>(keys, blocks) }
    }
}

/// Round keys for NEON.
#[derive(Clone)]
pub(crate) struct RoundKeys(ExpandedKey);

impl RoundKeys {
    /// Without a key.
    pub(crate) const ZERO: Self = Self(ExpandedKey::ZERO);

    /// Makes the round keys of `key` in place.
    #[inline(never)]
    pub(crate) fn expand(&mut self, key: &[u8]) {
        // SAFETY: the target has NEON.
        unsafe { self.0.expand::<Neon>(key) }
    }

    #[inline]
    pub(crate) fn encrypt(&self, f: impl BlockCipherEncClosure<BlockSize = U8>) {
        // SAFETY: the target has NEON.
        f.call(&unsafe { Backend::<Neon>::new(&self.0) });
    }

    #[inline]
    pub(crate) fn decrypt(&self, f: impl BlockCipherDecClosure<BlockSize = U8>) {
        // SAFETY: the target has NEON.
        f.call(&unsafe { Backend::<Neon>::new(&self.0) });
    }
}
