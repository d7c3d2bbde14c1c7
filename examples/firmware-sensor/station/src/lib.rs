//! The other end of a sensor node's line: [`Accounts`] of a node for hands, and a [`Witness`] for tests, which sees whether anything comes
//! twice.

mod account;
mod accounts;
mod witness;

pub use account::Account;
pub use accounts::Accounts;
pub use witness::{InstructionFrame, Witness};
