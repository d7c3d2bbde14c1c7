//! AES-128-GCM: setting up a key, sealing and opening.
#![no_std]
#![no_main]

use cortex_m_benches::{AesGcm, open, seal, set_up};

cortex_m_benches::size!(set_up::<AesGcm>, seal::<AesGcm>, open::<AesGcm>);
