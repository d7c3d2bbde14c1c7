//! AES-128-CCM: setting up a key, sealing and opening.
#![no_std]
#![no_main]

cortex_m_benches::size!(cortex_m_benches::AesCcm);
