//! Opening each message once, and a limit on failures.

use core::fmt;

#[cfg(feature = "zeroize")]
use otr_mode::cipher::zeroize::ZeroizeOnDrop;
use otr_mode::{
    Key, Nonce, Tag,
    aead::{Buffer, array::typenum::Unsigned, inout::InOutBuf},
};

use crate::{
    BlockLimit, InvalidState, OpenerState, Twine128Otr, TwineOtr,
    in_place::SetKey as _,
    limits::{Ahead, BlockCount, count_blocks, failure_limit, with_key, without_key},
    state::{self, KeyCheck, Limits},
    window::Window,
};

/// A key that opens what one [`Sealer`](crate::Sealer) seals: each message once, and only so many attempts that fail.
///
/// Messages may come out of order: up to `64 * WORDS` counters below the newest one (64 by default) are accepted, once each.
/// The window moves only when a tag was right. With `WORDS` = 0, as in [`StrictOpener`], every message must be newer than all before.
/// What was lost shows in the counters: see [`Opener::newest`].
///
/// **Whatever the error, the whole output is zero afterwards**, also where nothing was decrypted: a caller that overlooks an
/// error finds no bytes of an attacker's choice. Replays and limits are decided from the nonce and the lengths alone, before
/// anything is decrypted, and count as nothing.
/// ```
/// use twine_otr_aead::{OpenError, Opener, Sealer};
///
/// let key = [0x42; 16].into();
/// let mut sealer: Sealer = Sealer::with_ephemeral_key(&key, *b"up 7");
/// let mut opener: Opener = Opener::new(&key, *b"up 7");
///
/// let mut message = *b"21.5 C";
/// let (nonce, tag) = sealer.seal_inout_detached(b"sensor 7", message.as_mut_slice().into())?;
/// let mut copy = message;
/// opener.open_inout_detached(&nonce, b"sensor 7", message.as_mut_slice().into(), &tag)?;
/// assert_eq!(&message, b"21.5 C");
///
/// let replay = opener.open_inout_detached(&nonce, b"sensor 7", copy.as_mut_slice().into(), &tag);
/// assert_eq!((replay, copy), (Err(OpenError::Replayed), [0; 6]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Limits
/// Each attempt that is not refused beforehand counts its blocks, as in [the bound](Twine128Otr#limits), up to
/// [`BlockLimit::DEFAULT`]. Blocks that failed add to those that the sealer counts, so at worst an attacker has twice the
/// limit, 2^21 blocks and an advantage of 2^-19.4.
///
/// At most [`Opener::FAILURE_LIMIT`] attempts may fail. Each succeeds with probability 2^-t for tags of t bits, so the default depends on
/// the tag, that forging succeeds with at most 2^-22, the bound for blocks being 2^-21.4:
///
/// | bytes of the tag | attempts that may fail | a forgery among them |
/// |--:|--:|--:|
/// | 8, 7, 6 | 2^20 | 2^-44, 2^-36, 2^-28 |
/// | 5 | 2^18 | 2^-22 |
/// | 4 | 2^10 | 2^-22 |
///
/// For tags of 6 bytes and more the limit of blocks comes first, as each attempt counts at least 3: noise on a radio, with a thousand corrupt
/// frames a day of 10 blocks, leaves a key for some 100 days. **Whoever can send to the opener can use its limits up**; without them he could
/// try to forge forever. An opener at its limit refuses all that follows under its key: the link goes on with a new key only. So
/// let a link have a way to a new key that does not need the old one, such as a key of its own for such requests, and take it in time: when
/// [`Opener::remaining_blocks`] or [`Opener::remaining_failures`] is small.
///
/// # A key that outlives a restart
/// An opener that starts anew with the same key would accept every replay. So an opener of such a key reserves, in steps, as
/// a [`Sealer`](crate::Sealer) does: it lets a state be stored that says which counters may have been opened, and how many blocks
/// and failures there may have been. After a restart it accepts nothing that the state covers, so nothing twice. **That is the price**: after
/// a loss of power up to as many genuine messages are refused as were reserved; after [`Opener::suspend`] none but the late ones. So
/// reserve few messages (16 are one write for 16 messages), and not so few blocks: a loss of power costs those that were
/// reserved and not used, and as large a part of the failures. A key bears limit / step starts without [`Opener::suspend`].
/// ```
/// use twine_otr_aead::{BlockLimit, OpenError, Opener, Sealer};
/// # struct Flash([[u8; 32]; 2]);
/// # impl Flash {
/// #     fn read(&self) -> [[u8; 32]; 2] { self.0 }
/// #     fn write(&mut self, place: usize, bytes: &[u8; 32]) -> Result<(), std::io::Error> { self.0[place] = *bytes; Ok(()) }
/// # }
/// # let key = [0x42; 16].into();
/// # let mut sealer: Sealer = Sealer::with_ephemeral_key(&key, *b"up 7");
/// const LIMIT: BlockLimit = BlockLimit::DEFAULT;
/// const FAILURES: u32 = <Opener>::FAILURE_LIMIT;
///
/// // Once, when the device gets its key:
/// let first = <Opener>::first_state(&key, *b"up 7", LIMIT, FAILURES);
/// let mut flash = Flash([first.to_bytes(), [0xFF; 32]]);
///
/// // At each start:
/// let mut opener: Opener = Opener::restore(&key, *b"up 7", LIMIT, FAILURES, &flash.read())?;
///
/// // Before each message:
/// let mut reserve = |opener: &mut Opener| {
///     if opener.reserved_messages() < 4 || opener.reserved_blocks() < 64 {
///         opener.reserve(16, 1 << 10, |state| flash.write(state.sequence() as usize % 2, &state.to_bytes()))?;
///     }
///     Ok::<_, std::io::Error>(())
/// };
/// # for _ in 0..40 { sealer.seal_inout_detached(b"", (&mut [][..]).into())?; }
/// # let mut reading = *b"21.5 C";
/// # let (nonce, tag) = sealer.seal_inout_detached(b"sensor 7", reading.as_mut_slice().into())?;
/// reserve(&mut opener)?;
/// let received = reading;
/// let mut result = opener.open_inout_detached(&nonce, b"sensor 7", reading.as_mut_slice().into(), &tag);
/// if result == Err(OpenError::NotReserved) {
///     // Genuine, but many counters ahead, as after a restart of the sender: the opener knows now. Without a copy it is lost.
///     reserve(&mut opener)?;
///     reading = received;
///     result = opener.open_inout_detached(&nonce, b"sensor 7", reading.as_mut_slice().into(), &tag);
/// }
/// assert_eq!((result, &reading), (Ok(()), b"21.5 C"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It is no `Clone`, as a copy would open a message again:
/// ```compile_fail,E0599
/// # use twine_otr_aead::Opener;
/// let opener: Opener = Opener::new(&[0x42; 16].into(), [0; 4]);
/// let copy = opener.clone();
/// ```
#[derive(Debug)]
pub struct Opener<C: TwineOtr = Twine128Otr, const F: usize = 4, const WORDS: usize = 1> {
    aead: LimitedAead<C>,
    fixed: [u8; F],
    window: Window<WORDS>,
    /// Counters from here on are not reserved.
    end: u64,
    /// What comes after the greatest counter of a genuine message, be it opened or not reserved.
    seen: u64,
    /// The number of the next state.
    sequence: u32,
}

/// An [`Opener`] of messages in strict order: each must be newer than all before.
pub type StrictOpener<C = Twine128Otr, const F: usize = 4> = Opener<C, F, 0>;

impl<C: TwineOtr, const F: usize, const WORDS: usize> Opener<C, F, WORDS> {
    /// The attempts that may fail by default: see [Limits](Opener#limits).
    pub const FAILURE_LIMIT: u32 = failure_limit::<C>();

    /// For a key that nothing was opened under and that ends with this opener, and nonces that start with `fixed`.
    ///
    /// **Never for a key that is there again after a restart:** take [`Opener::restore`].
    #[must_use]
    pub fn new(key: &Key<C>, fixed: [u8; F]) -> Self {
        let mut aead =
            LimitedAead::new(with_key::<C>(key), Limits::new(BlockLimit::DEFAULT, Self::FAILURE_LIMIT));
        aead.reserved_blocks = BlockLimit::MAX.get();
        aead.reserved_failures = Limits::MAX_FAILURES;
        Self { aead, fixed, window: Window::new(0), end: u64::MAX, seen: 0, sequence: 0 }
    }

    /// The state of a key under which nothing was ever opened, for nonces that start with `fixed`, and limits of blocks and failures.
    ///
    /// Store it once, with the key. Never put it in the place of a state that is lost: take a new key then. Of another key before it, what
    /// [`Sealer::first_state`](crate::Sealer::first_state) says holds here: erase that first, or messages are opened twice.
    #[must_use]
    pub fn first_state(key: &Key<C>, fixed: [u8; F], limit: BlockLimit, failures: u32) -> OpenerState<F> {
        Self::new(key, fixed).with_block_limit(limit).with_failure_limit(failures).suspend()
    }

    /// For a key that is stored, with its newest state in these places, one or more: the others may be damaged, older, or of another key. Nothing
    /// can be opened before [`Opener::reserve`].
    ///
    /// # Errors
    /// See [`InvalidState`]: no place has a state of this key, or the newest one has other limits.
    pub fn restore(
        key: &Key<C>,
        fixed: [u8; F],
        limit: BlockLimit,
        failures: u32,
        places: &[[u8; 32]],
    ) -> Result<Self, InvalidState> {
        let cipher = with_key::<C>(key);
        let state = OpenerState::newest(places, fixed, state::key_check::<C, F>(&cipher, fixed))?;
        Self::go_on(cipher, state, Limits::new(limit, failures))
    }

    /// For a key that is stored, with the state that was stored last, or that [`Opener::suspend`] gave. Nothing can be opened before
    /// [`Opener::reserve`].
    ///
    /// A state must be used once: never two openers at a time, never one from an older copy (a backup, a snapshot).
    ///
    /// # Errors
    /// [`InvalidState::OtherKey`], [`InvalidState::OtherLimit`].
    pub fn with_stored_key(
        key: &Key<C>,
        state: OpenerState<F>,
        limit: BlockLimit,
        failures: u32,
    ) -> Result<Self, InvalidState> {
        let cipher = with_key::<C>(key);
        state.verify(state::key_check::<C, F>(&cipher, state.fixed()))?;
        Self::go_on(cipher, state, Limits::new(limit, failures))
    }

    fn go_on(cipher: Ahead<C>, state: OpenerState<F>, limits: Limits) -> Result<Self, InvalidState> {
        let mut opener = Self::used_up(cipher);
        opener.resume(state, limits)?;
        Ok(opener)
    }

    /// An opener that opens nothing.
    fn used_up(cipher: Ahead<C>) -> Self {
        Self {
            aead: LimitedAead::new(cipher, Limits::new(BlockLimit::MAX, 0)),
            fixed: [0; F],
            window: Window::new(0),
            end: 0,
            seen: 0,
            sequence: 0,
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "used once")]
    fn resume(&mut self, state: OpenerState<F>, limits: Limits) -> Result<(), InvalidState> {
        let [blocks, failures] = state.used(limits)?;
        self.aead.start(limits, [blocks, failures], [blocks, failures]);
        self.start(state.fixed(), state.next(), state.next(), state.sequence() + 1);
        Ok(())
    }

    fn start(&mut self, fixed: [u8; F], next: u64, end: u64, sequence: u32) {
        (self.fixed, self.window, self.sequence) = (fixed, Window::new(next), sequence);
        (self.end, self.seen) = (end, next);
    }

    /// An opener without a key, as a place for one: it opens nothing until [`Opener::set_ephemeral_key`] or
    /// [`Opener::set_stored_key`].
    #[must_use]
    #[inline]
    pub fn without_key() -> Self {
        Self::used_up(without_key::<C>().into())
    }

    /// As [`Opener::new`] with limits, where the opener lies, so that no copy of the round keys is on the stack. What the opener was before
    /// ends.
    pub fn set_ephemeral_key(&mut self, key: &Key<C>, fixed: [u8; F], limit: BlockLimit, failures: u32) {
        self.set_key(key);
        let reserved = [BlockLimit::MAX.get(), Limits::MAX_FAILURES];
        self.aead.start(Limits::new(limit, failures), [0, 0], reserved);
        self.start(fixed, 0, u64::MAX, 0);
    }

    /// As [`Opener::restore`], where the opener lies, so that no copy of the round keys is on the stack. What the opener was before
    /// ends.
    ///
    /// # Errors
    /// As [`Opener::restore`]: nothing can be opened then.
    pub fn set_stored_key(
        &mut self,
        key: &Key<C>,
        fixed: [u8; F],
        limit: BlockLimit,
        failures: u32,
        places: &[[u8; 32]],
    ) -> Result<(), InvalidState> {
        self.set_key(key);
        let state = OpenerState::newest(places, fixed, state::key_check::<C, F>(&self.aead.cipher, fixed))?;
        self.resume(state, Limits::new(limit, failures))
    }

    /// Nothing can be opened afterwards.
    fn set_key(&mut self, key: &Key<C>) {
        self.end();
        self.aead.cipher.set_key_with(|cipher| cipher.set_key(key));
    }

    fn end(&mut self) {
        self.aead.failure_limit = 0;
    }

    /// With another limit than [`BlockLimit::DEFAULT`]. The states of this opener have it too.
    #[must_use]
    pub fn with_block_limit(mut self, limit: BlockLimit) -> Self {
        self.aead.count.limit = limit;
        self
    }

    /// With another limit than [`Opener::FAILURE_LIMIT`]. The states of this opener have it too. Beyond 2^24 it means nothing: the limit of
    /// blocks comes first.
    #[must_use]
    pub fn with_failure_limit(mut self, failures: u32) -> Self {
        self.aead.failure_limit = Limits::new(BlockLimit::MAX, failures).failures;
        self
    }

    /// The nonce of a message of which the counter was received, all bytes behind the fixed part; none if they are not
    /// `7 - F` bytes.
    #[must_use]
    pub fn nonce(&self, counter: &[u8]) -> Option<Nonce<C>> {
        let mut nonce = state::nonce(self.fixed, 0);
        let bytes = &mut nonce[F..];
        if bytes.len() != counter.len() {
            return None;
        }
        bytes.copy_from_slice(counter);
        Some(nonce.into())
    }

    /// The greatest counter that was opened. Messages between two of them were lost, or are late.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.window.next().checked_sub(1)
    }

    /// The attempts that have failed.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.aead.failures
    }

    /// The blocks of all attempts, by [`count_blocks`].
    #[must_use]
    pub fn used_blocks(&self) -> u32 {
        self.aead.count.used()
    }

    /// The blocks that can still be opened under this key.
    #[must_use]
    pub fn remaining_blocks(&self) -> u32 {
        self.aead.count.remaining()
    }

    /// The attempts that may still fail.
    #[must_use]
    pub fn remaining_failures(&self) -> u32 {
        self.aead.failure_limit.saturating_sub(self.aead.failures)
    }

    /// How many counters beyond the greatest one known to be genuine can be opened before more must be reserved.
    #[must_use]
    pub fn reserved_messages(&self) -> u64 {
        self.end.saturating_sub(self.next())
    }

    /// The blocks that can be opened before more must be reserved; none if the failures that were reserved are used up.
    #[must_use]
    pub fn reserved_blocks(&self) -> u32 {
        self.aead.reserved()
    }

    /// Reserves the next `messages` counters from here on, and `blocks`, or what the limit leaves. `store` gets the state to store
    /// and returns `Ok` only if that will survive a loss of power; it is not called if as much is reserved already.
    ///
    /// With `blocks` go as large a part of the failures that are allowed, at least one. A message of more blocks than are reserved cannot be
    /// opened: the step is at least [`count_blocks`] of the longest one.
    ///
    /// # Errors
    /// That of `store`: nothing more is reserved then, whether it was stored or not.
    pub fn reserve<E>(
        &mut self,
        messages: u32,
        blocks: u32,
        store: impl FnOnce(&OpenerState<F>) -> Result<(), E>,
    ) -> Result<(), E> {
        let [blocks_end, failures_end] = self.aead.ends(blocks);
        let is_reserved = self.reserved_messages() >= messages.into()
            && self.aead.reserved_blocks >= blocks_end
            && self.aead.reserved_failures >= failures_end;
        if is_reserved {
            return Ok(());
        }
        let reservation = self.begin_reserve(messages, blocks);
        store(reservation.state())?;
        reservation.stored();
        Ok(())
    }

    /// [`Opener::reserve`] in two steps, for memory that is written asynchronously: store [`OpenerReservation::state`], then call
    /// [`OpenerReservation::stored`].
    pub fn begin_reserve(&mut self, messages: u32, blocks: u32) -> OpenerReservation<'_, C, F, WORDS> {
        let [blocks, failures] = self.aead.ends(blocks);
        let blocks = blocks.max(self.aead.reserved_blocks);
        let failures = failures.max(self.aead.reserved_failures);
        let end = self.next().saturating_add(messages.into()).max(self.end);
        let state = self.state(end, [blocks, failures]);
        self.sequence = state::after_begun(self.sequence);
        OpenerReservation { opener: self, state, end, blocks, failures }
    }

    /// Ends the opener and returns its state, for an orderly stop: one that goes on from it refuses what is late, and nothing else.
    #[must_use = "it must be stored, or the key be forgotten"]
    pub fn suspend(self) -> OpenerState<F> {
        self.state(self.window.next(), [self.used_blocks(), self.failures()])
    }

    /// As [`Opener::suspend`], for an opener that cannot be moved: it opens nothing afterwards.
    #[must_use = "it must be stored, or the key be forgotten"]
    pub fn suspend_in_place(&mut self) -> OpenerState<F> {
        let state = self.state(self.window.next(), [self.used_blocks(), self.failures()]);
        self.end();
        state
    }

    /// Reserves what the state says that [`Opener::begin_reserve`] gave: in the place of [`OpenerReservation::stored`], for a caller that cannot
    /// keep the reservation, or that reads what it has stored.
    ///
    /// # Errors
    /// [`InvalidState`]: the bytes are damaged, or not the state that [`Opener::begin_reserve`] gave last. Nothing more is reserved then.
    pub fn confirm(&mut self, state: &[u8; 32]) -> Result<(), InvalidState> {
        let state = OpenerState::from_bytes(state, self.fixed)?;
        state.verify(self.key_check())?;
        let [blocks, failures] = state.used(self.limits())?;
        let is_next = state.has_sequence(state::last_begun(self.sequence))
            && state.next() >= self.end
            && blocks >= self.aead.reserved_blocks
            && failures >= self.aead.reserved_failures;
        if !is_next {
            return Err(InvalidState::Other);
        }
        (self.end, self.sequence) = (state.next(), state.sequence() + 1);
        (self.aead.reserved_blocks, self.aead.reserved_failures) = (blocks, failures);
        Ok(())
    }

    fn limits(&self) -> Limits {
        Limits { blocks: self.aead.count.limit, failures: self.aead.failure_limit }
    }

    /// The next state.
    fn state(&self, next: u64, used: [u32; 2]) -> OpenerState<F> {
        OpenerState::new(self.key_check(), self.fixed, self.limits(), used, next, self.sequence)
    }

    fn key_check(&self) -> KeyCheck {
        state::key_check::<C, F>(&self.aead.cipher, self.fixed)
    }

    /// What comes after the greatest counter that is known to be genuine.
    fn next(&self) -> u64 {
        self.seen.max(self.window.next())
    }

    /// Decrypts `buffer` if its nonce is new and its tag right.
    ///
    /// # Errors
    /// See [`OpenError`]. The whole output is zero then.
    pub fn open_inout_detached(
        &mut self,
        nonce: &Nonce<C>,
        associated_data: &[u8],
        mut buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<C>,
    ) -> Result<(), OpenError> {
        let counter = self
            .admit(nonce, count_blocks(associated_data.len(), buffer.len()))
            .inspect_err(|_| buffer.get_out().fill(0))?;
        // What the sender's next message has, unless it is lost or late.
        let next = state::nonce(self.fixed, self.window.next().max(counter + 1)).into();
        self.aead.open(nonce, &next, associated_data, buffer.reborrow(), tag)?;
        if counter >= self.end {
            self.seen = self.seen.max(counter + 1);
            buffer.get_out().fill(0);
            return Err(OpenError::NotReserved);
        }
        self.window.insert(counter);
        Ok(())
    }

    /// The counter of a message of so many blocks, if it is new and the limits allow for it: it is counted then.
    fn admit(&mut self, nonce: &Nonce<C>, blocks: u64) -> Result<u64, OpenError> {
        let counter = state::counter(self.fixed, nonce.0).ok_or(OpenError::OtherFixedPart)?;
        self.window.check(counter)?;
        self.aead.count(blocks)?;
        Ok(counter)
    }

    /// Decrypts a message with its tag behind it, and cuts the tag off.
    ///
    /// # Errors
    /// As [`Opener::open_inout_detached`], and [`OpenError::Truncated`]. The buffer keeps its length then, and all of it is zero,
    /// the place of the tag too.
    pub fn open_in_place(
        &mut self,
        nonce: &Nonce<C>,
        associated_data: &[u8],
        buffer: &mut dyn Buffer,
    ) -> Result<(), OpenError> {
        let bytes = buffer.as_mut();
        // What is shorter than a tag is all `tag`.
        let len = bytes.len().saturating_sub(C::TagSize::USIZE);
        let (message, tag) = bytes.split_at_mut(len);
        let opened = Tag::<C>::try_from(&*tag)
            .map_err(|_| OpenError::Truncated)
            .and_then(|received| self.open_inout_detached(nonce, associated_data, message.into(), &received));
        match opened {
            Ok(()) => buffer.truncate(len),
            Err(_) => tag.fill(0),
        }
        opened
    }

    /// Decrypts a message with its tag behind it.
    ///
    /// # Errors
    /// As [`Opener::open_in_place`].
    #[cfg(feature = "alloc")]
    pub fn open<'msg, 'aad>(
        &mut self,
        nonce: &Nonce<C>,
        ciphertext: impl Into<otr_mode::aead::Payload<'msg, 'aad>>,
    ) -> Result<alloc::vec::Vec<u8>, OpenError> {
        let payload = ciphertext.into();
        let mut buffer = alloc::vec::Vec::from(payload.msg);
        self.open_in_place(nonce, payload.aad, &mut buffer)?;
        Ok(buffer)
    }
}

/// A key that opens, and counts.
struct LimitedAead<C: TwineOtr> {
    cipher: Ahead<C>,
    count: BlockCount,
    failures: u32,
    failure_limit: u32,
    /// The blocks and the failures up to which a state was stored.
    reserved_blocks: u32,
    reserved_failures: u32,
}

impl<C: TwineOtr> LimitedAead<C> {
    fn new(cipher: Ahead<C>, limits: Limits) -> Self {
        Self {
            cipher,
            count: BlockCount::new(0, limits.blocks),
            failures: 0,
            failure_limit: limits.failures,
            reserved_blocks: 0,
            reserved_failures: 0,
        }
    }

    fn start(
        &mut self,
        limits: Limits,
        [blocks, failures]: [u32; 2],
        [reserved_blocks, reserved_failures]: [u32; 2],
    ) {
        (self.count, self.failures) = (BlockCount::new(blocks, limits.blocks), failures);
        self.failure_limit = limits.failures;
        (self.reserved_blocks, self.reserved_failures) = (reserved_blocks, reserved_failures);
    }

    fn reserved(&self) -> u32 {
        if self.failures >= self.reserved_failures {
            return 0;
        }
        self.reserved_blocks.saturating_sub(self.count.used()).min(self.count.remaining())
    }

    /// The counts of blocks and failures up to which `blocks` more lead.
    #[allow(clippy::cast_possible_truncation, reason = "no more than the limit")]
    fn ends(&self, blocks: u32) -> [u32; 2] {
        let blocks = blocks.min(self.count.remaining());
        let part = u64::from(blocks) * u64::from(self.failure_limit);
        // A limit is not 0, which the compiler does not know.
        let part = part.checked_div(self.count.limit.get().into()).unwrap_or(0);
        let failures = (part as u32).max(1).min(self.failure_limit.saturating_sub(self.failures));
        [self.count.used() + blocks, self.failures + failures]
    }

    /// Counts a message of so many blocks, if the limits allow for it.
    fn count(&mut self, blocks: u64) -> Result<(), OpenError> {
        if self.failures >= self.failure_limit {
            return Err(OpenError::TooManyFailures);
        }
        let count = self.count.with(blocks).ok_or(OpenError::LimitReached)?;
        if count.used() > self.reserved_blocks || self.failures >= self.reserved_failures {
            return Err(OpenError::NotReserved);
        }
        self.count = count;
        Ok(())
    }

    /// Decrypts `buffer`, of a message that was counted, if the tag is right; otherwise its whole output is zero.
    fn open(
        &mut self,
        nonce: &Nonce<C>,
        next: &Nonce<C>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<C>,
    ) -> Result<(), OpenError> {
        // Before anything else, so that not even a panic leaves an attempt uncounted.
        self.failures += 1;
        self.cipher
            .decrypt_inout_detached(nonce, Some(next), associated_data, buffer, tag)
            .map_err(|_| OpenError::Rejected)?;
        self.failures -= 1;
        Ok(())
    }
}

impl<C: TwineOtr> fmt::Debug for LimitedAead<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitedAead")
            .field("count", &self.count)
            .field("failures", &self.failures)
            .field("failure_limit", &self.failure_limit)
            .field("reserved_blocks", &self.reserved_blocks)
            .field("reserved_failures", &self.reserved_failures)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "zeroize")]
impl<C: TwineOtr + ZeroizeOnDrop, const F: usize, const WORDS: usize> ZeroizeOnDrop for Opener<C, F, WORDS> {}

/// What an [`Opener`] may open as soon as the state is stored that says so. Dropped, it reserves nothing.
#[derive(Debug)]
#[must_use = "nothing is reserved before `stored`"]
pub struct OpenerReservation<'a, C: TwineOtr = Twine128Otr, const F: usize = 4, const WORDS: usize = 1> {
    opener: &'a mut Opener<C, F, WORDS>,
    state: OpenerState<F>,
    end: u64,
    blocks: u32,
    failures: u32,
}

impl<C: TwineOtr, const F: usize, const WORDS: usize> OpenerReservation<'_, C, F, WORDS> {
    /// The state to store: after a restart nothing is accepted that is reserved.
    #[must_use]
    pub fn state(&self) -> &OpenerState<F> {
        &self.state
    }

    /// To be called when the state is stored so that it survives a loss of power, and only then.
    pub fn stored(self) {
        let Self { opener, state, end, blocks, failures } = self;
        (opener.end, opener.sequence) = (end, state.sequence() + 1);
        (opener.aead.reserved_blocks, opener.aead.reserved_failures) = (blocks, failures);
    }
}

/// Why a message was not opened. The whole output is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum OpenError {
    /// The fixed part of the nonce is not the opener's.
    OtherFixedPart,
    /// The message was opened before.
    Replayed,
    /// The counter is behind the window.
    TooOld,
    /// As many attempts as may fail have failed: take a new key.
    TooManyFailures,
    /// The message would pass the limit of blocks under this key: take a new key. A shorter message may still fit.
    LimitReached,
    /// More must be reserved first: see [`Opener::reserve`]. The blocks or failures that are reserved do not suffice for the message; or it
    /// is genuine, but its counter is not reserved. Another copy can be opened then.
    NotReserved,
    /// The message is shorter than a tag.
    Truncated,
    /// The last chunk was opened: nothing can follow it.
    Finished,
    /// The tag is wrong: nonce, associated data or message are not what was sealed under this key. Counted as a failure.
    Rejected,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherFixedPart => "the fixed part of the nonce is another one",
            Self::Replayed => "the message was opened before",
            Self::TooOld => "the counter is behind the replay window",
            Self::TooManyFailures => "too many attempts have failed under this key",
            Self::LimitReached => "the message would pass the limit of blocks under this key",
            Self::NotReserved => "more must be reserved before the message can be opened",
            Self::Truncated => "the message is shorter than a tag",
            Self::Finished => "nothing can follow the last chunk",
            Self::Rejected => "the tag is wrong",
        })
    }
}

impl core::error::Error for OpenError {}
