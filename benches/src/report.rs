//! The tables and the chart of the project's README.

mod chart;
mod cortex_m;
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
