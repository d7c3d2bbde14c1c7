//! What takes neither clients nor minutes: in one program, because each takes longer to link than to run.

mod admin;
mod attestation;
mod audit;
#[path = "../common/mod.rs"]
mod common;
mod config;
mod disk;
mod engine;
mod examine;
mod histories;
mod memory;
mod ngsi;
mod outbox;
mod policy;
mod time;
