//! TWINE-128-OTR with counted nonces: a `Sealer` and an `Opener`, which start with a key, and seal and open.
#![no_std]
#![no_main]

use cortex_m_benches::{open_next, seal_next, start};

cortex_m_benches::size!(start, seal_next, open_next);
