//! TWINE on every backend that the machine has, side by side in one process. This is for the tests, and under `--cfg fuzzing` for the fuzz
//! targets. It is not part of the interface.

use core::fmt;

use cipher::{
    BlockCipherDecClosure, BlockCipherDecrypt, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
    consts::U8,
};

use crate::backends::fixslice::{self, Word};
#[cfg(twine_simd = "neon")]
use crate::backends::neon;
#[cfg(twine_simd = "x86")]
use crate::backends::x86;

/// TWINE on one of the backends.
pub struct Forced(RoundKeys);

#[allow(clippy::large_enum_variant, reason = "no allocator to box it with")]
enum RoundKeys {
    Soft32(fixslice::RoundKeys<u32>),
    Soft64(fixslice::RoundKeys<u64>),
    #[cfg(twine_simd = "x86")]
    X86(x86::RoundKeys),
    #[cfg(twine_simd = "neon")]
    Neon(neon::RoundKeys),
}

impl Forced {
    /// Returns the cipher on each backend, with a key of 10 or 16 bytes, and the name of the backend as in [`crate::backend`].
    ///
    /// # Panics
    /// It panics if the key has another size.
    pub fn every(key: &[u8]) -> impl Iterator<Item = (&'static str, Self)> {
        let soft = [
            ("soft32", RoundKeys::Soft32(fixslice::RoundKeys::ZERO)),
            ("soft64", RoundKeys::Soft64(fixslice::RoundKeys::ZERO)),
        ];
        #[cfg(twine_simd = "x86")]
        let vectors =
            x86::Level::available().map(|level| (level.name(), RoundKeys::X86(x86::RoundKeys::zero(level))));
        #[cfg(twine_simd = "neon")]
        let vectors = [(neon::NAME, RoundKeys::Neon(neon::RoundKeys::ZERO))];
        #[cfg(not(twine_simd))]
        let vectors = [];
        soft.into_iter().chain(vectors).map(move |(name, keys)| {
            let mut cipher = Self(keys);
            cipher.set_key(key);
            (name, cipher)
        })
    }

    /// Changes the key in place.
    ///
    /// # Panics
    /// It panics if the key has neither 10 nor 16 bytes.
    pub fn set_key(&mut self, key: &[u8]) {
        let len = key.len();
        assert!(matches!(len, 10 | 16), "a TWINE key has 10 or 16 bytes, not {len}");
        match &mut self.0 {
            RoundKeys::Soft32(keys) => keys.expand(key, <u32 as Word>::order),
            RoundKeys::Soft64(keys) => keys.expand(key, <u64 as Word>::order),
            #[cfg(twine_simd = "x86")]
            RoundKeys::X86(keys) => keys.expand(key),
            #[cfg(twine_simd = "neon")]
            RoundKeys::Neon(keys) => keys.expand(key),
        }
    }
}

impl BlockSizeUser for Forced {
    type BlockSize = U8;
}

impl BlockCipherEncrypt for Forced {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U8>) {
        match &self.0 {
            RoundKeys::Soft32(keys) => f.call(&fixslice::Backend(keys)),
            RoundKeys::Soft64(keys) => f.call(&fixslice::Backend(keys)),
            #[cfg(twine_simd = "x86")]
            RoundKeys::X86(keys) => keys.encrypt(f),
            #[cfg(twine_simd = "neon")]
            RoundKeys::Neon(keys) => keys.encrypt(f),
        }
    }
}

impl BlockCipherDecrypt for Forced {
    fn decrypt_with_backend(&self, f: impl BlockCipherDecClosure<BlockSize = U8>) {
        match &self.0 {
            RoundKeys::Soft32(keys) => f.call(&fixslice::Backend(keys)),
            RoundKeys::Soft64(keys) => f.call(&fixslice::Backend(keys)),
            #[cfg(twine_simd = "x86")]
            RoundKeys::X86(keys) => keys.decrypt(f),
            #[cfg(twine_simd = "neon")]
            RoundKeys::Neon(keys) => keys.decrypt(f),
        }
    }
}

impl fmt::Debug for Forced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forced { .. }")
    }
}
