//! TWINE-128-OTR with counted nonces: a `Sealer` and an `Opener` of keys that are stored, with all that their states need.
#![no_std]
#![no_main]

use cortex_m_benches::{begin_reserve, confirm, open_next, restore, seal_next, suspend};

cortex_m_benches::size!(restore, begin_reserve, confirm, suspend, seal_next, open_next);
