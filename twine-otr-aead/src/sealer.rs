//! Sealing with counted nonces and a limit of blocks.

use core::fmt;

#[cfg(feature = "zeroize")]
use otr_mode::cipher::zeroize::ZeroizeOnDrop;
use otr_mode::{
    Key, Nonce, PieceEncryptor, PieceState, Tag,
    aead::{Buffer, inout::InOutBuf},
    consts::U7,
};

use crate::{
    BlockLimit, CountedAead, InvalidState, SealerState, Twine128Otr, TwineOtr,
    limits::{BlockCount, MIN_BLOCKS, count_blocks, with_key, without_key},
    state::{self, Sequence},
};

/// A key that seals each message under a new nonce, and stops at a [limit](Twine128Otr#limits) of blocks.
///
/// A nonce is a fixed part of `F` bytes (RFC 5116, section 3.2), then a counter in the other `7 - F` bytes. `F` is 0 to 4, and 4 by
/// default. The counter is big-endian and starts at 0.
///
/// The fixed part tells apart the senders that share a key, or the two directions of a link. **Two sealers of one key must not have the
/// same fixed part**, nor may the fixed part of one begin with that of the other: nonces would repeat. It is better to give each sealer its
/// own key, because two sealers of one key may together seal twice the limit.
/// ```
/// use twine_otr_aead::{Opener, Sealer};
///
/// let key = [0x42; 16].into(); // for one direction, and until the next restart
/// let mut sealer: Sealer = Sealer::with_ephemeral_key(&key, *b"up 7");
/// let mut opener: Opener = Opener::new(&key, *b"up 7");
///
/// let mut reading = *b"21.5 C";
/// let (nonce, tag) = sealer.seal_inout_detached(b"sensor 7", reading.as_mut_slice().into())?;
/// assert_eq!(nonce.0, *b"up 7\0\0\0");
/// opener.open_inout_detached(&nonce, b"sensor 7", reading.as_mut_slice().into(), &tag)?;
/// assert_eq!(&reading, b"21.5 C");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # A key that outlives a restart
/// The counter must not start at 0 again when the device restarts. So a sealer of such a key reserves blocks in steps. It stores a state
/// that already counts the reserved blocks as used, so a restart skips them. A loss of power costs the blocks that were reserved and not
/// used. It never repeats a nonce, and no block goes uncounted. The limit of blocks is reached before the counter can run out.
/// ```
/// use twine_otr_aead::{BlockLimit, SealError, Sealer};
/// # struct Flash([[u8; 32]; 2]);
/// # impl Flash {
/// #     fn read(&self) -> [[u8; 32]; 2] { self.0 }
/// #     fn write(&mut self, place: usize, bytes: &[u8; 32]) -> Result<(), std::io::Error> { self.0[place] = *bytes; Ok(()) }
/// # }
/// # let key = [0x42; 16].into();
/// const LIMIT: BlockLimit = BlockLimit::DEFAULT;
///
/// // Once, when the device gets its key:
/// let mut flash = Flash([<Sealer>::first_state(&key, *b"up 7", LIMIT).to_bytes(), [0xFF; 32]]);
///
/// // At each start:
/// let mut sealer: Sealer = Sealer::restore(&key, *b"up 7", LIMIT, &flash.read())?;
/// let mut reading = *b"21.5 C";
/// let early = sealer.seal_inout_detached(b"sensor 7", reading.as_mut_slice().into());
/// assert_eq!(early, Err(SealError::NotReserved));
///
/// // At a time when writing does not disturb:
/// if sealer.reserved_blocks() < 64 {
///     sealer.reserve(1 << 12, |state| flash.write(state.sequence() as usize % 2, &state.to_bytes()))?;
/// }
/// let (nonce, tag) = sealer.seal_inout_detached(b"sensor 7", reading.as_mut_slice().into())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// **Each start that did not follow a [`Sealer::suspend`] uses up a whole step.** The step of this example is 2^12 blocks. So 256 restarts
/// use up the key, even if little is sealed: a device that restarts every hour needs a new key after 11 days. Choose the step so:
/// ```text
/// step = limit / number of restarts that the key must last for, and at least the blocks of the longest message
/// ```
/// | step, with the limit 2^20 | data in a step, at most | restarts without `suspend` | writes without a restart |
/// |--:|--:|--:|--:|
/// | 2^6 | 512 bytes | 16,384 | 16,384 |
/// | 2^8 | 2 KiB | 4,096 | 4,096 |
/// | 2^10 | 8 KiB | 1,024 | 1,024 |
/// | 2^12 | 32 KiB | 256 | 256 |
///
/// The last column holds if blocks are reserved only when none is left. If they are reserved earlier, each step gives that much less. In
/// this example they are reserved when fewer than 64 are left, which takes 260 writes. A device that stops in an orderly way, or sleeps,
/// calls `suspend`, which costs one write and no block.
///
/// A sealer is not `Clone`, because a copy would repeat its nonces. Code with a fixed part of more than 4 bytes, with another length of the
/// nonce, or with another cipher does not compile.
#[doc(alias("encrypt", "nonce counter", "counter"))]
pub struct Sealer<C: CountedAead = Twine128Otr, const F: usize = 4> {
    cipher: C::Keyed,
    fixed: [u8; F],
    /// The counter of the next message.
    counter: u32,
    count: BlockCount,
    /// The end of the reserved blocks: the count of used blocks may reach it.
    reserved: u32,
    sequence: Sequence,
}

impl<C: TwineOtr, const F: usize> Sealer<C, F> {
    /// Makes a sealer for a fresh key that is discarded with this sealer. Such a key was agreed on after the start, or was derived for
    /// an epoch whose number was stored before. Nonces start with `fixed`.
    ///
    /// **Never use it for a key that the device has again after a restart.** Use [`Sealer::restore`] for that.
    #[must_use]
    pub fn with_ephemeral_key(key: &Key<C>, fixed: [u8; F]) -> Self {
        let count = BlockCount::new(0, BlockLimit::DEFAULT);
        Self {
            cipher: with_key::<C>(key),
            fixed,
            counter: 0,
            count,
            reserved: BlockLimit::MAX.get(),
            sequence: Sequence::FIRST,
        }
    }

    /// Makes the first state of a key under which nothing was ever sealed, for nonces that start with `fixed`.
    ///
    /// Store it once, together with the key. If a state is lost, never replace it by this one: use a new key.
    ///
    /// If the device had another key before, **erase the old key first**, or give each key its own places. Otherwise this state may overwrite
    /// the newest state of the old key. If power is lost before the new key is stored, the device would use the old key with an older
    /// state, and nonces would repeat.
    #[must_use]
    pub fn first_state(key: &Key<C>, fixed: [u8; F], limit: BlockLimit) -> SealerState<F> {
        Self::with_ephemeral_key(key, fixed).with_block_limit(limit).suspend()
    }

    /// Makes a sealer for a stored key. `places` holds what was read from each place for a state, and the newest state of the key must be
    /// in one of them. The other places may be damaged, or hold an older state or one of another key. Nothing can be sealed before
    /// [`Sealer::reserve`].
    ///
    /// If there are two places, write each state to place [`SealerState::sequence`] `% 2`. So the newest state is never overwritten. **The
    /// memory must not lose a state that it has confirmed**: with an older state, nonces repeat.
    ///
    /// # Errors
    /// See [`InvalidState`]: no place has a state of this key, or the newest one has another limit.
    pub fn restore(
        key: &Key<C>,
        fixed: [u8; F],
        limit: BlockLimit,
        places: &[[u8; 32]],
    ) -> Result<Self, InvalidState> {
        let mut cipher = with_key::<C>(key);
        let state = SealerState::newest(places, fixed, state::key_check::<C, F>(&mut cipher, fixed))?;
        Self::go_on(cipher, state, limit)
    }

    /// Makes a sealer for a stored key from the state that was stored last, or that [`Sealer::suspend`] returned. Nothing can be sealed
    /// before [`Sealer::reserve`].
    ///
    /// Use each state once. Never make two sealers from one state, and never use a state from an older copy, such as a backup or a
    /// snapshot.
    ///
    /// # Errors
    /// [`InvalidState::OtherKey`], [`InvalidState::OtherLimit`].
    pub fn with_stored_key(
        key: &Key<C>,
        state: SealerState<F>,
        limit: BlockLimit,
    ) -> Result<Self, InvalidState> {
        let mut cipher = with_key::<C>(key);
        state.verify(state::key_check::<C, F>(&mut cipher, state.fixed()))?;
        Self::go_on(cipher, state, limit)
    }

    fn go_on(cipher: C::Keyed, state: SealerState<F>, limit: BlockLimit) -> Result<Self, InvalidState> {
        let mut sealer = Self::used_up(cipher);
        sealer.resume(state, limit)?;
        Ok(sealer)
    }

    /// Makes a sealer that has no key yet. It seals nothing until [`Sealer::set_ephemeral_key`] or [`Sealer::set_stored_key`] is called.
    #[must_use]
    #[inline]
    pub fn without_key() -> Self {
        Self::used_up(without_key::<C>().into())
    }
}

#[cfg(twine_masked)]
impl<R: crate::rand_core::CryptoRng, C: crate::MaskedCipher, const F: usize>
    Sealer<crate::TwineOtrMasked<R, C>, F>
{
    /// Makes a sealer [with two shares](crate::TwineOtrMasked) that has no key yet, and takes its masks from `rng`. It seals nothing until
    /// [`Sealer::set_ephemeral_key`] or [`Sealer::set_stored_key`] is called, with both shares of a key. Let it stay where it is from then on.
    ///
    /// Its nonces, counts and states are those of a sealer without masks. Comparing a state with the key takes the masks of a message.
    #[must_use]
    pub fn masked(rng: R) -> Self {
        Self::used_up(crate::TwineOtrMasked::without_key(rng))
    }

    /// The generator of the masks.
    pub fn rng_mut(&mut self) -> &mut R {
        self.cipher.rng_mut()
    }
}

impl<C: CountedAead, const F: usize> Sealer<C, F> {
    /// Makes a sealer that seals nothing.
    fn used_up(cipher: C::Keyed) -> Self {
        let count = BlockCount::new(BlockLimit::MAX.get(), BlockLimit::MAX);
        Self { cipher, fixed: [0; F], counter: 0, count, reserved: count.used(), sequence: Sequence::FIRST }
    }

    #[allow(clippy::needless_pass_by_value, reason = "used once")]
    fn resume(&mut self, state: SealerState<F>, limit: BlockLimit) -> Result<(), InvalidState> {
        let [counter, blocks] = state.used(limit)?;
        (self.count, self.reserved) = (BlockCount::new(blocks, limit), blocks);
        (self.fixed, self.counter, self.sequence) =
            (state.fixed(), counter, Sequence::after(state.sequence()));
        Ok(())
    }

    /// Sets a key as [`Sealer::with_ephemeral_key`] does, with a limit. The round keys are made in place, so that no copy of them is on the
    /// stack. The previous key of this sealer is gone.
    pub fn set_ephemeral_key(&mut self, key: &C::KeySource, fixed: [u8; F], limit: BlockLimit) {
        self.set_key(key);
        (self.count, self.reserved) = (BlockCount::new(0, limit), BlockLimit::MAX.get());
        (self.fixed, self.counter, self.sequence) = (fixed, 0, Sequence::FIRST);
    }

    /// Sets a key as [`Sealer::restore`] does. The round keys are made in place, so that no copy of them is on the stack. The previous key
    /// of this sealer is gone.
    ///
    /// # Errors
    /// Those of [`Sealer::restore`]. Nothing can be sealed then.
    pub fn set_stored_key(
        &mut self,
        key: &C::KeySource,
        fixed: [u8; F],
        limit: BlockLimit,
        places: &[[u8; 32]],
    ) -> Result<(), InvalidState> {
        self.set_key(key);
        let state = SealerState::newest(places, fixed, state::key_check::<C, F>(&mut self.cipher, fixed))?;
        self.resume(state, limit)
    }

    /// Sets the key. Nothing can be sealed until the counts are set too.
    fn set_key(&mut self, key: &C::KeySource) {
        self.end();
        C::set_key(&mut self.cipher, key);
    }

    fn end(&mut self) {
        // More than any limit, so that `with_block_limit` does not revive it.
        self.count = BlockCount::new(BlockLimit::MAX.get(), self.count.limit);
        self.reserved = self.count.used();
    }

    /// Sets another limit than [`BlockLimit::DEFAULT`]. The states of this sealer carry it too.
    #[must_use]
    pub fn with_block_limit(mut self, limit: BlockLimit) -> Self {
        self.count.limit = limit;
        self
    }

    /// Returns the nonce of the next message. Its counter (the bytes from `F` on) can for example go into a header that is associated
    /// data.
    #[doc(alias = "nonce counter")]
    #[must_use]
    pub fn next_nonce(&self) -> Nonce<C> {
        state::nonce(self.fixed, self.counter.into()).into()
    }

    /// Returns how many blocks were sealed, as [`count_blocks`] counts them. After a restart this includes all blocks that were reserved.
    #[must_use]
    pub fn used_blocks(&self) -> u32 {
        self.count.used()
    }

    /// Returns how many blocks can still be sealed under this key.
    #[must_use]
    pub fn remaining_blocks(&self) -> u32 {
        self.count.remaining()
    }

    /// Returns how many blocks can be sealed before more must be reserved.
    #[must_use]
    pub fn reserved_blocks(&self) -> u32 {
        (self.reserved - self.count.used()).min(self.remaining_blocks())
    }

    /// Ensures that at least `blocks` blocks (fewer near the limit) are reserved. `store` must return `Ok` only once the state is durable,
    /// which means that it survives a loss of power. `store` is not called if enough blocks are reserved already.
    ///
    /// `store` must keep the previous state until the new one is complete. Two places that are written in turn do that
    /// ([`SealerState::sequence`]).
    ///
    /// # Errors
    /// The error of `store`. Nothing more is reserved then, whether the state was stored or not.
    pub fn reserve<E>(
        &mut self,
        blocks: u32,
        store: impl FnOnce(&SealerState<F>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.reserved_blocks() >= blocks.min(self.remaining_blocks()) {
            return Ok(());
        }
        let reservation = self.begin_reserve(blocks);
        store(reservation.state())?;
        reservation.stored();
        Ok(())
    }

    /// Does [`Sealer::reserve`] in two steps, for memory that is written asynchronously. Store [`Reservation::state`], then call
    /// [`Reservation::stored`].
    /// ```
    /// # use twine_otr_aead::Sealer;
    /// # async fn write(_: [u8; 32]) -> Result<(), core::fmt::Error> { Ok(()) }
    /// async fn reserve(sealer: &mut Sealer) -> Result<(), core::fmt::Error> {
    ///     let reservation = sealer.begin_reserve(1 << 12);
    ///     write(reservation.state().to_bytes()).await?;
    ///     reservation.stored();
    ///     Ok(())
    /// }
    /// ```
    pub fn begin_reserve(&mut self, blocks: u32) -> Reservation<'_, C, F> {
        let blocks = self.count.used() + blocks.min(self.remaining_blocks());
        let blocks = blocks.max(self.reserved);
        // Each message takes one counter and at least MIN_BLOCKS blocks.
        let counters = (blocks - self.count.used()) / MIN_BLOCKS;
        let state = self.state(self.counter + counters, blocks);
        self.sequence = self.sequence.after_begun();
        Reservation { sealer: self, state, blocks }
    }

    /// Ends the sealer in an orderly way and returns its state. A sealer that is restored from it skips no blocks.
    #[must_use = "it must be stored, or the key be forgotten"]
    pub fn suspend(mut self) -> SealerState<F> {
        self.state(self.counter, self.count.used())
    }

    /// Does what [`Sealer::suspend`] does, for a sealer that cannot be moved. It seals nothing afterwards.
    #[must_use = "it must be stored, or the key be forgotten"]
    pub fn suspend_in_place(&mut self) -> SealerState<F> {
        let state = self.state(self.counter, self.count.used());
        self.end();
        state
    }

    /// Reserves the blocks of the state that [`Sealer::begin_reserve`] returned last. It replaces [`Reservation::stored`] for a caller that
    /// cannot keep the reservation, or that reads back the state that it has stored.
    ///
    /// # Errors
    /// [`InvalidState`]: the bytes are damaged, or are not the state that [`Sealer::begin_reserve`] returned last. Nothing more is reserved
    /// then.
    pub fn confirm(&mut self, state: &[u8; 32]) -> Result<(), InvalidState> {
        let state = SealerState::from_bytes(state, self.fixed)?;
        state.verify(state::key_check::<C, F>(&mut self.cipher, self.fixed))?;
        let [counter, blocks] = state.used(self.count.limit)?;
        // Messages may have been sealed meanwhile, from the previous reservation.
        let counters = blocks.saturating_sub(self.count.used()) / MIN_BLOCKS;
        let is_next = state.was_begun_last(self.sequence)
            && blocks >= self.reserved
            && counter >= self.counter.saturating_add(counters);
        if !is_next {
            return Err(InvalidState::Other);
        }
        (self.reserved, self.sequence) = (blocks, Sequence::after(state.sequence()));
        Ok(())
    }

    /// Makes the next state.
    fn state(&mut self, counter: u32, blocks: u32) -> SealerState<F> {
        let check = state::key_check::<C, F>(&mut self.cipher, self.fixed);
        SealerState::new(check, self.fixed, self.count.limit, blocks, counter, self.sequence)
    }

    /// Encrypts `buffer` and returns its nonce and its tag.
    ///
    /// # Errors
    /// [`SealError::LimitReached`] or [`SealError::NotReserved`]. The buffer is unchanged then, and no nonce is used.
    pub fn seal_inout_detached(
        &mut self,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<(Nonce<C>, Tag<C>), SealError> {
        let nonce = self.take_nonce(associated_data, buffer.len())?;
        let next = self.next_nonce();
        let tag = C::encrypt(&mut self.cipher, &nonce, &next, associated_data, buffer);
        // OTR refuses only messages that are far longer than any limit.
        Ok((nonce, tag.map_err(|_| SealError::LimitReached)?))
    }

    /// Encrypts `buffer`, appends the tag, and returns the nonce.
    ///
    /// # Errors
    /// Those of [`Sealer::seal_inout_detached`], or [`SealError::BufferFull`].
    pub fn seal_in_place(
        &mut self,
        associated_data: &[u8],
        buffer: &mut dyn Buffer,
    ) -> Result<Nonce<C>, SealError> {
        let len = buffer.len();
        self.count_with(associated_data, len)?;
        buffer.extend_from_slice(&Tag::<C>::default()).map_err(|_| SealError::BufferFull)?;
        // This comes before a nonce is used, because the buffer may be of a type that breaks its contract.
        let (message, room) = buffer.as_mut().split_at_mut_checked(len).ok_or(SealError::BufferFull)?;
        let room = <&mut Tag<C>>::try_from(room).map_err(|_| SealError::BufferFull)?;
        let (nonce, tag) = self.seal_inout_detached(associated_data, message.into())?;
        *room = tag;
        Ok(nonce)
    }

    /// Encrypts a message. Returns its nonce, and the ciphertext followed by the tag.
    ///
    /// # Errors
    /// Those of [`Sealer::seal_inout_detached`].
    #[cfg(feature = "alloc")]
    #[doc(alias = "encrypt")]
    pub fn seal<'msg, 'aad>(
        &mut self,
        plaintext: impl Into<otr_mode::aead::Payload<'msg, 'aad>>,
    ) -> Result<(Nonce<C>, alloc::vec::Vec<u8>), SealError> {
        let payload = plaintext.into();
        let mut buffer = alloc::vec::Vec::with_capacity(payload.msg.len() + Tag::<C>::default().len());
        buffer.extend_from_slice(payload.msg);
        let nonce = self.seal_in_place(payload.aad, &mut buffer)?;
        Ok((nonce, buffer))
    }

    /// Counts a message of `len` bytes and returns its nonce. This comes before anything else, so that not even a panic leaves the
    /// nonce for another message.
    fn take_nonce(&mut self, associated_data: &[u8], len: usize) -> Result<Nonce<C>, SealError> {
        let count = self.count_with(associated_data, len)?;
        let nonce = self.next_nonce();
        (self.count, self.counter) = (count, self.counter + 1);
        Ok(nonce)
    }

    /// Returns the count after a message of `len` bytes, if the message may be sealed.
    fn count_with(&self, associated_data: &[u8], len: usize) -> Result<BlockCount, SealError> {
        let count =
            self.count.with(count_blocks(associated_data.len(), len)).ok_or(SealError::LimitReached)?;
        if count.used() > self.reserved { Err(SealError::NotReserved) } else { Ok(count) }
    }
}

impl<C: TwineOtr, const F: usize> Sealer<C, F> {
    /// Begins a message that comes in pieces, and returns its nonce.
    ///
    /// If the sender cannot hold the whole message but the receiver can, use this method. You state a maximum length, `max_len` in bytes.
    /// It and one nonce are charged at once, even if the message is never finished. A piece that would make the message longer is refused.
    ///
    /// The sealer is free for other messages when the [`PieceEncryptor`] is dropped. If the receiver cannot hold the whole message either,
    /// use a [`ChunkSealer`](crate::ChunkSealer).
    /// ```
    /// use twine_otr_aead::Sealer;
    ///
    /// let mut sealer: Sealer = Sealer::with_ephemeral_key(&[0x42; 16].into(), *b"up 7");
    /// let mut log = *b"lines from a memory that is read one by one";
    /// let (nonce, mut pieces) = sealer.seal_pieces(b"sensor 7", log.len())?;
    /// let mut parts = log.chunks_mut(16);
    /// let last = parts.next_back().ok_or("no lines")?;
    /// for part in parts {
    ///     pieces.update(part.into())?; // whole pairs of blocks: a multiple of 16 bytes
    /// }
    /// let tag = pieces.finalize(last.into())?; // 1 byte or more
    /// # assert_eq!(nonce.0, *b"up 7\0\0\0");
    /// # let mut opener: twine_otr_aead::Opener = twine_otr_aead::Opener::new(&[0x42; 16].into(), *b"up 7");
    /// # opener.open_inout_detached(&nonce, b"sensor 7", log.as_mut_slice().into(), &tag)?;
    /// # assert_eq!(&log, b"lines from a memory that is read one by one");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SealError::LimitReached`] or [`SealError::NotReserved`]. No nonce is used then.
    #[doc(alias("streaming", "multipart", "incremental"))]
    #[allow(clippy::type_complexity, reason = "an alias would hide the nonce")]
    pub fn seal_pieces(
        &mut self,
        associated_data: &[u8],
        max_len: usize,
    ) -> Result<(Nonce<C>, PieceEncryptor<'_, C::Cipher, U7, C::TagSize, C::Processing>), SealError> {
        let nonce = self.take_nonce(associated_data, max_len)?;
        let pieces = self.cipher.otr().encrypt_pieces(&nonce, associated_data);
        // OTR refuses only messages that are far longer than any limit.
        Ok((nonce, pieces.map_err(|_| SealError::LimitReached)?.with_max_len(max_len as u64)))
    }

    /// Continues a message in pieces that this sealer began, from the state that [`PieceEncryptor::suspend`] returned. So the sealer is
    /// free for other messages between two pieces.
    #[must_use]
    pub fn resume_pieces(
        &self,
        state: PieceState<C::Cipher>,
    ) -> PieceEncryptor<'_, C::Cipher, U7, C::TagSize, C::Processing> {
        self.cipher.otr().resume_pieces(state)
    }
}

impl<C: CountedAead, const F: usize> fmt::Debug for Sealer<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("next_nonce", &self.next_nonce())
            .field("count", &self.count)
            .field("reserved", &self.reserved)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "zeroize")]
impl<C: CountedAead + ZeroizeOnDrop, const F: usize> ZeroizeOnDrop for Sealer<C, F> {}

/// Blocks that a [`Sealer`] may seal once a state is stored. If it is dropped, nothing is reserved.
#[derive(Debug)]
#[must_use = "nothing is reserved before `stored`"]
pub struct Reservation<'a, C: CountedAead = Twine128Otr, const F: usize = 4> {
    sealer: &'a mut Sealer<C, F>,
    state: SealerState<F>,
    blocks: u32,
}

impl<C: CountedAead, const F: usize> Reservation<'_, C, F> {
    /// Returns the state to store. It counts the reserved blocks as used, so a restart skips them.
    #[must_use]
    pub fn state(&self) -> &SealerState<F> {
        &self.state
    }

    /// Reserves the blocks. Call this only once the state is durable, which means that it survives a loss of power.
    pub fn stored(self) {
        self.sealer.reserved = self.blocks;
        self.sealer.sequence = Sequence::after(self.state.sequence());
    }
}

/// Why a message was not sealed. No nonce was used, and the buffer is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SealError {
    /// The message would exceed the limit of blocks under this key. Use a new key. A shorter message may still fit.
    LimitReached,
    /// Blocks must be reserved first, see [`Sealer::reserve`].
    NotReserved,
    /// The buffer has no room for the tag.
    BufferFull,
    /// The last chunk was already sealed. Nothing can follow it.
    Finished,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LimitReached => "the message would pass the limit of blocks under this key",
            Self::NotReserved => "blocks must be reserved before the message can be sealed",
            Self::BufferFull => "the buffer has no room for the tag",
            Self::Finished => "nothing can follow the last chunk",
        })
    }
}

impl core::error::Error for SealError {}
