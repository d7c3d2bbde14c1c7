//! Memory that holds keys.

use otr_mode::aead::array::{Array, ArraySize};
#[cfg(feature = "zeroize")]
use otr_mode::cipher::zeroize::Zeroize;

/// Bytes that are erased when dropped.
#[derive(Default)]
pub(crate) struct Secret<N: ArraySize>(pub(crate) Array<u8, N>);

#[cfg(feature = "zeroize")]
impl<N: ArraySize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}
