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
    start: usize,
    size: &'static KeySize,
}

/// What a round adds to WK\[7\] and WK\[19\], in the basis of the circuit, and the complements of its round key, by round.
static ROUND: [([u8; 2], u8); ROUNDS] = {
    let mut rounds = [([0; 2], 0); ROUNDS];
    let mut r = 0;
    while r < ROUNDS {
        let constant = ROUND_CONSTANTS[r];
        // Rounds 1, 2, 5, 6, ... read a half that took in an odd number of outputs.
        let carried = if r.div_ceil(2) % 2 == 1 { sbox::OUTPUT_COMPLEMENT } else { 0 };
        rounds[r] = (
            [sbox::nibble_to_basis(constant >> 3), sbox::nibble_to_basis(constant & 7)],
            sbox::INPUT_COMPLEMENT ^ carried,
        );
        r += 1;
    }
    rounds
};

/// Sets each round key to what `from_packed` makes of it: packed in `order`, bit `b` of nibble `i` is at bit `4 * i + b`. The
/// key has the complements that make the S-box circuit of its round the S-box.
pub(crate) fn expand<K>(
    key: &[u8],
    size: &'static KeySize,
    order: &Order,
    round_keys: &mut [K; ROUNDS],
    from_packed: impl Fn(u32) -> K,
) {
    let mut schedule = Schedule::new(key, size);
    for ((round_key, (constants, complement)), order) in
        round_keys.iter_mut().zip(&ROUND).zip(order.iter().cycle())
    {
        let mut packed = 0;
        for j in order.iter().rev() {
            packed = packed << 4 | u32::from(*schedule.nibble(size.round_key[usize::from(j % 8)]));
        }
        *round_key = from_packed(packed ^ (u32::from(*complement) * 0x1111_1111));
        schedule.step(*constants);
    }
}

impl Schedule {
    /// Starts with `key`, of `size.nibbles / 2` bytes.
    pub(crate) fn new(key: &[u8], size: &'static KeySize) -> Self {
        let mut ring = [0; 32];
        for (nibbles, byte) in ring.chunks_exact_mut(2).zip(key) {
            nibbles.copy_from_slice(&[byte >> 4, byte & 0xF]);
        }
        for nibbles in ring.chunks_exact_mut(4) {
            let word = u32::from_le_bytes([nibbles[0], nibbles[1], nibbles[2], nibbles[3]]);
            nibbles.copy_from_slice(&join(sbox::to_basis(split(word))).to_le_bytes());
        }
        Self { ring, start: 0, size }
    }

    /// WK\[place\].
    #[inline(always)]
    fn nibble(&mut self, place: u8) -> &mut u8 {
        &mut self.ring[(self.start + usize::from(place)) % 32]
    }

    #[inline(always)]
    fn step(&mut self, constants: [u8; 2]) {
        let size = self.size;
        let input =
            size.feedback.iter().rev().fold(0, |x, (from, _)| x << 8 | u32::from(*self.nibble(*from)));
        let [y0, y1, y2, y3] = sbox::substitute(split(input));
        let output = join([y0, y1, y2, y3].map(|plane| plane & BYTES));
        for ((_, to), output) in size.feedback.iter().zip(output.to_le_bytes()) {
            *self.nibble(*to) ^= output;
        }
        let [constant_7, constant_19] = constants;
        *self.nibble(7) ^= constant_7;
        *self.nibble(19) ^= constant_19;
        // WK[0..4] one nibble to the left, then all nibbles four to the left: what was first comes last.
        let first = [*self.nibble(1), *self.nibble(2), *self.nibble(3), *self.nibble(0)];
        self.start = (self.start + 4) % 32;
        for (place, nibble) in (size.nibbles - 4..).zip(first) {
            *self.nibble(place) = nibble;
        }
    }
}

/// The lowest bit of each byte.
const BYTES: u32 = 0x0101_0101;

/// The planes of four nibbles, each in a byte.
#[inline(always)]
fn split(x: u32) -> [u32; 4] {
    [x & BYTES, x >> 1 & BYTES, x >> 2 & BYTES, x >> 3 & BYTES]
}

/// The inverse of [`split`].
#[inline(always)]
fn join([x0, x1, x2, x3]: [u32; 4]) -> u32 {
    x0 | x1 << 1 | x2 << 2 | x3 << 3
}

#[cfg(feature = "zeroize")]
impl Drop for Schedule {
    fn drop(&mut self) {
        cipher::zeroize::Zeroize::zeroize(&mut self.ring);
    }
}
