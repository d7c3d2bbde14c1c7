//! The gateway of the smart city: what is between its [engine](smart_city_engine) and the network, and the commands that change its files.
//!
//! ```text
//! devices ──> mqtt or broker ──> exchange ──> engine ──> exchange ──> mqtt or broker ──> users, devices
//! operators, the page ──> http ─────────────────^
//! ```
//!
//! [`exchange`] runs the engine and has what waits on both sides of it, and gives messages of devices without authentication to the
//! [`agent`]. [`mqtt`] is the client of a broker, `broker` is a broker of its own, and [`http`] serves the page and operators. [`guests`]
//! are users of other cities, [`cities`] hands over readings, and [`incidents`] tells cities of isolated devices.
#![forbid(unsafe_code)]

mod accounts;
pub mod admin;
pub mod agent;
#[cfg(feature = "broker")]
pub mod broker;
pub mod cities;
pub mod cluster;
mod connections;
mod credentials;
pub mod exchange;
pub mod guests;
pub mod http;
pub mod incidents;
pub mod kept;
pub mod metrics;
pub mod mqtt;
pub mod ngsi;
pub mod places;
pub mod sessions;
pub mod tls;

use smart_city_engine::config::{City, ConfigError};
use zeroize::Zeroizing;

/// Checks what the engine does not look into.
///
/// # Errors
/// The first fault that is in it.
pub fn check(city: &City) -> Result<(), ConfigError> {
    ngsi::mapping(city)?;
    guests::agreements(city)?;
    cities::agreement(city)?;
    incidents::agreement(city)?;
    cluster::check(city)?;
    Ok(())
}

/// 16 bytes from the system's random number generator.
fn random_hex() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut bytes = Zeroizing::new([0; 16]);
    getrandom::fill(&mut *bytes)?;
    Ok(Zeroizing::new(hex::encode(*bytes)))
}
