//! TWINE as its paper states it, nibble by nibble: the oracle that tests compare every backend with.
//!
//! Suzaki, Minematsu, Morioka, Kobayashi: *TWINE: A Lightweight Block Cipher for Multiple Platforms*, SAC 2012.
//! It indexes a table with secrets and is slow: nothing but tests and the vector generator may use it.

/// Rounds of both key sizes (section 2).
pub const ROUNDS: usize = 36;

/// The S-box (section 2.2, table 1).
pub const SBOX: [u8; 16] = [0xC, 0x0, 0xF, 0xA, 0x2, 0xB, 0x9, 0x5, 0x8, 0x3, 0xD, 0x7, 0x1, 0xE, 0x6, 0x4];

/// The nibble shuffle: nibble `h` goes to place `SHUFFLE[h]` (section 2.2, table 2).
pub const SHUFFLE: [usize; 16] = [5, 0, 1, 4, 7, 12, 3, 8, 13, 6, 9, 2, 15, 10, 11, 14];

/// The `N` nibbles of `bytes`; nibble 0 is the high half of byte 0.
fn nibbles<const N: usize>(bytes: &[u8]) -> [u8; N] {
    core::array::from_fn(|i| if i % 2 == 0 { bytes[i / 2] >> 4 } else { bytes[i / 2] & 0xF })
}

/// The 8 bytes that hold 16 nibbles.
fn block(nibbles: &[u8; 16]) -> [u8; 8] {
    core::array::from_fn(|i| nibbles[2 * i] << 4 | nibbles[2 * i + 1])
}

/// The 36 round keys of 8 nibbles each (section 2.3).
///
/// # Panics
/// If the key has neither 10 nor 16 bytes.
#[must_use]
pub fn round_keys(key: &[u8]) -> [[u8; 8]; ROUNDS] {
    match key.len() {
        10 => key_schedule(nibbles::<20>(key), [1, 3, 4, 6, 13, 14, 15, 16]),
        16 => key_schedule(nibbles::<32>(key), [2, 3, 12, 15, 17, 18, 28, 31]),
        _ => panic!("a TWINE key has 10 or 16 bytes"),
    }
}

fn key_schedule<const N: usize>(mut wk: [u8; N], places: [usize; 8]) -> [[u8; 8]; ROUNDS] {
    let mut con = 1u8;
    core::array::from_fn(|_| {
        let round_key = places.map(|place| wk[place]);
        wk[1] ^= SBOX[usize::from(wk[0])];
        wk[4] ^= SBOX[usize::from(wk[16])];
        if N == 32 {
            wk[23] ^= SBOX[usize::from(wk[30])];
        }
        wk[7] ^= con >> 3;
        wk[19] ^= con & 7;
        con = if con & 0x20 == 0 { con << 1 } else { con << 1 ^ 0x43 }; // z^6 + z + 1
        wk[..4].rotate_left(1);
        wk.rotate_left(4);
        round_key
    })
}

/// The round function without the shuffle; its own inverse.
fn add_f(x: &mut [u8; 16], round_key: &[u8; 8]) {
    for j in 0..8 {
        x[2 * j + 1] ^= SBOX[usize::from(x[2 * j] ^ round_key[j])];
    }
}

/// Encrypts one block (section 2.2).
///
/// # Panics
/// If the key has neither 10 nor 16 bytes.
#[must_use]
pub fn encrypt(key: &[u8], plaintext: [u8; 8]) -> [u8; 8] {
    let mut x: [u8; 16] = nibbles(&plaintext);
    for (round, round_key) in round_keys(key).iter().enumerate() {
        add_f(&mut x, round_key);
        if round < ROUNDS - 1 {
            let before = x;
            for h in 0..16 {
                x[SHUFFLE[h]] = before[h];
            }
        }
    }
    block(&x)
}

/// Decrypts one block (section 2.2).
///
/// # Panics
/// If the key has neither 10 nor 16 bytes.
#[must_use]
pub fn decrypt(key: &[u8], ciphertext: [u8; 8]) -> [u8; 8] {
    let mut x: [u8; 16] = nibbles(&ciphertext);
    for (round, round_key) in round_keys(key).iter().enumerate().rev() {
        if round < ROUNDS - 1 {
            let before = x;
            for h in 0..16 {
                x[h] = before[SHUFFLE[h]];
            }
        }
        add_f(&mut x, round_key);
    }
    block(&x)
}
