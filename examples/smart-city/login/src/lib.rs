//! Users of other cities, by access tokens of their own identity providers: OpenID Connect, JWT by RFC 9068.
//!
//! ```text
//! token ──> Logins::verify ──> Login: name, departments, level, end
//!              │
//!   issuer ──> city and its Agreement, from city.toml
//!   kid ─────> key of the city's provider, fetched beforehand and now and then
//! ```
//!
//! An issuer stands for one city, which the operator has written down. What a token says of departments and level is mapped and capped by the
//! [`Agreement`]; what it says of a city is not looked at.
//!
//! Keys are fetched by a task for each issuer. Who logs in waits for one fetch at most, and for a bounded time. However many tokens name keys
//! that nobody knows, a provider is asked no more often than [`Pace::interval`] says.
#![forbid(unsafe_code)]

mod agreement;
mod fetch;
mod keys;
mod logins;
mod token;

pub use agreement::{Agreement, Fault, Trust};
pub use keys::Pace;
pub use logins::Logins;
pub use token::{Login, Refused};
