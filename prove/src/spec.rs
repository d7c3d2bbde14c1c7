//! What is to be computed, from the papers and not from the project's code, on the bits of a graph.

pub mod otr;
pub mod shared;
pub mod twine;
pub mod uninterpreted;

use crate::graph::Lit;

/// Eight bits, the lowest first.
pub type Byte = [Lit; 8];
/// A block of 64 bits.
pub type Block = [Byte; 8];

/// Words of bits as bytes.
#[must_use]
pub fn to_bytes(bits: &[Lit]) -> Vec<Byte> {
    bits.as_chunks().0.to_vec()
}

/// Known bytes.
#[must_use]
pub fn constant_bytes(bytes: &[u8]) -> Vec<Byte> {
    to_bytes(&crate::bits::of_bytes(bytes))
}
