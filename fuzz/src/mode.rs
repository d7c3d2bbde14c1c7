//! OTR over ciphers of 64 and 128 bits, on every backend, agrees with the byte-wise model: sealing, at once and in pieces, and
//! opening, in place and from buffer to buffer, with all three ways to process associated data.

use aes::{Aes128, Aes256};
use arbitrary::Arbitrary;
use otr_mode::{
    AdProcessing, AeadInOut, BlockSize, Combined, KeyInit, Nonce, NonceSize, Otr, Parallel, PieceEncryptor,
    PieceError, Serial, Tag, TagSize,
    aead::inout::InOutBuf,
    cipher::{BlockCipherEncrypt, BlockSizeUser},
    consts::{U1, U5, U7, U8, U12, U15, U16},
};
use test_vectors::{AdProcessing as Processing, Cipher, reference::otr::Otr as Model};
use twine_cipher::{Twine80, Twine128, forced::Forced};

/// A message and the algorithm that seals it.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    /// Modulo 4: one of [`Cipher::ALL`].
    pub cipher: u8,
    /// Modulo 3: one of [`Processing::ALL`].
    pub processing: u8,
    /// Nonces and tags of the sizes that TWINE-OTR and AES-OTR have, or of others.
    pub has_usual_sizes: bool,
    /// The key; shorter ones take its beginning, as nonces do.
    pub key: [u8; 32],
    /// The nonce.
    pub nonce: [u8; 15],
    /// The bytes of the pieces before the last, as far as the message has them.
    pub pieces: [u16; 3],
    /// How many of the bytes are associated data.
    pub ad_len: u16,
    /// The associated data, then the message.
    pub bytes: &'a [u8],
}

impl Input<'_> {
    /// Panics if the mode does not agree with the model.
    pub fn check(&self) {
        let cipher = Cipher::ALL[usize::from(self.cipher % 4)];
        let key = &self.key[..cipher.key_size()];
        match cipher {
            Cipher::Twine80 => {
                self.on_every_backend(cipher, key, &Twine80::new_from_slice(key).expect("10 bytes"));
            }
            Cipher::Twine128 => {
                self.on_every_backend(cipher, key, &Twine128::new_from_slice(key).expect("16 bytes"));
            }
            Cipher::Aes128 => self.with_blocks_of_128_bits::<Aes128>(cipher, key),
            Cipher::Aes256 => self.with_blocks_of_128_bits::<Aes256>(cipher, key),
        }
    }

    fn on_every_backend(
        &self,
        cipher: Cipher,
        key: &[u8],
        one_block: &impl BlockCipherEncrypt<BlockSize = U8>,
    ) {
        for (name, backend) in Forced::every(key) {
            if self.has_usual_sizes {
                self.with_every_processing::<_, U7, U8>(cipher, name, one_block, backend);
            } else {
                self.with_every_processing::<_, U1, U5>(cipher, name, one_block, backend);
            }
        }
    }

    fn with_blocks_of_128_bits<C>(&self, cipher: Cipher, key: &[u8])
    where
        C: BlockCipherEncrypt<BlockSize = U16> + KeyInit,
    {
        let new = || C::new_from_slice(key).expect("a key of the cipher's size");
        if self.has_usual_sizes {
            self.with_every_processing::<_, U12, U16>(cipher, "the crate aes", &new(), new());
        } else {
            self.with_every_processing::<_, U15, U5>(cipher, "the crate aes", &new(), new());
        }
    }

    fn with_every_processing<C, N, T>(
        &self,
        cipher: Cipher,
        name: &str,
        one_block: &impl BlockCipherEncrypt<BlockSize = C::BlockSize>,
        backend: C,
    ) where
        C: BlockCipherEncrypt<BlockSize: BlockSize>,
        N: NonceSize<C::BlockSize>,
        T: TagSize<C::BlockSize>,
    {
        let processing = Processing::ALL[usize::from(self.processing % 3)];
        // The cipher is compared with its own reference by another target: a fast one here gives time for longer messages.
        let encrypt = |block: &[u8]| {
            let mut block = block.try_into().expect("a block");
            one_block.encrypt_block(&mut block);
            block.to_vec()
        };
        let model = Model::new(&encrypt, cipher.block_size(), processing, T::USIZE);
        let what = format!("{} on {name}", cipher.name());
        match processing {
            Processing::Parallel => self.agrees(&what, &model, &Otr::<C, N, T, Parallel>::from(backend)),
            Processing::Serial => self.agrees(&what, &model, &Otr::<C, N, T, Serial>::from(backend)),
            Processing::Combined => self.agrees(&what, &model, &Otr::<C, N, T, Combined>::from(backend)),
        }
    }

    fn agrees<C, N, T, A>(&self, what: &str, model: &Model<'_>, otr: &Otr<C, N, T, A>)
    where
        C: BlockCipherEncrypt + BlockSizeUser<BlockSize: BlockSize>,
        N: NonceSize<C::BlockSize>,
        T: TagSize<C::BlockSize>,
        A: AdProcessing,
    {
        let (ad, msg) = crate::split(self.bytes, self.ad_len);
        let nonce = &self.nonce[..N::USIZE];
        let (ct, tag) = model.seal(nonce, ad, msg);
        let nonce = nonce.try_into().expect("the nonce's size");

        let mut buffer = msg.to_vec();
        let sealed =
            otr.encrypt_inout_detached(nonce, ad, buffer.as_mut_slice().into()).expect("short enough");
        assert_eq!((buffer.as_slice(), sealed.as_slice()), (&*ct, &*tag), "{what} seals in place");
        otr.decrypt_inout_detached(nonce, ad, buffer.as_mut_slice().into(), &sealed).expect("genuine");
        assert_eq!(buffer, msg, "{what} opens in place");

        let mut output = vec![0xA5; msg.len()];
        let buffers = InOutBuf::new(msg, &mut output).expect("equal lengths");
        let sealed = otr.encrypt_inout_detached(nonce, ad, buffers).expect("short enough");
        assert_eq!((output.as_slice(), sealed.as_slice()), (&*ct, &*tag), "{what} seals");
        output.fill(0xA5);
        let buffers = InOutBuf::new(&ct, &mut output).expect("equal lengths");
        otr.decrypt_inout_detached(nonce, ad, buffers, &sealed).expect("genuine");
        assert_eq!(output, msg, "{what} opens");

        output.copy_from_slice(msg);
        let sealed = self.seal_in_pieces(otr, nonce, ad, &mut output);
        assert_eq!((output.as_slice(), sealed.as_slice()), (&*ct, &*tag), "{what} seals in pieces");
    }

    /// In turn from buffer to buffer and in place. What is no piece is refused and changes nothing.
    fn seal_in_pieces<C, N, T, A>(
        &self,
        otr: &Otr<C, N, T, A>,
        nonce: &Nonce<Otr<C, N, T, A>>,
        ad: &[u8],
        buffer: &mut [u8],
    ) -> Tag<Otr<C, N, T, A>>
    where
        C: BlockCipherEncrypt + BlockSizeUser<BlockSize: BlockSize>,
        N: NonceSize<C::BlockSize>,
        T: TagSize<C::BlockSize>,
        A: AdProcessing,
    {
        let mut encryptor = otr.encrypt_pieces(nonce, ad).expect("short enough");
        let msg = buffer.to_vec();
        let mut done = 0;
        for (i, len) in self.pieces.into_iter().enumerate() {
            let (msg, rest) = (&msg[done..], &mut buffer[done..]);
            // Something is left for the end.
            let len = usize::from(len).min(msg.len().saturating_sub(1));
            let whole = len - len % PieceEncryptor::<C, N, T, A>::PAIR;
            if len > whole {
                assert_eq!(encryptor.update((&mut rest[..len]).into()), Err(PieceError::NotPairs));
                assert_eq!(rest, msg, "a piece that is refused is not touched");
            }
            let piece = if i % 2 == 0 {
                rest[..whole].fill(0xA5);
                InOutBuf::new(&msg[..whole], &mut rest[..whole]).expect("equal lengths")
            } else {
                (&mut rest[..whole]).into()
            };
            encryptor.update(piece).expect("whole pairs");
            done += whole;
        }
        if done > 0 {
            assert_eq!(encryptor.finalize((&mut [][..]).into()), Err(PieceError::EmptyEnd));
        }
        encryptor.finalize((&mut buffer[done..]).into()).expect("an end")
    }
}
