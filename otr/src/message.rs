//! The message: a two-round Feistel network over pairs of blocks, many pairs at a time.
//!
//! Encryption of pair i is C1 = E(L_i ^ M1) ^ M2, C2 = E(3 L_i ^ C1) ^ M1. Decryption is the same with the two masks in the
//! other order: M1 = E(3 L_i ^ C1) ^ C2, M2 = E(L_i ^ M1) ^ C1. So one code serves both. The first-round calls of a batch of
//! pairs go to the cipher at once, then their second-round calls. The last chunk of the message, of up to two blocks,
//! has rules of its own but takes part in the same calls, and so do the checksum and associated data where they can.
//!
//! Everything is `inline(always)`: it must be compiled with the target features of the cipher's backend.

use aead::{
    array::{
        Array, ArraySize,
        typenum::{U2, U16},
    },
    inout::InOutBuf,
};
use cipher::{Block, BlockCipherEncBackend, ParBlocks, typenum::Unsigned};

use crate::{
    field::Field,
    masks::{Masks, times_3, times_7, times_9},
    size::BlockSize,
};

/// The field that the blocks of a backend live in.
pub(crate) type FieldOf<B> = <<B as cipher::BlockSizeUser>::BlockSize as BlockSize>::Field;

/// Two blocks.
type Pair<S> = Array<Array<u8, S>, U2>;

/// Calls that a short batch has room for, where the backend is wider: setting up a wide one would take most of the time.
pub(crate) type Short = U16;

/// Which way a message goes; a type, so that the loops over pairs are compiled for each.
pub(crate) trait Direction {
    const ENCRYPTS: bool;
}

pub(crate) struct Encrypt;

impl Direction for Encrypt {
    const ENCRYPTS: bool = true;
}

pub(crate) struct Decrypt;

impl Direction for Decrypt {
    const ENCRYPTS: bool = false;
}

/// On a cache line of its own where vectors are as long as that; elsewhere the stack would pay for nothing.
#[cfg_attr(any(target_arch = "x86", target_arch = "x86_64"), repr(align(64)))]
#[derive(Default)]
pub(crate) struct Aligned<T>(pub(crate) T);

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

/// Encrypts the first `used` blocks of `batch`, and up to two more with them: in the same call as far as there is room.
#[inline(always)]
pub(crate) fn encipher_with<B: BlockCipherEncBackend>(
    backend: &B,
    batch: &mut [Block<B>],
    used: usize,
    extra: &mut [FieldOf<B>],
) where
    B::BlockSize: BlockSize,
{
    let joining = extra.len().min(batch.len() - used);
    for (block, x) in batch[used..].iter_mut().zip(&*extra) {
        *block = x.store();
    }
    encipher(backend, &mut batch[..used + joining]);
    let (joined, left) = extra.split_at_mut(joining);
    for (x, block) in joined.iter_mut().zip(&batch[used..]) {
        *x = Field::load(block);
    }
    if !left.is_empty() {
        let mut blocks = Pair::<B::BlockSize>::default();
        let blocks = &mut blocks[..left.len()];
        for (block, x) in blocks.iter_mut().zip(&*left) {
            *block = x.store();
        }
        encipher(backend, blocks);
        for (x, block) in left.iter_mut().zip(&*blocks) {
            *x = Field::load(block);
        }
    }
}

/// `bytes`, at most a block, padded with a one bit and zeros if they do not fill it.
#[inline(always)]
pub(crate) fn pad<F: Field>(bytes: &[u8]) -> F {
    let mut block = Array::<u8, F::Size>::default();
    block[..bytes.len()].copy_from_slice(bytes);
    if let Some(byte) = block.get_mut(bytes.len()) {
        *byte = 0x80;
    }
    F::load(&block)
}

/// XORs the first bytes of `key` to `data`, at most a block.
#[inline(always)]
fn xor_bytes<F: Field>(data: &mut InOutBuf<'_, '_, u8>, key: F) {
    data.xor_in2out(&key.store()[..data.len()]);
}

/// Pairs on their way through the mode: those of a message, or of associated data, whose plaintext nobody wants.
enum Pairs<'inp, 'out, S: BlockSize> {
    Message(InOutBuf<'inp, 'out, Pair<S>>),
    Data(&'inp [Pair<S>]),
}

impl<S: BlockSize> Pairs<'_, '_, S> {
    #[inline(always)]
    fn input(&self) -> &[Pair<S>] {
        match self {
            Self::Message(pairs) => pairs.get_in(),
            Self::Data(pairs) => pairs,
        }
    }

    #[inline(always)]
    fn output(&mut self) -> &mut [Pair<S>] {
        match self {
            Self::Message(pairs) => pairs.get_out(),
            Self::Data(_) => &mut [],
        }
    }
}

/// Prepares the first-round calls of `pairs`, and the masks of their second round.
#[inline(always)]
fn first_round<S: BlockSize, D: Direction>(
    pairs: &[Pair<S>],
    masks: &mut Masks<S::Field>,
    calls: &mut [Array<u8, S>],
    second_masks: &mut [S::Field],
) {
    let n = pairs.len();
    let (calls, second_masks) = (&mut calls[..n], &mut second_masks[..n]);
    masks.fill(second_masks);
    for i in 0..n {
        let once = second_masks[i];
        let (once, thrice) = (once.swap(), times_3(once).swap());
        let mask = if D::ENCRYPTS { once } else { thrice };
        second_masks[i] = if D::ENCRYPTS { thrice } else { once };
        calls[i] = (S::Field::load(&pairs[i][0]) ^ mask).store();
    }
}

/// Takes the results of the first round, and prepares the calls of the second.
#[inline(always)]
fn second_round<S: BlockSize, D: Direction>(
    pairs: &[Pair<S>],
    calls: &mut [Array<u8, S>],
    second_masks: &[S::Field],
    results: &mut [S::Field],
    checksum: &mut S::Field,
) {
    let n = pairs.len();
    let (calls, second_masks, results) = (&mut calls[..n], &second_masks[..n], &mut results[..n]);
    let mut sum = S::Field::ZERO;
    for i in 0..n {
        let second = S::Field::load(&pairs[i][1]);
        if D::ENCRYPTS {
            sum ^= second;
        }
        results[i] = second ^ Field::load(&calls[i]);
        calls[i] = (results[i] ^ second_masks[i]).store();
    }
    *checksum ^= sum;
}

/// Takes the results of the second round, and replaces the pairs.
#[inline(always)]
fn finish<S: BlockSize, D: Direction>(
    mut pairs: Pairs<'_, '_, S>,
    calls: &mut [Array<u8, S>],
    results: &[S::Field],
    checksum: &mut S::Field,
) {
    let input = pairs.input();
    let n = input.len();
    let (calls, results) = (&mut calls[..n], &results[..n]);
    let mut sum = S::Field::ZERO;
    for i in 0..n {
        let result = S::Field::load(&input[i][0]) ^ Field::load(&calls[i]);
        if !D::ENCRYPTS {
            sum ^= result;
        }
        calls[i] = result.store();
    }
    *checksum ^= sum;
    // A loop of its own: the output may be where the input is, which the compiler cannot know.
    for (pair, (first, second)) in pairs.output().iter_mut().zip(results.iter().zip(calls)) {
        pair[0] = first.store();
        pair[1].clone_from(second);
    }
}

/// Encrypts or decrypts a whole message under the mask `l` (an element).
///
/// Returns TE, plus the encryption of `pending`, a block that has nothing to wait for.
#[inline(always)]
pub(crate) fn process<B, D: Direction>(
    backend: &B,
    l: FieldOf<B>,
    message: InOutBuf<'_, '_, u8>,
    pending: Option<FieldOf<B>>,
) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let split = whole_pairs::<B>(message.len());
    let (pairs, last) = message.split_at(split);
    let (batches, pairs) = pairs.into_chunks().0.into_chunks().0.into_chunks::<B::ParBlocksSize>();
    let mut masks = Masks::new(l);
    let mut checksum = Field::ZERO;
    if !batches.is_empty() {
        let batches = batches.into_iter().map(|batch| Pairs::Message(batch.into_buf()));
        full_batches::<B, D>(backend, &mut masks, &mut checksum, batches);
    }
    last_batch::<B, D>(backend, &mut masks, checksum, Pairs::Message(pairs), last, pending)
}

/// The TE of decrypting `data` under the mask `l` (an element); the plaintext is dropped.
#[inline(always)]
pub(crate) fn authenticate<B>(backend: &B, l: FieldOf<B>, data: &[u8]) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let (pairs, last) = data.split_at(whole_pairs::<B>(data.len()));
    let pairs = Array::slice_as_chunks(Array::slice_as_chunks(pairs).0).0;
    let (batches, pairs) = Array::<_, B::ParBlocksSize>::slice_as_chunks(pairs);
    let mut masks = Masks::new(l);
    let mut checksum = Field::ZERO;
    if !batches.is_empty() {
        let batches = batches.iter().map(|batch| Pairs::Data(batch));
        full_batches::<B, Decrypt>(backend, &mut masks, &mut checksum, batches);
    }
    let mut scratch = Pair::<B::BlockSize>::default();
    let scratch = &mut Array::slice_as_flattened_mut(&mut scratch)[..last.len()];
    scratch.copy_from_slice(last);
    last_batch::<B, Decrypt>(backend, &mut masks, checksum, Pairs::Data(pairs), scratch.into(), None)
}

/// The bytes of the pairs before the last chunk of a message of `len` bytes.
#[inline(always)]
fn whole_pairs<B: cipher::BlockSizeUser>(len: usize) -> usize {
    let pair_size = 2 * B::BlockSize::USIZE;
    len.saturating_sub(1) / pair_size * pair_size
}

/// Batches of as many pairs as the backend is wide. Setting up the arrays takes time: there must be batches.
#[inline(always)]
fn full_batches<'inp, 'out, B, D: Direction>(
    backend: &B,
    masks: &mut Masks<FieldOf<B>>,
    checksum: &mut FieldOf<B>,
    batches: impl Iterator<Item = Pairs<'inp, 'out, B::BlockSize>>,
) where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    // Each an array of its own: the compiler then knows that the cipher changes only `calls`.
    let Aligned(calls) = &mut Aligned::<ParBlocks<B>>::default();
    let Aligned(second_masks) = &mut Aligned::<Array<FieldOf<B>, B::ParBlocksSize>>::default();
    let Aligned(results) = &mut Aligned::<Array<FieldOf<B>, B::ParBlocksSize>>::default();
    for pairs in batches {
        first_round::<_, D>(pairs.input(), masks, calls, second_masks);
        backend.encrypt_par_blocks_inplace(calls);
        second_round::<_, D>(pairs.input(), calls, second_masks, results, checksum);
        backend.encrypt_par_blocks_inplace(calls);
        finish::<_, D>(pairs, calls, results, checksum);
    }
}

/// Fewer pairs than the backend is wide, the last chunk, and the checksum.
#[inline(always)]
fn last_batch<B, D: Direction>(
    backend: &B,
    masks: &mut Masks<FieldOf<B>>,
    checksum: FieldOf<B>,
    pairs: Pairs<'_, '_, B::BlockSize>,
    last: InOutBuf<'_, '_, u8>,
    pending: Option<FieldOf<B>>,
) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    // The last chunk, the checksum and a pending block take part.
    if B::ParBlocksSize::USIZE > Short::USIZE && pairs.input().len() + 3 <= Short::USIZE {
        last_batch_of::<B, D, Short>(backend, masks, checksum, pairs, last, pending)
    } else {
        last_batch_of::<B, D, B::ParBlocksSize>(backend, masks, checksum, pairs, last, pending)
    }
}

/// [`last_batch`], of up to `N` calls.
#[inline(always)]
fn last_batch_of<B, D: Direction, N: ArraySize>(
    backend: &B,
    masks: &mut Masks<FieldOf<B>>,
    mut checksum: FieldOf<B>,
    pairs: Pairs<'_, '_, B::BlockSize>,
    last: InOutBuf<'_, '_, u8>,
    pending: Option<FieldOf<B>>,
) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let count = pairs.input().len();
    let Aligned(calls) = &mut Aligned::<Array<Block<B>, N>>::default();
    let Aligned(second_masks) = &mut Aligned::<Array<FieldOf<B>, N>>::default();
    let Aligned(results) = &mut Aligned::<Array<FieldOf<B>, N>>::default();
    first_round::<_, D>(pairs.input(), masks, calls, second_masks);

    let chunk = LastChunk::new(masks.take(), last.len());
    let (mut head, mut tail) = last.split_at(chunk.head_len);
    let mut tag = TagCalls::new(pending);
    if D::ENCRYPTS {
        if count == 0 && !chunk.is_long {
            // No second round: the checksum has nothing to wait for. An empty message needs no other call.
            calls[0] = chunk.once.store();
            tag.set_checksum(checksum ^ pad(head.get_in()) ^ chunk.checksum_mask);
            encipher_with(backend, calls, usize::from(!head.is_empty()), tag.calls());
            xor_bytes(&mut head, FieldOf::<B>::load(&calls[0]));
            return tag.sum();
        }
        calls[count] = if chunk.is_long { chunk.once ^ pad(head.get_in()) } else { chunk.once }.store();
        encipher(backend, &mut calls[..=count]);
        let output = FieldOf::<B>::load(&calls[count]);
        if chunk.is_long {
            xor_bytes(&mut tail, output);
            let c2 = pad(tail.get_out());
            checksum ^= output ^ c2;
            calls[count] = (chunk.thrice ^ c2).store();
        } else {
            checksum ^= pad(head.get_in());
            xor_bytes(&mut head, output);
        }
        second_round::<_, D>(pairs.input(), calls, second_masks, results, &mut checksum);
        tag.set_checksum(checksum ^ chunk.checksum_mask);
        encipher_with(backend, calls, count + usize::from(chunk.is_long), tag.calls());
        if chunk.is_long {
            xor_bytes(&mut head, FieldOf::<B>::load(&calls[count]));
        }
        finish::<_, D>(pairs, calls, results, &mut checksum);
    } else {
        calls[count] = if chunk.is_long { chunk.thrice ^ pad(tail.get_in()) } else { chunk.once }.store();
        encipher(backend, &mut calls[..count + usize::from(!head.is_empty())]);
        xor_bytes(&mut head, FieldOf::<B>::load(&calls[count]));
        let m1 = pad(head.get_out());
        if chunk.is_long {
            calls[count] = (chunk.once ^ m1).store();
        } else {
            checksum ^= m1;
        }
        second_round::<_, D>(pairs.input(), calls, second_masks, results, &mut checksum);
        encipher(backend, &mut calls[..count + usize::from(chunk.is_long)]);
        if chunk.is_long {
            let z = FieldOf::<B>::load(&calls[count]);
            checksum ^= z ^ pad(tail.get_in());
            xor_bytes(&mut tail, z);
        }
        finish::<_, D>(pairs, calls, results, &mut checksum);
        // Unlike that of a message to encrypt, this checksum had to wait for the second round.
        tag.set_checksum(checksum ^ chunk.checksum_mask);
        encipher_with(backend, calls, 0, tag.calls());
    }
    tag.sum()
}

/// The last chunk of a message, of 0 to 2n bytes for blocks of n. With L the next mask, its rules are:
/// - up to n bytes: C = msb(E(L)) ^ M; checksum ^= pad(M); the checksum's mask is 7L (a full block) or 9L (a padded one);
/// - more: Z = E(L ^ M1); C2 = M2 ^ msb(Z); checksum ^= Z ^ pad(C2); C1 = E(3L ^ pad(C2)) ^ M1; 7 * 3L or 9 * 3L.
struct LastChunk<F> {
    /// More than one block.
    is_long: bool,
    /// The bytes of its first block.
    head_len: usize,
    /// L, in the order of memory as the other masks here.
    once: F,
    /// 3L.
    thrice: F,
    checksum_mask: F,
}

impl<F: Field> LastChunk<F> {
    /// From the element L.
    #[inline(always)]
    fn new(l: F, len: usize) -> Self {
        let n = F::Size::USIZE;
        let is_long = len > n;
        let thrice = times_3(l);
        let mask = if is_long { thrice } else { l };
        let is_full = len == n || len == 2 * n;
        let checksum_mask = if is_full { times_7(mask) } else { times_9(mask) };
        Self {
            is_long,
            head_len: len.min(n),
            once: l.swap(),
            thrice: thrice.swap(),
            checksum_mask: checksum_mask.swap(),
        }
    }
}

/// The calls whose outputs make the tag: TE, and TA where it is still to be computed.
struct TagCalls<F> {
    calls: [F; 2],
    count: usize,
}

impl<F: Field> TagCalls<F> {
    #[inline(always)]
    fn new(pending: Option<F>) -> Self {
        Self { calls: [F::ZERO, pending.unwrap_or(F::ZERO)], count: 1 + usize::from(pending.is_some()) }
    }

    #[inline(always)]
    fn set_checksum(&mut self, masked_checksum: F) {
        self.calls[0] = masked_checksum;
    }

    #[inline(always)]
    fn calls(&mut self) -> &mut [F] {
        &mut self.calls[..self.count]
    }

    /// The sum of the outputs: a call that was not made is zero.
    #[inline(always)]
    fn sum(&self) -> F {
        self.calls[0] ^ self.calls[1]
    }
}
