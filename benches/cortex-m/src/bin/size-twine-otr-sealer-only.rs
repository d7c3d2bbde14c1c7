//! TWINE-128-OTR with counted nonces: a `Sealer`, which starts with a key and seals.
#![no_std]
#![no_main]

use cortex_m_benches::{seal_next, start_sealer};

cortex_m_benches::size!(start_sealer, seal_next);
