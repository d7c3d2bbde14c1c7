//! TWINE-128-OTR with counted nonces: a `Sealer` and an `Opener` of keys that are stored, with all that their states need.
#![no_std]
#![no_main]

use cortex_m_benches::{
    TwineOtr,
    aead::{Key, Nonce, Tag},
    begin_reserve, confirm, open_next, restore, seal_next, suspend,
};
use twine_otr_aead::{Opener, Sealer};

cortex_m_benches::size!();

/// Kept in the image whether anything calls it or not.
#[used]
static START: extern "C" fn(&mut Sealer, &mut Opener, &Key<TwineOtr>, &[[[u8; 32]; 2]; 2]) -> bool = restore;
#[used]
static BEGIN_RESERVE: extern "C" fn(&mut Sealer, &mut Opener, &mut [[u8; 32]; 2]) = begin_reserve;
#[used]
static CONFIRM: extern "C" fn(&mut Sealer, &mut Opener, &[[u8; 32]; 2]) -> bool = confirm;
#[used]
static SUSPEND: extern "C" fn(&mut Sealer, &mut Opener, &mut [[u8; 32]; 2]) = suspend;
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
