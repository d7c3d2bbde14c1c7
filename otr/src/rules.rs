//! The rules of OTR that all forms share: the masks of the ends, the padding, and the values that one step passes to the next.
//!
//! The last chunk of a message has 0 to 2n bytes if a block has n bytes. L is the next mask. The rules of the last chunk are:
//! - up to n bytes: C = msb(E(L)) ^ M; checksum ^= pad(M); the checksum's mask is 7L (a full block) or 3 * 3L (a padded one);
//! - more: Z = E(L ^ M1); C2 = M2 ^ msb(Z); checksum ^= Z ^ pad(C2); C1 = E(3L ^ pad(C2)) ^ M1; 7 * 3L or 3 * 3 * 3L.

use aead::{
    array::{
        Array,
        typenum::{U2, Unsigned},
    },
    inout::InOutBuf,
};
use cipher::{Block, BlockCipherEncBackend};

use crate::{
    field::{BlockSize, Element, Field},
    masks::{times_3, times_3_twice, times_7},
};

/// The field of the blocks of a backend.
pub(crate) type FieldOf<B> = <<B as cipher::BlockSizeUser>::BlockSize as BlockSize>::Field;

/// Two blocks.
pub(crate) type Pair<S> = Array<Array<u8, S>, U2>;

/// The progress of a message between two of its pieces.
#[derive(Clone, Copy)]
pub(crate) struct Progress<F> {
    /// The mask of the next pair.
    pub(crate) mask: Element<F>,
    /// The checksum of the pairs so far.
    pub(crate) checksum: F,
}

impl<F: Field> Progress<F> {
    /// Returns the progress at the start of a message, from L.
    #[inline(always)]
    pub(crate) fn new(l: Element<F>) -> Self {
        Self { mask: l, checksum: F::ZERO }
    }
}

/// The results of the nonce and the associated data: L, the first mask, and TA, which is added to the tag.
#[allow(missing_debug_implementations, reason = "internal, and secret")]
pub struct MaskAndTa<F> {
    /// L, the mask of the message's first pair.
    pub(crate) l: Element<F>,
    /// TA, which is added to the tag.
    pub(crate) ta: Call<F>,
}

/// The encryption of a block, in the order of memory.
#[derive(Clone, Copy)]
pub(crate) struct Call<F> {
    /// The output. As long as it is pending this is the input, which waits for a call of the cipher that has room for it.
    pub(crate) block: F,
    pub(crate) is_pending: bool,
}

impl<F: Field> Call<F> {
    /// Zero, because nothing is to be encrypted.
    pub(crate) const NONE: Self = Self::known(F::ZERO);

    pub(crate) const fn known(output: F) -> Self {
        Self { block: output, is_pending: false }
    }

    pub(crate) const fn pending(input: F) -> Self {
        Self { block: input, is_pending: true }
    }
}

/// The nonce blocks, Format(tag size, nonce), that are encrypted ahead of their message.
pub(crate) trait Nonces<F> {
    /// Returns the encryption of the nonce block of this message, if it was made ahead.
    fn output(&self) -> Option<F>;

    /// Returns the nonce block of the next message. In batches it stays pending if it would take a call of its own.
    fn next(&mut self) -> Option<&mut Call<F>>;

    /// Returns the nonce block of the next message as long as it is pending.
    #[inline(always)]
    fn pending(&mut self) -> Option<&mut Call<F>> {
        self.next().filter(|next| next.is_pending)
    }
}

/// A single message: no nonce block is known or prepared.
pub(crate) struct Single;

impl<F> Nonces<F> for Single {
    #[inline(always)]
    fn output(&self) -> Option<F> {
        None
    }

    #[inline(always)]
    fn next(&mut self) -> Option<&mut Call<F>> {
        None
    }
}

/// Messages in order: each nonce block is prepared with the previous message.
pub(crate) struct InOrder<F> {
    pub(crate) output: Option<F>,
    pub(crate) next: Call<F>,
}

impl<F: Copy> Nonces<F> for InOrder<F> {
    #[inline(always)]
    fn output(&self) -> Option<F> {
        self.output
    }

    #[inline(always)]
    fn next(&mut self) -> Option<&mut Call<F>> {
        Some(&mut self.next)
    }
}

/// Returns the length in bytes of all pairs before the last chunk, for a message of `len` bytes.
#[inline(always)]
pub(crate) fn whole_pairs<B: cipher::BlockSizeUser>(len: usize) -> usize {
    let pair_size = 2 * B::BlockSize::USIZE;
    // It is never more than `len`, but the compiler does not see that.
    (len.saturating_sub(1) / pair_size * pair_size).min(len)
}

/// Splits `data` into all blocks except the last, and the last block of 1 to n bytes. Returns `None` if there is no data.
#[inline(always)]
#[allow(clippy::type_complexity, reason = "an alias would hide that these are blocks and bytes")]
pub(crate) fn split_last<F: Field>(data: &[u8]) -> Option<(&[Array<u8, F::Size>], &[u8])> {
    let whole = data.len().checked_sub(1)? / F::Size::USIZE * F::Size::USIZE;
    let (blocks, last) = data.split_at_checked(whole)?;
    Some((Array::slice_as_chunks(blocks).0, last))
}

/// Loads `bytes`, at most a block. If they do not fill it, they are padded with a one bit and zeros.
#[inline(always)]
pub(crate) fn pad<F: Field>(bytes: &[u8]) -> F {
    F::load_start(bytes) ^ F::end_mark(bytes.len())
}

/// Returns the mask of the checksum for a last chunk of `len` bytes, from L, by the rules above.
#[inline(always)]
pub(crate) fn checksum_mask<F: Field>(l: Element<F>, len: usize) -> F {
    let n = F::Size::USIZE;
    let mask = if len > n { times_3(l) } else { l };
    let is_full = len == n || len == 2 * n;
    if is_full { times_7(mask) } else { times_3_twice(mask) }.swap()
}

/// Returns the mask of the last block in [`Parallel`](crate::Parallel), from 2^(m-1) Q and the length of the block.
#[inline(always)]
pub(crate) fn last_mask<F: Field>(mask: Element<F>, len: usize) -> F {
    if len == F::Size::USIZE { times_3_twice(mask) } else { times_3(mask) }.swap()
}

/// Encrypts any number of blocks, in as few calls as the width of the backend allows.
#[inline(always)]
pub(crate) fn encipher<B: BlockCipherEncBackend>(backend: &B, blocks: &mut [Block<B>]) {
    if B::ParBlocksSize::USIZE > 1 {
        let (batches, tail) = InOutBuf::from(blocks).into_chunks();
        for batch in batches {
            backend.encrypt_par_blocks(batch);
        }
        backend.encrypt_tail_blocks(tail);
    } else {
        for block in blocks {
            backend.encrypt_block(block.into());
        }
    }
}

/// Encrypts the first `count` blocks of `batch`.
#[inline(always)]
pub(crate) fn encipher_first<B: BlockCipherEncBackend>(backend: &B, batch: &mut [Block<B>], count: usize) {
    if let Some(blocks) = batch.get_mut(..count) {
        encipher(backend, blocks);
    }
}
