//! The same in portable code, for tests of what is built on it. Nothing is claimed of what a compiler makes of it.

use cipher::Array;
use core::ops::{BitAnd, BitOr, BitXor, Not};

use super::{
    super::fixslice::{Block, Placement, State, Word},
    RoundKeys, ShareBlock, Shares, bytes, erase, words,
};
use crate::{
    consts::ROUND_CONSTANTS,
    placement::{LANE_XOR, NIBBLE_OF_LANE, PERIOD},
    sbox,
};

/// A word in two shares. AND and OR are those of Biryukov and others (*Optimal First-Order Boolean Masking for Embedded IoT Devices*, 2017), which
/// need no random bits.
#[derive(Clone, Copy)]
struct Masked([u32; 2]);

impl BitAnd for Masked {
    type Output = Self;

    fn bitand(self, Self([y0, y1]): Self) -> Self {
        let Self([x0, x1]) = self;
        Self([(x0 & y0) ^ (x0 | !y1), (x1 & y0) ^ (x1 | !y1)])
    }
}

impl BitOr for Masked {
    type Output = Self;

    fn bitor(self, Self([y0, y1]): Self) -> Self {
        let Self([x0, x1]) = self;
        Self([(x0 & y0) ^ (x0 | y1), (x1 | y0) ^ (x1 & y1)])
    }
}

impl BitXor for Masked {
    type Output = Self;

    fn bitxor(self, Self([y0, y1]): Self) -> Self {
        let Self([x0, x1]) = self;
        Self([x0 ^ y0, x1 ^ y1])
    }
}

impl Not for Masked {
    type Output = Self;

    fn not(self) -> Self {
        let Self([x0, x1]) = self;
        Self([!x0, x1])
    }
}

/// A nibble in two shares.
type Nibble = [u8; 2];

/// The S-box in the standard basis.
fn substitute(nibble: Nibble) -> Nibble {
    let complement = |planes: [Masked; 4], nibble: u8| {
        [0, 1, 2, 3].map(|b| if nibble >> b & 1 == 1 { !planes[b] } else { planes[b] })
    };
    let planes = [0, 1, 2, 3].map(|b| Masked(nibble.map(|share| u32::from(share >> b & 1))));
    let input = complement(sbox::to_basis(planes), sbox::INPUT_COMPLEMENT);
    let output = sbox::from_basis(complement(sbox::circuit(input), sbox::OUTPUT_COMPLEMENT));
    [0, 1].map(|half| (0..4).fold(0, |share, b| share | ((output[b].0[half] & 1) as u8) << b))
}

/// Adds `x` to `to`.
fn add_nibble(to: &mut Nibble, x: Nibble) {
    to[0] ^= x[0];
    to[1] ^= x[1];
}

/// The key schedule as the paper states it, with `N` nibbles. The nibbles at `places` make the round key.
fn expand<const N: usize, const WORDS: usize>(
    keys: &mut RoundKeys,
    key: &[[u32; WORDS]; 2],
    places: [usize; 8],
) {
    let mut wk: [Nibble; N] = core::array::from_fn(|i| {
        let shift = 8 * (i / 2 % 4) + 4 * (1 - i % 2);
        key.map(|share| (share[i / 8] >> shift & 0xF) as u8)
    });
    for (r, key) in keys.0.iter_mut().enumerate() {
        let carried = if r.div_ceil(2) % 2 == 1 { sbox::OUTPUT_COMPLEMENT } else { 0 };
        for half in 0..2 {
            let complement = if half == 0 { sbox::INPUT_COMPLEMENT ^ carried } else { 0 };
            let mut packed = 0;
            for lane in 0..8 {
                let nibble = wk[places[usize::from(NIBBLE_OF_LANE[r % PERIOD][lane])]][half];
                let place = if lane < 4 { 2 * (3 - lane) } else { 2 * (lane - 4) + 1 };
                packed |= u32::from(sbox::nibble_to_basis(nibble) ^ complement) << (4 * place);
            }
            let words = <u32 as Word>::expand(<u32 as Word>::order(packed));
            key[4 * half..4 * half + 4].copy_from_slice(&words);
        }
        let (x, y) = (substitute(wk[0]), substitute(wk[16]));
        add_nibble(&mut wk[1], x);
        add_nibble(&mut wk[4], y);
        if N == 32 {
            let z = substitute(wk[30]);
            add_nibble(&mut wk[23], z);
        }
        add_nibble(&mut wk[7], [ROUND_CONSTANTS[r] >> 3, 0]);
        add_nibble(&mut wk[19], [ROUND_CONSTANTS[r] & 7, 0]);
        wk[..4].rotate_left(1);
        wk.rotate_left(4);
    }
    erase(&mut wk);
}

/// Makes the round keys of a key of 128 bits.
pub(crate) fn expand_128(keys: &mut RoundKeys, key: &[[u32; 4]; 2]) {
    expand::<32, 4>(keys, key, [2, 3, 12, 15, 17, 18, 28, 31]);
}

/// Makes the round keys of a key of 80 bits; the rest of the words does not count.
pub(crate) fn expand_80(keys: &mut RoundKeys, key: &[[u32; 3]; 2]) {
    expand::<20, 3>(keys, key, [1, 3, 4, 6, 13, 14, 15, 16]);
}

/// Adds masks to all round keys.
pub(crate) fn refresh(keys: &mut RoundKeys, masks: &[u32; 4]) {
    for (i, word) in keys.0.as_flattened_mut().iter_mut().enumerate() {
        *word ^= masks[i % 4];
    }
}

/// Moves the lanes of the S-box output of round `r`.
fn exchange_lanes(x: u32, r: usize) -> u32 {
    match LANE_XOR[r % 4] {
        0 => x,
        1 => x.exchange_lanes::<1>(),
        2 => x.exchange_lanes::<2>(),
        _ => x.exchange_lanes::<4>(),
    }
}

/// Encrypts four blocks.
pub(crate) fn encrypt(keys: &RoundKeys, blocks: &mut Shares) {
    let mut shares = blocks.map(|share| State::<u32>::load(&share.map(bytes), Placement::First));
    for (r, key) in keys.0.iter().enumerate() {
        let [a, b] = &mut shares;
        let [(even_a, odd_a), (even_b, odd_b)] = [a, b].map(|share| match r % 2 {
            0 => (&share.first, &mut share.second),
            _ => (&share.second, &mut share.first),
        });
        let input = [0, 1, 2, 3].map(|i| Masked([even_a[i] ^ key[i], even_b[i] ^ key[4 + i]]));
        for (i, Masked([y0, y1])) in sbox::circuit(input).into_iter().enumerate() {
            odd_a[i] ^= exchange_lanes(y0, r);
            odd_b[i] ^= exchange_lanes(y1, r);
        }
    }
    for (state, share) in shares.iter_mut().zip(blocks) {
        let mut blocks = [Block::default(); 4];
        state.store(&mut blocks, Placement::Last);
        *share = blocks.each_ref().map(words);
        erase(&mut state.first);
        erase(&mut state.second);
    }
}

/// Makes each block of `to` the sum of the blocks of `x` and `y` in its place, as far as there are all three.
pub fn set_sum(to: &mut [ShareBlock], x: &[ShareBlock], y: &[ShareBlock]) {
    for (to, (x, y)) in to.iter_mut().zip(x.iter().zip(y)) {
        *to = [x[0] ^ y[0], x[1] ^ y[1]];
    }
}

/// Adds the blocks of `x` to those of `to`, as far as there are both.
pub fn add(to: &mut [ShareBlock], x: &[ShareBlock]) {
    for (to, x) in to.iter_mut().zip(x) {
        *to = [to[0] ^ x[0], to[1] ^ x[1]];
    }
}

/// Clears the bits of `to` that are not set in `kept`, as far as there are both.
pub fn select(to: &mut [ShareBlock], kept: &[ShareBlock]) {
    for (to, kept) in to.iter_mut().zip(kept) {
        *to = [to[0] & kept[0], to[1] & kept[1]];
    }
}

/// Multiplies a block by 2^exponent in GF(2^64).
fn times(block: ShareBlock, exponent: u32) -> ShareBlock {
    let x = u64::from_be_bytes(bytes(block).0);
    let carry = x >> (64 - exponent);
    words(&Array((x << exponent ^ carry ^ carry << 1 ^ carry << 3 ^ carry << 4).to_be_bytes()))
}

/// Makes each block but the first one two times the block before it.
pub fn double(blocks: &mut [ShareBlock]) {
    for i in 1..blocks.len() {
        blocks[i] = times(blocks[i - 1], 1);
    }
}

/// Multiplies all blocks by 16.
pub fn times_16(blocks: &mut [ShareBlock]) {
    for block in blocks {
        *block = times(*block, 4);
    }
}
