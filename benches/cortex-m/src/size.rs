//! Images that differ in nothing but the AEAD they have.

use aead::{AeadInOut, Key, Nonce, Tag};
use core::slice;
use twine_otr_aead::{BlockLimit, Opener, Sealer};

use crate::{SetUp, TwineOtr};

/// A function that is in the image whether anything calls it or not.
#[derive(Debug)]
pub struct Kept(pub *const ());

// SAFETY: the address of code, which nobody reads or writes through.
#[allow(unsafe_code, reason = "addresses of code are for all threads")]
unsafe impl Sync for Kept {}

/// Makes an image without main program, with these functions.
#[macro_export]
macro_rules! size {
    ($($function:expr),*) => {
        use core::panic::PanicInfo;

        #[panic_handler]
        fn panic(_: &PanicInfo<'_>) -> ! {
            loop {}
        }

        $crate::entry!(loop {});

        $(
            const _: () = {
                #[used]
                static KEPT: $crate::Kept = $crate::Kept($function as *const ());
            };
        )*
    };
}

/// Sets up a key.
pub extern "C" fn set_up<A: SetUp>(aead: &mut A, key: &Key<A>) {
    aead.set_up(key);
}

/// Seals in place.
///
/// # Safety
/// The pointers are to so many bytes.
#[allow(unsafe_code, reason = "as C has it, so that nothing is known of the lengths")]
pub unsafe extern "C" fn seal<A: AeadInOut>(
    aead: &A,
    nonce: &Nonce<A>,
    associated_data: *const u8,
    associated_data_len: usize,
    buffer: *mut u8,
    buffer_len: usize,
    tag: &mut Tag<A>,
) -> bool {
    // SAFETY: by the caller's word.
    let (associated_data, buffer) =
        unsafe { slices(associated_data, associated_data_len, buffer, buffer_len) };
    match aead.encrypt_inout_detached(nonce, associated_data, buffer.into()) {
        Ok(new) => {
            *tag = new;
            true
        }
        Err(_) => false,
    }
}

/// Opens in place.
///
/// # Safety
/// The pointers are to so many bytes.
#[allow(unsafe_code, reason = "as C has it, so that nothing is known of the lengths")]
pub unsafe extern "C" fn open<A: AeadInOut>(
    aead: &A,
    nonce: &Nonce<A>,
    associated_data: *const u8,
    associated_data_len: usize,
    buffer: *mut u8,
    buffer_len: usize,
    tag: &Tag<A>,
) -> bool {
    // SAFETY: by the caller's word.
    let (associated_data, buffer) =
        unsafe { slices(associated_data, associated_data_len, buffer, buffer_len) };
    aead.decrypt_inout_detached(nonce, associated_data, buffer.into(), tag).is_ok()
}

/// Starts with a key.
pub extern "C" fn start(sealer: &mut Sealer, opener: &mut Opener, key: &Key<TwineOtr>) {
    *sealer = Sealer::with_ephemeral_key(key, *b"up 7");
    *opener = Opener::new(key, *b"up 7");
}

/// Starts a sealer with a key.
pub extern "C" fn start_sealer(sealer: &mut Sealer, key: &Key<TwineOtr>) {
    sealer.set_ephemeral_key(key, *b"up 7", BlockLimit::DEFAULT);
}

/// Starts an opener with a key.
pub extern "C" fn start_opener(opener: &mut Opener, key: &Key<TwineOtr>) {
    opener.set_ephemeral_key(key, *b"up 7", BlockLimit::DEFAULT, <Opener>::FAILURE_LIMIT);
}

/// Starts both with a key and states that are stored.
pub extern "C" fn restore(
    sealer: &mut Sealer,
    opener: &mut Opener,
    key: &Key<TwineOtr>,
    states: &[[[u8; 32]; 2]; 2],
) -> bool {
    const FAILURES: u32 = <Opener>::FAILURE_LIMIT;
    sealer.set_stored_key(key, *b"up 7", BlockLimit::DEFAULT, &states[0]).is_ok()
        && opener.set_stored_key(key, *b"up 7", BlockLimit::DEFAULT, FAILURES, &states[1]).is_ok()
}

/// Makes the states to store, in order to reserve.
pub extern "C" fn begin_reserve(sealer: &mut Sealer, opener: &mut Opener, states: &mut [[u8; 32]; 2]) {
    states[0] = sealer.begin_reserve(1 << 12).state().to_bytes();
    states[1] = opener.begin_reserve(16, 1 << 10).state().to_bytes();
}

/// Reserves what was stored.
pub extern "C" fn confirm(sealer: &mut Sealer, opener: &mut Opener, states: &[[u8; 32]; 2]) -> bool {
    sealer.confirm(&states[0]).is_ok() && opener.confirm(&states[1]).is_ok()
}

/// Ends both.
pub extern "C" fn suspend(sealer: &mut Sealer, opener: &mut Opener, states: &mut [[u8; 32]; 2]) {
    states[0] = sealer.suspend_in_place().to_bytes();
    states[1] = opener.suspend_in_place().to_bytes();
}

/// Seals in place, under the next nonce.
///
/// # Safety
/// The pointers are to so many bytes.
#[allow(unsafe_code, reason = "as C has it, so that nothing is known of the lengths")]
pub unsafe extern "C" fn seal_next(
    sealer: &mut Sealer,
    associated_data: *const u8,
    associated_data_len: usize,
    buffer: *mut u8,
    buffer_len: usize,
    tag: &mut Tag<TwineOtr>,
) -> bool {
    // SAFETY: by the caller's word.
    let (associated_data, buffer) =
        unsafe { slices(associated_data, associated_data_len, buffer, buffer_len) };
    match sealer.seal_inout_detached(associated_data, buffer.into()) {
        Ok((_, new)) => {
            *tag = new;
            true
        }
        Err(_) => false,
    }
}

/// Opens in place.
///
/// # Safety
/// The pointers are to so many bytes.
#[allow(unsafe_code, reason = "as C has it, so that nothing is known of the lengths")]
pub unsafe extern "C" fn open_next(
    opener: &mut Opener,
    nonce: &Nonce<TwineOtr>,
    associated_data: *const u8,
    associated_data_len: usize,
    buffer: *mut u8,
    buffer_len: usize,
    tag: &Tag<TwineOtr>,
) -> bool {
    // SAFETY: by the caller's word.
    let (associated_data, buffer) =
        unsafe { slices(associated_data, associated_data_len, buffer, buffer_len) };
    opener.open_inout_detached(nonce, associated_data, buffer.into(), tag).is_ok()
}

/// Associated data and a message.
///
/// # Safety
/// The pointers are to so many bytes, of which nothing else is used as long as the slices are.
#[allow(unsafe_code, reason = "pointers are what C has")]
unsafe fn slices<'a>(
    associated_data: *const u8,
    associated_data_len: usize,
    buffer: *mut u8,
    buffer_len: usize,
) -> (&'a [u8], &'a mut [u8]) {
    // SAFETY: by the caller's word.
    unsafe {
        (
            slice::from_raw_parts(associated_data, associated_data_len),
            slice::from_raw_parts_mut(buffer, buffer_len),
        )
    }
}
