//! A sensor node. It gets its keys once, seals readings and opens instructions. It keeps the states of its sealer and its opener in flash, over
//! losses of power. Its board gives it a flash, a serial line and a sensor. Nothing here depends on the board.
#![no_std]

pub mod frame;
mod node;
mod run;
mod store;
pub mod thermometer;

pub use node::{Blank, Ciphers, Node, NodeError, Start};
pub use run::{Board, LineFailed, run};
pub use store::{FlashFailed, PAGES};

/// The blocks of reports that are reserved at once: a start without a stop before costs up to so many, and a write is due each so many.
pub const STEP_UP: u32 = 1 << 8;

/// The same for instructions.
pub const STEP_DOWN: u32 = 1 << 6;

/// The instructions that are reserved at once, when a genuine one comes, which is the first of them: after a start without a stop before, fewer than
/// so many are refused.
pub const INSTRUCTIONS: u32 = 4;
