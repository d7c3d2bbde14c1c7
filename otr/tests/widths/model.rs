//! The mode against the byte-wise model, for ciphers of every width: all lengths around the batches that they lead to.

use std::{cell::RefCell, marker::PhantomData, rc::Rc};

use aead::{AeadInOut, inout::InOutBuf};
use aes::Aes128;
use otr_mode::{
    AdProcessing, BlockSize, Combined, KeyInit, NonceSize, Otr, Parallel, PieceError, Serial, TagSize,
    cipher::{
        Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut,
        InOutBuf as Blocks, ParBlocks, ParBlocksSizeUser,
        array::ArraySize,
        consts::{U1, U2, U3, U4, U7, U8, U12, U16, U64},
    },
};
use test_vectors::{Cipher, reference};
use twine_cipher::Twine128;

/// A cipher of `W` blocks at once that notes how many blocks each call has.
pub(crate) struct Wide<C, W> {
    cipher: C,
    pub(crate) calls: Rc<RefCell<Vec<usize>>>,
    width: PhantomData<W>,
}

impl<C: KeyInit, W> Wide<C, W> {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self { cipher: C::new_from_slice(key).unwrap(), calls: Rc::default(), width: PhantomData }
    }
}

impl<C: BlockSizeUser, W> BlockSizeUser for Wide<C, W> {
    type BlockSize = C::BlockSize;
}

impl<C: BlockSizeUser, W: ArraySize> ParBlocksSizeUser for Wide<C, W> {
    type ParBlocksSize = W;
}

impl<C: BlockCipherEncrypt, W: ArraySize> BlockCipherEncrypt for Wide<C, W> {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = C::BlockSize>) {
        f.call(self);
    }
}

impl<C: BlockCipherEncrypt, W: ArraySize> BlockCipherEncBackend for Wide<C, W> {
    fn encrypt_block(&self, block: InOut<'_, '_, Block<Self>>) {
        self.calls.borrow_mut().push(1);
        self.cipher.encrypt_block_inout(block);
    }

    fn encrypt_par_blocks(&self, blocks: InOut<'_, '_, ParBlocks<Self>>) {
        self.calls.borrow_mut().push(W::USIZE);
        self.cipher.encrypt_blocks_inout(blocks.into_buf());
    }

    fn encrypt_tail_blocks(&self, blocks: Blocks<'_, '_, Block<Self>>) {
        assert!(blocks.len() < W::USIZE, "the contract of the trait");
        if !blocks.is_empty() {
            self.calls.borrow_mut().push(blocks.len());
            self.cipher.encrypt_blocks_inout(blocks);
        }
    }
}

pub(crate) fn bytes(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * i + 7 * i * seed + seed) % 251).unwrap()).collect()
}

/// Seals and opens every length of message up to two full batches and a bit, with associated data of every length up to
/// the width and a bit, one of the two at a time in full.
fn agrees_with_the_model<C, W, N, T, A>(cipher: Cipher, ad_processing: test_vectors::AdProcessing)
where
    C: BlockCipherEncrypt<BlockSize: BlockSize> + KeyInit,
    W: ArraySize,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    let key = bytes(cipher.key_size(), 1);
    let nonce = bytes(N::USIZE, 2);
    let n = cipher.block_size();
    let otr = Otr::<Wide<C, W>, N, T, A>::from(Wide::new(&key));
    let check = |ad_len: usize, len: usize| {
        let (ad, msg) = (bytes(ad_len, 3), bytes(len, 4));
        let (ct, tag) = reference::seal(cipher, ad_processing, &key, &nonce, &ad, &msg, T::USIZE);
        let nonce = nonce.as_slice().try_into().unwrap();

        // Where words lie as they should, and where they do not.
        let mut sealed = Default::default();
        for offset in [0, 1] {
            let mut buffer = [vec![0; offset], msg.clone()].concat();
            let buffer = &mut buffer[offset..];
            sealed = otr.encrypt_inout_detached(nonce, &ad, (&mut *buffer).into()).unwrap();
            assert_eq!((&*buffer, sealed.as_slice()), (&*ct, &*tag), "seal {ad_len}, {len} in place");
            otr.decrypt_inout_detached(nonce, &ad, (&mut *buffer).into(), &sealed).unwrap();
            assert_eq!(buffer, msg, "open {ad_len}, {len} in place");
        }

        let mut output = vec![0xA5; len];
        let buffers = InOutBuf::new(&msg, &mut output).unwrap();
        assert_eq!(otr.encrypt_inout_detached(nonce, &ad, buffers), Ok(sealed.clone()));
        assert_eq!(output, ct, "seal {ad_len}, {len}");
        output.fill(0xA5);
        let buffers = InOutBuf::new(&ct, &mut output).unwrap();
        assert_eq!(otr.decrypt_inout_detached(nonce, &ad, buffers, &sealed), Ok(()));
        assert_eq!(output, msg, "open {ad_len}, {len}");
    };
    // For wide ciphers all lengths to four blocks, and beyond only those next to the edges of blocks: all kinds of batches and of ends.
    let lengths = |blocks: usize, exhaustive: bool| {
        (0..=blocks * n)
            .filter(move |len| exhaustive || *len <= 4 * n || matches!(len % n, 0 | 1) || len % n == n - 1)
    };
    let exhaustive = W::USIZE <= 4;
    lengths(4 * W::USIZE + 5, exhaustive).for_each(|len| check(n, len));
    lengths(2 * W::USIZE + 5, exhaustive).for_each(|len| check(len, n + 1));
}

fn every_width_and_processing<C, N, T>(cipher: Cipher)
where
    C: BlockCipherEncrypt<BlockSize: BlockSize> + KeyInit,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
{
    fn every_width<C, N, T, A>(cipher: Cipher, ad_processing: test_vectors::AdProcessing)
    where
        C: BlockCipherEncrypt<BlockSize: BlockSize> + KeyInit,
        N: NonceSize<C::BlockSize>,
        T: TagSize<C::BlockSize>,
        A: AdProcessing,
    {
        agrees_with_the_model::<C, U1, N, T, A>(cipher, ad_processing);
        agrees_with_the_model::<C, U2, N, T, A>(cipher, ad_processing);
        agrees_with_the_model::<C, U3, N, T, A>(cipher, ad_processing);
        agrees_with_the_model::<C, U4, N, T, A>(cipher, ad_processing);
        agrees_with_the_model::<C, U8, N, T, A>(cipher, ad_processing);
        agrees_with_the_model::<C, U64, N, T, A>(cipher, ad_processing);
    }
    every_width::<C, N, T, Parallel>(cipher, test_vectors::AdProcessing::Parallel);
    every_width::<C, N, T, Serial>(cipher, test_vectors::AdProcessing::Serial);
    every_width::<C, N, T, Combined>(cipher, test_vectors::AdProcessing::Combined);
}

#[test]
fn blocks_of_64_bits() {
    every_width_and_processing::<Twine128, U7, U8>(Cipher::Twine128);
}

#[test]
fn blocks_of_128_bits() {
    every_width_and_processing::<Aes128, U12, U16>(Cipher::Aes128);
}

/// A message of three pieces of all numbers of pairs, or for wide ciphers of those around their batches, and every kind of end:
/// it must come out as the model says.
fn pieces_agree_with_the_model<C, W, N, T, A>(cipher: Cipher, ad_processing: test_vectors::AdProcessing)
where
    C: BlockCipherEncrypt<BlockSize: BlockSize> + KeyInit,
    W: ArraySize,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    let key = bytes(cipher.key_size(), 1);
    let nonce = bytes(N::USIZE, 2);
    let n = cipher.block_size();
    let otr = Otr::<Wide<C, W>, N, T, A>::from(Wide::new(&key));
    let pieces: Vec<_> =
        if W::USIZE <= 4 { (0..=2 * W::USIZE + 1).collect() } else { vec![0, 1, 16, 17, 63, 64, 130] };
    let sizes = pieces.iter().flat_map(|one| pieces.iter().map(move |two| (2 * n * one, 2 * n * two)));
    for (one, two) in sizes {
        for (ad_len, end) in [(0, 1), (n - 1, n - 1), (n, n), (n + 1, n + 1), (70 * n, 2 * n), (3, 6 * n + 3)]
        {
            let (ad, msg) = (bytes(ad_len, 3), bytes(one + two + end, 4));
            let (ct, tag) = reference::seal(cipher, ad_processing, &key, &nonce, &ad, &msg, T::USIZE);

            let mut encryptor = otr.encrypt_pieces(nonce.as_slice().try_into().unwrap(), &ad).unwrap();
            let mut output = vec![0xA5; one];
            output.extend_from_slice(&msg[one..]);
            encryptor.update(InOutBuf::new(&msg[..one], &mut output[..one]).unwrap()).unwrap();
            encryptor.update((&mut output[one..one + two]).into()).unwrap();
            let sealed = encryptor.finalize((&mut output[one + two..]).into()).unwrap();
            assert_eq!(
                (&output, sealed.as_slice()),
                (&ct, tag.as_slice()),
                "{ad_len}, {one} + {two} + {end} at width {}",
                W::USIZE
            );
        }
    }
    let (_, tag) = reference::seal(cipher, ad_processing, &key, &nonce, b"ad", b"", T::USIZE);
    let mut encryptor = otr.encrypt_pieces(nonce.as_slice().try_into().unwrap(), b"ad").unwrap();
    encryptor.update((&mut [][..]).into()).unwrap();
    assert_eq!(encryptor.finalize((&mut [][..]).into()).unwrap().as_slice(), tag, "an empty message");
}

#[test]
fn pieces() {
    use test_vectors::AdProcessing;

    fn every_width<C, N, T, A>(cipher: Cipher, ad_processing: AdProcessing)
    where
        C: BlockCipherEncrypt<BlockSize: BlockSize> + KeyInit,
        N: NonceSize<C::BlockSize>,
        T: TagSize<C::BlockSize>,
        A: otr_mode::AdProcessing,
    {
        pieces_agree_with_the_model::<C, U1, N, T, A>(cipher, ad_processing);
        pieces_agree_with_the_model::<C, U3, N, T, A>(cipher, ad_processing);
        pieces_agree_with_the_model::<C, U4, N, T, A>(cipher, ad_processing);
        pieces_agree_with_the_model::<C, U8, N, T, A>(cipher, ad_processing);
        pieces_agree_with_the_model::<C, U64, N, T, A>(cipher, ad_processing);
    }
    every_width::<Twine128, U7, U8, Parallel>(Cipher::Twine128, AdProcessing::Parallel);
    every_width::<Twine128, U7, U8, Serial>(Cipher::Twine128, AdProcessing::Serial);
    every_width::<Twine128, U7, U8, Combined>(Cipher::Twine128, AdProcessing::Combined);
    every_width::<Aes128, U12, U16, Parallel>(Cipher::Aes128, AdProcessing::Parallel);
}

/// What cannot be encrypted as a piece changes nothing: the message goes on and ends as if it had not been tried.
#[test]
fn wrong_pieces_change_nothing() {
    let otr = Otr::<Twine128, U7, U8>::new(&[1; 16].into());
    let nonce = [0; 7].into();
    let mut message = bytes(60, 4);
    let mut pieces = otr.encrypt_pieces(&nonce, b"").unwrap().with_max_len(60).with_max_len(1000);
    for done in [0, 16, 48] {
        let rest = &mut message[done..];
        for len in (1..rest.len()).filter(|len| len % 16 != 0) {
            assert_eq!(pieces.update((&mut rest[..len]).into()), Err(PieceError::NotPairs), "{len}");
        }
        let mut longer = vec![7; (rest.len() + 1).next_multiple_of(16)];
        assert_eq!(pieces.update(longer.as_mut_slice().into()), Err(PieceError::TooLong));
        longer.truncate(rest.len() + 1);
        assert_eq!(pieces.finalize(longer.as_mut_slice().into()), Err(PieceError::TooLong));
        assert_eq!((&*rest, &*longer), (&bytes(60, 4)[done..], &*vec![7; rest.len() + 1]), "untouched");
        if done > 0 {
            assert_eq!(pieces.finalize((&mut [][..]).into()), Err(PieceError::EmptyEnd));
        }
        let next = [16, 32, 0][done.div_ceil(32)];
        pieces.update((&mut rest[..next]).into()).unwrap();
    }
    let tag = pieces.finalize((&mut message[48..]).into()).unwrap();
    let mut after = [7; 16];
    assert_eq!(pieces.update((&mut after[..]).into()), Err(PieceError::Finished));
    assert_eq!(pieces.finalize((&mut after[..]).into()), Err(PieceError::Finished));
    assert_eq!(after, [7; 16]);

    let mut whole = bytes(60, 4);
    assert_eq!(otr.encrypt_inout_detached(&nonce, b"", whole.as_mut_slice().into()), Ok(tag));
    assert_eq!(message, whole);
}

/// The calls of the cipher, by their number of blocks, that a short message waits for, with four blocks at once.
#[test]
fn calls_of_short_messages() {
    let calls = |ad_len: usize, len: usize| {
        let wide = Wide::<Twine128, U4>::new(&[0; 16]);
        let calls = wide.calls.clone();
        let otr = Otr::<_, U7, U8>::from(wide);
        assert_eq!(calls.take(), [1], "E(0), once a key");
        let (nonce, ad, mut buffer) = ([0; 7].into(), bytes(ad_len, 1), bytes(len, 2));
        let tag = otr.encrypt_inout_detached(&nonce, &ad, buffer.as_mut_slice().into()).unwrap();
        let encrypting = calls.take();
        otr.decrypt_inout_detached(&nonce, &ad, buffer.as_mut_slice().into(), &tag).unwrap();
        (encrypting, calls.take())
    };
    // The nonce block, with the associated data; the first round; the second round, with the checksum when encrypting. A
    // backend of four blocks takes as long for one: it gets all four of a batch, even if nobody reads them.
    assert_eq!(calls(0, 0), (vec![4, 4], vec![4, 4]));
    assert_eq!(calls(8, 0), (vec![4, 4], vec![4, 4]));
    assert_eq!(calls(8, 8), (vec![4, 4], vec![4, 4, 4]));
    assert_eq!(calls(8, 16), (vec![4, 4, 4], vec![4, 4, 4, 4]));
    assert_eq!(calls(24, 16), (vec![4, 4, 4], vec![4, 4, 4, 4]));
    assert_eq!(calls(8, 48), (vec![4, 4, 4], vec![4, 4, 4, 4]));
    assert_eq!(calls(8, 64), (vec![4, 4, 4, 4], vec![4, 4, 4, 4]));
    assert_eq!(calls(8, 128), (vec![4, 4, 4, 4, 4, 4], vec![4, 4, 4, 4, 4, 4]));
}
