//! The sizes that OTR allows, as traits, so that a wrong size does not compile.

use aead::array::{
    ArraySize,
    typenum::{B1, IsGreaterOrEqual, IsLess, IsLessOrEqual, U1, U4},
};

/// The nonce sizes for blocks of `B` bytes: 1 to `B - 1` bytes.
pub trait NonceSize<B>: ArraySize {}

impl<N, B> NonceSize<B> for N where N: ArraySize + IsGreaterOrEqual<U1, Output = B1> + IsLess<B, Output = B1> {}

/// The tag sizes for blocks of `B` bytes: 4 to `B` bytes.
pub trait TagSize<B>: ArraySize {}

impl<T, B> TagSize<B> for T where
    T: ArraySize + IsGreaterOrEqual<U4, Output = B1> + IsLessOrEqual<B, Output = B1>
{
}
