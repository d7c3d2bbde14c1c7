//! Simulated devices. Frames, keys and tamper detection are those of real ones (`smart-city-frame`, `smart-city-detector`), built
//! for the host; **the sensors and the code are simulated**. The program `smart-city-device` runs one of them.
//!
//! | module | |
//! |---|---|
//! | [`device`] | a device without its network: readings kept until their receipt, instructions examined before they run |
//! | [`epoch`] | the epoch, stored before it is used |
//! | [`image`] | the code of a device, made up |
//! | `pace` | how much of it is on its way, and when it is sent again |
//! | [`client`] | a device on an MQTT broker |
//! | [`provision`] | what is put on a device: its identity, its secrets, what it does |
//! | [`sensors`] | traffic and weather, made up |
#![forbid(unsafe_code)]

pub mod client;
pub mod device;
pub mod epoch;
pub mod image;
mod pace;
pub mod provision;
pub mod sensors;
