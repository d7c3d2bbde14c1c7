//! The wide form of the mode, for backends of more than four blocks at once: many pairs of blocks in each call.
//!
//! The first-round calls of a batch of pairs go to the cipher at once, then their second-round calls. The last chunk of the
//! message takes part in the same calls, and so do the checksum and associated data where they can. Of AES only full batches come
//! here, and what is left goes to [`pairwise`].
//!
//! Everything is `inline(always)`, to be compiled with the target features of the cipher's backend.

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
    field::{BlockSize, Field},
    masks::{IN_PARALLEL, Masks, ParallelMasks, times_3},
    pairwise,
    rules::{
        Call, FieldOf, MaskAndTa, Nonces, Pair, Progress, Single, checksum_mask, encipher, encipher_first,
        last_mask, pad, split_last, whole_pairs,
    },
};

/// Calls that a short batch has room for, where the backend is wider: setting up a wide one would take most of the time.
type Short = U16;

/// The same for a batch that is not that short.
type Medium = U32;

/// On a cache line of its own where vectors are as long as that; elsewhere the stack would pay for nothing.
#[cfg_attr(target_feature = "sse2", repr(align(64)))]
#[derive(Default)]
struct Aligned<T>(T);

/// Encrypts the first `used` blocks of `batch`, and up to three more with them: in the same call as far as there is room.
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
    /// The masks of the pairs, and behind them that of the next one.
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

    /// The masks of `n` pairs and the one behind them.
    #[inline(always)]
    fn masks(&mut self, n: usize) -> &mut [F] {
        &mut Array::slice_as_flattened_mut(&mut self.masks.0)[..=n]
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
        let masks = &Array::slice_as_flattened(&self.masks.0)[..=n];
        let (first, calls) = (&self.first.0[..n], &mut self.calls.0[..n]);
        for i in 0..n {
            calls[i] = (first[i] ^ mask_of_round(masks, i, !direction.encrypts())).store();
        }
    }

    /// Takes the results of the first round of `n` pairs and prepares the calls of the second. Returns the sum of what came
    /// in as second blocks.
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
        let progress = &mut state.progress();
        pairwise::process_pairs(backend, progress, pairs, direction);
        pairwise::finish(backend, *progress, last, ta, nonces, direction)
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
pub(crate) fn authenticate<B>(backend: &B, l: FieldOf<B>, data: &[u8]) -> FieldOf<B>
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
        // They are of one length each.
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

    /// Whether full batches take masks that are computed side by side.
    const MASKS_IN_PARALLEL: bool = B::ParBlocksSize::USIZE % IN_PARALLEL == 0;

    /// With [`Self::MASKS_IN_PARALLEL`], puts the masks of the first full batch into `batch` and returns those behind them.
    #[inline(always)]
    fn start_batches(&self, batch: &mut Batch<FieldOf<B>, B::ParBlocksSize>) -> ParallelMasks<FieldOf<B>> {
        let mut masks_ahead = ParallelMasks::NONE;
        if Self::MASKS_IN_PARALLEL {
            masks_ahead = self.masks.in_parallel();
            masks_ahead.fill(batch.masks(B::ParBlocksSize::USIZE));
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

    /// As many pairs as the backend is wide. With [`Self::MASKS_IN_PARALLEL`], `batch` comes with their masks and leaves with
    /// those of the next ones, and `masks_ahead` are those behind these.
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
            // Already here, so that the CPU can do it beside the second round.
            masks_ahead.fill(batch.masks(B::ParBlocksSize::USIZE));
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
        self.masks.fill(batch.masks(count));
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
        ta: Call<FieldOf<B>>,
        nonces: &mut impl Nonces<FieldOf<B>>,
    ) -> FieldOf<B> {
        // The last chunk, the checksum and what is beside them take part.
        let calls = pairs.len() + 4;
        if B::ParBlocksSize::USIZE > Short::USIZE && calls <= Short::USIZE {
            self.last_batch_of::<Short>(pairs, last, ta, nonces)
        } else if B::ParBlocksSize::USIZE > Medium::USIZE && calls <= Medium::USIZE {
            self.last_batch_of::<Medium>(pairs, last, ta, nonces)
        } else {
            self.last_batch_of::<B::ParBlocksSize>(pairs, last, ta, nonces)
        }
    }

    /// [`Message::last_batch`], of up to `N` calls.
    #[inline(always)]
    fn last_batch_of<N: ArraySize>(
        self,
        mut pairs: InOutBuf<'_, '_, Pair<B::BlockSize>>,
        last: InOutBuf<'_, '_, u8>,
        ta: Call<FieldOf<B>>,
        nonces: &mut impl Nonces<FieldOf<B>>,
    ) -> FieldOf<B> {
        let Self { backend, masks, mut checksum, direction } = self;
        // Fewer than `N`, which the compiler does not see.
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
            // Unlike that of a message to encrypt, this checksum had to wait for the second round.
            tag.set_checksum(checksum ^ chunk.checksum_mask);
            encipher_with(backend, &mut batch.calls.0, 0, tag.calls(N::USIZE));
        }
        tag.sum(nonces)
    }
}

/// The last chunk of a message; its rules are in [`rules`](crate::rules).
struct LastChunk<F> {
    /// More than one block.
    is_long: bool,
    /// L, in the order of memory as the other masks here.
    mask: F,
    /// 3L.
    mask_times_3: F,
    checksum_mask: F,
}

impl<F: Field> LastChunk<F> {
    /// From the element L.
    #[inline(always)]
    fn new(l: F, len: usize) -> Self {
        Self {
            is_long: len > F::Size::USIZE,
            mask: l.swap(),
            mask_times_3: times_3(l).swap(),
            checksum_mask: checksum_mask(l, len),
        }
    }
}

/// The calls whose outputs make the tag, and what goes with them.
struct TagCalls<F> {
    ta: Call<F>,
    calls: [F; 3],
    count: usize,
    /// Whether the last one is the nonce block of the next message.
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

    /// For a call of the cipher with room for so many: the next nonce block is left out where it alone would need another one.
    #[inline(always)]
    fn calls(&mut self, room: usize) -> &mut [F] {
        if self.has_next && room + 1 == self.count {
            self.count = room;
        }
        self.calls.get_mut(..self.count).unwrap_or_default()
    }

    /// The tag; the other output goes to `nonces`.
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

/// The associated data of [`Parallel`](crate::Parallel).
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

/// [`parallel`], in batches of `N` calls.
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
    // The nonce block, if it was not encrypted ahead, shares the first call with whatever blocks there are.
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
        // With the message, if nothing else has to be encrypted before it.
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
