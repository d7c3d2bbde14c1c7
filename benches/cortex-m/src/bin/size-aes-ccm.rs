//! AES-128-CCM: setting up a key, sealing and opening.
#![no_std]
#![no_main]

use cortex_m_benches::{AesCcm, open, seal, set_up};

cortex_m_benches::size!(set_up::<AesCcm>, seal::<AesCcm>, open::<AesCcm>);
