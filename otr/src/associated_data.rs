//! The three ways of processing associated data (v3's ADP), all from Q = E(0).

use aead::array::{Array, ArraySize};
use cipher::{Block, BlockCipherEncBackend, typenum::Unsigned};

use crate::{
    field::Field,
    masks::{Masks, times_3, times_3_twice},
    message::{self, Aligned, FieldOf, Short, encipher, encipher_first, encipher_with, pad},
    narrow,
    size::BlockSize,
};

/// Associated data in parallel to the message: `p` in AES-OTR v3. The default, and the fastest.
///
/// The tag is TE ^ TA, so two tags under one nonce and message reveal the difference of two TA: with this processing OTR
/// must not be used as a MAC whose nonce may repeat.
#[derive(Clone, Copy, Debug)]
pub struct Parallel;

/// Associated data chained as in CMAC, before the message: `s` in AES-OTR v3.
#[derive(Clone, Copy, Debug)]
pub struct Serial;

/// Associated data through the two-round Feistel network of the message, before it: `c` in AES-OTR v3.
#[derive(Clone, Copy, Debug)]
pub struct Combined;

/// What the associated data contributes.
#[allow(missing_debug_implementations, reason = "internal, and secret")]
pub struct Contribution<F> {
    /// L: the mask of the message's first pair, as an element.
    pub(crate) l: F,
    /// What is added to the tag.
    pub(crate) ta: Ta<F>,
}

/// The part TA of a tag TE ^ TA.
#[derive(Clone, Copy)]
pub(crate) enum Ta<F> {
    /// TA itself.
    Known(F),
    /// The block whose encryption is TA: it waits for a call with room for it.
    Pending(F),
}

/// How associated data is processed: [`Parallel`], [`Serial`] or [`Combined`].
pub trait AdProcessing: sealed::AdProcessing {}

impl<A: sealed::AdProcessing> AdProcessing for A {}

pub(crate) mod sealed {
    use super::{BlockCipherEncBackend, BlockSize, Contribution, FieldOf};

    pub trait AdProcessing {
        /// The name in AES-OTR v3.
        const LETTER: &'static str;

        /// Q is E(0) and `format` the block Format(tag size, nonce), both as they lie in memory.
        fn process<B>(
            backend: &B,
            q: FieldOf<B>,
            format: FieldOf<B>,
            associated_data: &[u8],
        ) -> Contribution<FieldOf<B>>
        where
            B: BlockCipherEncBackend,
            B::BlockSize: BlockSize;
    }
}

/// All blocks but the last, and the last, of 1 to n bytes; nothing if there is no data.
#[inline(always)]
#[allow(clippy::type_complexity, reason = "an alias would hide that these are blocks and bytes")]
fn split_last<F: Field>(data: &[u8]) -> Option<(&[Array<u8, F::Size>], &[u8])> {
    let whole = data.len().checked_sub(1)? / F::Size::USIZE * F::Size::USIZE;
    let (blocks, last) = data.split_at_checked(whole)?;
    Some((Array::slice_as_chunks(blocks).0, last))
}

/// The mask of the last block in [`Parallel`], from the element 2^(m-1) Q and the block's length.
#[inline(always)]
pub(crate) fn last_mask<F: Field>(mask: F, len: usize) -> F {
    if len == F::Size::USIZE { times_3_twice(mask) } else { times_3(mask) }.swap()
}

impl sealed::AdProcessing for Parallel {
    const LETTER: &'static str = "p";

    /// sum = XOR of E(2^i Q ^ A\[i\]) over all m blocks but the last, and the padded last block, and 9 (a full one) or 3 (a
    /// padded one) times 2^(m-1) Q; TA = E(sum).
    #[inline(always)]
    fn process<B>(backend: &B, q: FieldOf<B>, format: FieldOf<B>, data: &[u8]) -> Contribution<FieldOf<B>>
    where
        B: BlockCipherEncBackend,
        B::BlockSize: BlockSize,
    {
        if narrow::is_narrow::<B>() {
            return narrow::parallel(backend, q, format, data);
        }
        let is_short =
            B::ParBlocksSize::USIZE > Short::USIZE && data.len() < Short::USIZE * B::BlockSize::USIZE;
        if is_short {
            parallel::<B, Short>(backend, q, format, data)
        } else {
            parallel::<B, B::ParBlocksSize>(backend, q, format, data)
        }
    }
}

/// [`Parallel`], in batches of `N` calls.
#[inline(always)]
fn parallel<B, N: ArraySize>(
    backend: &B,
    q: FieldOf<B>,
    format: FieldOf<B>,
    data: &[u8],
) -> Contribution<FieldOf<B>>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    // The nonce block shares the first call with whatever blocks there are.
    let Aligned(batch) = &mut Aligned::<Array<Block<B>, N>>::default();
    batch[0] = format.store();
    let Some((blocks, last)) = split_last::<FieldOf<B>>(data) else {
        encipher_first(backend, batch, 1);
        return Contribution { l: FieldOf::<B>::load(&batch[0]).swap(), ta: Ta::Known(Field::ZERO) };
    };

    let mut masks = Masks::new(q.swap());
    let mut sum = pad::<FieldOf<B>>(last);
    if blocks.is_empty() {
        let mut ta = [sum ^ last_mask(masks.take(), last.len())];
        encipher_with(backend, batch, 1, &mut ta);
        return Contribution { l: FieldOf::<B>::load(&batch[0]).swap(), ta: Ta::Known(ta[0]) };
    }

    let (first, rest) = blocks.split_at(blocks.len().min(N::USIZE - 1));
    absorb(backend, &mut batch[..=first.len()], first, &mut masks, &mut sum);
    let l = FieldOf::<B>::load(&batch[0]).swap();
    for blocks in rest.chunks(N::USIZE) {
        absorb(backend, &mut batch[..blocks.len()], blocks, &mut masks, &mut sum);
    }
    Contribution { l, ta: Ta::Pending(sum ^ last_mask(masks.take(), last.len())) }
}

/// Adds the outputs for `blocks` to `sum`; `calls` may have one more, which comes first and is not added.
#[inline(always)]
fn absorb<B>(
    backend: &B,
    calls: &mut [Block<B>],
    blocks: &[Block<B>],
    masks: &mut Masks<FieldOf<B>>,
    sum: &mut FieldOf<B>,
) where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let before = calls.len() - blocks.len();
    for (call, block) in calls[before..].iter_mut().zip(blocks) {
        *call = (FieldOf::<B>::load(block) ^ masks.take().swap()).store();
    }
    encipher(backend, calls);
    for call in &calls[before..] {
        *sum ^= Field::load(call);
    }
}

impl sealed::AdProcessing for Serial {
    const LETTER: &'static str = "s";

    /// S = A\[0\], then S = E(S) ^ A\[i\]; the last block is padded and added with 4 (a full one) or 2 (a padded one) times Q;
    /// TA = E(S), L = 2 (E(Format) ^ TA).
    #[inline(always)]
    fn process<B>(backend: &B, q: FieldOf<B>, format: FieldOf<B>, data: &[u8]) -> Contribution<FieldOf<B>>
    where
        B: BlockCipherEncBackend,
        B::BlockSize: BlockSize,
    {
        // The nonce block shares the first call with the chain.
        let mut calls = [format.store(), Block::<B>::default()];
        let Some((blocks, last)) = split_last::<FieldOf<B>>(data) else {
            encipher(backend, &mut calls[..1]);
            return Contribution {
                l: FieldOf::<B>::load(&calls[0]).swap().double(),
                ta: Ta::Known(Field::ZERO),
            };
        };

        let q_doubled = q.swap().double();
        let last_mask = if last.len() == B::BlockSize::USIZE { q_doubled.double() } else { q_doubled }.swap();
        let last = pad::<FieldOf<B>>(last) ^ last_mask;
        let mut inputs = blocks.iter().map(Field::load).chain([last]);
        calls[1] = inputs.next().unwrap_or_default().store();
        encipher(backend, &mut calls);
        let [nonce_output, mut chain] = calls;
        for input in inputs {
            chain = (FieldOf::<B>::load(&chain) ^ input).store();
            backend.encrypt_block_inplace(&mut chain);
        }
        let l = (FieldOf::<B>::load(&nonce_output) ^ Field::load(&chain)).swap().double();
        Contribution { l, ta: Ta::Known(Field::ZERO) }
    }
}

impl sealed::AdProcessing for Combined {
    const LETTER: &'static str = "c";

    /// TA is the TE of decrypting the data as a message under L = Q; L = E(Format ^ TA).
    #[inline(always)]
    fn process<B>(backend: &B, q: FieldOf<B>, format: FieldOf<B>, data: &[u8]) -> Contribution<FieldOf<B>>
    where
        B: BlockCipherEncBackend,
        B::BlockSize: BlockSize,
    {
        let ta = if data.is_empty() { Field::ZERO } else { message::authenticate(backend, q.swap(), data) };
        let mut block = (format ^ ta).store();
        backend.encrypt_block_inplace(&mut block);
        Contribution { l: FieldOf::<B>::load(&block).swap(), ta: Ta::Known(Field::ZERO) }
    }
}
