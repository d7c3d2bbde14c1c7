//! TWINE alone.

use crate::{
    reference,
    report::Report,
    vectors::{BLOCK_VECTORS, BlockVector},
};
use core::fmt;
use twine_cipher::{
    Twine80, Twine128,
    cipher::{Array, Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit, consts::U8},
};

/// More than three times what any portable backend works on at once (eight blocks).
const MOST_BLOCKS: usize = 25;

pub(crate) fn run(report: &mut Report<'_>) -> fmt::Result {
    cipher::<Twine80>(report, "TWINE-80")?;
    cipher::<Twine128>(report, "TWINE-128")
}

fn cipher<C>(report: &mut Report<'_>, name: &str) -> fmt::Result
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U8> + KeyInit,
{
    let vectors = || (1..).zip(BLOCK_VECTORS).filter(|(_, vector)| vector.key.len() == C::key_size());
    let mut encrypted = vectors().map(|(number, vector)| (number, encrypts::<C>(vector)));
    report.group(format_args!("{name}, encryption"), &mut encrypted)?;
    let mut decrypted = vectors().map(|(number, vector)| (number, decrypts::<C>(vector)));
    report.group(format_args!("{name}, decryption"), &mut decrypted)?;

    // One key is enough here: single blocks, checked above, are the measure.
    let cipher = C::new(&Array::from_fn(|i| i as u8));
    let mut counts = (0..=MOST_BLOCKS).map(|count| (count as u32, many_like_single(&cipher, count)));
    report.group(format_args!("{name}, many blocks like single ones"), &mut counts)?;

    let mut random = Random(0x9E37_79B9);
    let mut counts = (1..=12).map(|count| (count as u32, like_the_reference::<C>(&mut random, count)));
    report.group(format_args!("{name}, random blocks like the paper's"), &mut counts)
}

/// Numbers that look random, by xorshift.
pub(crate) struct Random(pub(crate) u32);

impl Random {
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            (self.0 >> 24) as u8
        })
    }
}

/// Whether `count` random blocks under a random key become what the paper says, from addresses of every alignment, and
/// come back.
fn like_the_reference<C>(random: &mut Random, count: usize) -> bool
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U8> + KeyInit,
{
    let key = random.bytes::<16>();
    let key = &key[..C::key_size()];
    let Ok(cipher) = C::new_from_slice(key) else { return false };
    let plain: [Block<C>; 12] = core::array::from_fn(|_| Array(random.bytes()));
    let expected = plain.map(|block| Array(reference::encrypt(key, block.0)));
    (0..4).all(|offset| {
        let mut buffer = [0; 8 * 12 + 3];
        let (blocks, _) = Block::<C>::slice_as_chunks_mut(&mut buffer[offset..]);
        let blocks = &mut blocks[..count];
        blocks.copy_from_slice(&plain[..count]);
        cipher.encrypt_blocks(blocks);
        let is_right = *blocks == expected[..count];
        cipher.decrypt_blocks(blocks);
        is_right && *blocks == plain[..count]
    })
}

fn encrypts<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U8> + KeyInit>(vector: &BlockVector) -> bool {
    let Ok(cipher) = C::new_from_slice(vector.key) else { return false };
    let mut block = Array(vector.plaintext);
    cipher.encrypt_block(&mut block);
    block.0 == vector.ciphertext
}

fn decrypts<C: BlockCipherDecrypt + BlockSizeUser<BlockSize = U8> + KeyInit>(vector: &BlockVector) -> bool {
    let Ok(cipher) = C::new_from_slice(vector.key) else { return false };
    let mut block = Array(vector.ciphertext);
    cipher.decrypt_block(&mut block);
    block.0 == vector.plaintext
}

/// Whether `count` blocks in one call, in place and from buffer to buffer, become what each becomes in a call of its
/// own, and come back.
fn many_like_single<C>(cipher: &C, count: usize) -> bool
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U8>,
{
    let plain: [Block<C>; MOST_BLOCKS] =
        core::array::from_fn(|i| Array::from_fn(|j| (8 * i + j).wrapping_mul(151) as u8));
    let plain = &plain[..count];
    let mut single = [Block::<C>::default(); MOST_BLOCKS];
    let single = &mut single[..count];
    for (from, to) in plain.iter().zip(single.iter_mut()) {
        cipher.encrypt_block_b2b(from, to);
    }

    let mut many = [Block::<C>::default(); MOST_BLOCKS];
    let many = &mut many[..count];
    if cipher.encrypt_blocks_b2b(plain, many).is_err() || many != single {
        return false;
    }
    many.copy_from_slice(plain);
    cipher.encrypt_blocks(many);
    if many != single {
        return false;
    }
    cipher.decrypt_blocks(many);
    if many != plain {
        return false;
    }
    many.fill(Block::<C>::default());
    cipher.decrypt_blocks_b2b(single, many).is_ok() && many == plain
}
