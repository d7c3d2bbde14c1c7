//! The message: a two-round Feistel network over pairs of blocks.
//!
//! Encryption of pair i is C1 = E(L_i ^ M1) ^ M2, C2 = E(3 L_i ^ C1) ^ M1. Decryption is the same with the two masks in the
//! other order: M1 = E(3 L_i ^ C1) ^ C2, M2 = E(L_i ^ M1) ^ C1. So the same code does both. The last chunk of the message, of up
//! to two blocks, has its own rules ([`rules`](crate::rules)).
//!
//! The network has two forms. [`wide`] is for backends that encrypt many blocks at once. [`narrow`] is for backends of up to four
//! blocks; it takes little code and little stack. The width of the backend decides here which form is compiled. If the cipher is
//! like AES, [`wide`] leaves whatever does not fill a batch to [`pairwise`](crate::pairwise).

use aead::inout::InOutBuf;
use cipher::BlockCipherEncBackend;

use crate::{
    direction::Direction,
    field::{BlockSize, Element},
    narrow,
    rules::{Call, FieldOf, Nonces, Pair, Progress},
    wide,
};
use cipher::typenum::Unsigned;

/// Whether the narrow form is compiled for a backend.
pub(crate) const fn is_narrow<B: BlockCipherEncBackend>() -> bool {
    B::ParBlocksSize::USIZE <= narrow::WIDTH
}

/// Encrypts or decrypts a whole message, or the rest of one. It also encrypts the nonce block of the next message, if there is
/// room. Returns TE ^ TA.
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

/// Encrypts pairs that are not the end of a message.
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

/// Decrypts `data` under the mask `l` and returns TE. The plaintext is dropped.
#[inline(always)]
pub(crate) fn authenticate<B>(backend: &B, l: Element<FieldOf<B>>, data: &[u8]) -> FieldOf<B>
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
