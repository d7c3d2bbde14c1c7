//! TWINE-128-OTR with counted nonces: a `Sealer` and an `Opener`, which start with a key, and seal and open.
#![no_std]
#![no_main]

use cortex_m_benches::{
    TwineOtr,
    aead::{Key, Nonce, Tag},
    open_next, seal_next, start,
};
use twine_otr_aead::{Opener, Sealer};

cortex_m_benches::size!();

/// Kept in the image whether anything calls it or not.
#[used]
static START: extern "C" fn(&mut Sealer, &mut Opener, &Key<TwineOtr>) = start;
#[used]
static SEAL: unsafe extern "C" fn(&mut Sealer, *const u8, usize, *mut u8, usize, &mut Tag<TwineOtr>) -> bool =
    seal_next;
#[used]
static OPEN: unsafe extern "C" fn(
    &mut Opener,
    &Nonce<TwineOtr>,
    *const u8,
    usize,
    *mut u8,
    usize,
    &Tag<TwineOtr>,
) -> bool = open_next;
