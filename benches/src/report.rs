//! The tables and the charts of the READMEs.

mod chart;
mod cortex_m;
mod peers;
mod tables;

pub use chart::svg;
pub use cortex_m::CortexM;
pub use tables::{details, front};

use crate::{algorithms, results::Run};

/// The AEADs of the README.
const COMPARED: [&str; 15] = [
    algorithms::TWINE_OTR,
    algorithms::TWINE_OTR_COUNTED,
    algorithms::AES_OTR,
    algorithms::AES_OTR_COUNTED,
    algorithms::ASCON,
    algorithms::CHACHA,
    algorithms::CHACHA_GRAVIOLA,
    algorithms::CHACHA_OPENSSL,
    algorithms::CHACHA_RING,
    algorithms::AES_GCM,
    algorithms::AES_GCM_GRAVIOLA,
    algorithms::AES_GCM_OPENSSL,
    algorithms::AES_GCM_RING,
    algorithms::AES_CCM,
    algorithms::AES_OCB,
];

/// Those of them that `run` has: it may be without OpenSSL.
fn compared(run: &Run) -> impl Iterator<Item = &'static str> {
    COMPARED.into_iter().filter(|algorithm| {
        !algorithm.ends_with(algorithms::OPENSSL) || run.rows.iter().any(|row| row.algorithm == *algorithm)
    })
}

/// The length of associated data in the README.
const ASSOCIATED_DATA: usize = 8;

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn ratio(count: u64, bytes: usize) -> f64 {
    count as f64 / bytes as f64
}
