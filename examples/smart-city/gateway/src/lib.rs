//! x
pub mod attestation;
