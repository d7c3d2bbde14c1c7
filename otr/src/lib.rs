#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// What the README links: here to the items, as the first of two definitions counts; elsewhere to the files.
//! [`Otr`]: Otr
//! [`Otr::encrypt_pieces`]: Otr::encrypt_pieces
//! [`OtrAhead`]: OtrAhead
//! [`Parallel`]: Parallel
//! [`Serial`]: Serial
//! [`Combined`]: Combined
//! [`PieceError`]: PieceError
//! [`cipher`]: cipher
//! [`aead`]: aead
//! [`twine-otr-aead`]: https://docs.rs/twine-otr-aead
//! [`twine-cipher`]: https://docs.rs/twine-cipher
//! [`Sealer`]: https://docs.rs/twine-otr-aead/latest/twine_otr_aead/struct.Sealer.html
//! [`Opener`]: https://docs.rs/twine-otr-aead/latest/twine_otr_aead/struct.Opener.html
//! [`ChunkSealer`]: https://docs.rs/twine-otr-aead/latest/twine_otr_aead/struct.ChunkSealer.html
//!
#![doc = include_str!("../README.md")]

mod ahead;
mod associated_data;
#[cfg(doctest)]
mod compile_fail;
mod direction;
mod field;
mod masks;
mod message;
mod narrow;
mod pairwise;
mod pieces;
mod rules;
mod size;
mod wide;

#[cfg(feature = "rand_core")]
pub use aead::Generate;
pub use aead::{self, AeadCore, AeadInOut, Error, Key, KeyInit, KeySizeUser, Nonce, Tag, consts};
pub use ahead::OtrAhead;
pub use associated_data::{AdProcessing, Combined, Parallel, Serial};
pub use cipher;
pub use field::BlockSize;
pub use pieces::{PieceEncryptor, PieceError, PieceState};
pub use size::{NonceSize, TagSize};

use core::{fmt, marker::PhantomData, mem};

use aead::{Buffer, TagPosition, array::typenum::Unsigned, inout::InOutBuf};
use cipher::{
    AlgorithmName, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
};
use subtle::ConstantTimeEq as _;

use direction::{DECRYPT, Direction, ENCRYPT};
use field::Field;
use rules::{FieldOf, MaskAndTa, Nonces, Progress, Single};

/// OTR (v3) over the block cipher `C`, with nonces of `N` bytes and tags of `T` bytes. `A` processes the associated data.
///
/// OTR uses only the encryption of `C`. The compiler checks the sizes. A block has 8 or 16 bytes. A nonce has at least 1 byte
/// and at least one byte less than the block. A tag has at least 4 bytes and at most a block.
///
/// Both sizes are encoded with the nonce. So instances with other sizes may share a key. **Instances with another `A` must not.**
///
/// A nonce must never repeat under a key. The caller sees to that, for example with a nonce counter.
/// ```
/// use otr_mode::{Otr, Parallel, aead::{AeadInOut, KeyInit}, consts::{U7, U8}};
/// use twine_cipher::Twine128;
///
/// let cipher = Otr::<Twine128, U7, U8, Parallel>::new(&[0x42; 16].into());
/// let nonce = [0; 7].into(); // a counter: never the same twice
/// let mut buffer = *b"a reading";
/// let tag = cipher.encrypt_inout_detached(&nonce, b"sensor 7", buffer.as_mut_slice().into())?;
/// cipher.decrypt_inout_detached(&nonce, b"sensor 7", buffer.as_mut_slice().into(), &tag)?;
/// assert_eq!(&buffer, b"a reading");
/// # Ok::<(), otr_mode::Error>(())
/// ```
///
/// With the feature `getrandom`, [`Generate`] makes a key of the system's random bytes:
/// ```
/// # #[cfg(feature = "getrandom")] {
/// use otr_mode::{Generate, Key, KeyInit, Otr, consts::{U7, U8}};
/// use twine_cipher::Twine128;
///
/// type Aead = Otr<Twine128, U7, U8>;
/// let key = Key::<Aead>::generate();
/// let cipher = Aead::new(&key);
/// # }
/// ```
#[doc(alias("encrypt", "decrypt"))]
pub struct Otr<C, N, T, A = Parallel>
where
    C: BlockSizeUser<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    cipher: C,
    /// Q = E(0), in the order of memory. The masks of the associated data come from it.
    q: FieldOf<C>,
    sizes: PhantomData<(N, T, A)>,
}

impl<C, N, T, A> Otr<C, N, T, A>
where
    C: BlockCipherEncrypt<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    /// Changes the key of the cipher in place, by `set_key`. A cipher that is returned or moved may leave a copy of its round
    /// keys on the stack.
    pub fn set_key_with(&mut self, set_key: impl FnOnce(&mut C)) {
        set_key(&mut self.cipher);
        self.q = Self::q_of(&self.cipher);
    }

    /// Takes a cipher that has no key yet. [`Otr::set_key_with`] must set one before any use.
    #[doc(hidden)]
    #[inline]
    pub fn without_key(cipher: C) -> Self {
        Self { cipher, q: Field::ZERO, sizes: PhantomData }
    }

    /// Computes Q.
    fn q_of(cipher: &C) -> FieldOf<C> {
        let mut block = cipher::Block::<C>::default();
        cipher.encrypt_block(&mut block);
        Field::load(&block)
    }

    /// Returns Format(tag size, nonce). It has 7 bits of the tag's length in bits modulo n, then zeros, a one bit, and the nonce.
    #[allow(clippy::cast_possible_truncation, reason = "at most 120")]
    #[cfg_attr(all(otr_small, not(otr_unaligned_words)), inline(never))]
    fn format(nonce: &Nonce<Self>) -> FieldOf<C> {
        let mut block = cipher::Block::<C>::default();
        block[C::BlockSize::USIZE - N::USIZE - 1] = 1;
        block[0] |= ((8 * T::USIZE % (8 * C::BlockSize::USIZE)) as u8) << 1;
        FieldOf::<C>::load(&block) ^ Field::load_end(nonce)
    }

    /// Runs the mode in one direction, in one closure of the cipher. Returns the whole block from which the tag is cut.
    #[cfg_attr(otr_small, inline(never))]
    fn run(
        &self,
        format: FieldOf<C>,
        nonces: &mut impl Nonces<FieldOf<C>>,
        associated_data: &[u8],
        message: InOutBuf<'_, '_, u8>,
        direction: impl Direction,
    ) -> FieldOf<C> {
        let mut tag = FieldOf::<C>::ZERO;
        self.cipher.encrypt_with_backend(Run::<C::BlockSize, A, _, _> {
            q: self.q,
            format,
            nonces,
            associated_data,
            message,
            tag: &mut tag,
            direction,
            processing: PhantomData,
        });
        tag
    }

    /// Encrypts `buffer` under the nonce block `format` and returns its tag. Returns an error if the input is too long.
    fn encrypt(
        &self,
        format: FieldOf<C>,
        nonces: &mut impl Nonces<FieldOf<C>>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag<Self>, Error> {
        if !masks::are_enough(C::BlockSize::USIZE, associated_data.len(), buffer.len()) {
            return Err(Error);
        }
        Ok(Self::truncate(self.run(format, nonces, associated_data, buffer, ENCRYPT)))
    }

    /// Decrypts `buffer` if the tag is right. Otherwise the whole output is zero.
    fn decrypt(
        &self,
        format: FieldOf<C>,
        nonces: &mut impl Nonces<FieldOf<C>>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Self>,
    ) -> Result<(), Error> {
        let mut buffer = Unverified(buffer);
        if !masks::are_enough(C::BlockSize::USIZE, associated_data.len(), buffer.0.len()) {
            return Err(Error);
        }
        let expected =
            Self::truncate(self.run(format, nonces, associated_data, buffer.0.reborrow(), DECRYPT));
        let is_right: bool = FieldOf::<C>::load_start(&expected).ct_eq(&Field::load_start(tag)).into();
        if is_right {
            buffer.verified();
            Ok(())
        } else {
            Err(Error)
        }
    }

    #[inline(always)]
    fn truncate(tag: FieldOf<C>) -> Tag<Self> {
        let mut truncated = Tag::<Self>::default();
        truncated.copy_from_slice(&tag.store()[..T::USIZE]);
        truncated
    }
}

/// Zeroes `bytes`, even if their buffer is freed next.
fn clear(bytes: &mut [u8]) {
    // On a small device `memset` would be linked for this alone.
    #[cfg(otr_small)]
    for byte in bytes {
        *byte = core::hint::black_box(0);
    }
    #[cfg(not(otr_small))]
    {
        bytes.fill(0);
        core::hint::black_box(bytes);
    }
}

/// A buffer whose output is not verified yet. It is zeroed on drop, and so also when the cipher panics.
struct Unverified<'inp, 'out>(InOutBuf<'inp, 'out, u8>);

impl Unverified<'_, '_> {
    /// Keeps the output: its tag is right.
    fn verified(self) {
        mem::forget(self);
    }
}

impl Drop for Unverified<'_, '_> {
    fn drop(&mut self) {
        clear(self.0.get_out());
    }
}

/// A whole run of the mode, as the closure that the cipher calls with its backend.
struct Run<'a, 'inp, 'out, B: BlockSize, A, X, D> {
    q: B::Field,
    format: B::Field,
    nonces: &'a mut X,
    associated_data: &'a [u8],
    message: InOutBuf<'inp, 'out, u8>,
    tag: &'a mut B::Field,
    direction: D,
    processing: PhantomData<A>,
}

impl<B: BlockSize, A, X, D> BlockSizeUser for Run<'_, '_, '_, B, A, X, D> {
    type BlockSize = B;
}

impl<S, A, X, D> BlockCipherEncClosure for Run<'_, '_, '_, S, A, X, D>
where
    S: BlockSize,
    A: AdProcessing,
    X: Nonces<S::Field>,
    D: Direction,
{
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = S>>(self, backend: &B) {
        let output = self.nonces.output();
        let MaskAndTa { l, ta } = A::process(backend, self.q, self.format, output, self.associated_data);
        *self.tag =
            message::process(backend, Progress::new(l), self.message, ta, self.nonces, self.direction);
    }
}

impl<C, N, T, A> From<C> for Otr<C, N, T, A>
where
    C: BlockCipherEncrypt<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    fn from(cipher: C) -> Self {
        let mut otr = Self::without_key(cipher);
        otr.q = Self::q_of(&otr.cipher);
        otr
    }
}

impl<C, N, T, A> KeySizeUser for Otr<C, N, T, A>
where
    C: BlockSizeUser<BlockSize: BlockSize> + KeySizeUser,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    type KeySize = C::KeySize;
}

impl<C, N, T, A> KeyInit for Otr<C, N, T, A>
where
    C: BlockCipherEncrypt<BlockSize: BlockSize> + KeyInit,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    fn new(key: &Key<Self>) -> Self {
        Self::from(C::new(key))
    }
}

impl<C, N, T, A> AeadCore for Otr<C, N, T, A>
where
    C: BlockSizeUser<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    type NonceSize = N;
    type TagSize = T;
    const TAG_POSITION: TagPosition = TagPosition::Postfix;
}

impl<C, N, T, A> AeadInOut for Otr<C, N, T, A>
where
    C: BlockCipherEncrypt<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    /// Encrypts `buffer` and returns its tag.
    ///
    /// # Errors
    /// The message has more than 2^60 blocks, or the associated data has more than 2^59 blocks. Nothing is written then.
    fn encrypt_inout_detached(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag<Self>, Error> {
        self.encrypt(Self::format(nonce), &mut Single, associated_data, buffer)
    }

    /// Decrypts `buffer` if the tag is right. Otherwise the whole output is zero, also if the cipher panics.
    ///
    /// # Errors
    /// The tag is wrong, or the message or the associated data is too long to have been encrypted. The error does not say which.
    fn decrypt_inout_detached(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Self>,
    ) -> Result<(), Error> {
        self.decrypt(Self::format(nonce), &mut Single, associated_data, buffer, tag)
    }

    /// Encrypts the message in `buffer` and appends its tag.
    ///
    /// # Errors
    /// Those of [`AeadInOut::encrypt_inout_detached`], or the buffer has no room for the tag. The message is unchanged then.
    fn encrypt_in_place(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: &mut dyn Buffer,
    ) -> Result<(), Error> {
        let len = buffer.len();
        // An input that is too long must be refused before the buffer grows.
        if !masks::are_enough(C::BlockSize::USIZE, associated_data.len(), len) {
            return Err(Error);
        }
        buffer.extend_from_slice(&Tag::<Self>::default())?;
        let (message, room) = buffer.as_mut().split_at_mut_checked(len).ok_or(Error)?;
        let room = <&mut Tag<Self>>::try_from(room).map_err(|_| Error)?;
        *room = self.encrypt_inout_detached(nonce, associated_data, message.into())?;
        Ok(())
    }

    /// Decrypts the message in `buffer` if the tag after it is right, and removes the tag.
    ///
    /// # Errors
    /// Those of [`AeadInOut::decrypt_inout_detached`], or the buffer is shorter than a tag. The buffer keeps its length then, and
    /// all of it is zero, including the place of the tag.
    fn decrypt_in_place(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: &mut dyn Buffer,
    ) -> Result<(), Error> {
        let bytes = buffer.as_mut();
        // A buffer that is shorter than a tag is all `tag`.
        let len = bytes.len().saturating_sub(T::USIZE);
        let (message, tag) = bytes.split_at_mut(len);
        let opened = Tag::<Self>::try_from(&*tag).map_err(|_| Error).and_then(|received| {
            self.decrypt_inout_detached(nonce, associated_data, message.into(), &received)
        });
        match opened {
            Ok(()) => buffer.truncate(len),
            Err(_) => clear(tag),
        }
        opened
    }
}

impl<C, N, T, A> Clone for Otr<C, N, T, A>
where
    C: BlockSizeUser<BlockSize: BlockSize> + Clone,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    fn clone(&self) -> Self {
        Self { cipher: self.cipher.clone(), q: self.q, sizes: PhantomData }
    }
}

impl<C, N, T, A> AlgorithmName for Otr<C, N, T, A>
where
    C: BlockSizeUser<BlockSize: BlockSize> + AlgorithmName,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    /// Writes for example `TWINE-128-OTR-p`. The last letter names the processing of associated data.
    fn write_alg_name(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        C::write_alg_name(f)?;
        write!(f, "-OTR-{}", A::LETTER)
    }
}

impl<C, N, T, A> fmt::Debug for Otr<C, N, T, A>
where
    C: BlockSizeUser<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Otr { .. }")
    }
}

impl<C, N, T, A> Drop for Otr<C, N, T, A>
where
    C: BlockSizeUser<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    fn drop(&mut self) {
        #[cfg(feature = "zeroize")]
        zeroize::Zeroize::zeroize(&mut self.q);
    }
}

#[cfg(feature = "zeroize")]
impl<C, N, T, A> zeroize::ZeroizeOnDrop for Otr<C, N, T, A>
where
    C: BlockSizeUser<BlockSize: BlockSize> + zeroize::ZeroizeOnDrop,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
}
