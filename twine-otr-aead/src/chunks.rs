//! Streams: long messages in chunks.

use core::fmt;

#[cfg(feature = "rand_core")]
use otr_mode::aead::{Generate, rand_core::TryCryptoRng};
#[cfg(feature = "zeroize")]
use otr_mode::cipher::zeroize::ZeroizeOnDrop;
use otr_mode::{
    Key, Nonce, Tag,
    aead::{AeadInOut as _, inout::InOutBuf},
};

use crate::{
    BlockLimit, Label, OpenError, SealError, Twine128Otr, TwineOtr, derive,
    in_place::SetKey as _,
    limits::{BlockCount, Plain, count_blocks, failure_limit, without_key},
    secret::Secret,
};

/// The position in a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// The number of the next chunk.
    next: u64,
    /// 1 if the last chunk was processed, else 0. After a `bool` there would be padding. Because of it, compilers put a copy of the whole
    /// sealer or opener on the stack.
    is_complete: u64,
}

impl Position {
    /// Returns the nonce of the next chunk, or `None` after 2^48 chunks.
    fn nonce<C: TwineOtr>(self, is_last: bool) -> Option<Nonce<C>> {
        let [0, 0, number @ ..] = self.next.to_be_bytes() else { return None };
        let mut nonce = Nonce::<C>::default();
        nonce[..6].copy_from_slice(&number);
        nonce[6] = is_last.into();
        Some(nonce)
    }

    /// Returns the position after the next chunk.
    fn after_chunk(self, is_last: bool) -> Self {
        Self { next: self.next + 1, is_complete: is_last.into() }
    }
}

/// The number of a segment, and the blocks that were counted in it.
#[derive(Clone, Copy, Debug)]
struct Segment {
    number: u32,
    count: BlockCount,
}

impl Segment {
    /// The greatest number of segments in a stream.
    const MAX: u32 = 1 << 20;

    const fn first(limit: BlockLimit) -> Self {
        Self { number: 0, count: BlockCount::new(0, limit) }
    }

    /// Counts a chunk of `blocks` blocks and returns its segment: this one if the limit allows it, else the next one.
    fn with(self, blocks: u64) -> Option<Self> {
        let next = || {
            let number = Some(self.number + 1).filter(|number| *number < Self::MAX)?;
            Some(Self { number, count: BlockCount::new(0, self.count.limit).with(blocks)? })
        };
        self.count.with(blocks).map(|count| Self { count, ..self }).or_else(next)
    }
}

/// The keys of a stream.
struct StreamKeys<C: TwineOtr> {
    key: Secret<C::KeySize>,
    /// The key of the segment that was needed last. Every other key is used in the same place, so that no copy of round keys is elsewhere.
    cipher: Plain<C>,
    segment: u32,
}

impl<C: TwineOtr> StreamKeys<C> {
    const STREAM: Label<'static> = Label::new(b"TWINE-OTR stream v1").unwrap();
    const SEGMENT: Label<'static> = Label::new(b"TWINE-OTR segment v1").unwrap();

    #[inline(always)]
    fn without_key() -> Self {
        Self { key: Secret::default(), cipher: without_key::<C>(), segment: 0 }
    }

    fn new(key: &Key<C>, header: &[u8; StreamHeader::LEN], limit: BlockLimit) -> Self {
        let mut keys = Self::without_key();
        keys.start(key, header, limit);
        keys
    }

    fn start(&mut self, key: &Key<C>, header: &[u8; StreamHeader::LEN], limit: BlockLimit) {
        let mut context = [0; StreamHeader::LEN + 4];
        context[..StreamHeader::LEN].copy_from_slice(header);
        context[StreamHeader::LEN..].copy_from_slice(&limit.get().to_be_bytes());
        self.cipher.set_key_with(|cipher| {
            cipher.set_key(key);
            derive::fill(cipher, Self::STREAM, &context, &mut self.key.0);
        });
        self.set_segment(0);
    }

    fn set_segment(&mut self, segment: u32) {
        let mut derived = Secret::<C::KeySize>::default();
        self.cipher.set_key_with(|cipher| {
            cipher.set_key(&self.key.0);
            derive::fill(cipher, Self::SEGMENT, &segment.to_be_bytes(), &mut derived.0);
            cipher.set_key(&derived.0);
        });
        self.segment = segment;
    }

    /// Returns the cipher with the key of a segment.
    fn of(&mut self, segment: Segment) -> &Plain<C> {
        if self.segment != segment.number {
            self.set_segment(segment.number);
        }
        &self.cipher
    }
}

/// The header of a stream: 16 bytes that differ from those of every other stream under the same key. It is sent before the first chunk and
/// is not secret.
///
/// A [`ChunkSealer`] takes the header by value, so code that begins two streams with one header does not compile.
///
/// With the feature `getrandom` or `rand_core` it is best to use random bytes. The trait [`Generate`] makes them:
/// `StreamHeader::generate()` or `StreamHeader::generate_from_rng(&mut rng)`. Among 2^20 such headers two are equal with a probability of
/// 2^-89.
#[derive(Debug, PartialEq, Eq)]
pub struct StreamHeader([u8; Self::LEN]);

impl StreamHeader {
    /// The length of a header in bytes.
    pub const LEN: usize = 16;

    /// Makes a header on a device without random numbers. `sender` tells apart the senders that share a key, and `number` tells apart the
    /// streams of one sender.
    ///
    /// **A number must never be used again, not even after a restart.** Store the number as used before the first chunk is sealed. A number
    /// that was stored but not used costs nothing.
    #[must_use]
    pub fn counted(sender: [u8; 8], number: u64) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&sender);
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        Self(bytes)
    }
}

#[cfg(feature = "rand_core")]
impl Generate for StreamHeader {
    fn try_generate_from_rng<R: TryCryptoRng + ?Sized>(rng: &mut R) -> Result<Self, R::Error> {
        Generate::try_generate_from_rng(rng).map(Self)
    }
}

/// Seals one long message in chunks. Each chunk has its own tag, so neither end ever holds more than one chunk.
///
/// Decrypted bytes must not be used before their tag is verified. So the receiver of a message with one tag must hold the whole message,
/// even if it was sealed in pieces. A chunk is verified by itself.
/// ```
/// use twine_otr_aead::{ChunkOpener, ChunkSealer, StreamHeader};
///
/// let key = [0x42; 16].into(); // for streams alone
/// // `StreamHeader::generate()` where there are random numbers.
/// let mut sealer: ChunkSealer = ChunkSealer::new(&key, StreamHeader::counted(*b"sensor 7", 3));
/// let header = *sealer.header(); // sent first
/// let mut opener: ChunkOpener = ChunkOpener::new(&key, &header);
///
/// let (mut one, mut other) = (*b"an image of firm", *b"ware");
/// let tag = sealer.seal_chunk(b"image 3", one.as_mut_slice().into())?;
/// opener.open_chunk(b"image 3", one.as_mut_slice().into(), &tag)?;
/// let tag = sealer.seal_last(b"image 3", other.as_mut_slice().into())?;
/// opener.open_last(b"image 3", other.as_mut_slice().into(), &tag)?;
/// assert!(opener.is_complete());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Format
/// Each stream has its own key, which is derived from the key and the [`StreamHeader`]. Each segment s = 0, 1, ... of the stream has a key
/// that is derived from the stream key ([`Kdf`](crate::Kdf)). `[x]32` stands for the 32 bits of x, big-endian:
/// ```text
/// stream key  = KDF(key,        "TWINE-OTR stream v1",  header || [block limit]32)
/// segment key = KDF(stream key, "TWINE-OTR segment v1", [s]32)
/// ```
/// The first chunk is in segment 0. Each other chunk is in the same segment as the chunk before it, unless the blocks of the segment
/// ([`count_blocks`] of each of its chunks) would then exceed the block limit. In that case the chunk begins the next segment.
///
/// Chunks are numbered through all segments. The nonce of chunk i is i (6 bytes), then `01` for the last chunk and `00` for all others, as
/// in the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizar, CRYPTO 2015). A chunk that was changed, dropped, repeated, moved or
/// taken from another stream does not open. A missing end is detected, and nothing can follow the end. A chunk may have any length that fits
/// into a segment.
///
/// # Limits
/// **Use the key for streams only**, see [`Kdf`](crate::Kdf), and for at most 2^20 streams. A stream has at most 2^20 segments and 2^48
/// chunks. [The bound](crate::Twine128Otr#limits) holds for each segment. The bounds of all segments add up, whether they are of one stream
/// or of many:
///
/// | sealed, with [`BlockLimit::SEGMENT`] | segments | advantage |
/// |---|--:|--:|
/// | 512 KiB | 1 | 2^-29.4 |
/// | 16 MiB | 2^5 | 2^-24.4 |
/// | 1 GiB | 2^11 | 2^-18.4 |
/// | 32 GiB | 2^16 | 2^-13.4 |
/// | 512 GiB, the end of a stream | 2^20 | 2^-9.4 |
///
/// The key derivation adds an advantage over CMAC ([`Kdf`](crate::Kdf)). For one stream it is 2^-33.4 with 2^11 segments and 2^-15.4 with
/// 2^20 segments. For all streams of one key it is 2^-22.8 with 2^16 streams and 2^-14.8 with 2^20 streams.
///
/// A stream cannot continue if its sealer is lost, for example in a restart. Then the message must begin again as a new stream.
#[doc(alias("streaming", "multipart", "incremental", "secretstream", "encrypt"))]
pub struct ChunkSealer<C: TwineOtr = Twine128Otr> {
    keys: StreamKeys<C>,
    header: StreamHeader,
    segment: Segment,
    position: Position,
}

impl<C: TwineOtr> ChunkSealer<C> {
    /// Begins a stream with segments of [`BlockLimit::SEGMENT`].
    #[must_use]
    pub fn new(key: &Key<C>, header: StreamHeader) -> Self {
        Self::with_block_limit(key, header, BlockLimit::SEGMENT)
    }

    /// Begins a stream with another limit for the blocks of a segment. A chunk cannot exceed this limit either. The opener must have the
    /// same limit.
    #[must_use]
    pub fn with_block_limit(key: &Key<C>, header: StreamHeader, limit: BlockLimit) -> Self {
        let keys = StreamKeys::new(key, &header.0, limit);
        Self { keys, header, segment: Segment::first(limit), position: Position::default() }
    }

    /// Makes a sealer that has no key yet. It seals nothing until [`ChunkSealer::start`] is called.
    #[must_use]
    #[inline(always)]
    pub fn without_key() -> Self {
        Self {
            keys: StreamKeys::without_key(),
            header: StreamHeader([0; StreamHeader::LEN]),
            segment: Segment::first(BlockLimit::SEGMENT),
            position: Position { next: 0, is_complete: 1 },
        }
    }

    /// Begins a stream as [`ChunkSealer::with_block_limit`] does. The round keys are made in place, so that no copy of them is on the stack.
    /// The previous stream of this sealer cannot continue.
    pub fn start(&mut self, key: &Key<C>, header: StreamHeader, limit: BlockLimit) {
        self.keys.start(key, &header.0, limit);
        (self.header, self.segment, self.position) = (header, Segment::first(limit), Position::default());
    }

    /// Returns the header of the stream, which must be sent before the first chunk.
    #[must_use]
    pub fn header(&self) -> &[u8; StreamHeader::LEN] {
        &self.header.0
    }

    /// The number of the next chunk.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.next
    }

    /// The number of the segment of the newest chunk that was sealed, or 0 if none was.
    #[must_use]
    pub fn segment(&self) -> u32 {
        self.segment.number
    }

    /// Encrypts a chunk that is not the last one, and returns its tag.
    ///
    /// # Errors
    /// - [`SealError::LimitReached`]: the chunk has more blocks than a segment may have, or the stream has no segments or chunks left.
    /// - [`SealError::Finished`].
    ///
    /// The buffer is unchanged then, and another chunk can be sealed.
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
    /// Those of [`ChunkSealer::seal_chunk`].
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
        if self.position.is_complete != 0 {
            return Err(SealError::Finished);
        }
        let nonce = self.position.nonce::<C>(is_last).ok_or(SealError::LimitReached)?;
        let blocks = count_blocks(associated_data.len(), buffer.len());
        // This comes first, so that not even a panic leaves the nonce for another chunk.
        self.segment = self.segment.with(blocks).ok_or(SealError::LimitReached)?;
        self.position = self.position.after_chunk(is_last);
        let tag = self.keys.of(self.segment).encrypt_inout_detached(&nonce, associated_data, buffer);
        // OTR refuses only messages that are far longer than any limit.
        tag.map_err(|_| SealError::LimitReached)
    }
}

impl<C: TwineOtr> fmt::Debug for ChunkSealer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkSealer")
            .field("header", &self.header)
            .field("segment", &self.segment)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// Opens the chunks that a [`ChunkSealer`] seals, in their order.
///
/// When a chunk is opened, its plaintext is genuine and in the right place. Whether the message is complete is known only when the last
/// chunk was opened, see [`ChunkOpener::is_complete`].
///
/// **An opener does not detect the replay of a whole stream.** Two openers of one stream open it twice. To prevent that, remember the
/// headers of the streams that were opened.
///
/// The failed attempts are limited as those of an [`Opener`](crate::Opener). Their blocks under each segment key are limited as the sealed
/// blocks are. So in the worst case an attacker has twice the blocks of a segment, and four times its advantage.
#[doc(alias("streaming", "multipart", "incremental", "secretstream", "decrypt"))]
pub struct ChunkOpener<C: TwineOtr = Twine128Otr> {
    keys: StreamKeys<C>,
    segment: Segment,
    position: Position,
    /// The blocks of failed attempts under the key of this segment, and under that of the next one.
    failed: [BlockCount; 2],
    failures: u32,
    failure_limit: u32,
}

impl<C: TwineOtr> ChunkOpener<C> {
    /// Makes an opener for the stream with this header.
    #[must_use]
    pub fn new(key: &Key<C>, header: &[u8; StreamHeader::LEN]) -> Self {
        Self::with_block_limit(key, header, BlockLimit::SEGMENT)
    }

    /// Makes an opener for a stream with another limit than [`BlockLimit::SEGMENT`] for the blocks of a segment. Nothing opens if the limit
    /// is not that of the sealer.
    #[must_use]
    pub fn with_block_limit(key: &Key<C>, header: &[u8; StreamHeader::LEN], limit: BlockLimit) -> Self {
        Self {
            keys: StreamKeys::new(key, header, limit),
            segment: Segment::first(limit),
            position: Position::default(),
            failed: [BlockCount::new(0, limit); 2],
            failures: 0,
            failure_limit: failure_limit::<C>(),
        }
    }

    /// Makes an opener that has no key yet. It opens nothing until [`ChunkOpener::start`] is called.
    #[must_use]
    #[inline(always)]
    pub fn without_key() -> Self {
        Self {
            keys: StreamKeys::without_key(),
            segment: Segment::first(BlockLimit::SEGMENT),
            position: Position { next: 0, is_complete: 1 },
            failed: [BlockCount::new(0, BlockLimit::SEGMENT); 2],
            failures: 0,
            failure_limit: 0,
        }
    }

    /// Begins a stream as [`ChunkOpener::with_block_limit`] does, with a limit of failed attempts. The round keys are made in place, so that
    /// no copy of them is on the stack. The previous stream of this opener cannot continue.
    pub fn start(
        &mut self,
        key: &Key<C>,
        header: &[u8; StreamHeader::LEN],
        limit: BlockLimit,
        failures: u32,
    ) {
        self.keys.start(key, header, limit);
        (self.segment, self.position) = (Segment::first(limit), Position::default());
        (self.failed, self.failures) = ([BlockCount::new(0, limit); 2], 0);
        self.failure_limit = failures;
    }

    /// Sets another limit than [`Opener::FAILURE_LIMIT`](crate::Opener::FAILURE_LIMIT) for the failed attempts in the whole stream.
    #[must_use]
    pub fn with_failure_limit(mut self, failures: u32) -> Self {
        self.failure_limit = failures;
        self
    }

    /// The number of the next chunk.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.next
    }

    /// The number of the segment of the newest chunk that was opened, or 0 if none was.
    #[must_use]
    pub fn segment(&self) -> u32 {
        self.segment.number
    }

    /// Returns how many attempts have failed.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns whether the last chunk was opened, and so the whole message.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.position.is_complete != 0
    }

    /// Decrypts a chunk that is not the last one.
    ///
    /// # Errors
    /// - [`OpenError::Rejected`]: this is not the next chunk, or it is the last one.
    /// - [`OpenError::LimitReached`], also if the blocks of failed attempts would exceed the limit.
    /// - [`OpenError::TooManyFailures`].
    /// - [`OpenError::Finished`].
    ///
    /// The whole output is zero then, and another copy of the chunk can be tried.
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
    /// Those of [`ChunkOpener::open_chunk`], but the chunk must be the last one.
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
        mut buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<C>,
    ) -> Result<(), OpenError> {
        let blocks = count_blocks(associated_data.len(), buffer.len());
        let attempt = self.attempt(is_last, blocks);
        let (nonce, segment, failed) = attempt.inspect_err(|_| buffer.get_out().fill(0))?;
        let is_next = segment.number != self.segment.number;
        // This comes before anything else, so that not even a panic leaves an attempt uncounted.
        let before = core::mem::replace(&mut self.failed[usize::from(is_next)], failed);
        self.failures += 1;
        let cipher = self.keys.of(segment);
        cipher
            .decrypt_inout_detached(&nonce, associated_data, buffer, tag)
            .map_err(|_| OpenError::Rejected)?;
        self.failures -= 1;
        self.failed =
            if is_next { [before, BlockCount::new(0, before.limit)] } else { [before, self.failed[1]] };
        (self.segment, self.position) = (segment, self.position.after_chunk(is_last));
        Ok(())
    }

    /// Returns the nonce and the segment of the next chunk, and the count of failed blocks there if this attempt fails.
    fn attempt(&self, is_last: bool, blocks: u64) -> Result<(Nonce<C>, Segment, BlockCount), OpenError> {
        if self.is_complete() {
            return Err(OpenError::Finished);
        }
        if self.failures >= self.failure_limit {
            return Err(OpenError::TooManyFailures);
        }
        let nonce = self.position.nonce::<C>(is_last).ok_or(OpenError::LimitReached)?;
        let segment = self.segment.with(blocks).ok_or(OpenError::LimitReached)?;
        let failed = self.failed[usize::from(segment.number != self.segment.number)];
        Ok((nonce, segment, failed.with(blocks).ok_or(OpenError::LimitReached)?))
    }
}

impl<C: TwineOtr> fmt::Debug for ChunkOpener<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkOpener")
            .field("segment", &self.segment)
            .field("position", &self.position)
            .field("failed", &self.failed)
            .field("failures", &self.failures)
            .field("failure_limit", &self.failure_limit)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "zeroize")]
impl<C: TwineOtr + ZeroizeOnDrop> ZeroizeOnDrop for ChunkSealer<C> {}

#[cfg(feature = "zeroize")]
impl<C: TwineOtr + ZeroizeOnDrop> ZeroizeOnDrop for ChunkOpener<C> {}

#[cfg(test)]
mod tests {
    use super::{BlockLimit, Position, Segment, Twine128Otr};

    #[test]
    fn chunks_are_numbered_up_to_the_end() {
        let nonce = |next, is_last| Position { next, is_complete: 0 }.nonce::<Twine128Otr>(is_last);
        assert_eq!(nonce(0x0102_0304_0506, false), Some([1, 2, 3, 4, 5, 6, 0].into()));
        assert_eq!(nonce((1 << 48) - 1, true), Some([255, 255, 255, 255, 255, 255, 1].into()));
        assert_eq!(nonce(1 << 48, false), None);
    }

    #[test]
    fn segments_end_with_their_blocks_and_streams_with_their_segments() {
        let first = Segment::first(BlockLimit::new(10).unwrap());
        let places = |segment: Segment| (segment.number, segment.count.used());
        assert_eq!(first.with(10).map(places), Some((0, 10)));
        assert_eq!(first.with(11).map(places), None);
        let segment = first.with(7).unwrap();
        assert_eq!(segment.with(3).map(places), Some((0, 10)));
        assert_eq!(segment.with(4).map(places), Some((1, 4)));
        let last = Segment { number: (1 << 20) - 1, ..segment };
        assert_eq!(Segment { number: (1 << 20) - 2, ..segment }.with(4).map(places), Some((last.number, 4)));
        assert_eq!(last.with(3).map(places), Some((last.number, 10)));
        assert_eq!(last.with(4).map(places), None);
        assert_eq!(last.with(u64::MAX).map(places), None);
    }
}
