//! The tables and the chart of the project's README.

mod chart;
mod cortex_m;
mod peers;
mod tables;

pub use chart::svg;
pub use cortex_m::CortexM;
pub use tables::markdown;

use crate::algorithms;

/// The AEADs of the README.
const COMPARED: [&str; 7] = [
    algorithms::TWINE_OTR,
    algorithms::AES_OTR,
    algorithms::ASCON,
    algorithms::CHACHA,
    algorithms::AES_GCM,
    algorithms::AES_CCM,
    algorithms::AES_OCB,
];

/// The length of associated data in the README.
const ASSOCIATED_DATA: usize = 8;

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn ratio(count: u64, bytes: usize) -> f64 {
    count as f64 / bytes as f64
}
