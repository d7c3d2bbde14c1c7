//! The gateway of the smart city: what is between its [engine](smart_city_engine) and the network, and the commands that change its files.
//!
//! ```text
//! MQTT ── mqtt ──> engine ──> mqtt ── out/{user}/{stream}
//! HTTP ── http ──>        └─────────── down/{device}
//! ```
//!
//! [`mqtt`] is the client of a broker and runs the engine, `broker` is a broker of its own, and [`http`] serves the page and operators.
#![forbid(unsafe_code)]

mod accounts;
pub mod admin;
#[cfg(feature = "broker")]
pub mod broker;
mod connections;
mod credentials;
pub mod http;
pub mod kept;
pub mod metrics;
pub mod mqtt;
pub mod ngsi;
pub mod places;
pub mod sessions;
pub mod tls;

use zeroize::Zeroizing;

/// 16 bytes from the system's random number generator.
fn random_hex() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut bytes = Zeroizing::new([0; 16]);
    getrandom::fill(&mut *bytes)?;
    Ok(Zeroizing::new(hex::encode(*bytes)))
}
