//! The values of a message as shares, and what the mode does with them.
//!
//! Nothing here reads a word of a share that is secret, so that no compiler can bring both shares together: references go to the functions of
//! [`share`], for one share after the other. Shares of different secrets have different places, and both shares of a value never follow each
//! other in the same place.

use core::ops::Range;

#[cfg(feature = "zeroize")]
use otr_mode::cipher::zeroize::Zeroize as _;
use twine_cipher::{
    MaskedBlocks,
    cipher::Array,
    rand_core::CryptoRng,
    share::{self, ShareBlock},
};

/// Blocks for a call of the cipher: public ones, or those of one share.
pub(super) type Blocks = [ShareBlock; LANES];

/// How many blocks the cipher encrypts at once.
pub(super) const LANES: usize = 4;

pub(super) const ZERO: Blocks = [[0; 2]; LANES];

const ZERO_SHARES: [Blocks; 2] = [ZERO; 2];

/// The lane of L in [`Work::header`].
pub(super) const L: usize = 0;
/// That of Q.
const Q: usize = 1;

/// The lane of the checksum in [`Work::ends`].
const CHECKSUM: usize = 0;
/// That of the last block of associated data, whose encryption is TA.
const TA: usize = 1;

/// A factor of a mask: the sum of some of 1, 2 and 4.
pub(super) type Factor = [bool; 3];

pub(super) const TIMES_3: Factor = [true, true, false];
/// 3 * 3, as polynomials.
pub(super) const TIMES_9: Factor = [true, false, true];
pub(super) const TIMES_7: Factor = [true, true, true];

/// The blocks of a part of an array, which is as long as that. A wrong range fails in the tests, which go through all there are. Elsewhere nothing
/// panics.
pub(super) fn part(blocks: &[ShareBlock], range: Range<usize>) -> &[ShareBlock] {
    debug_assert!(blocks.get(range.clone()).is_some(), "{range:?} of {} blocks", blocks.len());
    blocks.get(range).unwrap_or_default()
}

pub(super) fn part_mut(blocks: &mut [ShareBlock], range: Range<usize>) -> &mut [ShareBlock] {
    debug_assert!(blocks.get(range.clone()).is_some(), "{range:?} of {} blocks", blocks.len());
    blocks.get_mut(range).unwrap_or_default()
}

/// Sets the shares of the blocks `places` of `to` to those of `x`, plus public blocks.
pub(super) fn set(
    to: &mut MaskedBlocks,
    places: Range<usize>,
    x: &MaskedBlocks,
    from: usize,
    public: &Blocks,
) {
    let count = places.len();
    for ((to, x), public) in to.shares.iter_mut().zip(&x.shares).zip([public, &ZERO]) {
        share::set_sum(part_mut(to, places.clone()), part(x, from..from + count), public);
    }
}

/// Adds the shares of the blocks of `x` to those of `to`, in the same places.
pub(super) fn add(to: &mut MaskedBlocks, x: &MaskedBlocks, places: Range<usize>) {
    for (to, x) in to.shares.iter_mut().zip(&x.shares) {
        share::add(part_mut(to, places.clone()), part(x, places.clone()));
    }
}

/// Adds public blocks.
pub(super) fn add_public(to: &mut MaskedBlocks, public: &Blocks, places: Range<usize>) {
    let [a, _] = &mut to.shares;
    share::add(part_mut(a, places.clone()), part(public, places));
}

/// Keeps the first `len` bytes of a block, with zeros after them.
pub(super) fn truncate(blocks: &mut MaskedBlocks, place: usize, len: usize) {
    let kept = load(&[0xFF; 8][..len.min(8)]);
    for share in &mut blocks.shares {
        share::select(part_mut(share, place..place + 1), &[kept]);
    }
}

/// Adds the blocks themselves to public ones. Only the sum is seen: share a is there first.
pub(super) fn unmask(public: &mut Blocks, blocks: &MaskedBlocks, places: Range<usize>) {
    for share in &blocks.shares {
        share::add(part_mut(public, places.clone()), part(share, places.clone()));
    }
}

/// Loads at most a block, with zeros after it.
pub(super) fn load(bytes: &[u8]) -> ShareBlock {
    let mut block = [0; 8];
    match bytes.first_chunk() {
        Some(whole) => block = *whole,
        None => block.iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte),
    }
    let [b0, b1, b2, b3, b4, b5, b6, b7] = block;
    [u32::from_le_bytes([b0, b1, b2, b3]), u32::from_le_bytes([b4, b5, b6, b7])]
}

/// Stores the first bytes of a public block, or all of them.
pub(super) fn store([low, high]: ShareBlock, bytes: &mut [u8]) {
    let block = (u64::from(low) | u64::from(high) << 32).to_le_bytes();
    match bytes.first_chunk_mut() {
        Some(whole) => *whole = block,
        None => bytes.iter_mut().zip(block).for_each(|(byte, value)| *byte = value),
    }
}

/// Adds a one bit after `len` bytes, at most a block, if they do not fill the block.
#[allow(clippy::cast_possible_truncation, reason = "at most 64 bits, and halves of a block")]
pub(super) fn pad(block: ShareBlock, len: usize) -> ShareBlock {
    let end = 0x80_u64.checked_shl(8 * len as u32).unwrap_or(0);
    [block[0] ^ end as u32, block[1] ^ (end >> 32) as u32]
}

/// Writes new masks.
fn fill(masks: &mut [ShareBlock], rng: &mut impl CryptoRng) {
    for mask in masks {
        *mask = [rng.next_u32(), rng.next_u32()];
    }
}

/// All shares of a message. Between messages they are zero.
#[derive(Default)]
pub(super) struct Work {
    /// L and Q, and blocks that nobody uses.
    pub(super) header: MaskedBlocks,
    /// The masks of the next four pairs in their first round as encryption counts it: 2^i L. Before that the masks of associated data: 2^i Q.
    /// Each lane has random masks of its own.
    pub(super) first: MaskedBlocks,
    /// Those in the second round: 3 * 2^i L. Their random masks are others, because in decryption one follows from the other.
    pub(super) second: MaskedBlocks,
    /// The inputs of a call of the cipher, and its outputs.
    pub(super) calls: MaskedBlocks,
    /// The sum of the associated data, then the checksum: that of each lane by itself.
    pub(super) sum: MaskedBlocks,
    /// The inputs of the last call.
    pub(super) ends: MaskedBlocks,
    /// A block times 1, 2, 4, 8 and 16.
    powers: [[ShareBlock; LANES + 1]; 2],
    /// Random masks. They are like a share b whose share a is nowhere.
    fresh: Blocks,
}

impl Work {
    /// Sets what the first call of a message encrypts: the nonce block, for L, and zero, for Q.
    pub(super) fn set_header(&mut self, format: [u8; 8], rng: &mut impl CryptoRng) {
        self.header = MaskedBlocks::new(&[Array(format), Array([0; 8])], rng);
    }

    /// Makes the masks that come from L or Q, and an empty sum.
    pub(super) fn begin(&mut self, from: usize, rng: &mut impl CryptoRng) {
        let Self { header, powers, first, second, sum, fresh, .. } = self;
        for (powers, header) in powers.iter_mut().zip(&header.shares) {
            share::set_sum(powers, part(header, from..from + 1), &ZERO);
            share::double(powers);
        }
        fill(fresh, rng);
        for (first, powers) in first.shares.iter_mut().zip(&*powers) {
            share::set_sum(first, powers, fresh);
        }
        fill(fresh, rng);
        for (second, powers) in second.shares.iter_mut().zip(&*powers) {
            share::set_sum(second, powers, part(powers, 1..LANES + 1));
            share::add(second, fresh);
        }
        fill(fresh, rng);
        sum.shares = [*fresh; 2];
    }

    /// The same for associated data.
    pub(super) fn begin_associated_data(&mut self, rng: &mut impl CryptoRng) {
        self.begin(Q, rng);
    }

    /// Goes on to the masks of the next four pairs or blocks.
    pub(super) fn next_masks(&mut self) {
        for blocks in [&mut self.first, &mut self.second] {
            blocks.shares.iter_mut().for_each(|share| share::times_16(share));
        }
    }

    /// Sets an input of the last call: the whole sum, plus a multiple of a mask.
    fn end(&mut self, end: usize, is_first: bool, lane: usize, factor: Factor) {
        let Self { first, second, sum, ends, powers, .. } = self;
        let masks = if is_first { first } else { second };
        for (((end_share, sum), masks), powers) in
            ends.shares.iter_mut().zip(&sum.shares).zip(&masks.shares).zip(powers)
        {
            share::set_sum(powers, part(masks, lane..lane + 1), &ZERO);
            share::double(part_mut(powers, 0..factor.len()));
            let to = part_mut(end_share, end..end + 1);
            share::set_sum(to, sum, &sum[1..]);
            share::add(to, &sum[2..]);
            share::add(to, &sum[3..]);
            for (power, is_in) in factor.into_iter().enumerate() {
                if is_in {
                    share::add(to, part(powers, power..power + 1));
                }
            }
        }
    }

    /// Sets the input whose encryption is TA, from the sum, in which the last block is already. `lane` is that of its mask.
    pub(super) fn end_associated_data(&mut self, lane: usize, is_full: bool) {
        self.end(TA, true, lane, if is_full { TIMES_9 } else { TIMES_3 });
    }

    /// Sets the input whose encryption is TE. The last chunk of the message is in this lane.
    pub(super) fn end_message(&mut self, lane: usize, is_long: bool, is_full: bool) {
        self.end(CHECKSUM, !is_long, lane, if is_full { TIMES_7 } else { TIMES_9 });
    }

    /// Prepares, with a tag or its difference, the call that tells whether the difference is zero: it encrypts a random block, and the sum of
    /// both.
    pub(super) fn set_comparison(&mut self, place: usize, rng: &mut impl CryptoRng) {
        // TE was made from what is there.
        self.ends.shares = ZERO_SHARES;
        set(&mut self.ends, 0..1, &self.calls, place, &ZERO);
        for share in &mut self.calls.shares {
            fill(share, rng);
            let (first, second) = share.split_at_mut(1);
            share::set_sum(second, first, &ZERO);
        }
        add(&mut self.calls, &self.ends, 0..1);
    }

    /// Erases the outputs of the last call.
    pub(super) fn erase_calls(&mut self) {
        self.calls.shares = ZERO_SHARES;
    }

    /// Erases all shares.
    pub(super) fn erase(&mut self) {
        let Self { header, first, second, calls, sum, ends, powers, fresh } = self;
        for blocks in [header, first, second, calls, sum, ends] {
            blocks.shares = ZERO_SHARES;
        }
        (*powers, *fresh) = ([[[0; 2]; LANES + 1]; 2], ZERO);
    }
}

#[cfg(test)]
impl Work {
    pub(super) fn is_zero(&self) -> bool {
        let Self { header, first, second, calls, sum, ends, powers, fresh } = self;
        let all = [header, first, second, calls, sum, ends];
        all.into_iter().all(|blocks| blocks.shares == ZERO_SHARES)
            && *powers == [[[0; 2]; LANES + 1]; 2]
            && *fresh == ZERO
    }
}

#[cfg(feature = "zeroize")]
impl Drop for Work {
    fn drop(&mut self) {
        // The other fields erase themselves.
        self.powers.zeroize();
        self.fresh.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_loaded_padded_and_stored() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        for len in 0..=8 {
            let mut expected = [0; 8];
            expected[..len].copy_from_slice(&bytes[..len]);
            let mut stored = [0xA5; 8];
            store(load(&bytes[..len]), &mut stored);
            assert_eq!(stored, expected);
            if len < 8 {
                expected[len] = 0x80;
            }
            store(pad(load(&bytes[..len]), len), &mut stored);
            assert_eq!(stored, expected);
            let mut start = [0xA5; 8];
            store(load(&bytes), &mut start[..len]);
            assert_eq!((&start[..len], &start[len..]), (&bytes[..len], &[0xA5; 8][len..]));
        }
    }
}
