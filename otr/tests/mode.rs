//! The tests of the mode on the backends that run here, in one program: what they have in common is compiled once.

#[path = "mode/calls.rs"]
mod calls;
#[path = "mode/refused.rs"]
mod refused;
#[path = "mode/texts.rs"]
mod texts;
#[path = "mode/vectors.rs"]
mod vectors;
#[cfg(feature = "zeroize")]
#[path = "mode/zeroize.rs"]
mod zeroize;
