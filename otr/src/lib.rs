#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod ahead;
mod associated_data;
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

/// OTR (v3) over the block cipher `C`, with nonces of `N` and tags of `T` bytes and associated data processed as `A` says.
///
/// Only the encryption of `C` is used. Sizes are checked by the compiler: blocks have 8 or 16 bytes, nonces 1 byte to one
/// less than the block, tags 4 bytes to one block. Both sizes are encoded with the nonce, so that instances that differ in
/// them may share a key; instances that differ in `A` must not.
///
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
/// A nonce as long as the block does not compile:
/// ```compile_fail,E0271
/// # use otr_mode::{Otr, Parallel, aead::KeyInit, consts::{U7, U8}};
/// # use twine_cipher::Twine128;
/// let cipher = Otr::<Twine128, U8, U8, Parallel>::new(&[0; 16].into());
/// ```
/// nor does one of no bytes:
/// ```compile_fail,E0271
/// # use otr_mode::{Otr, Parallel, aead::KeyInit, consts::{U0, U8}};
/// # use twine_cipher::Twine128;
/// let cipher = Otr::<Twine128, U0, U8, Parallel>::new(&[0; 16].into());
/// ```
/// a tag of three bytes:
/// ```compile_fail,E0271
/// # use otr_mode::{Otr, Parallel, aead::KeyInit, consts::{U7, U3}};
/// # use twine_cipher::Twine128;
/// let cipher = Otr::<Twine128, U7, U3, Parallel>::new(&[0; 16].into());
/// ```
/// a tag longer than the block:
/// ```compile_fail,E0271
/// # use otr_mode::{Otr, Parallel, aead::KeyInit, consts::{U7, U9}};
/// # use twine_cipher::Twine128;
/// let cipher = Otr::<Twine128, U7, U9, Parallel>::new(&[0; 16].into());
/// ```
/// or a cipher whose block has neither 8 nor 16 bytes:
/// ```compile_fail,E0277
/// # use otr_mode::{Otr, Parallel, cipher::{BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser}, consts::{U4, U3}};
/// struct ShortBlocks;
/// impl BlockSizeUser for ShortBlocks {
///     type BlockSize = U4;
/// }
/// impl BlockCipherEncrypt for ShortBlocks {
///     fn encrypt_with_backend(&self, _: impl BlockCipherEncClosure<BlockSize = U4>) {}
/// }
/// let cipher = Otr::<ShortBlocks, U3, U4, Parallel>::from(ShortBlocks);
/// ```
pub struct Otr<C, N, T, A = Parallel>
where
    C: BlockSizeUser<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    cipher: C,
    /// Q = E(0), as it lies in memory: associated data takes its masks from it.
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
    /// Changes the key of the cipher, by `set_key`, where the cipher lies. A cipher that is returned or moved may leave a copy of
    /// its round keys on the stack.
    pub fn set_key_with(&mut self, set_key: impl FnOnce(&mut C)) {
        set_key(&mut self.cipher);
        self.q = Self::q_of(&self.cipher);
    }

    /// With a cipher that gets its key by [`Otr::set_key_with`] before it is used.
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

    /// Format(tag size, nonce): 7 bits of the tag's length in bits modulo n, zeros, a one bit, the nonce.
    #[allow(clippy::cast_possible_truncation, reason = "at most 120")]
    #[cfg_attr(all(otr_small, not(otr_unaligned_words)), inline(never))]
    fn format(nonce: &Nonce<Self>) -> FieldOf<C> {
        let mut block = cipher::Block::<C>::default();
        block[C::BlockSize::USIZE - N::USIZE - 1] = 1;
        block[0] |= ((8 * T::USIZE % (8 * C::BlockSize::USIZE)) as u8) << 1;
        FieldOf::<C>::load(&block) ^ Field::load_end(nonce)
    }

    /// Runs the mode in one direction, in one closure of the cipher, and returns the whole block of the tag.
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

    /// Encrypts `buffer` under the nonce block `format` and returns its tag; an error if it is too long.
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

    /// Decrypts `buffer` if the tag is right; otherwise its whole output is zero.
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

/// Zeroes `bytes`, also those of a buffer that is freed next.
fn clear(bytes: &mut [u8]) {
    // On a small device `memset` would be there for this alone.
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

/// A buffer whose output is not verified yet: it is zeroed, also when a cipher panics.
struct Unverified<'inp, 'out>(InOutBuf<'inp, 'out, u8>);

impl Unverified<'_, '_> {
    /// Leaves the output.
    fn verified(self) {
        mem::forget(self);
    }
}

impl Drop for Unverified<'_, '_> {
    fn drop(&mut self) {
        clear(self.0.get_out());
    }
}

/// A whole run of the mode, as what the cipher calls with its backend.
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
    /// If the message has more than 2^60 blocks or the associated data more than 2^59: nothing is written then.
    fn encrypt_inout_detached(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag<Self>, Error> {
        self.encrypt(Self::format(nonce), &mut Single, associated_data, buffer)
    }

    /// Decrypts `buffer` if the tag is right; otherwise its whole output is zero, and so it is if the cipher panics.
    ///
    /// # Errors
    /// If the tag is wrong, or the message or the associated data too long to have been encrypted; not said which.
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
    /// As [`AeadInOut::encrypt_inout_detached`], and if the buffer has no room for the tag: the message is as it was then.
    fn encrypt_in_place(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: &mut dyn Buffer,
    ) -> Result<(), Error> {
        let len = buffer.len();
        // What is too long must be refused before room is made.
        if !masks::are_enough(C::BlockSize::USIZE, associated_data.len(), len) {
            return Err(Error);
        }
        buffer.extend_from_slice(&Tag::<Self>::default())?;
        let (message, room) = buffer.as_mut().split_at_mut_checked(len).ok_or(Error)?;
        let room = <&mut Tag<Self>>::try_from(room).map_err(|_| Error)?;
        *room = self.encrypt_inout_detached(nonce, associated_data, message.into())?;
        Ok(())
    }

    /// Decrypts the message in `buffer` if the tag behind it is right, and cuts the tag off.
    ///
    /// # Errors
    /// As [`AeadInOut::decrypt_inout_detached`], and if there is less than a tag. The buffer keeps its length then, and all of it is
    /// zero, the place of the tag too.
    fn decrypt_in_place(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: &mut dyn Buffer,
    ) -> Result<(), Error> {
        let bytes = buffer.as_mut();
        // What is shorter than a tag is all `tag`.
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
    /// As in `TWINE-128-OTR-p`: the last letter is the processing of associated data.
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
