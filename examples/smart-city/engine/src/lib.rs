//! What a gateway of the smart city decides: it opens what devices seal, stores it, and says who may have it; and it finds devices
//! whose code was changed, and isolates them.
//!
//! ```text
//! Input ──> engine ── links (frame) ── policy ── store, audit ──> Output
//!              └─ attestation
//! ```
//!
//! [`engine`] decides everything, in one thread and without input or output but to the disk. It knows nothing of a network: around it are
//! crates that bring its [inputs](engine::Input), carry its [outputs](engine::Output), and read its [view](view::SharedView) and its
//! [events](engine::Engine::events).
#![forbid(unsafe_code)]

pub mod attestation;
pub mod audit;
pub mod config;
pub mod corim;
mod device;
pub mod distrust;
pub mod engine;
pub mod file;
pub mod memory;
pub mod policy;
pub mod store;
pub mod view;
