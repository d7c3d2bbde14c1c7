//! The tests of `../node` that have a flash, with one of which the words have one byte, as on the RP2040.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../node/damage.rs"]
mod damage;
#[path = "../node/lifetime.rs"]
mod lifetime;
#[path = "../node/line.rs"]
mod line;
#[path = "../node/power.rs"]
mod power;
#[path = "../node/world.rs"]
mod world;

const WORD: usize = 1;
