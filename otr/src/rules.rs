//! What OTR prescribes and both forms of it share: the masks of the ends, padding, and what is carried from one step to the next.
//!
//! The last chunk of a message has 0 to 2n bytes for blocks of n. With L the next mask, its rules are:
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
    field::{BlockSize, Field},
    masks::{times_3, times_3_twice, times_7},
};

/// The field that the blocks of a backend live in.
pub(crate) type FieldOf<B> = <<B as cipher::BlockSizeUser>::BlockSize as BlockSize>::Field;

/// Two blocks.
pub(crate) type Pair<S> = Array<Array<u8, S>, U2>;

/// What is kept between the pieces of a message.
#[derive(Clone, Copy)]
pub(crate) struct Progress<F> {
    /// The mask of the next pair, as an element.
    pub(crate) mask: F,
    /// Of the pairs so far.
    pub(crate) checksum: F,
}

impl<F: Field> Progress<F> {
    /// That of a message of which nothing was processed, from the element L.
    #[inline(always)]
    pub(crate) fn new(l: F) -> Self {
        Self { mask: l, checksum: F::ZERO }
    }
}

/// What the associated data contributes.
#[allow(missing_debug_implementations, reason = "internal, and secret")]
pub struct MaskAndTa<F> {
    /// L: the mask of the message's first pair, as an element.
    pub(crate) l: F,
    /// TA: what is added to the tag.
    pub(crate) ta: Call<F>,
}

/// The encryption of a block, as it lies in memory.
#[derive(Clone, Copy)]
pub(crate) struct Call<F> {
    /// The output, or as long as that is pending the input: it waits for a call of the cipher with room for it.
    pub(crate) block: F,
    pub(crate) is_pending: bool,
}

impl<F: Field> Call<F> {
    /// Zero, of nothing.
    pub(crate) const NONE: Self = Self::known(F::ZERO);

    pub(crate) const fn known(output: F) -> Self {
        Self { block: output, is_pending: false }
    }

    pub(crate) const fn pending(input: F) -> Self {
        Self { block: input, is_pending: true }
    }
}

/// What is known of nonce blocks, Format(tag size, nonce), beside that of the message.
pub(crate) trait Nonces<F> {
    /// The encryption of that of the message, if it was made ahead.
    fn output(&self) -> Option<F>;

    /// That of the message that comes next. It stays pending where it would take a call of its own.
    fn next(&mut self) -> Option<&mut Call<F>>;

    /// The same, as long as it is pending.
    #[inline(always)]
    fn pending(&mut self) -> Option<&mut Call<F>> {
        self.next().filter(|next| next.is_pending)
    }
}

/// Nothing is known, nor prepared.
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

/// Each is prepared with the message before.
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

/// The bytes of the pairs before the last chunk of a message of `len` bytes.
#[inline(always)]
pub(crate) fn whole_pairs<B: cipher::BlockSizeUser>(len: usize) -> usize {
    let pair_size = 2 * B::BlockSize::USIZE;
    // Never more than `len`, which the compiler does not see.
    (len.saturating_sub(1) / pair_size * pair_size).min(len)
}

/// All blocks but the last, and the last, of 1 to n bytes; nothing if there is no data.
#[inline(always)]
#[allow(clippy::type_complexity, reason = "an alias would hide that these are blocks and bytes")]
pub(crate) fn split_last<F: Field>(data: &[u8]) -> Option<(&[Array<u8, F::Size>], &[u8])> {
    let whole = data.len().checked_sub(1)? / F::Size::USIZE * F::Size::USIZE;
    let (blocks, last) = data.split_at_checked(whole)?;
    Some((Array::slice_as_chunks(blocks).0, last))
}

/// `bytes`, at most a block, padded with a one bit and zeros if they do not fill it.
#[inline(always)]
pub(crate) fn pad<F: Field>(bytes: &[u8]) -> F {
    F::load_start(bytes) ^ F::end_mark(bytes.len())
}

/// The mask of the checksum from the element L, for a last chunk of `len` bytes, as the rules above say.
#[inline(always)]
pub(crate) fn checksum_mask<F: Field>(l: F, len: usize) -> F {
    let n = F::Size::USIZE;
    let mask = if len > n { times_3(l) } else { l };
    let is_full = len == n || len == 2 * n;
    if is_full { times_7(mask) } else { times_3_twice(mask) }.swap()
}

/// The mask of the last block in [`Parallel`](crate::Parallel), from the element 2^(m-1) Q and the block's length.
#[inline(always)]
pub(crate) fn last_mask<F: Field>(mask: F, len: usize) -> F {
    if len == F::Size::USIZE { times_3_twice(mask) } else { times_3(mask) }.swap()
}

/// Encrypts any number of blocks in as few calls as the width of the backend allows.
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
