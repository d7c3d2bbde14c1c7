//! Devices that run the firmware in QEMU.
//!
//! | | |
//! |---|---|
//! | [`image`] | what the memory of a device has when it is made |
//! | [`board`] | a device that runs: its serial line, its console, its power |
//! | [`mod@line`] | packets on a serial line |
//! | [`bridge`] | between a serial line and MQTT |
//! | [`gdb`] | its debug port: what an attacker with a probe does |
#![cfg(unix)]
#![forbid(unsafe_code)]

pub mod board;
pub mod bridge;
pub mod gdb;
pub mod image;
pub mod line;
