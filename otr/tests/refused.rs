//! What a refusal leaves: zeros in all that was to be opened, its tag included, and all that was to be sealed as it was.

use std::panic::{AssertUnwindSafe, catch_unwind};

use aead::{Aead, AeadInOut, Buffer, Error};
use aes::Aes128;
use arrayvec::ArrayVec;
use bytes::BytesMut;
use otr_mode::{
    AdProcessing, BlockSize, Combined, KeyInit, NonceSize, Otr, Parallel, Serial, TagSize,
    cipher::{
        Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut,
        ParBlocksSizeUser,
        array::ArraySize,
        consts::{U1, U4, U7, U8, U12, U16},
    },
};
use twine_cipher::Twine128;

/// Calls a function for both sizes of blocks, several of tags, and all ways of processing associated data.
macro_rules! of_every_instance {
    ($function:ident) => {
        $function::<Twine128, U7, U8, Parallel>();
        $function::<Twine128, U7, U8, Serial>();
        $function::<Twine128, U7, U8, Combined>();
        $function::<Twine128, U4, U4, Parallel>();
        $function::<Aes128, U12, U16, Parallel>();
        $function::<Aes128, U12, U16, Serial>();
        $function::<Aes128, U12, U16, Combined>();
    };
}

/// Opens `sealed` in a buffer of each type. What a refusal leaves must be as long as what was given.
fn left_of<A: AeadInOut>(cipher: &A, nonce: &aead::Nonce<A>, sealed: &[u8]) -> Vec<Vec<u8>> {
    fn left<A: AeadInOut, B: Buffer>(cipher: &A, nonce: &aead::Nonce<A>, mut buffer: B) -> Vec<u8> {
        assert_eq!(cipher.decrypt_in_place(nonce, b"ad", &mut buffer), Err(Error));
        buffer.as_ref().to_vec()
    }
    assert_eq!(cipher.decrypt(nonce, aead::Payload { msg: sealed, aad: b"ad" }), Err(Error));
    vec![
        left(cipher, nonce, sealed.to_vec()),
        left(cipher, nonce, sealed.iter().copied().collect::<ArrayVec<u8, 200>>()),
        left(cipher, nonce, BytesMut::from(sealed)),
    ]
}

/// What an attacker sends, of every length from 0, and what was sealed with one bit changed or one byte less.
fn opening_leaves_zeros<C, N, T, A>()
where
    C: BlockCipherEncrypt<BlockSize: BlockSize> + KeyInit,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    let cipher = Otr::<C, N, T, A>::new(&Default::default());
    let nonce = Default::default();
    for len in 0..150 {
        let attack = vec![b'A'; len];
        let sealed = cipher.encrypt(&nonce, aead::Payload { msg: &attack, aad: b"ad" }).unwrap();
        let mut changed = [sealed.clone(), sealed.clone()];
        *changed[0].first_mut().unwrap() ^= 1;
        *changed[1].last_mut().unwrap() ^= 1;
        let cut = sealed[..sealed.len() - 1].to_vec();
        for given in [attack, cut].iter().chain(&changed) {
            for left in left_of(&cipher, &nonce, given) {
                assert_eq!(left, vec![0; given.len()], "{len}");
            }
        }
    }
}

#[test]
fn a_refused_message_leaves_zeros() {
    of_every_instance!(opening_leaves_zeros);
}

/// The trait's own method would encrypt and then find no room for the tag.
fn full_buffers_lose_nothing<C, N, T, A>()
where
    C: BlockCipherEncrypt<BlockSize: BlockSize> + KeyInit,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    let cipher = Otr::<C, N, T, A>::new(&Default::default());
    let nonce = Default::default();
    for len in 0..=50 {
        let mut buffer: ArrayVec<u8, 50> = std::iter::repeat_n(7, len).collect();
        let sealed = cipher.encrypt_in_place(&nonce, b"ad", &mut buffer);
        if len + T::USIZE <= 50 {
            assert_eq!((sealed, buffer.len()), (Ok(()), len + T::USIZE));
            assert_eq!(cipher.decrypt_in_place(&nonce, b"ad", &mut buffer), Ok(()));
        } else {
            assert_eq!(sealed, Err(Error));
        }
        assert_eq!(buffer.as_slice(), vec![7; len]);
    }
}

#[test]
fn a_message_without_room_for_its_tag_stays() {
    of_every_instance!(full_buffers_lose_nothing);
}

/// A buffer that does not keep what it gets.
struct Forgetful(Vec<u8>);

impl AsRef<[u8]> for Forgetful {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsMut<[u8]> for Forgetful {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Buffer for Forgetful {
    fn extend_from_slice(&mut self, _: &[u8]) -> aead::Result<()> {
        self.0.clear();
        Ok(())
    }

    fn truncate(&mut self, _: usize) {}
}

#[test]
fn a_buffer_that_loses_the_message_is_refused() {
    let cipher = Otr::<Twine128, U7, U8>::new(&[1; 16].into());
    assert_eq!(cipher.encrypt_in_place(&[0; 7].into(), b"", &mut Forgetful(vec![7; 30])), Err(Error));
}

/// A cipher, of sorts, of `W` blocks at once, that panics at the call with this number.
struct Panicking<W> {
    calls: std::cell::Cell<usize>,
    width: std::marker::PhantomData<W>,
}

impl<W> BlockSizeUser for Panicking<W> {
    type BlockSize = U8;
}

impl<W: ArraySize> ParBlocksSizeUser for Panicking<W> {
    type ParBlocksSize = W;
}

impl<W: ArraySize> BlockCipherEncrypt for Panicking<W> {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U8>) {
        f.call(self);
    }
}

impl<W: ArraySize> BlockCipherEncBackend for Panicking<W> {
    fn encrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        self.calls.set(self.calls.get().checked_sub(1).expect("a cipher that fails"));
        let sum = block.get_in().iter().fold(0x5Au8, |sum, byte| sum.rotate_left(3) ^ byte);
        let output = [1, 3, 5, 7, 9, 11, 13, 15].map(|odd: u8| sum.wrapping_mul(odd));
        *block.get_out() = output.into();
    }
}

/// Whatever the cipher had decrypted when it panicked: nobody has verified it.
fn a_panic_leaves_zeros<W: ArraySize>() {
    let mut panics = 0;
    for calls in 0..100 {
        let cipher = Panicking::<W> { calls: (calls + 1).into(), width: std::marker::PhantomData };
        let cipher = Otr::<_, U7, U8>::from(cipher);
        let mut buffer = [7; 300];
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let buffer = buffer.as_mut_slice().into();
            cipher.decrypt_inout_detached(&[0; 7].into(), b"ad", buffer, &[0; 8].into())
        }));
        panics += usize::from(opened.is_err());
        assert_eq!(buffer, [0; 300], "{calls} calls");
    }
    assert!((30..100).contains(&panics), "{panics}");
}

#[test]
fn a_cipher_that_panics_leaves_zeros() {
    a_panic_leaves_zeros::<U1>();
    a_panic_leaves_zeros::<U4>();
    a_panic_leaves_zeros::<U16>();
}
