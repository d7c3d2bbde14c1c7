//! Long messages in chunks.

use core::fmt;

#[cfg(feature = "zeroize")]
use otr_mode::cipher::zeroize::ZeroizeOnDrop;
use otr_mode::{Key, Nonce, Tag, aead::inout::InOutBuf};

use crate::{
    BlockLimit, OpenError, SealError, Twine128Otr, TwineOtr,
    limits::{BlockCount, count_blocks},
    opener::Attempts,
};

/// Where a message stands.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// The number of the next chunk.
    next: u64,
    /// Whether the last one is behind.
    is_complete: bool,
}

impl Position {
    /// The nonce of the next chunk; none when 2^48 chunks have used them up.
    fn nonce<C: TwineOtr>(self, is_last: bool) -> Option<Nonce<C>> {
        let [0, 0, number @ ..] = self.next.to_be_bytes() else { return None };
        let mut nonce = Nonce::<C>::default();
        nonce[..6].copy_from_slice(&number);
        nonce[6] = is_last.into();
        Some(nonce)
    }

    fn behind(self, is_last: bool) -> Self {
        Self { next: self.next + 1, is_complete: is_last }
    }
}

/// Seals one long message in chunks, each with a tag of its own, so that nobody ever holds more than a chunk.
///
/// Why chunks: nothing that is decrypted may be used before its tag is verified. A message with one tag must be held whole
/// by whoever opens it, however it was sealed. A chunk is verified at once.
///
/// Chunk i is sealed under the nonce i (6 bytes) | `01` if it is the last one, else `00`, as in the STREAM construction
/// (Hoang, Reyhanitabar, Rogaway and Vizar, CRYPTO 2015). A chunk that was changed, dropped, repeated or moved does not
/// open; the end cannot be missing, and nothing can follow it. Chunks may have any lengths.
///
/// **The key is for this message alone**: derive it, for example, from a random salt that is sent along.
/// ```
/// use twine_otr_aead::{ChunkOpener, ChunkSealer};
///
/// let key = [0x42; 16].into(); // of image 3
/// let mut sealer: ChunkSealer = ChunkSealer::new(&key);
/// let mut opener: ChunkOpener = ChunkOpener::new(&key);
///
/// let (mut one, mut other) = (*b"an image of firm", *b"ware");
/// let tag = sealer.seal_chunk(b"image 3", one.as_mut_slice().into())?;
/// opener.open_chunk(b"image 3", one.as_mut_slice().into(), &tag)?;
/// let tag = sealer.seal_last(b"image 3", other.as_mut_slice().into())?;
/// opener.open_last(b"image 3", other.as_mut_slice().into(), &tag)?;
/// assert!(opener.is_complete());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ChunkSealer<C: TwineOtr = Twine128Otr> {
    cipher: C,
    count: BlockCount,
    position: Position,
}

impl<C: TwineOtr> ChunkSealer<C> {
    /// For a key under which nothing but this message is sealed.
    #[must_use]
    pub fn new(key: &Key<C>) -> Self {
        let count = BlockCount::new(0, BlockLimit::DEFAULT);
        Self { cipher: C::new(key), count, position: Position::default() }
    }

    /// With another limit than [`BlockLimit::DEFAULT`].
    #[must_use]
    pub fn with_block_limit(mut self, limit: BlockLimit) -> Self {
        self.count.limit = limit;
        self
    }

    /// Goes on under another key, which must be as new as the first one. The opener must change at the same chunk.
    pub fn change_key(&mut self, key: &Key<C>) {
        self.cipher = C::new(key);
        self.count = BlockCount::new(0, self.count.limit);
    }

    /// The number of the next chunk.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.next
    }

    /// The blocks that can still be sealed under this key.
    #[must_use]
    pub fn remaining_blocks(&self) -> u32 {
        self.count.remaining()
    }

    /// Encrypts a chunk that is not the last one, and returns its tag.
    ///
    /// # Errors
    /// [`SealError::LimitReached`]: another key is needed ([`ChunkSealer::change_key`]). [`SealError::Finished`]. The buffer
    /// is as it was.
    pub fn seal_chunk(
        &mut self,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag<C>, SealError> {
        self.seal(false, associated_data, buffer)
    }

    /// Encrypts the last chunk, and returns its tag.
    ///
    /// # Errors
    /// As [`ChunkSealer::seal_chunk`].
    pub fn seal_last(
        &mut self,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag<C>, SealError> {
        self.seal(true, associated_data, buffer)
    }

    fn seal(
        &mut self,
        is_last: bool,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag<C>, SealError> {
        if self.position.is_complete {
            return Err(SealError::Finished);
        }
        let nonce = self.position.nonce::<C>(is_last).ok_or(SealError::LimitReached)?;
        let blocks = count_blocks(associated_data.len(), buffer.len());
        self.count = self.count.with(blocks).ok_or(SealError::LimitReached)?;
        self.position = self.position.behind(is_last);
        let tag = self.cipher.encrypt_inout_detached(&nonce, associated_data, buffer);
        tag.map_err(|_| SealError::LimitReached)
    }
}

impl<C: TwineOtr> fmt::Debug for ChunkSealer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkSealer")
            .field("count", &self.count)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// Opens what a [`ChunkSealer`] seals, in order.
///
/// The plaintext of a chunk is genuine, and in its place, as soon as it is opened. That the message ends there is known only
/// when the last chunk is: see [`ChunkOpener::is_complete`].
#[derive(Debug)]
pub struct ChunkOpener<C: TwineOtr = Twine128Otr> {
    attempts: Attempts<C>,
    position: Position,
}

impl<C: TwineOtr> ChunkOpener<C> {
    /// For the key of this message.
    #[must_use]
    pub fn new(key: &Key<C>) -> Self {
        Self { attempts: Attempts::new(key, 0, 0), position: Position::default() }
    }

    /// With another limit than [`BlockLimit::DEFAULT`].
    #[must_use]
    pub fn with_block_limit(mut self, limit: BlockLimit) -> Self {
        self.attempts.count.limit = limit;
        self
    }

    /// With another limit than [`Opener::FAILURE_LIMIT`](crate::Opener::FAILURE_LIMIT).
    #[must_use]
    pub fn with_failure_limit(mut self, failures: u32) -> Self {
        self.attempts.failure_limit = failures;
        self
    }

    /// Goes on under another key, where the sealer does.
    pub fn change_key(&mut self, key: &Key<C>) {
        self.attempts.change_key(key);
    }

    /// The number of the next chunk.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.next
    }

    /// The blocks that can still be opened under this key.
    #[must_use]
    pub fn remaining_blocks(&self) -> u32 {
        self.attempts.count.remaining()
    }

    /// Whether the last chunk was opened, and so all of them.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.position.is_complete
    }

    /// Decrypts a chunk that is not the last one.
    ///
    /// # Errors
    /// [`OpenError::Rejected`] if it is not the next chunk, or is the last one; [`OpenError::Finished`];
    /// [`OpenError::TooManyFailures`]; [`OpenError::LimitReached`]. The whole output is zero then, and another copy of
    /// the chunk can be tried.
    pub fn open_chunk(
        &mut self,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<C>,
    ) -> Result<(), OpenError> {
        self.open(false, associated_data, buffer, tag)
    }

    /// Decrypts the last chunk.
    ///
    /// # Errors
    /// As [`ChunkOpener::open_chunk`].
    pub fn open_last(
        &mut self,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<C>,
    ) -> Result<(), OpenError> {
        self.open(true, associated_data, buffer, tag)
    }

    fn open(
        &mut self,
        is_last: bool,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<C>,
    ) -> Result<(), OpenError> {
        let nonce = if self.is_complete() {
            Err(OpenError::Finished)
        } else {
            self.position.nonce::<C>(is_last).ok_or(OpenError::LimitReached)
        };
        self.attempts.open(nonce, associated_data, buffer, tag)?;
        self.position = self.position.behind(is_last);
        Ok(())
    }
}

#[cfg(feature = "zeroize")]
impl<C: TwineOtr + ZeroizeOnDrop> ZeroizeOnDrop for ChunkSealer<C> {}

#[cfg(feature = "zeroize")]
impl<C: TwineOtr + ZeroizeOnDrop> ZeroizeOnDrop for ChunkOpener<C> {}

#[cfg(test)]
mod tests {
    use super::{Position, Twine128Otr};

    #[test]
    fn chunks_are_numbered_up_to_the_end() {
        let nonce = |next, is_last| Position { next, is_complete: false }.nonce::<Twine128Otr>(is_last);
        assert_eq!(nonce(0x0102_0304_0506, false), Some([1, 2, 3, 4, 5, 6, 0].into()));
        assert_eq!(nonce((1 << 48) - 1, true), Some([255, 255, 255, 255, 255, 255, 1].into()));
        assert_eq!(nonce(1 << 48, false), None);
    }
}
