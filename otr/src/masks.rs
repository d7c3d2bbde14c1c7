//! The masks of AES-OTR v3, and why other masks are not safe.
//!
//! Pair `i` of the message takes the masks 2^i L and 3 * 2^i L. The checksum takes 7 or 9 times the mask of the last block. Associated
//! data takes 2^i Q, and 3 or 9 times that at its end. So the masks in use are 2^i times 1, 3, 9, 7, 27 and 21. Here 2, 3 and 7 stand for
//! x, x + 1 and x^2 + x + 1. The others stand for products in the field: 9 = 3 * 3, 27 = 3 * 9, 21 = 3 * 7.
//!
//! With n = 64 this choice matters, because 2^64 = 3 * 3 * 7 in that field. Versions 1 and 2 of OTR have a checksum mask with the factor
//! 3 * 3 * 7. It equals the mask of a block 64 pairs later, which makes forgeries possible (Bost and Sanders, ASIACRYPT 2016). The tests
//! show this collision. They also prove by discrete logarithms that the masks of version 3 are pairwise distinct for [`MAX_MASKS`] pairs.

use crate::field::{Element, Field};

/// The number of pairs of message blocks, or of blocks of associated data, up to which all masks are distinct, for n = 64 and n = 128.
///
/// The first two equal masks for n = 64 are 2^59.68 pairs apart.
pub(crate) const MAX_MASKS: u64 = 1 << 59;

/// Returns whether there are enough masks for associated data and a message of these lengths in bytes. A block has `block` bytes.
///
/// Associated data in the combined processing takes only half of the masks that this assumes.
pub(crate) fn are_enough(block: usize, associated_data: usize, message: usize) -> bool {
    let blocks = associated_data.div_ceil(block) as u64;
    let pairs = message.div_ceil(2 * block) as u64;
    blocks <= MAX_MASKS && pairs <= MAX_MASKS
}

/// The masks 2^i L of the pairs of one message, or 2^i Q of the blocks of associated data.
#[derive(Clone, Copy)]
pub(crate) struct Masks<F> {
    next: Element<F>,
}

impl<F: Field> Masks<F> {
    /// Starts with L or Q.
    #[inline(always)]
    pub(crate) fn new(first: Element<F>) -> Self {
        Self { next: first }
    }

    /// Returns the next mask.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Element<F> {
        let mask = self.next;
        self.next = mask.double();
        mask
    }

    /// Fills `masks` with the next masks, in the order of memory. The last of these masks is also the first one of the next call.
    #[inline(always)]
    pub(crate) fn fill(&mut self, masks: &mut [F]) {
        if let Some((last, masks)) = masks.split_last_mut() {
            for mask in masks {
                *mask = self.take().swap();
            }
            *last = self.next.swap();
        }
    }

    /// Returns the next [`IN_PARALLEL`] masks.
    #[inline(always)]
    pub(crate) fn in_parallel(mut self) -> ParallelMasks<F> {
        let mut lanes = [[Element::<F>::ZERO; GROUP]; GROUPS];
        for lane in &mut lanes[0] {
            *lane = self.take();
        }
        // Otherwise the compiler would follow single lanes through all later code, instead of whole vectors.
        lanes = core::hint::black_box(lanes);
        for (group, (from, exponent)) in [(0, 8), (0, 16), (1, 16)].into_iter().enumerate() {
            for i in 0..GROUP {
                lanes[group + 1][i] = lanes[from][i].times_power_of_2(exponent);
            }
        }
        ParallelMasks(lanes)
    }
}

/// The number of masks that are computed in parallel, in the lanes of vectors if there are vectors.
pub(crate) const IN_PARALLEL: usize = GROUP * GROUPS;

/// The number of masks in the longest vector.
const GROUP: usize = 8;
const GROUPS: usize = 4;

/// The next [`IN_PARALLEL`] masks of [`Masks`].
#[derive(Clone, Copy)]
pub(crate) struct ParallelMasks<F>([[Element<F>; GROUP]; GROUPS]);

impl<F: Field> ParallelMasks<F> {
    /// A placeholder, for backends that are so narrow that their masks are computed one after the other.
    pub(crate) const NONE: Self = Self([[Element::ZERO; GROUP]; GROUPS]);

    /// Fills `masks` with the next masks, in the order of memory. Their number is a multiple of [`IN_PARALLEL`]. If there is room for more,
    /// the mask after them follows, which is also the first one of the next call.
    #[inline(always)]
    pub(crate) fn fill(&mut self, masks: &mut [F]) {
        let mut groups = masks.chunks_exact_mut(IN_PARALLEL);
        for masks in &mut groups {
            for (masks, lanes) in masks.chunks_exact_mut(GROUP).zip(&mut self.0) {
                for (mask, lane) in masks.iter_mut().zip(lanes) {
                    *mask = lane.swap();
                    *lane = lane.times_power_of_2(32);
                }
            }
        }
        if let [next, ..] = groups.into_remainder() {
            *next = self.0[0][0].swap();
        }
    }

    /// Returns the masks that come next.
    #[inline(always)]
    pub(crate) fn masks(&self) -> Masks<F> {
        Masks { next: self.0[0][0] }
    }
}

/// Returns 3x.
#[inline(always)]
pub(crate) fn times_3<F: Field>(x: Element<F>) -> Element<F> {
    x ^ x.double()
}

/// Returns 7x.
#[inline(always)]
pub(crate) fn times_7<F: Field>(x: Element<F>) -> Element<F> {
    times_3_twice(x) ^ x.double()
}

/// Returns 3 * 3x, which is called 9x above. As polynomials, 3 * 3 = (z + 1)^2 = z^2 + 1.
#[inline(always)]
pub(crate) fn times_3_twice<F: Field>(x: Element<F>) -> Element<F> {
    x ^ x.double().double()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Halves;

    /// Returns the product, computed bit by bit.
    fn multiply<F: Field>(x: Element<F>, y: u128) -> Element<F> {
        let mut sum = Element::ZERO;
        for bit in (0..128).rev() {
            sum = sum.double();
            if y >> bit & 1 == 1 {
                sum = sum ^ x;
            }
        }
        sum
    }

    /// Returns 2^exponent.
    fn power_of_two<F: Field>(
        one: Element<F>,
        exponent: u128,
        value: impl Fn(Element<F>) -> u128,
    ) -> Element<F> {
        (0..128).rev().fold(one, |power, bit| {
            let square = multiply(power, value(power));
            if exponent >> bit & 1 == 1 { square.double() } else { square }
        })
    }

    /// Proves that the masks are distinct. For i and j below [`MAX_MASKS`], 2^i m never equals 2^j m' for two of the multipliers 1, 3, 9, 7,
    /// 27 and 21, and 2^i m never equals 2^j m for one multiplier unless i = j. The proof has three parts: 2 generates the whole
    /// multiplicative group, `log_3` and `log_7` are right, and the logarithms of the multipliers are pairwise at least [`MAX_MASKS`] apart
    /// on the circle of 2^n - 1 exponents.
    fn masks_are_distinct<F: Field + core::fmt::Debug>(
        one: Element<F>,
        value: impl Fn(Element<F>) -> u128 + Copy,
        order: u128,
        factors: &[u128],
        [log_3, log_7]: [u128; 2],
    ) {
        assert_eq!(factors.iter().product::<u128>(), order);
        assert_eq!(power_of_two(one, order, value), one);
        for factor in factors {
            assert_ne!(
                power_of_two(one, order / factor, value),
                one,
                "the order of 2 lacks the factor {factor}"
            );
        }
        assert_eq!(power_of_two(one, log_3, value), times_3(one));
        assert_eq!(power_of_two(one, log_7, value), times_7(one));
        assert_eq!(times_3_twice(one), multiply(times_3(one), value(times_3(one))));

        let sum = |terms: &[u128]| {
            // Modulo the order, without overflow.
            terms
                .iter()
                .fold(0, |sum, term| if sum < order - term { sum + term } else { sum - (order - term) })
        };
        let logarithms = [0, log_3, sum(&[log_3; 2]), log_7, sum(&[log_3; 3]), sum(&[log_3, log_7])];
        for (i, a) in logarithms.iter().enumerate() {
            for b in &logarithms[..i] {
                let distance = a.abs_diff(*b);
                assert!(distance.min(order - distance) >= u128::from(MAX_MASKS), "{a} and {b}");
            }
        }
    }

    const ONE: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];

    /// Returns an element of 64 bits.
    fn element(bytes: [u8; 8]) -> Element<u64> {
        u64::load(&bytes.into()).swap()
    }

    /// Returns the polynomial of an element of 64 bits.
    fn value(x: Element<u64>) -> u128 {
        u64::from_be_bytes(x.swap().store().0).into()
    }

    #[test]
    fn masks_of_64_bits_are_distinct() {
        let factors = [3, 5, 17, 257, 641, 65537, 6_700_417];
        let logarithms = [9_686_038_906_114_705_801, 17_521_410_335_189_691_692];
        masks_are_distinct(element(ONE), value, u128::from(u64::MAX), &factors, logarithms);
    }

    #[test]
    fn masks_of_128_bits_are_distinct() {
        let factors = [3, 5, 17, 257, 641, 65537, 274_177, 6_700_417, 67_280_421_310_721];
        let logarithms =
            [0xfee1_4a6f_b024_a526_c999_aa24_70c1_49a7, 0xe57d_e08b_bbec_a5d9_0c5d_2e69_272d_1404];
        let one = Halves::load(&1u128.to_be_bytes().into()).swap();
        let value = |x: Element<Halves>| u128::from_be_bytes(x.swap().store().0);
        masks_are_distinct(one, value, u128::MAX, &factors, logarithms);
    }

    /// Shows why the masks of versions 1 and 2, with their factor 3 * 3 * 7, are broken for n = 64.
    #[test]
    fn masks_of_earlier_versions_collide() {
        let mut l = element([0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF]);
        let earlier = times_7(times_3_twice(l));
        for _ in 0..64 {
            l = l.double();
        }
        assert_eq!(earlier, l, "3 * 3 * 7 L is the mask 2^64 L");
    }

    /// Fills `count` masks and one more, five times, and compares all of them with powers of two.
    fn masks_in_order(count: usize, mut fill: impl FnMut(&mut [u64])) {
        for portion in 0..5 {
            let mut masks = [0; 2 * IN_PARALLEL + 1];
            fill(&mut masks[..=count]);
            for (i, mask) in masks.into_iter().enumerate().take(count + 1) {
                let expected = power_of_two(element(ONE), (count * portion + i) as u128, value);
                assert_eq!(mask.swap(), expected, "{i} of {portion}");
            }
        }
    }

    #[test]
    fn masks_of_pairs() {
        for count in 0..40 {
            let mut masks = Masks::new(element(ONE));
            masks_in_order(count, |filled| masks.fill(filled));
        }
        for count in [0, IN_PARALLEL, 2 * IN_PARALLEL] {
            let mut lanes = Masks::new(element(ONE)).in_parallel();
            masks_in_order(count, |filled| lanes.fill(filled));
            assert_eq!(lanes.masks().take(), power_of_two(element(ONE), 5 * count as u128, value));
        }
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn masks_are_enough_up_to_the_limit() {
        let blocks = 1usize << 59;
        assert!(are_enough(8, 8 * blocks, 16 * (blocks - 1)));
        assert!(!are_enough(8, 8 * blocks + 1, 0));
        assert!(are_enough(8, 0, usize::MAX / 2 + 1));
        assert!(!are_enough(8, 0, usize::MAX / 2 + 2));
        assert!(are_enough(16, 16 * blocks, usize::MAX));
        assert!(!are_enough(16, 16 * blocks + 1, 0));
    }
}
