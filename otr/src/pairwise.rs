//! The pairwise form of the mode, for ciphers that a core has instructions for: one block in each call.
//!
//! Such a call takes few instructions that wait for each other. Meanwhile the core starts those of the next pairs, and everything stays in
//! registers: nothing is copied to the arrays of a batch and back. Such copies only pay for as many pairs as a full batch has.
//!
//! Everything is `inline(always)`, to be compiled with the target features of the cipher's backend.

use aead::{
    array::{
        Array,
        typenum::{U16, Unsigned},
    },
    inout::InOutBuf,
};
use cipher::BlockCipherEncBackend;

use crate::{
    direction::Direction,
    field::{BlockSize, Element, Field},
    masks::{Masks, times_3},
    rules::{Call, FieldOf, MaskAndTa, Nonces, Pair, Progress, checksum_mask, last_mask, pad, split_last},
};

/// Returns whether messages shorter than a batch take this form. Ciphers with 128-bit blocks that have instructions are AES, and the backends of
/// AES encrypt fewer blocks than a batch one by one in any case.
pub(crate) const fn suits<B: BlockCipherEncBackend>() -> bool {
    B::BlockSize::USIZE == U16::USIZE
}

#[inline(always)]
fn encrypt<B>(backend: &B, input: FieldOf<B>) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let mut block = input.store();
    backend.encrypt_block_inplace(&mut block);
    Field::load(&block)
}

/// The number of pairs between a pair's first round and its second. So the core finds blocks to start with among its next instructions, and
/// not only instructions that wait.
const DELAY: usize = 8;

/// A pair between the rounds.
#[derive(Clone, Copy, Default)]
struct Waiting<F> {
    first: F,
    near: F,
    second_mask: F,
}

/// Pairs of which the last ones still wait for their second round.
struct Started<'a, 'b, B: BlockCipherEncBackend>
where
    B::BlockSize: BlockSize,
{
    pairs: InOutBuf<'a, 'b, Pair<B::BlockSize>>,
    waiting: [Waiting<FieldOf<B>>; DELAY],
    /// The mask of the pair after these.
    mask: Element<FieldOf<B>>,
    /// The sum that they add to the checksum so far.
    sum: FieldOf<B>,
}

impl<B> Started<'_, '_, B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    /// Writes the last pairs and returns the sum that all pairs add to the checksum.
    #[inline(always)]
    fn finish(mut self, backend: &B, direction: impl Direction) -> FieldOf<B> {
        let rest = self.pairs.len().saturating_sub(DELAY);
        for (i, pair) in self.pairs.get_out().iter_mut().enumerate().skip(rest) {
            self.sum ^= second_round(backend, &self.waiting[i % DELAY], pair, direction);
        }
        self.sum
    }
}

/// Processes pairs, except for the second rounds of the last ones.
#[inline(always)]
fn start<'a, 'b, B>(
    backend: &B,
    mask: Element<FieldOf<B>>,
    mut pairs: InOutBuf<'a, 'b, Pair<B::BlockSize>>,
    direction: impl Direction,
) -> Started<'a, 'b, B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let mut masks = Masks::new(mask);
    let mut next_mask = masks.take().swap();
    let mut sum = FieldOf::<B>::ZERO;
    let mut waiting = [Waiting::<FieldOf<B>>::default(); DELAY];
    for i in 0..pairs.len() {
        let waiting = &mut waiting[i % DELAY];
        if let Some(pair) = i.checked_sub(DELAY).and_then(|i| pairs.get_out().get_mut(i)) {
            sum ^= second_round(backend, waiting, pair, direction);
        }
        let Some(pair) = pairs.get_in().get(i) else { break };
        let mask = next_mask;
        next_mask = masks.take().swap();
        let mask_times_3 = mask ^ next_mask;
        let (first_mask, second_mask) =
            if direction.encrypts() { (mask, mask_times_3) } else { (mask_times_3, mask) };
        let [first, second] = [0, 1].map(|i| FieldOf::<B>::load(&pair[i]));
        if direction.encrypts() {
            sum ^= second;
        }
        *waiting = Waiting { first, near: second ^ encrypt(backend, first ^ first_mask), second_mask };
    }
    Started { pairs, waiting, mask: next_mask.swap(), sum }
}

/// Processes pairs that are not the end of a message.
#[inline(always)]
pub(crate) fn process_pairs<B>(
    backend: &B,
    progress: &mut Progress<FieldOf<B>>,
    pairs: InOutBuf<'_, '_, Pair<B::BlockSize>>,
    direction: impl Direction,
) where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let started = start(backend, progress.mask, pairs, direction);
    progress.mask = started.mask;
    progress.checksum ^= started.finish(backend, direction);
}

/// Writes `pair` and returns the sum that it adds to the checksum now.
#[inline(always)]
fn second_round<B>(
    backend: &B,
    waiting: &Waiting<FieldOf<B>>,
    pair: &mut Pair<B::BlockSize>,
    direction: impl Direction,
) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let Waiting { first, near, second_mask } = *waiting;
    let far = first ^ encrypt(backend, near ^ second_mask);
    *pair = Array([near.store(), far.store()]);
    if direction.encrypts() { Field::ZERO } else { far }
}

/// XORs the first bytes of `key` into `data`, which has at most a block. Returns the result with padding.
#[inline(always)]
fn xor<F: Field>(data: &mut InOutBuf<'_, '_, u8>, key: F) -> F {
    let output = F::load_start(data.get_in()) ^ key;
    output.store_start(data.get_out());
    // The CPU cannot load at once what was just stored in parts.
    if data.len() == F::Size::USIZE { output } else { pad(data.get_out()) }
}

/// Processes fewer pairs than a batch, the last chunk of the message, and the rest of [`message::process`](crate::message::process).
#[inline(always)]
pub(crate) fn finish<B>(
    backend: &B,
    progress: Progress<FieldOf<B>>,
    pairs: InOutBuf<'_, '_, Pair<B::BlockSize>>,
    last: InOutBuf<'_, '_, u8>,
    ta: Call<FieldOf<B>>,
    nonces: &mut impl Nonces<FieldOf<B>>,
    direction: impl Direction,
) -> FieldOf<B>
where
    B: BlockCipherEncBackend,
    B::BlockSize: BlockSize,
{
    let started = start(backend, progress.mask, pairs, direction);
    let (mask, mut checksum) = (started.mask, progress.checksum);
    let (l, l_times_3) = (mask.swap(), times_3(mask).swap());
    let len = last.len();
    let head_len = len.min(B::BlockSize::USIZE);
    let (mut head, mut tail) = last.split_at(head_len);
    checksum ^= checksum_mask(mask, len);
    match (direction.encrypts(), tail.is_empty()) {
        (true, false) => {
            let z = encrypt(backend, l ^ pad(head.get_in()));
            let c2 = xor(&mut tail, z);
            checksum ^= z ^ c2;
            xor(&mut head, encrypt(backend, l_times_3 ^ c2));
        }
        (true, true) => {
            checksum ^= pad(head.get_in());
            if !head.is_empty() {
                xor(&mut head, encrypt(backend, l));
            }
        }
        (false, false) => {
            let c2 = pad(tail.get_in());
            let m1 = xor(&mut head, encrypt(backend, l_times_3 ^ c2));
            let z = encrypt(backend, l ^ m1);
            checksum ^= z ^ c2;
            xor(&mut tail, z);
        }
        (false, true) => {
            checksum ^= if head.is_empty() { pad(&[]) } else { xor(&mut head, encrypt(backend, l)) };
        }
    }
    // Not before the last chunk: its calls wait for each other, and those of the pairs fill that time.
    checksum ^= started.finish(backend, direction);
    let ta = if ta.is_pending { encrypt(backend, ta.block) } else { ta.block };
    if let Some(next) = nonces.pending() {
        *next = Call::known(encrypt(backend, next.block));
    }
    encrypt(backend, checksum) ^ ta
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
    let l = output.unwrap_or_else(|| encrypt(backend, format)).swap();
    let ta = match split_last::<FieldOf<B>>(data) {
        None => Call::NONE,
        Some((blocks, last)) => {
            let mut masks = Masks::new(q.swap());
            let mut sum = pad::<FieldOf<B>>(last);
            for block in blocks {
                sum ^= encrypt(backend, FieldOf::<B>::load(block) ^ masks.take().swap());
            }
            Call::known(encrypt(backend, sum ^ last_mask(masks.take(), last.len())))
        }
    };
    MaskAndTa { l, ta }
}
