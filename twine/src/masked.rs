//! TWINE with two shares. See [`Twine128Masked`].

use cipher::{Array, Block, Key, consts::U8};
use core::fmt;
use rand_core::CryptoRng;

use crate::{
    Twine80, Twine128,
    backends::masked::{self, RoundKeys, Shares},
};

/// The number of blocks that are encrypted at once.
const WIDTH: usize = 4;

/// Up to four blocks as two shares, whose XOR they are.
///
/// The shares are erased when they are dropped.
#[derive(Clone)]
pub struct MaskedBlocks(Shares);

impl MaskedBlocks {
    /// Splits up to four blocks with masks from `rng`. The others are zero. The blocks themselves are read, which shows them to whoever measures
    /// the power; [`from_shares`](Self::from_shares) is for blocks that are secret.
    #[must_use]
    pub fn new(blocks: &[Array<u8, U8>], rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut shares = Shares::ZERO;
        for mask in shares.b.as_flattened_mut() {
            *mask = rng.next_u32();
        }
        shares.a = shares.b;
        for (share, block) in shares.a.iter_mut().zip(blocks) {
            let [b0, b1, b2, b3, b4, b5, b6, b7] = block.0;
            share[0] ^= u32::from_le_bytes([b0, b1, b2, b3]);
            share[1] ^= u32::from_le_bytes([b4, b5, b6, b7]);
        }
        Self(shares)
    }

    /// Takes shares of four blocks. Each share by itself must be random.
    #[must_use]
    pub fn from_shares(a: &[Array<u8, U8>; WIDTH], b: &[Array<u8, U8>; WIDTH]) -> Self {
        let words = |block: &Array<u8, U8>| {
            let [b0, b1, b2, b3, b4, b5, b6, b7] = block.0;
            [u32::from_le_bytes([b0, b1, b2, b3]), u32::from_le_bytes([b4, b5, b6, b7])]
        };
        Self(Shares { a: a.each_ref().map(words), b: b.each_ref().map(words) })
    }

    /// Returns both shares.
    #[must_use]
    pub fn shares(&self) -> [[Array<u8, U8>; WIDTH]; 2] {
        [self.0.a.map(block), self.0.b.map(block)]
    }

    /// Returns the blocks themselves, which shows them to whoever measures the power.
    #[must_use]
    pub fn unmasked(&self) -> [Array<u8, U8>; WIDTH] {
        core::array::from_fn(|i| block([self.0.a[i][0] ^ self.0.b[i][0], self.0.a[i][1] ^ self.0.b[i][1]]))
    }
}

/// The block with these words.
fn block([low, high]: [u32; 2]) -> Array<u8, U8> {
    Array((u64::from(low) | u64::from(high) << 32).to_le_bytes())
}

impl fmt::Debug for MaskedBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskedBlocks { .. }")
    }
}

/// Words of a key, from its bytes and zeros.
fn key_words(key: &[u8]) -> [u32; 4] {
    core::array::from_fn(|i| {
        let byte = |j: usize| key.get(4 * i + j).copied().unwrap_or(0);
        u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
    })
}

macro_rules! twine_masked {
    ($name:ident, $plain:ty, $expand:path, $doc:literal) => {
        #[doc = $doc]
        ///
        /// **Experimental,** and there only with `--cfg twine_masked`. It can encrypt, which is all that OTR needs. Each secret value exists as
        /// two shares, whose XOR it is, and each share by itself is random. On ARMv7-M and ARMv8-M with the Main Extension it is assembly. Of
        /// the rounds, of new masks and of the key schedule of TWINE-128, the package `masking` of the repository proves that no instruction
        /// depends on a secret in five models of what leaks; of the key schedule of TWINE-80 it does not. Nobody has measured any of it on
        /// hardware. Elsewhere it is portable code, of which nothing is claimed but what it computes.
        ///
        /// # Masks
        /// - Four blocks need eight words of new masks each time. [`MaskedBlocks::new`] takes them.
        /// - The masks of the round keys stay the same until [`refresh`](Self::refresh) adds four words to all of them. Without new masks, an
        ///   attacker who takes the mean of many measurements learns each share of the round keys by itself, and both together are the key. So
        ///   refresh before each message. [`encrypt_blocks`](Self::encrypt_blocks) does it once a call.
        #[derive(Clone)]
        pub struct $name {
            keys: RoundKeys,
        }

        impl $name {
            /// Makes the round keys of `key`, with masks from `rng`. The key itself is read, which shows it to whoever measures the power. A
            /// device that attackers can hold keeps its key as shares, for [`from_shares`](Self::from_shares).
            #[must_use]
            pub fn new(key: &Key<$plain>, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
                let mut mask = Key::<$plain>::default();
                rng.fill_bytes(&mut mask);
                let mut share = mask;
                for (share, key) in share.iter_mut().zip(key) {
                    *share ^= key;
                }
                Self::from_shares(&share, &mask)
            }

            /// Makes the round keys of a key that is the XOR of `a` and `b`. Each of both must be random, and new for each start.
            #[must_use]
            pub fn from_shares(a: &Key<$plain>, b: &Key<$plain>) -> Self {
                let mut keys = RoundKeys::ZERO;
                $expand(&mut keys, &[key_words(a), key_words(b)]);
                Self { keys }
            }

            /// Gives new masks to all round keys.
            pub fn refresh(&mut self, rng: &mut (impl CryptoRng + ?Sized)) {
                masked::refresh(&mut self.keys, &core::array::from_fn(|_| rng.next_u32()));
            }

            /// Encrypts shares of four blocks. The masks of the result depend on those of the blocks, and are as random.
            pub fn encrypt_shares(&self, blocks: &mut MaskedBlocks) {
                masked::encrypt(&self.keys, &mut blocks.0);
            }

            /// Gives new masks to the round keys, and encrypts blocks in place. Before and after that they are not masked.
            pub fn encrypt_blocks(
                &mut self,
                blocks: &mut [Block<$plain>],
                rng: &mut (impl CryptoRng + ?Sized),
            ) {
                self.refresh(rng);
                for chunk in blocks.chunks_mut(WIDTH) {
                    let mut shares = MaskedBlocks::new(chunk, rng);
                    self.encrypt_shares(&mut shares);
                    for (to, from) in chunk.iter_mut().zip(shares.unmasked()) {
                        *to = from;
                    }
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), " { .. }"))
            }
        }
    };
}

twine_masked!(Twine80Masked, Twine80, masked::expand_80, "TWINE with an 80-bit key, in two shares.");
twine_masked!(Twine128Masked, Twine128, masked::expand_128, "TWINE with a 128-bit key, in two shares.");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use core::convert::Infallible;
    use rand_core::{TryCryptoRng, TryRng};
    use std::{vec, vec::Vec};

    /// Numbers that look random.
    struct Random(u64);

    impl TryRng for Random {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            self.0 += 1;
            let [b0, b1, b2, b3, ..] = reference::encrypt(&[7; 16], self.0.to_le_bytes());
            Ok(u32::from_le_bytes([b0, b1, b2, b3]))
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            let [low, high] = [self.try_next_u32()?, self.try_next_u32()?];
            Ok(u64::from(low) | u64::from(high) << 32)
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            for chunk in bytes.chunks_mut(4) {
                let random = self.try_next_u32()?.to_le_bytes();
                chunk.copy_from_slice(&random[..chunk.len()]);
            }
            Ok(())
        }
    }

    impl TryCryptoRng for Random {}

    fn blocks(rng: &mut Random, count: usize) -> Vec<Array<u8, U8>> {
        let mut blocks = vec![Array::<u8, U8>::default(); count];
        for block in &mut blocks {
            rand_core::Rng::fill_bytes(rng, block);
        }
        blocks
    }

    #[test]
    fn is_twine_for_any_masks() {
        let mut rng = Random(0);
        for round in 0..8 {
            let mut key = [0; 16];
            rand_core::Rng::fill_bytes(&mut rng, &mut key);
            for count in 0..=9 {
                let plain = blocks(&mut rng, count);
                let mut long = plain.clone();
                Twine128Masked::new(&key.into(), &mut rng).encrypt_blocks(&mut long, &mut rng);
                let mut short = plain.clone();
                let short_key = Key::<Twine80>::try_from(&key[..10]).unwrap();
                Twine80Masked::new(&short_key, &mut rng).encrypt_blocks(&mut short, &mut rng);
                for ((plain, long), short) in plain.iter().zip(long).zip(short) {
                    assert_eq!(long.0, reference::encrypt(&key, plain.0), "round {round}, {count} blocks");
                    assert_eq!(
                        short.0,
                        reference::encrypt(&key[..10], plain.0),
                        "round {round}, {count} blocks"
                    );
                }
            }
        }
    }

    /// New masks change all shares, and nothing else.
    #[test]
    fn shares_change_with_the_masks() {
        let mut rng = Random(1000);
        let mut cipher = Twine128Masked::new(&[1; 16].into(), &mut rng);
        let plain: [Array<u8, U8>; 4] = blocks(&mut rng, 4).try_into().unwrap();
        let zero = [Array::default(); 4];
        let mut shares = MaskedBlocks::from_shares(&plain, &zero);
        cipher.encrypt_shares(&mut shares);
        let before = shares.shares();
        let expected = shares.unmasked();
        assert_eq!(expected, plain.map(|block| Array(reference::encrypt(&[1; 16], block.0))));

        cipher.refresh(&mut rng);
        let mut shares = MaskedBlocks::from_shares(&plain, &zero);
        cipher.encrypt_shares(&mut shares);
        assert_eq!(shares.unmasked(), expected);
        for (before, after) in before.as_flattened().iter().zip(shares.shares().as_flattened()) {
            assert_ne!(before, after);
        }
    }

    #[test]
    fn a_key_can_come_as_shares() {
        let (a, b) = ([0x5A; 16], [0xC3; 16]);
        let mut block = MaskedBlocks::from_shares(&[Array([1; 8]); 4], &[Array([2; 8]); 4]);
        Twine128Masked::from_shares(&a.into(), &b.into()).encrypt_shares(&mut block);
        assert_eq!(block.unmasked()[0].0, reference::encrypt(&[0x5A ^ 0xC3; 16], [3; 8]));
    }
}
