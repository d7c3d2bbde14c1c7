//! Simulated devices. Frames, keys and tamper detection are those of real ones (`smart-city-frame`, `smart-city-detector`), built
//! for the host; **the sensors and the code are simulated**. The program `smart-city-device` runs one of them.
//!
//! | module | |
//! |---|---|
//! | [`device`] | a device without its network: it keeps readings until their receipt, and examines instructions before they run |
//! | [`epoch`] | the epoch, which is stored before it is used |
//! | [`image`] | the simulated code of a device |
//! | `pace` | how many frames are on their way, and when a frame is sent again |
//! | [`client`] | a device on an MQTT broker |
//! | [`provision`] | what a device gets before its first start: its identity, its secrets, what it does |
//! | [`sensors`] | simulated traffic and weather |
#![forbid(unsafe_code)]

pub mod client;
pub mod device;
pub mod epoch;
pub mod image;
mod pace;
pub mod provision;
pub mod sensors;
