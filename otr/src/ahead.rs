//! Nonces that are known before their messages.

use core::fmt;

use aead::{Error, Nonce, Tag, inout::InOutBuf};
use cipher::{BlockCipherEncrypt, BlockSizeUser};

use crate::{
    AdProcessing, BlockSize, NonceSize, Otr, Parallel, TagSize,
    field::Field,
    rules::{Call, FieldOf, InOrder},
};

/// [`Otr`] for whoever knows the next nonce, as from a counter: with each message it prepares the one after it.
///
/// A backend of several blocks takes as long for one of them, and the last calls of a message leave places free. One of these
/// encrypts the nonce block of the next message, which then starts at once: to seal a message of up to 8 bytes takes one call of
/// TWINE instead of two, one of 16 bytes two instead of three; to open it takes one call more, and one less than without. What is sealed
/// and opened is what [`Otr`] seals and opens. With associated data of more than a block nothing is saved, as a rule: its blocks
/// take a call before the message, in which the nonce block has room.
///
/// What is kept is one block of output, and whose it is: 16 bytes with blocks of 8. It serves the nonce that was named, under
/// the key that this value has: one message that is sealed, or attempts to open until one succeeds. With the feature `zeroize` it is
/// erased then and on drop. With [`Combined`](crate::Combined), where the nonce block depends on the associated data, nothing is prepared.
/// ```
/// use otr_mode::{Otr, OtrAhead, Parallel, aead::{AeadInOut, KeyInit}, consts::{U7, U8}};
/// use twine_cipher::Twine128;
///
/// let key = [0x42; 16].into();
/// let mut ahead = OtrAhead::from(Otr::<Twine128, U7, U8, Parallel>::new(&key));
/// let nonce = |counter: u8| [0, 0, 0, 0, 0, 0, counter].into(); // never the same twice
/// for counter in 0..3 {
///     let mut buffer = *b"a reading";
///     let buffer = buffer.as_mut_slice().into();
///     let tag = ahead.encrypt_inout_detached(&nonce(counter), Some(&nonce(counter + 1)), b"sensor 7", buffer)?;
/// }
/// # Ok::<(), otr_mode::Error>(())
/// ```
pub struct OtrAhead<C, N, T, A = Parallel>
where
    C: BlockSizeUser<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    otr: Otr<C, N, T, A>,
    /// The nonce block that was encrypted ahead: zero, which is none's, if there is not one.
    format: FieldOf<C>,
    output: FieldOf<C>,
}

impl<C, N, T, A> OtrAhead<C, N, T, A>
where
    C: BlockCipherEncrypt<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    /// Without preparation of anything.
    #[must_use]
    pub fn otr(&self) -> &Otr<C, N, T, A> {
        &self.otr
    }

    /// As [`Otr::set_key_with`]. What was prepared under the key before is erased.
    pub fn set_key_with(&mut self, set_key: impl FnOnce(&mut C)) {
        self.forget();
        self.otr.set_key_with(set_key);
    }

    /// Encrypts `buffer` and returns its tag, as [`Otr`] does, and prepares for the nonce `next`.
    ///
    /// # Errors
    /// As [`Otr`]: nothing is written then.
    pub fn encrypt_inout_detached(
        &mut self,
        nonce: &Nonce<Otr<C, N, T, A>>,
        next: Option<&Nonce<Otr<C, N, T, A>>>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag<Otr<C, N, T, A>>, Error> {
        let format = Otr::<C, N, T, A>::format(nonce);
        let next = Self::next_format(next);
        let nonces = &mut self.nonces(format, next);
        // Erased before the cipher runs, which may panic: it serves once.
        self.forget();
        let tag = self.otr.encrypt(format, nonces, associated_data, buffer);
        self.keep(next, nonces.next);
        tag
    }

    /// Encrypts `buffer` and returns its tag, as [`Otr`] does, and leaves what was prepared as it is. Whoever also prepares nonces has less
    /// code so than by [`OtrAhead::otr`].
    ///
    /// # Errors
    /// As [`Otr`]: nothing is written then.
    pub fn encrypt_apart(
        &self,
        nonce: &Nonce<Otr<C, N, T, A>>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag<Otr<C, N, T, A>>, Error> {
        let nonces = &mut InOrder { output: None, next: Call::NONE };
        self.otr.encrypt(Otr::<C, N, T, A>::format(nonce), nonces, associated_data, buffer)
    }

    /// Decrypts `buffer` if the tag is right, as [`Otr`] does, and then prepares for the nonce `next`. If the tag is wrong, what was
    /// prepared remains: whoever forges a message does not make the next one slower.
    ///
    /// # Errors
    /// As [`Otr`]: the whole output is zero then.
    pub fn decrypt_inout_detached(
        &mut self,
        nonce: &Nonce<Otr<C, N, T, A>>,
        next: Option<&Nonce<Otr<C, N, T, A>>>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Otr<C, N, T, A>>,
    ) -> Result<(), Error> {
        let format = Otr::<C, N, T, A>::format(nonce);
        let next = Self::next_format(next);
        let nonces = &mut self.nonces(format, next);
        self.otr.decrypt(format, nonces, associated_data, buffer, tag)?;
        self.keep(next, nonces.next);
        Ok(())
    }

    /// What is known for a message with the nonce block `format`, and the one to prepare.
    fn nonces(&self, format: FieldOf<C>, next: FieldOf<C>) -> InOrder<FieldOf<C>> {
        // Nonces are no secrets.
        let output = (format == self.format).then_some(self.output);
        InOrder { output, next: Call { block: next, is_pending: next != Field::ZERO } }
    }

    /// The nonce block to prepare; zero if there is nothing to prepare.
    fn next_format(next: Option<&Nonce<Otr<C, N, T, A>>>) -> FieldOf<C> {
        next.filter(|_| A::NONCE_FIRST).map_or(Field::ZERO, Otr::<C, N, T, A>::format)
    }

    fn keep(&mut self, format: FieldOf<C>, call: Call<FieldOf<C>>) {
        // When decrypting there is always room for it; when encrypting, nothing is left of what was.
        if !call.is_pending {
            (self.format, self.output) = (format, call.block);
        }
    }
}

impl<C, N, T, A> OtrAhead<C, N, T, A>
where
    C: BlockSizeUser<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    /// Erases what was prepared.
    fn forget(&mut self) {
        self.format = Field::ZERO;
        #[cfg(feature = "zeroize")]
        zeroize::Zeroize::zeroize(&mut self.output);
        #[cfg(not(feature = "zeroize"))]
        {
            self.output = Field::ZERO;
        }
    }
}

impl<C, N, T, A> From<Otr<C, N, T, A>> for OtrAhead<C, N, T, A>
where
    C: BlockSizeUser<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    fn from(otr: Otr<C, N, T, A>) -> Self {
        Self { otr, format: Field::ZERO, output: Field::ZERO }
    }
}

impl<C, N, T, A> fmt::Debug for OtrAhead<C, N, T, A>
where
    C: BlockSizeUser<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OtrAhead { .. }")
    }
}

impl<C, N, T, A> Drop for OtrAhead<C, N, T, A>
where
    C: BlockSizeUser<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(feature = "zeroize")]
impl<C, N, T, A> zeroize::ZeroizeOnDrop for OtrAhead<C, N, T, A>
where
    C: BlockSizeUser<BlockSize: BlockSize> + zeroize::ZeroizeOnDrop,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
}
