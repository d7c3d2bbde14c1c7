//! Keys that are set up where they are to stay.

use otr_mode::{Key, KeySizeUser};
use twine_cipher::{Twine80, Twine128};

/// A cipher whose round keys are made where they are to stay.
pub trait SetKey: KeySizeUser + Sized {
    /// To be given a key before it is used.
    fn without_key() -> Self;
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
    )*};
}

set_key!(Twine80, Twine128);
