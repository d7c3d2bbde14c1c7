//! The message: a two-round Feistel network over pairs of blocks, many pairs at a time.
//!
//! Encryption of pair i is C1 = E(L_i ^ M1) ^ M2, C2 = E(3 L_i ^ C1) ^ M1. Decryption is the same with the two masks in the
//! other order: M1 = E(3 L_i ^ C1) ^ C2, M2 = E(L_i ^ M1) ^ C1. So one code serves both. The first-round calls of a batch of
//! pairs go to the cipher at once, then their second-round calls. The last chunk of the message, of up to two blocks,
//! has rules of its own but takes part in the same calls, and so do the checksum and associated data where they can.
//!
//! Everything is `inline(always)`, to be compiled with the target features of the cipher's backend. For ciphers of few blocks at
//! once, which have no such features, [`crate::narrow`] does the same in less code and stack.

use aead::{
    array::{
        Array, ArraySize,
        typenum::{U2, U16, U32},
    },
    inout::{InOut, InOutBuf},
};
use cipher::{Block, BlockCipherEncBackend, typenum::Unsigned};

use crate::{
    associated_data::Ta,
    field::Field,
    masks::{LANES, Lanes, Masks, times_3, times_3_twice, times_7},
    narrow,
    size::BlockSize,
};

/// The field that the blocks of a backend live in.
pub(crate) type FieldOf<B> = <<B as cipher::BlockSizeUser>::BlockSize as BlockSize>::Field;

/// Two blocks.
pub(crate) type Pair<S> = Array<Array<u8, S>, U2>;

/// Calls that a short batch has room for, where the backend is wider: setting up a wide one would take most of the time.
pub(crate) type Short = U16;

/// The same for a batch that is not that short.
type Medium = U32;

/// Which way a message goes. A type each, so that the loops over pairs are compiled for each; where code must be small, a
/// value.
pub(crate) trait Direction: Copy {
    fn encrypts(self) -> bool;
}

#[cfg(not(target_arch = "arm"))]
mod directions {
    #[derive(Clone, Copy)]
    pub(crate) struct Encrypt;

    impl super::Direction for Encrypt {
        #[inline(always)]
        fn encrypts(self) -> bool {
            true
        }
    }

    #[derive(Clone, Copy)]
    pub(crate) struct Decrypt;

    impl super::Direction for Decrypt {
        #[inline(always)]
        fn encrypts(self) -> bool {
            false
        }
    }

    pub(crate) const ENCRYPT: Encrypt = Encrypt;
    pub(crate) const DECRYPT: Decrypt = Decrypt;
}

#[cfg(target_arch = "arm")]
mod directions {
    impl super::Direction for bool {
        #[inline(always)]
        fn encrypts(self) -> bool {
            self
        }
    }

    pub(crate) const ENCRYPT: bool = true;
    pub(crate) const DECRYPT: bool = false;
}

pub(crate) use directions::{DECRYPT, ENCRYPT};

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

/// Encrypts the first `count` blocks of `batch`.
#[inline(always)]
pub(crate) fn encipher_first<B: BlockCipherEncBackend>(backend: &B, batch: &mut [Block<B>], count: usize) {
    if let Some(blocks) = batch.get_mut(..count) {
        encipher(backend, blocks);
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
    let room = batch.get_mut(used..).unwrap_or_default();
    let joining = extra.len().min(room.len());
    for (block, x) in room.iter_mut().zip(&*extra) {
        *block = x.store();
    }
    encipher_first(backend, batch, used + joining);
    let (joined, left) = extra.split_at_mut(joining);
    for (x, block) in joined.iter_mut().zip(batch.iter().skip(used)) {
        *x = Field::load(block);
    }
    if !left.is_empty() {
        let mut blocks = Pair::<B::BlockSize>::default();
        for (block, x) in blocks.iter_mut().zip(&*left) {
            *block = x.store();
        }
        encipher_first(backend, &mut blocks, left.len());
        for (x, block) in left.iter_mut().zip(&blocks) {
            *x = Field::load(block);
        }
    }
}

/// `bytes`, at most a block, padded with a one bit and zeros if they do not fill it.
#[inline(always)]
pub(crate) fn pad<F: Field>(bytes: &[u8]) -> F {
    F::load_start(bytes) ^ F::end_mark(bytes.len())
}

/// XORs the first bytes of `key` to `data`, at most a block.
#[inline(always)]
fn xor_bytes<F: Field>(data: &mut InOutBuf<'_, '_, u8>, key: F) {
    (F::load_start(data.get_in()) ^ key).store_start(data.get_out());
}

/// Up to `N` pairs on their way through the mode, and their masks. Blocks are integers in the order of memory.
struct Batch<F: Field, N: ArraySize> {
    /// The first blocks of the pairs as they come in.
    first: Aligned<Array<F, N>>,
    /// The second blocks as they come in, and then what goes out as first ones.
    second: Aligned<Array<F, N>>,
    calls: Aligned<Array<Array<u8, F::Size>, N>>,
    /// The masks of the pairs.
    once: Aligned<Array<F, N>>,
    /// Three times the same.
    thrice: Aligned<Array<F, N>>,
}

impl<F: Field, N: ArraySize> Batch<F, N> {
    #[inline(always)]
    fn new() -> Self {
        Self {
            first: Aligned::default(),
            second: Aligned::default(),
            calls: Aligned::default(),
            once: Aligned::default(),
            thrice: Aligned::default(),
        }
    }

    /// Takes the input.
    #[inline(always)]
    fn load(&mut self, pairs: &[Pair<F::Size>]) {
        let n = pairs.len().min(N::USIZE);
        let (first, second) = (&mut self.first.0[..n], &mut self.second.0[..n]);
        for i in 0..n {
            first[i] = F::load(&pairs[i][0]);
            second[i] = F::load(&pairs[i][1]);
        }
    }

    /// `n` pairs, or where there is room some more, with an input of zeros, so that no call has to wait for a vector that was
    /// stored in parts.
    #[inline(always)]
    fn whole_vectors(n: usize) -> usize {
        /// Blocks of 64 bits in the longest vector.
        const LONGEST: usize = 8;
        let n = if N::USIZE % LONGEST == 0 { n.next_multiple_of(LONGEST) } else { n };
        // No more than there are, which the compiler does not see.
        n.min(N::USIZE)
    }

    /// Prepares the calls of the first round of `n` pairs.
    #[inline(always)]
    fn first_round(&mut self, n: usize, direction: impl Direction) {
        let n = Self::whole_vectors(n);
        let masks = if direction.encrypts() { &self.once.0[..n] } else { &self.thrice.0[..n] };
        let (first, calls) = (&self.first.0[..n], &mut self.calls.0[..n]);
        for i in 0..n {
            calls[i] = (first[i] ^ masks[i]).store();
        }
    }

    /// Takes the results of the first round of `n` pairs and prepares the calls of the second. Returns the sum of what came
    /// in as second blocks.
    #[inline(always)]
    fn second_round(&mut self, n: usize, direction: impl Direction) -> F {
        let n = Self::whole_vectors(n);
        let masks = if direction.encrypts() { &self.thrice.0[..n] } else { &self.once.0[..n] };
        let (second, calls) = (&mut self.second.0[..n], &mut self.calls.0[..n]);
        let mut sum = F::ZERO;
        for i in 0..n {
            sum ^= second[i];
            second[i] ^= F::load(&calls[i]);
            calls[i] = (second[i] ^ masks[i]).store();
        }
        sum
    }

    /// Takes the results of the second round and puts out the pairs. Returns the sum of what goes out as second blocks.
    #[inline(always)]
    fn finish(&self, pairs: &mut [Pair<F::Size>]) -> F {
        let n = pairs.len().min(N::USIZE);
        let (first, second, calls) = (&self.first.0[..n], &self.second.0[..n], &self.calls.0[..n]);
        let mut sum = F::ZERO;
        for i in 0..n {
            let result = first[i] ^ F::load(&calls[i]);
            sum ^= result;
            pairs[i][0] = second[i].store();
            pairs[i][1] = result.store();
        }
        sum
    }
}

/// A message, or associated data as one, of which some pairs have been processed.
struct Message<'a, B: BlockCipherEncBackend, D>
where
    B::BlockSize: BlockSize,
{
    backend: &'a B,
    /// Of the next pair.
    masks: Masks<FieldOf<B>>,
    /// Of the pairs so far.
    checksum: FieldOf<B>,
    direction: D,
}

/// What is kept between the pieces of a message.
#[derive(Clone, Copy)]
pub(crate) struct Progress<F> {
    /// The mask of the next pair, as an element.
    pub(crate) mask: F,
    /// Of the pairs so far.
    pub(crate) checksum: F,
}

/// Encrypts or decrypts a whole message under the mask `l` (an element), or what is left of one after pairs with `checksum`.
///
/// Returns TE ^ TA.
#[inline(always)]
pub(crate) fn process<B, D: Direction>(
    backend: &B,
    l: FieldOf<B>,
    checksum: Option<FieldOf<B>>,
    message: InOutBuf<'_, '_, u8>,
    ta: Ta<FieldOf<B>>,
    direction: D,
) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    if narrow::is_narrow::<B>() {
        let progress = Progress { mask: l, checksum: checksum.unwrap_or(Field::ZERO) };
        return narrow::process(backend, progress, message, ta, direction.encrypts());
    }
    let (known, pending) = match ta {
        Ta::Known(ta) => (ta, None),
        Ta::Pending(call) => (Field::ZERO, Some(call)),
    };
    let split = whole_pairs::<B>(message.len());
    let (pairs, last) = message.split_at(split);
    let (batches, pairs) = pairs.into_chunks().0.into_chunks().0.into_chunks::<B::ParBlocksSize>();
    let mut state = Message::new(backend, l, direction);
    if let Some(checksum) = checksum {
        state.checksum = checksum;
    }
    // Setting up the arrays takes time.
    if !batches.is_empty() {
        state.full_batches(batches);
    }
    known ^ state.last_batch(pairs, last, pending)
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
    if narrow::is_narrow::<B>() {
        narrow::encrypt_pairs(backend, progress, pairs);
        return;
    }
    let mut state = Message::new(backend, progress.mask, ENCRYPT);
    state.checksum = progress.checksum;
    let (batches, pairs) = pairs.into_chunks::<B::ParBlocksSize>();
    if !batches.is_empty() {
        state.full_batches(batches);
    }
    if B::ParBlocksSize::USIZE > Short::USIZE && pairs.len() <= Short::USIZE {
        state.encrypt_batch_of::<Short>(pairs);
    } else {
        state.encrypt_batch_of::<B::ParBlocksSize>(pairs);
    }
    *progress = Progress { mask: state.masks.take(), checksum: state.checksum };
}

/// The TE of decrypting `data` under the mask `l` (an element); the plaintext is dropped.
#[inline(always)]
pub(crate) fn authenticate<B>(backend: &B, l: FieldOf<B>, data: &[u8]) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    if narrow::is_narrow::<B>() {
        return narrow::authenticate(backend, l, data);
    }
    let (pairs, last) = data.split_at(whole_pairs::<B>(data.len()));
    let pairs = Array::slice_as_chunks(Array::slice_as_chunks(pairs).0).0;
    let (batches, pairs) = Array::<_, B::ParBlocksSize>::slice_as_chunks(pairs);
    let mut state = Message::new(backend, l, DECRYPT);
    let mut plaintext = Array::<Pair<B::BlockSize>, B::ParBlocksSize>::default();
    if !batches.is_empty() {
        let batch = &mut Batch::new();
        let masks_ahead = &mut state.start_batches(batch);
        for pairs in batches {
            state.full_batch(batch, masks_ahead, (pairs, &mut plaintext).into());
        }
    }
    let plaintext = &mut plaintext[..pairs.len()];
    let mut last_plaintext = Pair::<B::BlockSize>::default();
    let last_plaintext = &mut Array::slice_as_flattened_mut(&mut last_plaintext)[..last.len()];
    match (InOutBuf::new(pairs, plaintext), InOutBuf::new(last, last_plaintext)) {
        (Ok(pairs), Ok(last)) => state.last_batch(pairs, last, None),
        // They are of one length each.
        _ => Field::ZERO,
    }
}

/// The bytes of the pairs before the last chunk of a message of `len` bytes.
#[inline(always)]
pub(crate) fn whole_pairs<B: cipher::BlockSizeUser>(len: usize) -> usize {
    let pair_size = 2 * B::BlockSize::USIZE;
    // Never more than `len`, which the compiler does not see.
    (len.saturating_sub(1) / pair_size * pair_size).min(len)
}

impl<'a, B, D: Direction> Message<'a, B, D>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    #[inline(always)]
    fn new(backend: &'a B, l: FieldOf<B>, direction: D) -> Self {
        Self { backend, masks: Masks::new(l), checksum: Field::ZERO, direction }
    }

    /// Whether full batches take masks that are computed side by side.
    const MASKS_IN_LANES: bool = B::ParBlocksSize::USIZE % LANES == 0;

    /// With [`Self::MASKS_IN_LANES`], puts the masks of the first full batch into `batch` and returns those behind them.
    #[inline(always)]
    fn start_batches(&self, batch: &mut Batch<FieldOf<B>, B::ParBlocksSize>) -> Lanes<FieldOf<B>> {
        let mut masks_ahead = Lanes::NONE;
        if Self::MASKS_IN_LANES {
            masks_ahead = self.masks.lanes();
            masks_ahead.fill(&mut batch.once.0, &mut batch.thrice.0);
        }
        masks_ahead
    }

    /// All full batches of a message.
    #[inline(always)]
    fn full_batches(&mut self, batches: InOutBuf<'_, '_, Array<Pair<B::BlockSize>, B::ParBlocksSize>>) {
        let batch = &mut Batch::new();
        let masks_ahead = &mut self.start_batches(batch);
        for pairs in batches {
            self.full_batch(batch, masks_ahead, pairs);
        }
    }

    /// As many pairs as the backend is wide. With [`Self::MASKS_IN_LANES`], `batch` comes with their masks and leaves with
    /// those of the next ones, and `masks_ahead` are those behind these.
    #[inline(always)]
    fn full_batch(
        &mut self,
        batch: &mut Batch<FieldOf<B>, B::ParBlocksSize>,
        masks_ahead: &mut Lanes<FieldOf<B>>,
        mut pairs: InOut<'_, '_, Array<Pair<B::BlockSize>, B::ParBlocksSize>>,
    ) {
        if !Self::MASKS_IN_LANES {
            self.masks.fill(&mut batch.once.0, &mut batch.thrice.0);
        }
        batch.load(pairs.get_in());
        batch.first_round(B::ParBlocksSize::USIZE, self.direction);
        self.backend.encrypt_par_blocks_inplace(&mut batch.calls.0);
        let input_sum = batch.second_round(B::ParBlocksSize::USIZE, self.direction);
        if Self::MASKS_IN_LANES {
            self.masks = masks_ahead.masks();
            // Already here, so that the CPU can do it beside the second round.
            masks_ahead.fill(&mut batch.once.0, &mut batch.thrice.0);
        }
        self.backend.encrypt_par_blocks_inplace(&mut batch.calls.0);
        let output_sum = batch.finish(pairs.get_out());
        self.checksum ^= if self.direction.encrypts() { input_sum } else { output_sum };
    }

    /// Up to `N` pairs that are not the end of a message to encrypt.
    #[inline(always)]
    fn encrypt_batch_of<N: ArraySize>(&mut self, mut pairs: InOutBuf<'_, '_, Pair<B::BlockSize>>) {
        let count = pairs.len().min(N::USIZE);
        let batch = &mut Batch::<FieldOf<B>, N>::new();
        batch.load(pairs.get_in());
        self.masks.fill(&mut batch.once.0[..count], &mut batch.thrice.0[..count]);
        batch.first_round(count, self.direction);
        encipher_first(self.backend, &mut batch.calls.0, count);
        self.checksum ^= batch.second_round(count, self.direction);
        encipher_first(self.backend, &mut batch.calls.0, count);
        batch.finish(pairs.get_out());
    }

    /// Fewer pairs than the backend is wide, the last chunk, and the checksum.
    #[inline(always)]
    fn last_batch(
        self,
        pairs: InOutBuf<'_, '_, Pair<B::BlockSize>>,
        last: InOutBuf<'_, '_, u8>,
        pending: Option<FieldOf<B>>,
    ) -> FieldOf<B> {
        // The last chunk, the checksum and a pending block take part.
        let calls = pairs.len() + 3;
        if B::ParBlocksSize::USIZE > Short::USIZE && calls <= Short::USIZE {
            self.last_batch_of::<Short>(pairs, last, pending)
        } else if B::ParBlocksSize::USIZE > Medium::USIZE && calls <= Medium::USIZE {
            self.last_batch_of::<Medium>(pairs, last, pending)
        } else {
            self.last_batch_of::<B::ParBlocksSize>(pairs, last, pending)
        }
    }

    /// [`Message::last_batch`], of up to `N` calls.
    #[inline(always)]
    fn last_batch_of<N: ArraySize>(
        self,
        mut pairs: InOutBuf<'_, '_, Pair<B::BlockSize>>,
        last: InOutBuf<'_, '_, u8>,
        pending: Option<FieldOf<B>>,
    ) -> FieldOf<B> {
        let Self { backend, masks, mut checksum, direction } = self;
        // Fewer than `N`, which the compiler does not see.
        let count = pairs.len().min(N::USIZE - 1);
        let batch = &mut Batch::<FieldOf<B>, N>::new();
        batch.load(pairs.get_in());
        if N::USIZE > Medium::USIZE && N::USIZE % LANES == 0 {
            let filled = (count + 1).next_multiple_of(LANES);
            masks.lanes().fill(&mut batch.once.0[..filled], &mut batch.thrice.0[..filled]);
        } else {
            { masks }.fill(&mut batch.once.0[..=count], &mut batch.thrice.0[..=count]);
        }
        batch.first_round(count, direction);

        let chunk = LastChunk::new(batch.once.0[count].swap(), last.len());
        let head_len = last.len().min(B::BlockSize::USIZE);
        let (mut head, mut tail) = last.split_at(head_len);
        let mut tag = TagCalls::new(pending);
        if direction.encrypts() {
            if count == 0 && !chunk.is_long {
                // No second round: the checksum has nothing to wait for. An empty message needs no other call.
                batch.calls.0[0] = chunk.once.store();
                tag.set_checksum(checksum ^ pad(head.get_in()) ^ chunk.checksum_mask);
                encipher_with(backend, &mut batch.calls.0, usize::from(!head.is_empty()), tag.calls());
                xor_bytes(&mut head, FieldOf::<B>::load(&batch.calls.0[0]));
                return tag.sum();
            }
            batch.calls.0[count] =
                if chunk.is_long { chunk.once ^ pad(head.get_in()) } else { chunk.once }.store();
            encipher_first(backend, &mut batch.calls.0, count + 1);
            let output = FieldOf::<B>::load(&batch.calls.0[count]);
            checksum ^= batch.second_round(count, direction);
            if chunk.is_long {
                xor_bytes(&mut tail, output);
                let c2 = pad(tail.get_out());
                checksum ^= output ^ c2;
                batch.calls.0[count] = (chunk.thrice ^ c2).store();
            } else {
                checksum ^= pad(head.get_in());
                xor_bytes(&mut head, output);
            }
            tag.set_checksum(checksum ^ chunk.checksum_mask);
            encipher_with(backend, &mut batch.calls.0, count + usize::from(chunk.is_long), tag.calls());
            if chunk.is_long {
                xor_bytes(&mut head, FieldOf::<B>::load(&batch.calls.0[count]));
            }
            batch.finish(pairs.get_out());
        } else {
            batch.calls.0[count] =
                if chunk.is_long { chunk.thrice ^ pad(tail.get_in()) } else { chunk.once }.store();
            encipher_first(backend, &mut batch.calls.0, count + usize::from(!head.is_empty()));
            xor_bytes(&mut head, FieldOf::<B>::load(&batch.calls.0[count]));
            let m1 = pad(head.get_out());
            batch.second_round(count, direction);
            if chunk.is_long {
                batch.calls.0[count] = (chunk.once ^ m1).store();
            } else {
                checksum ^= m1;
            }
            encipher_first(backend, &mut batch.calls.0, count + usize::from(chunk.is_long));
            if chunk.is_long {
                let z = FieldOf::<B>::load(&batch.calls.0[count]);
                checksum ^= z ^ pad(tail.get_in());
                xor_bytes(&mut tail, z);
            }
            checksum ^= batch.finish(pairs.get_out());
            // Unlike that of a message to encrypt, this checksum had to wait for the second round.
            tag.set_checksum(checksum ^ chunk.checksum_mask);
            encipher_with(backend, &mut batch.calls.0, 0, tag.calls());
        }
        tag.sum()
    }
}

/// The last chunk of a message, of 0 to 2n bytes for blocks of n. With L the next mask, its rules are:
/// - up to n bytes: C = msb(E(L)) ^ M; checksum ^= pad(M); the checksum's mask is 7L (a full block) or 3 * 3L (a padded one);
/// - more: Z = E(L ^ M1); C2 = M2 ^ msb(Z); checksum ^= Z ^ pad(C2); C1 = E(3L ^ pad(C2)) ^ M1; 7 * 3L or 3 * 3 * 3L.
struct LastChunk<F> {
    /// More than one block.
    is_long: bool,
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
        Self {
            is_long: len > F::Size::USIZE,
            once: l.swap(),
            thrice: times_3(l).swap(),
            checksum_mask: checksum_mask(l, len),
        }
    }
}

/// The mask of the checksum from the element L, for a last chunk of `len` bytes, as [`LastChunk`] says.
#[inline(always)]
pub(crate) fn checksum_mask<F: Field>(l: F, len: usize) -> F {
    let n = F::Size::USIZE;
    let mask = if len > n { times_3(l) } else { l };
    let is_full = len == n || len == 2 * n;
    if is_full { times_7(mask) } else { times_3_twice(mask) }.swap()
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
        self.calls.get_mut(..self.count).unwrap_or_default()
    }

    /// The sum of the outputs: a call that was not made is zero.
    #[inline(always)]
    fn sum(&self) -> F {
        self.calls[0] ^ self.calls[1]
    }
}
