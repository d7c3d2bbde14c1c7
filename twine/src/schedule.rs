//! The key schedule (paper, section 2.3): no table of secrets, no secret index.
//!
//! The nibbles WK are a byte each, in the circuit's basis (see [`crate::sbox`]), so that round keys need no change of basis.
//! They lie in a ring of 32: rotating them moves where they start, and the three nibbles that a round puts through the
//! S-box go through its circuit side by side.

use crate::{
    consts::{ROUND_CONSTANTS, ROUNDS},
    placement::{NIBBLE_OF_LANE, PERIOD},
    sbox,
};

/// What differs between the two key sizes.
pub(crate) struct KeySize {
    /// Nibbles of the key.
    pub(crate) nibbles: u8,
    /// The nibbles of the state that make a round key.
    pub(crate) round_key: [u8; 8],
    /// `(from, to)`: WK\[to\] ^= S(WK\[from\]).
    pub(crate) feedback: &'static [(u8, u8)],
}

/// TWINE-80.
pub(crate) const KEY_80: KeySize =
    KeySize { nibbles: 20, round_key: [1, 3, 4, 6, 13, 14, 15, 16], feedback: &[(0, 1), (16, 4)] };

/// TWINE-128.
pub(crate) const KEY_128: KeySize = KeySize {
    nibbles: 32,
    round_key: [2, 3, 12, 15, 17, 18, 28, 31],
    feedback: &[(0, 1), (16, 4), (30, 23)],
};

/// Which nibble of a round key each nibble of a packed one is, by the number of the round modulo [`PERIOD`].
pub(crate) type Order = [[u8; 8]; PERIOD];

/// The order of round keys for a backend that has lane `p` in nibble `nibbles[p]` of a packed one.
pub(crate) const fn order(nibbles: &[u8; 8]) -> Order {
    let mut order = [[0; 8]; PERIOD];
    let mut r = 0;
    while r < PERIOD {
        let mut p = 0;
        while p < 8 {
            order[r][nibbles[p] as usize] = NIBBLE_OF_LANE[r][p];
            p += 1;
        }
        r += 1;
    }
    order
}

/// The state of the key schedule, one step a round.
pub(crate) struct Schedule {
    /// WK\[i\] is `ring[start + i]`.
    ring: [u8; 32],
    start: u8,
    size: &'static KeySize,
}

impl Schedule {
    /// Starts with `key`, of `size.nibbles / 2` bytes.
    #[inline]
    pub(crate) fn new(key: &[u8], size: &'static KeySize) -> Self {
        let mut ring = [0; 32];
        for (nibbles, byte) in ring.chunks_exact_mut(2).zip(key) {
            let byte = u32::from(*byte);
            let planes = sbox::to_basis([0, 1, 2, 3].map(|b| byte >> (4 + b) & 1 | (byte >> b & 1) << 8));
            let [high, low, ..] = join(planes).to_le_bytes();
            nibbles.copy_from_slice(&[high, low]);
        }
        Self { ring, start: 0, size }
    }

    /// Calls `f` with each round and its round key, packed in `order`: bit `b` of nibble `i` is at bit `4 * i + b`. The key
    /// has the complements that make the S-box circuit of its round the S-box.
    #[inline]
    pub(crate) fn for_each(mut self, order: &Order, mut f: impl FnMut(usize, u32)) {
        for round in 0..ROUNDS {
            // Rounds 1, 2, 5, 6, ... read a half that took in an odd number of outputs.
            let carried = if round.div_ceil(2) % 2 == 1 { sbox::OUTPUT_COMPLEMENT } else { 0 };
            let complement = u32::from(sbox::INPUT_COMPLEMENT ^ carried) * 0x1111_1111;
            let places = order[round % PERIOD].iter().map(|j| self.size.round_key[usize::from(j % 8)]);
            let key = places.rev().fold(0, |key, place| key << 4 | u32::from(*self.nibble(place)));
            f(round, key ^ complement);
            self.step(ROUND_CONSTANTS[round]);
        }
    }

    /// WK\[place\].
    #[inline(always)]
    fn nibble(&mut self, place: u8) -> &mut u8 {
        &mut self.ring[usize::from((self.start + place) % 32)]
    }

    fn step(&mut self, constant: u8) {
        let size = self.size;
        let input =
            size.feedback.iter().rev().fold(0, |x, (from, _)| x << 8 | u32::from(*self.nibble(*from)));
        let output = sbox::substitute([0, 1, 2, 3].map(|b| input >> b));
        let output = join(output.map(|plane| plane & 0x0001_0101));
        for ((_, to), output) in size.feedback.iter().zip(output.to_le_bytes()) {
            *self.nibble(*to) ^= output;
        }
        *self.nibble(7) ^= sbox::nibble_to_basis(constant >> 3);
        *self.nibble(19) ^= sbox::nibble_to_basis(constant & 7);
        // WK[0..4] one nibble to the left, then all nibbles four to the left: what was first comes last.
        let first = [1, 2, 3, 0].map(|place| *self.nibble(place));
        self.start = (self.start + 4) % 32;
        for (place, nibble) in (size.nibbles - 4..).zip(first) {
            *self.nibble(place) = nibble;
        }
    }
}

/// The nibbles whose planes these are, each in a byte.
fn join([x0, x1, x2, x3]: [u32; 4]) -> u32 {
    x0 | x1 << 1 | x2 << 2 | x3 << 3
}

#[cfg(feature = "zeroize")]
impl Drop for Schedule {
    fn drop(&mut self) {
        cipher::zeroize::Zeroize::zeroize(&mut self.ring);
    }
}
