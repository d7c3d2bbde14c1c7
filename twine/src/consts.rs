//! The constants of the TWINE paper (sections 2.2 and 2.3).

/// The number of rounds, for both key sizes.
pub(crate) const ROUNDS: usize = 36;

/// The S-box, for byte shuffles that read it from a register.
#[cfg(twine_simd)]
pub(crate) const SBOX: [u8; 16] =
    [0xC, 0x0, 0xF, 0xA, 0x2, 0xB, 0x9, 0x5, 0x8, 0x3, 0xD, 0x7, 0x1, 0xE, 0x6, 0x4];

/// The nibble shuffle: nibble `h` moves to place `SHUFFLE[h]`. Every even nibble moves to an odd place, and every odd one to an even place.
pub(crate) const SHUFFLE: [u8; 16] = [5, 0, 1, 4, 7, 12, 3, 8, 13, 6, 9, 2, 15, 10, 11, 14];

/// The round constants `CON`, one for each round: powers of z in GF(2)\[z\] / (z^6 + z + 1).
///
/// The last one is never used, because the schedule stops with the last round key.
pub(crate) const ROUND_CONSTANTS: [u8; ROUNDS] = {
    let mut constants = [1u8; ROUNDS];
    let mut i = 1;
    while i < ROUNDS {
        let doubled = constants[i - 1] << 1;
        constants[i] = if doubled & 0x40 == 0 { doubled } else { doubled ^ 0x43 };
        i += 1;
    }
    constants
};
