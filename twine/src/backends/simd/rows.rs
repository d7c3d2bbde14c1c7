//! The layout with one vector for the even nibbles of a few blocks and one for the odd nibbles. Its rounds have a short latency.
//!
//! A round waits only for one byte shuffle, the S-box, and one sum. There are two reasons. First, the round keys are folded. Second, the S-box
//! output is not moved from lane `p` to lane `p ^ LANE_XOR`. Instead, the odd half is moved to the place of the output, at the same time as
//! the S-box.
//!
//! So the halves drift. Before round `r`, place `p` of the even half has lane `p ^ DRIFT[r]`, and place `p` of the odd half has lane
//! `p ^ DRIFT[r - 1]`. The round moves the odd half by `DRIFT[r + 1] ^ DRIFT[r - 1]`. After eight rounds the drift is zero again. It is the
//! same in reverse order: the even half of round `r` then has the drift `DRIFT[r + 1]`, and the odd half has `DRIFT[r + 2]`.

use super::{Vector, keys::ExpandedKey, load_blocks, store_blocks};
use crate::{
    consts::{ROUNDS, SBOX},
    placement::{LANE_XOR, NIBBLE_OF_LANE, PERIOD},
};

/// `DRIFT[r % PERIOD]` is the sum of `LANE_XOR` of all rounds before `r`.
const DRIFT: [u8; PERIOD] = {
    let mut drift = [0; PERIOD];
    let mut r = 1;
    while r < PERIOD {
        drift[r] = drift[r - 1] ^ LANE_XOR[(r - 1) % 4];
        r += 1;
    }
    drift
};

const fn drift(round: usize) -> u8 {
    DRIFT[round % PERIOD]
}

/// Returns the index of a byte shuffle for two blocks in 16 bytes. Place `p` gets the byte of place `order[p]`.
const fn for_two_blocks(order: [u8; 8]) -> [u8; 16] {
    let mut index = [0; 16];
    let mut p = 0;
    while p < 8 {
        index[p] = order[p];
        index[p + 8] = order[p] + 8;
        p += 1;
    }
    index
}

/// Moves the byte in place `p` to place `p ^ xor`.
const fn move_by(xor: u8) -> [u8; 16] {
    let mut order = [0; 8];
    let mut p = 0;
    while p < 8 {
        order[p as usize] = p ^ xor;
        p += 1;
    }
    for_two_blocks(order)
}

/// The order of the folded keys of round `r % PERIOD`. It is that of the half to which they are added in encryption.
pub(crate) static KEY_ORDER: [[u8; 16]; PERIOD] = {
    let mut orders = [[0; 16]; PERIOD];
    let mut r = 0;
    while r < PERIOD {
        orders[r] = move_by(drift(r + 1));
        r += 1;
    }
    orders
};

/// Returns the order of the bytes of a block in a half of round `round` with a drift. `xor` leads from even to odd lanes.
const fn load_order(round: usize, drift: u8, xor: u8) -> [u8; 8] {
    let mut order = [0; 8];
    let mut p = 0;
    while p < 8 {
        order[p as usize] = NIBBLE_OF_LANE[round % PERIOD][(p ^ drift ^ xor) as usize];
        p += 1;
    }
    order
}

/// Returns the inverse permutation.
const fn inverse(order: [u8; 8]) -> [u8; 8] {
    let mut inverse = [0; 8];
    let mut p = 0;
    while p < 8 {
        inverse[order[p as usize] as usize] = p;
        p += 1;
    }
    inverse
}

/// The drift of the even and of the odd half before round 0 and after round 35, in encryption and in decryption.
const PLAINTEXT_TO_ENCRYPT: (u8, u8) = (drift(0), drift(PERIOD - 1));
const CIPHERTEXT_ENCRYPTED: (u8, u8) = (drift(ROUNDS - 1), drift(ROUNDS));
const CIPHERTEXT_TO_DECRYPT: (u8, u8) = (drift(ROUNDS), drift(ROUNDS + 1));
const PLAINTEXT_DECRYPTED: (u8, u8) = (drift(1), drift(0));

/// The move of the odd half by round `r % 4` in encryption: `drift(r + 1) ^ drift(r - 1)`.
static ENCRYPT_MOVES: [[u8; 16]; 4] = [
    move_by(LANE_XOR[0] ^ LANE_XOR[3]),
    move_by(LANE_XOR[1] ^ LANE_XOR[0]),
    move_by(LANE_XOR[2] ^ LANE_XOR[1]),
    move_by(LANE_XOR[3] ^ LANE_XOR[2]),
];

/// The moves by round `r % 4` in decryption: `drift(r) ^ drift(r + 2)` for the odd half, and `drift(r) ^ drift(r + 1)` for the folded keys.
static DECRYPT_MOVES: [[u8; 16]; 4] = [
    move_by(LANE_XOR[0] ^ LANE_XOR[1]),
    move_by(LANE_XOR[1] ^ LANE_XOR[2]),
    move_by(LANE_XOR[2] ^ LANE_XOR[3]),
    move_by(LANE_XOR[3] ^ LANE_XOR[0]),
];
static DECRYPT_KEY_MOVES: [[u8; 16]; 4] =
    [move_by(LANE_XOR[0]), move_by(LANE_XOR[1]), move_by(LANE_XOR[2]), move_by(LANE_XOR[3])];

/// The byte orders of the even and of the odd half when blocks are loaded or stored.
struct Orders {
    even: [u8; 16],
    odd: [u8; 16],
}

impl Orders {
    const fn load(round: usize, (even, odd): (u8, u8)) -> Self {
        Self {
            even: for_two_blocks(load_order(round, even, 0)),
            odd: for_two_blocks(load_order(round, odd, LANE_XOR[round % 4])),
        }
    }

    const fn store(round: usize, (even, odd): (u8, u8)) -> Self {
        Self {
            even: for_two_blocks(inverse(load_order(round, even, 0))),
            odd: for_two_blocks(inverse(load_order(round, odd, LANE_XOR[round % 4]))),
        }
    }
}

static LOAD_PLAINTEXT: Orders = Orders::load(0, PLAINTEXT_TO_ENCRYPT);
static STORE_CIPHERTEXT: Orders = Orders::store(ROUNDS - 1, CIPHERTEXT_ENCRYPTED);
static LOAD_CIPHERTEXT: Orders = Orders::load(ROUNDS - 1, CIPHERTEXT_TO_DECRYPT);
static STORE_PLAINTEXT: Orders = Orders::store(0, PLAINTEXT_DECRYPTED);

/// The shuffles that bring RK\[0\] and RK\[35\] from the order of lanes to the order of bytes.
pub(crate) static OUTER_KEY_ORDERS: [[u8; 16]; 2] =
    [for_two_blocks(inverse(load_order(0, 0, 0))), for_two_blocks(inverse(load_order(ROUNDS - 1, 0, 0)))];

/// Up to `N * V::WIDTH / 8` blocks, in `N` vectors.
pub(crate) struct Rows<V, const N: usize> {
    even: [V; N],
    odd: [V; N],
}

impl<V: Vector, const N: usize> Rows<V, N> {
    /// Loads blocks to encrypt.
    ///
    /// # Safety
    /// The CPU has the features of `V`.
    #[inline(always)]
    pub(crate) unsafe fn load_plaintext(keys: &ExpandedKey, bytes: &[u8]) -> Self {
        // SAFETY: by the caller's word.
        unsafe { Self::load(bytes, &LOAD_PLAINTEXT, keys.outer_rows[0]) }
    }

    /// Loads blocks to decrypt.
    ///
    /// # Safety
    /// The CPU has the features of `V`.
    #[inline(always)]
    pub(crate) unsafe fn load_ciphertext(keys: &ExpandedKey, bytes: &[u8]) -> Self {
        // SAFETY: by the caller's word.
        unsafe { Self::load(bytes, &LOAD_CIPHERTEXT, keys.outer_rows[1]) }
    }

    #[inline(always)]
    pub(crate) fn encrypt(&mut self, keys: &ExpandedKey) {
        // SAFETY: `self` holds vectors.
        let (sbox, moves) = unsafe { (V::repeat_16(&SBOX), repeat_each::<V>(&ENCRYPT_MOVES)) };
        for keys in keys.rows.chunks_exact(4) {
            for i in 0..4 {
                // SAFETY: `self` holds vectors.
                self.round(sbox, moves[i], unsafe { V::repeat_8(keys[i]) });
            }
        }
    }

    #[inline(always)]
    pub(crate) fn decrypt(&mut self, keys: &ExpandedKey) {
        // SAFETY: `self` holds vectors.
        let (sbox, moves, key_moves) = unsafe {
            (V::repeat_16(&SBOX), repeat_each::<V>(&DECRYPT_MOVES), repeat_each::<V>(&DECRYPT_KEY_MOVES))
        };
        for keys in keys.rows.chunks_exact(4).rev() {
            for i in (0..4).rev() {
                // SAFETY: `self` holds vectors.
                let key = unsafe { V::repeat_8(keys[i]) };
                self.round(sbox, moves[i], key.shuffle(key_moves[i]));
            }
        }
    }

    /// Stores the result of [`Rows::encrypt`].
    #[inline(always)]
    pub(crate) fn store_ciphertext(&self, keys: &ExpandedKey, bytes: &mut [u8]) {
        self.store(bytes, &STORE_CIPHERTEXT, keys.outer_rows[1]);
    }

    /// Stores the result of [`Rows::decrypt`].
    #[inline(always)]
    pub(crate) fn store_plaintext(&self, keys: &ExpandedKey, bytes: &mut [u8]) {
        self.store(bytes, &STORE_PLAINTEXT, keys.outer_rows[0]);
    }

    /// # Safety
    /// The CPU has the features of `V`.
    #[inline(always)]
    unsafe fn load(bytes: &[u8], orders: &Orders, key: u64) -> Self {
        // SAFETY: by the caller's word.
        let (even_order, odd_order, key) =
            unsafe { (V::repeat_16(&orders.even), V::repeat_16(&orders.odd), V::repeat_8(key)) };
        let key = key.shuffle(even_order);
        let (mut evens, mut odds) = ([key; N], [key; N]);
        for n in 0..N {
            let bytes = bytes.get(n * V::WIDTH..).unwrap_or_default();
            // SAFETY: by the caller's word.
            let vector: V = unsafe { if N == 1 { V::load_part(bytes) } else { load_blocks(bytes) } };
            evens[n] = vector.high_nibbles().shuffle(even_order).xor(key);
            odds[n] = vector.low_nibbles().shuffle(odd_order);
        }
        Self { even: evens, odd: odds }
    }

    /// Stores the blocks. The halves have swapped roles after the last round: the even half is now stored as the odd one.
    #[inline(always)]
    fn store(&self, bytes: &mut [u8], orders: &Orders, key: u64) {
        // SAFETY: `self` holds vectors.
        let (even_order, odd_order, key) =
            unsafe { (V::repeat_16(&orders.even), V::repeat_16(&orders.odd), V::repeat_8(key)) };
        for n in 0..N {
            let high = self.odd[n].shuffle(even_order).xor(key);
            let vector = self.even[n].shuffle(odd_order).with_high_nibbles(high);
            let bytes = bytes.get_mut(n * V::WIDTH..).unwrap_or_default();
            store_blocks(vector, bytes);
        }
    }

    #[inline(always)]
    fn round(&mut self, sbox: V, odd_move: V, key: V) {
        for n in 0..N {
            let next = sbox.shuffle(self.even[n]).xor_3(self.odd[n].shuffle(odd_move), key);
            self.odd[n] = self.even[n];
            self.even[n] = next;
        }
    }
}

/// Returns four indices, each repeated.
///
/// # Safety
/// The CPU has the features of `V`.
#[inline(always)]
unsafe fn repeat_each<V: Vector>(indices: &[[u8; 16]; 4]) -> [V; 4] {
    // SAFETY: by the caller's word.
    unsafe {
        [
            V::repeat_16(&indices[0]),
            V::repeat_16(&indices[1]),
            V::repeat_16(&indices[2]),
            V::repeat_16(&indices[3]),
        ]
    }
}
