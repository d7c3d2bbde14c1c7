//! Sealing with nonces that are counted, and a limit.

use core::fmt;

#[cfg(feature = "zeroize")]
use otr_mode::cipher::zeroize::ZeroizeOnDrop;
use otr_mode::{
    Key, Nonce, PieceEncryptor, PieceState, Tag,
    aead::{Buffer, inout::InOutBuf},
    consts::U7,
};

use crate::{
    BlockLimit, InvalidState, SealerState, Twine128Otr, TwineOtr,
    in_place::SetKey as _,
    limits::{Ahead, BlockCount, MIN_BLOCKS, count_blocks, with_key, without_key},
    state,
};

/// A key that seals messages, each under a nonce of its own, and no more blocks than [the bound](Twine128Otr#limits) allows.
///
/// The nonce is `F` bytes that are fixed (0 to 4, 4 by default), then a counter of the other bytes, big-endian, that starts
/// at 0. The fixed part tells the users of one key apart, or its directions: no two sealers may have the same key and the same
/// fixed part, nor one that begins with the other's, as with different `F`: then nonces repeat. Better still, each has its own key: two
/// sealers of one key have twice the limit between them.
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
/// The counter must not start again with the device. So a sealer of such a key reserves blocks, in steps: it lets a state be
/// stored from which a restart goes on behind all that was reserved. A loss of power then costs what was reserved and not
/// used; it never repeats a nonce, nor forgets a block. A counter cannot run out before the limit of blocks is reached.
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
/// **Each start without [`Sealer::suspend`] before it costs a whole step.** With the step of this example, 2^12 blocks, 256 starts use the
/// key up, however little is sealed: a device that restarts each hour needs a new key after 11 days. Choose
/// ```text
/// step = limit / starts that the key shall last for, and at least the blocks of the longest message
/// ```
/// | step, with the limit 2^20 | data that it is at most | starts without `suspend` | writes without a restart |
/// |--:|--:|--:|--:|
/// | 2^6 | 512 bytes | 16,384 | 16,384 |
/// | 2^8 | 2 KiB | 4,096 | 4,096 |
/// | 2^10 | 8 KiB | 1,024 | 1,024 |
/// | 2^12 | 32 KiB | 256 | 256 |
///
/// Writes are so few if blocks are reserved when none is left; if it is done before, as in this example when less than 64 are left, each step
/// gives as much less: 260 writes. A device that stops in an orderly way, or sleeps, calls `suspend`: it costs a write, and no block.
///
/// It is no `Clone`, as a copy would repeat its nonces:
/// ```compile_fail,E0599
/// # use twine_otr_aead::Sealer;
/// let sealer: Sealer = Sealer::with_ephemeral_key(&[0x42; 16].into(), [0; 4]);
/// let copy = sealer.clone();
/// ```
/// A fixed part of more than 4 bytes does not compile:
/// ```compile_fail,E0080
/// # use twine_otr_aead::{Sealer, Twine128Otr};
/// let sealer = Sealer::<Twine128Otr, 5>::with_ephemeral_key(&[0x42; 16].into(), [0; 5]);
/// # sealer.next_nonce();
/// ```
/// nor does an AEAD with another nonce or cipher:
/// ```compile_fail,E0277
/// # use twine_otr_aead::{Otr, Sealer, Twine128, consts::{U6, U8}};
/// let sealer = Sealer::<Otr<Twine128, U6, U8>, 4>::with_ephemeral_key(&[0x42; 16].into(), [0; 4]);
/// ```
pub struct Sealer<C: TwineOtr = Twine128Otr, const F: usize = 4> {
    cipher: Ahead<C>,
    fixed: [u8; F],
    /// The counter of the next message.
    counter: u32,
    count: BlockCount,
    /// The blocks up to which a state was stored.
    reserved: u32,
    /// The number of the next state.
    sequence: u32,
}

impl<C: TwineOtr, const F: usize> Sealer<C, F> {
    /// For a key that nothing was sealed under and that ends with this sealer: one agreed on after the start, or derived for an
    /// epoch that was stored before. Nonces start with `fixed`.
    ///
    /// **Never for a key that is there again after a restart:** take [`Sealer::restore`].
    #[must_use]
    pub fn with_ephemeral_key(key: &Key<C>, fixed: [u8; F]) -> Self {
        let count = BlockCount::new(0, BlockLimit::DEFAULT);
        Self {
            cipher: with_key::<C>(key),
            fixed,
            counter: 0,
            count,
            reserved: BlockLimit::MAX.get(),
            sequence: 0,
        }
    }

    /// The state of a key under which nothing was ever sealed, for nonces that start with `fixed`.
    ///
    /// Store it once, with the key. Never put it in the place of a state that is lost: take a new key then. If there was another key before,
    /// **erase that first**, or give each key places of its own: this state may lie where the newest one of the old key was, and a loss of
    /// power before the new key is stored would bring back an older one, and repeat nonces.
    #[must_use]
    pub fn first_state(key: &Key<C>, fixed: [u8; F], limit: BlockLimit) -> SealerState<F> {
        Self::with_ephemeral_key(key, fixed).with_block_limit(limit).suspend()
    }

    /// For a key that is stored, with its newest state in these places, one or more: the others may be damaged, older, or of another key. Nothing
    /// can be sealed before [`Sealer::reserve`].
    ///
    /// With two places, the state to store belongs in place [`SealerState::sequence`] `% 2`: so the newest one is never overwritten. **A memory
    /// that loses what it confirmed is no such memory**: an older state in its stead repeats nonces.
    ///
    /// # Errors
    /// See [`InvalidState`]: no place has a state of this key, or the newest one has another limit.
    pub fn restore(
        key: &Key<C>,
        fixed: [u8; F],
        limit: BlockLimit,
        places: &[[u8; 32]],
    ) -> Result<Self, InvalidState> {
        let cipher = with_key::<C>(key);
        let state = SealerState::newest(places, fixed, state::key_check::<C, F>(&cipher, fixed))?;
        Self::go_on(cipher, state, limit)
    }

    /// For a key that is stored, with the state that was stored last, or that [`Sealer::suspend`] gave. Nothing can be sealed before
    /// [`Sealer::reserve`].
    ///
    /// A state must be used once: never two sealers at a time, never one from an older copy (a backup, a snapshot).
    ///
    /// # Errors
    /// [`InvalidState::OtherKey`], [`InvalidState::OtherLimit`].
    pub fn with_stored_key(
        key: &Key<C>,
        state: SealerState<F>,
        limit: BlockLimit,
    ) -> Result<Self, InvalidState> {
        let cipher = with_key::<C>(key);
        state.verify(state::key_check::<C, F>(&cipher, state.fixed()))?;
        Self::go_on(cipher, state, limit)
    }

    fn go_on(cipher: Ahead<C>, state: SealerState<F>, limit: BlockLimit) -> Result<Self, InvalidState> {
        let mut sealer = Self::used_up(cipher);
        sealer.resume(state, limit)?;
        Ok(sealer)
    }

    /// A sealer that seals nothing.
    fn used_up(cipher: Ahead<C>) -> Self {
        let count = BlockCount::new(BlockLimit::MAX.get(), BlockLimit::MAX);
        Self { cipher, fixed: [0; F], counter: 0, count, reserved: count.used(), sequence: 0 }
    }

    #[allow(clippy::needless_pass_by_value, reason = "used once")]
    fn resume(&mut self, state: SealerState<F>, limit: BlockLimit) -> Result<(), InvalidState> {
        let [counter, blocks] = state.used(limit)?;
        (self.count, self.reserved) = (BlockCount::new(blocks, limit), blocks);
        (self.fixed, self.counter, self.sequence) = (state.fixed(), counter, state.sequence() + 1);
        Ok(())
    }

    /// A sealer without a key, as a place for one: it seals nothing until [`Sealer::set_ephemeral_key`] or
    /// [`Sealer::set_stored_key`].
    #[must_use]
    #[inline]
    pub fn without_key() -> Self {
        Self::used_up(without_key::<C>().into())
    }

    /// As [`Sealer::with_ephemeral_key`] with a limit, where the sealer lies, so that no copy of the round keys is on the stack. What the sealer
    /// was before ends.
    pub fn set_ephemeral_key(&mut self, key: &Key<C>, fixed: [u8; F], limit: BlockLimit) {
        self.set_key(key);
        (self.count, self.reserved) = (BlockCount::new(0, limit), BlockLimit::MAX.get());
        (self.fixed, self.counter, self.sequence) = (fixed, 0, 0);
    }

    /// As [`Sealer::restore`], where the sealer lies, so that no copy of the round keys is on the stack. What the sealer was before
    /// ends.
    ///
    /// # Errors
    /// As [`Sealer::restore`]: nothing can be sealed then.
    pub fn set_stored_key(
        &mut self,
        key: &Key<C>,
        fixed: [u8; F],
        limit: BlockLimit,
        places: &[[u8; 32]],
    ) -> Result<(), InvalidState> {
        self.set_key(key);
        let state = SealerState::newest(places, fixed, state::key_check::<C, F>(&self.cipher, fixed))?;
        self.resume(state, limit)
    }

    /// Nothing can be sealed afterwards.
    fn set_key(&mut self, key: &Key<C>) {
        self.end();
        self.cipher.set_key_with(|cipher| cipher.set_key(key));
    }

    fn end(&mut self) {
        // Whatever limit it is given.
        self.count = BlockCount::new(BlockLimit::MAX.get(), self.count.limit);
        self.reserved = self.count.used();
    }

    /// With another limit than [`BlockLimit::DEFAULT`]. The states of this sealer have it too.
    #[must_use]
    pub fn with_block_limit(mut self, limit: BlockLimit) -> Self {
        self.count.limit = limit;
        self
    }

    /// The nonce that the next message gets, for example to put its counter (the bytes from `F` on) into a header that is associated
    /// data.
    #[must_use]
    pub fn next_nonce(&self) -> Nonce<C> {
        state::nonce(self.fixed, self.counter.into()).into()
    }

    /// The blocks that were sealed, by [`count_blocks`]; after a restart also those that were reserved.
    #[must_use]
    pub fn used_blocks(&self) -> u32 {
        self.count.used()
    }

    /// The blocks that can still be sealed under this key.
    #[must_use]
    pub fn remaining_blocks(&self) -> u32 {
        self.count.remaining()
    }

    /// The blocks that can be sealed before more must be reserved.
    #[must_use]
    pub fn reserved_blocks(&self) -> u32 {
        (self.reserved - self.count.used()).min(self.remaining_blocks())
    }

    /// Reserves `blocks` from here on, or what the limit leaves. `store` gets the state to store and returns `Ok` only if that will
    /// survive a loss of power; it is not called if as much is reserved already.
    ///
    /// A store that overwrites should keep the state before until the new one is complete, as in two places written in turn
    /// ([`SealerState::sequence`]).
    ///
    /// # Errors
    /// That of `store`: nothing more is reserved then, whether it was stored or not.
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

    /// [`Sealer::reserve`] in two steps, for memory that is written asynchronously: store [`Reservation::state`], then call
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
        self.sequence = state::after_begun(self.sequence);
        Reservation { sealer: self, state, blocks }
    }

    /// Ends the sealer and returns its state, for an orderly stop: one that goes on from it skips nothing.
    #[must_use = "it must be stored, or the key be forgotten"]
    pub fn suspend(self) -> SealerState<F> {
        self.state(self.counter, self.count.used())
    }

    /// As [`Sealer::suspend`], for a sealer that cannot be moved: it seals nothing afterwards.
    #[must_use = "it must be stored, or the key be forgotten"]
    pub fn suspend_in_place(&mut self) -> SealerState<F> {
        let state = self.state(self.counter, self.count.used());
        self.end();
        state
    }

    /// Reserves what the state says that [`Sealer::begin_reserve`] gave: in the place of [`Reservation::stored`], for a caller that cannot keep
    /// the reservation, or that reads what it has stored.
    ///
    /// # Errors
    /// [`InvalidState`]: the bytes are damaged, or not the state that [`Sealer::begin_reserve`] gave last. Nothing more is reserved then.
    pub fn confirm(&mut self, state: &[u8; 32]) -> Result<(), InvalidState> {
        let state = SealerState::from_bytes(state, self.fixed)?;
        state.verify(state::key_check::<C, F>(&self.cipher, self.fixed))?;
        let [counter, blocks] = state.used(self.count.limit)?;
        // With messages sealed meanwhile, which the reservation before allowed for.
        let counters = blocks.saturating_sub(self.count.used()) / MIN_BLOCKS;
        let is_next = state.has_sequence(state::last_begun(self.sequence))
            && blocks >= self.reserved
            && counter >= self.counter.saturating_add(counters);
        if !is_next {
            return Err(InvalidState::Other);
        }
        (self.reserved, self.sequence) = (blocks, state.sequence() + 1);
        Ok(())
    }

    /// The next state.
    fn state(&self, counter: u32, blocks: u32) -> SealerState<F> {
        let check = state::key_check::<C, F>(&self.cipher, self.fixed);
        SealerState::new(check, self.fixed, self.count.limit, blocks, counter, self.sequence)
    }

    /// Encrypts `buffer` and returns its nonce and its tag.
    ///
    /// # Errors
    /// [`SealError::LimitReached`] or [`SealError::NotReserved`]. The buffer is as it was, and no nonce is used.
    pub fn seal_inout_detached(
        &mut self,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<(Nonce<C>, Tag<C>), SealError> {
        let nonce = self.take_nonce(associated_data, buffer.len())?;
        let next = self.next_nonce();
        let tag = self.cipher.encrypt_inout_detached(&nonce, Some(&next), associated_data, buffer);
        // What OTR refuses is far longer than any limit.
        Ok((nonce, tag.map_err(|_| SealError::LimitReached)?))
    }

    /// Encrypts `buffer`, appends the tag, and returns the nonce.
    ///
    /// # Errors
    /// As [`Sealer::seal_inout_detached`], and [`SealError::BufferFull`].
    pub fn seal_in_place(
        &mut self,
        associated_data: &[u8],
        buffer: &mut dyn Buffer,
    ) -> Result<Nonce<C>, SealError> {
        let len = buffer.len();
        self.count_with(associated_data, len)?;
        buffer.extend_from_slice(&Tag::<C>::default()).map_err(|_| SealError::BufferFull)?;
        // Before a nonce is used: a buffer may be of a type that does not keep its word.
        let (message, room) = buffer.as_mut().split_at_mut_checked(len).ok_or(SealError::BufferFull)?;
        let room = <&mut Tag<C>>::try_from(room).map_err(|_| SealError::BufferFull)?;
        let (nonce, tag) = self.seal_inout_detached(associated_data, message.into())?;
        *room = tag;
        Ok(nonce)
    }

    /// Encrypts a message and returns its nonce, and the ciphertext with its tag.
    ///
    /// # Errors
    /// As [`Sealer::seal_inout_detached`].
    #[cfg(feature = "alloc")]
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

    /// The nonce for a message of `len` bytes, which is counted: before anything else, so that not even a panic leaves the nonce for
    /// another message.
    fn take_nonce(&mut self, associated_data: &[u8], len: usize) -> Result<Nonce<C>, SealError> {
        let count = self.count_with(associated_data, len)?;
        let nonce = self.next_nonce();
        (self.count, self.counter) = (count, self.counter + 1);
        Ok(nonce)
    }

    /// The count after a message of `len` bytes, if it may be sealed.
    fn count_with(&self, associated_data: &[u8], len: usize) -> Result<BlockCount, SealError> {
        let count =
            self.count.with(count_blocks(associated_data.len(), len)).ok_or(SealError::LimitReached)?;
        if count.used() > self.reserved { Err(SealError::NotReserved) } else { Ok(count) }
    }
}

impl<C: TwineOtr, const F: usize> Sealer<C, F> {
    /// Begins a message of at most `max_len` bytes that comes in pieces, and returns its nonce.
    ///
    /// The nonce and the blocks of `max_len` bytes are used at once, whatever becomes of the message; what would make it
    /// longer is refused. The sealer is free for other messages when the [`PieceEncryptor`] is dropped. Whoever opens it must
    /// hold it whole: if that is too much, take a [`ChunkSealer`](crate::ChunkSealer).
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
    /// [`SealError::LimitReached`] or [`SealError::NotReserved`]: no nonce is used then.
    #[allow(clippy::type_complexity, reason = "an alias would hide the nonce")]
    pub fn seal_pieces(
        &mut self,
        associated_data: &[u8],
        max_len: usize,
    ) -> Result<(Nonce<C>, PieceEncryptor<'_, C::Cipher, U7, C::TagSize, C::Processing>), SealError> {
        let nonce = self.take_nonce(associated_data, max_len)?;
        let pieces = self.cipher.otr().encrypt_pieces(&nonce, associated_data);
        // What OTR refuses is far longer than any limit.
        Ok((nonce, pieces.map_err(|_| SealError::LimitReached)?.with_max_len(max_len as u64)))
    }

    /// Goes on with a message of this sealer in pieces, of which [`PieceEncryptor::suspend`] gave the state: so the sealer is free for other
    /// messages between two pieces.
    #[must_use]
    pub fn resume_pieces(
        &self,
        state: PieceState<C::Cipher>,
    ) -> PieceEncryptor<'_, C::Cipher, U7, C::TagSize, C::Processing> {
        self.cipher.otr().resume_pieces(state)
    }
}

impl<C: TwineOtr, const F: usize> fmt::Debug for Sealer<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("next_nonce", &self.next_nonce())
            .field("count", &self.count)
            .field("reserved", &self.reserved)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "zeroize")]
impl<C: TwineOtr + ZeroizeOnDrop, const F: usize> ZeroizeOnDrop for Sealer<C, F> {}

/// Blocks that a [`Sealer`] may seal as soon as the state is stored that says so. Dropped, it reserves nothing.
#[derive(Debug)]
#[must_use = "nothing is reserved before `stored`"]
pub struct Reservation<'a, C: TwineOtr = Twine128Otr, const F: usize = 4> {
    sealer: &'a mut Sealer<C, F>,
    state: SealerState<F>,
    blocks: u32,
}

impl<C: TwineOtr, const F: usize> Reservation<'_, C, F> {
    /// The state to store: a restart goes on behind all that is reserved.
    #[must_use]
    pub fn state(&self) -> &SealerState<F> {
        &self.state
    }

    /// To be called when the state is stored so that it survives a loss of power, and only then.
    pub fn stored(self) {
        self.sealer.reserved = self.blocks;
        self.sealer.sequence = self.state.sequence() + 1;
    }
}

/// Why a message was not sealed. No nonce was used, and the buffer is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SealError {
    /// The message would pass the limit of blocks under this key: take a new key. A shorter message may still fit.
    LimitReached,
    /// Blocks must be reserved first: see [`Sealer::reserve`].
    NotReserved,
    /// The buffer has no room for the tag.
    BufferFull,
    /// The last chunk was sealed: nothing can follow it.
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
