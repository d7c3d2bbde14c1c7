//! The other end of a sensor node's line. [`Accounts`] are for the station that a person operates. A [`Witness`] is for tests: it sees whether anything
//! comes twice.

mod account;
mod accounts;
mod witness;

pub use account::Account;
pub use accounts::Accounts;
pub use witness::{InstructionFrame, Witness};
