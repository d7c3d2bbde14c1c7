//! The whole city on one machine. **Devices, sensors and code are simulated; gateway, frames, detector and policy are real.**
//!
//! What must happen is worked out here from the city's data, and compared with what devices report and users receive, not with
//! what the gateway says of itself.
#![forbid(unsafe_code)]

pub mod city;
pub mod gateway;
pub mod people;
pub mod stage;
