//! The narrow form of the mode, for backends of up to four blocks at once: in little code and stack, for small devices.
//!
//! Which way a message goes is a value. The last chunk goes through the same code as the pairs: see [`Message::end`]. No array is
//! set to zero, since that would take a `memset`, and bytes are read and written one by one where they do not fill a block.

use aead::{
    array::{
        Array,
        typenum::{U4, Unsigned},
    },
    inout::InOutBuf,
};
use cipher::{BlockCipherEncBackend, BlockSizeUser};

use crate::{
    field::{BlockSize, Field},
    masks::Masks,
    rules::{
        Call, Contribution, FieldOf, Nonces, Pair, Progress, Single, checksum_mask, encipher, last_mask,
        whole_pairs,
    },
};

/// Blocks of a call, at most.
pub(crate) const WIDTH: usize = 4;

/// The blocks of a call, in words: so kernels load them, and so does this code where the cores load no words from other addresses.
struct Calls<F: Field>([F::Words; WIDTH]);

impl<F: Field> Calls<F> {
    fn new(block: F) -> Self {
        Self([block.to_words(); WIDTH])
    }

    // Here and in `get`, `place` is less than `WIDTH`, which the compiler does not see.
    #[inline(always)]
    fn set(&mut self, place: usize, block: F) {
        self.0[place % WIDTH] = block.to_words();
    }

    #[inline(always)]
    fn get(&self, place: usize) -> F {
        F::from_words(self.0[place % WIDTH])
    }

    /// Encrypts the first `count` blocks, and others with them that nobody reads where that costs nothing: a backend of
    /// four blocks takes as long for one.
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

/// `bytes`, at most a block, padded with a one bit and zeros if they do not fill it.
#[inline(never)]
fn pad<F: Field>(bytes: &[u8]) -> F {
    F::pad_bytewise(bytes)
}

/// Stores the first bytes of `block`, at most all.
#[inline(never)]
fn store_start<F: Field>(block: F, bytes: &mut [u8]) {
    block.store_start_bytewise(bytes);
}

/// The last block of associated data, as [`Parallel`](crate::Parallel) adds it.
#[inline(never)]
fn last_call<F: Field>(last: &[u8], mask: F) -> F {
    pad::<F>(last) ^ last_mask(mask, last.len())
}

/// The associated data of [`Parallel`](crate::Parallel).
#[inline]
pub(crate) fn parallel<B>(
    backend: &B,
    q: FieldOf<B>,
    format: FieldOf<B>,
    output: Option<FieldOf<B>>,
    data: &[u8],
) -> Contribution<FieldOf<B>>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let mut masks = Masks::new(q.swap());
    // All blocks but the last.
    let whole = data.len().saturating_sub(1) / B::BlockSize::USIZE * B::BlockSize::USIZE;
    let (blocks, last) = data.split_at(whole.min(data.len()));
    let mut blocks = Array::slice_as_chunks(blocks).0;
    // The only block has nothing to wait for.
    let is_single = blocks.is_empty();
    let mut sum = FieldOf::<B>::ZERO;
    if is_single && !data.is_empty() {
        sum = last_call(last, masks.take());
    }
    let mut ta = Call { block: sum, is_pending: !data.is_empty() };
    if let (true, Some(output)) = (is_single, output) {
        return Contribution { l: output.swap(), ta };
    }
    let mut calls = Calls::new(sum);
    let l = loop {
        for (call, block) in calls.0.iter_mut().zip(blocks) {
            *call = (FieldOf::<B>::load(block) ^ masks.take().swap()).to_words();
        }
        // The nonce block comes behind them, in the first call with room.
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
    Contribution { l: l.swap(), ta }
}

/// Loads the two blocks of a pair: in words, if they lie so.
#[inline(always)]
fn load_pair<F: Field>(pair: &Pair<F::Size>) -> [F; 2] {
    if cfg!(not(otr_unaligned_words)) {
        if let Ok(words) = bytemuck::try_from_bytes::<[F::Words; 2]>(Array::slice_as_flattened(pair)) {
            return words.map(F::from_words);
        }
        return [load_bytewise(&pair[0]), load_bytewise(&pair[1])];
    }
    [F::load(&pair[0]), F::load(&pair[1])]
}

/// From any address. Where the compiler knew which, it would find that the same is loaded either way, and load bytes.
#[inline(never)]
fn load_bytewise<F: Field>(block: &Array<u8, F::Size>) -> F {
    F::load(core::hint::black_box(block))
}

/// The inverse of [`load_pair`].
#[inline(always)]
fn store_pair<F: Field>(pair: &mut Pair<F::Size>, blocks: [F; 2]) {
    if cfg!(not(otr_unaligned_words)) {
        let bytes = Array::slice_as_flattened_mut(pair);
        if let Ok(words) = bytemuck::try_from_bytes_mut::<[F::Words; 2]>(bytes) {
            *words = blocks.map(F::to_words);
            return;
        }
    }
    let [first, second] = blocks;
    *pair = Array([first.store(), second.store()]);
}

/// A pair on its way, in the order of memory.
#[derive(Clone, Copy)]
struct PairState<F> {
    halves: [F; 2],
    /// What is added in the second round.
    second_mask: F,
}

/// A message, or associated data as one, of which some pairs have been processed.
struct Message<'a, B: BlockCipherEncBackend, X>
where
    B::BlockSize: BlockSize,
{
    backend: &'a B,
    encrypts: bool,
    /// The mask of the next pair, as an element.
    mask: FieldOf<B>,
    /// Of the pairs so far.
    checksum: FieldOf<B>,
    ta: Call<FieldOf<B>>,
    nonces: &'a mut X,
    calls: &'a mut Calls<FieldOf<B>>,
    /// The pairs of a batch.
    batch: &'a mut [PairState<FieldOf<B>>; WIDTH],
}

impl<B, X> Message<'_, B, X>
where
    B: BlockCipherEncBackend,
    X: Nonces<FieldOf<B>>,
    B::BlockSize: BlockSize,
{
    /// Takes the input of pairs, and prepares the first round of the first `count` of the batch.
    #[inline(never)]
    fn begin(&mut self, pairs: &[Pair<B::BlockSize>], count: usize) {
        let mut sum = FieldOf::<B>::ZERO;
        for (pair, state) in pairs.iter().zip(&mut *self.batch) {
            state.halves = load_pair(pair);
            sum ^= state.halves[1];
        }
        if self.encrypts {
            self.checksum ^= sum;
        }
        let Self { encrypts, mut mask, .. } = *self;
        for (state, call) in self.batch.iter_mut().zip(&mut self.calls.0).take(count) {
            let next = mask.double();
            if !encrypts {
                mask ^= next;
            }
            *call = (state.halves[0] ^ mask.swap()).to_words();
            state.second_mask = (mask ^ next).swap();
            mask = next;
        }
        self.mask = mask;
    }

    /// Encrypts the first `used` calls, and what is beside them as far as there is room.
    #[inline(never)]
    fn call(&mut self, used: usize) {
        let mut end = used;
        if self.ta.is_pending && end < WIDTH {
            self.calls.set(end, self.ta.block);
            end += 1;
        }
        if let Some(next) = self.nonces.pending().filter(|_| end < WIDTH) {
            self.calls.set(end, next.block);
            end += 1;
        }
        self.calls.encrypt(self.backend, end);
        end = used;
        if self.ta.is_pending && end < WIDTH {
            self.ta = Call::known(self.calls.get(end));
            end += 1;
        }
        if let Some(next) = self.nonces.pending().filter(|_| end < WIDTH) {
            *next = Call::known(self.calls.get(end));
        }
    }

    /// Takes the results of the first round, and prepares the second one, of the first `count` pairs.
    #[inline(never)]
    fn middle(&mut self, count: usize) {
        for (state, call) in self.batch.iter_mut().zip(&mut self.calls.0).take(count) {
            let [_, second] = &mut state.halves;
            *second ^= Field::from_words(*call);
            *call = (*second ^ state.second_mask).to_words();
        }
    }

    /// Takes the results of the second round and puts out the pairs.
    #[inline(never)]
    fn finish(&mut self, pairs: &mut [Pair<B::BlockSize>]) {
        let mut sum = FieldOf::<B>::ZERO;
        for ((pair, state), call) in pairs.iter_mut().zip(&*self.batch).zip(&self.calls.0) {
            let [first, second] = state.halves;
            let result = first ^ Field::from_words(*call);
            store_pair(pair, [second, result]);
            sum ^= result;
        }
        if !self.encrypts {
            self.checksum ^= sum;
        }
    }

    /// Up to four pairs that are not the end of a message.
    fn pairs(&mut self, mut pairs: InOutBuf<'_, '_, Pair<B::BlockSize>>) {
        let count = pairs.len();
        self.begin(pairs.get_in(), count);
        self.calls.encrypt(self.backend, count);
        self.middle(count);
        self.calls.encrypt(self.backend, count);
        self.finish(pairs.get_out());
    }

    /// The end of a message, of up to four pairs, where the last one may be a part. Returns the tag.
    fn end(&mut self, end: InOutBuf<'_, '_, u8>) -> FieldOf<B> {
        // An empty message is the same in both directions.
        self.encrypts |= end.is_empty();
        let whole = whole_pairs::<B>(end.len());
        let (pairs, last) = end.split_at(whole);
        let mut pairs = pairs.into_chunks().0.into_chunks().0;
        let count = pairs.len().min(WIDTH - 1);
        // The last chunk as a pair: the result of the first round goes to the near half, that of the second to the far one. When
        // encrypting more than a block, they come in the other order. If it is but one block, that is near, the first round has
        // no input but L, and there is no second one.
        let len = last.len();
        let is_long = len > B::BlockSize::USIZE;
        let (mut near, mut far) = last.split_at(len.min(B::BlockSize::USIZE));
        if self.encrypts && is_long {
            (near, far) = (far, near);
        }
        let near_input = pad(near.get_in());
        self.batch[count].halves = [pad(far.get_in()), near_input];
        self.begin(pairs.get_in(), count + 1);
        let mut l = self.batch[count].second_mask.swap();
        if self.encrypts {
            self.checksum ^= near_input;
            // It is 3L then, and the mask behind it 2L.
            l ^= self.mask;
        }
        if !is_long {
            self.calls.set(count, l.swap());
        }
        self.checksum ^= checksum_mask(l, len);

        let seconds = count + usize::from(is_long);
        // Without a second round the checksum has nothing to wait for.
        let is_alone = self.encrypts && seconds == 0;
        // Where the checksum is, in the call that it is in.
        let mut place = 1;
        if is_alone {
            self.calls.set(place, self.checksum);
        }
        self.call(count + 1 + usize::from(is_alone));
        self.middle(count + 1);
        let [_, near_result] = self.batch[count].halves;
        store_start(near_result, near.get_out());
        if !is_alone {
            let near_output = pad(near.get_out());
            let cut = near_result ^ near_output;
            if is_long {
                // Nothing when decrypting: there the near half is a whole block.
                self.calls.set(count, self.calls.get(count) ^ cut);
                self.checksum ^= cut;
            } else if !self.encrypts {
                self.checksum ^= near_output;
            }
            let joins = self.encrypts && seconds + usize::from(self.ta.is_pending) < WIDTH;
            if joins {
                place = seconds;
                self.calls.set(place, self.checksum);
            }
            if seconds > 0 {
                self.call(seconds + usize::from(joins));
            }
            if is_long {
                let far_result = self.batch[count].halves[0] ^ self.calls.get(count);
                store_start(far_result, far.get_out());
                if !self.encrypts {
                    self.checksum ^= far_result;
                }
            }
            self.finish(pairs.get_out());
            if !joins {
                place = 0;
                self.calls.set(place, self.checksum);
                self.call(1);
            }
        }
        self.calls.get(place) ^ self.ta.block
    }
}

/// As [`message::process`](crate::message::process) has it.
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
    let Progress { mask, checksum } = progress;
    let calls = &mut Calls::new(mask);
    let batch = &mut [PairState { halves: [mask, mask], second_mask: mask }; WIDTH];
    let mut state = Message { backend, encrypts, mask, checksum, ta, nonces, calls, batch };
    let batch = batch_size::<B>();
    while message.len() > batch {
        let (first, rest) = message.split_at(batch);
        state.pairs(first.into_chunks().0.into_chunks().0);
        message = rest;
    }
    state.end(message)
}

/// As [`message::encrypt_pairs`](crate::message::encrypt_pairs) has it.
pub(crate) fn encrypt_pairs<B>(
    backend: &B,
    progress: &mut Progress<FieldOf<B>>,
    mut pairs: InOutBuf<'_, '_, Pair<B::BlockSize>>,
) where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let Progress { mask, checksum } = *progress;
    let calls = &mut Calls::new(mask);
    let batch = &mut [PairState { halves: [mask, mask], second_mask: mask }; WIDTH];
    let mut state = Message {
        backend,
        encrypts: true,
        mask,
        checksum,
        ta: Call::NONE,
        nonces: &mut Single,
        calls,
        batch,
    };
    while !pairs.is_empty() {
        let next = pairs.len().min(WIDTH);
        let (first, rest) = pairs.split_at(next);
        state.pairs(first);
        pairs = rest;
    }
    *progress = Progress { mask: state.mask, checksum: state.checksum };
}

/// As [`message::authenticate`](crate::message::authenticate) has it.
pub(crate) fn authenticate<B>(backend: &B, l: FieldOf<B>, data: &[u8]) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let calls = &mut Calls::new(l);
    let batch = &mut [PairState { halves: [l, l], second_mask: l }; WIDTH];
    let mut state = Message {
        backend,
        encrypts: false,
        mask: l,
        checksum: Field::ZERO,
        ta: Call::NONE,
        nonces: &mut Single,
        calls,
        batch,
    };
    let mut plaintext = Array::<_, U4>::default();
    let plaintext: &mut [Pair<B::BlockSize>] = &mut plaintext;
    let plaintext = Array::slice_as_flattened_mut(Array::slice_as_flattened_mut(plaintext));
    // Never more than there is, which the compiler does not see.
    let whole = (data.len().saturating_sub(1) / plaintext.len() * plaintext.len()).min(data.len());
    let (batches, end) = data.split_at(whole);
    for batch in batches.chunks_exact(plaintext.len()) {
        if let Ok(batch) = InOutBuf::new(batch, plaintext) {
            state.pairs(batch.into_chunks().0.into_chunks().0);
        }
    }
    let plaintext = plaintext.get_mut(..end.len()).unwrap_or_default();
    InOutBuf::new(end, plaintext).map_or(Field::ZERO, |end| state.end(end))
}

/// The bytes of a full batch.
fn batch_size<B: BlockSizeUser>() -> usize {
    WIDTH * 2 * B::BlockSize::USIZE
}
