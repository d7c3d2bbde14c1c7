//! What TWINE and OTR cost beside other ciphers and modes.
//!
//! Each thing that is measured is a [`Task`], and both programs measure the same ones: `benches/criterion.rs` in
//! nanoseconds, `src/bin/cycles.rs` in cycles. `src/bin/report.rs` makes tables and a chart of the cycles.
//! The README of this package says how and why.

pub mod algorithms;
pub mod clock;
pub mod machine;
pub mod report;
pub mod results;
pub mod task;

pub use task::Task;

/// The examples of the project's front page.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct FrontPage;
