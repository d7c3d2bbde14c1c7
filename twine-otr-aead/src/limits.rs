//! How much may go through one key, and what counts.

use otr_mode::{
    AdProcessing, AeadCore, AeadInOut, Key, KeyInit, Otr, OtrAhead, TagSize,
    aead::array::typenum::Unsigned,
    consts::{U7, U8},
};
use twine_cipher::{Twine80, Twine128};

use crate::in_place::SetKey;

/// The bytes of a block.
pub(crate) const BLOCK: usize = 8;

/// What the shortest message counts.
pub(crate) const MIN_BLOCKS: u32 = 3;

/// An AEAD that [`Sealer`](crate::Sealer) and [`Opener`](crate::Opener) work with: OTR over TWINE, with nonces of 7 bytes, tags
/// of 4 to 8 bytes and associated data in any of its ways.
///
/// [`Twine80Otr`](crate::Twine80Otr) and [`Twine128Otr`](crate::Twine128Otr) are those with tags of 8 bytes.
pub trait TwineOtr: AeadInOut<NonceSize = U7> + KeyInit + sealed::TwineOtr {}

impl<C: AeadInOut<NonceSize = U7> + KeyInit + sealed::TwineOtr> TwineOtr for C {}

mod sealed {
    use otr_mode::{KeySizeUser, cipher::BlockCipherEncrypt};

    use super::{AdProcessing, AeadCore, KeyInit, Otr, SetKey, TagSize, Twine80, Twine128, U7, U8};

    pub trait TwineOtr: AeadCore<NonceSize = U7, TagSize: TagSize<U8>> + KeySizeUser {
        /// TWINE with keys of this size.
        type Cipher: BlockCipherEncrypt<BlockSize = U8>
            + KeyInit
            + KeySizeUser<KeySize = Self::KeySize>
            + SetKey;
        /// How associated data is processed.
        type Processing: AdProcessing;
    }

    impl<T: TagSize<U8>, A: AdProcessing> TwineOtr for Otr<Twine80, U7, T, A> {
        type Cipher = Twine80;
        type Processing = A;
    }

    impl<T: TagSize<U8>, A: AdProcessing> TwineOtr for Otr<Twine128, U7, T, A> {
        type Cipher = Twine128;
        type Processing = A;
    }
}

/// The AEAD `C` for messages whose nonces are counted.
pub(crate) type Ahead<C> = OtrAhead<
    <C as sealed::TwineOtr>::Cipher,
    U7,
    <C as AeadCore>::TagSize,
    <C as sealed::TwineOtr>::Processing,
>;

/// The AEAD `C`, written so that its cipher can be reached.
pub(crate) type Plain<C> =
    Otr<<C as sealed::TwineOtr>::Cipher, U7, <C as AeadCore>::TagSize, <C as sealed::TwineOtr>::Processing>;

/// To be given a key before it is used.
pub(crate) fn without_key<C: TwineOtr>() -> Plain<C> {
    Otr::without_key(SetKey::without_key())
}

pub(crate) fn with_key<C: TwineOtr>(key: &Key<C>) -> Ahead<C> {
    Otr::new(key).into()
}

/// The blocks that a message and its associated data, of these lengths in bytes, count against a [`BlockLimit`].
///
/// It is their part of the s in [the bound](crate::Twine128Otr#limits): one for the message, and the blocks of the message and of the
/// associated data, each at least one. So no message counts less than 3.
#[must_use]
pub const fn count_blocks(associated_data_len: usize, message_len: usize) -> u64 {
    const fn blocks(len: usize) -> u64 {
        if len == 0 { 1 } else { len.div_ceil(BLOCK) as u64 }
    }
    1 + blocks(associated_data_len) + blocks(message_len)
}

/// How many blocks may go through a key: 2^20 by default.
///
/// [The bound](crate::Twine128Otr#limits) says what a limit is worth. A limit of one's own is best checked by the compiler:
/// ```
/// use twine_otr_aead::BlockLimit;
///
/// const LIMIT: BlockLimit = BlockLimit::new(1 << 16).unwrap();
/// assert!(LIMIT < BlockLimit::DEFAULT);
/// ```
/// ```compile_fail,E0080
/// # use twine_otr_aead::BlockLimit;
/// const LIMIT: BlockLimit = BlockLimit::new((1 << 24) + 1).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockLimit(u32);

impl BlockLimit {
    /// 2^16 blocks, 512 KiB: the default for a segment of a stream ([`ChunkSealer`](crate::ChunkSealer)).
    pub const SEGMENT: Self = Self(1 << 16);

    /// 2^20 blocks, 8 MiB at most: an attacker's advantage stays below 2^-21 if no more are sealed and refused under the key. A
    /// sealer and an opener that both have this limit allow 2^21 together, and an advantage of 2^-19.4: see [the
    /// bound](crate::Twine128Otr#limits).
    pub const DEFAULT: Self = Self(1 << 20);

    /// 2^24 blocks, 128 MiB at most: an advantage of up to 2^-13.4. More than that is no protection to speak of.
    pub const MAX: Self = Self(1 << 24);

    /// A limit of `blocks`; none if that is 0 or more than [`BlockLimit::MAX`].
    #[must_use]
    pub const fn new(blocks: u32) -> Option<Self> {
        if blocks == 0 || blocks > Self::MAX.0 { None } else { Some(Self(blocks)) }
    }

    /// The number of blocks.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for BlockLimit {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How many attempts may fail for tags of this length: 2^20 and, whatever the tag, no more than leave 2^-22.
pub(crate) const fn failure_limit<C: TwineOtr>() -> u32 {
    let exponent = 8 * C::TagSize::USIZE - 22;
    1 << if exponent < 20 { exponent } else { 20 }
}

/// Counts the blocks under a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockCount {
    used: u32,
    pub(crate) limit: BlockLimit,
}

impl BlockCount {
    pub(crate) const fn new(used: u32, limit: BlockLimit) -> Self {
        Self { used, limit }
    }

    pub(crate) const fn used(self) -> u32 {
        self.used
    }

    pub(crate) const fn remaining(self) -> u32 {
        self.limit.0.saturating_sub(self.used)
    }

    /// The count with `blocks` more, if the limit allows for them.
    pub(crate) fn with(self, blocks: u64) -> Option<Self> {
        let blocks = u32::try_from(blocks).ok()?;
        (blocks <= self.remaining()).then(|| Self { used: self.used + blocks, ..self })
    }
}
