//! The layout with one vector for each nibble of a block. It processes as many blocks at once as a vector has bytes.
//!
//! The shuffle of the cipher only renames vectors. With folded keys, each nibble takes one byte shuffle and one sum of three vectors in a
//! round. A network of interleavings makes the columns from the blocks, and its inverse makes the blocks again, see [`interleave`].

use super::{Vector, keys::ExpandedKey, load_blocks, store_blocks};
use crate::{
    consts::SBOX,
    placement::{LANE_XOR, NIBBLE_OF_LANE, PERIOD},
};

/// The columns of [`Vector::WIDTH`] blocks, by lane.
pub(crate) struct Columns<V> {
    /// The half that is the even one in rounds 0, 2, ...
    first: [V; 8],
    /// The half that is the even one in rounds 1, 3, ...
    second: [V; 8],
    sbox: V,
}

/// The lanes of the even half in the first round and in the last.
const FIRST_LANES: [u8; 8] = NIBBLE_OF_LANE[0];
const LAST_LANES: [u8; 8] = NIBBLE_OF_LANE[35 % PERIOD];

impl<V: Vector> Columns<V> {
    /// Loads up to `V::WIDTH` blocks to encrypt.
    ///
    /// # Safety
    /// The CPU has the features of `V`.
    #[inline(always)]
    pub(crate) unsafe fn load_plaintext(keys: &ExpandedKey, bytes: &[u8]) -> Self {
        // SAFETY: by the caller's word.
        let (first, second) = unsafe { load(bytes, &keys.outer_columns[0], &FIRST_LANES, LANE_XOR[0]) };
        // SAFETY: by the caller's word.
        Self { first, second, sbox: unsafe { V::repeat_16(&SBOX) } }
    }

    /// Loads up to `V::WIDTH` blocks to decrypt.
    ///
    /// # Safety
    /// The CPU has the features of `V`.
    #[inline(always)]
    pub(crate) unsafe fn load_ciphertext(keys: &ExpandedKey, bytes: &[u8]) -> Self {
        // SAFETY: by the caller's word.
        let (second, first) = unsafe { load(bytes, &keys.outer_columns[1], &LAST_LANES, LANE_XOR[3]) };
        // SAFETY: by the caller's word.
        Self { first, second, sbox: unsafe { V::repeat_16(&SBOX) } }
    }

    #[inline(always)]
    pub(crate) fn encrypt(&mut self, keys: &ExpandedKey) {
        let Self { first, second, sbox } = self;
        for keys in keys.columns.chunks_exact(4) {
            round::<V, { LANE_XOR[0] as usize }>(*sbox, first, second, &keys[0]);
            round::<V, { LANE_XOR[1] as usize }>(*sbox, second, first, &keys[1]);
            round::<V, { LANE_XOR[2] as usize }>(*sbox, first, second, &keys[2]);
            round::<V, { LANE_XOR[3] as usize }>(*sbox, second, first, &keys[3]);
        }
    }

    #[inline(always)]
    pub(crate) fn decrypt(&mut self, keys: &ExpandedKey) {
        let Self { first, second, sbox } = self;
        for keys in keys.columns.chunks_exact(4).rev() {
            round::<V, { LANE_XOR[3] as usize }>(*sbox, second, first, &keys[3]);
            round::<V, { LANE_XOR[2] as usize }>(*sbox, first, second, &keys[2]);
            round::<V, { LANE_XOR[1] as usize }>(*sbox, second, first, &keys[1]);
            round::<V, { LANE_XOR[0] as usize }>(*sbox, first, second, &keys[0]);
        }
    }

    /// Stores the result of [`Columns::encrypt`].
    #[inline(always)]
    pub(crate) fn store_ciphertext(&self, keys: &ExpandedKey, bytes: &mut [u8]) {
        store(&self.second, &self.first, bytes, &keys.outer_columns[1], &LAST_LANES, LANE_XOR[3]);
    }

    /// Stores the result of [`Columns::decrypt`].
    #[inline(always)]
    pub(crate) fn store_plaintext(&self, keys: &ExpandedKey, bytes: &mut [u8]) {
        store(&self.first, &self.second, bytes, &keys.outer_columns[0], &FIRST_LANES, LANE_XOR[0]);
    }
}

/// Does one round. The even half keeps its key, and the odd half gets the key of the next round.
#[inline(always)]
fn round<V: Vector, const XOR: usize>(sbox: V, even: &[V; 8], odd: &mut [V; 8], keys: &[u32; 8]) {
    for q in 0..8 {
        // SAFETY: `sbox` exists.
        let key = unsafe { V::repeat_4(keys[q]) };
        odd[q] = odd[q].xor_3(sbox.shuffle(even[q ^ XOR]), key);
    }
}

/// Interleaves the vectors whose numbers differ in bit `K`.
///
/// Let p3 p2 p1 p0 be the bits of a byte's place in its 16 bytes, and r2 r1 r0 those of the number of its vector. This function makes p3 bit
/// K of the number, and p2 p1 p0 rK the place. Blocks are loaded with the place b j2 j1 j0 for byte j of block b of two. After the steps
/// K = 0, 1, 2, 0 the number is j1 j2 j0 and the place is r0 r1 r2 b. The steps 1, 2, 0 then lead to the number r1 r0 r2 and to the place
/// b j2 j1 j0, which is that of a block in memory again.
#[inline(always)]
fn interleave<V: Vector, const K: usize>(vectors: &mut [V; 8]) {
    for i in 0..4 {
        // These are the numbers without bit K, one after the other.
        let low = i & ((1 << K) - 1) | i >> K << (K + 1);
        let high = low | 1 << K;
        let (a, b) = (vectors[low], vectors[high]);
        vectors[low] = a.interleave_low(b);
        vectors[high] = a.interleave_high(b);
    }
}

/// Returns the number of the vector with byte `j` of all blocks, between the two networks of [`interleave`].
const fn column_of_byte(j: usize) -> usize {
    j & 1 | (j >> 2 & 1) << 1 | (j >> 1 & 1) << 2
}

/// Returns the place in memory of vector `number` after the second network.
const fn place_of_vector(number: usize) -> usize {
    number >> 1 & 1 | (number >> 2 & 1) << 1 | (number & 1) << 2
}

/// Loads blocks as an even half and an odd half. The round key is added to the even half.
///
/// # Safety
/// The CPU has the features of `V`.
#[inline(always)]
unsafe fn load<V: Vector>(bytes: &[u8], keys: &[u32; 8], lanes: &[u8; 8], xor: u8) -> ([V; 8], [V; 8]) {
    // SAFETY: by the caller's word.
    let mut vectors = [unsafe { load_blocks(bytes) }; 8];
    for i in 1..8 {
        // SAFETY: by the caller's word.
        vectors[i] = unsafe { load_blocks(bytes.get(i * V::WIDTH..).unwrap_or_default()) };
    }
    interleave::<V, 0>(&mut vectors);
    interleave::<V, 1>(&mut vectors);
    interleave::<V, 2>(&mut vectors);
    interleave::<V, 0>(&mut vectors);
    let (mut even, mut odd) = (vectors, vectors);
    for p in 0..8 {
        // SAFETY: by the caller's word.
        let key = unsafe { V::repeat_4(keys[p]) };
        even[p] = vectors[column_of_byte(lanes[p] as usize)].high_nibbles().xor(key);
        odd[p] = vectors[column_of_byte(lanes[p ^ xor as usize] as usize)].low_nibbles();
    }
    (even, odd)
}

/// Is the inverse of [`load`].
#[inline(always)]
fn store<V: Vector>(
    even: &[V; 8],
    odd: &[V; 8],
    bytes: &mut [u8],
    keys: &[u32; 8],
    lanes: &[u8; 8],
    xor: u8,
) {
    let mut vectors = *even;
    for p in 0..8 {
        // SAFETY: `even` exists.
        let high = even[p].xor(unsafe { V::repeat_4(keys[p]) });
        vectors[column_of_byte(lanes[p] as usize)] = odd[p ^ xor as usize].with_high_nibbles(high);
    }
    interleave::<V, 1>(&mut vectors);
    interleave::<V, 2>(&mut vectors);
    interleave::<V, 0>(&mut vectors);
    for (number, vector) in vectors.iter().enumerate() {
        store_blocks(*vector, bytes.get_mut(place_of_vector(number) * V::WIDTH..).unwrap_or_default());
    }
}
