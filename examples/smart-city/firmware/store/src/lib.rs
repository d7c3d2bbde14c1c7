//! What the secure world of a device keeps in flash: its [`Provisioning`], written once, and its [`Epochs`].
#![no_std]
#![forbid(unsafe_code)]

mod epochs;
mod provisioning;

pub use epochs::{EpochError, Epochs, Page, Pages};
pub use provisioning::{InvalidProvisioning, Provisioning, Supervision};
