//! What a refusal leaves: zeros in all that was to be opened, its tag included, and all that was to be sealed as it was.

use std::{
    cell::Cell,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use aead::{Aead, AeadInOut, Buffer, Error};
use aes::Aes128;
use arrayvec::ArrayVec;
use bytes::BytesMut;
use otr_mode::{
    AdProcessing, BlockSize, Combined, KeyInit, NonceSize, Otr, OtrAhead, Parallel, PieceEncryptor,
    PieceError, Serial, TagSize,
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

/// A cipher, of sorts, of `W` blocks at once, that panics when it has encrypted so many.
struct Panicking<W> {
    blocks_left: Rc<Cell<usize>>,
    width: PhantomData<W>,
}

impl<W: ArraySize> Panicking<W> {
    fn otr(blocks_left: &Rc<Cell<usize>>) -> Otr<Self, U7, U8> {
        Otr::from(Self { blocks_left: blocks_left.clone(), width: PhantomData })
    }
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
        self.blocks_left.set(self.blocks_left.get().checked_sub(1).expect("a cipher that fails"));
        let sum = block.get_in().iter().fold(0x5Au8, |sum, byte| sum.rotate_left(3) ^ byte);
        let output = [1, 3, 5, 7, 9, 11, 13, 15].map(|odd: u8| sum.wrapping_mul(odd));
        *block.get_out() = output.into();
    }
}

/// Whatever the cipher had decrypted when it panicked: nobody has verified it.
fn a_panic_leaves_zeros<W: ArraySize>() {
    let mut panics = 0;
    for blocks in 0..100 {
        let otr = Panicking::<W>::otr(&Rc::new(Cell::new(blocks + 1)));
        let mut buffer = [7; 300];
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let buffer = buffer.as_mut_slice().into();
            otr.decrypt_inout_detached(&[0; 7].into(), b"ad", buffer, &[0; 8].into())
        }));
        panics += usize::from(opened.is_err());
        assert_eq!(buffer, [0; 300], "{blocks} blocks");
    }
    assert!((30..100).contains(&panics), "{panics}");
}

#[test]
fn a_cipher_that_panics_leaves_zeros() {
    a_panic_leaves_zeros::<U1>();
    a_panic_leaves_zeros::<U4>();
    a_panic_leaves_zeros::<U16>();
}

/// Whatever the cipher had encrypted of a piece when it panicked: another piece would get the same masks.
fn a_panic_ends_a_message_in_pieces<W: ArraySize>() {
    for blocks in 0..40 {
        for is_last in [false, true] {
            let blocks_left = Rc::new(Cell::new(usize::MAX));
            let otr = Panicking::<W>::otr(&blocks_left);
            let mut pieces = otr.encrypt_pieces(&[0; 7].into(), b"ad").unwrap();
            pieces.update((&mut [7; 32][..]).into()).unwrap();
            blocks_left.set(blocks);
            let piece = |pieces: &mut PieceEncryptor<'_, _, U7, U8>, buffer: &mut [u8], is_last| {
                let buffer = buffer.into();
                if is_last { pieces.finalize(buffer).map(drop) } else { pieces.update(buffer) }
            };
            let mut buffer = [7; 320];
            let panicked = catch_unwind(AssertUnwindSafe(|| piece(&mut pieces, &mut buffer, is_last)));
            assert!(panicked.is_err(), "{blocks} blocks");

            blocks_left.set(usize::MAX);
            for is_last in [false, true] {
                let mut buffer = [9; 320];
                assert_eq!(piece(&mut pieces, &mut buffer, is_last), Err(PieceError::Interrupted));
                assert_eq!(buffer, [9; 320]);
            }
        }
    }
}

#[test]
fn a_cipher_that_panics_ends_a_message_in_pieces() {
    a_panic_ends_a_message_in_pieces::<U1>();
    a_panic_ends_a_message_in_pieces::<U4>();
    a_panic_ends_a_message_in_pieces::<U16>();
}

/// Whatever had been prepared or was being prepared when the cipher panicked: what comes next is sealed and opened as ever.
fn a_panic_spoils_nothing_ahead<W: ArraySize>() {
    let [first, this, next] = [1, 2, 3].map(|counter| [counter; 7].into());
    let plain = Panicking::<W>::otr(&Rc::new(Cell::new(usize::MAX)));
    let mut sealed = [7; 100];
    let tag = plain.encrypt_inout_detached(&this, b"ad", sealed.as_mut_slice().into()).unwrap();
    let mut panics = 0;
    for blocks in 0..40 {
        for opens in [false, true] {
            let blocks_left = Rc::new(Cell::new(usize::MAX));
            let mut ahead = OtrAhead::from(Panicking::<W>::otr(&blocks_left));
            ahead.encrypt_inout_detached(&first, Some(&this), b"", (&mut [][..]).into()).unwrap();
            blocks_left.set(blocks);
            let mut buffer = sealed;
            let result = catch_unwind(AssertUnwindSafe(|| {
                let buffer = buffer.as_mut_slice().into();
                if opens {
                    ahead.decrypt_inout_detached(&this, Some(&next), b"ad", buffer, &tag)
                } else {
                    ahead.encrypt_inout_detached(&this, Some(&next), b"ad", buffer).map(drop)
                }
            }));
            panics += usize::from(result.is_err());

            blocks_left.set(usize::MAX);
            for nonce in [&next, &this, &first] {
                let mut buffers = [[7; 100]; 2];
                let [expected, actual] = &mut buffers;
                let tag = plain.encrypt_inout_detached(nonce, b"ad", expected.as_mut_slice().into());
                let actual_tag =
                    ahead.encrypt_inout_detached(nonce, Some(&first), b"ad", actual.as_mut_slice().into());
                assert_eq!((actual_tag, &actual), (tag, &expected), "{blocks} blocks");
            }
        }
    }
    assert!((20..80).contains(&panics), "{panics}");
}

#[test]
fn a_cipher_that_panics_spoils_nothing_ahead() {
    a_panic_spoils_nothing_ahead::<U1>();
    a_panic_spoils_nothing_ahead::<U4>();
    a_panic_spoils_nothing_ahead::<U16>();
}

/// A piece that takes all that the message may have would leave no end, without which there is no tag.
#[test]
fn a_piece_that_leaves_no_end_is_refused() {
    let otr = Otr::<Twine128, U7, U8>::new(&[1; 16].into());
    for (max_len, refused, then) in [(16, 16, 0), (48, 48, 32), (48, 64, 32), (49, 64, 48), (0, 16, 0)] {
        let mut pieces = otr.encrypt_pieces(&[0; 7].into(), b"").unwrap().with_max_len(max_len);
        let mut message = vec![7; refused];
        assert_eq!(pieces.update(message.as_mut_slice().into()), Err(PieceError::TooLong));
        assert_eq!(message, vec![7; refused]);

        let mut message = vec![7; usize::try_from(max_len).unwrap()];
        let mut whole = message.clone();
        let (start, end) = message.split_at_mut(then);
        pieces.update(start.into()).unwrap();
        let tag = pieces.finalize(end.into()).unwrap();
        assert_eq!(otr.encrypt_inout_detached(&[0; 7].into(), b"", whole.as_mut_slice().into()), Ok(tag));
        assert_eq!(message, whole);
    }
}
