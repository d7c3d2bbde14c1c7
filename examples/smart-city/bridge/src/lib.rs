//! Devices that run the firmware in QEMU.
//!
//! | | |
//! |---|---|
//! | [`image`] | the memory of a new device |
//! | [`board`] | a running device: its serial line, its console, its power |
//! | [`mod@line`] | packets on a serial line |
//! | [`bridge`] | the bridge between a serial line and MQTT |
//! | [`gdb`] | the debug port of a device, for the tests of an attacker with a probe |
#![cfg(unix)]
#![forbid(unsafe_code)]

pub mod board;
pub mod bridge;
pub mod gdb;
pub mod image;
pub mod line;
