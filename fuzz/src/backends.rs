//! Every backend of the cipher agrees with the paper's reference, in both directions, in place and from buffer to buffer.

use arbitrary::Arbitrary;
use test_vectors::reference::twine as reference;
use twine_cipher::{
    cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, consts::U8},
    forced::Forced,
};

/// A key and any number of blocks, and how they lie in memory.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    /// For 80-bit keys, which take the first 10 bytes, an odd number.
    pub key_size: u8,
    /// The key.
    pub key: [u8; 16],
    /// Modulo 64: how many bytes lie before the blocks.
    pub offset: u8,
    /// The blocks; what remains after the last whole one is ignored.
    pub bytes: &'a [u8],
}

type Block = Array<u8, U8>;

impl Input<'_> {
    /// Panics if a backend does not agree.
    pub fn check(&self) {
        let key = if self.key_size % 2 == 1 { &self.key[..10] } else { &self.key };
        let blocks = self.bytes.as_chunks::<8>().0;
        let plaintext: Vec<Block> = blocks.iter().copied().map(Array::from).collect();
        let ciphertext: Vec<Block> =
            blocks.iter().map(|block| reference::encrypt(key, *block).into()).collect();
        for (block, encrypted) in blocks.iter().zip(&ciphertext) {
            assert_eq!(reference::decrypt(key, encrypted.0), *block, "the reference itself");
        }
        for (name, cipher) in Forced::every(key) {
            let offset = usize::from(self.offset % 64);
            let mut bytes = vec![0xA5; offset];
            bytes.extend(plaintext.iter().flatten());
            let (before, blocks) = bytes.split_at_mut(offset);
            let in_place = Array::slice_as_chunks_mut(blocks).0;
            cipher.encrypt_blocks(in_place);
            assert_eq!(in_place, ciphertext, "{name} encrypts in place");
            cipher.decrypt_blocks(in_place);
            assert_eq!(in_place, plaintext, "{name} decrypts in place");
            assert!(before.iter().all(|byte| *byte == 0xA5), "{name} writes before the blocks");

            let mut output = vec![Block::default(); plaintext.len()];
            cipher.encrypt_blocks_b2b(&plaintext, &mut output).expect("equal lengths");
            assert_eq!(output, ciphertext, "{name} encrypts");
            cipher.decrypt_blocks_b2b(&ciphertext, &mut output).expect("equal lengths");
            assert_eq!(output, plaintext, "{name} decrypts");
        }
    }
}
