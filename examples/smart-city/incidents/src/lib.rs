//! What cities tell each other of isolated devices: STIX 2.1 in a TAXII 2.1 collection for each partner.
//!
//! ```text
//! engine ──> Desk::isolated ──> incidents ──> Desk::answer <───── GET ──── run ──> Reports::doubts ──> engine
//!            (own devices)      (stix, file)  (taxii)     (partner)  (poll)        (by the own policy)
//! ```
//!
//! A [`Desk`] tells others. [`Reports`] are what others have told. Both keep in one [file](Kept) what must not be forgotten. The engine knows
//! nothing of this: it tells a desk which devices are isolated, and is told which devices of others are [not
//! believed](smart_city_engine::distrust).
#![forbid(unsafe_code)]

pub mod agreement;
mod desk;
mod file;
mod poll;
mod reports;
pub mod stix;
mod taxii;

#[cfg(test)]
mod tests;

pub use desk::{Desk, Note};
pub use file::Kept;
pub use poll::run;
pub use reports::Reports;
pub use taxii::ROOT;

use std::sync::{Mutex, MutexGuard, PoisonError};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
