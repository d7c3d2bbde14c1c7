//! The other end of a sensor node's line: an [`Account`] of a node for hands, and a [`Witness`] for tests, which sees whether anything comes
//! twice.

mod account;
mod witness;

pub use account::Account;
pub use witness::{InstructionFrame, Witness};
