//! The wide form of the mode, for backends of more than four blocks at once. Each call has many pairs of blocks.
//!
//! The calls of the first round of all pairs in a batch go to the cipher together, and then those of the second round. The last chunk of the
//! message shares these calls, and so do the checksum and the associated data if they can. For AES only full batches are processed here; the
//! rest goes to [`pairwise`].
//!
//! Everything is `inline(always)`, so that it is compiled with the target features of the cipher's backend.

use aead::{
    array::{
        Array, ArraySize,
        typenum::{U2, U16, U32},
    },
    inout::{InOut, InOutBuf},
};
use cipher::{Block, BlockCipherEncBackend, typenum::Unsigned};

use crate::{
    direction::{DECRYPT, Direction, ENCRYPT},
    field::{BlockSize, Element, Field},
    masks::{IN_PARALLEL, Masks, ParallelMasks, times_3},
    pairwise,
    rules::{
        Call, FieldOf, MaskAndTa, Nonces, Pair, Progress, Single, checksum_mask, encipher, encipher_first,
        last_mask, pad, split_last, whole_pairs,
    },
};

/// The number of calls in a short batch, for backends that are wider. Setting up a wider batch would take most of the time.
type Short = U16;

/// The number of calls in a medium batch, for backends that are wider.
type Medium = U32;

/// A value with the alignment of a cache line, if vectors can be as long as a line. Elsewhere this would only cost stack.
#[cfg_attr(target_feature = "sse2", repr(align(64)))]
#[derive(Default)]
struct Aligned<T>(T);

/// Encrypts the first `used` blocks of `batch` and up to three extra blocks. The extra blocks share the call as far as there is room.
#[inline(always)]
fn encipher_with<B: BlockCipherEncBackend>(
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
        let mut blocks: [Block<B>; 3] = Default::default();
        for (block, x) in blocks.iter_mut().zip(&*left) {
            *block = x.store();
        }
        encipher_first(backend, &mut blocks, left.len());
        for (x, block) in left.iter_mut().zip(&blocks) {
            *x = Field::load(block);
        }
    }
}

/// XORs the first bytes of `key` into `data`, which has at most a block.
#[inline(always)]
fn xor_bytes<F: Field>(data: &mut InOutBuf<'_, '_, u8>, key: F) {
    (F::load_start(data.get_in()) ^ key).store_start(data.get_out());
}

/// Up to `N` pairs that are being processed, and their masks. Blocks are integers in the order of memory.
struct Batch<F: Field, N: ArraySize> {
    /// The first blocks of the pairs of the input.
    first: Aligned<Array<F, N>>,
    /// The second blocks of the pairs of the input, and later the first blocks of the output.
    second: Aligned<Array<F, N>>,
    calls: Aligned<Array<Array<u8, F::Size>, N>>,
    /// The masks of the pairs, and after them the mask of the next pair.
    masks: Aligned<Array<Array<F, N>, U2>>,
}

/// Pair `i` takes its mask in one round and three times its mask in the other. Three times the mask is the sum of it and the
/// mask of the next pair, which is twice as much.
#[inline(always)]
fn mask_of_round<F: Field>(masks: &[F], i: usize, is_times_3: bool) -> F {
    if is_times_3 { masks[i] ^ masks[i + 1] } else { masks[i] }
}

impl<F: Field, N: ArraySize> Batch<F, N> {
    #[inline(always)]
    fn new() -> Self {
        Self {
            first: Aligned::default(),
            second: Aligned::default(),
            calls: Aligned::default(),
            masks: Aligned::default(),
        }
    }

    /// Returns the masks of `n` pairs and the mask after them.
    #[inline(always)]
    fn masks(&mut self, n: usize) -> &mut [F] {
        &mut Array::slice_as_flattened_mut(&mut self.masks.0)[..=n]
    }

    /// Loads the input.
    #[inline(always)]
    fn load(&mut self, pairs: &[Pair<F::Size>]) {
        let n = pairs.len().min(N::USIZE);
        let (first, second) = (&mut self.first.0[..n], &mut self.second.0[..n]);
        for i in 0..n {
            first[i] = F::load(&pairs[i][0]);
            second[i] = F::load(&pairs[i][1]);
        }
    }

    /// Rounds `n` pairs up to whole vectors if there is room. The additional pairs are zeros. So no call has to wait for a vector that was
    /// stored in parts.
    #[inline(always)]
    fn whole_vectors(n: usize) -> usize {
        /// The number of 64-bit blocks in the longest vector.
        const LONGEST: usize = 8;
        let n = if N::USIZE % LONGEST == 0 { n.next_multiple_of(LONGEST) } else { n };
        // It is no more than there are, but the compiler does not see that.
        n.min(N::USIZE)
    }

    /// Prepares the calls of the first round of `n` pairs.
    #[inline(always)]
    fn first_round(&mut self, n: usize, direction: impl Direction) {
        let n = Self::whole_vectors(n);
        let masks = &Array::slice_as_flattened(&self.masks.0)[..=n];
        let (first, calls) = (&self.first.0[..n], &mut self.calls.0[..n]);
        for i in 0..n {
            calls[i] = (first[i] ^ mask_of_round(masks, i, !direction.encrypts())).store();
        }
    }

    /// Takes the results of the first round of `n` pairs and prepares the calls of the second round. Returns the sum of the second blocks of
    /// the input.
    #[inline(always)]
    fn second_round(&mut self, n: usize, direction: impl Direction) -> F {
        let n = Self::whole_vectors(n);
        let masks = &Array::slice_as_flattened(&self.masks.0)[..=n];
        let (second, calls) = (&mut self.second.0[..n], &mut self.calls.0[..n]);
        let mut sum = F::ZERO;
        for i in 0..n {
            sum ^= second[i];
            second[i] ^= F::load(&calls[i]);
            calls[i] = (second[i] ^ mask_of_round(masks, i, direction.encrypts())).store();
        }
        sum
    }

    /// Takes the results of the second round and writes the output. Returns the sum of the second blocks of the output.
    #[inline(always)]
    fn finish(&self, pairs: &mut [Pair<F::Size>]) -> F {
        let n = pairs.len().min(N::USIZE);
        let (first, second, calls) = (&self.first.0[..n], &self.second.0[..n], &self.calls.0[..n]);
        let mut sum = F::ZERO;
        // By itself: beside the stores the compiler makes it slower.
        for i in 0..n {
            sum ^= first[i] ^ F::load(&calls[i]);
        }
        for i in 0..n {
            let result = first[i] ^ F::load(&calls[i]);
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
    /// The masks from the next pair on.
    masks: Masks<FieldOf<B>>,
    /// The checksum of the pairs so far.
    checksum: FieldOf<B>,
    direction: D,
}

/// See [`message::process`](crate::message::process).
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
    let split = whole_pairs::<B>(message.len());
    let (pairs, last) = message.split_at(split);
    let (batches, pairs) = pairs.into_chunks().0.into_chunks().0.into_chunks::<B::ParBlocksSize>();
    let mut state = Message::new(backend, progress, direction);
    // Setting up the arrays takes time.
    if !batches.is_empty() {
        state.full_batches(batches);
    }
    if pairwise::suits::<B>() {
        pairwise::finish(backend, state.progress(), pairs, last, ta, nonces, direction)
    } else {
        state.last_batch(pairs, last, ta, nonces)
    }
}

/// See [`message::encrypt_pairs`](crate::message::encrypt_pairs).
#[inline(always)]
pub(crate) fn encrypt_pairs<B>(
    backend: &B,
    progress: &mut Progress<FieldOf<B>>,
    pairs: InOutBuf<'_, '_, Pair<B::BlockSize>>,
) where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let mut state = Message::new(backend, *progress, ENCRYPT);
    let (batches, pairs) = pairs.into_chunks::<B::ParBlocksSize>();
    if !batches.is_empty() {
        state.full_batches(batches);
    }
    if pairwise::suits::<B>() {
        *progress = state.progress();
        pairwise::process_pairs(backend, progress, pairs, ENCRYPT);
        return;
    }
    if B::ParBlocksSize::USIZE > Short::USIZE && pairs.len() <= Short::USIZE {
        state.encrypt_batch_of::<Short>(pairs);
    } else {
        state.encrypt_batch_of::<B::ParBlocksSize>(pairs);
    }
    *progress = state.progress();
}

/// See [`message::authenticate`](crate::message::authenticate).
#[inline(always)]
pub(crate) fn authenticate<B>(backend: &B, l: Element<FieldOf<B>>, data: &[u8]) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let (pairs, last) = data.split_at(whole_pairs::<B>(data.len()));
    let pairs = Array::slice_as_chunks(Array::slice_as_chunks(pairs).0).0;
    let (batches, pairs) = Array::<_, B::ParBlocksSize>::slice_as_chunks(pairs);
    let mut state = Message::new(backend, Progress::new(l), DECRYPT);
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
        (Ok(pairs), Ok(last)) => state.last_batch(pairs, last, Call::NONE, &mut Single),
        // This cannot happen: input and output have the same length.
        _ => Field::ZERO,
    }
}

impl<'a, B, D: Direction> Message<'a, B, D>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    #[inline(always)]
    fn new(backend: &'a B, progress: Progress<FieldOf<B>>, direction: D) -> Self {
        Self { backend, masks: Masks::new(progress.mask), checksum: progress.checksum, direction }
    }

    #[inline(always)]
    fn progress(&self) -> Progress<FieldOf<B>> {
        Progress { mask: { self.masks }.take(), checksum: self.checksum }
    }

    /// Whether the masks of full batches are computed in parallel.
    const MASKS_IN_PARALLEL: bool = B::ParBlocksSize::USIZE % IN_PARALLEL == 0;

    /// With [`Self::MASKS_IN_PARALLEL`], puts the masks of the first full batch into `batch` and returns the masks after them.
    #[inline(always)]
    fn start_batches(&self, batch: &mut Batch<FieldOf<B>, B::ParBlocksSize>) -> ParallelMasks<FieldOf<B>> {
        let mut masks_ahead = ParallelMasks::NONE;
        if Self::MASKS_IN_PARALLEL {
            masks_ahead = self.masks.in_parallel();
            masks_ahead.fill(batch.masks(B::ParBlocksSize::USIZE));
        }
        masks_ahead
    }

    /// Processes all full batches of a message.
    #[inline(always)]
    fn full_batches(&mut self, batches: InOutBuf<'_, '_, Array<Pair<B::BlockSize>, B::ParBlocksSize>>) {
        let batch = &mut Batch::new();
        let masks_ahead = &mut self.start_batches(batch);
        for pairs in batches {
            self.full_batch(batch, masks_ahead, pairs);
        }
    }

    /// Processes as many pairs as the backend is wide. With [`Self::MASKS_IN_PARALLEL`], `batch` holds their masks at the start and the masks
    /// of the next batch at the end. `masks_ahead` are the masks after those.
    #[inline(always)]
    fn full_batch(
        &mut self,
        batch: &mut Batch<FieldOf<B>, B::ParBlocksSize>,
        masks_ahead: &mut ParallelMasks<FieldOf<B>>,
        mut pairs: InOut<'_, '_, Array<Pair<B::BlockSize>, B::ParBlocksSize>>,
    ) {
        if !Self::MASKS_IN_PARALLEL {
            self.masks.fill(batch.masks(B::ParBlocksSize::USIZE));
        }
        batch.load(pairs.get_in());
        batch.first_round(B::ParBlocksSize::USIZE, self.direction);
        self.backend.encrypt_par_blocks_inplace(&mut batch.calls.0);
        let input_sum = batch.second_round(B::ParBlocksSize::USIZE, self.direction);
        if Self::MASKS_IN_PARALLEL {
            self.masks = masks_ahead.masks();
            // This is done here already, so that the CPU can do it during the second round.
            masks_ahead.fill(batch.masks(B::ParBlocksSize::USIZE));
        }
        self.backend.encrypt_par_blocks_inplace(&mut batch.calls.0);
        let output_sum = batch.finish(pairs.get_out());
        self.checksum ^= if self.direction.encrypts() { input_sum } else { output_sum };
    }

    /// Encrypts up to `N` pairs that are not the end of a message.
    #[inline(always)]
    fn encrypt_batch_of<N: ArraySize>(&mut self, mut pairs: InOutBuf<'_, '_, Pair<B::BlockSize>>) {
        let count = pairs.len().min(N::USIZE);
        let batch = &mut Batch::<FieldOf<B>, N>::new();
        batch.load(pairs.get_in());
        self.masks.fill(batch.masks(count));
        batch.first_round(count, self.direction);
        encipher_first(self.backend, &mut batch.calls.0, count);
        self.checksum ^= batch.second_round(count, self.direction);
        encipher_first(self.backend, &mut batch.calls.0, count);
        batch.finish(pairs.get_out());
    }

    /// Processes fewer pairs than the backend is wide, the last chunk, and the checksum.
    #[inline(always)]
    fn last_batch(
        self,
        pairs: InOutBuf<'_, '_, Pair<B::BlockSize>>,
        last: InOutBuf<'_, '_, u8>,
        ta: Call<FieldOf<B>>,
        nonces: &mut impl Nonces<FieldOf<B>>,
    ) -> FieldOf<B> {
        // The other calls are those of the last chunk, the checksum, TA and the next nonce block.
        let calls = pairs.len() + 4;
        if B::ParBlocksSize::USIZE > Short::USIZE && calls <= Short::USIZE {
            self.last_batch_of::<Short>(pairs, last, ta, nonces)
        } else if B::ParBlocksSize::USIZE > Medium::USIZE && calls <= Medium::USIZE {
            self.last_batch_of::<Medium>(pairs, last, ta, nonces)
        } else {
            self.last_batch_of::<B::ParBlocksSize>(pairs, last, ta, nonces)
        }
    }

    /// Does what [`Message::last_batch`] says, with up to `N` calls.
    #[inline(always)]
    fn last_batch_of<N: ArraySize>(
        self,
        mut pairs: InOutBuf<'_, '_, Pair<B::BlockSize>>,
        last: InOutBuf<'_, '_, u8>,
        ta: Call<FieldOf<B>>,
        nonces: &mut impl Nonces<FieldOf<B>>,
    ) -> FieldOf<B> {
        let Self { backend, masks, mut checksum, direction } = self;
        // They are fewer than `N`, but the compiler does not see that.
        let count = pairs.len().min(N::USIZE - 1);
        let batch = &mut Batch::<FieldOf<B>, N>::new();
        batch.load(pairs.get_in());
        if N::USIZE > Medium::USIZE && N::USIZE % IN_PARALLEL == 0 {
            masks.in_parallel().fill(batch.masks((count + 1).next_multiple_of(IN_PARALLEL)));
        } else {
            { masks }.fill(batch.masks(count));
        }
        batch.first_round(count, direction);

        let chunk = LastChunk::new(batch.masks(count)[count].swap(), last.len());
        let head_len = last.len().min(B::BlockSize::USIZE);
        let (mut head, mut tail) = last.split_at(head_len);
        let mut tag = TagCalls::new(ta, nonces);
        if direction.encrypts() {
            if count == 0 && !chunk.is_long {
                // No second round: the checksum has nothing to wait for. An empty message needs no other call.
                batch.calls.0[0] = chunk.mask.store();
                tag.set_checksum(checksum ^ pad(head.get_in()) ^ chunk.checksum_mask);
                let used = usize::from(!head.is_empty());
                encipher_with(backend, &mut batch.calls.0, used, tag.calls(N::USIZE - used));
                xor_bytes(&mut head, FieldOf::<B>::load(&batch.calls.0[0]));
                return tag.sum(nonces);
            }
            batch.calls.0[count] =
                if chunk.is_long { chunk.mask ^ pad(head.get_in()) } else { chunk.mask }.store();
            encipher_first(backend, &mut batch.calls.0, count + 1);
            let output = FieldOf::<B>::load(&batch.calls.0[count]);
            checksum ^= batch.second_round(count, direction);
            if chunk.is_long {
                xor_bytes(&mut tail, output);
                let c2 = pad(tail.get_out());
                checksum ^= output ^ c2;
                batch.calls.0[count] = (chunk.mask_times_3 ^ c2).store();
            } else {
                checksum ^= pad(head.get_in());
                xor_bytes(&mut head, output);
            }
            tag.set_checksum(checksum ^ chunk.checksum_mask);
            let used = count + usize::from(chunk.is_long);
            encipher_with(backend, &mut batch.calls.0, used, tag.calls(N::USIZE.saturating_sub(used)));
            if chunk.is_long {
                xor_bytes(&mut head, FieldOf::<B>::load(&batch.calls.0[count]));
            }
            batch.finish(pairs.get_out());
        } else {
            batch.calls.0[count] =
                if chunk.is_long { chunk.mask_times_3 ^ pad(tail.get_in()) } else { chunk.mask }.store();
            encipher_first(backend, &mut batch.calls.0, count + usize::from(!head.is_empty()));
            xor_bytes(&mut head, FieldOf::<B>::load(&batch.calls.0[count]));
            let m1 = pad(head.get_out());
            batch.second_round(count, direction);
            if chunk.is_long {
                batch.calls.0[count] = (chunk.mask ^ m1).store();
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
            // In decryption, unlike encryption, the checksum has to wait for the second round.
            tag.set_checksum(checksum ^ chunk.checksum_mask);
            encipher_with(backend, &mut batch.calls.0, 0, tag.calls(N::USIZE));
        }
        tag.sum(nonces)
    }
}

/// The last chunk of a message. Its rules are in [`rules`](crate::rules).
struct LastChunk<F> {
    /// Whether it has more than one block.
    is_long: bool,
    /// L. This and the other masks here are in the order of memory.
    mask: F,
    /// 3L.
    mask_times_3: F,
    checksum_mask: F,
}

impl<F: Field> LastChunk<F> {
    /// Makes it from L and the length in bytes.
    #[inline(always)]
    fn new(l: Element<F>, len: usize) -> Self {
        Self {
            is_long: len > F::Size::USIZE,
            mask: l.swap(),
            mask_times_3: times_3(l).swap(),
            checksum_mask: checksum_mask(l, len),
        }
    }
}

/// The calls whose outputs make the tag, and the call of the next nonce block.
struct TagCalls<F> {
    ta: Call<F>,
    calls: [F; 3],
    count: usize,
    /// Whether the last call is the nonce block of the next message.
    has_next: bool,
}

impl<F: Field> TagCalls<F> {
    #[inline(always)]
    fn new(ta: Call<F>, nonces: &mut impl Nonces<F>) -> Self {
        let next = nonces.pending();
        let mut calls = Self { ta, calls: [F::ZERO; 3], count: 1, has_next: next.is_some() };
        for call in [Some(ta).filter(|ta| ta.is_pending), next.copied()].into_iter().flatten() {
            calls.calls[calls.count] = call.block;
            calls.count += 1;
        }
        calls
    }

    #[inline(always)]
    fn set_checksum(&mut self, masked_checksum: F) {
        self.calls[0] = masked_checksum;
    }

    /// Returns the calls for a call of the cipher that has `room` for so many. The next nonce block is left out if it alone would need
    /// another call of the cipher.
    #[inline(always)]
    fn calls(&mut self, room: usize) -> &mut [F] {
        if self.has_next && room + 1 == self.count {
            self.count = room;
        }
        self.calls.get_mut(..self.count).unwrap_or_default()
    }

    /// Returns the tag. The output of the next nonce block goes to `nonces`.
    #[inline(always)]
    fn sum(&self, nonces: &mut impl Nonces<F>) -> F {
        let [te, outputs @ ..] = &self.calls;
        let mut outputs = outputs.iter().take(self.count - 1);
        let ta = if self.ta.is_pending { outputs.next().copied().unwrap_or_default() } else { self.ta.block };
        if let (Some(next), Some(output)) = (nonces.pending(), outputs.next()) {
            *next = Call::known(*output);
        }
        *te ^ ta
    }
}

/// Processes associated data as [`Parallel`](crate::Parallel) says.
#[inline(always)]
pub(crate) fn parallel<B>(
    backend: &B,
    q: FieldOf<B>,
    format: FieldOf<B>,
    output: Option<FieldOf<B>>,
    data: &[u8],
) -> MaskAndTa<FieldOf<B>>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let is_short = B::ParBlocksSize::USIZE > Short::USIZE && data.len() < Short::USIZE * B::BlockSize::USIZE;
    if pairwise::suits::<B>() && is_short {
        pairwise::parallel(backend, q, format, output, data)
    } else if is_short {
        parallel_in_batches::<B, Short>(backend, q, format, output, data)
    } else {
        parallel_in_batches::<B, B::ParBlocksSize>(backend, q, format, output, data)
    }
}

/// Does what [`parallel`] says, in batches of `N` calls.
#[inline(always)]
fn parallel_in_batches<B, N: ArraySize>(
    backend: &B,
    q: FieldOf<B>,
    format: FieldOf<B>,
    output: Option<FieldOf<B>>,
    data: &[u8],
) -> MaskAndTa<FieldOf<B>>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    // If the nonce block was not encrypted ahead, it shares the first call with the first blocks.
    let Aligned(batch) = &mut Aligned::<Array<Block<B>, N>>::default();
    let nonces = usize::from(output.is_none());
    batch[0] = format.store();
    let l = |batch: &[Block<B>]| output.unwrap_or_else(|| Field::load(&batch[0])).swap();
    let Some((blocks, last)) = split_last::<FieldOf<B>>(data) else {
        encipher_first(backend, batch, nonces);
        return MaskAndTa { l: l(batch), ta: Call::NONE };
    };

    let mut masks = Masks::new(q.swap());
    let mut sum = pad::<FieldOf<B>>(last);
    if blocks.is_empty() {
        sum ^= last_mask(masks.take(), last.len());
        // It shares a call with the message, because nothing else has to be encrypted before the message.
        if output.is_some() {
            return MaskAndTa { l: l(batch), ta: Call::pending(sum) };
        }
        let mut ta = [sum];
        encipher_with(backend, batch, 1, &mut ta);
        return MaskAndTa { l: l(batch), ta: Call::known(ta[0]) };
    }

    let (first, rest) = blocks.split_at(blocks.len().min(N::USIZE - nonces));
    absorb(backend, &mut batch[..nonces + first.len()], first, &mut masks, &mut sum);
    let l = l(batch);
    for blocks in rest.chunks(N::USIZE) {
        absorb(backend, &mut batch[..blocks.len()], blocks, &mut masks, &mut sum);
    }
    MaskAndTa { l, ta: Call::pending(sum ^ last_mask(masks.take(), last.len())) }
}

/// Adds the outputs for `blocks` to `sum`. `calls` may have one more call, which comes first and is not added.
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
