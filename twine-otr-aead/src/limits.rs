//! How many blocks may be processed under one key, and how they are counted.

use otr_mode::{
    AdProcessing, AeadCore, AeadInOut, Key, KeyInit, Otr, OtrAhead, TagSize,
    aead::array::typenum::Unsigned,
    consts::{U7, U8},
};
use twine_cipher::{Twine80, Twine128};

use crate::in_place::SetKey;

/// The length of a block in bytes.
pub(crate) const BLOCK: usize = 8;

/// The blocks that the shortest message counts.
pub(crate) const MIN_BLOCKS: u32 = 3;

/// An AEAD for a [`Sealer`](crate::Sealer) or an [`Opener`](crate::Opener): a [`TwineOtr`], or with `--cfg twine_masked` also a
/// `TwineOtrMasked`.
pub trait CountedAead: counted::CountedAead {}

impl<C: counted::CountedAead> CountedAead for C {}

/// OTR over TWINE with nonces of 7 bytes, tags of 4 to 8 bytes, and any processing of associated data.
///
/// [`Twine80Otr`](crate::Twine80Otr) and [`Twine128Otr`](crate::Twine128Otr) have tags of 8 bytes.
pub trait TwineOtr: AeadInOut<NonceSize = U7> + KeyInit + sealed::TwineOtr {}

impl<C: AeadInOut<NonceSize = U7> + KeyInit + sealed::TwineOtr> TwineOtr for C {}

pub(crate) mod counted {
    use otr_mode::{Error, KeySizeUser, Nonce, Tag, aead::inout::InOutBuf};

    use super::{AeadCore, TagSize, U7, U8};

    pub trait CountedAead: AeadCore<NonceSize = U7, TagSize: TagSize<U8>> + KeySizeUser {
        /// What a key is set from: its bytes, or both shares of them.
        type KeySource;
        /// The AEAD with its round keys.
        type Keyed;
        /// How many blocks opening a message takes besides those that [`count_blocks`](super::count_blocks) counts.
        const MORE_TO_OPEN: u64;

        fn set_key(keyed: &mut Self::Keyed, key: &Self::KeySource);

        /// `next` is the nonce that the next message is expected to have.
        fn encrypt(
            keyed: &mut Self::Keyed,
            nonce: &Nonce<Self>,
            next: &Nonce<Self>,
            associated_data: &[u8],
            buffer: InOutBuf<'_, '_, u8>,
        ) -> Result<Tag<Self>, Error>;

        fn decrypt(
            keyed: &mut Self::Keyed,
            nonce: &Nonce<Self>,
            next: &Nonce<Self>,
            associated_data: &[u8],
            buffer: InOutBuf<'_, '_, u8>,
            tag: &Tag<Self>,
        ) -> Result<(), Error>;

        /// Encrypts a message of 8 zero bytes, and shows nobody its tag.
        fn encrypt_zeros(keyed: &mut Self::Keyed, nonce: &Nonce<Self>) -> [u8; 8];
    }
}

mod sealed {
    use otr_mode::{Error, Key, KeySizeUser, Nonce, Tag, aead::inout::InOutBuf, cipher::BlockCipherEncrypt};

    use super::{
        AdProcessing, Ahead, KeyInit, Otr, OtrAhead, SetKey, TagSize, Twine80, Twine128, U7, U8,
        counted::CountedAead,
    };

    pub trait TwineOtr: CountedAead<KeySource = Key<Self>, Keyed = Ahead<Self>> {
        /// TWINE with keys of this size.
        type Cipher: BlockCipherEncrypt<BlockSize = U8>
            + KeyInit
            + KeySizeUser<KeySize = Self::KeySize>
            + SetKey;
        /// The processing of associated data.
        type Processing: AdProcessing;
    }

    macro_rules! twine_otr {
        ($($cipher:ty),*) => {$(
            impl<T: TagSize<U8>, A: AdProcessing> TwineOtr for Otr<$cipher, U7, T, A> {
                type Cipher = $cipher;
                type Processing = A;
            }

            impl<T: TagSize<U8>, A: AdProcessing> CountedAead for Otr<$cipher, U7, T, A> {
                type KeySource = Key<Self>;
                type Keyed = OtrAhead<$cipher, U7, T, A>;
                const MORE_TO_OPEN: u64 = 0;

                #[inline(always)]
                fn set_key(keyed: &mut Self::Keyed, key: &Key<Self>) {
                    keyed.set_key_with(|cipher| cipher.set_key(key));
                }

                #[inline(always)]
                fn encrypt(
                    keyed: &mut Self::Keyed,
                    nonce: &Nonce<Self>,
                    next: &Nonce<Self>,
                    associated_data: &[u8],
                    buffer: InOutBuf<'_, '_, u8>,
                ) -> Result<Tag<Self>, Error> {
                    keyed.encrypt_inout_detached(nonce, Some(next), associated_data, buffer)
                }

                #[inline(always)]
                fn decrypt(
                    keyed: &mut Self::Keyed,
                    nonce: &Nonce<Self>,
                    next: &Nonce<Self>,
                    associated_data: &[u8],
                    buffer: InOutBuf<'_, '_, u8>,
                    tag: &Tag<Self>,
                ) -> Result<(), Error> {
                    keyed.decrypt_inout_detached(nonce, Some(next), associated_data, buffer, tag)
                }

                #[inline(always)]
                fn encrypt_zeros(keyed: &mut Self::Keyed, nonce: &Nonce<Self>) -> [u8; 8] {
                    let mut block = [0; 8];
                    // OTR does not refuse one block.
                    let _ = keyed.encrypt_apart(nonce, b"", block.as_mut_slice().into());
                    block
                }
            }
        )*};
    }

    twine_otr!(Twine80, Twine128);
}

/// The AEAD `C` for messages with counted nonces.
pub(crate) type Ahead<C> = OtrAhead<
    <C as sealed::TwineOtr>::Cipher,
    U7,
    <C as AeadCore>::TagSize,
    <C as sealed::TwineOtr>::Processing,
>;

/// The AEAD `C`, as a type that names its cipher.
pub(crate) type Plain<C> =
    Otr<<C as sealed::TwineOtr>::Cipher, U7, <C as AeadCore>::TagSize, <C as sealed::TwineOtr>::Processing>;

/// Returns an AEAD without a key. A key must be set before any use.
pub(crate) fn without_key<C: TwineOtr>() -> Plain<C> {
    Otr::without_key(SetKey::without_key())
}

pub(crate) fn with_key<C: TwineOtr>(key: &Key<C>) -> Ahead<C> {
    Otr::new(key).into()
}

/// Returns how many blocks a message and its associated data count against a [`BlockLimit`]. The lengths are in bytes.
///
/// The result is what the message adds to s in [the bound](crate::Twine128Otr#limits). It is 1, plus the blocks of the message (at least
/// 1), plus the blocks of the associated data (at least 1). So every message counts at least 3 blocks.
#[must_use]
pub const fn count_blocks(associated_data_len: usize, message_len: usize) -> u64 {
    const fn blocks(len: usize) -> u64 {
        if len == 0 { 1 } else { len.div_ceil(BLOCK) as u64 }
    }
    1 + blocks(associated_data_len) + blocks(message_len)
}

/// The number of blocks that may be processed under a key: 2^20 by default.
///
/// [The bound](crate::Twine128Otr#limits) says what advantage an attacker has with a limit. It is best to let the compiler check a limit:
/// ```
/// use twine_otr_aead::BlockLimit;
///
/// const LIMIT: BlockLimit = BlockLimit::new(1 << 16).unwrap();
/// assert!(LIMIT < BlockLimit::DEFAULT);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockLimit(u32);

impl BlockLimit {
    /// 2^16 blocks, at most 512 KiB. This is the default for a segment of a stream ([`ChunkSealer`](crate::ChunkSealer)).
    pub const SEGMENT: Self = Self(1 << 16);

    /// 2^20 blocks, at most 8 MiB. The advantage of an attacker stays below 2^-21 if the sealed and the refused blocks under the key are no
    /// more than this. A sealer and an opener that both have this limit together allow 2^21 blocks and an advantage of 2^-19.4, see [the
    /// bound](crate::Twine128Otr#limits).
    pub const DEFAULT: Self = Self(1 << 20);

    /// 2^24 blocks, at most 128 MiB, and an advantage of up to 2^-13.4. A greater limit would give hardly any protection.
    pub const MAX: Self = Self(1 << 24);

    /// Makes a limit of `blocks`. Returns `None` if `blocks` is 0 or more than [`BlockLimit::MAX`].
    #[must_use]
    pub const fn new(blocks: u32) -> Option<Self> {
        if blocks == 0 || blocks > Self::MAX.0 { None } else { Some(Self(blocks)) }
    }

    /// Returns the number of blocks.
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

/// Returns how many attempts may fail for this length of the tag: at most 2^20, and so few that a forgery succeeds with a probability of at
/// most 2^-22.
pub(crate) const fn failure_limit<C: AeadCore>() -> u32 {
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

    /// Returns the count after `blocks` more blocks, if the limit allows them.
    pub(crate) fn with(self, blocks: u64) -> Option<Self> {
        let blocks = u32::try_from(blocks).ok()?;
        (blocks <= self.remaining()).then(|| Self { used: self.used + blocks, ..self })
    }
}
