//! The database, with PostgreSQL itself.

mod cluster;
#[path = "../../../engine/tests/common/mod.rs"]
mod common;
mod faults;
mod handover;
mod leases;
mod proxy;
mod store;
#[path = "../../../engine/tests/common/stores.rs"]
mod stores;
mod whole;
