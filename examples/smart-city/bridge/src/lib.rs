//! Devices that run the firmware in QEMU.
//!
//! | | |
//! |---|---|
//! | [`image`] | what the memory of a device has when it is made |
//! | [`board`] | a device that runs: its serial line, its console, its power |
//! | [`gdb`] | its debug port: what an attacker with a probe does |
#![cfg(unix)]
#![forbid(unsafe_code)]

pub mod board;
pub mod gdb;
pub mod image;
