//! The S-box as a circuit of 13 AND, OR and XOR gates on bit planes. Plane `b` holds bit `b` of many nibbles.
//!
//! The circuit is that small for two reasons. First, complements of inputs and outputs cost nothing, because they become part of the round
//! keys. Second, nibbles may be in another basis of GF(2)^4. With X' = L X for all nibbles of state and key, a round O ^= S(E ^ K) becomes
//! O' ^= L S(L^-1 (E' ^ K')). So L takes time only when blocks and keys are loaded and stored.
//!
//! The search in `tools/` found this circuit among all 16 complements and 20,160 bases. The best circuit that it found in the standard basis
//! has 14 gates. The complements are placed so that no gate needs an inverted operand. It is not proved that 12 gates are impossible.

use core::ops::{BitAnd, BitOr, BitXor, Not};

/// A machine word that holds one bit of many nibbles.
pub(crate) trait Plane:
    Copy + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Not<Output = Self>
{
}

impl<T> Plane for T where
    T: Copy + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Not<Output = Self>
{
}

/// `circuit(X' ^ INPUT_COMPLEMENT) ^ OUTPUT_COMPLEMENT` is the S-box in the basis of the circuit.
pub(crate) const INPUT_COMPLEMENT: u8 = 0b1010;

/// See [`INPUT_COMPLEMENT`].
pub(crate) const OUTPUT_COMPLEMENT: u8 = 0b0110;

/// The S-box in the basis of the circuit, up to its complements: 13 gates.
#[inline(always)]
pub(crate) fn circuit<P: Plane>([x0, x1, x2, x3]: [P; 4]) -> [P; 4] {
    let t0 = x0 ^ (x2 & x3);
    let t1 = t0 & x0;
    let t2 = x3 ^ t0;
    let t3 = x2 ^ (t2 | x1);
    let y3 = t1 ^ t3;
    let y2 = x3 ^ (t3 | x1);
    let y1 = t0 ^ (y3 & y2);
    let y0 = x1 ^ (y2 | t3);
    [y0, y1, y2, y3]
}

/// Applies L: converts from the standard basis to the basis of the circuit.
#[inline(always)]
pub(crate) fn to_basis<P: Plane>([x0, x1, x2, x3]: [P; 4]) -> [P; 4] {
    let sum = x0 ^ x1;
    [sum, x2, x1 ^ x2, sum ^ x3]
}

/// Applies L^-1: converts from the basis of the circuit to the standard basis.
#[inline(always)]
pub(crate) fn from_basis<P: Plane>([x0, x1, x2, x3]: [P; 4]) -> [P; 4] {
    let sum = x1 ^ x2;
    [x0 ^ sum, sum, x1, x0 ^ x3]
}

/// Returns L of one public nibble.
pub(crate) const fn nibble_to_basis(nibble: u8) -> u8 {
    let [x0, x1, x2, x3] = [nibble & 1, nibble >> 1 & 1, nibble >> 2 & 1, nibble >> 3 & 1];
    (x0 ^ x1) | x2 << 1 | (x1 ^ x2) << 2 | (x0 ^ x1 ^ x3) << 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::SBOX;

    /// All 16 inputs side by side: bit `x` of plane `b` is bit `b` of `x`.
    const ALL: [u16; 4] = [0xAAAA, 0xCCCC, 0xF0F0, 0xFF00];

    /// Adds `nibble` to every nibble.
    fn complement(nibble: u8, planes: [u16; 4]) -> [u16; 4] {
        [0, 1, 2, 3].map(|b| if nibble >> b & 1 == 1 { !planes[b] } else { planes[b] })
    }

    #[test]
    fn circuit_is_the_sbox() {
        let output =
            from_basis(complement(OUTPUT_COMPLEMENT, circuit(complement(INPUT_COMPLEMENT, to_basis(ALL)))));
        for x in 0..16 {
            let y = (0..4).fold(0, |y, b| y | (output[b] >> x & 1) << b);
            assert_eq!(y, u16::from(SBOX[x]), "S({x:X})");
        }
    }

    #[test]
    fn bases_are_inverse() {
        assert_eq!(from_basis(to_basis(ALL)), ALL);
        for nibble in 0..16 {
            let planes = to_basis([0, 1, 2, 3].map(|b| nibble >> b & 1));
            assert_eq!(nibble_to_basis(nibble), (0..4).fold(0, |y, b| y | planes[b] << b));
        }
    }
}
