//! AES-128-GCM: sealing and opening, with a key that is set up elsewhere.
#![no_std]
#![no_main]

cortex_m_benches::size!(cortex_m_benches::AesGcm);
