//! The whole city on one machine. **Gateway, frames, detector and policy are real; devices, sensors and code are simulated**, but for two
//! devices that run the firmware in QEMU, where that is there.
//!
//! What must happen is worked out here from the city's data, and compared with what devices report and users receive, not with
//! what the gateway says of itself.
#![forbid(unsafe_code)]

pub mod city;
#[cfg(unix)]
pub mod firmware;
pub mod gateway;
pub mod people;
pub mod stage;
#[cfg(unix)]
pub mod street;
