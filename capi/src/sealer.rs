//! Sealing with counted nonces and a limit of blocks.

use twine_otr_aead::{
    AdProcessing, AeadCore, BlockLimit, CountedAead, Opener, Otr, PieceState, Sealer, Twine80, Twine128,
    TwineOtr, consts::U7, consts::U8,
};

use crate::{
    TWINE_OTR_CTX_WORDS,
    context::{self, Context},
    memory::{self, Region, apart},
    otr::{NONCE_SIZE, TAG_SIZE},
    status::{Failure, TWINE_OTR_FIXED_SIZE, TWINE_OTR_STATE_SIZE},
};

/// Words of 8 bytes in a sealer.
pub const TWINE_OTR_SEALER_WORDS: usize = TWINE_OTR_CTX_WORDS + 5;

/// Words of 8 bytes in a message in pieces.
pub const TWINE_OTR_PIECES_WORDS: usize = 8;

/// The counts of a sealer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct twine_otr_sealer_counts {
    /// Blocks that were sealed. After a restart this includes all blocks that were reserved.
    pub used_blocks: u32,
    /// Blocks that can still be sealed under this key.
    pub remaining_blocks: u32,
    /// Blocks that can be sealed before more must be reserved.
    pub reserved_blocks: u32,
}

/// An algorithm of this interface.
pub(crate) trait Algorithm: Sized + CountedAead + AeadCore<NonceSize = U7, TagSize = U8> {
    /// Gets what sealing a message takes, or comparing a state with the key, which is as a message without associated data.
    fn prepare_sealer(sealer: &mut Sealer<Self, 4>, ad_len: usize) -> Result<(), Failure>;

    /// Gets what opening a message takes.
    fn prepare_opener(opener: &mut Opener<Self, 4>, ad_len: usize) -> Result<(), Failure>;

    /// Gets what comparing a state of an opener with the key takes.
    fn prepare_state(opener: &mut Opener<Self, 4>) -> Result<(), Failure>;
}

macro_rules! algorithms {
    ($($cipher:ty),*) => {$(
        impl<A: AdProcessing> Algorithm for Otr<$cipher, U7, U8, A> {
            #[inline(always)]
            fn prepare_sealer(_: &mut Sealer<Self, 4>, _: usize) -> Result<(), Failure> {
                Ok(())
            }

            #[inline(always)]
            fn prepare_opener(_: &mut Opener<Self, 4>, _: usize) -> Result<(), Failure> {
                Ok(())
            }

            #[inline(always)]
            fn prepare_state(_: &mut Opener<Self, 4>) -> Result<(), Failure> {
                Ok(())
            }
        }
    )*};
}

algorithms!(Twine80, Twine128);

pub(crate) type Fixed = [u8; TWINE_OTR_FIXED_SIZE];
pub(crate) type Bytes = [u8; TWINE_OTR_STATE_SIZE];

/// A message in pieces.
pub(crate) struct Pieces<S> {
    /// The address of the sealer that began it.
    sealer: usize,
    /// This is `None` only while a piece is processed.
    state: Option<S>,
}

impl<S> Pieces<S> {
    /// Returns the state of the message, if this sealer began it.
    fn state_of<X>(&mut self, sealer: *const X) -> Result<&mut Option<S>, Failure> {
        if self.sealer == sealer.addr() { Ok(&mut self.state) } else { Err(Failure::Context) }
    }
}

pub(crate) fn block_limit(blocks: u32) -> Result<BlockLimit, Failure> {
    BlockLimit::new(blocks).ok_or(Failure::Argument)
}

/// # Safety
/// Each pointer is null or points to what it says, at any alignment.
pub(crate) unsafe fn init<X: Context<Content = Sealer<C, 4>>, C: Algorithm>(
    sealer: *mut X,
    key: *const C::KeySource,
    fixed: *const Fixed,
    limit: u32,
    without_key: impl FnOnce() -> Sealer<C, 4>,
) -> Result<(), Failure> {
    let set_up = |sealer: &mut Sealer<C, 4>| {
        let limit = block_limit(limit)?;
        // SAFETY: the pointers are not null, so the caller vouches for them. They do not overlap what is written.
        unsafe { sealer.set_ephemeral_key(&*key, *fixed, limit) };
        Ok(())
    };
    // SAFETY: by the caller's word.
    unsafe { context::make(sealer, || Ok([Region::of(key)?, Region::of(fixed)?]), without_key, set_up) }
}

/// # Safety
/// As for [`init`].
pub(crate) unsafe fn first_state<X: Context<Content = Sealer<C, 4>>, C: Algorithm>(
    sealer: *mut X,
    key: *const C::KeySource,
    fixed: *const Fixed,
    limit: u32,
    state: *mut Bytes,
    without_key: impl FnOnce() -> Sealer<C, 4>,
) -> Result<(), Failure> {
    // SAFETY: by the caller's word.
    unsafe {
        init(sealer, key, fixed, limit, without_key)?;
        let result = suspend(sealer, state);
        context::clear(sealer);
        result
    }
}

/// # Safety
/// As for [`init`]; `states` points to `count` of them.
pub(crate) unsafe fn restore<X: Context<Content = Sealer<C, 4>>, C: Algorithm>(
    sealer: *mut X,
    key: *const C::KeySource,
    fixed: *const Fixed,
    limit: u32,
    (states, count): (*const Bytes, usize),
    without_key: impl FnOnce() -> Sealer<C, 4>,
) -> Result<(), Failure> {
    let arguments = || Ok([Region::of(key)?, Region::of(fixed)?, memory::array_region(states, count)?]);
    let set_up = |sealer: &mut Sealer<C, 4>| {
        let limit = block_limit(limit)?;
        C::prepare_sealer(sealer, 0)?;
        // SAFETY: as in `init`. An array is not null if it has a length, and is not longer than an object can be.
        unsafe { sealer.set_stored_key(&*key, *fixed, limit, memory::slice(states, count))? };
        Ok(())
    };
    // SAFETY: by the caller's word.
    unsafe { context::make(sealer, arguments, without_key, set_up) }
}

/// # Safety
/// Each pointer is null or points to as much as the length beside it, or its type, says.
pub(crate) unsafe fn seal<X: Context<Content = Sealer<C, 4>>, C: Algorithm>(
    sealer: *mut X,
    (ad, ad_len): (*const u8, usize),
    (buf, len): (*mut u8, usize),
    nonce: *mut [u8; NONCE_SIZE],
    tag: *mut [u8; TAG_SIZE],
) -> Result<(), Failure> {
    let (buf_region, ad_region) = (Region::new(buf, len)?, Region::new(ad, ad_len)?);
    let (nonce_region, tag_region) = (Region::of(nonce)?, Region::of(tag)?);
    apart(Region::of(sealer)?, &[buf_region, ad_region, nonce_region, tag_region])?;
    apart(buf_region, &[ad_region, nonce_region, tag_region])?;
    apart(nonce_region, &[tag_region])?;
    // SAFETY: no pointer is null if it has a length, and no length exceeds that of an object. What is written does not overlap what is
    // borrowed with it. The nonce and the tag are written when nothing is borrowed.
    unsafe {
        context::change(sealer, |sealer| {
            C::prepare_sealer(sealer, ad_len)?;
            let (ad, buf) = (memory::slice(ad, ad_len), memory::slice_mut(buf, len));
            let sealed = sealer.seal_inout_detached(ad, buf.into())?;
            (*nonce, *tag) = (sealed.0.into(), sealed.1.into());
            Ok(())
        })
    }
}

/// # Safety
/// Each pointer is null or points to what it says.
pub(crate) unsafe fn next_nonce<X: Context<Content = Sealer<C, 4>>, C: Algorithm>(
    sealer: *const X,
    nonce: *mut [u8; NONCE_SIZE],
) -> Result<(), Failure> {
    apart(Region::of(nonce)?, &[Region::of(sealer)?])?;
    // SAFETY: not null, and apart from the sealer.
    unsafe { *nonce = context::content(sealer)?.next_nonce().into() };
    Ok(())
}

/// # Safety
/// As for [`next_nonce`].
pub(crate) unsafe fn counts<X: Context<Content = Sealer<C, 4>>, C: Algorithm>(
    sealer: *const X,
    counts: *mut twine_otr_sealer_counts,
) -> Result<(), Failure> {
    apart(Region::of(counts)?, &[Region::of(sealer)?])?;
    // SAFETY: not null, aligned, and apart from the sealer.
    unsafe {
        let sealer = context::content(sealer)?;
        *counts = twine_otr_sealer_counts {
            used_blocks: sealer.used_blocks(),
            remaining_blocks: sealer.remaining_blocks(),
            reserved_blocks: sealer.reserved_blocks(),
        };
    }
    Ok(())
}

/// # Safety
/// As for [`next_nonce`].
pub(crate) unsafe fn begin_reserve<X: Context<Content = Sealer<C, 4>>, C: Algorithm>(
    sealer: *mut X,
    blocks: u32,
    state: *mut Bytes,
) -> Result<(), Failure> {
    apart(Region::of(sealer)?, &[Region::of(state)?])?;
    // SAFETY: not null, and apart from the sealer.
    unsafe {
        context::change(sealer, |sealer| {
            C::prepare_sealer(sealer, 0)?;
            *state = sealer.begin_reserve(blocks).state().to_bytes();
            Ok(())
        })
    }
}

/// # Safety
/// As for [`next_nonce`].
pub(crate) unsafe fn confirm<X: Context<Content = Sealer<C, 4>>, C: Algorithm>(
    sealer: *mut X,
    state: *const Bytes,
) -> Result<(), Failure> {
    apart(Region::of(sealer)?, &[Region::of(state)?])?;
    // SAFETY: not null, and apart from the sealer.
    unsafe {
        context::change(sealer, |sealer| {
            C::prepare_sealer(sealer, 0)?;
            Ok(sealer.confirm(&*state)?)
        })
    }
}

/// # Safety
/// As for [`next_nonce`].
pub(crate) unsafe fn suspend<X: Context<Content = Sealer<C, 4>>, C: Algorithm>(
    sealer: *mut X,
    state: *mut Bytes,
) -> Result<(), Failure> {
    apart(Region::of(sealer)?, &[Region::of(state)?])?;
    // SAFETY: not null, and apart from the sealer.
    unsafe {
        context::change(sealer, |sealer| {
            C::prepare_sealer(sealer, 0)?;
            *state = sealer.suspend_in_place().to_bytes();
            Ok(())
        })?;
        context::clear(sealer);
    }
    Ok(())
}

/// # Safety
/// As for [`seal`].
pub(crate) unsafe fn begin_pieces<X, P, C>(
    sealer: *mut X,
    pieces: *mut P,
    (ad, ad_len): (*const u8, usize),
    max_len: usize,
    nonce: *mut [u8; NONCE_SIZE],
) -> Result<(), Failure>
where
    X: Context<Content = Sealer<C, 4>>,
    P: Context<Content = Pieces<PieceState<C::Cipher>>>,
    C: Algorithm + TwineOtr,
{
    // What is at `ad` if its length is impossible.
    let ad_around = Region::new(ad, ad_len).unwrap_or(Region::around(ad));
    apart(Region::around(pieces), &[Region::around(sealer), ad_around, Region::around(nonce)])?;
    // SAFETY: by the caller's word. Nothing else is where the message is.
    unsafe { context::give_up(pieces)? };
    let (sealer_region, ad_region, nonce_region) =
        (Region::of(sealer)?, Region::new(ad, ad_len)?, Region::of(nonce)?);
    apart(sealer_region, &[ad_region, nonce_region])?;
    // SAFETY: as in `seal`.
    unsafe {
        let (message_nonce, state) = context::change(sealer, |sealer| {
            let (nonce, encryptor) = sealer.seal_pieces(memory::slice(ad, ad_len), max_len)?;
            Ok((nonce, encryptor.suspend()))
        })?;
        let begun = || Pieces { sealer: sealer.addr(), state: Some(state) };
        context::make(pieces, || Ok([]), begun, |_| Ok(()))?;
        *nonce = message_nonce.into();
    }
    Ok(())
}

/// # Safety
/// As for [`seal`].
pub(crate) unsafe fn update<X, P, C>(
    sealer: *mut X,
    pieces: *mut P,
    (buf, len): (*mut u8, usize),
) -> Result<(), Failure>
where
    X: Context<Content = Sealer<C, 4>>,
    P: Context<Content = Pieces<PieceState<C::Cipher>>>,
    C: Algorithm + TwineOtr,
{
    let (pieces_region, buf_region) = (Region::of(pieces)?, Region::new(buf, len)?);
    apart(pieces_region, &[Region::of(sealer)?, buf_region])?;
    apart(buf_region, &[Region::of(sealer)?])?;
    // SAFETY: as in `seal`.
    unsafe {
        context::change(pieces, |pieces| {
            let state = pieces.state_of(sealer)?;
            context::change(sealer, |sealer| {
                let mut encryptor = sealer.resume_pieces(state.take().ok_or(Failure::Context)?);
                let result = encryptor.update(memory::slice_mut(buf, len).into());
                *state = Some(encryptor.suspend());
                Ok(result?)
            })
        })
    }
}

/// # Safety
/// As for [`seal`].
pub(crate) unsafe fn finalize<X, P, C>(
    sealer: *mut X,
    pieces: *mut P,
    (buf, len): (*mut u8, usize),
    tag: *mut [u8; TAG_SIZE],
) -> Result<(), Failure>
where
    X: Context<Content = Sealer<C, 4>>,
    P: Context<Content = Pieces<PieceState<C::Cipher>>>,
    C: Algorithm + TwineOtr,
{
    let (sealer_region, tag_region) = (Region::of(sealer)?, Region::of(tag)?);
    let (pieces_region, buf_region) = (Region::of(pieces)?, Region::new(buf, len)?);
    apart(pieces_region, &[sealer_region, buf_region, tag_region])?;
    apart(sealer_region, &[buf_region, tag_region])?;
    apart(buf_region, &[tag_region])?;
    // SAFETY: as in `seal`.
    unsafe {
        context::change(pieces, |pieces| {
            let state = pieces.state_of(sealer)?;
            context::change(sealer, |sealer| {
                let mut encryptor = sealer.resume_pieces(state.take().ok_or(Failure::Context)?);
                let result = encryptor.finalize(memory::slice_mut(buf, len).into());
                *state = Some(encryptor.suspend());
                *tag = result?.into();
                Ok(())
            })
        })?;
        context::clear(pieces);
    }
    Ok(())
}

/// The functions and types of sealers for C, for a family of functions.
macro_rules! functions {
    ($prefix:literal) => {
        /// A key that seals each message under a new nonce, and stops at a limit of blocks.
        ///
        /// The caller declares it, and uses it only through the functions `twine128_sealer_*`. It holds no pointers and may be moved, but
        /// **it must not be copied**: the copy would use the same nonces. So after a fork only one of the two processes may use it, and a
        /// machine that has one must not be resumed twice from a snapshot. Two threads must not use one at the same time. A call in an
        /// interrupt handler that interrupts another call gets TWINE_OTR_ERR_CONTEXT. TWINE128_SEALER_INIT makes one that is refused until it
        /// is initialised.
        #[repr(C)]
        #[allow(missing_debug_implementations, reason = "secret, and C's")]
        pub struct sealer {
            /// Private.
            opaque: [u64; TWINE_OTR_SEALER_WORDS],
        }

        /// A message that is sealed in pieces. **It must not be copied**: two ends of one message would use one nonce. TWINE128_PIECES_INIT
        /// makes one that is refused until it is begun.
        #[repr(C)]
        #[allow(missing_debug_implementations, reason = "secret, and C's")]
        pub struct pieces {
            /// Private.
            opaque: [u64; TWINE_OTR_PIECES_WORDS],
        }

        /// Makes a sealer for a fresh key that is discarded with this sealer, such as one that was agreed on after the start.
        ///
        /// **Never use it for a key that the device has again after a restart**: nonces would repeat. Use twine128_sealer_restore for that.
        ///
        /// cbindgen:ptrs-as-arrays=[[key; 16], [fixed; 4]]
        ///
        /// @param[out] sealer       The sealer. Its previous contents do not matter. It must not overlap key or fixed.
        /// @param[in]  key          The key, 16 bytes. They are copied: the caller may erase them afterwards.
        /// @param[in]  fixed        The fixed part, which is the first 4 bytes of each nonce. It tells apart the senders that share a key, or the
        ///                          two directions of a link.
        /// @param[in]  block_limit  The blocks that may be sealed under the key, TWINE_OTR_BLOCK_LIMIT_DEFAULT as a rule, at most
        ///                          TWINE_OTR_BLOCK_LIMIT_MAX.
        /// @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT. Whatever the sealer was, it is refused then, and its first 8 bytes are zero.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[cfg_attr(not(twine_keys = "compact"), unsafe(export_name = concat!($prefix, "_sealer_init")))]
        #[cfg_attr(twine_keys = "compact", unsafe(export_name = concat!($prefix, "_sealer_init_compact")))]
        pub unsafe extern "C" fn sealer_init(
            sealer: *mut sealer,
            key: *const u8,
            fixed: *const u8,
            block_limit: u32,
        ) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted_init(|| unsafe {
                $crate::sealer::init(sealer, key.cast(), fixed.cast(), block_limit, Sealer::without_key)
            })
        }

        /// Makes the first state of a key that will be stored and under which nothing was ever sealed. Call it and store the state once, when
        /// the device gets the key. If a state is lost, never replace it by this one: use a new key. **If the device had another key before,
        /// erase the old key before the state is stored**: the state may overwrite the newest state of the old key.
        ///
        /// cbindgen:ptrs-as-arrays=[[key; 16], [fixed; 4], [state; 32]]
        ///
        /// @param[out] sealer       Memory for the computation. It is cleared afterwards.
        /// @param[in]  key          As for twine128_sealer_init.
        /// @param[in]  fixed        As for twine128_sealer_init.
        /// @param[in]  block_limit  As for twine128_sealer_init.
        /// @param[out] state        The state, 32 bytes. It must not overlap *sealer.
        /// @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT, and then no state was written.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[cfg_attr(not(twine_keys = "compact"), unsafe(export_name = concat!($prefix, "_sealer_first_state")))]
        #[cfg_attr(twine_keys = "compact", unsafe(export_name = concat!($prefix, "_sealer_first_state_compact")))]
        pub unsafe extern "C" fn sealer_first_state(
            sealer: *mut sealer,
            key: *const u8,
            fixed: *const u8,
            block_limit: u32,
            state: *mut u8,
        ) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted(|| unsafe {
                $crate::sealer::first_state(sealer, key.cast(), fixed.cast(), block_limit, state.cast(), Sealer::without_key)
            })
        }

        /// Makes a sealer for a stored key from the newest of its states. Nothing can be sealed before a state is stored and confirmed, see
        /// twine128_sealer_begin_reserve.
        ///
        /// cbindgen:ptrs-as-arrays=[[key; 16], [fixed; 4]]
        ///
        /// @param[out] sealer       As for twine128_sealer_init. It must not overlap states either.
        /// @param[in]  key          As for twine128_sealer_init.
        /// @param[in]  fixed        As for twine128_sealer_init. It must be that of the states.
        /// @param[in]  block_limit  As for twine128_sealer_init. It must be that of the states.
        /// @param[in]  states       The contents of the places for states, 32 bytes each, one after the other. One of them must be the newest
        ///                          state of this key. The others may be damaged, older, or of another key.
        /// @param[in]  count        The number of places, not of bytes.
        /// @return TWINE_OTR_OK; TWINE_OTR_ERR_ARGUMENT; or TWINE_OTR_ERR_STATE_DAMAGED, _OTHER, _KEY or _LIMIT. If the places have different errors, the
        ///         last one in this list is returned. After an error, whatever the sealer was, it is refused, and its first 8 bytes are zero.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[cfg_attr(not(twine_keys = "compact"), unsafe(export_name = concat!($prefix, "_sealer_restore")))]
        #[cfg_attr(twine_keys = "compact", unsafe(export_name = concat!($prefix, "_sealer_restore_compact")))]
        pub unsafe extern "C" fn sealer_restore(
            sealer: *mut sealer,
            key: *const u8,
            fixed: *const u8,
            block_limit: u32,
            states: *const u8,
            count: usize,
        ) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted(|| unsafe {
                $crate::sealer::restore(sealer, key.cast(), fixed.cast(), block_limit, (states.cast(), count), Sealer::without_key)
            })
        }

        /// Encrypts a message in place under the next nonce, and makes the tag that authenticates it and its associated data.
        ///
        /// cbindgen:ptrs-as-arrays=[[nonce; 7], [tag; 8]]
        ///
        /// @param[in,out] sealer  The sealer.
        /// @param[in]     ad      The associated data. It is authenticated, but not encrypted. May be null if ad_len is 0.
        /// @param[in]     ad_len  Its length in bytes.
        /// @param[in,out] buf     The message; afterwards the ciphertext, of the same length. May be null if len is 0. It must not
        ///                        overlap ad, nonce, tag or *sealer.
        /// @param[in]     len     Its length in bytes.
        /// @param[out]    nonce   The nonce, 7 bytes: the fixed part, then the counter, big-endian. The receiver needs the counter. It is not
        ///                        secret. The nonce must not overlap buf, tag or *sealer.
        /// @param[out]    tag     The tag, 8 bytes. It must not overlap buf, nonce or *sealer.
        /// @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT, TWINE_OTR_ERR_CONTEXT, TWINE_OTR_ERR_LIMIT or TWINE_OTR_ERR_NOT_RESERVED, and then
        ///         nothing was written and no nonce is used. buf is still the plaintext then and must not be sent.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_sealer_seal"))]
        pub unsafe extern "C" fn sealer_seal(
            sealer: *mut sealer,
            ad: *const u8,
            ad_len: usize,
            buf: *mut u8,
            len: usize,
            nonce: *mut u8,
            tag: *mut u8,
        ) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted(|| unsafe {
                $crate::sealer::seal(sealer, (ad, ad_len), (buf, len), nonce.cast(), tag.cast())
            })
        }

        /// Writes the nonce of the next message. Its counter can for example go into associated data.
        ///
        /// cbindgen:ptrs-as-arrays=[[nonce; 7]]
        ///
        /// @param[in]  sealer  The sealer.
        /// @param[out] nonce   The nonce, 7 bytes. It must not overlap *sealer.
        /// @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT, and then nothing has been written.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_sealer_next_nonce"))]
        pub unsafe extern "C" fn sealer_next_nonce(sealer: *const sealer, nonce: *mut u8) -> c_int {
            // SAFETY: by the caller's word.
            status::code(unsafe { $crate::sealer::next_nonce(sealer, nonce.cast()) })
        }

        /// Writes how many blocks were sealed and how many can still be sealed.
        ///
        /// @param[in]  sealer  The sealer.
        /// @param[out] counts  The counts. They must not overlap *sealer.
        /// @return As twine128_sealer_next_nonce.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_sealer_count"))]
        pub unsafe extern "C" fn sealer_count(
            sealer: *const sealer,
            counts: *mut twine_otr_sealer_counts,
        ) -> c_int {
            // SAFETY: by the caller's word.
            status::code(unsafe { $crate::sealer::counts(sealer, counts) })
        }

        /// Makes a state that reserves at least `blocks` blocks (fewer near the limit) once it is stored. Nothing is reserved before
        /// twine128_sealer_confirm. Until then, blocks that were reserved before can be sealed.
        ///
        /// If there are two places, store the state in place twine_otr_state_sequence(state) % 2. So the newest state is never overwritten.
        ///
        /// cbindgen:ptrs-as-arrays=[[state; 32]]
        ///
        /// @param[in,out] sealer  The sealer.
        /// @param[in]     blocks  The number of blocks. A restart without twine128_sealer_suspend costs those that were not used.
        /// @param[out]    state   The state, 32 bytes. It must not overlap *sealer.
        /// @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT, and then nothing has been written.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_sealer_begin_reserve"))]
        pub unsafe extern "C" fn sealer_begin_reserve(sealer: *mut sealer, blocks: u32, state: *mut u8) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted(|| unsafe {
                $crate::sealer::begin_reserve(sealer, blocks, state.cast())
            })
        }

        /// Reserves the blocks of a state. **Call this only once the state is durable**, which means that it survives a loss of power. It is best
        /// to read back the stored bytes and to pass them.
        ///
        /// cbindgen:ptrs-as-arrays=[[state; 32]]
        ///
        /// @param[in,out] sealer  The sealer.
        /// @param[in]     state   The state that twine128_sealer_begin_reserve made last, 32 bytes. It must not overlap *sealer.
        /// @return TWINE_OTR_OK; TWINE_OTR_ERR_ARGUMENT; TWINE_OTR_ERR_CONTEXT; or TWINE_OTR_ERR_STATE_DAMAGED, _OTHER, _KEY or _LIMIT if the bytes
        ///         are not the state that was made last. After an error nothing more is reserved.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_sealer_confirm"))]
        pub unsafe extern "C" fn sealer_confirm(sealer: *mut sealer, state: *const u8) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted(|| unsafe { $crate::sealer::confirm(sealer, state.cast()) })
        }

        /// Ends and clears a sealer in an orderly way and makes its state. A sealer that is restored from this state skips no blocks. Store the
        /// state like that of twine128_sealer_begin_reserve.
        ///
        /// cbindgen:ptrs-as-arrays=[[state; 32]]
        ///
        /// @param[in,out] sealer  The sealer.
        /// @param[out]    state   The state, 32 bytes. It must not overlap *sealer.
        /// @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT, and then nothing has been written.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_sealer_suspend"))]
        pub unsafe extern "C" fn sealer_suspend(sealer: *mut sealer, state: *mut u8) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted(|| unsafe { $crate::sealer::suspend(sealer, state.cast()) })
        }

        /// Begins a message that is sealed in pieces. Use it if the sender cannot hold the whole message but the receiver can. The nonce and the
        /// blocks of max_len bytes are charged at once, even if the message is never finished. If the receiver cannot hold the whole message
        /// either, use twine128_chunk_sealer_init.
        ///
        /// cbindgen:ptrs-as-arrays=[[nonce; 7]]
        ///
        /// @param[in,out] sealer   The sealer. It is free for other messages between pieces.
        /// @param[out]    pieces   The message. Its previous contents do not matter: a message that it held is given up, also if this call
        ///                         fails. It must not overlap anything else.
        /// @param[in]     ad       As for twine128_sealer_seal.
        /// @param[in]     ad_len   Its length in bytes.
        /// @param[in]     max_len  The maximum length of the message in bytes.
        /// @param[out]    nonce    As for twine128_sealer_seal.
        /// @return As twine128_sealer_seal, except that *pieces is cleared after an error. It is not written if it overlaps something else, or
        ///         if this call interrupts one that uses it.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_sealer_begin_pieces"))]
        pub unsafe extern "C" fn sealer_begin_pieces(
            sealer: *mut sealer,
            pieces: *mut pieces,
            ad: *const u8,
            ad_len: usize,
            max_len: usize,
            nonce: *mut u8,
        ) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted(|| unsafe {
                $crate::sealer::begin_pieces(sealer, pieces, (ad, ad_len), max_len, nonce.cast())
            })
        }

        /// Encrypts a piece that is not the last one in place.
        ///
        /// @param[in,out] sealer  The sealer that began the message, at the same address. One at another address is refused with
        ///                        TWINE_OTR_ERR_CONTEXT. It is **not** checked that the sealer still has the same key.
        /// @param[in,out] pieces  The message.
        /// @param[in,out] buf     The piece; afterwards its ciphertext. It must not overlap *sealer or *pieces.
        /// @param[in]     len     Its length in bytes, a multiple of TWINE_OTR_PAIR_SIZE, and less than what is left of max_len.
        /// @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT, TWINE_OTR_ERR_CONTEXT, TWINE_OTR_ERR_PIECE or TWINE_OTR_ERR_LIMIT, and then nothing has
        ///         been written. Another piece can take the place of this one.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_sealer_update_pieces"))]
        pub unsafe extern "C" fn sealer_update_pieces(
            sealer: *mut sealer,
            pieces: *mut pieces,
            buf: *mut u8,
            len: usize,
        ) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted(|| unsafe { $crate::sealer::update(sealer, pieces, (buf, len)) })
        }

        /// Encrypts the last piece in place, makes the tag of the message, and clears *pieces.
        ///
        /// cbindgen:ptrs-as-arrays=[[tag; 8]]
        ///
        /// @param[in,out] sealer  As for twine128_sealer_update_pieces.
        /// @param[in,out] pieces  The message.
        /// @param[in,out] buf     The piece; afterwards its ciphertext. It must not overlap *sealer, *pieces or tag.
        /// @param[in]     len     Its length in bytes, at most what is left of max_len, and not 0 unless the whole message is empty.
        /// @param[out]    tag     The tag, 8 bytes. It must not overlap *sealer or *pieces.
        /// @return As twine128_sealer_update_pieces.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_sealer_finalize_pieces"))]
        pub unsafe extern "C" fn sealer_finalize_pieces(
            sealer: *mut sealer,
            pieces: *mut pieces,
            buf: *mut u8,
            len: usize,
            tag: *mut u8,
        ) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_counted(|| unsafe {
                $crate::sealer::finalize(sealer, pieces, (buf, len), tag.cast())
            })
        }

        /// Erases a sealer, without making a state. As twine128_otr_clear.
        ///
        /// # Safety
        /// The pointer is null or points to a sealer that nobody uses.
        #[unsafe(export_name = concat!($prefix, "_sealer_clear"))]
        pub unsafe extern "C" fn sealer_clear(sealer: *mut sealer) {
            // SAFETY: by the caller's word.
            unsafe { context::clear(sealer) }
        }

        /// Erases a message in pieces and gives it up. As twine128_otr_clear.
        ///
        /// # Safety
        /// The pointer is null or points to a message in pieces that nobody uses.
        #[unsafe(export_name = concat!($prefix, "_pieces_clear"))]
        pub unsafe extern "C" fn pieces_clear(pieces: *mut pieces) {
            // SAFETY: by the caller's word.
            unsafe { context::clear(pieces) }
        }

        context::context!(sealer, Sealer<Algorithm, 4>, concat!($prefix, "_sealer"));
        context::context!(pieces, $crate::sealer::Pieces<PieceState<Cipher>>, concat!($prefix, "_pieces"));
    };
}

pub(crate) use functions;

/// Returns the sequence number of a state, modulo 2^24. After the greatest number they begin again at 0, so the later
/// of two states may have the smaller number. Use only the last bit, to choose the place: if there are two places, store a state in place
/// number % 2.
///
/// cbindgen:ptrs-as-arrays=[[state; 32]]
///
/// @param[in] state  The state of a sealer or an opener, 32 bytes. It is not checked.
/// @return The number, or 0 if the pointer is null.
///
/// # Safety
/// The pointer is null or points to what it says.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn twine_otr_state_sequence(state: *const u8) -> u32 {
    if state.is_null() {
        return 0;
    }
    // SAFETY: the caller vouches for it.
    let state = unsafe { &*state.cast::<Bytes>() };
    u32::from_be_bytes([0, state[21], state[22], state[23]])
}

#[cfg(test)]
mod tests {
    use super::{Pieces, block_limit};
    use crate::status::{Failure, TWINE_OTR_BLOCK_LIMIT_MAX};

    #[test]
    fn limits_are_in_range() {
        for blocks in [1, 2, TWINE_OTR_BLOCK_LIMIT_MAX] {
            assert_eq!(block_limit(blocks).map(|limit| limit.get()), Ok(blocks));
        }
        for blocks in [0, TWINE_OTR_BLOCK_LIMIT_MAX + 1, u32::MAX] {
            assert_eq!(block_limit(blocks).err(), Some(Failure::Argument));
        }
    }

    #[test]
    fn pieces_know_their_sealer() {
        let sealers = [0u8; 2];
        let mut pieces = Pieces { sealer: (&raw const sealers[1]).addr(), state: Some(7) };
        assert_eq!(pieces.state_of(&raw const sealers[1]), Ok(&mut Some(7)));
        assert_eq!(pieces.state_of(&raw const sealers[0]), Err(Failure::Context));
        assert_eq!(pieces.state_of(core::ptr::null::<u8>()), Err(Failure::Context));
    }
}
