//! Slow models of TWINE and OTR v3 that can be checked against their papers by eye: the oracle of tests and fuzzing
//! and the source of generated vectors.
//!
//! They index tables with secrets, compare tags in variable time and allocate freely: never use them with real keys.

pub mod otr;

#[path = "../../twine/src/reference.rs"]
pub mod twine;

use aes::cipher::{BlockCipherEncrypt, KeyInit};

use crate::{AdProcessing, Cipher};
use otr::Otr;

/// Encrypts one block.
///
/// # Panics
/// If the key or the block has the wrong size for the cipher.
#[must_use]
pub fn encrypt_block(cipher: Cipher, key: &[u8], block: &[u8]) -> Vec<u8> {
    assert_eq!(key.len(), cipher.key_size(), "{} key size", cipher.name());
    match cipher {
        Cipher::Twine80 | Cipher::Twine128 => {
            twine::encrypt(key, block.try_into().expect("a TWINE block has 8 bytes")).to_vec()
        }
        Cipher::Aes128 => aes_block::<aes::Aes128Enc>(key, block),
        Cipher::Aes256 => aes_block::<aes::Aes256Enc>(key, block),
    }
}

fn aes_block<C: KeyInit + BlockCipherEncrypt>(key: &[u8], block: &[u8]) -> Vec<u8> {
    let mut block = block.try_into().expect("an AES block has 16 bytes");
    C::new_from_slice(key).expect("the key's size was checked").encrypt_block(&mut block);
    block.to_vec()
}

/// Seals with OTR v3 over `cipher` and returns the ciphertext and the tag.
///
/// # Panics
/// If the key has the wrong size, the nonce is empty or as long as a block, or `tag_size` is 0 or more than a block.
#[must_use]
pub fn seal(
    cipher: Cipher,
    ad_processing: AdProcessing,
    key: &[u8],
    nonce: &[u8],
    ad: &[u8],
    msg: &[u8],
    tag_size: usize,
) -> (Vec<u8>, Vec<u8>) {
    let encrypt = |block: &[u8]| encrypt_block(cipher, key, block);
    Otr::new(&encrypt, cipher.block_size(), ad_processing, tag_size).seal(nonce, ad, msg)
}

/// Opens with OTR v3 over `cipher`: the plaintext, or `None` if the tag is wrong or has not `tag_size` bytes.
///
/// # Panics
/// If the key has the wrong size, the nonce is empty or as long as a block, or `tag_size` is 0 or more than a block.
#[must_use]
#[expect(clippy::too_many_arguments, reason = "an AEAD has that many inputs")]
pub fn open(
    cipher: Cipher,
    ad_processing: AdProcessing,
    key: &[u8],
    nonce: &[u8],
    ad: &[u8],
    ct: &[u8],
    tag: &[u8],
    tag_size: usize,
) -> Option<Vec<u8>> {
    let encrypt = |block: &[u8]| encrypt_block(cipher, key, block);
    Otr::new(&encrypt, cipher.block_size(), ad_processing, tag_size).open(nonce, ad, ct, tag)
}
