//! Keys that are set in place.

use otr_mode::{
    AdProcessing, Key, KeySizeUser, Otr, TagSize,
    consts::{U7, U8},
};
use twine_cipher::{Twine80, Twine128};

/// A cipher, or a mode over it, whose round keys are made in place.
pub trait SetKey: KeySizeUser + Sized {
    /// Returns a value without a key, which is not secret. A key must be set before any use.
    fn without_key() -> Self;

    /// Makes the round keys of `key` in place.
    fn set_key(&mut self, key: &Key<Self>);
}

macro_rules! set_key {
    ($($cipher:ty),*) => {$(
        impl SetKey for $cipher {
            #[inline(always)]
            fn without_key() -> Self {
                Self::without_key()
            }

            #[inline(always)]
            fn set_key(&mut self, key: &Key<Self>) {
                self.set_key(key);
            }
        }

        impl<T: TagSize<U8>, A: AdProcessing> SetKey for Otr<$cipher, U7, T, A> {
            #[inline(always)]
            fn without_key() -> Self {
                Self::without_key(<$cipher>::without_key())
            }

            #[inline(always)]
            fn set_key(&mut self, key: &Key<Self>) {
                self.set_key_with(|cipher| cipher.set_key(key));
            }
        }
    )*};
}

set_key!(Twine80, Twine128);
