//! What applications of the non-secure world share on this board: the serial line to the network, frames that wait for their receipts,
//! lamps, time.
//!
//! On the host it is empty.
#![no_std]

#[cfg(target_os = "none")]
pub mod board;
#[cfg(target_os = "none")]
pub mod line;
#[cfg(target_os = "none")]
pub mod sent;
