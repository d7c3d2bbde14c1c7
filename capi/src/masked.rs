//! Sealers and openers with two shares, against power analysis. `include/twine-otr-masked.h` has their documentation.

use core::{
    convert::Infallible,
    ffi::{c_int, c_void},
    mem,
};

use twine_otr_aead::{
    MaskedCipher, Opener, Sealer, TwineOtrMasked,
    rand_core::{TryCryptoRng, TryRng},
};

use crate::{sealer::Algorithm, status::Failure};

/// Words of 8 bytes in a sealer or an opener with masks.
pub(crate) const TWINE_OTR_MASKED_WORDS: usize = 276;

/// The most words of masks that a call takes.
const MASKS: usize = TwineOtrMasked::<Masks>::random_to_open(1) / 4;

/// What is in the place of each two masks before the caller's function is called. A random number is this one with a probability of 2^-64.
const UNWRITTEN: [u32; 2] = [0x243F_6A88, 0x85A3_08D3];

/// The caller's function: it fills so many bytes, and returns 0 if it did.
pub(crate) type Random = unsafe extern "C" fn(*mut c_void, *mut u8, usize) -> c_int;

/// The masks of one call, which are all there before it begins: so a generator that fails leaves everything as it was.
pub(crate) struct Masks {
    random: Option<Random>,
    context: *mut c_void,
    words: [u32; MASKS],
    left: usize,
    /// A call has used more masks than it got.
    ran_dry: bool,
}

impl Masks {
    const fn new(random: Option<Random>, context: *mut c_void) -> Self {
        Self { random, context, words: [0; MASKS], left: 0, ran_dry: false }
    }

    /// Gets the masks of a call: so many bytes. A function that says it has succeeded but has not written them all has failed. After masks ran dry
    /// there are none.
    fn get(&mut self, bytes: usize) -> Result<(), Failure> {
        let random = self.random.ok_or(Failure::Argument)?;
        if self.ran_dry {
            return Err(Failure::Random);
        }
        let words = self.words.get_mut(..bytes / 4).ok_or(Failure::Random)?;
        words.iter_mut().zip(UNWRITTEN.iter().cycle()).for_each(|(word, unwritten)| *word = *unwritten);
        // SAFETY: the words have so many bytes. The caller of `init` vouches for the function and its context.
        let status = unsafe { random(self.context, words.as_mut_ptr().cast(), bytes) };
        if status != 0 || words.chunks_exact(2).any(|pair| pair == UNWRITTEN) {
            words.fill(0);
            self.left = 0;
            return Err(Failure::Random);
        }
        self.left = bytes / 4;
        Ok(())
    }
}

impl TryRng for Masks {
    type Error = Infallible;

    /// No mask stays where it was. Tests count what each call takes, so there is always one. If there were none, this call would be the last that
    /// gets masks.
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let left = self.left.checked_sub(1);
        self.ran_dry |= left.is_none();
        self.left = left.unwrap_or(0);
        Ok(left.and_then(|place| self.words.get_mut(place)).map_or(0, mem::take))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let [low, high] = [self.try_next_u32()?, self.try_next_u32()?];
        Ok(u64::from(low) | u64::from(high) << 32)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(4) {
            for (byte, mask) in chunk.iter_mut().zip(self.try_next_u32()?.to_le_bytes()) {
                *byte = mask;
            }
        }
        Ok(())
    }
}

impl TryCryptoRng for Masks {}

impl<C: MaskedCipher> Algorithm for TwineOtrMasked<Masks, C> {
    fn prepare_sealer(sealer: &mut Sealer<Self, 4>, ad_len: usize) -> Result<(), Failure> {
        sealer.rng_mut().get(Self::random_to_seal(ad_len))
    }

    fn prepare_opener(opener: &mut Opener<Self, 4>, ad_len: usize) -> Result<(), Failure> {
        opener.rng_mut().get(Self::random_to_open(ad_len))
    }

    fn prepare_state(opener: &mut Opener<Self, 4>) -> Result<(), Failure> {
        opener.rng_mut().get(Self::random_to_seal(0))
    }
}

/// The functions for one key size. In C each name begins with that of the module.
macro_rules! family {
    ($name:ident, $prefix:literal, $cipher:ident) => {
        #[doc = concat!("The functions and types that C calls `", $prefix, "_*`.")]
        pub mod $name {
            use core::ffi::{c_int, c_void};

            use twine_otr_aead::{$cipher, Opener, Sealer, TwineOtrMasked};

            use super::{Masks, Random, TWINE_OTR_MASKED_WORDS};
            use crate::{
                context,
                opener::{self, Rules, Windowed},
                sealer,
                stack::leaving_nothing_of_masked,
                status, twine_otr_opener_counts, twine_otr_sealer_counts,
            };

            type Algorithm = TwineOtrMasked<Masks, $cipher>;

            /// A key that seals each message under a new nonce, and stops at a limit of blocks.
            #[repr(C)]
            #[allow(missing_debug_implementations, reason = "secret, and C's")]
            pub struct masked_sealer {
                opaque: [u64; TWINE_OTR_MASKED_WORDS],
            }

            /// A key that opens what one sealer seals.
            #[repr(C)]
            #[allow(missing_debug_implementations, reason = "secret, and C's")]
            pub struct masked_opener {
                opaque: [u64; TWINE_OTR_MASKED_WORDS],
            }

            context::context!(masked_sealer, Sealer<Algorithm, 4>, concat!($prefix, "_sealer"));
            context::context!(masked_opener, Windowed<Algorithm>, concat!($prefix, "_opener"));

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_sealer_init"))]
            pub unsafe extern "C" fn sealer_init(
                sealer: *mut masked_sealer,
                key: *const u32,
                fixed: *const u8,
                block_limit: u32,
                random: Option<Random>,
                context: *mut c_void,
            ) -> c_int {
                let without_key = || Sealer::masked(Masks::new(random, context));
                // SAFETY: by the caller's word.
                leaving_nothing_of_masked(|| unsafe {
                    sealer::init(sealer, key.cast(), fixed.cast(), block_limit, without_key)
                })
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_sealer_first_state"))]
            pub unsafe extern "C" fn sealer_first_state(
                sealer: *mut masked_sealer,
                key: *const u32,
                fixed: *const u8,
                block_limit: u32,
                random: Option<Random>,
                context: *mut c_void,
                state: *mut u8,
            ) -> c_int {
                let without_key = || Sealer::masked(Masks::new(random, context));
                // SAFETY: by the caller's word.
                leaving_nothing_of_masked(|| unsafe {
                    sealer::first_state(
                        sealer,
                        key.cast(),
                        fixed.cast(),
                        block_limit,
                        state.cast(),
                        without_key,
                    )
                })
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_sealer_restore"))]
            pub unsafe extern "C" fn sealer_restore(
                sealer: *mut masked_sealer,
                key: *const u32,
                fixed: *const u8,
                block_limit: u32,
                random: Option<Random>,
                context: *mut c_void,
                states: *const u8,
                count: usize,
            ) -> c_int {
                let without_key = || Sealer::masked(Masks::new(random, context));
                let states = (states.cast(), count);
                // SAFETY: by the caller's word.
                leaving_nothing_of_masked(|| unsafe {
                    sealer::restore(sealer, key.cast(), fixed.cast(), block_limit, states, without_key)
                })
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_sealer_seal"))]
            pub unsafe extern "C" fn sealer_seal(
                sealer: *mut masked_sealer,
                ad: *const u8,
                ad_len: usize,
                buf: *mut u8,
                len: usize,
                nonce: *mut u8,
                tag: *mut u8,
            ) -> c_int {
                // SAFETY: by the caller's word.
                leaving_nothing_of_masked(|| unsafe {
                    sealer::seal(sealer, (ad, ad_len), (buf, len), nonce.cast(), tag.cast())
                })
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_sealer_next_nonce"))]
            pub unsafe extern "C" fn sealer_next_nonce(
                sealer: *const masked_sealer,
                nonce: *mut u8,
            ) -> c_int {
                // SAFETY: by the caller's word.
                status::code(unsafe { sealer::next_nonce(sealer, nonce.cast()) })
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_sealer_count"))]
            pub unsafe extern "C" fn sealer_count(
                sealer: *const masked_sealer,
                counts: *mut twine_otr_sealer_counts,
            ) -> c_int {
                // SAFETY: by the caller's word.
                status::code(unsafe { sealer::counts(sealer, counts) })
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_sealer_begin_reserve"))]
            pub unsafe extern "C" fn sealer_begin_reserve(
                sealer: *mut masked_sealer,
                blocks: u32,
                state: *mut u8,
            ) -> c_int {
                // SAFETY: by the caller's word.
                leaving_nothing_of_masked(|| unsafe { sealer::begin_reserve(sealer, blocks, state.cast()) })
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_sealer_confirm"))]
            pub unsafe extern "C" fn sealer_confirm(sealer: *mut masked_sealer, state: *const u8) -> c_int {
                // SAFETY: by the caller's word.
                leaving_nothing_of_masked(|| unsafe { sealer::confirm(sealer, state.cast()) })
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_sealer_suspend"))]
            pub unsafe extern "C" fn sealer_suspend(sealer: *mut masked_sealer, state: *mut u8) -> c_int {
                // SAFETY: by the caller's word.
                leaving_nothing_of_masked(|| unsafe { sealer::suspend(sealer, state.cast()) })
            }

            /// # Safety
            /// As the header says.
            #[unsafe(export_name = concat!($prefix, "_sealer_clear"))]
            pub unsafe extern "C" fn sealer_clear(sealer: *mut masked_sealer) {
                // SAFETY: by the caller's word.
                unsafe { context::clear(sealer) }
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_opener_init"))]
            pub unsafe extern "C" fn opener_init(
                opener: *mut masked_opener,
                key: *const u32,
                fixed: *const u8,
                block_limit: u32,
                failure_limit: u32,
                window: u32,
                random: Option<Random>,
                context: *mut c_void,
            ) -> c_int {
                let without_key = || Windowed::new(Opener::masked(Masks::new(random, context)));
                let rules = Rules { block_limit, failure_limit, window };
                // SAFETY: by the caller's word.
                leaving_nothing_of_masked(|| unsafe {
                    opener::init(opener, key.cast(), fixed.cast(), rules, without_key)
                })
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_opener_first_state"))]
            pub unsafe extern "C" fn opener_first_state(
                opener: *mut masked_opener,
                key: *const u32,
                fixed: *const u8,
                block_limit: u32,
                failure_limit: u32,
                random: Option<Random>,
                context: *mut c_void,
                state: *mut u8,
            ) -> c_int {
                let without_key = || Windowed::new(Opener::masked(Masks::new(random, context)));
                let rules = Rules { block_limit, failure_limit, window: 0 };
                // SAFETY: by the caller's word.
                leaving_nothing_of_masked(|| unsafe {
                    opener::first_state(opener, key.cast(), fixed.cast(), rules, state.cast(), without_key)
                })
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_opener_restore"))]
            pub unsafe extern "C" fn opener_restore(
                opener: *mut masked_opener,
                key: *const u32,
                fixed: *const u8,
                block_limit: u32,
                failure_limit: u32,
                window: u32,
                random: Option<Random>,
                context: *mut c_void,
                states: *const u8,
                count: usize,
            ) -> c_int {
                let without_key = || Windowed::new(Opener::masked(Masks::new(random, context)));
                let rules = Rules { block_limit, failure_limit, window };
                let states = (states.cast(), count);
                // SAFETY: by the caller's word.
                leaving_nothing_of_masked(|| unsafe {
                    opener::restore(opener, key.cast(), fixed.cast(), rules, states, without_key)
                })
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_opener_open"))]
            pub unsafe extern "C" fn opener_open(
                opener: *mut masked_opener,
                nonce: *const u8,
                ad: *const u8,
                ad_len: usize,
                buf: *mut u8,
                len: usize,
                tag: *const u8,
            ) -> c_int {
                // SAFETY: by the caller's word.
                leaving_nothing_of_masked(|| unsafe {
                    opener::open(opener, nonce.cast(), (ad, ad_len), (buf, len), tag.cast())
                })
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_opener_count"))]
            pub unsafe extern "C" fn opener_count(
                opener: *const masked_opener,
                counts: *mut twine_otr_opener_counts,
            ) -> c_int {
                // SAFETY: by the caller's word.
                status::code(unsafe { opener::counts(opener, counts) })
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_opener_begin_reserve"))]
            pub unsafe extern "C" fn opener_begin_reserve(
                opener: *mut masked_opener,
                messages: u32,
                blocks: u32,
                state: *mut u8,
            ) -> c_int {
                // SAFETY: by the caller's word.
                leaving_nothing_of_masked(|| unsafe {
                    opener::begin_reserve(opener, messages, blocks, state.cast())
                })
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_opener_confirm"))]
            pub unsafe extern "C" fn opener_confirm(opener: *mut masked_opener, state: *const u8) -> c_int {
                // SAFETY: by the caller's word.
                leaving_nothing_of_masked(|| unsafe { opener::confirm(opener, state.cast()) })
            }

            /// # Safety
            /// As the header says.
            #[must_use]
            #[unsafe(export_name = concat!($prefix, "_opener_suspend"))]
            pub unsafe extern "C" fn opener_suspend(opener: *mut masked_opener, state: *mut u8) -> c_int {
                // SAFETY: by the caller's word.
                leaving_nothing_of_masked(|| unsafe { opener::suspend(opener, state.cast()) })
            }

            /// # Safety
            /// As the header says.
            #[unsafe(export_name = concat!($prefix, "_opener_clear"))]
            pub unsafe extern "C" fn opener_clear(opener: *mut masked_opener) {
                // SAFETY: by the caller's word.
                unsafe { context::clear(opener) }
            }
        }
    };
}

family!(twine128_masked, "twine128_masked", Twine128Masked);
family!(twine80_masked, "twine80_masked", Twine80Masked);

#[cfg(test)]
mod tests {
    extern crate std;

    use core::{
        ffi::{c_int, c_void},
        ptr,
    };
    use std::format;

    use super::{Failure, Masks, TWINE_OTR_MASKED_WORDS, TryRng as _};

    #[test]
    fn the_header_has_the_size() {
        let header = include_str!("../include/twine-otr-masked.h");
        assert!(header.contains(&format!("#define TWINE_OTR_MASKED_WORDS {TWINE_OTR_MASKED_WORDS}\n")));
        assert!(header.contains(&format!("takes {} bytes", 8 * TWINE_OTR_MASKED_WORDS)));
    }

    unsafe extern "C" fn ones(_: *mut c_void, bytes: *mut u8, len: usize) -> c_int {
        // SAFETY: `Masks` calls this with so many bytes.
        unsafe { bytes.write_bytes(1, len) };
        0
    }

    /// A call that takes all of its masks is followed by others, and one that takes more is not.
    #[test]
    fn masks_that_run_dry_are_the_last() {
        let mut masks = Masks::new(Some(ones), ptr::null_mut());
        for _ in 0..2 {
            assert!(masks.get(16).is_ok());
            for _ in 0..4 {
                assert_eq!(masks.try_next_u32(), Ok(0x0101_0101));
            }
        }
        assert_eq!(masks.try_next_u32(), Ok(0));
        assert!(matches!(masks.get(16), Err(Failure::Random)));
    }
}
