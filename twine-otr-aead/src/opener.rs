//! Opening each message once, with limits of blocks and of failures.

use core::fmt;

#[cfg(feature = "zeroize")]
use otr_mode::cipher::zeroize::ZeroizeOnDrop;
use otr_mode::{
    Key, Nonce, Tag,
    aead::{Buffer, array::typenum::Unsigned, inout::InOutBuf},
};

use crate::{
    BlockLimit, CountedAead, InvalidState, OpenerState, Twine128Otr, TwineOtr,
    limits::{BlockCount, count_blocks, failure_limit, with_key, without_key},
    state::{self, KeyCheck, Limits, Sequence},
    window::Window,
};

/// A key that opens what one [`Sealer`](crate::Sealer) seals. It rejects replays, and stops after [`Opener::FAILURE_LIMIT`] failed
/// attempts.
///
/// Messages may come out of order. Each of the `64 * WORDS` counters below the newest one (64 by default) is accepted once. The replay
/// window moves only when a tag was right. With `WORDS` = 0, as in [`StrictOpener`], each message must be newer than all before. Gaps in
/// the counters show which messages were lost, see [`Opener::newest`].
///
/// **After any error the whole output is zero**, even if nothing was decrypted. So a caller that overlooks an error finds no bytes that an
/// attacker chose. The opener detects replays and limits from the nonce and the lengths alone, before it decrypts anything. Such attempts
/// are not counted.
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
/// The opener counts the blocks of each attempt that it does not refuse beforehand, as in [the bound](Twine128Otr#limits). It stops at
/// [`BlockLimit::DEFAULT`]. The blocks of failed attempts add to the blocks that the sealer counts. So in the worst case an attacker has
/// twice the limit, which is 2^21 blocks and an advantage of 2^-19.4.
///
/// At most [`Opener::FAILURE_LIMIT`] attempts may fail. A forgery with a tag of t bits succeeds with a probability of 2^-t. So the default
/// depends on the length of the tag: all attempts together succeed with a probability of at most 2^-22. (The bound for the blocks is
/// 2^-21.4.)
///
/// | bytes of the tag | attempts that may fail | probability of a forgery |
/// |--:|--:|--:|
/// | 8, 7, 6 | 2^20 | 2^-44, 2^-36, 2^-28 |
/// | 5 | 2^18 | 2^-22 |
/// | 4 | 2^10 | 2^-22 |
///
/// For tags of 6 bytes and more the limit of blocks is reached first, because each attempt counts at least 3 blocks. For example, a radio
/// link with noise may deliver a thousand corrupt frames of 10 blocks a day. Then a key lasts for some 100 days.
///
/// **Anybody who can send to the opener can use up its limits.** Without limits, the same attacker could try to forge forever. An opener at
/// its limit refuses everything under its key, so the link needs a new key. Give the link a way to a new key that does not need the old one,
/// such as a separate key for such requests. Use it in time, when [`Opener::remaining_blocks`] or [`Opener::remaining_failures`] is small.
///
/// # A key that outlives a restart
/// An opener that starts again with the same key would accept every replay. So an opener of such a key reserves counters, blocks and
/// failures in steps, as a [`Sealer`](crate::Sealer) does. It stores a state that already counts them as used. After a restart it refuses
/// all counters that the state covers, so it opens no message twice.
///
/// **This has a price.** After a loss of power the opener refuses as many genuine messages as were reserved, at most. After
/// [`Opener::suspend`] it refuses only late ones. A loss of power also costs the blocks that were reserved and not used, and the same
/// share of the failures. So reserve few messages at a time, but more blocks. With 16 messages at a time, there is one write for 16 messages.
/// A key lasts for limit / step restarts without [`Opener::suspend`].
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
/// An opener is not `Clone`, because a copy would open a message again.
#[doc(alias("decrypt", "replay", "anti-replay", "replay window"))]
#[derive(Debug)]
pub struct Opener<C: CountedAead = Twine128Otr, const F: usize = 4, const WORDS: usize = 1> {
    aead: LimitedAead<C>,
    fixed: [u8; F],
    window: Window<WORDS>,
    /// Counters from this one on are not reserved.
    end: u64,
    /// One more than the greatest counter of a genuine message, whether it was opened or was not reserved.
    seen: u64,
    sequence: Sequence,
}

/// An [`Opener`] of messages in strict order: each message must be newer than all before.
pub type StrictOpener<C = Twine128Otr, const F: usize = 4> = Opener<C, F, 0>;

impl<C: TwineOtr, const F: usize, const WORDS: usize> Opener<C, F, WORDS> {
    /// Makes an opener for a fresh key that is discarded with this opener, and for nonces that start with `fixed`.
    ///
    /// **Never use it for a key that the device has again after a restart.** Use [`Opener::restore`] for that.
    #[must_use]
    pub fn new(key: &Key<C>, fixed: [u8; F]) -> Self {
        let mut aead =
            LimitedAead::new(with_key::<C>(key), Limits::new(BlockLimit::DEFAULT, Self::FAILURE_LIMIT));
        aead.reserved_blocks = BlockLimit::MAX.get();
        aead.reserved_failures = Limits::MAX_FAILURES;
        Self { aead, fixed, window: Window::new(0), end: u64::MAX, seen: 0, sequence: Sequence::FIRST }
    }

    /// Makes the first state of a key under which nothing was ever opened, for nonces that start with `fixed`. `limit` is the limit of
    /// blocks, and `failures` is the limit of failed attempts.
    ///
    /// Store it once, together with the key. If a state is lost, never replace it by this one: use a new key.
    ///
    /// If the device had another key before, **erase the old key first**, as [`Sealer::first_state`](crate::Sealer::first_state) explains.
    /// Otherwise messages may be opened twice.
    #[must_use]
    pub fn first_state(key: &Key<C>, fixed: [u8; F], limit: BlockLimit, failures: u32) -> OpenerState<F> {
        Self::new(key, fixed).with_block_limit(limit).with_failure_limit(failures).suspend()
    }

    /// Makes an opener for a stored key. `places` holds what was read from each place for a state, and the newest state of the key must be
    /// in one of them. The other places may be damaged, or hold an older state or one of another key. Nothing can be opened before
    /// [`Opener::reserve`].
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
        let mut cipher = with_key::<C>(key);
        let state = OpenerState::newest(places, fixed, state::key_check::<C, F>(&mut cipher, fixed))?;
        Self::go_on(cipher, state, Limits::new(limit, failures))
    }

    /// Makes an opener for a stored key from the state that was stored last, or that [`Opener::suspend`] returned. Nothing can be opened
    /// before [`Opener::reserve`].
    ///
    /// Use each state once. Never make two openers from one state, and never use a state from an older copy, such as a backup or a
    /// snapshot.
    ///
    /// # Errors
    /// [`InvalidState::OtherKey`], [`InvalidState::OtherLimit`].
    pub fn with_stored_key(
        key: &Key<C>,
        state: OpenerState<F>,
        limit: BlockLimit,
        failures: u32,
    ) -> Result<Self, InvalidState> {
        let mut cipher = with_key::<C>(key);
        state.verify(state::key_check::<C, F>(&mut cipher, state.fixed()))?;
        Self::go_on(cipher, state, Limits::new(limit, failures))
    }

    fn go_on(cipher: C::Keyed, state: OpenerState<F>, limits: Limits) -> Result<Self, InvalidState> {
        let mut opener = Self::used_up(cipher);
        opener.resume(state, limits)?;
        Ok(opener)
    }

    /// Makes an opener that has no key yet. It opens nothing until [`Opener::set_ephemeral_key`] or [`Opener::set_stored_key`] is called.
    #[must_use]
    #[inline]
    pub fn without_key() -> Self {
        Self::used_up(without_key::<C>().into())
    }
}

#[cfg(twine_masked)]
impl<R: crate::rand_core::CryptoRng, C: crate::MaskedCipher, const F: usize, const WORDS: usize>
    Opener<crate::TwineOtrMasked<R, C>, F, WORDS>
{
    /// Makes an opener [with two shares](crate::TwineOtrMasked) that has no key yet, and takes its masks from `rng`. As
    /// [`Sealer::masked`](crate::Sealer::masked).
    ///
    /// Each attempt counts two blocks more than an opener without masks counts, for the comparison of the tag. So
    /// [`Opener::reserve`] needs two blocks more than the [`count_blocks`] of the longest message.
    #[must_use]
    pub fn masked(rng: R) -> Self {
        Self::used_up(crate::TwineOtrMasked::without_key(rng))
    }

    /// The generator of the masks.
    pub fn rng_mut(&mut self) -> &mut R {
        self.aead.cipher.rng_mut()
    }
}

impl<C: CountedAead, const F: usize, const WORDS: usize> Opener<C, F, WORDS> {
    /// How many attempts may fail by default, see [Limits](Opener#limits).
    pub const FAILURE_LIMIT: u32 = failure_limit::<C>();

    /// Makes an opener that opens nothing.
    fn used_up(cipher: C::Keyed) -> Self {
        let mut aead = LimitedAead::new(cipher, Limits::new(BlockLimit::MAX, 0));
        aead.end();
        Self { aead, fixed: [0; F], window: Window::new(0), end: 0, seen: 0, sequence: Sequence::FIRST }
    }

    #[allow(clippy::needless_pass_by_value, reason = "used once")]
    fn resume(&mut self, state: OpenerState<F>, limits: Limits) -> Result<(), InvalidState> {
        let [blocks, failures] = state.used(limits)?;
        self.aead.start(limits, [blocks, failures], [blocks, failures]);
        self.start(state.fixed(), state.next(), state.next(), Sequence::after(state.sequence()));
        Ok(())
    }

    fn start(&mut self, fixed: [u8; F], next: u64, end: u64, sequence: Sequence) {
        (self.fixed, self.window, self.sequence) = (fixed, Window::new(next), sequence);
        (self.end, self.seen) = (end, next);
    }

    /// Sets a key as [`Opener::new`] does, with limits. The round keys are made in place, so that no copy of them is on the stack. The
    /// previous key of this opener is gone.
    pub fn set_ephemeral_key(
        &mut self,
        key: &C::KeySource,
        fixed: [u8; F],
        limit: BlockLimit,
        failures: u32,
    ) {
        self.set_key(key);
        let reserved = [BlockLimit::MAX.get(), Limits::MAX_FAILURES];
        self.aead.start(Limits::new(limit, failures), [0, 0], reserved);
        self.start(fixed, 0, u64::MAX, Sequence::FIRST);
    }

    /// Sets a key as [`Opener::restore`] does. The round keys are made in place, so that no copy of them is on the stack. The previous key
    /// of this opener is gone.
    ///
    /// # Errors
    /// Those of [`Opener::restore`]. Nothing can be opened then.
    pub fn set_stored_key(
        &mut self,
        key: &C::KeySource,
        fixed: [u8; F],
        limit: BlockLimit,
        failures: u32,
        places: &[[u8; 32]],
    ) -> Result<(), InvalidState> {
        self.set_key(key);
        let state =
            OpenerState::newest(places, fixed, state::key_check::<C, F>(&mut self.aead.cipher, fixed))?;
        self.resume(state, Limits::new(limit, failures))
    }

    /// Sets the key. Nothing can be opened until the counts are set too.
    fn set_key(&mut self, key: &C::KeySource) {
        self.end();
        C::set_key(&mut self.aead.cipher, key);
    }

    fn end(&mut self) {
        self.aead.end();
    }

    /// Sets another limit than [`BlockLimit::DEFAULT`]. The states of this opener carry it too.
    #[must_use]
    pub fn with_block_limit(mut self, limit: BlockLimit) -> Self {
        self.aead.count.limit = limit;
        self
    }

    /// Sets another limit than [`Opener::FAILURE_LIMIT`]. The states of this opener carry it too. A limit beyond 2^24 has no effect, because
    /// the limit of blocks is reached first.
    #[must_use]
    pub fn with_failure_limit(mut self, failures: u32) -> Self {
        self.aead.failure_limit = Limits::new(BlockLimit::MAX, failures).failures;
        self
    }

    /// Builds the nonce from a received counter. Returns `None` unless the counter has `7 - F` bytes.
    #[doc(alias = "nonce counter")]
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

    /// Returns the greatest counter that was opened. If it skips counters, their messages were lost or are late.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.window.next().checked_sub(1)
    }

    /// Returns how many attempts have failed.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.aead.failures
    }

    /// Returns the blocks of all attempts, as [`count_blocks`] counts them.
    #[must_use]
    pub fn used_blocks(&self) -> u32 {
        self.aead.count.used()
    }

    /// Returns how many blocks can still be opened under this key.
    #[must_use]
    pub fn remaining_blocks(&self) -> u32 {
        self.aead.count.remaining()
    }

    /// Returns how many attempts may still fail.
    #[must_use]
    pub fn remaining_failures(&self) -> u32 {
        self.aead.failure_limit.saturating_sub(self.aead.failures)
    }

    /// Returns how many counters beyond the greatest genuine one can be opened before more must be reserved.
    #[must_use]
    pub fn reserved_messages(&self) -> u64 {
        self.end.saturating_sub(self.next())
    }

    /// Returns how many blocks can be opened before more must be reserved. It is 0 if the reserved failures are used up.
    #[must_use]
    pub fn reserved_blocks(&self) -> u32 {
        self.aead.reserved()
    }

    /// Ensures that at least `messages` counters and `blocks` blocks (fewer near the limit) are reserved. `store` must return `Ok` only once
    /// the state is durable, which means that it survives a loss of power. `store` is not called if enough is reserved already.
    ///
    /// The same share of the failures is reserved with the blocks, and at least one failure. A message with more blocks than are reserved
    /// cannot be opened. So `blocks` must be at least the [`count_blocks`] of the longest message. With masks it must be at least two more.
    ///
    /// # Errors
    /// The error of `store`. Nothing more is reserved then, whether the state was stored or not.
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

    /// Does [`Opener::reserve`] in two steps, for memory that is written asynchronously. Store [`OpenerReservation::state`], then call
    /// [`OpenerReservation::stored`].
    pub fn begin_reserve(&mut self, messages: u32, blocks: u32) -> OpenerReservation<'_, C, F, WORDS> {
        let [blocks, failures] = self.aead.ends(blocks);
        let blocks = blocks.max(self.aead.reserved_blocks);
        let failures = failures.max(self.aead.reserved_failures);
        let end = self.next().saturating_add(messages.into()).max(self.end);
        let state = self.state(end, [blocks, failures]);
        self.sequence = self.sequence.after_begun();
        OpenerReservation { opener: self, state, end, blocks, failures }
    }

    /// Ends the opener in an orderly way and returns its state. An opener that is restored from it refuses late messages, and no others.
    #[must_use = "it must be stored, or the key be forgotten"]
    pub fn suspend(mut self) -> OpenerState<F> {
        self.state(self.window.next(), [self.used_blocks(), self.failures()])
    }

    /// Does what [`Opener::suspend`] does, for an opener that cannot be moved. It opens nothing afterwards.
    #[must_use = "it must be stored, or the key be forgotten"]
    pub fn suspend_in_place(&mut self) -> OpenerState<F> {
        let state = self.state(self.window.next(), [self.used_blocks(), self.failures()]);
        self.end();
        state
    }

    /// Reserves what the state of the last [`Opener::begin_reserve`] says. It replaces [`OpenerReservation::stored`] for a caller that cannot
    /// keep the reservation, or that reads back the state that it has stored.
    ///
    /// # Errors
    /// [`InvalidState`]: the bytes are damaged, or are not the state that [`Opener::begin_reserve`] returned last. Nothing more is reserved
    /// then.
    pub fn confirm(&mut self, state: &[u8; 32]) -> Result<(), InvalidState> {
        let state = OpenerState::from_bytes(state, self.fixed)?;
        state.verify(self.key_check())?;
        let [blocks, failures] = state.used(self.limits())?;
        let is_next = state.was_begun_last(self.sequence)
            && state.next() >= self.end
            && blocks >= self.aead.reserved_blocks
            && failures >= self.aead.reserved_failures;
        if !is_next {
            return Err(InvalidState::Other);
        }
        (self.end, self.sequence) = (state.next(), Sequence::after(state.sequence()));
        (self.aead.reserved_blocks, self.aead.reserved_failures) = (blocks, failures);
        Ok(())
    }

    fn limits(&self) -> Limits {
        Limits { blocks: self.aead.count.limit, failures: self.aead.failure_limit }
    }

    /// Makes the next state.
    fn state(&mut self, next: u64, used: [u32; 2]) -> OpenerState<F> {
        OpenerState::new(self.key_check(), self.fixed, self.limits(), used, next, self.sequence)
    }

    fn key_check(&mut self) -> KeyCheck {
        state::key_check::<C, F>(&mut self.aead.cipher, self.fixed)
    }

    /// Returns one more than the greatest counter that is known to be genuine.
    fn next(&self) -> u64 {
        self.seen.max(self.window.next())
    }

    /// Decrypts `buffer` if its nonce is new and its tag is right.
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
            .admit(nonce, count_blocks(associated_data.len(), buffer.len()).saturating_add(C::MORE_TO_OPEN))
            .inspect_err(|_| buffer.get_out().fill(0))?;
        // The sender's next message has this nonce, unless it is lost or late.
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

    /// Counts a message of `blocks` blocks and returns its counter, if the message is new and the limits allow it.
    fn admit(&mut self, nonce: &Nonce<C>, blocks: u64) -> Result<u64, OpenError> {
        let counter = state::counter(self.fixed, nonce.0).ok_or(OpenError::OtherFixedPart)?;
        self.window.check(counter)?;
        self.aead.count(blocks)?;
        Ok(counter)
    }

    /// Decrypts a message that is followed by its tag, and removes the tag.
    ///
    /// # Errors
    /// Those of [`Opener::open_inout_detached`], or [`OpenError::Truncated`]. The buffer keeps its length then, and all of it is zero,
    /// including the place of the tag.
    pub fn open_in_place(
        &mut self,
        nonce: &Nonce<C>,
        associated_data: &[u8],
        buffer: &mut dyn Buffer,
    ) -> Result<(), OpenError> {
        let bytes = buffer.as_mut();
        // A buffer that is shorter than a tag is all `tag`.
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

    /// Decrypts a message that is followed by its tag.
    ///
    /// # Errors
    /// Those of [`Opener::open_in_place`].
    #[cfg(feature = "alloc")]
    #[doc(alias = "decrypt")]
    pub fn open<'msg, 'aad>(
        &mut self,
        nonce: &Nonce<C>,
        ciphertext: impl Into<otr_mode::aead::Payload<'msg, 'aad>>,
    ) -> Result<alloc::vec::Vec<u8>, OpenError> {
        let payload = ciphertext.into();
        let mut buffer = alloc::vec::Vec::from(payload.msg);
        let opened = self.open_in_place(nonce, payload.aad, &mut buffer);
        // The zeros after an error are written even if the vector is only freed.
        core::hint::black_box(&buffer);
        opened.map(|()| buffer)
    }
}

/// An AEAD that opens messages and enforces the limits of blocks and failures.
struct LimitedAead<C: CountedAead> {
    cipher: C::Keyed,
    count: BlockCount,
    failures: u32,
    failure_limit: u32,
    /// The ends of the reserved blocks and failures: the counts may reach them.
    reserved_blocks: u32,
    reserved_failures: u32,
}

impl<C: CountedAead> LimitedAead<C> {
    fn new(cipher: C::Keyed, limits: Limits) -> Self {
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

    fn end(&mut self) {
        // More than any limit, so that no other limit revives it.
        self.count = BlockCount::new(BlockLimit::MAX.get(), self.count.limit);
        self.failure_limit = 0;
    }

    fn reserved(&self) -> u32 {
        if self.failures >= self.reserved_failures {
            return 0;
        }
        self.reserved_blocks.saturating_sub(self.count.used()).min(self.count.remaining())
    }

    /// Returns the ends of the blocks and the failures if `blocks` more blocks are reserved.
    #[allow(clippy::cast_possible_truncation, reason = "no more than the limit")]
    fn ends(&self, blocks: u32) -> [u32; 2] {
        let blocks = blocks.min(self.count.remaining());
        let part = u64::from(blocks) * u64::from(self.failure_limit);
        // A limit is never 0, but the compiler does not know that.
        let part = part.checked_div(self.count.limit.get().into()).unwrap_or(0);
        let failures = (part as u32).max(1).min(self.failure_limit.saturating_sub(self.failures));
        [self.count.used() + blocks, self.failures + failures]
    }

    /// Counts a message of `blocks` blocks, if the limits allow it.
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

    /// Decrypts the `buffer` of a message that was counted, if the tag is right. Otherwise the whole output is zero.
    fn open(
        &mut self,
        nonce: &Nonce<C>,
        next: &Nonce<C>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<C>,
    ) -> Result<(), OpenError> {
        // This comes before anything else, so that not even a panic leaves an attempt uncounted.
        self.failures += 1;
        C::decrypt(&mut self.cipher, nonce, next, associated_data, buffer, tag)
            .map_err(|_| OpenError::Rejected)?;
        self.failures -= 1;
        Ok(())
    }
}

impl<C: CountedAead> fmt::Debug for LimitedAead<C> {
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
impl<C: CountedAead + ZeroizeOnDrop, const F: usize, const WORDS: usize> ZeroizeOnDrop
    for Opener<C, F, WORDS>
{
}

/// Counters, blocks and failures that an [`Opener`] may use once a state is stored. If it is dropped, nothing is reserved.
#[derive(Debug)]
#[must_use = "nothing is reserved before `stored`"]
pub struct OpenerReservation<'a, C: CountedAead = Twine128Otr, const F: usize = 4, const WORDS: usize = 1> {
    opener: &'a mut Opener<C, F, WORDS>,
    state: OpenerState<F>,
    end: u64,
    blocks: u32,
    failures: u32,
}

impl<C: CountedAead, const F: usize, const WORDS: usize> OpenerReservation<'_, C, F, WORDS> {
    /// Returns the state to store. It counts what is reserved as used, so nothing of it is accepted after a restart.
    #[must_use]
    pub fn state(&self) -> &OpenerState<F> {
        &self.state
    }

    /// Reserves the messages, blocks and failures that were asked for. Call this only once the state is durable, which means that it
    /// survives a loss of power.
    pub fn stored(self) {
        let Self { opener, state, end, blocks, failures } = self;
        (opener.end, opener.sequence) = (end, Sequence::after(state.sequence()));
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
    /// A message with this counter was opened before.
    #[doc(alias = "replay")]
    Replayed,
    /// The counter is older than the replay window reaches.
    TooOld,
    /// The limit of failed attempts is reached. Use a new key.
    TooManyFailures,
    /// The message would exceed the limit of blocks under this key. Use a new key. A shorter message may still fit.
    LimitReached,
    /// More must be reserved first, see [`Opener::reserve`]. Either too few blocks or failures are reserved for the message, or the message
    /// is genuine and its counter is not reserved. After more is reserved, another copy of the message can be opened.
    NotReserved,
    /// The message is shorter than a tag.
    Truncated,
    /// The last chunk was already opened. Nothing can follow it.
    Finished,
    /// The tag is wrong: the nonce, the associated data or the message is not what was sealed under this key. It counts as a failure.
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
