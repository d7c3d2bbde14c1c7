//! What does not take minutes: in one program, because each takes longer to link than to run.

mod attestation;
mod audit;
#[path = "../common/mod.rs"]
mod common;
mod config;
mod corim;
mod disk;
mod distrust;
mod engine;
mod examine;
mod guests;
mod histories;
mod history;
mod memory;
mod outbox;
mod policy;
mod shards;
#[path = "../common/shared.rs"]
mod shared;
#[path = "../common/stores.rs"]
mod stores;
mod time;
mod view;
