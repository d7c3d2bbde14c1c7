//! TWINE-128-OTR: setting up a key and sealing.
#![no_std]
#![no_main]

use cortex_m_benches::{TwineOtr, seal, set_up};

cortex_m_benches::size!(set_up::<TwineOtr>, seal::<TwineOtr>);
