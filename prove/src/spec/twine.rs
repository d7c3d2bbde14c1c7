//! TWINE, as Suzaki, Minematsu, Morioka and Kobayashi define it (SAC 2012).

use super::{Block, Byte};
use crate::graph::{Graph, Lit};

const ROUNDS: usize = 36;
const SBOX: [u8; 16] = [0xC, 0x0, 0xF, 0xA, 0x2, 0xB, 0x9, 0x5, 0x8, 0x3, 0xD, 0x7, 0x1, 0xE, 0x6, 0x4];
/// Where the shuffle moves each nibble.
const PI: [usize; 16] = [5, 0, 1, 4, 7, 12, 3, 8, 13, 6, 9, 2, 15, 10, 11, 14];
/// Which nibbles of the key's state are a round key.
const TAPS_80: [usize; 8] = [1, 3, 4, 6, 13, 14, 15, 16];
const TAPS_128: [usize; 8] = [2, 3, 12, 15, 17, 18, 28, 31];

/// A nibble, the lowest bit first.
pub type Nibble = [Lit; 4];

/// The keys of all rounds.
pub type RoundKeys = [[Nibble; 8]; ROUNDS];

/// All linear combinations of a nibble but the empty one.
pub fn combinations(g: &mut Graph, nibble: Nibble) -> [Lit; 15] {
    std::array::from_fn(|i| {
        let mut sum = Lit::ZERO;
        for (bit, lit) in nibble.into_iter().enumerate() {
            if (i + 1) >> bit & 1 == 1 {
                sum = g.xor(sum, lit);
            }
        }
        sum
    })
}

/// Hints: all linear combinations of a nibble become nodes.
///
/// The compiled circuits work on the nibbles in another basis. Nodes that are equal merge at once, where they are close; a hint
/// is a node that others can merge with. It cannot make anything true.
fn hint(g: &mut Graph, nibble: Nibble) -> Nibble {
    combinations(g, nibble);
    nibble
}

fn xor(g: &mut Graph, a: Nibble, b: Nibble) -> Nibble {
    let sum = std::array::from_fn(|i| g.xor(a[i], b[i]));
    hint(g, sum)
}

/// The S-box by its algebraic normal form.
fn sbox(g: &mut Graph, x: Nibble) -> Nibble {
    let monomials: [Lit; 16] = std::array::from_fn(|monomial| {
        (0..4).filter(|i| monomial >> i & 1 == 1).fold(Lit::ONE, |product, i| g.and(product, x[i]))
    });
    let y = std::array::from_fn(|bit| {
        let mut sum = Lit::ZERO;
        for monomial in 0..16usize {
            // The coefficient is the sum of the values at all inputs below the monomial (Möbius transform).
            let below = (0..16).filter(|input| input & !monomial == 0);
            if below.filter(|&input| SBOX[input] >> bit & 1 == 1).count() % 2 == 1 {
                sum = g.xor(sum, monomials[monomial]);
            }
        }
        sum
    });
    hint(g, y)
}

/// Nibble 0 is the high half of byte 0.
fn nibbles(bytes: &[Byte]) -> Vec<Nibble> {
    bytes.iter().flat_map(|&[a, b, c, d, e, f, g, h]| [[e, f, g, h], [a, b, c, d]]).collect()
}

fn bytes(nibbles: [Nibble; 16]) -> Block {
    std::array::from_fn(|i| {
        let ([a, b, c, d], [e, f, g, h]) = (nibbles[2 * i + 1], nibbles[2 * i]);
        [a, b, c, d, e, f, g, h]
    })
}

/// The key schedule of a key of 10 or 16 bytes.
///
/// # Panics
/// If the key has another length.
pub fn round_keys(g: &mut Graph, key: &[Byte]) -> RoundKeys {
    let taps = match key.len() {
        10 => TAPS_80,
        16 => TAPS_128,
        length => panic!("a key of {length} bytes"),
    };
    let mut wk = nibbles(key);
    for nibble in &wk {
        hint(g, *nibble);
    }
    let mut constant = 1u8;
    std::array::from_fn(|round| {
        let key = taps.map(|tap| wk[tap]);
        if round < ROUNDS - 1 {
            let mut step = |to: usize, from: usize| {
                let s = sbox(g, wk[from]);
                wk[to] = xor(g, wk[to], s);
            };
            step(1, 0);
            step(4, 16);
            if taps == TAPS_128 {
                step(23, 30);
            }
            for (nibble, value) in [(7, constant >> 3), (19, constant & 7)] {
                wk[nibble] = std::array::from_fn(|bit| {
                    let lit = wk[nibble][bit];
                    if value >> bit & 1 == 1 { !lit } else { lit }
                });
            }
            // Doubling in GF(2^6) with z^6 + z + 1.
            constant = constant << 1 ^ if constant & 0x20 == 0 { 0 } else { 0x43 };
            wk[..4].rotate_left(1);
            wk.rotate_left(4);
        }
        key
    })
}

/// The S-boxes of a round: those of even places, XORed into the odd ones.
fn substitute(g: &mut Graph, x: &mut [Nibble; 16], key: &[Nibble; 8]) {
    for j in 0..8 {
        let keyed = xor(g, x[2 * j], key[j]);
        let s = sbox(g, keyed);
        x[2 * j + 1] = xor(g, x[2 * j + 1], s);
    }
}

fn state(g: &mut Graph, block: &Block) -> [Nibble; 16] {
    let state: [Nibble; 16] = nibbles(block).try_into().expect("16 nibbles");
    state.map(|nibble| hint(g, nibble))
}

/// Encrypts a block.
pub fn encrypt(g: &mut Graph, keys: &RoundKeys, block: &Block) -> Block {
    let mut x = state(g, block);
    for (round, key) in keys.iter().enumerate() {
        substitute(g, &mut x, key);
        if round < ROUNDS - 1 {
            let before = x;
            for h in 0..16 {
                x[PI[h]] = before[h];
            }
        }
    }
    bytes(x)
}

/// Decrypts a block.
pub fn decrypt(g: &mut Graph, keys: &RoundKeys, block: &Block) -> Block {
    let mut x = state(g, block);
    for (round, key) in keys.iter().enumerate().rev() {
        if round < ROUNDS - 1 {
            let before = x;
            for h in 0..16 {
                x[h] = before[PI[h]];
            }
        }
        substitute(g, &mut x, key);
    }
    bytes(x)
}
