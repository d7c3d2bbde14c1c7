//! The narrow form of the mode, for backends of up to four blocks at once. It takes little code and little stack, for small devices.
//!
//! Messages are processed in place. The direction is a value. The last chunk shares calls with the pairs before it, see [`Message::end`].
//! No array is set to zero, because that would take a `memset`. Bytes that do not fill a block are read and written one by one.

use aead::{
    array::{
        Array,
        typenum::{U4, Unsigned},
    },
    inout::InOutBuf,
};
use cipher::{BlockCipherEncBackend, BlockSizeUser};

use crate::{
    field::{BlockSize, Element, Field},
    masks::Masks,
    rules::{
        Call, FieldOf, MaskAndTa, Nonces, Pair, Progress, Single, checksum_mask, encipher, last_mask,
        whole_pairs,
    },
};

/// The greatest number of blocks in a call.
pub(crate) const WIDTH: usize = 4;

/// The blocks of a call, in words. Kernels load blocks as words, and so does this code on cores that cannot load words from unaligned
/// addresses.
struct Blocks<F: Field>([F::Words; WIDTH]);

impl<F: Field> Blocks<F> {
    fn new(block: F) -> Self {
        let words = block.to_words();
        Self([words, words, words, words])
    }

    /// Sets the block in `place`, if this place exists.
    #[inline(always)]
    fn set(&mut self, place: usize, block: F) {
        if let Some(words) = self.0.get_mut(place) {
            *words = block.to_words();
        }
    }

    /// Returns the block in `place`, which is less than `WIDTH`, but the compiler does not see that.
    #[inline(always)]
    fn get(&self, place: usize) -> F {
        F::from_words(self.0[place % WIDTH])
    }

    /// Encrypts the first `count` blocks. A backend of four blocks takes as long for one, so it encrypts all four; nobody reads the others.
    #[inline(always)]
    fn encrypt<B: BlockCipherEncBackend<BlockSize = F::Size>>(&mut self, backend: &B, count: usize) {
        let blocks = Array::slice_as_chunks_mut(bytemuck::must_cast_slice_mut(&mut self.0)).0;
        if B::ParBlocksSize::USIZE == WIDTH && (cfg!(not(target_arch = "riscv32")) || count == WIDTH) {
            for batch in Array::slice_as_chunks_mut(blocks).0 {
                backend.encrypt_par_blocks_inplace(batch);
            }
        } else if let Some(blocks) = blocks.get_mut(..count) {
            encipher(backend, blocks);
        }
    }
}

/// Loads `bytes`, at most a block. If they do not fill it, they are padded with a one bit and zeros.
#[inline(never)]
fn pad<F: Field>(bytes: &[u8]) -> F {
    match <&Array<u8, F::Size>>::try_from(bytes) {
        Ok(block) => load(block),
        Err(_) => F::pad_bytewise(bytes),
    }
}

/// Stores the first bytes of `block`, or all of them.
#[inline(never)]
fn store_start<F: Field>(block: F, bytes: &mut [u8]) {
    match <&mut Array<u8, F::Size>>::try_from(&mut *bytes) {
        Ok(whole) => store(whole, block),
        Err(_) => block.store_start_bytewise(bytes),
    }
}

/// Returns the last block of associated data, padded and masked as [`Parallel`](crate::Parallel) adds it.
#[inline(never)]
fn last_call<F: Field>(last: &[u8], mask: Element<F>) -> F {
    pad::<F>(last) ^ last_mask(mask, last.len())
}

/// Processes associated data as [`Parallel`](crate::Parallel) says.
#[inline]
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
    let mut masks = Masks::new(q.swap());
    // All blocks except the last one.
    let whole = data.len().saturating_sub(1) / B::BlockSize::USIZE * B::BlockSize::USIZE;
    let (blocks, last) = data.split_at(whole.min(data.len()));
    let mut blocks = Array::slice_as_chunks(blocks).0;
    // A single block does not wait for other calls.
    let is_single = blocks.is_empty();
    let mut sum = FieldOf::<B>::ZERO;
    if is_single && !data.is_empty() {
        sum = last_call(last, masks.take());
    }
    let mut ta = Call { block: sum, is_pending: !data.is_empty() };
    if let (true, Some(output)) = (is_single, output) {
        return MaskAndTa { l: output.swap(), ta };
    }
    let mut calls = Blocks::new(sum);
    let l = loop {
        for (call, block) in calls.0.iter_mut().zip(blocks) {
            *call = (FieldOf::<B>::load(block) ^ masks.take().swap()).to_words();
        }
        // The nonce block follows them, in the first call that has room.
        let count = blocks.len();
        if count < WIDTH {
            calls.set(count, format);
        }
        calls.encrypt(backend, (count + 1 + usize::from(is_single && ta.is_pending)).min(WIDTH));
        for call in calls.0.iter().take(count) {
            sum ^= Field::from_words(*call);
        }
        match blocks.get(WIDTH..) {
            Some(rest) => blocks = rest,
            None => break calls.get(count),
        }
    };
    if !is_single {
        ta.block = sum ^ last_call(last, masks.take());
    } else if ta.is_pending {
        ta = Call::known(calls.get(1));
    }
    MaskAndTa { l: l.swap(), ta }
}

/// Loads a block, in words if it is aligned.
#[inline(always)]
fn load<F: Field>(block: &Array<u8, F::Size>) -> F {
    if cfg!(not(otr_unaligned_words)) {
        return match bytemuck::try_from_bytes::<F::Words>(block) {
            Ok(words) => F::from_words(*words),
            Err(_) => load_bytewise(block),
        };
    }
    F::load(block)
}

/// Loads a block from any address. If the compiler knew the address, it would find that both ways load the same, and load bytes in both.
#[inline(never)]
fn load_bytewise<F: Field>(block: &Array<u8, F::Size>) -> F {
    F::load(core::hint::black_box(block))
}

/// Is the inverse of [`load`].
#[inline(always)]
fn store<F: Field>(block: &mut Array<u8, F::Size>, value: F) {
    if cfg!(not(otr_unaligned_words)) {
        if let Ok(words) = bytemuck::try_from_bytes_mut::<F::Words>(block) {
            *words = value.to_words();
            return;
        }
    }
    *block = value.store();
}

/// A message, or associated data as one, of which some pairs have been processed.
struct Message<'a, B: BlockCipherEncBackend, X>
where
    B::BlockSize: BlockSize,
{
    backend: &'a B,
    encrypts: bool,
    /// The mask of the next pair.
    mask: Element<FieldOf<B>>,
    /// The checksum of the pairs so far.
    checksum: FieldOf<B>,
    ta: Call<FieldOf<B>>,
    nonces: &'a mut X,
    calls: Blocks<FieldOf<B>>,
    /// The masks of the second round of a batch, in the order of memory.
    second_masks: Blocks<FieldOf<B>>,
}

impl<'a, B, X> Message<'a, B, X>
where
    B: BlockCipherEncBackend,
    X: Nonces<FieldOf<B>>,
    B::BlockSize: BlockSize,
{
    #[inline(always)]
    fn new(
        backend: &'a B,
        progress: Progress<FieldOf<B>>,
        ta: Call<FieldOf<B>>,
        nonces: &'a mut X,
        encrypts: bool,
    ) -> Self {
        let Progress { mask, checksum } = progress;
        Self {
            backend,
            encrypts,
            mask,
            checksum,
            ta,
            nonces,
            calls: Blocks::new(mask.placeholder()),
            second_masks: Blocks::new(mask.placeholder()),
        }
    }

    /// Prepares the first round of up to four pairs.
    #[inline(never)]
    fn begin(&mut self, pairs: &[Pair<B::BlockSize>]) {
        let mut mask = self.mask;
        let encrypts = self.encrypts;
        for ((call, second), pair) in self.calls.0.iter_mut().zip(&mut self.second_masks.0).zip(pairs) {
            let doubled = mask.double();
            let first = if encrypts { mask } else { mask ^ doubled };
            *second = (first ^ doubled).swap().to_words();
            *call = (first.swap() ^ load::<FieldOf<B>>(&pair[0])).to_words();
            mask = doubled;
        }
        self.mask = mask;
    }

    /// Encrypts the first `used` calls. TA and the next nonce block follow them as far as there is room.
    #[inline(never)]
    fn call(&mut self, used: usize) {
        let behind = used + usize::from(self.ta.is_pending);
        let mut end = behind;
        // A value that is not pending may lie there too, because nobody reads it.
        self.calls.set(used, self.ta.block);
        if let Some(next) = self.nonces.next() {
            self.calls.set(behind, next.block);
            end += usize::from(next.is_pending);
        }
        self.calls.encrypt(self.backend, end.min(WIDTH));
        if self.ta.is_pending && used < WIDTH {
            self.ta = Call::known(self.calls.get(used));
        }
        if let Some(next) = self.nonces.pending().filter(|_| behind < WIDTH) {
            *next = Call::known(self.calls.get(behind));
        }
    }

    /// Takes the results of the first round of up to four pairs, and prepares the second round. Until the second round is done, the result of
    /// a pair's first half is in the place of its second half.
    #[inline(never)]
    fn middle(&mut self, pairs: &mut [Pair<B::BlockSize>]) {
        let mut sum = FieldOf::<B>::ZERO;
        for ((pair, call), mask) in pairs.iter_mut().zip(&mut self.calls.0).zip(&self.second_masks.0) {
            let half = load::<FieldOf<B>>(&pair[1]);
            sum ^= half;
            let result = half ^ Field::from_words(*call);
            store(&mut pair[1], result);
            *call = (result ^ Field::from_words(*mask)).to_words();
        }
        if self.encrypts {
            self.checksum ^= sum;
        }
    }

    /// Takes the results of the second round of up to four pairs, and writes the output.
    #[inline(never)]
    fn finish(&mut self, pairs: &mut [Pair<B::BlockSize>]) {
        for (pair, call) in pairs.iter_mut().zip(&self.calls.0) {
            let [first, second] = &mut pair.0;
            let result = load::<FieldOf<B>>(first) ^ Field::from_words(*call);
            store(first, load::<FieldOf<B>>(second));
            store(second, result);
        }
        // This is a loop of its own, because small cores have too few registers for one loop.
        if !self.encrypts {
            for pair in pairs {
                self.checksum ^= load(&pair[1]);
            }
        }
    }

    /// Processes up to four pairs that are not the end of a message.
    fn pairs(&mut self, pairs: &mut [Pair<B::BlockSize>]) {
        let count = pairs.len();
        self.begin(pairs);
        self.calls.encrypt(self.backend, count);
        self.middle(pairs);
        self.calls.encrypt(self.backend, count);
        self.finish(pairs);
    }

    /// Processes the end of a message, of up to four pairs, of which the last may be incomplete. Returns the tag.
    fn end(&mut self, end: &mut [u8]) -> FieldOf<B> {
        // An empty message is processed in the same way in both directions.
        self.encrypts |= end.is_empty();
        let encrypts = self.encrypts;
        let whole = whole_pairs::<B>(end.len());
        let (pairs, last) = end.split_at_mut(whole);
        let pairs = as_pairs(pairs);
        let count = pairs.len();
        // The last chunk is processed as a pair. The result of the first round goes to the near half, and that of the second round to the far
        // half. In the encryption of more than one block, the far half comes first. If the chunk has at most one block, this is the near half;
        // the input of the first round is L alone, and there is no second round.
        let len = last.len();
        let is_long = len > B::BlockSize::USIZE;
        let (mut near, mut far) = last.split_at_mut(len.min(B::BlockSize::USIZE));
        if encrypts && is_long {
            (near, far) = (far, near);
        }
        let near_input = pad::<FieldOf<B>>(near);
        let far_input = pad::<FieldOf<B>>(far);
        if count > 0 {
            self.begin(pairs);
        }
        let l = self.mask;
        let doubled = l.double();
        let first_mask = if encrypts { l } else { l ^ doubled };
        let second_mask = first_mask ^ doubled;
        self.calls.set(count, if is_long { far_input ^ first_mask.swap() } else { l.swap() });
        self.checksum ^= checksum_mask(l, len);
        if encrypts {
            self.checksum ^= near_input;
        }

        let seconds = count + usize::from(is_long);
        // Without a second round the checksum does not wait for another call.
        let is_alone = encrypts && seconds == 0;
        if is_alone {
            self.calls.set(1, self.checksum);
        }
        self.call(count + 1 + usize::from(is_alone));
        let near_result = near_input ^ self.calls.get(count);
        store_start(near_result, near);
        if is_alone {
            return self.calls.get(1) ^ self.ta.block;
        }
        let near_output =
            if near.len() == B::BlockSize::USIZE { near_result } else { pad::<FieldOf<B>>(near) };
        if is_long {
            self.calls.set(count, near_output ^ second_mask.swap());
            // This adds zero in decryption, where the near half is a whole block.
            self.checksum ^= near_result ^ near_output;
        } else if !encrypts {
            self.checksum ^= near_output;
        }
        if count > 0 {
            self.middle(pairs);
        }
        let joins = encrypts && seconds + usize::from(self.ta.is_pending) < WIDTH;
        if joins {
            self.calls.set(seconds, self.checksum);
        }
        if seconds > 0 {
            self.call(seconds + usize::from(joins));
        }
        if is_long {
            let far_result = far_input ^ self.calls.get(count);
            store_start(far_result, far);
            if !encrypts {
                self.checksum ^= far_result;
            }
        }
        if count > 0 {
            self.finish(pairs);
        }
        if joins {
            return self.calls.get(seconds) ^ self.ta.block;
        }
        self.calls.set(0, self.checksum);
        self.call(1);
        self.calls.get(0) ^ self.ta.block
    }
}

/// Does what [`message::process`](crate::message::process) says.
#[inline]
pub(crate) fn process<B, X: Nonces<FieldOf<B>>>(
    backend: &B,
    progress: Progress<FieldOf<B>>,
    mut message: InOutBuf<'_, '_, u8>,
    ta: Call<FieldOf<B>>,
    nonces: &mut X,
    encrypts: bool,
) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let mut state = Message::new(backend, progress, ta, nonces, encrypts);
    let mut message = in_place(&mut message);
    while message.len() > batch_size::<B>() {
        let (batch, rest) = message.split_at_mut(batch_size::<B>());
        state.pairs(as_pairs(batch));
        message = rest;
    }
    state.end(message)
}

/// Does what [`message::encrypt_pairs`](crate::message::encrypt_pairs) says.
pub(crate) fn encrypt_pairs<B>(
    backend: &B,
    progress: &mut Progress<FieldOf<B>>,
    mut pairs: InOutBuf<'_, '_, Pair<B::BlockSize>>,
) where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let nonces = &mut Single;
    let mut state = Message::new(backend, *progress, Call::NONE, nonces, true);
    for batch in in_place(&mut pairs).chunks_mut(WIDTH) {
        state.pairs(batch);
    }
    *progress = Progress { mask: state.mask, checksum: state.checksum };
}

/// Does what [`message::authenticate`](crate::message::authenticate) says.
pub(crate) fn authenticate<B>(backend: &B, l: Element<FieldOf<B>>, data: &[u8]) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let nonces = &mut Single;
    let mut state = Message::new(backend, Progress::new(l), Call::NONE, nonces, false);
    let mut copy = Array::<_, U4>::default();
    let copy: &mut [Pair<B::BlockSize>] = &mut copy;
    let copy = Array::slice_as_flattened_mut(Array::slice_as_flattened_mut(copy));
    let mut batches = data.chunks(copy.len());
    let mut batch = batches.next().unwrap_or_default();
    for next in batches {
        if let Ok(mut batch) = InOutBuf::new(batch, copy) {
            state.pairs(as_pairs(in_place(&mut batch)));
        }
        batch = next;
    }
    // It is never more than there is, but the compiler does not see that.
    let copy = copy.get_mut(..batch.len()).unwrap_or_default();
    InOutBuf::new(batch, copy).map_or(Field::ZERO, |mut end| state.end(in_place(&mut end)))
}

/// Returns the output of `buffer`, into which the input is copied if it is elsewhere.
#[inline(always)]
fn in_place<'a, T: Clone>(buffer: &'a mut InOutBuf<'_, '_, T>) -> &'a mut [T] {
    let input = buffer.get_in().as_ptr();
    if input != buffer.get_out().as_ptr() {
        copy(buffer.reborrow());
    }
    buffer.get_out()
}

#[inline(never)]
fn copy<T: Clone>(buffer: InOutBuf<'_, '_, T>) {
    for mut element in buffer {
        // Otherwise the compiler would call `memcpy`, which would be linked for this alone.
        *element.get_out() = core::hint::black_box(element.get_in().clone());
    }
}

/// Returns the pairs of `bytes`, which has no other bytes.
#[inline(always)]
fn as_pairs<S: BlockSize>(bytes: &mut [u8]) -> &mut [Pair<S>] {
    Array::slice_as_chunks_mut(Array::slice_as_chunks_mut(bytes).0).0
}

/// Returns the length of a full batch in bytes.
fn batch_size<B: BlockSizeUser>() -> usize {
    WIDTH * 2 * B::BlockSize::USIZE
}
