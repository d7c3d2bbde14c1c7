//! The mode for nonces that are known before their messages.

use core::fmt;

use aead::{Error, Nonce, Tag, inout::InOutBuf};
use cipher::{BlockCipherEncrypt, BlockSizeUser};

use crate::{
    AdProcessing, BlockSize, NonceSize, Otr, Parallel, TagSize,
    field::Field,
    rules::{Call, FieldOf, InOrder},
};

/// [`Otr`] for callers who know the next nonce, for example from a nonce counter. With each message it prepares the next one.
///
/// A backend that encrypts several blocks at once takes as long for one block as for several, and the last calls of a message have free
/// places. One of these places encrypts the nonce block of the next message, which then starts at once. With TWINE, sealing up to 8 bytes
/// takes one call instead of two, and sealing 16 bytes takes two calls instead of three. Opening takes one call more than sealing, and one
/// less than without preparation. The result is the same as that of [`Otr`]. If the associated data has more than one block, nothing is saved
/// as a rule, because the nonce block then has room in a call for the associated data.
///
/// The prepared value is one block of output and its nonce block: 16 bytes if a block has 8 bytes. It serves only the named nonce under the
/// current key, for one message to seal, or for attempts to open until one succeeds. With the feature `zeroize` its field is erased then and
/// on drop. Copies of it may stay on the stack, as those of other blocks may. With [`Combined`](crate::Combined) nothing is prepared, because
/// the encrypted nonce block depends on the associated data.
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
    /// The nonce block that was encrypted ahead. It is zero if there is none; no nonce block is zero.
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
    /// Returns the mode itself, which prepares nothing.
    #[must_use]
    pub fn otr(&self) -> &Otr<C, N, T, A> {
        &self.otr
    }

    /// Changes the key as [`Otr::set_key_with`] does. What was prepared under the previous key is erased.
    pub fn set_key_with(&mut self, set_key: impl FnOnce(&mut C)) {
        self.forget();
        self.otr.set_key_with(set_key);
    }

    /// Encrypts `buffer` and returns its tag, as [`Otr`] does. Prepares the nonce `next`.
    ///
    /// # Errors
    /// Those of [`Otr`]. Nothing is written then.
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
        // It serves once, so it is erased before the cipher runs, which may panic.
        self.forget();
        let tag = self.otr.encrypt(format, nonces, associated_data, buffer);
        self.keep(next, nonces.next);
        tag
    }

    /// Encrypts `buffer` and returns its tag, as [`Otr`] does. What was prepared remains. In a program that also prepares nonces this takes
    /// less code than [`OtrAhead::otr`] does.
    ///
    /// # Errors
    /// Those of [`Otr`]. Nothing is written then.
    pub fn encrypt_apart(
        &self,
        nonce: &Nonce<Otr<C, N, T, A>>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag<Otr<C, N, T, A>>, Error> {
        let nonces = &mut InOrder { output: None, next: Call::NONE };
        self.otr.encrypt(Otr::<C, N, T, A>::format(nonce), nonces, associated_data, buffer)
    }

    /// Decrypts `buffer` if the tag is right, as [`Otr`] does, and then prepares the nonce `next`. If the tag is wrong, what was prepared
    /// remains, so a forged message does not make the next one slower.
    ///
    /// # Errors
    /// Those of [`Otr`]. The whole output is zero then.
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

    /// Returns what is known of the nonce block `format` of a message, and the nonce block to prepare.
    fn nonces(&self, format: FieldOf<C>, next: FieldOf<C>) -> InOrder<FieldOf<C>> {
        // This comparison may take a variable time: nonces are not secret.
        let output = (format == self.format).then_some(self.output);
        InOrder { output, next: Call { block: next, is_pending: next != Field::ZERO } }
    }

    /// Returns the nonce block to prepare, or zero if there is nothing to prepare.
    fn next_format(next: Option<&Nonce<Otr<C, N, T, A>>>) -> FieldOf<C> {
        next.filter(|_| A::NONCE_FIRST).map_or(Field::ZERO, Otr::<C, N, T, A>::format)
    }

    fn keep(&mut self, format: FieldOf<C>, call: Call<FieldOf<C>>) {
        // In decryption there is always room for it. In encryption the previous one was erased already.
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
