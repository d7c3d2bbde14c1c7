//! Encryption of a message in pieces.

use core::{fmt, marker::PhantomData};

use aead::{Nonce, Tag, array::typenum::Unsigned, inout::InOutBuf};
use cipher::{BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser};

use crate::{
    AdProcessing, BlockSize, NonceSize, Otr, TagSize,
    direction::ENCRYPT,
    field::{Element, Field},
    masks, message,
    rules::{Call, FieldOf, MaskAndTa, Progress, Single},
};

/// Encrypts one message that comes in pieces, so that the sender need not hold the whole message. [`Otr::encrypt_pieces`] makes it.
///
/// The result is the same as that of encrypting the whole message at once. The length of each piece except the last is a multiple of
/// [`PieceEncryptor::PAIR`] bytes (a pair of blocks), because the mode treats the end of a message in another way.
///
/// **The nonce is used from the first piece on**, even if the message is never finished. It must not encrypt anything else.
///
/// There is no decryption in pieces. It would release plaintext before the tag, at the very end, is verified. So the receiver must hold the
/// whole message. If the receiver cannot, send chunks: each chunk is a message of its own, with its own tag.
/// ```
/// use otr_mode::{Otr, aead::{AeadInOut, KeyInit}, consts::{U7, U8}};
/// use twine_cipher::Twine128;
///
/// let cipher = Otr::<Twine128, U7, U8>::new(&[0x42; 16].into());
/// let nonce = [0; 7].into(); // a counter: never the same twice
/// let mut message = *b"a message that comes in pieces";
/// let (one, other) = message.split_at_mut(16);
/// let mut pieces = cipher.encrypt_pieces(&nonce, b"header")?;
/// pieces.update(one.into())?;
/// let tag = pieces.finalize(other.into())?;
///
/// cipher.decrypt_inout_detached(&nonce, b"header", message.as_mut_slice().into(), &tag)?;
/// assert_eq!(&message, b"a message that comes in pieces");
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[doc(alias("streaming", "multipart", "incremental"))]
pub struct PieceEncryptor<'a, C, N, T, A = crate::Parallel>
where
    C: BlockSizeUser<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    otr: &'a Otr<C, N, T, A>,
    state: PieceState<C>,
}

/// The state of a message in pieces, without the key. It is for callers that cannot borrow the key between two pieces. The state is secret.
/// With the feature `zeroize` it is erased on drop.
///
/// [`PieceEncryptor::suspend`] returns it, and [`Otr::resume_pieces`] takes it, with the same key.
pub struct PieceState<C: BlockSizeUser<BlockSize: BlockSize>> {
    progress: Progress<FieldOf<C>>,
    ta: FieldOf<C>,
    /// The length so far in bytes.
    len: u64,
    max_len: u64,
    stage: Stage,
}

/// Whether a message can continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// The cipher is running. If a call finds this stage at its start, the cipher panicked in an earlier call.
    Busy,
    Finished,
}

impl<C, N, T, A> Otr<C, N, T, A>
where
    C: BlockCipherEncrypt<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    /// Begins to encrypt a message that comes in pieces.
    ///
    /// The blocks of all pieces and of the associated data count towards the limit of blocks per key, as for any message.
    ///
    /// # Errors
    /// [`PieceError::TooLong`] if the associated data has more than 2^59 blocks.
    #[doc(alias("streaming", "multipart", "incremental"))]
    pub fn encrypt_pieces(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
    ) -> Result<PieceEncryptor<'_, C, N, T, A>, PieceError> {
        if !masks::are_enough(C::BlockSize::USIZE, associated_data.len(), 0) {
            return Err(PieceError::TooLong);
        }
        let mut progress = Progress::new(Element::ZERO);
        let mut ta = FieldOf::<C>::ZERO;
        self.cipher.encrypt_with_backend(Begin::<C::BlockSize, A> {
            q: self.q,
            format: Self::format(nonce),
            associated_data,
            mask: &mut progress.mask,
            ta: &mut ta,
            processing: PhantomData,
        });
        let max_len = masks::MAX_MASKS.saturating_mul(PieceEncryptor::<C, N, T, A>::PAIR as u64);
        Ok(self.resume_pieces(PieceState { progress, ta, len: 0, max_len, stage: Stage::Open }))
    }

    /// Continues a message in pieces. The message must have been begun under this key. Otherwise nobody can open it.
    #[must_use]
    pub fn resume_pieces(&self, state: PieceState<C>) -> PieceEncryptor<'_, C, N, T, A> {
        PieceEncryptor { otr: self, state }
    }
}

impl<C, N, T, A> PieceEncryptor<'_, C, N, T, A>
where
    C: BlockCipherEncrypt<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    /// The length of a pair of blocks in bytes.
    pub const PAIR: usize = 2 * <C::BlockSize as Unsigned>::USIZE;

    /// Limits the whole message to `bytes` bytes, including what is already encrypted. If this leaves nothing for the last piece, the
    /// message cannot be finished. The limit can only be lowered.
    #[must_use]
    pub fn with_max_len(mut self, bytes: u64) -> Self {
        self.state.max_len = self.state.max_len.min(bytes);
        self
    }

    /// Returns the state with which [`Otr::resume_pieces`] continues.
    #[must_use]
    pub fn suspend(self) -> PieceState<C> {
        self.state
    }

    /// Encrypts a piece that is not the last one. The piece has any number of whole pairs of blocks, or none. At least one byte must be left
    /// for the last piece.
    ///
    /// # Errors
    /// See [`PieceError`]. Nothing is written then, and another piece can take the place of this one.
    pub fn update(&mut self, buffer: InOutBuf<'_, '_, u8>) -> Result<(), PieceError> {
        let len = self.len_with(buffer.len())?;
        if buffer.len() % Self::PAIR != 0 {
            return Err(PieceError::NotPairs);
        }
        if len == self.state.max_len && !buffer.is_empty() {
            return Err(PieceError::TooLong);
        }
        (self.state.len, self.state.stage) = (len, Stage::Busy);
        self.otr.cipher.encrypt_with_backend(Update { progress: &mut self.state.progress, pairs: buffer });
        self.state.stage = Stage::Open;
        Ok(())
    }

    /// Encrypts the last piece and returns the tag of the message. The last piece may have any length, but it must not be empty unless the
    /// whole message is empty.
    ///
    /// # Errors
    /// See [`PieceError`]. Nothing is written then, and the message can continue or end with another piece.
    pub fn finalize(&mut self, buffer: InOutBuf<'_, '_, u8>) -> Result<Tag<Otr<C, N, T, A>>, PieceError> {
        let len = self.len_with(buffer.len())?;
        if buffer.is_empty() && len > 0 {
            return Err(PieceError::EmptyEnd);
        }
        (self.state.len, self.state.stage) = (len, Stage::Busy);
        let mut te = FieldOf::<C>::ZERO;
        self.otr.cipher.encrypt_with_backend(Finalize {
            progress: self.state.progress,
            rest: buffer,
            te: &mut te,
        });
        self.state.stage = Stage::Finished;
        Ok(Otr::<C, N, T, A>::truncate(te ^ self.state.ta))
    }

    /// Returns the length after `more` bytes, if the message can have them.
    fn len_with(&self, more: usize) -> Result<u64, PieceError> {
        match self.state.stage {
            Stage::Open => {}
            Stage::Busy => return Err(PieceError::Interrupted),
            Stage::Finished => return Err(PieceError::Finished),
        }
        let len = self.state.len.checked_add(more as u64).filter(|len| *len <= self.state.max_len);
        len.ok_or(PieceError::TooLong)
    }
}

/// Processes the associated data and the nonce.
struct Begin<'a, B: BlockSize, A> {
    q: B::Field,
    format: B::Field,
    associated_data: &'a [u8],
    mask: &'a mut Element<B::Field>,
    ta: &'a mut B::Field,
    processing: PhantomData<A>,
}

impl<B: BlockSize, A> BlockSizeUser for Begin<'_, B, A> {
    type BlockSize = B;
}

impl<S: BlockSize, A: AdProcessing> BlockCipherEncClosure for Begin<'_, S, A> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = S>>(self, backend: &B) {
        let MaskAndTa { l, ta } = A::process(backend, self.q, self.format, None, self.associated_data);
        *self.mask = l;
        *self.ta = ta.block;
        if ta.is_pending {
            let mut block = ta.block.store();
            backend.encrypt_block_inplace(&mut block);
            *self.ta = Field::load(&block);
        }
    }
}

/// Encrypts whole pairs.
struct Update<'a, 'inp, 'out, B: BlockSize> {
    progress: &'a mut Progress<B::Field>,
    pairs: InOutBuf<'inp, 'out, u8>,
}

impl<B: BlockSize> BlockSizeUser for Update<'_, '_, '_, B> {
    type BlockSize = B;
}

impl<S: BlockSize> BlockCipherEncClosure for Update<'_, '_, '_, S> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = S>>(self, backend: &B) {
        message::encrypt_pairs(backend, self.progress, self.pairs.into_chunks().0.into_chunks().0);
    }
}

/// Encrypts the last piece and computes TE.
struct Finalize<'a, 'inp, 'out, B: BlockSize> {
    progress: Progress<B::Field>,
    rest: InOutBuf<'inp, 'out, u8>,
    te: &'a mut B::Field,
}

impl<B: BlockSize> BlockSizeUser for Finalize<'_, '_, '_, B> {
    type BlockSize = B;
}

impl<S: BlockSize> BlockCipherEncClosure for Finalize<'_, '_, '_, S> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = S>>(self, backend: &B) {
        *self.te = message::process(backend, self.progress, self.rest, Call::NONE, &mut Single, ENCRYPT);
    }
}

impl<C, N, T, A> fmt::Debug for PieceEncryptor<'_, C, N, T, A>
where
    C: BlockSizeUser<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PieceEncryptor").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<C: BlockSizeUser<BlockSize: BlockSize>> fmt::Debug for PieceState<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PieceState")
            .field("len", &self.len)
            .field("max_len", &self.max_len)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

impl<C: BlockSizeUser<BlockSize: BlockSize>> Drop for PieceState<C> {
    fn drop(&mut self) {
        #[cfg(feature = "zeroize")]
        {
            use zeroize::Zeroize;

            self.progress.mask.zeroize();
            self.progress.checksum.zeroize();
            self.ta.zeroize();
        }
    }
}

#[cfg(feature = "zeroize")]
impl<C: BlockSizeUser<BlockSize: BlockSize>> zeroize::ZeroizeOnDrop for PieceState<C> {}

#[cfg(feature = "zeroize")]
impl<C, N, T, A> zeroize::ZeroizeOnDrop for PieceEncryptor<'_, C, N, T, A>
where
    C: BlockSizeUser<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
}

/// Why a piece was not encrypted. The buffer and the [`PieceEncryptor`] are unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PieceError {
    /// A piece before the last one must consist of whole pairs of blocks.
    NotPairs,
    /// The last piece must not be empty if there are others, because the end of a message is encrypted in another way.
    EmptyEnd,
    /// The message would be longer than 2^60 blocks or than [`PieceEncryptor::with_max_len`] allows. Or a piece before the last one would
    /// leave no byte for the last one. Or the associated data has more than 2^59 blocks.
    TooLong,
    /// The last piece was already encrypted. Nothing can follow it.
    Finished,
    /// The cipher panicked in an earlier piece. Another piece would be encrypted under the same masks. The message is lost.
    Interrupted,
}

impl fmt::Display for PieceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPairs => "a piece before the last one must consist of whole pairs of blocks",
            Self::EmptyEnd => "the last piece must not be empty if there are others",
            Self::TooLong => "the message would be too long",
            Self::Finished => "nothing can follow the last piece",
            Self::Interrupted => "the cipher panicked in an earlier piece",
        })
    }
}

impl core::error::Error for PieceError {}
