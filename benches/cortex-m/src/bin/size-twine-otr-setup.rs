//! TWINE-128-OTR: sealing and opening, and setting up a key.
#![no_std]
#![no_main]

cortex_m_benches::size!(cortex_m_benches::TwineOtr, setup);
