//! TWINE-OTR with two shares. See [`TwineOtrMasked`].

mod work;

use core::fmt;

#[cfg(feature = "zeroize")]
use otr_mode::cipher::zeroize::ZeroizeOnDrop;
use otr_mode::{
    AeadCore, Error, Key, KeySizeUser, Nonce, Tag,
    aead::{Buffer, TagPosition, inout::InOutBuf},
    consts::{U7, U8},
};
use twine_cipher::{Twine128Masked, rand_core::CryptoRng, share};

use crate::limits::counted;
use work::{L, LANES, Work, ZERO, add, add_public, load, pad, set, store, truncate, unmask};

/// The length of a block in bytes.
const BLOCK: usize = 8;

/// That of a pair.
const PAIR: usize = 2 * BLOCK;

/// That of as many pairs as there are lanes.
const BATCH: usize = LANES * PAIR;

/// A cipher with two shares: [`Twine80Masked`](twine_cipher::Twine80Masked) or [`Twine128Masked`].
pub trait MaskedCipher: sealed::MaskedCipher {}

impl<C: sealed::MaskedCipher> MaskedCipher for C {}

mod sealed {
    use otr_mode::{Key, KeySizeUser};
    use twine_cipher::{
        MaskedBlocks, Twine80, Twine80Masked, Twine128, Twine128Masked, rand_core::CryptoRng,
    };

    pub trait MaskedCipher {
        /// The same cipher without masks.
        type Plain: KeySizeUser;
        /// Both shares of a key.
        type KeyShares;
        fn without_key() -> Self;
        fn with_key(key: &Key<Self::Plain>, rng: &mut impl CryptoRng) -> Self;
        fn set_shares(&mut self, shares: &Self::KeyShares);
        fn new_masks(&mut self, rng: &mut impl CryptoRng);
        fn encrypt(&self, blocks: &mut MaskedBlocks);
    }

    macro_rules! masked_cipher {
        ($masked:ty, $plain:ty, $words:literal) => {
            impl MaskedCipher for $masked {
                type Plain = $plain;
                type KeyShares = [[u32; $words]; 2];

                fn without_key() -> Self {
                    Self::without_key()
                }

                fn with_key(key: &Key<$plain>, rng: &mut impl CryptoRng) -> Self {
                    Self::new(key, rng)
                }

                fn set_shares(&mut self, shares: &Self::KeyShares) {
                    self.set_shares(shares);
                }

                fn new_masks(&mut self, rng: &mut impl CryptoRng) {
                    self.refresh(rng);
                }

                fn encrypt(&self, blocks: &mut MaskedBlocks) {
                    self.encrypt_shares(blocks);
                }
            }
        };
    }

    masked_cipher!(Twine80Masked, Twine80, 3);
    masked_cipher!(Twine128Masked, Twine128, 4);
}

/// TWINE-OTR with two shares, against power analysis: nonces of 7 bytes, tags of 8 bytes, and [`Parallel`](crate::Parallel) associated data.
///
/// It computes what [`Twine128Otr`](crate::Twine128Otr) computes, or with [`Twine80Masked`](twine_cipher::Twine80Masked) what
/// [`Twine80Otr`](crate::Twine80Otr) does.
///
/// **Experimental,** and there only with `--cfg twine_masked`. Nobody has measured it on hardware. What is proved of [`Twine128Masked`], of
/// [`Twine80Masked`](twine_cipher::Twine80Masked) and of the kernels in [`share`] holds on ARMv7-M and ARMv8-M with the Main Extension, with
/// interrupts masked while a message is sealed or opened. Of the order of the kernels in a message nothing is proved. Where this type is moved, both
/// shares of the round keys are copied: make it where it stays.
///
/// Its methods have the names of [`AeadInOut`](crate::AeadInOut). They take `&mut self`, because each message takes random masks from the
/// generator `R` that this type owns. `R` can also be a reference to one.
/// ```
/// # use twine_otr_aead::rand_core;
/// # struct Generator(u32);
/// # impl rand_core::TryRng for Generator {
/// #     type Error = core::convert::Infallible;
/// #     fn try_next_u32(&mut self) -> Result<u32, Self::Error> { self.0 += 1; Ok(self.0.wrapping_mul(0x9E37_79B9)) }
/// #     fn try_next_u64(&mut self) -> Result<u64, Self::Error> { self.try_next_u32().map(u64::from) }
/// #     fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> { bytes.fill(0); Ok(()) }
/// # }
/// # impl rand_core::TryCryptoRng for Generator {}
/// # let generator = Generator(0);
/// use twine_otr_aead::{AeadInOut, KeyInit, Twine128Otr, TwineOtrMasked};
///
/// let key = [0x42; 16].into();
/// let mut masked: TwineOtrMasked<_> = TwineOtrMasked::new(&key, generator);
/// let nonce = [0, 0, 0, 0, 0, 0, 1].into(); // a counter: it must never repeat under a key
/// let mut reading = *b"21.5 C";
/// let tag = masked.encrypt_inout_detached(&nonce, b"sensor 7", reading.as_mut_slice().into())?;
///
/// // The receiver may be one that nobody can measure.
/// let plain: Twine128Otr = Twine128Otr::new(&key);
/// plain.decrypt_inout_detached(&nonce, b"sensor 7", reading.as_mut_slice().into(), &tag)?;
/// assert_eq!(&reading, b"21.5 C");
/// # Ok::<(), twine_otr_aead::Error>(())
/// ```
///
/// # What is masked
/// The round keys, L, 2^i L, Q, the checksum, the outputs of the cipher, TE and TA exist only as two shares. So does the plaintext from where it
/// is added to one of them. Nonce, associated data, ciphertext, tag and lengths are public, and so is the plaintext in the buffer of the caller:
/// whoever measures sees it where it is loaded and stored.
///
/// Opening computes the tag first, and only decrypts if it is right, so that a message that is refused shows nothing of what it would be decrypted
/// to. This takes twice the time. The expected tag exists only as shares too. It is compared by encrypting a random block, and the sum of that block and
/// the difference of the tags: both results are equal if the tags are. For the limits below, count two more blocks for this.
///
/// # Masks
/// A message takes 160 random bytes, and 96 more if there is associated data. Opening takes 160 more. The round keys have new masks for each
/// message. When this type is dropped, round keys and shares are erased. The generator is not: erasing it is a matter of its type.
#[doc = include_str!("limits.md")]
pub struct TwineOtrMasked<R, C = Twine128Masked> {
    cipher: C,
    rng: R,
    work: Work,
}

impl<R: CryptoRng, C: MaskedCipher> TwineOtrMasked<R, C> {
    /// Makes the round keys of `key`. The key itself is read, which shows it to whoever measures the power. A device that attackers can hold
    /// keeps its key as shares, for [`from_shares`](Self::from_shares).
    #[must_use]
    pub fn new(key: &Key<C::Plain>, mut rng: R) -> Self {
        Self { cipher: C::with_key(key, &mut rng), rng, work: Work::default() }
    }

    /// Makes the round keys of a key that is the XOR of two shares: their bytes as words in little-endian order. Each share must be random, and new
    /// for each start.
    #[must_use]
    pub fn from_shares(shares: &C::KeyShares, rng: R) -> Self {
        let mut new = Self::without_key(rng);
        new.set_shares(shares);
        new
    }

    /// Without a key there is no secret. A key must be set before any use.
    pub(crate) fn without_key(rng: R) -> Self {
        Self { cipher: C::without_key(), rng, work: Work::default() }
    }

    /// Makes the round keys as [`from_shares`](Self::from_shares) does, in place, so that nothing copies both shares of them.
    pub fn set_shares(&mut self, shares: &C::KeyShares) {
        self.cipher.set_shares(shares);
    }

    /// Returns how many random bytes sealing a message takes, for this length of the associated data.
    #[must_use]
    pub const fn random_to_seal(associated_data_len: usize) -> usize {
        if associated_data_len == 0 { 160 } else { 256 }
    }

    /// Returns how many random bytes opening a message takes at most. It takes fewer if the tag is wrong.
    #[must_use]
    pub const fn random_to_open(associated_data_len: usize) -> usize {
        Self::random_to_seal(associated_data_len) + 160
    }

    /// The generator of the masks.
    pub fn rng_mut(&mut self) -> &mut R {
        &mut self.rng
    }

    /// Encrypts `buffer` and returns its tag.
    ///
    /// # Errors
    /// The associated data has more than 2^59 blocks. Nothing is written then.
    pub fn encrypt_inout_detached(
        &mut self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag<Self>, Error> {
        let place = self.encrypt(nonce, associated_data, buffer)?;
        let mut tag = ZERO;
        unmask(&mut tag, &self.work.calls, place..place + 1);
        self.work.erase();
        let mut bytes = Tag::<Self>::default();
        store(tag[place % LANES], &mut bytes);
        Ok(bytes)
    }

    /// Encrypts a block of zeros, as part of a message whose tag nobody learns: it stays in two shares.
    pub(crate) fn encrypt_zeros(&mut self, nonce: &Nonce<Self>) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        // Associated data that is empty is not refused.
        let _ = self.encrypt(nonce, b"", block.as_mut_slice().into());
        self.work.erase();
        block
    }

    /// Encrypts `buffer`, and returns where in the last call the tag is.
    fn encrypt(
        &mut self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        mut buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<usize, Error> {
        let ends = self.start(nonce, associated_data)?;
        self.work.begin(L, &mut self.rng);
        while buffer.len() > BATCH {
            let (batch, rest) = buffer.split_at(BATCH);
            self.encrypt_batch(batch, None);
            self.work.next_masks();
            buffer = rest;
        }
        Ok(self.encrypt_batch(buffer, Some(ends)))
    }

    /// Decrypts `buffer` if the tag is right. Otherwise the whole output is zero.
    ///
    /// # Errors
    /// The tag is wrong, or the associated data is too long to have been encrypted. The error does not say which.
    pub fn decrypt_inout_detached(
        &mut self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        mut buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Self>,
    ) -> Result<(), Error> {
        let opened = self.verify(nonce, associated_data, buffer.reborrow(), tag);
        match opened {
            Ok(()) => self.decrypt(buffer, true),
            Err(_) => buffer.get_out().fill(0),
        }
        self.work.erase();
        opened
    }

    /// Encrypts the message in `buffer` and appends its tag.
    ///
    /// # Errors
    /// Those of [`encrypt_inout_detached`](Self::encrypt_inout_detached), or the buffer has no room for the tag. The message is unchanged then.
    pub fn encrypt_in_place(
        &mut self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: &mut dyn Buffer,
    ) -> Result<(), Error> {
        let len = buffer.len();
        // Associated data that is too long must be refused before the buffer grows.
        are_enough(associated_data)?;
        buffer.extend_from_slice(&Tag::<Self>::default())?;
        let (message, room) = buffer.as_mut().split_at_mut_checked(len).ok_or(Error)?;
        let room = <&mut Tag<Self>>::try_from(room).map_err(|_| Error)?;
        *room = self.encrypt_inout_detached(nonce, associated_data, message.into())?;
        Ok(())
    }

    /// Decrypts the message in `buffer` if the tag after it is right, and removes the tag.
    ///
    /// # Errors
    /// Those of [`decrypt_inout_detached`](Self::decrypt_inout_detached), or the buffer is shorter than a tag. The buffer keeps its length then, and
    /// all of it is zero, including the place of the tag.
    pub fn decrypt_in_place(
        &mut self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: &mut dyn Buffer,
    ) -> Result<(), Error> {
        let bytes = buffer.as_mut();
        // A buffer that is shorter than a tag is all `tag`.
        let len = bytes.len().saturating_sub(BLOCK);
        let (message, tag) = bytes.split_at_mut(len);
        let opened = Tag::<Self>::try_from(&*tag).map_err(|_| Error).and_then(|received| {
            self.decrypt_inout_detached(nonce, associated_data, message.into(), &received)
        });
        match opened {
            Ok(()) => buffer.truncate(len),
            Err(_) => tag.fill(0),
        }
        opened
    }

    /// Makes L and Q, and the input whose encryption is TA. Returns how many inputs the last call has.
    fn start(&mut self, nonce: &Nonce<Self>, associated_data: &[u8]) -> Result<usize, Error> {
        are_enough(associated_data)?;
        self.cipher.new_masks(&mut self.rng);
        // Format: the length of the tag, modulo that of a block, is zero. Then a one bit and the nonce.
        let mut format = [1; BLOCK];
        format[1..].copy_from_slice(nonce);
        self.work.set_header(format, &mut self.rng);
        self.cipher.encrypt(&mut self.work.header);
        if associated_data.is_empty() {
            return Ok(1);
        }
        self.process_associated_data(associated_data);
        Ok(2)
    }

    fn process_associated_data(&mut self, data: &[u8]) {
        let Self { cipher, rng, work } = self;
        work.begin_associated_data(rng);
        // That it is no longer than the data is not clear to the compiler, which must not leave a panic there.
        let (blocks, last) =
            data.split_at_checked(data.len().saturating_sub(1) / BLOCK * BLOCK).unwrap_or_default();
        let mut lane = 0;
        for batch in blocks.chunks(LANES * BLOCK) {
            let mut public = ZERO;
            for (public, block) in public.iter_mut().zip(batch.chunks(BLOCK)) {
                *public = load(block);
            }
            // The masks of what is there follow from those before, of which the next ones are a multiple.
            work.erase_calls();
            set(&mut work.calls, 0..LANES, &work.first, 0, &public);
            cipher.encrypt(&mut work.calls);
            lane = batch.len() / BLOCK;
            add(&mut work.sum, &work.calls, 0..lane);
            if lane == LANES {
                work.next_masks();
                lane = 0;
            }
        }
        let mut public = ZERO;
        public[0] = pad(load(last), last.len());
        add_public(&mut work.sum, &public, 0..1);
        work.end_associated_data(lane, last.len() == BLOCK);
    }

    /// Encrypts up to four pairs. At the end of a message there are less than four, and the last chunk; `ends` is the number of inputs that the
    /// last call has. Returns where in the last call the tag is.
    fn encrypt_batch(&mut self, mut batch: InOutBuf<'_, '_, u8>, ends: Option<usize>) -> usize {
        let Self { cipher, work, .. } = self;
        let Batch { mut x, mut y, pairs, chunks, is_long, left } = Batch::new(batch.get_in(), ends.is_some());
        set(&mut work.calls, 0..LANES, &work.first, 0, &x);
        cipher.encrypt(&mut work.calls);
        add_public(&mut work.sum, &y, 0..pairs);
        if is_long {
            add(&mut work.sum, &work.calls, pairs..chunks);
        } else {
            add_public(&mut work.sum, &padded(&y, pairs, left), pairs..chunks);
        }
        if ends.is_some() {
            truncate(&mut work.calls, pairs, left);
        }
        // The ciphertext of the first round.
        unmask(&mut y, &work.calls, 0..chunks);
        let inputs = padded(&y, pairs, left);
        let used = pairs + usize::from(is_long);
        add_public(&mut work.sum, &inputs, pairs..used);
        set(&mut work.calls, 0..LANES, &work.second, 0, &inputs);
        // The checksum is known, so the last call can be this one if there is room.
        let joins = ends.is_some_and(|ends| used + ends <= LANES);
        if let Some(ends) = ends {
            work.end_message(pairs, is_long, left == BLOCK);
            if joins {
                set(&mut work.calls, used..used + ends, &work.ends, 0, &ZERO);
            }
        }
        cipher.encrypt(&mut work.calls);
        unmask(&mut x, &work.calls, 0..used);
        if is_long {
            exchange(&mut x, &mut y, pairs);
        }
        write(batch.get_out(), &y, &x);
        ends.map_or(0, |ends| self.end(if joins { used } else { 0 }, ends, !joins))
    }

    /// Decrypts up to four pairs, and writes the plaintext if `writes`. At the end of a message there are less than four, and the last chunk.
    fn decrypt_batch(&mut self, mut batch: InOutBuf<'_, '_, u8>, is_end: bool, writes: bool) {
        let Self { cipher, work, .. } = self;
        let Batch { mut x, mut y, pairs, chunks, is_long, left } = Batch::new(batch.get_in(), is_end);
        let used = pairs + usize::from(is_long);
        if is_long {
            // The first round was that of the padded end.
            exchange(&mut x, &mut y, pairs);
            x = padded(&x, pairs, left);
        }
        set(&mut work.calls, 0..LANES, &work.second, 0, &x);
        set(&mut work.calls, used..chunks, &work.first, used, &ZERO);
        cipher.encrypt(&mut work.calls);
        add_public(&mut work.calls, &y, 0..chunks);
        if used < chunks {
            truncate(&mut work.calls, pairs, left);
            add(&mut work.sum, &work.calls, used..chunks);
            add_public(&mut work.sum, &padded(&ZERO, pairs, left), used..chunks);
        }
        let (mut first, mut second) = (ZERO, ZERO);
        if writes {
            unmask(&mut first, &work.calls, 0..chunks);
        }
        if used > 0 {
            add(&mut work.calls, &work.first, 0..used);
            // A short end was truncated: bits that are zero in both shares must not go to the cipher.
            set(&mut work.calls, used..chunks, &work.second, used, &ZERO);
            cipher.encrypt(&mut work.calls);
            add_public(&mut work.calls, &x, 0..used);
            add(&mut work.sum, &work.calls, 0..used);
        }
        if writes {
            if is_long {
                truncate(&mut work.calls, pairs, left);
            }
            unmask(&mut second, &work.calls, 0..used);
            write(batch.get_out(), &first, &second);
        }
        if is_end {
            work.end_message(pairs, is_long, left == BLOCK);
        }
    }

    /// Encrypts the inputs of the last call, if that is not done yet, and adds TA to TE, whose place it returns.
    fn end(&mut self, place: usize, ends: usize, is_due: bool) -> usize {
        let Self { cipher, work, .. } = self;
        if is_due {
            set(&mut work.calls, place..place + ends, &work.ends, 0, &ZERO);
            cipher.encrypt(&mut work.calls);
        }
        if ends > 1 {
            set(&mut work.ends, 0..1, &work.calls, place + 1, &ZERO);
            for (calls, ends) in work.calls.shares.iter_mut().zip(&work.ends.shares) {
                share::add(work::part_mut(calls, place..place + 1), ends);
            }
        }
        place
    }

    /// Decrypts a message after L is made. Without `writes` it only makes the checksum.
    fn decrypt(&mut self, mut message: InOutBuf<'_, '_, u8>, writes: bool) {
        self.work.begin(L, &mut self.rng);
        while message.len() > BATCH {
            let (batch, rest) = message.split_at(BATCH);
            self.decrypt_batch(batch, false, writes);
            self.work.next_masks();
            message = rest;
        }
        self.decrypt_batch(message, true, writes);
    }

    fn verify(
        &mut self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        message: InOutBuf<'_, '_, u8>,
        tag: &Tag<Self>,
    ) -> Result<(), Error> {
        let ends = self.start(nonce, associated_data)?;
        self.decrypt(message, false);
        let place = self.end(0, ends, true);
        let mut public = ZERO;
        public[place] = load(tag);
        add_public(&mut self.work.calls, &public, place..place + 1);
        self.work.set_comparison(place, &mut self.rng);
        self.cipher.encrypt(&mut self.work.calls);
        let mut results = ZERO;
        unmask(&mut results, &self.work.calls, 0..2);
        let [x, y, ..] = results;
        if (x[0] ^ y[0]) | (x[1] ^ y[1]) == 0 { Ok(()) } else { Err(Error) }
    }
}

/// Refuses more associated data than there are masks for. No message can be as long as that.
fn are_enough(associated_data: &[u8]) -> Result<(), Error> {
    if associated_data.len() as u64 > (1 << 59) * BLOCK as u64 { Err(Error) } else { Ok(()) }
}

/// Public blocks, of which that in `place` is padded after `len` bytes.
fn padded(blocks: &work::Blocks, place: usize, len: usize) -> work::Blocks {
    let mut blocks = *blocks;
    if let Some(block) = blocks.get_mut(place) {
        *block = pad(*block, len);
    }
    blocks
}

/// Exchanges the blocks in a place of `x` and `y`.
fn exchange(x: &mut work::Blocks, y: &mut work::Blocks, place: usize) {
    if let (Some(x), Some(y)) = (x.get_mut(place), y.get_mut(place)) {
        core::mem::swap(x, y);
    }
}

/// Up to four pairs, of which at the end of a message the last may be incomplete. They are public.
struct Batch {
    /// The first blocks of the pairs, but not the only block of the last chunk.
    x: work::Blocks,
    /// The second blocks, or the only one.
    y: work::Blocks,
    /// The number of pairs before the last chunk. That is also its lane.
    pairs: usize,
    /// With the last chunk.
    chunks: usize,
    /// The last chunk has more than a block.
    is_long: bool,
    /// The bytes of its last block. Elsewhere than at the end of a message this is a whole one.
    left: usize,
}

impl Batch {
    fn new(bytes: &[u8], is_end: bool) -> Self {
        let pairs = if is_end { bytes.len().saturating_sub(1) / PAIR } else { LANES };
        let last = bytes.len().saturating_sub(PAIR * pairs);
        let is_long = last > BLOCK;
        let (mut x, mut y) = (ZERO, ZERO);
        for ((x, y), chunk) in x.iter_mut().zip(&mut y).zip(bytes.chunks(PAIR)) {
            let (first, second) = chunk.split_at(chunk.len().min(BLOCK));
            if second.is_empty() {
                *y = load(first);
            } else {
                (*x, *y) = (load(first), load(second));
            }
        }
        let left = match (is_end, is_long) {
            (false, _) => BLOCK,
            (true, true) => last - BLOCK,
            (true, false) => last,
        };
        Self { x, y, pairs, chunks: pairs + usize::from(is_end), is_long, left }
    }
}

/// Writes public blocks as pairs, of which the last may be incomplete.
fn write(bytes: &mut [u8], first: &work::Blocks, second: &work::Blocks) {
    for ((chunk, first), second) in bytes.chunks_mut(PAIR).zip(first).zip(second) {
        let (near, far) = chunk.split_at_mut(chunk.len().min(BLOCK));
        store(*first, near);
        store(*second, far);
    }
}

impl<R: CryptoRng, C: MaskedCipher> counted::CountedAead for TwineOtrMasked<R, C> {
    type KeySource = C::KeyShares;
    type Keyed = Self;
    /// The block and the sum that are encrypted to compare tags.
    const MORE_TO_OPEN: u64 = 2;

    #[inline(always)]
    fn set_key(keyed: &mut Self, shares: &C::KeyShares) {
        keyed.set_shares(shares);
    }

    #[inline(always)]
    fn encrypt(
        keyed: &mut Self,
        nonce: &Nonce<Self>,
        _: &Nonce<Self>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag<Self>, Error> {
        keyed.encrypt_inout_detached(nonce, associated_data, buffer)
    }

    #[inline(always)]
    fn decrypt(
        keyed: &mut Self,
        nonce: &Nonce<Self>,
        _: &Nonce<Self>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Self>,
    ) -> Result<(), Error> {
        keyed.decrypt_inout_detached(nonce, associated_data, buffer, tag)
    }

    #[inline(always)]
    fn encrypt_zeros(keyed: &mut Self, nonce: &Nonce<Self>) -> [u8; 8] {
        keyed.encrypt_zeros(nonce)
    }
}

impl<R, C: MaskedCipher> KeySizeUser for TwineOtrMasked<R, C> {
    type KeySize = <C::Plain as KeySizeUser>::KeySize;
}

impl<R, C> AeadCore for TwineOtrMasked<R, C> {
    type NonceSize = U7;
    type TagSize = U8;
    const TAG_POSITION: TagPosition = TagPosition::Postfix;
}

impl<R, C> fmt::Debug for TwineOtrMasked<R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TwineOtrMasked { .. }")
    }
}

#[cfg(feature = "zeroize")]
impl<R, C: ZeroizeOnDrop> ZeroizeOnDrop for TwineOtrMasked<R, C> {}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::{cell::RefCell, convert::Infallible};
    use std::{vec, vec::Vec};

    use twine_cipher::{
        MaskedBlocks,
        rand_core::{TryCryptoRng, TryRng},
        share::ShareBlock,
    };

    use super::*;

    struct Random(u64);

    impl TryRng for Random {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            // Without the product, all numbers would be sums of 64 bits.
            Ok((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            unreachable!("masks are words")
        }

        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
            unreachable!("masks are words")
        }
    }

    impl TryCryptoRng for Random {}

    /// A cipher that remembers its inputs: both shares of four blocks.
    struct Recorder {
        cipher: Twine128Masked,
        inputs: RefCell<Vec<[[ShareBlock; LANES]; 2]>>,
    }

    impl sealed::MaskedCipher for Recorder {
        type Plain = twine_cipher::Twine128;
        type KeyShares = [[u32; 4]; 2];

        fn without_key() -> Self {
            Self { cipher: Twine128Masked::without_key(), inputs: RefCell::default() }
        }

        fn with_key(key: &Key<Self::Plain>, rng: &mut impl CryptoRng) -> Self {
            Self { cipher: Twine128Masked::new(key, rng), inputs: RefCell::default() }
        }

        fn set_shares(&mut self, shares: &Self::KeyShares) {
            self.cipher.set_shares(shares);
        }

        fn new_masks(&mut self, rng: &mut impl CryptoRng) {
            self.cipher.refresh(rng);
        }

        fn encrypt(&self, blocks: &mut MaskedBlocks) {
            self.inputs.borrow_mut().push(blocks.shares);
            self.cipher.encrypt_shares(blocks);
        }
    }

    /// Seals a message and opens it, and returns what went to the cipher: both shares of four blocks in each call.
    fn inputs(
        masked: &mut TwineOtrMasked<Random, Recorder>,
        data: &[u8],
        len: usize,
    ) -> Vec<[[ShareBlock; LANES]; 2]> {
        let (nonce, mut text) = ([9; 7].into(), vec![0x5A; len]);
        let tag = masked.encrypt_inout_detached(&nonce, data, text.as_mut_slice().into()).unwrap();
        masked.decrypt_inout_detached(&nonce, data, text.as_mut_slice().into(), &tag).unwrap();
        masked.cipher.inputs.take()
    }

    /// The differences of these inputs are all sums of so many of them.
    fn rank(inputs: &[Vec<u32>]) -> usize {
        let mut rows: Vec<Vec<u32>> = Vec::new();
        for input in &inputs[1..] {
            let mut row: Vec<u32> = input.iter().zip(&inputs[0]).map(|(a, b)| a ^ b).collect();
            let first = |row: &[u32]| row.iter().position(|word| *word != 0).map(|n| (n, row[n].ilog2()));
            for other in &rows {
                let Some((n, bit)) = first(other) else { continue };
                if row[n] >> bit & 1 == 1 {
                    row.iter_mut().zip(other).for_each(|(a, b)| *a ^= b);
                }
            }
            if first(&row).is_some() {
                rows.push(row);
            }
        }
        rows.len()
    }

    /// In the same message under the same key, all bits of a share of the four blocks that go to the cipher vary independently of each other: no sum of
    /// some of them is always the same.
    #[test]
    fn the_masks_of_a_call_are_independent() {
        const BITS: usize = 64 * LANES;
        let mut masked = TwineOtrMasked::<_, Recorder>::new(&[7; 16].into(), Random(1));
        for (data_len, len) in [(0, 36), (12, 44), (40, 100), (64, 64), (9, 0), (0, 7)] {
            let data = [3; 64];
            let mut calls: Vec<[Vec<Vec<u32>>; 2]> = Vec::new();
            for _ in 0..BITS + 64 {
                let inputs = inputs(&mut masked, &data[..data_len], len);
                calls.resize(inputs.len(), Default::default());
                for (call, shares) in calls.iter_mut().zip(&inputs) {
                    for (call, share) in call.iter_mut().zip(shares) {
                        call.push(share.as_flattened().to_vec());
                    }
                }
            }
            for (n, call) in calls.iter().enumerate() {
                let ranks = [0, 1].map(|share| rank(&call[share]));
                assert_eq!(ranks, [BITS; 2], "{len} bytes, {data_len} of associated data, call {n}");
            }
        }
    }

    /// The masks of both rounds and of the sum are independent of each other, and so are those of all lanes. The sum itself is zero.
    #[test]
    fn masks_begin_as_random_words() {
        const BITS: usize = 3 * 64 * LANES;
        let mut masked = TwineOtrMasked::<_, Twine128Masked>::new(&[7; 16].into(), Random(1));
        let masks: Vec<Vec<u32>> = (0..BITS + 64)
            .map(|_| {
                let TwineOtrMasked { work, rng, .. } = &mut masked;
                work.begin(L, rng);
                assert_eq!(work.sum.shares[0], work.sum.shares[1]);
                let all = [&work.first, &work.second, &work.sum];
                all.into_iter().flat_map(|blocks| blocks.shares[1].as_flattened().iter().copied()).collect()
            })
            .collect();
        assert_eq!(rank(&masks), BITS);
    }

    #[test]
    fn nothing_is_left_of_a_message() {
        let mut masked = TwineOtrMasked::<_, Twine128Masked>::new(&[7; 16].into(), Random(1));
        let nonce = [9; 7].into();
        let mut text = [0x5A; 44];
        let tag = masked.encrypt_inout_detached(&nonce, b"data", text.as_mut_slice().into()).unwrap();
        assert!(masked.work.is_zero(), "sealed");
        let mut other = text;
        masked.decrypt_inout_detached(&nonce, b"data", other.as_mut_slice().into(), &tag).unwrap();
        assert!(masked.work.is_zero(), "opened");
        masked.decrypt_inout_detached(&nonce, b"", text.as_mut_slice().into(), &tag).unwrap_err();
        assert!(masked.work.is_zero(), "refused");
        masked.encrypt_zeros(&nonce);
        assert!(masked.work.is_zero(), "compared");
    }

    /// In the same message under the same key, each bit of each share that goes to the cipher is zero at times and one at times. Only the first block
    /// of all is known, and is masked like any other.
    #[test]
    fn nothing_goes_to_the_cipher_without_a_mask() {
        const MESSAGES: usize = 48;
        let mut masked = TwineOtrMasked::<_, Recorder>::new(&[7; 16].into(), Random(1));
        for (data_len, len) in
            [0, 9, 64].into_iter().flat_map(|data_len| (0..=100).map(move |len| (data_len, len)))
        {
            let data = [3; 64];
            let mut seen: Vec<[[[[u32; 2]; 2]; LANES]; 2]> = Vec::new();
            for _ in 0..MESSAGES {
                let inputs = inputs(&mut masked, &data[..data_len], len);
                seen.resize(inputs.len(), Default::default());
                for (word, seen) in inputs
                    .as_flattened()
                    .as_flattened()
                    .as_flattened()
                    .iter()
                    .zip(seen.as_flattened_mut().as_flattened_mut().as_flattened_mut())
                {
                    seen[0] |= word;
                    seen[1] |= !word;
                }
            }
            for (call, seen) in seen.iter().enumerate() {
                assert_eq!(
                    *seen, [[[[!0; 2]; 2]; LANES]; 2],
                    "{len} bytes, {data_len} of associated data, call {call}"
                );
            }
        }
    }
}
