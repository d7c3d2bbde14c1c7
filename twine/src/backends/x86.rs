//! The vectors of SSSE3, AVX2 and AVX-512 for [`super::simd`], and the functions that run with these features.
//!
//! Everything that a closure of `cipher` calls is `inline(always)`, so that it is compiled with the features of the function that calls the
//! closure.

#[cfg(target_arch = "x86")]
use core::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::*;

use cipher::{
    BlockCipherDecClosure, BlockCipherEncClosure, InOutBuf,
    consts::{U8, U16, U32},
};

use super::simd::{self, Backend, Block, Kernels, Vector, keys::ExpandedKey};

/// 16 bytes, with SSSE3.
#[derive(Clone, Copy)]
pub(crate) struct Ssse3(__m128i);

impl Vector for Ssse3 {
    const WIDTH: usize = 16;
    type Blocks = U16;

    #[inline(always)]
    unsafe fn load(bytes: &[u8]) -> Self {
        // SAFETY: the slice has 16 bytes; the caller vouches for SSSE3.
        unsafe { Self(_mm_loadu_si128(bytes[..16].as_ptr().cast())) }
    }

    #[inline(always)]
    unsafe fn load_part(bytes: &[u8]) -> Self {
        // SAFETY: the caller vouches for SSSE3.
        unsafe { Self(load_up_to_2(bytes)) }
    }

    #[inline(always)]
    unsafe fn repeat_16(bytes: &[u8; 16]) -> Self {
        // SAFETY: by the caller's word.
        unsafe { Self::load(bytes) }
    }

    #[inline(always)]
    unsafe fn repeat_8(bytes: u64) -> Self {
        // SAFETY: the caller vouches for SSSE3.
        unsafe { Self(_mm_set1_epi64x(bytes as i64)) }
    }

    #[inline(always)]
    unsafe fn repeat_4(bytes: u32) -> Self {
        // SAFETY: the caller vouches for SSSE3.
        unsafe { Self(_mm_set1_epi32(bytes as i32)) }
    }

    #[inline(always)]
    fn store(self, bytes: &mut [u8]) {
        // SAFETY: the slice has 16 bytes; there is SSSE3, since `self` exists.
        unsafe { _mm_storeu_si128(bytes[..16].as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn store_part(self, bytes: &mut [u8]) {
        // SAFETY: there is SSSE3, since `self` exists.
        unsafe { store_up_to_2(self.0, bytes) }
    }

    #[inline(always)]
    fn shuffle(self, index: Self) -> Self {
        // SAFETY: there is SSSE3, since `self` exists.
        unsafe { Self(_mm_shuffle_epi8(self.0, index.0)) }
    }

    #[inline(always)]
    fn interleave_low(self, other: Self) -> Self {
        // SAFETY: there is SSSE3, since `self` exists.
        unsafe { Self(_mm_unpacklo_epi8(self.0, other.0)) }
    }

    #[inline(always)]
    fn interleave_high(self, other: Self) -> Self {
        // SAFETY: there is SSSE3, since `self` exists.
        unsafe { Self(_mm_unpackhi_epi8(self.0, other.0)) }
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: there is SSSE3, since `self` exists.
        unsafe { Self(_mm_xor_si128(self.0, other.0)) }
    }

    #[inline(always)]
    fn xor_3(self, second: Self, third: Self) -> Self {
        self.xor(second.xor(third))
    }

    #[inline(always)]
    fn high_nibbles(self) -> Self {
        // SAFETY: there is SSSE3, since `self` exists.
        unsafe { Self(_mm_and_si128(_mm_srli_epi16(self.0, 4), _mm_set1_epi8(0x0F))) }
    }

    #[inline(always)]
    fn low_nibbles(self) -> Self {
        // SAFETY: there is SSSE3, since `self` exists.
        unsafe { Self(_mm_and_si128(self.0, _mm_set1_epi8(0x0F))) }
    }

    #[inline(always)]
    fn with_high_nibbles(self, high: Self) -> Self {
        // SAFETY: there is SSSE3, since `self` exists.
        unsafe { Self(_mm_or_si128(self.0, _mm_slli_epi16(high.0, 4))) }
    }
}

/// Loads up to two blocks, each by itself. The blocks were just stored one by one, and a load that spans several stores has to wait until
/// all of them have reached the cache.
///
/// # Safety
/// The CPU has SSSE3.
#[inline(always)]
unsafe fn load_up_to_2(bytes: &[u8]) -> __m128i {
    // SAFETY: each slice has 8 bytes; the caller vouches for SSSE3.
    unsafe {
        let load = |bytes: &[u8; 8]| _mm_loadl_epi64(bytes.as_ptr().cast());
        match (bytes.first_chunk(), bytes.get(8..).and_then(<[u8]>::first_chunk)) {
            (Some(first), Some(second)) => _mm_unpacklo_epi64(load(first), load(second)),
            (Some(first), None) => load(first),
            _ => _mm_setzero_si128(),
        }
    }
}

/// Stores up to two blocks.
///
/// # Safety
/// The CPU has SSSE3.
#[inline(always)]
unsafe fn store_up_to_2(blocks: __m128i, bytes: &mut [u8]) {
    // SAFETY: the slices have 16 and 8 bytes; the caller vouches for SSSE3.
    unsafe {
        if let Some(bytes) = bytes.first_chunk_mut::<16>() {
            _mm_storeu_si128(bytes.as_mut_ptr().cast(), blocks);
        } else if let Some(bytes) = bytes.first_chunk_mut::<8>() {
            _mm_storel_epi64(bytes.as_mut_ptr().cast(), blocks);
        }
    }
}

/// 32 bytes, with AVX2.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256i);

impl Vector for Avx2 {
    const WIDTH: usize = 32;
    type Blocks = U32;

    #[inline(always)]
    unsafe fn load(bytes: &[u8]) -> Self {
        // SAFETY: the slice has 32 bytes; the caller vouches for AVX2.
        unsafe { Self(_mm256_loadu_si256(bytes[..32].as_ptr().cast())) }
    }

    #[inline(always)]
    unsafe fn load_part(bytes: &[u8]) -> Self {
        let (low, high) = bytes.split_at(bytes.len().min(16));
        // SAFETY: the caller vouches for AVX2.
        unsafe { Self(_mm256_set_m128i(load_up_to_2(high), load_up_to_2(low))) }
    }

    #[inline(always)]
    unsafe fn repeat_16(bytes: &[u8; 16]) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { Self(_mm256_broadcastsi128_si256(_mm_loadu_si128(bytes.as_ptr().cast()))) }
    }

    #[inline(always)]
    unsafe fn repeat_8(bytes: u64) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { Self(_mm256_set1_epi64x(bytes as i64)) }
    }

    #[inline(always)]
    unsafe fn repeat_4(bytes: u32) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { Self(_mm256_set1_epi32(bytes as i32)) }
    }

    #[inline(always)]
    fn store(self, bytes: &mut [u8]) {
        // SAFETY: the slice has 32 bytes; there is AVX2, since `self` exists.
        unsafe { _mm256_storeu_si256(bytes[..32].as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn store_part(self, bytes: &mut [u8]) {
        let (low, high) = bytes.split_at_mut(bytes.len().min(16));
        // SAFETY: there is AVX2, since `self` exists.
        unsafe {
            store_up_to_2(_mm256_castsi256_si128(self.0), low);
            store_up_to_2(_mm256_extracti128_si256(self.0, 1), high);
        }
    }

    #[inline(always)]
    fn shuffle(self, index: Self) -> Self {
        // SAFETY: there is AVX2, since `self` exists.
        unsafe { Self(_mm256_shuffle_epi8(self.0, index.0)) }
    }

    #[inline(always)]
    fn interleave_low(self, other: Self) -> Self {
        // SAFETY: there is AVX2, since `self` exists.
        unsafe { Self(_mm256_unpacklo_epi8(self.0, other.0)) }
    }

    #[inline(always)]
    fn interleave_high(self, other: Self) -> Self {
        // SAFETY: there is AVX2, since `self` exists.
        unsafe { Self(_mm256_unpackhi_epi8(self.0, other.0)) }
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: there is AVX2, since `self` exists.
        unsafe { Self(_mm256_xor_si256(self.0, other.0)) }
    }

    #[inline(always)]
    fn xor_3(self, second: Self, third: Self) -> Self {
        self.xor(second.xor(third))
    }

    #[inline(always)]
    fn high_nibbles(self) -> Self {
        // SAFETY: there is AVX2, since `self` exists.
        unsafe { Self(_mm256_and_si256(_mm256_srli_epi16(self.0, 4), _mm256_set1_epi8(0x0F))) }
    }

    #[inline(always)]
    fn low_nibbles(self) -> Self {
        // SAFETY: there is AVX2, since `self` exists.
        unsafe { Self(_mm256_and_si256(self.0, _mm256_set1_epi8(0x0F))) }
    }

    #[inline(always)]
    fn with_high_nibbles(self, high: Self) -> Self {
        // SAFETY: there is AVX2, since `self` exists.
        unsafe { Self(_mm256_or_si256(self.0, _mm256_slli_epi16(high.0, 4))) }
    }
}

/// 64 bytes, with AVX-512 (F, BW, VL).
#[cfg(twine_avx512)]
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512i);

#[cfg(twine_avx512)]
#[allow(clippy::incompatible_msrv, reason = "only compiled where the compiler has the intrinsics")]
impl Vector for Avx512 {
    const WIDTH: usize = 64;
    type Blocks = cipher::consts::U64;

    #[inline(always)]
    unsafe fn load(bytes: &[u8]) -> Self {
        // SAFETY: the slice has 64 bytes; the caller vouches for AVX-512.
        unsafe { Self(_mm512_loadu_si512(bytes[..64].as_ptr().cast())) }
    }

    #[inline(always)]
    unsafe fn load_part(bytes: &[u8]) -> Self {
        // SAFETY: the mask covers no more than the slice; the caller vouches for AVX-512.
        unsafe { Self(_mm512_maskz_loadu_epi64(mask_8_of_blocks(bytes.len()), bytes.as_ptr().cast())) }
    }

    #[inline(always)]
    unsafe fn repeat_16(bytes: &[u8; 16]) -> Self {
        // SAFETY: the caller vouches for AVX-512.
        unsafe { Self(_mm512_broadcast_i32x4(_mm_loadu_si128(bytes.as_ptr().cast()))) }
    }

    #[inline(always)]
    unsafe fn repeat_8(bytes: u64) -> Self {
        // SAFETY: the caller vouches for AVX-512.
        unsafe { Self(_mm512_set1_epi64(bytes as i64)) }
    }

    #[inline(always)]
    unsafe fn repeat_4(bytes: u32) -> Self {
        // SAFETY: the caller vouches for AVX-512.
        unsafe { Self(_mm512_set1_epi32(bytes as i32)) }
    }

    #[inline(always)]
    fn store(self, bytes: &mut [u8]) {
        // SAFETY: the slice has 64 bytes; there is AVX-512, since `self` exists.
        unsafe { _mm512_storeu_si512(bytes[..64].as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn store_part(self, bytes: &mut [u8]) {
        // SAFETY: the mask covers no more than the slice; there is AVX-512, since `self` exists.
        unsafe { _mm512_mask_storeu_epi64(bytes.as_mut_ptr().cast(), mask_8_of_blocks(bytes.len()), self.0) }
    }

    #[inline(always)]
    fn shuffle(self, index: Self) -> Self {
        // SAFETY: there is AVX-512, since `self` exists.
        unsafe { Self(_mm512_shuffle_epi8(self.0, index.0)) }
    }

    #[inline(always)]
    fn interleave_low(self, other: Self) -> Self {
        // SAFETY: there is AVX-512, since `self` exists.
        unsafe { Self(_mm512_unpacklo_epi8(self.0, other.0)) }
    }

    #[inline(always)]
    fn interleave_high(self, other: Self) -> Self {
        // SAFETY: there is AVX-512, since `self` exists.
        unsafe { Self(_mm512_unpackhi_epi8(self.0, other.0)) }
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: there is AVX-512, since `self` exists.
        unsafe { Self(_mm512_xor_si512(self.0, other.0)) }
    }

    #[inline(always)]
    fn xor_3(self, second: Self, third: Self) -> Self {
        // SAFETY: there is AVX-512, since `self` exists.
        unsafe { Self(_mm512_ternarylogic_epi32::<0x96>(self.0, second.0, third.0)) }
    }

    #[inline(always)]
    fn high_nibbles(self) -> Self {
        // SAFETY: there is AVX-512, since `self` exists.
        unsafe { Self(_mm512_and_si512(_mm512_srli_epi16(self.0, 4), _mm512_set1_epi8(0x0F))) }
    }

    #[inline(always)]
    fn low_nibbles(self) -> Self {
        // SAFETY: there is AVX-512, since `self` exists.
        unsafe { Self(_mm512_and_si512(self.0, _mm512_set1_epi8(0x0F))) }
    }

    #[inline(always)]
    fn with_high_nibbles(self, high: Self) -> Self {
        // SAFETY: there is AVX-512, since `self` exists.
        unsafe { Self(_mm512_or_si512(self.0, _mm512_slli_epi16(high.0, 4))) }
    }
}

/// Returns a bit for each block of `len` bytes, up to 64 bytes.
#[cfg(twine_avx512)]
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "at most 8 blocks")]
fn mask_8_of_blocks(len: usize) -> u8 {
    ((1u32 << (len / 8).min(8)) - 1) as u8
}

cpufeatures::new!(has_ssse3, "ssse3");
cpufeatures::new!(has_avx2, "avx2");
#[cfg(twine_avx512)]
cpufeatures::new!(has_avx512, "avx512f", "avx512bw", "avx512vl");

/// The vectors that the CPU supports. A value proves that the CPU supports them, because it was made by detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Ssse3,
    Avx2,
    #[cfg(twine_avx512)]
    Avx512,
}

impl Level {
    /// Returns the widest level of the CPU, or the forced one if the CPU supports it.
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        #[cfg(twine_avx512)]
        if Self::is_allowed("avx512") && has_avx512::get() {
            return Some(Self::Avx512);
        }
        if Self::is_allowed("avx2") && has_avx2::get() {
            return Some(Self::Avx2);
        }
        if Self::is_allowed("ssse3") && has_ssse3::get() {
            return Some(Self::Ssse3);
        }
        None
    }

    /// Returns all levels that the CPU supports.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        [
            has_ssse3::get().then_some(Self::Ssse3),
            has_avx2::get().then_some(Self::Avx2),
            #[cfg(twine_avx512)]
            has_avx512::get().then_some(Self::Avx512),
        ]
        .into_iter()
        .flatten()
    }

    /// Returns whether no other backend is forced.
    #[inline(always)]
    fn is_allowed(name: &str) -> bool {
        if cfg!(twine_backend = "ssse3") {
            name == "ssse3"
        } else if cfg!(twine_backend = "avx2") {
            name == "avx2"
        } else if cfg!(twine_backend = "avx512") {
            name == "avx512"
        } else {
            cfg!(not(any(
                twine_backend = "soft",
                twine_backend = "soft32",
                twine_backend = "soft64",
                twine_backend = "neon"
            )))
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ssse3 => "ssse3",
            Self::Avx2 => "avx2",
            #[cfg(twine_avx512)]
            Self::Avx512 => "avx512",
        }
    }
}

/// Round keys, and the vectors that work with them.
#[derive(Clone)]
pub(crate) struct RoundKeys {
    keys: ExpandedKey,
    level: Level,
}

impl RoundKeys {
    /// Without a key.
    #[inline]
    pub(crate) const fn zero(level: Level) -> Self {
        Self { keys: ExpandedKey::ZERO, level }
    }

    /// Makes the round keys of `key` in place.
    #[inline]
    pub(crate) fn expand(&mut self, key: &[u8]) {
        // SAFETY: a level says that the CPU has SSSE3 at least.
        unsafe { expand(&mut self.keys, key) }
    }

    #[inline]
    pub(crate) fn encrypt(&self, f: impl BlockCipherEncClosure<BlockSize = U8>) {
        // SAFETY: `level` says that the CPU has the features.
        unsafe {
            match self.level {
                Level::Ssse3 => encrypt_ssse3(&self.keys, f),
                Level::Avx2 => encrypt_avx2(&self.keys, f),
                #[cfg(twine_avx512)]
                Level::Avx512 => encrypt_avx512(&self.keys, f),
            }
        }
    }

    #[inline]
    pub(crate) fn decrypt(&self, f: impl BlockCipherDecClosure<BlockSize = U8>) {
        // SAFETY: `level` says that the CPU has the features.
        unsafe {
            match self.level {
                Level::Ssse3 => decrypt_ssse3(&self.keys, f),
                Level::Avx2 => decrypt_avx2(&self.keys, f),
                #[cfg(twine_avx512)]
                Level::Avx512 => decrypt_avx512(&self.keys, f),
            }
        }
    }
}

/// # Safety
/// The CPU has SSSE3.
#[target_feature(enable = "ssse3")]
unsafe fn expand(keys: &mut ExpandedKey, key: &[u8]) {
    // SAFETY: this function has the feature.
    unsafe { keys.expand::<Ssse3>(key) }
}

/// Makes the compiler align the stack of the calling function for AVX2, whose 16 registers do not hold all columns. Otherwise the compiler
/// would store vectors at any address on the stack, and a vector that spans two cache lines takes longer.
#[inline(always)]
fn align_stack<V: Vector>() {
    if V::WIDTH == Avx2::WIDTH {
        #[repr(align(32))]
        struct Anchor(u8);
        let anchor = Anchor(0);
        core::hint::black_box(&anchor.0);
    }
}

/// Makes the functions with the features of a vector. Closures are inlined into the functions that run them, and the cipher itself is not. The
/// narrow vector is used if it can hold all blocks, because wide vectors have more latency.
macro_rules! run_under {
    ($features:literal, $vector:ident, $narrow:ident, $encrypt:ident, $decrypt:ident) => {
        impl Kernels for $vector {
            #[inline(always)]
            unsafe fn encrypt(keys: &ExpandedKey, blocks: InOutBuf<'_, '_, Block>) {
                #[target_feature(enable = $features)]
                unsafe fn kernel(keys: &ExpandedKey, blocks: InOutBuf<'_, '_, Block>) {
                    align_stack::<$vector>();
                    // SAFETY: this function has the features.
                    unsafe {
                        if blocks.len() <= $narrow::WIDTH / 8 {
                            simd::encrypt::<$narrow>(keys, blocks);
                        } else {
                            simd::encrypt::<$vector>(keys, blocks);
                        }
                    }
                }
                // SAFETY: the caller vouches for the features.
                unsafe { kernel(keys, blocks) }
            }

            #[inline(always)]
            unsafe fn decrypt(keys: &ExpandedKey, blocks: InOutBuf<'_, '_, Block>) {
                #[target_feature(enable = $features)]
                unsafe fn kernel(keys: &ExpandedKey, blocks: InOutBuf<'_, '_, Block>) {
                    align_stack::<$vector>();
                    // SAFETY: this function has the features.
                    unsafe {
                        if blocks.len() <= $narrow::WIDTH / 8 {
                            simd::decrypt::<$narrow>(keys, blocks);
                        } else {
                            simd::decrypt::<$vector>(keys, blocks);
                        }
                    }
                }
                // SAFETY: the caller vouches for the features.
                unsafe { kernel(keys, blocks) }
            }
        }

        /// # Safety
        /// The CPU has the features.
        #[target_feature(enable = $features)]
        unsafe fn $encrypt(keys: &ExpandedKey, f: impl BlockCipherEncClosure<BlockSize = U8>) {
            // SAFETY: this function has the features.
            f.call(&unsafe { Backend::<$vector>::new(keys) });
        }

        /// # Safety
        /// The CPU has the features.
        #[target_feature(enable = $features)]
        unsafe fn $decrypt(keys: &ExpandedKey, f: impl BlockCipherDecClosure<BlockSize = U8>) {
            // SAFETY: this function has the features.
            f.call(&unsafe { Backend::<$vector>::new(keys) });
        }
    };
}

run_under!("ssse3", Ssse3, Ssse3, encrypt_ssse3, decrypt_ssse3);
run_under!("avx2", Avx2, Ssse3, encrypt_avx2, decrypt_avx2);
#[cfg(twine_avx512)]
run_under!("avx512f,avx512bw,avx512vl", Avx512, Avx2, encrypt_avx512, decrypt_avx512);
