//! The C interface, with all that a call works with at any place of one piece of memory: what it accepts it computes as
//! the Rust library does, what it must refuse it refuses, and nothing is written but what should be.

#![allow(unsafe_code, reason = "a foreign-function interface is what is tested")]

use arbitrary::Arbitrary;
use core::{ffi::c_int, mem::MaybeUninit, ops::Range, ptr};
use twine_cipher::cipher::{Array, BlockCipherEncrypt, BlockSizeUser};
use twine_otr_aead::{
    AeadInOut, KeyInit, Twine80, Twine80Otr, Twine128, Twine128Otr,
    aead::{consts::U7, consts::U8},
};
use twine_otr_capi as c;

/// A message and where its parts lie.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    /// For 80-bit keys, which take the first 10 bytes, an odd number.
    pub key_size: u8,
    /// The key.
    pub key: [u8; 16],
    /// A bit each for nonce, associated data, message and tag: the pointer is null. The next: a context is made unusable by a
    /// null key instead of being cleared.
    pub nulls: u8,
    /// Where nonce, associated data, message and tag begin, modulo what leaves room for them.
    pub places: [u16; 4],
    /// The length of the associated data, modulo 129.
    pub ad_len: u8,
    /// The length of the message, modulo 513.
    pub len: u16,
    /// The context is cleared before it is used.
    pub is_cleared: bool,
    /// What is changed between sealing and opening: a place, and what is added to it.
    pub change: (u16, u8),
    /// What the memory holds before, repeated.
    pub bytes: &'a [u8],
}

const MEMORY: usize = 1024;

/// The functions for one size of key.
trait Functions {
    type Otr: AeadInOut<NonceSize = U7, TagSize = U8> + KeyInit;
    type Cipher: BlockCipherEncrypt + BlockSizeUser<BlockSize = U8> + KeyInit;
    type Context;
    type BlockContext;
    const KEY_LEN: usize;
    const INIT: unsafe extern "C" fn(*mut Self::Context, *const u8) -> c_int;
    const SEAL: unsafe extern "C" fn(
        *const Self::Context,
        *const u8,
        *const u8,
        usize,
        *mut u8,
        usize,
        *mut u8,
    ) -> c_int;
    const OPEN: unsafe extern "C" fn(
        *const Self::Context,
        *const u8,
        *const u8,
        usize,
        *mut u8,
        usize,
        *const u8,
    ) -> c_int;
    const CLEAR: unsafe extern "C" fn(*mut Self::Context);
    const BLOCK_INIT: unsafe extern "C" fn(*mut Self::BlockContext, *const u8) -> c_int;
    const ENCRYPT: unsafe extern "C" fn(*const Self::BlockContext, *mut u8, usize) -> c_int;
    const DECRYPT: unsafe extern "C" fn(*const Self::BlockContext, *mut u8, usize) -> c_int;
    const BLOCK_CLEAR: unsafe extern "C" fn(*mut Self::BlockContext);
}

macro_rules! functions {
    ($name:ident, $otr:ty, $cipher:ty, $key_len:literal, $context:ident, $block_context:ident:
     $init:ident, $seal:ident, $open:ident, $clear:ident, $block_init:ident, $encrypt:ident, $decrypt:ident, $block_clear:ident) => {
        struct $name;

        impl Functions for $name {
            type Otr = $otr;
            type Cipher = $cipher;
            type Context = c::$context;
            type BlockContext = c::$block_context;
            const KEY_LEN: usize = $key_len;
            const INIT: unsafe extern "C" fn(*mut Self::Context, *const u8) -> c_int = c::$init;
            const SEAL: unsafe extern "C" fn(
                *const Self::Context,
                *const u8,
                *const u8,
                usize,
                *mut u8,
                usize,
                *mut u8,
            ) -> c_int = c::$seal;
            const OPEN: unsafe extern "C" fn(
                *const Self::Context,
                *const u8,
                *const u8,
                usize,
                *mut u8,
                usize,
                *const u8,
            ) -> c_int = c::$open;
            const CLEAR: unsafe extern "C" fn(*mut Self::Context) = c::$clear;
            const BLOCK_INIT: unsafe extern "C" fn(*mut Self::BlockContext, *const u8) -> c_int =
                c::$block_init;
            const ENCRYPT: unsafe extern "C" fn(*const Self::BlockContext, *mut u8, usize) -> c_int =
                c::$encrypt;
            const DECRYPT: unsafe extern "C" fn(*const Self::BlockContext, *mut u8, usize) -> c_int =
                c::$decrypt;
            const BLOCK_CLEAR: unsafe extern "C" fn(*mut Self::BlockContext) = c::$block_clear;
        }
    };
}

functions!(Keys80, Twine80Otr, Twine80, 10, twine80_otr_ctx, twine80_ctx:
    twine80_otr_init, twine80_otr_seal, twine80_otr_open, twine80_otr_clear,
    twine80_init, twine80_encrypt_blocks, twine80_decrypt_blocks, twine80_clear);
functions!(Keys128, Twine128Otr, Twine128, 16, twine128_otr_ctx, twine128_ctx:
    twine128_otr_init, twine128_otr_seal, twine128_otr_open, twine128_otr_clear,
    twine128_init, twine128_encrypt_blocks, twine128_decrypt_blocks, twine128_clear);

/// Where the parts lie.
struct Places {
    nonce: Range<usize>,
    ad: Range<usize>,
    buf: Range<usize>,
    tag: Range<usize>,
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    !a.is_empty() && !b.is_empty() && a.start < b.end && b.start < a.end
}

impl Input<'_> {
    /// Panics if a function does what it should not.
    pub fn check(&self) {
        if self.key_size % 2 == 1 { self.check_with::<Keys80>() } else { self.check_with::<Keys128>() }
    }

    fn check_with<F: Functions>(&self) {
        let mut memory: Vec<u8> = self.bytes.iter().copied().chain([0]).cycle().take(MEMORY).collect();
        let place = |i: usize, len: usize| {
            let start = usize::from(self.places[i]) % (MEMORY - len + 1);
            start..start + len
        };
        let places = Places {
            nonce: place(0, 7),
            ad: place(1, usize::from(self.ad_len) % 129),
            buf: place(2, usize::from(self.len) % 513),
            tag: place(3, 8),
        };
        self.check_otr::<F>(&mut memory, &places);
        self.check_blocks::<F>(&mut memory, &places.buf);
    }

    fn is_null(&self, i: u8) -> bool {
        self.nulls >> i & 1 == 1
    }

    /// What a call must return if it is neither success nor a wrong tag.
    fn refusal(&self, places: &Places, overlaps: bool) -> Option<c_int> {
        let Places { ad, buf, .. } = places;
        let null = self.is_null(0)
            || self.is_null(1) && !ad.is_empty()
            || self.is_null(2) && !buf.is_empty()
            || self.is_null(3);
        let of_arguments = null || overlaps;
        match (of_arguments, self.is_cleared) {
            (true, _) => Some(c::TWINE_OTR_ERR_ARGUMENT),
            (_, true) => Some(c::TWINE_OTR_ERR_CONTEXT),
            _ => None,
        }
    }

    fn check_otr<F: Functions>(&self, memory: &mut [u8], places: &Places) {
        let Places { nonce, ad, buf, tag } = places;
        let key = &self.key[..F::KEY_LEN];
        let otr = F::Otr::new_from_slice(key).expect("the key's size");
        let mut context = Box::new(MaybeUninit::<F::Context>::uninit());
        // SAFETY: a context to be written, and a key of the right size.
        assert_eq!(unsafe { F::INIT(context.as_mut_ptr(), key.as_ptr()) }, c::TWINE_OTR_OK);
        if self.is_cleared && self.is_null(4) {
            // A failed init over a live context leaves one that is refused.
            // SAFETY: a context.
            let code = unsafe { F::INIT(context.as_mut_ptr(), ptr::null()) };
            assert_eq!(code, c::TWINE_OTR_ERR_ARGUMENT);
        } else if self.is_cleared {
            // SAFETY: a context.
            unsafe { F::CLEAR(context.as_mut_ptr()) };
        }
        let pointer = |memory: &mut [u8], i: u8, place: &Range<usize>| {
            if self.is_null(i) { ptr::null_mut() } else { memory.as_mut_ptr().wrapping_add(place.start) }
        };
        let nonce_of = |memory: &[u8]| <[u8; 7]>::try_from(&memory[nonce.clone()]).expect("7 bytes").into();

        let mut expected = memory.to_vec();
        let refusal = self.refusal(places, overlap(buf, ad) || overlap(buf, tag));
        if refusal.is_none() {
            let mut text = memory[buf.clone()].to_vec();
            let sealed = otr.encrypt_inout_detached(
                &nonce_of(memory),
                &memory[ad.clone()],
                text.as_mut_slice().into(),
            );
            expected[buf.clone()].copy_from_slice(&text);
            expected[tag.clone()].copy_from_slice(&sealed.expect("short enough"));
        }
        let [n, a, b, t] =
            [(0, nonce), (1, ad), (2, buf), (3, tag)].map(|(i, place)| pointer(memory, i, place));
        // SAFETY: each pointer is null or points to what the lengths say.
        let code = unsafe { F::SEAL(context.as_ptr(), n, a, ad.len(), b, buf.len(), t) };
        assert_eq!(code, refusal.unwrap_or(c::TWINE_OTR_OK), "seal");
        assert!(*memory == expected, "seal wrote something else");

        let (at, add) = self.change;
        let at = usize::from(at) % MEMORY;
        memory[at] = memory[at].wrapping_add(add);
        let mut expected = memory.to_vec();
        let mut refusal = self.refusal(places, overlap(buf, ad));
        let mut text = memory[buf.clone()].to_vec();
        let tag_now = memory[tag.clone()].try_into().expect("8 bytes");
        let opened = otr.decrypt_inout_detached(
            &nonce_of(memory),
            &memory[ad.clone()],
            text.as_mut_slice().into(),
            tag_now,
        );
        if refusal.is_none() && opened.is_err() {
            refusal = Some(c::TWINE_OTR_ERR_AUTHENTICATION);
        }
        match refusal {
            None => expected[buf.clone()].copy_from_slice(&text),
            // A buffer that is refused itself is not written.
            Some(_) if self.is_null(2) => {}
            Some(_) => expected[buf.clone()].fill(0),
        }
        let [n, a, b, t] =
            [(0, nonce), (1, ad), (2, buf), (3, tag)].map(|(i, place)| pointer(memory, i, place));
        // SAFETY: as above.
        let code = unsafe { F::OPEN(context.as_ptr(), n, a, ad.len(), b, buf.len(), t) };
        assert_eq!(code, refusal.unwrap_or(c::TWINE_OTR_OK), "open");
        assert!(*memory == expected, "open wrote something else");
        // SAFETY: a context.
        unsafe { F::CLEAR(context.as_mut_ptr()) };
    }

    fn check_blocks<F: Functions>(&self, memory: &mut [u8], buf: &Range<usize>) {
        let key = &self.key[..F::KEY_LEN];
        let before = memory.to_vec();
        let mut expected = before.clone();
        let count = buf.len() / 8;
        let cipher = F::Cipher::new_from_slice(key).expect("the key's size");
        cipher.encrypt_blocks(Array::slice_as_chunks_mut(&mut expected[buf.start..buf.start + 8 * count]).0);
        let mut context = Box::new(MaybeUninit::<F::BlockContext>::uninit());
        // SAFETY: a context to be written, and a key of the right size; then so many blocks.
        unsafe {
            assert_eq!(F::BLOCK_INIT(context.as_mut_ptr(), key.as_ptr()), c::TWINE_OTR_OK);
            let blocks = memory.as_mut_ptr().wrapping_add(buf.start);
            assert_eq!(F::ENCRYPT(context.as_ptr(), blocks, count), c::TWINE_OTR_OK);
        }
        assert!(*memory == expected, "blocks are encrypted");
        // SAFETY: as above.
        let code = unsafe {
            let blocks = memory.as_mut_ptr().wrapping_add(buf.start);
            F::DECRYPT(context.as_ptr(), blocks, count)
        };
        assert_eq!(code, c::TWINE_OTR_OK);
        assert!(*memory == before, "blocks are decrypted");
        // SAFETY: a context; after that there is none.
        unsafe {
            F::BLOCK_CLEAR(context.as_mut_ptr());
            let blocks = memory.as_mut_ptr().wrapping_add(buf.start);
            assert_eq!(F::ENCRYPT(context.as_ptr(), blocks, count), c::TWINE_OTR_ERR_CONTEXT);
        }
        assert!(*memory == before, "nothing is written without a key");
    }
}
