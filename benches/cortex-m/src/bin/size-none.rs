//! Nothing: what an image has without an AEAD.
#![no_std]
#![no_main]

cortex_m_benches::size!();
