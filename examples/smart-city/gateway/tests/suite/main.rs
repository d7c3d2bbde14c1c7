//! What takes neither clients nor minutes.

mod admin;
#[path = "../../../engine/tests/common/mod.rs"]
mod common;
mod data;
mod ngsi;
