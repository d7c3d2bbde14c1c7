//! Values for the comparison of the model with a processor.
//!
//! The model executes an instruction once, on words that are inputs of the graph. Their signatures are the values with which
//! the processor then executes the same: a quarter are edges.

use crate::{
    bits::{self, Bits},
    graph::{Graph, Lit, Random, SAMPLES, Signature},
};

/// A number of 64 bits that may be an edge: all zeros, all ones, one bit, what `other` is.
pub fn edge(random: &mut Random, other: u64) -> u64 {
    match random.below(16) {
        0 => 0,
        1 => !0,
        2 => 1 << random.below(64),
        3 => other,
        _ => random.next(),
    }
}

/// `width` inputs whose signatures are such numbers, the same in two operands at times.
pub fn operand(g: &mut Graph, random: &mut Random, width: usize) -> Bits {
    let mut common = Random::new(5);
    let values: Vec<u64> = (0..SAMPLES)
        .map(|_| {
            let other = common.next();
            edge(random, other)
        })
        .collect();
    (0..width)
        .map(|bit| {
            let mut signature: Signature = [0; SAMPLES / 64];
            for (sample, value) in values.iter().enumerate() {
                signature[sample / 64] |= (value >> bit & 1) << (sample % 64);
            }
            g.input_with(signature)
        })
        .collect()
}

/// The values of a word under all samples.
#[derive(Debug)]
pub enum Values {
    /// The same under each.
    One(u64),
    /// One for each.
    Each(Vec<u64>),
}

impl Values {
    /// Those of `word`.
    #[must_use]
    pub fn of(g: &Graph, word: &[Lit]) -> Self {
        if let Some(value) = bits::value(word) {
            return Self::One(value);
        }
        let mut values = vec![0; SAMPLES];
        for (bit, &lit) in word.iter().enumerate() {
            let signature = g.signature(lit);
            for (sample, value) in values.iter_mut().enumerate() {
                *value |= (signature[sample / 64] >> (sample % 64) & 1) << bit;
            }
        }
        Self::Each(values)
    }

    /// That of a sample.
    #[must_use]
    pub fn at(&self, sample: usize) -> u64 {
        match self {
            Self::One(value) => *value,
            Self::Each(values) => values[sample],
        }
    }
}
