//! The key schedule (paper, section 2.3) on words, four rounds at once. It uses no table of secrets and no secret index.
//!
//! # Words
//! Each round rotates the nibbles WK to the left by four, and the first four of them by one more. So WK consists of *columns* of four
//! nibbles: a round rotates the first column and makes it the last one. Here a word holds place `i` of four columns, each column in one
//! byte.
//!
//! # Four rounds at once
//! With 128 bits, each round puts two nibbles through the S-box into WK\[4\] and WK\[23\]. Apart from round constants, these nibbles were
//! last changed at least four rounds before. So the eight inputs of four rounds are known at the start, and one pass of the S-box circuit
//! does them all. WK\[1\] gets the S-box output of what the previous round put into WK\[4\], so a second pass does four rounds of these.
//! With 80 bits each round waits for the previous one, and four rounds take four passes.
//!
//! Then each of the eight nibbles of a round key is, for four rounds, a word of four bytes. It is a word of the state or lies across two of
//! them.
//!
//! # Complements and basis
//! Nibbles are in the basis of the circuit, with the complement of its inputs (see [`crate::sbox`]), because round keys need both.

use crate::{
    consts::{ROUND_CONSTANTS, ROUNDS},
    placement::NIBBLE_OF_LANE,
    sbox,
};

/// The number of rounds that are done at once.
const STEP: usize = 4;

/// The low nibbles of bytes.
const LOW: u32 = 0x0F0F_0F0F;

/// Sets each round key to what `from_packed` makes of the packed key. In the packed key, nibble `2 * i` is for lane `3 - i`, nibble
/// `2 * i + 1` is for lane `4 + i`, and bit `b` of nibble `n` is at bit `4 * n + b`. The key has the complements with which the S-box
/// circuit of its round computes the S-box.
///
/// A key of 16 bytes is for TWINE-128, and any other key is for TWINE-80.
#[inline(always)]
pub(crate) fn expand<K>(key: &[u8], round_keys: &mut [K; ROUNDS], from_packed: impl Fn(u32) -> K) {
    if key.len() == 16 {
        expand_with(Schedule::four_rounds_128, key, round_keys, from_packed);
    } else {
        expand_with(Schedule::four_rounds_80, key, round_keys, from_packed);
    }
}

#[inline(never)]
fn expand_with<K>(
    four_rounds: impl Fn(&mut Schedule, &Constants) -> [u32; 8],
    key: &[u8],
    round_keys: &mut [K; ROUNDS],
    from_packed: impl Fn(u32) -> K,
) {
    let mut schedule = Schedule::new(key);
    for (round_keys, constants) in round_keys.chunks_exact_mut(STEP).zip(&CONSTANTS) {
        let packed = pack(four_rounds(&mut schedule, constants), constants.exchanged);
        // This is not a loop, because the compiler does not unroll loops when it optimises for size.
        if let ([k0, k1, k2, k3], [p0, p1, p2, p3]) = (round_keys, packed) {
            *k0 = from_packed(p0);
            *k1 = from_packed(p1);
            *k2 = from_packed(p2);
            *k3 = from_packed(p3);
        }
        // This keeps the schedule in memory, which is erased, and not in places that the compiler chooses.
        core::hint::black_box(&mut schedule);
    }
}

/// The lanes of nibbles `j` and `7 - j` of a round key always add up to 7. Such lanes are the two halves of a byte in a packed key. Four
/// rounds later the two nibbles are exchanged. `PLACES[r][i]` is the lesser nibble in byte `i` of round `r`. `EXCHANGED[j]` covers the
/// bytes of the rounds that have the greater nibble in the low half.
const PLACES: [[usize; 4]; STEP] = PAIRS.0;
const EXCHANGED: [u32; 4] = PAIRS.1;
const PAIRS: ([[usize; 4]; STEP], [u32; 4]) = {
    let (mut places, mut exchanged) = ([[0; 4]; STEP], [0; 4]);
    let mut r = 0;
    while r < STEP {
        let mut i = 0;
        while i < 4 {
            let j = NIBBLE_OF_LANE[r][3 - i];
            assert!(NIBBLE_OF_LANE[r][4 + i] == 7 - j && NIBBLE_OF_LANE[r + STEP][3 - i] == 7 - j);
            places[r][i] = if j < 4 { j } else { 7 - j } as usize;
            if j >= 4 {
                exchanged[places[r][i]] |= 0x0F << (8 * r);
            }
            i += 1;
        }
        r += 1;
    }
    (places, exchanged)
};

/// Packs four round keys. Each word of `nibbles` has one nibble of all four, each round in one byte.
#[inline(always)]
fn pack(nibbles: [u32; 8], exchanged: u32) -> [u32; STEP] {
    let pair = |j: usize| {
        let (low, high) = (nibbles[j], nibbles[7 - j]);
        let difference = (low ^ high) & (EXCHANGED[j] ^ exchanged);
        (low ^ difference) | (high ^ difference) << 4
    };
    let pairs = [pair(0), pair(1), pair(2), pair(3)];
    let join = |r: usize| {
        let byte = |i: usize| pairs[PLACES[r][i]] >> (8 * r) & 0xFF;
        byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24
    };
    // Rounds 1 and 2 of each step read a half that took in an odd number of outputs.
    let carried = u32::from(sbox::OUTPUT_COMPLEMENT) * 0x1111_1111;
    [join(0), join(1) ^ carried, join(2) ^ carried, join(3)]
}

/// The state of the key schedule.
pub(crate) struct Schedule {
    /// The first four columns, by place in the column.
    first: [u32; 4],
    /// The other columns: four of them, or with 80 bits only one, in the lowest byte.
    second: [u32; 4],
}

/// The constants that four rounds add to WK\[7\] and to WK\[19\], in the basis of the circuit. The first is in the byte of the column that it
/// is added to. The second has each round in one byte.
struct Constants {
    to_7: u32,
    to_19: u32,
    /// [`LOW`] if the nibbles `j` and `7 - j` of all round keys are exchanged, else zero.
    exchanged: u32,
}

static CONSTANTS: [Constants; ROUNDS / STEP] = constants();

const fn constants() -> [Constants; ROUNDS / STEP] {
    let mut all = [const { Constants { to_7: 0, to_19: 0, exchanged: 0 } }; ROUNDS / STEP];
    let mut r = 0;
    while r < ROUNDS {
        let (step, i) = (r / STEP, r % STEP);
        let constant = ROUND_CONSTANTS[r];
        all[step].to_7 |= (sbox::nibble_to_basis(constant >> 3) as u32) << (8 * ((i + 1) % STEP));
        all[step].exchanged = if step % 2 == 1 { LOW } else { 0 };
        all[step].to_19 |= (sbox::nibble_to_basis(constant & 7) as u32) << (8 * i);
        r += 1;
    }
    all
}

/// The constants of each step as the masked kernels take them: `to_7`, `to_19`, and which nibbles `j` and `7 - j` are exchanged.
#[cfg(all(twine_masked, twine_thumb = "v7m"))]
pub(crate) type MaskedConstants = [[u32; 6]; ROUNDS / STEP];

#[cfg(all(twine_masked, twine_thumb = "v7m"))]
pub(crate) static MASKED_CONSTANTS: MaskedConstants = {
    let (all, mut words) = (constants(), [[0; 6]; ROUNDS / STEP]);
    let mut step = 0;
    while step < words.len() {
        let Constants { to_7, to_19, exchanged } = all[step];
        words[step] = [
            to_7,
            to_19,
            EXCHANGED[0] ^ exchanged,
            EXCHANGED[1] ^ exchanged,
            EXCHANGED[2] ^ exchanged,
            EXCHANGED[3] ^ exchanged,
        ];
        step += 1;
    }
    words
};

impl Schedule {
    /// Starts with a key of 10 or 16 bytes.
    #[inline(always)]
    pub(crate) fn new(key: &[u8]) -> Self {
        let (first, second) = key.split_at_checked(8).unwrap_or((key, &[]));
        // TWINE-80 has five columns.
        let mask = if second.len() == 8 { LOW } else { 0x0F };
        Self { first: columns(first, LOW), second: columns(second, mask) }
    }

    /// Returns the nibbles of four round keys and advances by four rounds. Each word has one nibble of all four, each round in one byte.
    #[inline(always)]
    fn four_rounds_128(&mut self, constants: &Constants) -> [u32; 8] {
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (self.first, self.second);
        let (to_b3, to_a3) = (constants.to_7 & 0xFF, constants.to_7 & !0xFF);
        let new_a3 = a3 ^ to_a3;
        // WK[16] and WK[30], which go to WK[4] and WK[23].
        let outputs = substitute(b0 | (new_a3 << 8 | b2 >> 24) << 4);
        let (to_4, to_23) = (outputs & LOW, outputs >> 4 & LOW);
        let new_a0 = a0 ^ to_4 << 8;
        let new_a1 = a1 ^ substitute(new_a0) & LOW;
        let mid_b3 = b3 ^ to_23 << 8 ^ constants.to_19;
        self.first = [b0 ^ to_4 >> 24, b1, b2, mid_b3 ^ to_b3];
        self.second = [new_a1, a2, new_a3, new_a0 ^ to_23 >> 24];
        // WK[2], WK[3], WK[12], WK[15], WK[17], WK[18], WK[28], WK[31].
        [
            a2,
            new_a3,
            a0 >> 24 | b0 << 8,
            a3 >> 24 | mid_b3 << 8,
            b1,
            b2,
            b0 >> 24 | new_a1 << 8,
            b3 >> 24 | new_a0 << 8,
        ]
    }

    /// Does what [`Self::four_rounds_128`] does, with 80 bits.
    #[inline(always)]
    fn four_rounds_80(&mut self, constants: &Constants) -> [u32; 8] {
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (self.first, self.second);
        let (mut new_a0, mut new_a1, mut new_b0) = (a0, a1, b0);
        for round in 0..STEP {
            // WK[0] and WK[16], which go to WK[1] and WK[4].
            let outputs = substitute(new_a0 | (new_a1 << 8 | b0) << 4);
            let byte = 0x0F << (8 * round);
            let to_4 = outputs >> 4 & byte;
            new_a1 ^= outputs & byte;
            new_a0 ^= to_4 << 8;
            new_b0 ^= to_4 >> 24;
        }
        let (to_b3, to_a3) = (constants.to_7 & 0xFF, constants.to_7 & !0xFF);
        let new_a3 = a3 ^ to_a3;
        let mid_b3 = b3 ^ constants.to_19 & 0xFF;
        let turned_a0 = new_a0 ^ constants.to_19 >> 8;
        self.first = [new_b0 | new_a1 << 8, b1 | a2 << 8, b2 | new_a3 << 8, mid_b3 ^ to_b3 | turned_a0 << 8];
        self.second = [new_a1 >> 24, a2 >> 24, new_a3 >> 24, turned_a0 >> 24];
        // WK[1], WK[3], WK[4], WK[6], WK[13], WK[14], WK[15], WK[16].
        [
            a1,
            new_a3,
            a0 >> 8 | b0 << 24,
            a2 >> 8 | b2 << 24,
            a1 >> 24 | b1 << 8 | a2 << 16,
            a2 >> 24 | b2 << 8 | new_a3 << 16,
            a3 >> 24 | mid_b3 << 8 | turned_a0 << 16,
            b0 | new_a1 << 8,
        ]
    }
}

/// Returns up to four columns of nibbles, by place in the column, with the complement of inputs. `mask` selects the columns.
#[inline(always)]
fn columns(bytes: &[u8], mask: u32) -> [u32; 4] {
    let word = |offset: usize| {
        let byte = |i: usize| bytes.get(2 * i + offset).copied().unwrap_or(0);
        to_basis(u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]))
    };
    let (even, odd) = (word(0), word(1));
    [even >> 4 & mask, even & mask, odd >> 4 & mask, odd & mask]
}

/// Converts eight nibbles to the basis of the circuit, with the complement of inputs.
#[inline(never)]
fn to_basis(x: u32) -> u32 {
    join(sbox::to_basis(split(x))) ^ (u32::from(sbox::INPUT_COMPLEMENT) * 0x1111_1111)
}

/// Returns the S-box of eight nibbles. The inputs have the complement of inputs, and the outputs have not.
#[inline(never)]
fn substitute(x: u32) -> u32 {
    join(sbox::circuit(split(x))) ^ (u32::from(sbox::OUTPUT_COMPLEMENT) * 0x1111_1111)
}

/// Returns the planes of eight nibbles.
#[inline(always)]
fn split(x: u32) -> [u32; 4] {
    let plane = |x: u32| x & 0x1111_1111;
    // This is not a loop, because the compiler does not unroll loops when it optimises for size.
    [plane(x), plane(x >> 1), plane(x >> 2), plane(x >> 3)]
}

/// The inverse of [`split`].
#[inline(always)]
fn join([x0, x1, x2, x3]: [u32; 4]) -> u32 {
    x0 | x1 << 1 | x2 << 2 | x3 << 3
}

#[cfg(feature = "zeroize")]
impl Drop for Schedule {
    fn drop(&mut self) {
        use cipher::zeroize::Zeroize;

        // This is not a loop, as above.
        let Self { first: [a0, a1, a2, a3], second: [b0, b1, b2, b3] } = self;
        a0.zeroize();
        a1.zeroize();
        a2.zeroize();
        a3.zeroize();
        b0.zeroize();
        b1.zeroize();
        b2.zeroize();
        b3.zeroize();
    }
}

/// Returns the nibble of a packed round key that is for a lane.
#[cfg(test)]
pub(crate) fn nibble_of_lane(lane: u8) -> usize {
    usize::from(if lane < 4 { 2 * (3 - lane) } else { 2 * (lane - 4) + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{placement::PERIOD, reference};

    /// Every nibble of every round key is in its lane, with its complements.
    #[test]
    fn packed_keys_are_those_of_the_reference() {
        for seed in 0..=255 {
            let bytes = reference::encrypt(&[seed; 16], [seed; 8]);
            for key in [[bytes; 2].as_flattened(), &[bytes; 2].as_flattened()[..10]] {
                let mut packed = [0; ROUNDS];
                expand(key, &mut packed, |key| key);
                for (r, (packed, expected)) in packed.iter().zip(reference::round_keys(key)).enumerate() {
                    let carried = if r.div_ceil(2) % 2 == 1 { sbox::OUTPUT_COMPLEMENT } else { 0 };
                    for (lane, j) in (0..).zip(NIBBLE_OF_LANE[r % PERIOD]) {
                        let expected = sbox::nibble_to_basis(expected[usize::from(j)]);
                        assert_eq!(
                            packed >> (4 * nibble_of_lane(lane)) & 0xF,
                            u32::from(expected ^ sbox::INPUT_COMPLEMENT ^ carried),
                            "{} bytes, round {r}, lane {lane}",
                            key.len()
                        );
                    }
                }
            }
        }
    }
}
