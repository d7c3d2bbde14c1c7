//! Several gateways of one city on one machine: to try them, to measure them, and to kill them.
//!
//! The servers are PostgreSQL, Mosquitto and the gateway's program, as they are: each a process of its own, started with the files that the
//! project ships. The devices and users are sockets in one thread, which do no more than they must.
#![forbid(unsafe_code)]

pub mod bench;
pub mod city;
pub mod crowd;
pub mod demo;
pub mod kill;
pub mod ledger;
pub mod mqtt;
pub mod process;
pub mod servers;

#[allow(dead_code, reason = "tests of the store use the rest")]
#[path = "../../store-postgres/tests/suite/cluster.rs"]
mod postgres;
