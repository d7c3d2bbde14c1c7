//! What a mode of operation does with blocks of one share.
//!
//! A mode that is linear in secrets computes on each share by itself. Code that adds words of both shares, or has them in the same register one
//! after the other, shows a secret to whoever measures the power. A compiler may do that. So code of a mode only hands references to these
//! functions, one share after the other, and touches no word of a share. On ARMv7-M and ARMv8-M with the Main Extension they are assembly,
//! which leaves registers and the bus of the memory public, and of which the package `masking` of the repository proves that it shows no secret.
//!
//! Blocks are in the order of memory, and elements of GF(2^64) modulo x^64 + x^4 + x^3 + x + 1 in big-endian order. The numbers of blocks are public.

pub use crate::backends::masked::{ShareBlock, add, double, select, set_sum, times_16};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::masked::{bytes, words};
    use cipher::Array;
    use std::vec::Vec;

    /// Blocks that look random.
    fn blocks(seed: u8, count: u8) -> Vec<ShareBlock> {
        let block = |i| words(&Array(crate::reference::encrypt(&[seed; 16], [i; 8])));
        (0..count).map(block).collect()
    }

    #[test]
    fn blocks_are_added_and_selected() {
        for count in 0..6 {
            let (x, y) = (blocks(1, 4), blocks(2, count));
            let expected = |op: fn(u32, u32) -> u32| -> Vec<ShareBlock> {
                x.iter().zip(&y).map(|(x, y)| [op(x[0], y[0]), op(x[1], y[1])]).collect()
            };
            let common = usize::from(count).min(x.len());
            let (mut sum, mut added, mut selected) = (blocks(3, 5), x.clone(), x.clone());
            set_sum(&mut sum, &x, &y);
            add(&mut added, &y);
            select(&mut selected, &y);
            assert_eq!(sum[..common], expected(|x, y| x ^ y));
            assert_eq!(sum[common..], blocks(3, 5)[common..]);
            assert_eq!(added[..common], expected(|x, y| x ^ y));
            assert_eq!(selected[..common], expected(|x, y| x & y));
            assert!(added[common..] == x[common..] && selected[common..] == x[common..]);
        }
    }

    #[test]
    fn blocks_are_multiplied() {
        let double = |x: u64| x << 1 ^ if x >> 63 == 1 { 0x1B } else { 0 };
        let value = |block: ShareBlock| u64::from_be_bytes(bytes(block).0);
        for count in 0..6 {
            let x = blocks(4, count);
            let (mut powers, mut products) = (x.clone(), x.clone());
            super::double(&mut powers);
            times_16(&mut products);
            for i in 0..x.len() {
                let expected = (0..i).fold(value(x[0]), |x, _| double(x));
                assert_eq!(value(powers[i]), expected);
                assert_eq!(value(products[i]), (0..4).fold(value(x[i]), |x, _| double(x)));
            }
        }
    }
}
