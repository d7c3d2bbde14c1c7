//! The key schedule (paper, section 2.3), bit-sliced: no table, no secret index.
//!
//! Plane `b` holds bit `b` of all nibbles WK[0..] of the key state, nibble `i` at bit `i`. Rotating the nibbles is then
//! rotating the planes, and one pass of the S-box circuit serves all nibbles that need it. The planes are kept in the
//! circuit's basis (see [`crate::sbox`]), so round keys need no change of basis either.

use crate::{
    consts::{ROUND_CONSTANTS, ROUNDS},
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

/// The state of the key schedule, one step a round.
pub(crate) struct Schedule {
    planes: [u32; 4],
    size: &'static KeySize,
}

impl Schedule {
    /// Starts with `key`, of `size.nibbles / 2` bytes.
    #[inline]
    pub(crate) fn new(key: &[u8], size: &'static KeySize) -> Self {
        let mut planes = [0u32; 4];
        for (i, byte) in key.iter().enumerate() {
            for b in 0..4 {
                let (high, low) = (u32::from(byte >> (4 + b) & 1), u32::from(byte >> b & 1));
                planes[b] |= (high | low << 1) << (2 * i);
            }
        }
        Self { planes: sbox::to_basis(planes), size }
    }

    /// Calls `f` with each round and its round key: plane `b`, bit `j` is bit `b` of nibble `j`, in the circuit's basis.
    #[inline]
    pub(crate) fn for_each(mut self, mut f: impl FnMut(usize, [u32; 4])) {
        for round in 0..ROUNDS {
            f(round, self.round_key());
            self.step(ROUND_CONSTANTS[round]);
        }
    }

    fn round_key(&self) -> [u32; 4] {
        self.planes.map(|plane| {
            self.size.round_key.iter().enumerate().fold(0, |key, (j, place)| key | (plane >> place & 1) << j)
        })
    }

    fn step(&mut self, constant: u8) {
        let substituted = sbox::substitute(self.planes);
        let constant_high = sbox::nibble_to_basis(constant >> 3);
        let constant_low = sbox::nibble_to_basis(constant & 7);
        let last = self.size.nibbles - 4;
        for b in 0..4 {
            let mut plane = self.planes[b];
            for &(from, to) in self.size.feedback {
                plane ^= (substituted[b] >> from & 1) << to;
            }
            plane ^= u32::from(constant_high >> b & 1) << 7;
            plane ^= u32::from(constant_low >> b & 1) << 19;
            // WK[0..4] one nibble to the left, then all nibbles four to the left.
            let first = (plane >> 1 & 7) | (plane & 1) << 3;
            self.planes[b] = plane >> 4 | first << last;
        }
    }
}

#[cfg(feature = "zeroize")]
impl Drop for Schedule {
    fn drop(&mut self) {
        cipher::zeroize::Zeroize::zeroize(&mut self.planes);
    }
}
