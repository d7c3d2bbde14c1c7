//! What cities hand over to each other.
//!
//! A reading that is handed over carries its [label](label::Label): whose it is, who may see it, until when, and by which policy. Its owner
//! signs label and reading, and the signature goes on with it however often it is handed on. Whoever hands it over seals it for one city.
//! That city decides by its own policy who of its users gets it; it can narrow the label and never widen it.
//!
//! ```text
//! engine ──> Gate::reading ──> queue of each partner ──> sign, seal ──> POST ─────> Gate::receive ──> users
//!            (owner's label)                            (handover)                 (open, replay)  └─> queue of each partner
//! ```
//!
//! The engine knows nothing of this. It tells a [`Gate`] what it has accepted, and publishes what a gate gives out.
#![forbid(unsafe_code)]

pub mod agreement;
mod gate;
pub mod handover;
pub mod keys;
pub mod label;
mod replay;
mod send;

#[cfg(test)]
mod tests;

pub use gate::{Counts, Gate, Given, MOST_BODY, NUMBER, forget_any, sole};
pub use send::{CONTENT_TYPE, PATH, run};
