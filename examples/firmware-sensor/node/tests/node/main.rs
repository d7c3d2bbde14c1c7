//! The node on a simulated flash, whose power is lost anywhere: no nonce comes twice, no instruction is opened twice, no block is forgotten,
//! and a key lasts as long as is computed.
#![allow(clippy::unwrap_used, reason = "tests")]

mod damage;
mod frames;
mod lifetime;
mod line;
mod power;
mod thermometer;
mod world;

/// The bytes of a word that is programmed, as on the nRF52840.
const WORD: usize = 4;
