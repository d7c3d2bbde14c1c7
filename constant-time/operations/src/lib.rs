//! What must take the same path for all secrets, and deliberate leaks that do not.
//!
//! An [`Operation`] is run with many secrets in the same buffers. Its work is handed to an [`Observer`], which surrounds
//! it with whatever makes a tracer look at it, and nothing else.

#![no_std]
#![forbid(unsafe_code)]

pub mod declassified;
pub mod leaks;
mod operation;
mod secrets;

pub use leaks::Leak;
pub use operation::{Action, AdProcessing, Cipher, Operation, all, some};
pub use secrets::{SECRETS, secret};

/// The longest message, in bytes: two batches of the widest backend and a last chunk.
pub const CAPACITY: usize = 2 * 64 * 8 + 64;

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
    /// Runs `work` with secret number `secret`, observed.
    fn observe(&mut self, secret: usize, work: &mut dyn FnMut());
}

/// Runs `operation` with every secret.
///
/// # Panics
/// If the libraries do not open what they sealed, or open what was changed.
pub fn run(operation: Operation, buffers: &mut Buffers, observer: &mut impl Observer) {
    for number in 0..SECRETS {
        operation.run(number, buffers, &mut |work| observer.observe(number, work));
    }
}

/// Runs `leak` with every secret.
pub fn run_leak(leak: Leak, buffers: &mut Buffers, observer: &mut impl Observer) {
    for number in 0..SECRETS {
        secret(number, &mut buffers.key);
        observer.observe(number, &mut || leak.run(&buffers.key));
    }
}
