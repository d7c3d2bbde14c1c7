//! ChaCha20-Poly1305: setting up a key, sealing and opening.
#![no_std]
#![no_main]

use cortex_m_benches::{ChaCha, open, seal, set_up};

cortex_m_benches::size!(set_up::<ChaCha>, seal::<ChaCha>, open::<ChaCha>);
