//! One test body for every backend: it must agree with the paper's reference for any number of blocks.

use std::{vec, vec::Vec};

use cipher::{
    Array, BlockCipherDecClosure, BlockCipherDecrypt, BlockCipherEncClosure, BlockCipherEncrypt,
    BlockSizeUser, KeyInit, consts::U8,
};

use crate::{
    Twine80, Twine128,
    backends::fixslice::{Backend, RoundKeys, Word},
    reference,
    schedule::{KEY_80, KEY_128},
};

type Block = Array<u8, U8>;

/// A cipher on a backend that the test chooses.
struct Forced<K>(K);

impl<K> BlockSizeUser for Forced<K> {
    type BlockSize = U8;
}

impl<W: Word> Forced<RoundKeys<W>> {
    fn soft(key: &[u8]) -> Self {
        let size = if key.len() == 10 { &KEY_80 } else { &KEY_128 };
        Self(RoundKeys::new(key, size, &W::ORDER))
    }
}

impl<W: Word> BlockCipherEncrypt for Forced<RoundKeys<W>> {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U8>) {
        f.call(&Backend(&self.0));
    }
}

impl<W: Word> BlockCipherDecrypt for Forced<RoundKeys<W>> {
    fn decrypt_with_backend(&self, f: impl BlockCipherDecClosure<BlockSize = U8>) {
        f.call(&Backend(&self.0));
    }
}

#[cfg(any(
    target_arch = "x86",
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_feature = "neon", target_endian = "little")
))]
mod vectors {
    use super::{
        BlockCipherDecClosure, BlockCipherDecrypt, BlockCipherEncClosure, BlockCipherEncrypt, Forced, U8,
        agrees_with_the_reference,
    };
    #[cfg(target_arch = "aarch64")]
    use crate::backends::neon::RoundKeys;
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    use crate::backends::x86::{Level, RoundKeys};

    impl BlockCipherEncrypt for Forced<RoundKeys> {
        fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U8>) {
            self.0.encrypt(f);
        }
    }

    impl BlockCipherDecrypt for Forced<RoundKeys> {
        fn decrypt_with_backend(&self, f: impl BlockCipherDecClosure<BlockSize = U8>) {
            self.0.decrypt(f);
        }
    }

    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    #[test]
    fn every_level_of_this_machine() {
        for level in Level::available() {
            std::println!("{}", level.name());
            for key_len in [10, 16] {
                agrees_with_the_reference(|key| Forced(RoundKeys::new(level, key)), 64, key_len);
            }
        }
    }

    #[cfg(target_arch = "aarch64")]
    #[test]
    fn neon() {
        for key_len in [10, 16] {
            agrees_with_the_reference(|key| Forced(RoundKeys::new(key)), 16, key_len);
        }
    }
}

/// Bytes that look random, from the reference in counter mode.
fn bytes(label: u8, len: usize) -> Vec<u8> {
    let block = |i: usize| reference::encrypt(&[label; 16], (i as u64).to_be_bytes());
    (0..len.div_ceil(8)).flat_map(block).take(len).collect()
}

fn blocks(bytes: &[u8]) -> Vec<Block> {
    bytes.chunks_exact(8).map(|chunk| Array::try_from(chunk).unwrap()).collect()
}

/// Every block count from none to three times the parallel width and beyond, in place and buffer to buffer, also unaligned.
fn agrees_with_the_reference<C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U8>>(
    new: impl Fn(&[u8]) -> C,
    width: usize,
    key_len: usize,
) {
    for label in 0..2 {
        let key = bytes(label, key_len);
        let cipher = new(&key);
        for count in 0..=3 * width + 1 {
            let plaintext = blocks(&bytes(label + 100, 8 * count));
            let ciphertext: Vec<Block> =
                plaintext.iter().map(|block| reference::encrypt(&key, block.0).into()).collect();

            let mut buffer = plaintext.clone();
            cipher.encrypt_blocks(&mut buffer);
            assert_eq!(buffer, ciphertext, "encrypt {count} blocks in place");
            cipher.decrypt_blocks(&mut buffer);
            assert_eq!(buffer, plaintext, "decrypt {count} blocks in place");

            let mut output = vec![Block::default(); count];
            cipher.encrypt_blocks_b2b(&plaintext, &mut output).unwrap();
            assert_eq!(output, ciphertext, "encrypt {count} blocks");
            cipher.decrypt_blocks_b2b(&ciphertext, &mut output).unwrap();
            assert_eq!(output, plaintext, "decrypt {count} blocks");

            for (plain, cipherblock) in plaintext.iter().zip(&ciphertext) {
                let mut block = *plain;
                cipher.encrypt_block(&mut block);
                assert_eq!(block, *cipherblock);
                cipher.decrypt_block(&mut block);
                assert_eq!(block, *plain);
            }
        }
    }
}

#[test]
fn fixslice_of_32_bits() {
    for key_len in [10, 16] {
        agrees_with_the_reference(Forced::<RoundKeys<u32>>::soft, 4, key_len);
    }
}

#[test]
fn fixslice_of_64_bits() {
    for key_len in [10, 16] {
        agrees_with_the_reference(Forced::<RoundKeys<u64>>::soft, 8, key_len);
    }
}

#[test]
fn chosen_backend() {
    agrees_with_the_reference(|key| Twine80::new_from_slice(key).unwrap(), 8, 10);
    agrees_with_the_reference(|key| Twine128::new_from_slice(key).unwrap(), 8, 16);
}

/// What the documentation says that a key takes.
#[test]
fn bytes_a_key() {
    let is_compact = cfg!(twine_keys = "compact");
    assert_eq!(size_of::<RoundKeys<u32>>(), if is_compact { 144 } else { 576 });
    assert_eq!(size_of::<RoundKeys<u64>>(), if is_compact { 144 } else { 1152 });
    if cfg!(any(target_arch = "x86", target_arch = "x86_64")) {
        assert_eq!(size_of::<Twine128>(), 1528);
    }
}

/// Few bytes of a key schedule are equal under two keys.
#[cfg(feature = "zeroize")]
#[test]
fn keys_are_erased() {
    use crate::schedule::{KeySize, Schedule};
    use test_vectors::erasure::is_erased_on_drop;

    fn soft<W: Word>(key: &[u8], size: &'static KeySize) -> RoundKeys<W> {
        RoundKeys::new(key, size, &W::ORDER)
    }

    for key_len in [10, 16] {
        let size = if key_len == 10 { &KEY_80 } else { &KEY_128 };
        is_erased_on_drop("the schedule", 4, 0, |seed| Schedule::new(&[seed; 16][..key_len], size));
        let (least_32, least_64) = if cfg!(twine_keys = "compact") { (70, 70) } else { (300, 600) };
        is_erased_on_drop("soft32", least_32, 0, |seed| soft::<u32>(&[seed; 16][..key_len], size));
        is_erased_on_drop("soft64", least_64, 0, |seed| soft::<u64>(&[seed; 16][..key_len], size));
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        for level in crate::backends::x86::Level::available() {
            // Its number is one byte in eight.
            is_erased_on_drop(level.name(), 1000, 7, |seed| {
                crate::backends::x86::RoundKeys::new(level, &[seed; 16][..key_len])
            });
        }
        #[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
        is_erased_on_drop("neon", 1000, 0, |seed| {
            crate::backends::neon::RoundKeys::new(&[seed; 16][..key_len])
        });
    }
}
