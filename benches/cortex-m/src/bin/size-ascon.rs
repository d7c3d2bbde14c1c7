//! Ascon-AEAD128: setting up a key, sealing and opening.
#![no_std]
#![no_main]

use cortex_m_benches::{Ascon, open, seal, set_up};

cortex_m_benches::size!(set_up::<Ascon>, seal::<Ascon>, open::<Ascon>);
