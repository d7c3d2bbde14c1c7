//! TWINE-128-OTR: setting up a key and opening.
#![no_std]
#![no_main]

use cortex_m_benches::{TwineOtr, open, set_up};

cortex_m_benches::size!(set_up::<TwineOtr>, open::<TwineOtr>);
