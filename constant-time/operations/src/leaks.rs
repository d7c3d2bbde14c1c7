//! What must be caught: functions that leak a secret on purpose.

use core::hint::black_box;

use crate::{Buffers, Observer, secret};

/// A deliberate leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leak {
    /// None: a loop over the secret, and sums of it. It must not be reported.
    None,
    /// A branch depends on the secret.
    Branch,
    /// An address depends on the secret.
    Table,
    /// A division, whose time depends on its operands on most cores.
    Division,
    /// A multiplication of 32 by 32 bits to 64, whose time depends on its operands on Cortex-M3 and some RISC-V cores.
    Multiplication,
}

impl Leak {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Branch, Self::Table, Self::Division, Self::Multiplication];

    /// As on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Branch => "branch",
            Self::Table => "table",
            Self::Division => "division",
            Self::Multiplication => "multiplication",
        }
    }

    /// Leaks secret number `number`.
    pub fn run(self, number: usize, buffers: &mut Buffers, observer: &mut dyn Observer) {
        secret(number, &mut buffers.key);
        observer.observe(&mut || self.leak(&buffers.key));
    }

    /// Leaks `secret`.
    #[inline(never)]
    pub fn leak(self, secret: &[u8; 16]) {
        black_box(match self {
            Self::None => no_leak(secret),
            Self::Branch => leak_by_branch(secret),
            Self::Table => leak_by_table(secret),
            Self::Division => leak_by_division(secret),
            Self::Multiplication => leak_by_multiplication(secret),
        });
    }
}

fn words(secret: &[u8; 16]) -> [u32; 4] {
    core::array::from_fn(|i| {
        u32::from_le_bytes([secret[4 * i], secret[4 * i + 1], secret[4 * i + 2], secret[4 * i + 3]])
    })
}

#[inline(never)]
fn no_leak(secret: &[u8; 16]) -> u32 {
    secret.iter().fold(0, |sum, byte| (sum ^ u32::from(*byte)).rotate_left(5))
}

#[inline(never)]
fn leak_by_branch(secret: &[u8; 16]) -> u32 {
    // The call forbids a conditional move.
    if no_leak(secret) & 1 == 1 { no_leak(black_box(&[1; 16])) } else { 0 }
}

#[inline(never)]
fn leak_by_table(secret: &[u8; 16]) -> u32 {
    static TABLE: [u8; 256] = [7; 256];
    let table = black_box(&TABLE);
    secret.iter().map(|byte| u32::from(table[usize::from(*byte)])).sum()
}

#[inline(never)]
fn leak_by_division(secret: &[u8; 16]) -> u32 {
    let [a, b, ..] = words(secret);
    // The divisor is never zero, so no branch asks.
    a / (black_box(b) | 1)
}

#[inline(never)]
fn leak_by_multiplication(secret: &[u8; 16]) -> u32 {
    let [a, b, ..] = words(secret);
    ((u64::from(a) * u64::from(black_box(b))) >> 32) as u32
}
