//! The gateway of the smart city.
#![forbid(unsafe_code)]

pub mod attestation;
pub mod config;
