//! Words of bits, the lowest first.

use crate::{
    fault::Fault,
    graph::{Graph, Lit},
};

/// A word.
pub type Bits = Vec<Lit>;

/// The lowest `width` bits of a constant.
#[must_use]
pub fn constant(value: u64, width: usize) -> Bits {
    (0..width).map(|i| Lit::constant(i < 64 && value >> i & 1 == 1)).collect()
}

/// Bytes as bits.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> Bits {
    bytes.iter().flat_map(|&byte| constant(byte.into(), 8)).collect()
}

/// The value, if all bits are constants.
#[must_use]
pub fn value(bits: &[Lit]) -> Option<u64> {
    debug_assert!(bits.len() <= 64);
    bits.iter().rev().try_fold(0, |sum, bit| Some(sum << 1 | u64::from(bit.value()?)))
}

/// The bytes, if all bits are constants.
#[must_use]
pub fn bytes(bits: &[Lit]) -> Option<Vec<u8>> {
    bits.chunks(8).map(|byte| value(byte).map(|value| value as u8)).collect()
}

/// Zeros on top, or a cut.
#[must_use]
pub fn zero_extended(bits: &[Lit], width: usize) -> Bits {
    let mut bits = bits.to_vec();
    bits.resize(width, Lit::ZERO);
    bits
}

/// Copies of the highest bit on top, or a cut.
#[must_use]
pub fn sign_extended(bits: &[Lit], width: usize) -> Bits {
    let sign = bits[bits.len() - 1];
    let mut bits = bits.to_vec();
    bits.resize(width, sign);
    bits
}

/// Towards higher places.
#[must_use]
pub fn shifted_left(bits: &[Lit], by: usize) -> Bits {
    (0..bits.len()).map(|i| if i < by { Lit::ZERO } else { bits[i - by] }).collect()
}

/// Towards lower places, with zeros.
#[must_use]
pub fn shifted_right(bits: &[Lit], by: usize) -> Bits {
    (0..bits.len()).map(|i| bits.get(i + by).copied().unwrap_or(Lit::ZERO)).collect()
}

/// Towards lower places, with copies of the highest bit.
#[must_use]
pub fn shifted_right_signed(bits: &[Lit], by: usize) -> Bits {
    (0..bits.len()).map(|i| bits[(i + by).min(bits.len() - 1)]).collect()
}

/// Towards lower places, round.
#[must_use]
pub fn rotated_right(bits: &[Lit], by: usize) -> Bits {
    (0..bits.len()).map(|i| bits[(i + by) % bits.len()]).collect()
}

/// Towards higher places, round.
#[must_use]
pub fn rotated_left(bits: &[Lit], by: usize) -> Bits {
    rotated_right(bits, bits.len() - by % bits.len())
}

/// A sum, with what processors tell of it.
#[derive(Clone, Debug)]
pub struct Sum {
    /// Modulo the word.
    pub bits: Bits,
    /// Out of the highest place.
    pub carry: Lit,
    /// Of numbers with signs.
    pub overflow: Lit,
}

impl Graph {
    /// The value of `bits`, which must not depend on any input.
    ///
    /// # Errors
    /// If it does, with `what` they are.
    pub fn known(&self, bits: &[Lit], what: &'static str) -> Result<u64, Fault> {
        value(bits).ok_or_else(|| {
            let unset = bits.iter().any(|&bit| self.is_unset(bit));
            if unset { Fault::Unset(what) } else { Fault::Secret(what) }
        })
    }

    /// Bit by bit.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn zip(&mut self, a: &[Lit], b: &[Lit], f: impl Fn(&mut Self, Lit, Lit) -> Lit) -> Bits {
        assert_eq!(a.len(), b.len(), "words of one width");
        a.iter().zip(b).map(|(&a, &b)| f(self, a, b)).collect()
    }

    /// Exclusive or of words.
    pub fn xor_bits(&mut self, a: &[Lit], b: &[Lit]) -> Bits {
        self.zip(a, b, Self::xor)
    }

    /// Conjunction of words.
    pub fn and_bits(&mut self, a: &[Lit], b: &[Lit]) -> Bits {
        self.zip(a, b, Self::and)
    }

    /// Disjunction of words.
    pub fn or_bits(&mut self, a: &[Lit], b: &[Lit]) -> Bits {
        self.zip(a, b, Self::or)
    }

    /// One of two words.
    pub fn select_bits(&mut self, condition: Lit, then: &[Lit], otherwise: &[Lit]) -> Bits {
        self.zip(then, otherwise, |g, then, otherwise| g.select(condition, then, otherwise))
    }

    /// Whether any bit is set.
    pub fn any(&mut self, bits: &[Lit]) -> Lit {
        bits.iter().fold(Lit::ZERO, |any, &bit| self.or(any, bit))
    }

    /// a + b + carry.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn add(&mut self, a: &[Lit], b: &[Lit], carry: Lit) -> Sum {
        assert_eq!(a.len(), b.len(), "words of one width");
        let (mut carry, mut before) = (carry, carry);
        let mut bits = Vec::with_capacity(a.len());
        for (&a, &b) in a.iter().zip(b) {
            let differ = self.xor(a, b);
            bits.push(self.xor(differ, carry));
            before = carry;
            let (generate, propagate) = (self.and(a, b), self.and(differ, carry));
            carry = self.xor(generate, propagate);
        }
        Sum { bits, carry, overflow: self.xor(before, carry) }
    }

    /// a - b - !carry: the carry is one where nothing is borrowed.
    pub fn subtract(&mut self, a: &[Lit], b: &[Lit], carry: Lit) -> Sum {
        self.add(a, &not(b), carry)
    }

    /// The low word of a * b.
    pub fn multiply(&mut self, a: &[Lit], b: &[Lit]) -> Bits {
        let mut sum = constant(0, a.len());
        for (i, &bit) in b.iter().enumerate() {
            if bit != Lit::ZERO {
                let addend: Bits = shifted_left(a, i).into_iter().map(|a| self.and(a, bit)).collect();
                sum = self.add(&sum, &addend, Lit::ZERO).bits;
            }
        }
        sum
    }
}

/// The complement of a word.
#[must_use]
pub fn not(bits: &[Lit]) -> Bits {
    bits.iter().map(|&bit| !bit).collect()
}

/// The bytes of a word in the opposite order.
#[must_use]
pub fn bytes_reversed(bits: &[Lit]) -> Bits {
    bits.chunks(8).rev().flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Random;

    #[test]
    fn arithmetic_is_that_of_numbers() {
        let mut g = Graph::new();
        let mut random = Random::new(9);
        for _ in 0..200 {
            let (a, b) = (random.next() as u16, random.next() as u16);
            let (x, y) = (constant(a.into(), 16), constant(b.into(), 16));
            let sum = g.add(&x, &y, Lit::ZERO);
            assert_eq!(value(&sum.bits), Some(a.wrapping_add(b).into()));
            assert_eq!(sum.carry.value(), Some(a.checked_add(b).is_none()));
            assert_eq!(sum.overflow.value(), Some((a as i16).checked_add(b as i16).is_none()));
            let difference = g.subtract(&x, &y, Lit::ONE);
            assert_eq!(value(&difference.bits), Some(a.wrapping_sub(b).into()));
            assert_eq!(difference.carry.value(), Some(a >= b));
            assert_eq!(value(&g.multiply(&x, &y)), Some(a.wrapping_mul(b).into()));
            let by = random.below(16);
            assert_eq!(value(&rotated_left(&x, by)), Some(a.rotate_left(by as u32).into()));
            assert_eq!(value(&shifted_right_signed(&x, by)), Some(u64::from((a as i16 >> by) as u16)));
            assert_eq!(value(&bytes_reversed(&x)), Some(a.swap_bytes().into()));
        }
    }
}
