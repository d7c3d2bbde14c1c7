//! What the secure world of a device keeps in flash: its [`Provisioning`], written once, and its [`Epochs`]; and how often it takes one.
#![no_std]
#![forbid(unsafe_code)]

mod budget;
mod epochs;
mod provisioning;

pub use budget::{Backoff, Budget, Clock};
pub use epochs::{EpochError, Epochs, FlashError, Page, Pages};
pub use provisioning::{InvalidProvisioning, Provisioning, Supervision};
