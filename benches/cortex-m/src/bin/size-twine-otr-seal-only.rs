//! TWINE-128-OTR: setting up a key and sealing.
#![no_std]
#![no_main]

use cortex_m_benches::{
    TwineOtr,
    aead::{Key, Nonce, Tag},
    seal, set_up,
};

cortex_m_benches::size!();

/// Kept in the image whether anything calls it or not.
#[used]
static SET_UP: extern "C" fn(&mut TwineOtr, &Key<TwineOtr>) = set_up;
#[used]
static SEAL: unsafe extern "C" fn(
    &TwineOtr,
    &Nonce<TwineOtr>,
    *const u8,
    usize,
    *mut u8,
    usize,
    &mut Tag<TwineOtr>,
) -> bool = seal;
