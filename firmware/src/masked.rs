//! The masked ciphers. Their kernels are assembly that only runs here.

use crate::{block::Random, reference, report::Report, vectors::BLOCK_VECTORS};
use core::{convert::Infallible, fmt};
use rand_core::{Rng as _, TryCryptoRng, TryRng};
use twine_cipher::{
    MaskedBlocks, Twine80, Twine80Masked, Twine128, Twine128Masked,
    cipher::{Array, Key, consts::U8},
};

/// More than two times what is encrypted at once.
const MOST_BLOCKS: usize = 9;

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.bytes()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill_with(|| u8::from_le_bytes(self.bytes()));
        Ok(())
    }
}

/// Not for secrets: here are none.
impl TryCryptoRng for Random {}

macro_rules! checks {
    ($run:ident, $masked:ty, $plain:ty, $words:literal, $name:literal) => {
        fn $run(report: &mut Report<'_>, random: &mut Random) -> fmt::Result {
            let key_of = |key: &[u8]| Key::<$plain>::try_from(key).ok();
            let len = Key::<$plain>::default().len();
            let vectors = (1..).zip(BLOCK_VECTORS).filter(|(_, vector)| vector.key.len() == len);
            let mut known = vectors.map(|(number, vector)| {
                let mut blocks = [Array(vector.plaintext)];
                let is_right = key_of(vector.key).is_some_and(|key| {
                    <$masked>::new(&key, random).encrypt_blocks(&mut blocks, random);
                    blocks == [Array(vector.ciphertext)]
                });
                (number, is_right)
            });
            report.group(format_args!(concat!($name, ", masked, encryption")), &mut known)?;

            let mut counts = (0..=MOST_BLOCKS).map(|count| {
                let key = random.bytes::<16>();
                let plain: [Array<u8, U8>; MOST_BLOCKS] = core::array::from_fn(|_| Array(random.bytes()));
                let mut blocks = plain;
                let is_right = key_of(&key[..len]).is_some_and(|key| {
                    <$masked>::new(&key, random).encrypt_blocks(&mut blocks[..count], random);
                    let expected = plain.map(|block| Array(reference::encrypt(&key, block.0)));
                    blocks[..count] == expected[..count] && blocks[count..] == plain[count..]
                });
                (count as u32, is_right)
            });
            report.group(
                format_args!(concat!($name, ", masked, random blocks like the paper's")),
                &mut counts,
            )?;

            let mut shares = (1..=4).map(|number| {
                // What is after the end of the key does not count.
                let words: [u32; $words] = core::array::from_fn(|_| random.next_u32());
                let masks: [u32; $words] = core::array::from_fn(|_| random.next_u32());
                let mut key = [0; 16];
                for (bytes, (word, mask)) in key.chunks_exact_mut(4).zip(words.iter().zip(&masks)) {
                    bytes.copy_from_slice(&(word ^ mask).to_le_bytes());
                }
                let plain: [Array<u8, U8>; 4] = core::array::from_fn(|_| Array(random.bytes()));
                let mut cipher = <$masked>::from_shares(&[words, masks]);
                cipher.refresh(random);
                let mut blocks = MaskedBlocks::new(&plain, random);
                cipher.encrypt_shares(&mut blocks);
                let mut encrypted = plain;
                blocks.unmask(&mut encrypted);
                (number, encrypted == plain.map(|block| Array(reference::encrypt(&key[..len], block.0))))
            });
            report.group(format_args!(concat!($name, ", masked, keys and blocks as shares")), &mut shares)
        }
    };
}

checks!(twine_80, Twine80Masked, Twine80, 3, "TWINE-80");
checks!(twine_128, Twine128Masked, Twine128, 4, "TWINE-128");

pub(crate) fn run(report: &mut Report<'_>) -> fmt::Result {
    let mut random = Random(0x6A09_E667);
    twine_80(report, &mut random)?;
    twine_128(report, &mut random)
}
