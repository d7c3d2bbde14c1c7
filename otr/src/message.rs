//! The message: a two-round Feistel network over pairs of blocks, many pairs at a time.
//!
//! Encryption of pair i is C1 = E(L_i ^ M1) ^ M2, C2 = E(3 L_i ^ C1) ^ M1. Decryption is the same with the two masks in the
//! other order: M1 = E(3 L_i ^ C1) ^ C2, M2 = E(L_i ^ M1) ^ C1. So one code serves both. The first-round calls of a batch of
//! pairs go to the cipher at once, then their second-round calls. The last chunk of the message, of up to two blocks,
//! has rules of its own but takes part in the same calls, and so do the checksum and associated data where they can.
//!
//! Everything is `inline(always)`: it must be compiled with the target features of the cipher's backend.

use aead::{
    array::{Array, typenum::U2},
    inout::{InOut, InOutBuf},
};
use cipher::{Block, BlockCipherEncBackend, ParBlocks, ParBlocksSizeUser, typenum::Unsigned};

use crate::{
    field::Field,
    masks::{Masks, times_7, times_9},
    size::BlockSize,
};

/// The field that the blocks of a backend live in.
pub(crate) type FieldOf<B> = <<B as cipher::BlockSizeUser>::BlockSize as BlockSize>::Field;

/// Two blocks.
type Pair<B> = Array<Block<B>, U2>;

/// Which way a message goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Encrypt,
    Decrypt,
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

/// Encrypts the first `used` blocks of `batch`, and up to two more with them: in the same call as far as there is room.
#[inline(always)]
pub(crate) fn encipher_with<B: BlockCipherEncBackend>(
    backend: &B,
    batch: &mut ParBlocks<B>,
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
    let mut blocks = Pair::<B>::default();
    let blocks = &mut blocks[..left.len()];
    for (block, x) in blocks.iter_mut().zip(&*left) {
        *block = x.store();
    }
    encipher(backend, blocks);
    for (x, block) in left.iter_mut().zip(&*blocks) {
        *x = Field::load(block);
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

/// The calls of one batch of pairs.
struct Batch<B>
where
    B: ParBlocksSizeUser,
    B::BlockSize: BlockSize,
{
    direction: Direction,
    /// Inputs, then outputs, of the cipher.
    calls: ParBlocks<B>,
    /// The masks of the second-round calls.
    second_masks: Array<FieldOf<B>, B::ParBlocksSize>,
}

impl<B> Batch<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    #[inline(always)]
    fn new(direction: Direction) -> Self {
        Self { direction, calls: Array::default(), second_masks: Array::default() }
    }

    /// Prepares the first-round call of pair `i`.
    #[inline(always)]
    fn first_round(&mut self, i: usize, masks: &mut Masks<FieldOf<B>>, pair: &InOut<'_, '_, Pair<B>>) {
        let (once, thrice) = masks.next();
        let (first, second) = match self.direction {
            Direction::Encrypt => (once, thrice),
            Direction::Decrypt => (thrice, once),
        };
        self.calls[i] = (FieldOf::<B>::load(&pair.get_in()[0]) ^ first).store();
        self.second_masks[i] = second;
    }

    /// Takes the result of the first round of pair `i` and prepares its second-round call.
    #[inline(always)]
    fn second_round(&mut self, i: usize, checksum: &mut FieldOf<B>, mut pair: InOut<'_, '_, Pair<B>>) {
        let [x1, x2] = pair.get_in().0.each_ref().map(FieldOf::<B>::load);
        let y1 = FieldOf::<B>::load(&self.calls[i]) ^ x2;
        if self.direction == Direction::Encrypt {
            *checksum ^= x2;
        }
        self.calls[i] = (y1 ^ self.second_masks[i]).store();
        // The second block waits for the second round with what will be added to it.
        *pair.get_out() = Array([y1.store(), x1.store()]);
    }

    /// Takes the result of the second round of pair `i`.
    #[inline(always)]
    fn finish(&mut self, i: usize, checksum: &mut FieldOf<B>, mut pair: InOut<'_, '_, Pair<B>>) {
        let second = &mut pair.get_out()[1];
        let y2 = FieldOf::<B>::load(&self.calls[i]) ^ FieldOf::<B>::load(second);
        *second = y2.store();
        if self.direction == Direction::Decrypt {
            *checksum ^= y2;
        }
    }
}

/// Encrypts or decrypts a whole message under the mask `l` (an element).
///
/// Returns TE, plus the encryption of `pending`, a block that has nothing to wait for.
#[inline(always)]
pub(crate) fn process<B>(
    backend: &B,
    l: FieldOf<B>,
    direction: Direction,
    message: InOutBuf<'_, '_, u8>,
    pending: Option<FieldOf<B>>,
) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let split = whole_pairs::<B>(message.len());
    let (pairs, last) = message.split_at(split);
    let (batches, pairs) = pairs.into_chunks().0.into_chunks().0.into_chunks();
    let mut masks = Masks::new(l);
    let mut checksum = Field::ZERO;
    for batch in batches {
        full_batch(backend, &mut masks, &mut checksum, direction, batch);
    }
    match direction {
        Direction::Encrypt => encrypt_last(backend, &mut masks, checksum, pairs, last, pending),
        Direction::Decrypt => decrypt_last(backend, &mut masks, checksum, pairs, last, pending),
    }
}

/// The TE of decrypting `data` under the mask `l` (an element); the plaintext is dropped.
#[inline(always)]
pub(crate) fn authenticate<B>(backend: &B, l: FieldOf<B>, data: &[u8]) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let (pairs, last) = data.split_at(whole_pairs::<B>(data.len()));
    let (batches, pairs) = Array::slice_as_chunks(Array::slice_as_chunks(Array::slice_as_chunks(pairs).0).0);
    let mut masks = Masks::new(l);
    let mut checksum = Field::ZERO;
    let mut scratch = Array::<Pair<B>, B::ParBlocksSize>::default();
    for batch in batches {
        scratch.clone_from(batch);
        full_batch(backend, &mut masks, &mut checksum, Direction::Decrypt, (&mut scratch).into());
    }
    let scratch = &mut scratch[..pairs.len()];
    scratch.clone_from_slice(pairs);
    let mut last_scratch = Pair::<B>::default();
    let last_scratch = &mut Array::slice_as_flattened_mut(&mut last_scratch)[..last.len()];
    last_scratch.copy_from_slice(last);
    let (scratch, last) = (scratch.into(), last_scratch.into());
    decrypt_last(backend, &mut masks, checksum, scratch, last, None)
}

/// The bytes of the pairs before the last chunk of a message of `len` bytes.
#[inline(always)]
fn whole_pairs<B: cipher::BlockSizeUser>(len: usize) -> usize {
    let pair_size = 2 * B::BlockSize::USIZE;
    len.saturating_sub(1) / pair_size * pair_size
}

/// As many pairs as the backend is wide.
#[inline(always)]
fn full_batch<B>(
    backend: &B,
    masks: &mut Masks<FieldOf<B>>,
    checksum: &mut FieldOf<B>,
    direction: Direction,
    mut pairs: InOut<'_, '_, Array<Pair<B>, B::ParBlocksSize>>,
) where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let mut batch = Batch::<B>::new(direction);
    for i in 0..B::ParBlocksSize::USIZE {
        batch.first_round(i, masks, &pairs.get(i));
    }
    backend.encrypt_par_blocks_inplace(&mut batch.calls);
    for i in 0..B::ParBlocksSize::USIZE {
        batch.second_round(i, checksum, pairs.get(i));
    }
    backend.encrypt_par_blocks_inplace(&mut batch.calls);
    for i in 0..B::ParBlocksSize::USIZE {
        batch.finish(i, checksum, pairs.get(i));
    }
}

/// Encrypts what is left after the full batches: fewer pairs than the backend is wide, and the last chunk M.
///
/// With n the block size and L the next mask, the rules of a chunk of
/// - at most n bits are: C = msb(E(L)) ^ M; checksum ^= pad(M); the checksum's mask is 7L (full) or 9L (padded);
/// - more are: Z = E(L ^ M1); C2 = M2 ^ msb(Z); checksum ^= Z ^ pad(C2); C1 = E(3L ^ pad(C2)) ^ M1; 7 * 3L or 9 * 3L.
#[inline(always)]
fn encrypt_last<B>(
    backend: &B,
    masks: &mut Masks<FieldOf<B>>,
    mut checksum: FieldOf<B>,
    mut pairs: InOutBuf<'_, '_, Pair<B>>,
    last: InOutBuf<'_, '_, u8>,
    pending: Option<FieldOf<B>>,
) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let count = pairs.len();
    let mut batch = Batch::<B>::new(Direction::Encrypt);
    for i in 0..count {
        batch.first_round(i, masks, &pairs.get(i));
    }
    let chunk = LastChunk::new(masks, last.len());
    let (mut head, mut tail) = last.split_at(chunk.head_len);
    let mut tag = TagCalls::new(pending);

    if count == 0 && !chunk.is_long {
        // No second round: the checksum has nothing to wait for. An empty message needs no other call.
        batch.calls[0] = chunk.once.store();
        tag.set_checksum(checksum ^ pad(head.get_in()) ^ chunk.checksum_mask);
        encipher_with(backend, &mut batch.calls, usize::from(!head.is_empty()), tag.calls());
        xor_bytes(&mut head, FieldOf::<B>::load(&batch.calls[0]));
        return tag.sum();
    }

    batch.calls[count] = if chunk.is_long { chunk.once ^ pad(head.get_in()) } else { chunk.once }.store();
    encipher(backend, &mut batch.calls[..=count]);
    let output = FieldOf::<B>::load(&batch.calls[count]);
    if chunk.is_long {
        xor_bytes(&mut tail, output);
        let c2 = pad(tail.get_out());
        checksum ^= output ^ c2;
        batch.calls[count] = (chunk.thrice ^ c2).store();
    } else {
        checksum ^= pad(head.get_in());
        xor_bytes(&mut head, output);
    }
    for i in 0..count {
        batch.second_round(i, &mut checksum, pairs.get(i));
    }
    tag.set_checksum(checksum ^ chunk.checksum_mask);
    encipher_with(backend, &mut batch.calls, count + usize::from(chunk.is_long), tag.calls());
    if chunk.is_long {
        xor_bytes(&mut head, FieldOf::<B>::load(&batch.calls[count]));
    }
    for i in 0..count {
        batch.finish(i, &mut checksum, pairs.get(i));
    }
    tag.sum()
}

/// The inverse of [`encrypt_last`]; here the checksum has to wait for the second round.
#[inline(always)]
fn decrypt_last<B>(
    backend: &B,
    masks: &mut Masks<FieldOf<B>>,
    mut checksum: FieldOf<B>,
    mut pairs: InOutBuf<'_, '_, Pair<B>>,
    last: InOutBuf<'_, '_, u8>,
    pending: Option<FieldOf<B>>,
) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let count = pairs.len();
    let mut batch = Batch::<B>::new(Direction::Decrypt);
    for i in 0..count {
        batch.first_round(i, masks, &pairs.get(i));
    }
    let chunk = LastChunk::new(masks, last.len());
    let (mut head, mut tail) = last.split_at(chunk.head_len);
    let mut tag = TagCalls::new(pending);

    batch.calls[count] = if chunk.is_long { chunk.thrice ^ pad(tail.get_in()) } else { chunk.once }.store();
    encipher(backend, &mut batch.calls[..count + usize::from(!head.is_empty())]);
    xor_bytes(&mut head, FieldOf::<B>::load(&batch.calls[count]));
    let m1 = pad(head.get_out());
    if chunk.is_long {
        batch.calls[count] = (chunk.once ^ m1).store();
    } else {
        checksum ^= m1;
    }
    for i in 0..count {
        batch.second_round(i, &mut checksum, pairs.get(i));
    }
    encipher(backend, &mut batch.calls[..count + usize::from(chunk.is_long)]);
    if chunk.is_long {
        let z = FieldOf::<B>::load(&batch.calls[count]);
        checksum ^= z ^ pad(tail.get_in());
        xor_bytes(&mut tail, z);
    }
    for i in 0..count {
        batch.finish(i, &mut checksum, pairs.get(i));
    }
    tag.set_checksum(checksum ^ chunk.checksum_mask);
    encipher_with(backend, &mut batch.calls, 0, tag.calls());
    tag.sum()
}

/// What the length of the last chunk decides.
struct LastChunk<F> {
    /// More than one block.
    is_long: bool,
    /// The bytes of its first block.
    head_len: usize,
    /// L.
    once: F,
    /// 3L.
    thrice: F,
    checksum_mask: F,
}

impl<F: Field> LastChunk<F> {
    #[inline(always)]
    fn new(masks: &mut Masks<F>, len: usize) -> Self {
        let n = F::Size::USIZE;
        let (once, thrice) = masks.next();
        let is_long = len > n;
        let mask = if is_long { thrice } else { once }.swap();
        let is_full = len == n || len == 2 * n;
        let checksum_mask = if is_full { times_7(mask) } else { times_9(mask) }.swap();
        Self { is_long, head_len: len.min(n), once, thrice, checksum_mask }
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
