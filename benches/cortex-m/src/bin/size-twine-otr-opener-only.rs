//! TWINE-128-OTR with counted nonces: an `Opener`, which starts with a key and opens.
#![no_std]
#![no_main]

use cortex_m_benches::{open_next, start_opener};

cortex_m_benches::size!(start_opener, open_next);
