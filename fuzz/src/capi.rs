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
    /// Modulo 3: the family of the sealer, the opener and the stream.
    pub family: u8,
    /// The blocks of their limit, modulo 2^25.
    pub limit: u32,
    /// The blocks that are reserved; the pairs of the first piece, modulo 16; and the replay window, modulo 66.
    pub reserved: (u16, u8, u8),
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
    ($name:ident, $otr:ty, $cipher:ty, $key_len:literal, $family:ident, $block_context:ident:
     $block_init:ident, $encrypt:ident, $decrypt:ident, $block_clear:ident) => {
        struct $name;

        impl Functions for $name {
            type Otr = $otr;
            type Cipher = $cipher;
            type Context = c::$family::otr_ctx;
            type BlockContext = c::$block_context;
            const KEY_LEN: usize = $key_len;
            const INIT: unsafe extern "C" fn(*mut Self::Context, *const u8) -> c_int = c::$family::otr_init;
            const SEAL: unsafe extern "C" fn(
                *const Self::Context,
                *const u8,
                *const u8,
                usize,
                *mut u8,
                usize,
                *mut u8,
            ) -> c_int = c::$family::otr_seal;
            const OPEN: unsafe extern "C" fn(
                *const Self::Context,
                *const u8,
                *const u8,
                usize,
                *mut u8,
                usize,
                *const u8,
            ) -> c_int = c::$family::otr_open;
            const CLEAR: unsafe extern "C" fn(*mut Self::Context) = c::$family::otr_clear;
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

functions!(Keys80, Twine80Otr, Twine80, 10, twine80, twine80_ctx:
    twine80_init, twine80_encrypt_blocks, twine80_decrypt_blocks, twine80_clear);
functions!(Keys128, Twine128Otr, Twine128, 16, twine128, twine128_ctx:
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
        match self.family % 3 {
            0 => counted::twine128::check(self, &mut memory, &places),
            1 => counted::twine80_serial::check(self, &mut memory, &places),
            _ => counted::twine128_combined::check(self, &mut memory, &places),
        }
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

/// Sealers, openers, pieces and streams, beside those of the Rust library.
mod counted {
    use super::{Input, Places, overlap};
    use core::{ffi::c_int, mem::MaybeUninit};
    use twine_otr_aead::{
        BlockLimit, ChunkOpener, ChunkSealer, Combined, OpenError, Opener, Parallel, PieceError, SealError,
        Sealer, Serial, StreamHeader, Twine80Otr, Twine128Otr,
    };
    use twine_otr_capi as c;

    const FIXED: [u8; 4] = *b"fuzz";
    const HEADER: [u8; 16] = [7; 16];
    const FAILURES: u32 = 3;

    fn sealed<T>(result: &Result<T, SealError>) -> c_int {
        match result {
            Ok(_) => c::TWINE_OTR_OK,
            Err(SealError::LimitReached) => c::TWINE_OTR_ERR_LIMIT,
            Err(SealError::NotReserved) => c::TWINE_OTR_ERR_NOT_RESERVED,
            Err(SealError::Finished) => c::TWINE_OTR_ERR_FINISHED,
            Err(error) => panic!("{error}"),
        }
    }

    fn opened(result: &Result<(), OpenError>) -> c_int {
        match result {
            Ok(()) => c::TWINE_OTR_OK,
            Err(OpenError::Rejected) => c::TWINE_OTR_ERR_AUTHENTICATION,
            Err(OpenError::LimitReached) => c::TWINE_OTR_ERR_LIMIT,
            Err(OpenError::NotReserved) => c::TWINE_OTR_ERR_NOT_RESERVED,
            Err(OpenError::Replayed) => c::TWINE_OTR_ERR_REPLAYED,
            Err(OpenError::OtherFixedPart) => c::TWINE_OTR_ERR_OTHER_FIXED_PART,
            Err(OpenError::TooManyFailures) => c::TWINE_OTR_ERR_FAILURES,
            Err(OpenError::Finished) => c::TWINE_OTR_ERR_FINISHED,
            Err(error) => panic!("{error}"),
        }
    }

    fn piece<T>(result: &Result<T, PieceError>) -> c_int {
        match result {
            Ok(_) => c::TWINE_OTR_OK,
            Err(PieceError::TooLong) => c::TWINE_OTR_ERR_LIMIT,
            Err(PieceError::NotPairs | PieceError::EmptyEnd) => c::TWINE_OTR_ERR_PIECE,
            Err(error) => panic!("{error}"),
        }
    }

    macro_rules! family {
        ($name:ident, $otr:ty, $key_len:literal) => {
            pub(super) mod $name {
                use super::*;

                /// A message is sealed, at once, in pieces and as a chunk, and opened twice, with what is changed between.
                pub(in super::super) fn check(input: &Input<'_>, memory: &mut Vec<u8>, places: &Places) {
                    let key = &input.key[..$key_len];
                    let Places { ad, buf, tag, nonce } = places;
                    let blocks = input.limit % (1 << 25);
                    let mut sealer = Box::new(MaybeUninit::<c::$name::sealer>::uninit());
                    let mut opener = Box::new(MaybeUninit::<c::$name::opener>::uninit());
                    let (sealer, opener) = (sealer.as_mut_ptr(), opener.as_mut_ptr());
                    let mut state = [0; 32];
                    let (window, reserved) = (u32::from(input.reserved.2) % 66, u32::from(input.reserved.0));
                    let Some(limit) = BlockLimit::new(blocks) else {
                        let key = key.as_ptr();
                        // SAFETY: all are as long as they have to be.
                        let code = unsafe { c::$name::sealer_init(sealer, key, FIXED.as_ptr(), blocks) };
                        assert_eq!(code, c::TWINE_OTR_ERR_ARGUMENT);
                        return;
                    };
                    let rust_key = key.try_into().expect("the key's size");
                    let first = Sealer::<$otr>::first_state(rust_key, FIXED, limit);
                    let mut one = Sealer::<$otr>::restore(rust_key, FIXED, limit, &[first.to_bytes()])
                        .expect("its state");
                    let mut other = Opener::<$otr>::new(rust_key, FIXED)
                        .with_block_limit(limit)
                        .with_failure_limit(FAILURES);
                    // SAFETY: all are as long as they have to be.
                    unsafe {
                        let (key, fixed, state) = (key.as_ptr(), FIXED.as_ptr(), state.as_mut_ptr());
                        assert_eq!(
                            c::$name::sealer_first_state(sealer, key, fixed, blocks, state),
                            c::TWINE_OTR_OK
                        );
                        assert_eq!(
                            c::$name::sealer_restore(sealer, key, fixed, blocks, state, 1),
                            c::TWINE_OTR_OK
                        );
                        assert_eq!(c::$name::sealer_begin_reserve(sealer, reserved, state), c::TWINE_OTR_OK);
                        let code = c::$name::opener_init(opener, key, fixed, blocks, FAILURES, window);
                        if window > 64 {
                            assert_eq!(code, c::TWINE_OTR_ERR_ARGUMENT);
                            return;
                        }
                        assert_eq!(code, c::TWINE_OTR_OK);
                    }
                    let reservation = one.begin_reserve(reserved);
                    assert_eq!(state, reservation.state().to_bytes());
                    reservation.stored();
                    let at = usize::from(input.change.0);
                    state[at % 32] = state[at % 32].wrapping_add(input.change.1);
                    // SAFETY: as above.
                    let code = unsafe { c::$name::sealer_confirm(sealer, state.as_ptr()) };
                    if input.change.1 != 0 {
                        // Only the sum of one changed byte is wrong for sure.
                        assert_eq!(code, c::TWINE_OTR_ERR_STATE_DAMAGED);
                        state[at % 32] = state[at % 32].wrapping_sub(input.change.1);
                        // SAFETY: as above.
                        let code = unsafe { c::$name::sealer_confirm(sealer, state.as_ptr()) };
                        assert_eq!(code, c::TWINE_OTR_OK);
                    } else {
                        assert_eq!(code, c::TWINE_OTR_OK);
                    }

                    let mut expected = memory.clone();
                    let base = memory.as_mut_ptr();
                    let overlaps =
                        overlap(buf, ad) || overlap(buf, tag) || overlap(buf, nonce) || overlap(tag, nonce);
                    // SAFETY: all places are in the memory.
                    let code = unsafe {
                        c::$name::sealer_seal(
                            sealer,
                            base.add(ad.start),
                            ad.len(),
                            base.add(buf.start),
                            buf.len(),
                            base.add(nonce.start),
                            base.add(tag.start),
                        )
                    };
                    if overlaps {
                        assert_eq!(code, c::TWINE_OTR_ERR_ARGUMENT);
                        assert!(*memory == expected, "a refused call wrote something");
                        return;
                    }
                    let mut text = memory_of(&expected, buf);
                    let result = one.seal_inout_detached(&expected[ad.clone()], text.as_mut_slice().into());
                    assert_eq!(code, sealed(&result));
                    if let Ok((n, t)) = &result {
                        expected[buf.clone()].copy_from_slice(&text);
                        expected[nonce.clone()].copy_from_slice(n);
                        expected[tag.clone()].copy_from_slice(t);
                    }
                    assert!(*memory == expected, "seal wrote something else");

                    // Twice, with a change before the first time.
                    let at = at % memory.len();
                    memory[at] = memory[at].wrapping_add(input.change.1);
                    for _ in 0..2 {
                        let mut expected = memory.clone();
                        let mut text = memory_of(&expected, buf);
                        let n = expected[nonce.clone()].try_into().expect("7 bytes");
                        let t = expected[tag.clone()].try_into().expect("8 bytes");
                        let result = other.open_inout_detached(
                            n,
                            &expected[ad.clone()],
                            text.as_mut_slice().into(),
                            t,
                        );
                        let base = memory.as_mut_ptr();
                        // SAFETY: as above.
                        let code = unsafe {
                            c::$name::opener_open(
                                opener,
                                base.add(nonce.start),
                                base.add(ad.start),
                                ad.len(),
                                base.add(buf.start),
                                buf.len(),
                                base.add(tag.start),
                            )
                        };
                        assert_eq!(code, opened(&result));
                        expected[buf.clone()].copy_from_slice(&text);
                        assert!(*memory == expected, "open wrote something else");
                    }

                    check_pieces(input, sealer, &mut one, &memory[ad.clone()], &memory[buf.clone()]);
                    check_chunks(key, limit, &memory[ad.clone()], &memory[buf.clone()]);
                    // SAFETY: nobody uses them any more.
                    unsafe {
                        assert_eq!(c::$name::sealer_suspend(sealer, state.as_mut_ptr()), c::TWINE_OTR_OK);
                        c::$name::opener_clear(opener);
                    }
                    assert_eq!(state, one.suspend().to_bytes());
                }

                fn check_pieces(
                    input: &Input<'_>,
                    sealer: *mut c::$name::sealer,
                    one: &mut Sealer<$otr>,
                    ad: &[u8],
                    text: &[u8],
                ) {
                    let mut pieces = Box::new(MaybeUninit::<c::$name::pieces>::uninit());
                    let pieces = pieces.as_mut_ptr();
                    let (mut buf, mut expected) = (text.to_vec(), text.to_vec());
                    let (mut nonce, mut tag) = ([0; 7], [0; 8]);
                    // SAFETY: all are as long as they have to be.
                    let code = unsafe {
                        c::$name::sealer_begin_pieces(
                            sealer,
                            pieces,
                            ad.as_ptr(),
                            ad.len(),
                            text.len(),
                            nonce.as_mut_ptr(),
                        )
                    };
                    let result = one.seal_pieces(ad, text.len());
                    assert_eq!(code, sealed(&result));
                    let Ok((expected_nonce, mut encryptor)) = result else { return };
                    assert_eq!(nonce, expected_nonce.0);
                    let cut = (usize::from(input.reserved.1) * 8).min(text.len());
                    let (start, end) = expected.split_at_mut(cut);
                    let (start, end) = match encryptor.update(start.into()) {
                        result @ Err(_) => {
                            // SAFETY: as above.
                            let code = unsafe {
                                c::$name::sealer_update_pieces(sealer, pieces, buf.as_mut_ptr(), cut)
                            };
                            assert_eq!(code, piece(&result));
                            (0, expected.as_mut_slice())
                        }
                        result @ Ok(()) => {
                            // SAFETY: as above.
                            let code = unsafe {
                                c::$name::sealer_update_pieces(sealer, pieces, buf.as_mut_ptr(), cut)
                            };
                            assert_eq!(code, piece(&result));
                            (cut, end)
                        }
                    };
                    let result = encryptor.finalize(end.into());
                    // SAFETY: as above.
                    let code = unsafe {
                        let rest = &mut buf[start..];
                        c::$name::sealer_finalize_pieces(
                            sealer,
                            pieces,
                            rest.as_mut_ptr(),
                            rest.len(),
                            tag.as_mut_ptr(),
                        )
                    };
                    assert_eq!(code, piece(&result));
                    assert_eq!(buf, expected);
                    assert_eq!(tag, result.map_or([0; 8], Into::into));
                }

                fn check_chunks(key: &[u8], limit: BlockLimit, ad: &[u8], text: &[u8]) {
                    let rust_key = key.try_into().expect("the key's size");
                    let header = StreamHeader::counted([7; 8], u64::from_be_bytes([7; 8]));
                    let mut one = ChunkSealer::<$otr>::with_block_limit(rust_key, header, limit);
                    let mut two = ChunkOpener::<$otr>::with_block_limit(rust_key, &HEADER, limit)
                        .with_failure_limit(FAILURES);
                    let mut sealer = Box::new(MaybeUninit::<c::$name::chunk_sealer>::uninit());
                    let mut opener = Box::new(MaybeUninit::<c::$name::chunk_opener>::uninit());
                    let (sealer, opener) = (sealer.as_mut_ptr(), opener.as_mut_ptr());
                    // SAFETY: all are as long as they have to be.
                    unsafe {
                        let (key, header) = (key.as_ptr(), HEADER.as_ptr());
                        assert_eq!(
                            c::$name::chunk_sealer_init(sealer, key, header, limit.get()),
                            c::TWINE_OTR_OK
                        );
                        assert_eq!(
                            c::$name::chunk_opener_init(opener, key, header, limit.get(), FAILURES),
                            c::TWINE_OTR_OK
                        );
                    }
                    for i in 0..3 {
                        let (mut buf, mut expected, mut tag) = (text.to_vec(), text.to_vec(), [0; 8]);
                        let out = expected.as_mut_slice().into();
                        let result = if i == 1 { one.seal_last(ad, out) } else { one.seal_chunk(ad, out) };
                        let seal = if i == 1 {
                            c::$name::chunk_sealer_seal_last
                        } else {
                            c::$name::chunk_sealer_seal
                        };
                        // SAFETY: as above.
                        let code = unsafe {
                            seal(sealer, ad.as_ptr(), ad.len(), buf.as_mut_ptr(), buf.len(), tag.as_mut_ptr())
                        };
                        assert_eq!(code, sealed(&result));
                        assert_eq!((&buf, tag), (&expected, result.map_or([0; 8], Into::into)));
                        let out = expected.as_mut_slice().into();
                        let t = &tag.into();
                        let result =
                            if i == 1 { two.open_last(ad, out, t) } else { two.open_chunk(ad, out, t) };
                        let open = if i == 1 {
                            c::$name::chunk_opener_open_last
                        } else {
                            c::$name::chunk_opener_open
                        };
                        // SAFETY: as above.
                        let code = unsafe {
                            open(opener, ad.as_ptr(), ad.len(), buf.as_mut_ptr(), buf.len(), tag.as_ptr())
                        };
                        assert_eq!(code, opened(&result));
                        assert_eq!(buf, expected);
                        // SAFETY: as above.
                        let complete = unsafe { c::$name::chunk_opener_check_complete(opener) };
                        assert_eq!(complete == c::TWINE_OTR_OK, two.is_complete());
                    }
                    // SAFETY: nobody uses them any more.
                    unsafe {
                        c::$name::chunk_sealer_clear(sealer);
                        c::$name::chunk_opener_clear(opener);
                    }
                }
            }
        };
    }

    fn memory_of(memory: &[u8], place: &core::ops::Range<usize>) -> Vec<u8> {
        memory[place.clone()].to_vec()
    }

    family!(twine128, Twine128Otr<Parallel>, 16);
    family!(twine80_serial, Twine80Otr<Serial>, 10);
    family!(twine128_combined, Twine128Otr<Combined>, 16);
}
