//! The gateway of the smart city: it opens what devices seal, stores it, and gives it to those who may have it; and it finds
//! devices whose code was changed, and isolates them.
//!
//! ```text
//! MQTT ── mqtt ──> engine ── links (frame) ── policy ── store, audit ──> mqtt ── out/{user}/{stream}
//! HTTP ── http ──>        └─ attestation                              └────────── down/{device}
//! ```
//!
//! [`engine`] decides everything, in one thread and without input or output but to the disk; around it are the
//! [`mqtt`] client, the broker and the [`http`] server.
#![forbid(unsafe_code)]

mod accounts;
pub mod admin;
pub mod attestation;
pub mod audit;
#[cfg(feature = "broker")]
pub mod broker;
pub mod config;
mod device;
pub mod engine;
pub mod http;
pub mod memory;
pub mod mqtt;
pub mod ngsi;
pub mod policy;
pub mod store;
pub mod view;
