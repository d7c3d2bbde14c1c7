//! TWINE-128-OTR with counted nonces: a `Sealer`, which starts with a key and seals.
#![no_std]
#![no_main]

use cortex_m_benches::{
    TwineOtr,
    aead::{Key, Tag},
    seal_next, start_sealer,
};
use twine_otr_aead::Sealer;

cortex_m_benches::size!();

/// Kept in the image whether anything calls it or not.
#[used]
static START: extern "C" fn(&mut Sealer, &Key<TwineOtr>) = start_sealer;
#[used]
static SEAL: unsafe extern "C" fn(&mut Sealer, *const u8, usize, *mut u8, usize, &mut Tag<TwineOtr>) -> bool =
    seal_next;
