//! What must take the same path for all secrets, and deliberate leaks that do not.
//!
//! An [`Operation`] and a [`Leak`] are run with many secrets, in the same buffers. Their work is handed to an [`Observer`],
//! which surrounds it with whatever makes a tracer look at it, and nothing else.

#![no_std]
#![forbid(unsafe_code)]

pub mod declassified;
pub mod leaks;
mod operation;
mod secrets;

pub use leaks::Leak;
pub use operation::{Action, AdProcessing, Cipher, Operation, all, challenge, some};
use secrets::is_secret;
pub use secrets::{SECRETS, secret};

/// The longest message, in bytes: two batches of the widest backend and a last chunk.
pub const CAPACITY: usize = 2 * 64 * 8 + 64;

/// The messages on Cortex-M, in bytes: a part of a block, a block and a part, and a batch of pairs, a pair, and an odd chunk.
/// The portable backend works on 4 blocks at once there.
pub const CORTEX_M_LENGTHS: [usize; 3] = lengths(4);

/// The same for a backend that works on `width` blocks at once.
#[must_use]
pub const fn lengths(width: usize) -> [usize; 3] {
    [5, 13, 16 * width + 16 + 9]
}

/// Where every secret lies in its turn.
#[derive(Debug)]
pub struct Buffers {
    pub(crate) key: [u8; 16],
    pub(crate) text: [u8; CAPACITY],
}

impl Buffers {
    /// Buffers without secrets.
    #[must_use]
    pub const fn new() -> Self {
        Self { key: [0; 16], text: [0; CAPACITY] }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

/// What looks at work.
pub trait Observer {
    /// Runs `work`, observed.
    fn observe(&mut self, work: &mut dyn FnMut());
}
