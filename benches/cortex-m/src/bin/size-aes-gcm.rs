//! AES-128-GCM: setting up a key, sealing and opening.
#![no_std]
#![no_main]

cortex_m_benches::size!(cortex_m_benches::AesGcm);
