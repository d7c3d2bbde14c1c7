//! The message: a two-round Feistel network over pairs of blocks.
//!
//! Encryption of pair i is C1 = E(L_i ^ M1) ^ M2, C2 = E(3 L_i ^ C1) ^ M1. Decryption is the same with the two masks in the
//! other order: M1 = E(3 L_i ^ C1) ^ C2, M2 = E(L_i ^ M1) ^ C1. So one code serves both. The last chunk of the message, of up
//! to two blocks, has rules of its own ([`rules`](crate::rules)).
//!
//! There are two forms of it: [`wide`] for backends of many blocks at once, and [`narrow`], in little code and stack, for those
//! of up to four. Which one is compiled for a backend is decided here, by its width. What [`wide`] has less than a batch of, it leaves to
//! [`pairwise`](crate::pairwise) if the cipher is like AES.

use aead::inout::InOutBuf;
use cipher::BlockCipherEncBackend;

use crate::{
    direction::Direction,
    field::BlockSize,
    narrow,
    rules::{Call, FieldOf, Nonces, Pair, Progress},
    wide,
};
use cipher::typenum::Unsigned;

/// Whether a backend takes the narrow form.
pub(crate) const fn is_narrow<B: BlockCipherEncBackend>() -> bool {
    B::ParBlocksSize::USIZE <= narrow::WIDTH
}

/// Encrypts or decrypts a whole message, or what is left of one, and beside it the nonce block of the next. Returns TE ^ TA.
#[inline(always)]
pub(crate) fn process<B, D: Direction, X: Nonces<FieldOf<B>>>(
    backend: &B,
    progress: Progress<FieldOf<B>>,
    message: InOutBuf<'_, '_, u8>,
    ta: Call<FieldOf<B>>,
    nonces: &mut X,
    direction: D,
) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    if is_narrow::<B>() {
        narrow::process(backend, progress, message, ta, nonces, direction.encrypts())
    } else {
        wide::process(backend, progress, message, ta, nonces, direction)
    }
}

/// Encrypts pairs that are not the end of their message.
#[inline(always)]
pub(crate) fn encrypt_pairs<B>(
    backend: &B,
    progress: &mut Progress<FieldOf<B>>,
    pairs: InOutBuf<'_, '_, Pair<B::BlockSize>>,
) where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    if is_narrow::<B>() {
        narrow::encrypt_pairs(backend, progress, pairs);
    } else {
        wide::encrypt_pairs(backend, progress, pairs);
    }
}

/// The TE of decrypting `data` under the mask `l` (an element); the plaintext is dropped.
#[inline(always)]
pub(crate) fn authenticate<B>(backend: &B, l: FieldOf<B>, data: &[u8]) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    if is_narrow::<B>() {
        narrow::authenticate(backend, l, data)
    } else {
        wide::authenticate(backend, l, data)
    }
}
