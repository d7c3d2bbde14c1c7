//! The whole city on one machine. **Gateway, frames, detector and policy are real. Devices, sensors and code are simulated.** Two
//! further devices run the firmware in QEMU, if QEMU is installed.
//!
//! The demo works out from the city's data what must happen. It compares that with what devices report and users receive, and not with
//! what the gateway says of itself.
#![forbid(unsafe_code)]

pub mod city;
pub mod disaster;
#[cfg(unix)]
pub mod firmware;
pub mod gateway;
pub mod people;
pub mod stage;
#[cfg(unix)]
pub mod street;
