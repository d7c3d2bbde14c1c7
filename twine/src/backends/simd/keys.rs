//! The key schedule with byte shuffles. It makes the folded round keys.

use super::{Vector, rows};
use crate::{
    consts::{ROUND_CONSTANTS, ROUNDS, SBOX},
    placement::{NIBBLE_OF_LANE, PERIOD},
};

/// The expanded key of the SIMD backends: all round keys, with one byte for each nibble, in the order of memory. It has 1,520 bytes.
///
/// The arrays have words as elements, because erasing an array takes a store for each element.
#[derive(Clone)]
pub(crate) struct ExpandedKey {
    /// The folded keys RK\[r - 1\] ^ RK\[r + 1\] by lane, with each byte four times. Round keys outside of 0..36 are zero.
    pub(crate) columns: [[u32; 8]; ROUNDS],
    /// The folded keys in the order of [`rows`].
    pub(crate) rows: [u64; ROUNDS],
    /// RK\[0\] and RK\[35\] by lane, with each byte four times.
    pub(crate) outer_columns: [[u32; 8]; 2],
    /// RK\[0\] and RK\[35\], in the order of bytes.
    pub(crate) outer_rows: [u64; 2],
}

/// A move of nibbles of the key state to 32 places, as four shuffle indices: to the low half from the low half and from the high half, then
/// to the high half from the low half and from the high half.
type Move = [[u8; 16]; 4];

/// The index of a [`Move`] that moves nothing.
const NONE: u8 = 0x80;

/// The values that differ between the two key sizes.
struct KeySize {
    /// The number of nibbles of the key.
    nibbles: u8,
    /// The nibbles of the state that make a round key.
    round_key: [u8; 8],
    /// `(from, to)`: WK\[to\] ^= S(WK\[from\]).
    feedback: &'static [(u8, u8)],
}

/// TWINE-80.
const KEY_80: KeySize =
    KeySize { nibbles: 20, round_key: [1, 3, 4, 6, 13, 14, 15, 16], feedback: &[(0, 1), (16, 4)] };

/// TWINE-128.
const KEY_128: KeySize = KeySize {
    nibbles: 32,
    round_key: [2, 3, 12, 15, 17, 18, 28, 31],
    feedback: &[(0, 1), (16, 4), (30, 23)],
};

/// The shuffles of one key size.
struct Moves {
    /// Moves S-box outputs to the places where they are added.
    feedback: Move,
    /// Does the two rotations.
    rotation: Move,
    /// Takes the round keys, by lane, for each round of a period.
    round_keys: [Move; PERIOD],
}

impl Moves {
    const fn new(size: &KeySize) -> Self {
        let mut feedback = [NONE; 32];
        let mut i = 0;
        while i < size.feedback.len() {
            let (from, to) = size.feedback[i];
            feedback[to as usize] = from;
            i += 1;
        }

        let mut rotation = [NONE; 32];
        let mut i = 0;
        while i < size.nibbles {
            let before = (i + 4) % size.nibbles;
            rotation[i as usize] = if before < 4 { (before + 1) % 4 } else { before };
            i += 1;
        }

        let mut round_keys = [[[NONE; 16]; 4]; PERIOD];
        let mut r = 0;
        while r < PERIOD {
            let mut places = [NONE; 32];
            let mut p = 0;
            while p < 8 {
                places[p] = size.round_key[NIBBLE_OF_LANE[r][p] as usize];
                p += 1;
            }
            round_keys[r] = to_indices(&places);
            r += 1;
        }
        Self { feedback: to_indices(&feedback), rotation: to_indices(&rotation), round_keys }
    }
}

/// Returns the indices of a move. `from` has the nibble that goes to each place.
const fn to_indices(from: &[u8; 32]) -> Move {
    let mut indices = [[NONE; 16]; 4];
    let mut to = 0;
    while to < 32 {
        if from[to] != NONE {
            indices[to / 16 * 2 + from[to] as usize / 16][to % 16] = from[to] % 16;
        }
        to += 1;
    }
    indices
}

static MOVES_80: Moves = Moves::new(&KEY_80);
static MOVES_128: Moves = Moves::new(&KEY_128);

/// The round constants in the places where they are added: the high part to nibble 7, and the low part to nibble 19.
static CONSTANTS: [[[u8; 16]; 2]; ROUNDS] = {
    let mut constants = [[[0; 16]; 2]; ROUNDS];
    let mut r = 0;
    while r < ROUNDS {
        constants[r][0][7] = ROUND_CONSTANTS[r] >> 3;
        constants[r][1][3] = ROUND_CONSTANTS[r] & 7;
        r += 1;
    }
    constants
};

/// Repeats each of eight bytes four times.
static SPREAD: [[u8; 16]; 2] =
    [[0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3], [4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7]];

impl ExpandedKey {
    /// Without a key.
    pub(crate) const ZERO: Self =
        Self { columns: [[0; 8]; ROUNDS], rows: [0; ROUNDS], outer_columns: [[0; 8]; 2], outer_rows: [0; 2] };

    /// Expands a key of 10 or 16 bytes in place, with vectors of 16 bytes.
    ///
    /// # Safety
    /// The CPU has the features of `V`.
    #[inline(always)]
    pub(crate) unsafe fn expand<V: Vector>(&mut self, key: &[u8]) {
        const { assert!(V::WIDTH == 16) };
        let moves = if key.len() == 16 { &MOVES_128 } else { &MOVES_80 };
        let mut bytes = [0; 16];
        bytes[..key.len()].copy_from_slice(key);
        // SAFETY: by the caller's word.
        let (sbox, key) = unsafe { (V::load(&SBOX), V::load(&bytes)) };
        let (high_nibbles, low_nibbles) = (key.high_nibbles(), key.low_nibbles());
        let mut low = high_nibbles.interleave_low(low_nibbles);
        let mut high = high_nibbles.interleave_high(low_nibbles);
        // RK[r - 2] and RK[r - 1] by lane, in the low halves. They are zero before the first and after the last round key.
        // SAFETY: by the caller's word.
        let mut before = unsafe { [V::repeat_8(0), V::repeat_8(0)] };
        for r in 0..ROUNDS {
            let round_key = move_to_low(&moves.round_keys[r % PERIOD], low, high);
            if let Some(outer) = [0, ROUNDS - 1].iter().position(|outer| r == *outer) {
                store_for_columns(round_key, &mut self.outer_columns[outer]);
                store_for_rows(round_key, &rows::OUTER_KEY_ORDERS[outer], &mut self.outer_rows[outer]);
            }
            if r > 0 {
                self.set_folded(r - 1, before[0].xor(round_key));
            }
            before = [before[1], round_key];
            let (low_output, high_output) = (sbox.shuffle(low), sbox.shuffle(high));
            // SAFETY: by the caller's word.
            let (low_constant, high_constant) =
                unsafe { (V::load(&CONSTANTS[r][0]), V::load(&CONSTANTS[r][1])) };
            low = low.xor_3(low_constant, move_to_low(&moves.feedback, low_output, high_output));
            high = high.xor_3(high_constant, move_to_high(&moves.feedback, low_output, high_output));
            (low, high) = (move_to_low(&moves.rotation, low, high), move_to_high(&moves.rotation, low, high));
        }
        self.set_folded(ROUNDS - 1, before[0]);
        // This is not done earlier, because a call while the key is in registers would store them.
        #[cfg(feature = "zeroize")]
        cipher::zeroize::Zeroize::zeroize(&mut bytes);
    }

    #[inline(always)]
    fn set_folded<V: Vector>(&mut self, r: usize, key: V) {
        store_for_columns(key, &mut self.columns[r]);
        store_for_rows(key, &rows::KEY_ORDER[r % PERIOD], &mut self.rows[r]);
    }
}

/// Returns the bytes of words, so that a vector is stored directly in its final place.
#[inline(always)]
fn bytes_of<const N: usize, T: Word>(words: &mut T) -> &mut [u8; N] {
    const { assert!(size_of::<T>() == N) };
    // SAFETY: there are `N` bytes. All values of bytes and of words are valid, and bytes need no alignment.
    unsafe { &mut *core::ptr::from_mut(words).cast() }
}

/// Words without padding, for which all values are valid.
trait Word {}
impl Word for u64 {}
impl Word for [u32; 8] {}

/// Stores the first eight bytes of `key` in the order `order`.
#[inline(always)]
fn store_for_rows<V: Vector>(key: V, order: &[u8; 16], row: &mut u64) {
    // SAFETY: `key` exists.
    key.shuffle(unsafe { V::load(order) }).store_part(bytes_of::<8, _>(row));
}

/// Returns the low half of the result of a move.
#[inline(always)]
fn move_to_low<V: Vector>(indices: &Move, low: V, high: V) -> V {
    // SAFETY: `low` exists.
    unsafe { low.shuffle(V::load(&indices[0])).xor(high.shuffle(V::load(&indices[1]))) }
}

/// Returns the high half of the result of a move.
#[inline(always)]
fn move_to_high<V: Vector>(indices: &Move, low: V, high: V) -> V {
    // SAFETY: `low` exists.
    unsafe { low.shuffle(V::load(&indices[2])).xor(high.shuffle(V::load(&indices[3]))) }
}

/// Stores each of the first eight bytes of `key` four times.
#[inline(always)]
fn store_for_columns<V: Vector>(key: V, columns: &mut [u32; 8]) {
    let bytes = bytes_of::<32, _>(columns);
    for half in 0..2 {
        // SAFETY: `key` exists.
        key.shuffle(unsafe { V::load(&SPREAD[half]) }).store(&mut bytes[16 * half..]);
    }
}

#[cfg(feature = "zeroize")]
impl Drop for ExpandedKey {
    fn drop(&mut self) {
        use cipher::zeroize::Zeroize;

        self.columns.zeroize();
        self.rows.zeroize();
        self.outer_columns.zeroize();
        self.outer_rows.zeroize();
    }
}
