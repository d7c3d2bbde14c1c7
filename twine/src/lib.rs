#![no_std]
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// What the README links: here to the items, as the first of two definitions counts; elsewhere to the files.
//! [`Twine80`]: Twine80
//! [`Twine128`]: Twine128
//! [`backend()`]: backend()
//! [`cipher`]: cipher
//! [`twine-otr-aead`]: https://docs.rs/twine-otr-aead
//! [`otr-mode`]: https://docs.rs/otr-mode
//! [`twine-otr-capi`]: https://docs.rs/twine-otr-capi
//!
#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate std;

#[allow(unsafe_code, reason = "vector instructions, assembly, making round keys, blocks as words")]
mod backends;
mod consts;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod forced;
#[cfg(twine_masked)]
mod masked;
mod placement;
mod sbox;
mod schedule;
#[cfg(twine_masked)]
pub mod share;

#[cfg(test)]
#[allow(unreachable_pub, dead_code, reason = "shared with the vector generator")]
mod reference;

/// A bound that is `Zeroize` if the feature `zeroize` is on, and that everything meets if it is off.
mod maybe {
    #[cfg(feature = "zeroize")]
    pub(crate) use cipher::zeroize::Zeroize as MaybeZeroize;

    #[cfg(not(feature = "zeroize"))]
    pub(crate) trait MaybeZeroize {}
    #[cfg(not(feature = "zeroize"))]
    impl<T> MaybeZeroize for T {}
}

pub use cipher;
#[cfg(twine_masked)]
pub use masked::{MaskedBlocks, Twine80Masked, Twine128Masked};
#[cfg(twine_masked)]
pub use rand_core;

use cipher::{
    AlgorithmName, BlockCipherDecClosure, BlockCipherDecrypt, BlockCipherEncClosure, BlockCipherEncrypt,
    BlockSizeUser, Key, KeyInit, KeySizeUser,
    consts::{U8, U10, U16},
};
use core::fmt;

use backends::RoundKeys;

/// Returns the name of the backend that this process uses: `soft32`, `soft64`, `ssse3`, `avx2`, `avx512`, `neon` or `thumb`.
#[must_use]
pub fn backend() -> &'static str {
    backends::name()
}

macro_rules! twine {
    ($name:ident, $key_size:ty, $algorithm:literal, $doc:literal) => {
        #[doc = $doc]
        ///
        /// Encryption and decryption share one set of round keys. So there is no type for encryption alone, which would save neither
        /// memory nor time.
        #[doc(alias("encrypt", "decrypt"))]
        #[derive(Clone)]
        pub struct $name {
            keys: RoundKeys,
        }

        impl $name {
            /// Changes the key in place, so that no copy of the round keys is left elsewhere. [`new`](KeyInit::new) returns the
            /// round keys, and the compiler may copy a returned value from one place on the stack to another.
            #[inline]
            pub fn set_key(&mut self, key: &Key<Self>) {
                self.keys.expand(key);
            }

            /// Returns a cipher whose round keys are all zero. [`Self::set_key`] must set a key before any use.
            #[doc(hidden)]
            #[inline]
            #[must_use]
            pub fn without_key() -> Self {
                Self { keys: RoundKeys::zero() }
            }
        }

        impl KeySizeUser for $name {
            type KeySize = $key_size;
        }

        impl KeyInit for $name {
            #[inline]
            fn new(key: &Key<Self>) -> Self {
                Self { keys: RoundKeys::new(key) }
            }
        }

        impl BlockSizeUser for $name {
            type BlockSize = U8;
        }

        impl BlockCipherEncrypt for $name {
            #[inline]
            fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U8>) {
                self.keys.encrypt(f);
            }
        }

        impl BlockCipherDecrypt for $name {
            #[inline]
            fn decrypt_with_backend(&self, f: impl BlockCipherDecClosure<BlockSize = U8>) {
                self.keys.decrypt(f);
            }
        }

        impl AlgorithmName for $name {
            fn write_alg_name(f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($algorithm)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), " { .. }"))
            }
        }

        #[cfg(feature = "zeroize")]
        impl cipher::zeroize::ZeroizeOnDrop for $name {}
    };
}

twine!(Twine80, U10, "TWINE-80", "TWINE with an 80-bit key.");
twine!(Twine128, U16, "TWINE-128", "TWINE with a 128-bit key.");

#[cfg(test)]
mod tests;
