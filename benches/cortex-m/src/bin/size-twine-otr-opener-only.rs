//! TWINE-128-OTR with counted nonces: an `Opener`, which starts with a key and opens.
#![no_std]
#![no_main]

use cortex_m_benches::{
    TwineOtr,
    aead::{Key, Nonce, Tag},
    open_next, start_opener,
};
use twine_otr_aead::Opener;

cortex_m_benches::size!();

/// Kept in the image whether anything calls it or not.
#[used]
static START: extern "C" fn(&mut Opener, &Key<TwineOtr>) = start_opener;
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
