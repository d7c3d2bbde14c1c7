//! Opening each message once, with limits of blocks and of failures.

use twine_otr_aead::{Nonce, OpenError, Opener, TwineOtr};

use crate::{
    TWINE_OTR_CTX_WORDS,
    context::{self, Context},
    memory::{self, Region, apart},
    otr::{NONCE_SIZE, TAG_SIZE, or_zeros},
    sealer::{Algorithm, Bytes, Fixed, block_limit},
    status::{Failure, TWINE_OTR_FIXED_SIZE, TWINE_OTR_WINDOW_MAX},
};

/// Words of 8 bytes in an opener.
pub const TWINE_OTR_OPENER_WORDS: usize = TWINE_OTR_CTX_WORDS + 11;

/// The counts of an opener.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct twine_otr_opener_counts {
    /// Blocks of all attempts. After a restart this includes all blocks that were reserved.
    pub used_blocks: u32,
    /// Blocks that can still be opened under this key.
    pub remaining_blocks: u32,
    /// Blocks that can be opened before more must be reserved. It is 0 if the reserved failures are used up.
    pub reserved_blocks: u32,
    /// Attempts that have failed. After a restart this includes all failures that were reserved.
    pub failures: u32,
    /// Attempts that may still fail.
    pub remaining_failures: u32,
    /// One more than the greatest counter that was opened. If it skips counters, their messages were lost or are late.
    pub next_counter: u32,
    /// Counters beyond the greatest genuine one that can be opened before more must be reserved.
    pub reserved_messages: u32,
}

/// An opener, and the number of counters below the newest one that it accepts.
pub(crate) struct Windowed<C: Algorithm> {
    opener: Opener<C, TWINE_OTR_FIXED_SIZE>,
    window: u32,
}

impl<C: Algorithm + TwineOtr> Windowed<C> {
    pub(crate) fn without_key() -> Self {
        Self::new(Opener::without_key())
    }
}

impl<C: Algorithm> Windowed<C> {
    pub(crate) fn new(opener: Opener<C, TWINE_OTR_FIXED_SIZE>) -> Self {
        Self { opener, window: 0 }
    }

    /// Refuses counters that are in the opener's own window but not in this one.
    fn check(&self, nonce: &Nonce<C>) -> Result<(), OpenError> {
        let counter = &nonce[TWINE_OTR_FIXED_SIZE..];
        let is_own = self.opener.nonce(counter).as_ref() == Some(nonce);
        let counter = counter.iter().fold(0, |counter, byte| counter << 8 | u64::from(*byte));
        match self.opener.newest().and_then(|newest| newest.checked_sub(counter)) {
            Some(age) if is_own && age > self.window.into() => Err(OpenError::TooOld),
            _ => Ok(()),
        }
    }
}

/// The parameters of an opener, apart from its key.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) block_limit: u32,
    pub(crate) failure_limit: u32,
    pub(crate) window: u32,
}

/// # Safety
/// Each pointer is null or points to what it says, at any alignment.
pub(crate) unsafe fn init<X: Context<Content = Windowed<C>>, C: Algorithm>(
    opener: *mut X,
    key: *const C::KeySource,
    fixed: *const Fixed,
    rules: Rules,
    without_key: impl FnOnce() -> Windowed<C>,
) -> Result<(), Failure> {
    let set_up = |content: &mut Windowed<C>| {
        let limit = rules.check(content)?;
        // SAFETY: the pointers are not null, so the caller vouches for them. They do not overlap what is written.
        unsafe { content.opener.set_ephemeral_key(&*key, *fixed, limit, rules.failure_limit) };
        Ok(())
    };
    // SAFETY: by the caller's word.
    unsafe { context::make(opener, || Ok([Region::of(key)?, Region::of(fixed)?]), without_key, set_up) }
}

impl Rules {
    /// Returns the limit of blocks, if all parameters are in range.
    fn check<C: Algorithm>(self, content: &mut Windowed<C>) -> Result<twine_otr_aead::BlockLimit, Failure> {
        if self.window > TWINE_OTR_WINDOW_MAX {
            return Err(Failure::Argument);
        }
        content.window = self.window;
        block_limit(self.block_limit)
    }
}

/// # Safety
/// As for [`init`].
pub(crate) unsafe fn first_state<X: Context<Content = Windowed<C>>, C: Algorithm>(
    opener: *mut X,
    key: *const C::KeySource,
    fixed: *const Fixed,
    rules: Rules,
    state: *mut Bytes,
    without_key: impl FnOnce() -> Windowed<C>,
) -> Result<(), Failure> {
    // SAFETY: by the caller's word.
    unsafe {
        init(opener, key, fixed, rules, without_key)?;
        let result = suspend(opener, state);
        context::clear(opener);
        result
    }
}

/// # Safety
/// As for [`init`]; `states` points to `count` of them.
pub(crate) unsafe fn restore<X: Context<Content = Windowed<C>>, C: Algorithm>(
    opener: *mut X,
    key: *const C::KeySource,
    fixed: *const Fixed,
    rules: Rules,
    (states, count): (*const Bytes, usize),
    without_key: impl FnOnce() -> Windowed<C>,
) -> Result<(), Failure> {
    let arguments = || Ok([Region::of(key)?, Region::of(fixed)?, memory::array_region(states, count)?]);
    let set_up = |content: &mut Windowed<C>| {
        let limit = rules.check(content)?;
        C::prepare_state(&mut content.opener)?;
        // SAFETY: as in `init`. An array is not null if it has a length, and is not longer than an object can be.
        unsafe {
            let states = memory::slice(states, count);
            content.opener.set_stored_key(&*key, *fixed, limit, rules.failure_limit, states)?;
        }
        Ok(())
    };
    // SAFETY: by the caller's word.
    unsafe { context::make(opener, arguments, without_key, set_up) }
}

/// # Safety
/// Each pointer is null or points to as much as the length beside it, or its type, says.
pub(crate) unsafe fn open<X: Context<Content = Windowed<C>>, C: Algorithm>(
    opener: *mut X,
    nonce: *const [u8; NONCE_SIZE],
    (ad, ad_len): (*const u8, usize),
    (buf, len): (*mut u8, usize),
    tag: *const [u8; TAG_SIZE],
) -> Result<(), Failure> {
    let try_open = |buf_region| {
        let (ad_region, _, _) = (Region::new(ad, ad_len)?, Region::of(nonce)?, Region::of(tag)?);
        apart(buf_region, &[ad_region])?;
        apart(Region::of(opener)?, &[ad_region])?;
        // SAFETY: no pointer is null if it has a length, and no length exceeds that of an object. What is written does not overlap what is
        // borrowed with it. The nonce and the tag are copied.
        unsafe {
            let (nonce, tag) = ((*nonce).into(), (*tag).into());
            context::change(opener, |content| {
                content.check(&nonce)?;
                C::prepare_opener(&mut content.opener, ad_len)?;
                let (ad, buf) = (memory::slice(ad, ad_len), memory::slice_mut(buf, len));
                Ok(content.opener.open_inout_detached(&nonce, ad, buf.into(), &tag)?)
            })
        }
    };
    // SAFETY: by the caller's word.
    unsafe { or_zeros(opener, (buf, len), try_open) }
}

/// # Safety
/// Each pointer is null or points to what it says.
pub(crate) unsafe fn counts<X: Context<Content = Windowed<C>>, C: Algorithm>(
    opener: *const X,
    counts: *mut twine_otr_opener_counts,
) -> Result<(), Failure> {
    apart(Region::of(counts)?, &[Region::of(opener)?])?;
    let clamp = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    // SAFETY: not null, aligned, and apart from the opener.
    unsafe {
        let opener = &context::content(opener)?.opener;
        *counts = twine_otr_opener_counts {
            used_blocks: opener.used_blocks(),
            remaining_blocks: opener.remaining_blocks(),
            reserved_blocks: opener.reserved_blocks(),
            failures: opener.failures(),
            remaining_failures: opener.remaining_failures(),
            next_counter: opener.newest().map_or(0, |newest| clamp(newest + 1)),
            reserved_messages: clamp(opener.reserved_messages()),
        };
    }
    Ok(())
}

/// # Safety
/// As for [`counts`].
pub(crate) unsafe fn begin_reserve<X: Context<Content = Windowed<C>>, C: Algorithm>(
    opener: *mut X,
    messages: u32,
    blocks: u32,
    state: *mut Bytes,
) -> Result<(), Failure> {
    apart(Region::of(opener)?, &[Region::of(state)?])?;
    // SAFETY: not null, and apart from the opener.
    unsafe {
        context::change(opener, |content| {
            C::prepare_state(&mut content.opener)?;
            *state = content.opener.begin_reserve(messages, blocks).state().to_bytes();
            Ok(())
        })
    }
}

/// # Safety
/// As for [`counts`].
pub(crate) unsafe fn confirm<X: Context<Content = Windowed<C>>, C: Algorithm>(
    opener: *mut X,
    state: *const Bytes,
) -> Result<(), Failure> {
    apart(Region::of(opener)?, &[Region::of(state)?])?;
    // SAFETY: not null, and apart from the opener.
    unsafe {
        context::change(opener, |content| {
            C::prepare_state(&mut content.opener)?;
            Ok(content.opener.confirm(&*state)?)
        })
    }
}

/// # Safety
/// As for [`counts`].
pub(crate) unsafe fn suspend<X: Context<Content = Windowed<C>>, C: Algorithm>(
    opener: *mut X,
    state: *mut Bytes,
) -> Result<(), Failure> {
    apart(Region::of(opener)?, &[Region::of(state)?])?;
    // SAFETY: not null, and apart from the opener.
    unsafe {
        context::change(opener, |content| {
            C::prepare_state(&mut content.opener)?;
            *state = content.opener.suspend_in_place().to_bytes();
            Ok(())
        })?;
        context::clear(opener);
    }
    Ok(())
}

/// The functions and types of openers for C, for a family of functions.
macro_rules! functions {
    ($prefix:literal) => {
        /// A key that opens what one sealer seals. It rejects replays, and stops after a number of failed attempts.
        ///
        /// As twine128_sealer, for the functions twine128_opener_*, with TWINE128_OPENER_INIT. A copy would open a message again.
        #[repr(C)]
        #[allow(missing_debug_implementations, reason = "secret, and C's")]
        pub struct opener {
            /// Private.
            opaque: [u64; TWINE_OTR_OPENER_WORDS],
        }

        /// Makes an opener for a fresh key that is discarded with this opener.
        ///
        /// **Never use it for a key that the device has again after a restart**: it would accept every replay. Use twine128_opener_restore for
        /// that.
        ///
        /// cbindgen:ptrs-as-arrays=[[key; 16], [fixed; 4]]
        ///
        /// @param[out] opener         The opener. Its previous contents do not matter. It must not overlap key or fixed.
        /// @param[in]  key            The key, 16 bytes. They are copied: the caller may erase them afterwards.
        /// @param[in]  fixed          The fixed part, which is the first 4 bytes of the sealer's nonces.
        /// @param[in]  block_limit    The blocks that may be opened under the key, including those of failed attempts:
        ///                            TWINE_OTR_BLOCK_LIMIT_DEFAULT as a rule, at most TWINE_OTR_BLOCK_LIMIT_MAX.
        /// @param[in]  failure_limit  The attempts that may fail, TWINE_OTR_FAILURE_LIMIT_DEFAULT as a rule.
        /// @param[in]  window         The size of the replay window: each of so many counters below the newest one is accepted once. It is 0
        ///                            for strict order, and at most TWINE_OTR_WINDOW_MAX.
        /// @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT. Whatever the opener was, it is refused then, and its first 8 bytes are zero.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[cfg_attr(not(twine_keys = "compact"), unsafe(export_name = concat!($prefix, "_opener_init")))]
        #[cfg_attr(twine_keys = "compact", unsafe(export_name = concat!($prefix, "_opener_init_compact")))]
        pub unsafe extern "C" fn opener_init(
            opener: *mut opener,
            key: *const u8,
            fixed: *const u8,
            block_limit: u32,
            failure_limit: u32,
            window: u32,
        ) -> c_int {
            let rules = $crate::opener::Rules { block_limit, failure_limit, window };
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted_init(|| unsafe {
                $crate::opener::init(opener, key.cast(), fixed.cast(), rules, $crate::opener::Windowed::without_key)
            })
        }

        /// Makes the first state of a key that will be stored and under which nothing was ever opened. As twine128_sealer_first_state, with the
        /// parameters of twine128_opener_init. The window is not stored.
        ///
        /// cbindgen:ptrs-as-arrays=[[key; 16], [fixed; 4], [state; 32]]
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[cfg_attr(not(twine_keys = "compact"), unsafe(export_name = concat!($prefix, "_opener_first_state")))]
        #[cfg_attr(twine_keys = "compact", unsafe(export_name = concat!($prefix, "_opener_first_state_compact")))]
        pub unsafe extern "C" fn opener_first_state(
            opener: *mut opener,
            key: *const u8,
            fixed: *const u8,
            block_limit: u32,
            failure_limit: u32,
            state: *mut u8,
        ) -> c_int {
            let rules = $crate::opener::Rules { block_limit, failure_limit, window: 0 };
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted(|| unsafe {
                $crate::opener::first_state(opener, key.cast(), fixed.cast(), rules, state.cast(), $crate::opener::Windowed::without_key)
            })
        }

        /// Makes an opener for a stored key from the newest of its states. Nothing can be opened before a state is stored and confirmed, see
        /// twine128_opener_begin_reserve. The parameters are those of twine128_opener_init, and the states as for twine128_sealer_restore.
        ///
        /// cbindgen:ptrs-as-arrays=[[key; 16], [fixed; 4]]
        ///
        /// @return As twine128_sealer_restore.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[cfg_attr(not(twine_keys = "compact"), unsafe(export_name = concat!($prefix, "_opener_restore")))]
        #[cfg_attr(twine_keys = "compact", unsafe(export_name = concat!($prefix, "_opener_restore_compact")))]
        pub unsafe extern "C" fn opener_restore(
            opener: *mut opener,
            key: *const u8,
            fixed: *const u8,
            block_limit: u32,
            failure_limit: u32,
            window: u32,
            states: *const u8,
            count: usize,
        ) -> c_int {
            let rules = $crate::opener::Rules { block_limit, failure_limit, window };
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted(|| unsafe {
                $crate::opener::restore(opener, key.cast(), fixed.cast(), rules, (states.cast(), count), $crate::opener::Windowed::without_key)
            })
        }

        /// Decrypts a message in place, if its nonce is new and its tag right. If not, the buffer is zero afterwards.
        ///
        /// The opener detects replays and limits from the nonce and the lengths alone, and does not count such attempts. It counts the blocks of
        /// all other attempts, and a failure if the attempt fails.
        ///
        /// cbindgen:ptrs-as-arrays=[[nonce; 7], [tag; 8]]
        ///
        /// @param[in,out] opener  The opener.
        /// @param[in]     nonce   The nonce of the message, 7 bytes: the fixed part, then the counter, big-endian.
        /// @param[in]     ad      The associated data that the message was sealed with. May be null if ad_len is 0. It must not overlap *opener.
        /// @param[in]     ad_len  Its length in bytes.
        /// @param[in,out] buf     The ciphertext; afterwards the message, of the same length, or zeros. May be null if len is 0. It
        ///                        must not overlap ad or *opener.
        /// @param[in]     len     Its length in bytes.
        /// @param[in]     tag     The tag, 8 bytes.
        /// @return TWINE_OTR_OK; TWINE_OTR_ERR_AUTHENTICATION; TWINE_OTR_ERR_REPLAYED, _TOO_OLD or _OTHER_FIXED_PART; TWINE_OTR_ERR_NOT_RESERVED;
        ///         TWINE_OTR_ERR_LIMIT; TWINE_OTR_ERR_FAILURES; TWINE_OTR_ERR_ARGUMENT; or TWINE_OTR_ERR_CONTEXT. On any of these errors buf is
        ///         zero, unless buf and len themselves were refused, or buf overlaps *opener. Then nothing has been written.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_opener_open"))]
        pub unsafe extern "C" fn opener_open(
            opener: *mut opener,
            nonce: *const u8,
            ad: *const u8,
            ad_len: usize,
            buf: *mut u8,
            len: usize,
            tag: *const u8,
        ) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted(|| unsafe {
                $crate::opener::open(opener, nonce.cast(), (ad, ad_len), (buf, len), tag.cast())
            })
        }

        /// Writes what was opened and what can still be opened. As twine128_sealer_count.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_opener_count"))]
        pub unsafe extern "C" fn opener_count(
            opener: *const opener,
            counts: *mut twine_otr_opener_counts,
        ) -> c_int {
            // SAFETY: by the caller's word.
            status::code(unsafe { $crate::opener::counts(opener, counts) })
        }

        /// Makes a state that reserves at least `messages` counters and `blocks` blocks (fewer near the limit) once it is stored. As
        /// twine128_sealer_begin_reserve: nothing is reserved before twine128_opener_confirm.
        ///
        /// After a restart without twine128_opener_suspend, the reserved messages are refused. Such a restart also costs the blocks that were
        /// not used, and the same share of the failures. So reserve few messages, such as 16, and at least the blocks of the longest one.
        ///
        /// cbindgen:ptrs-as-arrays=[[state; 32]]
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_opener_begin_reserve"))]
        pub unsafe extern "C" fn opener_begin_reserve(
            opener: *mut opener,
            messages: u32,
            blocks: u32,
            state: *mut u8,
        ) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted(|| unsafe {
                $crate::opener::begin_reserve(opener, messages, blocks, state.cast())
            })
        }

        /// Reserves what a state says, once it is stored. As twine128_sealer_confirm.
        ///
        /// cbindgen:ptrs-as-arrays=[[state; 32]]
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_opener_confirm"))]
        pub unsafe extern "C" fn opener_confirm(opener: *mut opener, state: *const u8) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted(|| unsafe { $crate::opener::confirm(opener, state.cast()) })
        }

        /// Ends and clears an opener in an orderly way and makes its state. An opener that is restored from this state refuses late messages, and
        /// no others. As twine128_sealer_suspend.
        ///
        /// cbindgen:ptrs-as-arrays=[[state; 32]]
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_opener_suspend"))]
        pub unsafe extern "C" fn opener_suspend(opener: *mut opener, state: *mut u8) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted(|| unsafe { $crate::opener::suspend(opener, state.cast()) })
        }

        /// Erases an opener, without making a state. As twine128_otr_clear.
        ///
        /// # Safety
        /// The pointer is null or points to an opener that nobody uses.
        #[unsafe(export_name = concat!($prefix, "_opener_clear"))]
        pub unsafe extern "C" fn opener_clear(opener: *mut opener) {
            // SAFETY: by the caller's word.
            unsafe { context::clear(opener) }
        }

        context::context!(opener, $crate::opener::Windowed<Algorithm>, concat!($prefix, "_opener"));
    };
}

pub(crate) use functions;

#[cfg(test)]
mod tests {
    use twine_otr_aead::{BlockLimit, OpenError, Twine128Otr};

    use super::{Rules, Windowed};
    use crate::status::{Failure, TWINE_OTR_WINDOW_MAX};

    const FIXED: [u8; 4] = *b"up 7";
    const RULES: Rules = Rules { block_limit: 100, failure_limit: 9, window: 3 };

    fn nonce(fixed: [u8; 4], counter: u8) -> [u8; 7] {
        let [a, b, c, d] = fixed;
        [a, b, c, d, 0, 0, counter]
    }

    /// The opener's own window is wider. So only this check refuses counters that are older than the given one.
    #[test]
    fn the_window_is_the_given_one() {
        let mut opener = Windowed::<Twine128Otr>::without_key();
        let limit = RULES.check(&mut opener).unwrap();
        let key = [7; 16].into();
        opener.opener.set_ephemeral_key(&key, FIXED, limit, RULES.failure_limit);
        assert_eq!(opener.check(&nonce(FIXED, 0).into()), Ok(()));
        let mut sealer = twine_otr_aead::Sealer::<Twine128Otr, 4>::with_ephemeral_key(&key, FIXED);
        for _ in 0..11 {
            let (sealed, tag) = sealer.seal_inout_detached(b"", (&mut [][..]).into()).unwrap();
            opener.opener.open_inout_detached(&sealed, b"", (&mut [][..]).into(), &tag).unwrap();
        }
        for counter in 0..20 {
            let expected = if counter < 10 - 3 { Err(OpenError::TooOld) } else { Ok(()) };
            assert_eq!(opener.check(&nonce(FIXED, counter).into()), expected, "{counter}");
            // The opener itself refuses it, by another error.
            assert_eq!(opener.check(&nonce(*b"up 8", counter).into()), Ok(()), "{counter}");
        }
    }

    #[test]
    fn rules_are_in_range() {
        let mut opener = Windowed::<Twine128Otr>::without_key();
        for window in [1, TWINE_OTR_WINDOW_MAX] {
            let limit = Rules { window, ..RULES }.check(&mut opener);
            assert_eq!((limit, opener.window), (Ok(BlockLimit::new(100).unwrap()), window));
        }
        for rules in [
            Rules { window: TWINE_OTR_WINDOW_MAX + 1, ..RULES },
            Rules { window: u32::MAX, ..RULES },
            Rules { block_limit: 0, ..RULES },
        ] {
            assert_eq!(rules.check(&mut opener).err(), Some(Failure::Argument));
        }
    }
}
