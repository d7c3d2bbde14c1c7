//! The choice of the backend. It is the widest one that the CPU supports, unless `--cfg twine_backend="..."` forces another one:
//!
//! | value | backend |
//! |---|---|
//! | `soft` | the portable backend, [`fixslice`], with the words of the target |
//! | `soft32` | the portable backend with 32-bit words, 4 blocks at once |
//! | `soft64` | the portable backend with 64-bit words, 8 blocks at once |
//! | `ssse3` | [`simd`] with vectors of 16 bytes |
//! | `avx2` | [`simd`] with vectors of 32 bytes |
//! | `avx512` | [`simd`] with vectors of 64 bytes (compilers from Rust 1.89) |
//! | `neon` | [`simd`] with vectors of 16 bytes, on little-endian aarch64 |
//! | `thumb` | the module `thumb`, on Cortex-M |
//!
//! If the CPU does not support the forced backend, the portable one runs. [`crate::backend`] returns which one it is.

use cipher::{BlockCipherDecClosure, BlockCipherEncClosure, consts::U8};

#[cfg_attr(twine_thumb, allow(dead_code, reason = "only parts serve the other backend"))]
pub(crate) mod fixslice;

#[cfg(twine_masked)]
pub(crate) mod masked;
#[cfg(twine_simd = "neon")]
pub(crate) mod neon;
#[cfg(twine_simd)]
pub(crate) mod simd;
#[cfg(twine_thumb)]
pub(crate) mod thumb;
#[cfg(twine_simd = "x86")]
pub(crate) mod x86;

/// The word of the portable backend: that of the target's registers.
#[cfg(any(
    twine_backend = "soft64",
    all(not(twine_backend = "soft32"), any(target_pointer_width = "64", target_arch = "wasm32"))
))]
pub(crate) type Word = u64;

/// The word of the portable backend: that of the target's registers.
#[cfg_attr(twine_thumb, allow(dead_code, reason = "the other backend has words of its own"))]
#[cfg(not(any(
    twine_backend = "soft64",
    all(not(twine_backend = "soft32"), any(target_pointer_width = "64", target_arch = "wasm32"))
)))]
pub(crate) type Word = u32;

/// The round keys of one of the backends.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "no allocator to box it with")]
pub(crate) enum RoundKeys {
    #[cfg(not(twine_thumb))]
    Soft(fixslice::RoundKeys<Word>),
    #[cfg(twine_simd = "x86")]
    X86(x86::RoundKeys),
    #[cfg(twine_simd = "neon")]
    Neon(neon::RoundKeys),
    #[cfg(twine_thumb)]
    Thumb(thumb::RoundKeys),
}

impl RoundKeys {
    /// Returns round keys of the chosen backend, without a key.
    #[inline]
    pub(crate) fn zero() -> Self {
        #[cfg(twine_simd = "x86")]
        if let Some(level) = x86::Level::detect() {
            return Self::X86(x86::RoundKeys::zero(level));
        }
        #[cfg(twine_simd = "neon")]
        if neon::IS_CHOSEN {
            return Self::Neon(neon::RoundKeys::ZERO);
        }
        #[cfg(twine_thumb)]
        return Self::Thumb(thumb::RoundKeys::ZERO);
        #[cfg(not(twine_thumb))]
        Self::Soft(fixslice::RoundKeys::ZERO)
    }

    /// Makes the round keys of `key`.
    #[inline]
    pub(crate) fn new(key: &[u8]) -> Self {
        #[cfg(twine_simd = "x86")]
        if let Some(level) = x86::Level::detect() {
            let mut keys = x86::RoundKeys::zero(level);
            keys.expand(key);
            return Self::X86(keys);
        }
        #[cfg(twine_simd = "neon")]
        if neon::IS_CHOSEN {
            let mut keys = neon::RoundKeys::ZERO;
            keys.expand(key);
            return Self::Neon(keys);
        }
        #[cfg(twine_thumb)]
        return Self::Thumb(thumb::RoundKeys::new(key));
        #[cfg(not(twine_thumb))]
        Self::Soft(fixslice::RoundKeys::new(key, <Word as fixslice::Word>::order))
    }

    /// Makes the round keys of `key` in place.
    #[inline]
    pub(crate) fn expand(&mut self, key: &[u8]) {
        match self {
            #[cfg(not(twine_thumb))]
            Self::Soft(keys) => keys.expand(key, <Word as fixslice::Word>::order),
            #[cfg(twine_simd = "x86")]
            Self::X86(keys) => keys.expand(key),
            #[cfg(twine_simd = "neon")]
            Self::Neon(keys) => keys.expand(key),
            #[cfg(twine_thumb)]
            Self::Thumb(keys) => keys.expand(key),
        }
    }

    #[inline]
    pub(crate) fn encrypt(&self, f: impl BlockCipherEncClosure<BlockSize = U8>) {
        match self {
            #[cfg(not(twine_thumb))]
            Self::Soft(keys) => f.call(&fixslice::Backend(keys)),
            #[cfg(twine_simd = "x86")]
            Self::X86(keys) => keys.encrypt(f),
            #[cfg(twine_simd = "neon")]
            Self::Neon(keys) => keys.encrypt(f),
            #[cfg(twine_thumb)]
            Self::Thumb(keys) => f.call(&thumb::Backend(keys)),
        }
    }

    #[inline]
    pub(crate) fn decrypt(&self, f: impl BlockCipherDecClosure<BlockSize = U8>) {
        match self {
            #[cfg(not(twine_thumb))]
            Self::Soft(keys) => f.call(&fixslice::Backend(keys)),
            #[cfg(twine_simd = "x86")]
            Self::X86(keys) => keys.decrypt(f),
            #[cfg(twine_simd = "neon")]
            Self::Neon(keys) => keys.decrypt(f),
            #[cfg(twine_thumb)]
            Self::Thumb(keys) => f.call(&thumb::Backend(keys)),
        }
    }
}

/// Returns the name of the backend that new keys get, as in `--cfg twine_backend`.
pub(crate) fn name() -> &'static str {
    #[cfg(twine_simd = "x86")]
    if let Some(level) = x86::Level::detect() {
        return level.name();
    }
    #[cfg(twine_simd = "neon")]
    if neon::IS_CHOSEN {
        return neon::NAME;
    }
    #[cfg(twine_thumb)]
    return thumb::NAME;
    #[cfg(not(twine_thumb))]
    if size_of::<Word>() == 8 { "soft64" } else { "soft32" }
}
