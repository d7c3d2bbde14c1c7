//! TWINE with two shares. See [`Twine128Masked`].

use cipher::{Array, Block, Key, consts::U8};
use core::{array, fmt};
use rand_core::CryptoRng;

use crate::{
    Twine80, Twine128,
    backends::masked::{self, RoundKeys, Shares, bytes, erase, words},
};

/// The number of blocks that are encrypted at once.
const WIDTH: usize = 4;

/// Four blocks as two shares, whose XOR they are.
///
/// With the feature `zeroize` the shares are erased when they are dropped. A clone has the same masks: where both are used, masks are used twice.
#[derive(Clone, Default)]
pub struct MaskedBlocks {
    /// `shares[s][i]` is share `s` of block `i`: its bytes as two words in little-endian order. Code that has secret blocks as shares writes
    /// them here, so that nothing copies both shares. Each share by itself must be random.
    pub shares: Shares,
}

impl MaskedBlocks {
    /// Splits up to four blocks with masks from `rng`. The others are random. The blocks themselves are read, which shows them to whoever
    /// measures the power; [`shares`](Self::shares) is for blocks that are secret.
    #[must_use]
    pub fn new(blocks: &[Array<u8, U8>], rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut new = Self::default();
        let [a, b] = &mut new.shares;
        for (i, (a, b)) in a.iter_mut().zip(b).enumerate() {
            let mut random = || [rng.next_u32(), rng.next_u32()];
            *b = random();
            *a = match blocks.get(i) {
                Some(block) => {
                    let [low, high] = words(block);
                    [b[0] ^ low, b[1] ^ high]
                }
                // Not zeros: what they are encrypted to is a secret of the mode.
                None => random(),
            };
        }
        new
    }

    /// Writes the first blocks themselves to `blocks`, which shows them to whoever measures the power.
    pub fn unmask(&self, blocks: &mut [Array<u8, U8>]) {
        let [a, b] = &self.shares;
        for (block, (a, b)) in blocks.iter_mut().zip(a.iter().zip(b)) {
            *block = bytes([a[0] ^ b[0], a[1] ^ b[1]]);
        }
    }
}

impl fmt::Debug for MaskedBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskedBlocks { .. }")
    }
}

#[cfg(feature = "zeroize")]
impl Drop for MaskedBlocks {
    fn drop(&mut self) {
        erase(&mut self.shares);
    }
}

#[cfg(feature = "zeroize")]
impl cipher::zeroize::ZeroizeOnDrop for MaskedBlocks {}

macro_rules! twine_masked {
    ($name:ident, $plain:ty, $words:literal, $expand:path, $doc:literal) => {
        #[doc = $doc]
        ///
        /// **Experimental,** and there only with `--cfg twine_masked`. It can encrypt, which is all that OTR needs. Each secret value exists as
        /// two shares, whose XOR it is, and each share by itself is random.
        ///
        /// # What is proved
        /// On ARMv7-M and ARMv8-M with the Main Extension it is assembly. Of the key schedule, of new masks, the first ones and later ones, and of the
        /// rounds, the package `masking` of the repository proves that the distribution of each bit that is seen in five models of what leaks is
        /// the same for all secrets. This is of first order: of several bits together nothing is proved. Nobody has measured any of it on
        /// hardware.
        ///
        /// The proof assumes that registers, stack and the bus of the memory have nothing secret when the assembly is called; `README.md` of
        /// that package has all that it assumes. The Rust code around the assembly, such as moves and clones, is not checked: it may bring both
        /// shares of a value together.
        ///
        /// **Mask interrupts** during each call. An interrupt stores registers with both shares one after the other.
        ///
        /// Elsewhere, as on ARMv6-M, or where `--cfg twine_backend` forces another backend, it is portable code, of which nothing is claimed
        /// but what it computes: the compiler may join both shares.
        ///
        /// # Masks
        /// - Four blocks need eight words of new masks each time. [`MaskedBlocks::new`] takes them, and two more for each block that there is not.
        /// - The masks of the round keys stay the same until [`refresh`](Self::refresh) adds four words to all of them. Without new masks, an
        ///   attacker who takes the mean of many measurements learns each share of the round keys by itself, and both together are the key. So
        ///   refresh before each message. [`encrypt_blocks`](Self::encrypt_blocks) does it once a call.
        /// - A clone has the masks of the original: refresh one of both.
        #[derive(Clone)]
        pub struct $name {
            keys: RoundKeys,
        }

        impl $name {
            /// Makes the round keys of `key`, with masks from `rng`. The key itself is read, which shows it to whoever measures the power. A
            /// device that attackers can hold keeps its key as shares, for [`from_shares`](Self::from_shares).
            #[must_use]
            pub fn new(key: &Key<$plain>, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
                let mut shares = [[0; $words]; 2];
                shares[1].fill_with(|| rng.next_u32());
                shares[0] = shares[1];
                for (word, bytes) in shares[0].iter_mut().zip(key.chunks(4)) {
                    *word ^= bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
                }
                let mut new = Self::from_shares(&shares);
                erase(&mut shares);
                new.refresh(rng);
                new
            }

            /// Makes the round keys of a key that is the XOR of two shares: their bytes as words in little-endian order. Bytes after the
            /// end of the key do not count. Each share must be random, and new for each start.
            ///
            /// The masks of the round keys depend on each other. What is proved of the rounds needs a [`refresh`](Self::refresh) before.
            #[must_use]
            pub fn from_shares(shares: &[[u32; $words]; 2]) -> Self {
                let mut new = Self::without_key();
                new.set_shares(shares);
                new
            }

            /// Returns a value without a key, which is not secret. A key must be set before any use.
            #[doc(hidden)]
            #[must_use]
            pub fn without_key() -> Self {
                Self { keys: RoundKeys::ZERO }
            }

            /// Makes the round keys as [`from_shares`](Self::from_shares) does, in place.
            pub fn set_shares(&mut self, shares: &[[u32; $words]; 2]) {
                $expand(&mut self.keys, shares);
            }

            /// Gives new masks to all round keys.
            pub fn refresh(&mut self, rng: &mut (impl CryptoRng + ?Sized)) {
                let mut masks = array::from_fn(|_| rng.next_u32());
                masked::refresh(&mut self.keys, &masks);
                erase(&mut masks);
            }

            /// Encrypts shares of four blocks. The masks of the result depend on those of the blocks, and are as random.
            ///
            /// What is proved needs a [`refresh`](Self::refresh) after the round keys were made, and new masks of the blocks.
            pub fn encrypt_shares(&self, blocks: &mut MaskedBlocks) {
                masked::encrypt(&self.keys, &mut blocks.shares);
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
                    shares.unmask(chunk);
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), " { .. }"))
            }
        }

        #[cfg(feature = "zeroize")]
        impl cipher::zeroize::ZeroizeOnDrop for $name {}
    };
}

twine_masked!(Twine80Masked, Twine80, 3, masked::expand_80, "TWINE with an 80-bit key, in two shares.");
twine_masked!(Twine128Masked, Twine128, 4, masked::expand_128, "TWINE with a 128-bit key, in two shares.");

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
            rand_core::utils::next_u64_via_u32(self)
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            rand_core::utils::fill_bytes_via_next_word(bytes, || self.try_next_u32())
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

    fn unmasked(shares: &MaskedBlocks) -> [Array<u8, U8>; WIDTH] {
        let mut blocks = [Array::default(); WIDTH];
        shares.unmask(&mut blocks);
        blocks
    }

    fn encrypted(key: &[u8], blocks: [Array<u8, U8>; WIDTH]) -> [Array<u8, U8>; WIDTH] {
        blocks.map(|block| Array(reference::encrypt(key, block.0)))
    }

    /// New masks change all shares, and nothing else.
    #[test]
    fn shares_change_with_the_masks() {
        let mut rng = Random(1000);
        let mut cipher = Twine128Masked::new(&[1; 16].into(), &mut rng);
        let mut before = MaskedBlocks::new(&[], &mut rng);
        let plain = unmasked(&before);
        let mut after = before.clone();
        cipher.encrypt_shares(&mut before);
        cipher.refresh(&mut rng);
        cipher.encrypt_shares(&mut after);
        for shares in [&before, &after] {
            assert_eq!(unmasked(shares), encrypted(&[1; 16], plain));
        }
        for (before, after) in before.shares.as_flattened().iter().zip(after.shares.as_flattened()) {
            assert_ne!(before, after);
        }
    }

    /// The bytes of a key, and zeros, as words.
    fn key_words<const N: usize>(key: &[u8]) -> [u32; N] {
        array::from_fn(|i| u32::from_le_bytes(array::from_fn(|j| key.get(4 * i + j).copied().unwrap_or(0))))
    }

    /// Bytes after the end of the key do not count.
    #[test]
    fn a_key_can_come_as_shares() {
        let mut rng = Random(2000);
        let key: [u8; 16] = array::from_fn(|i| 17 * u8::try_from(i).unwrap_or(0));
        let long: [u32; 4] = array::from_fn(|_| rand_core::Rng::next_u32(&mut rng));
        let short: [u32; 3] = array::from_fn(|i| long[i]);
        let ends = [0, 0, 0xABCD_0000];
        let mut blocks = MaskedBlocks::new(&[], &mut rng);
        let plain = unmasked(&blocks);
        let mut others = blocks.clone();
        let words = key_words::<4>(&key);
        Twine128Masked::from_shares(&[array::from_fn(|i| long[i] ^ words[i]), long])
            .encrypt_shares(&mut blocks);
        let words = key_words::<3>(&key[..10]);
        Twine80Masked::from_shares(&[array::from_fn(|i| short[i] ^ words[i] ^ ends[i]), short])
            .encrypt_shares(&mut others);
        assert_eq!(unmasked(&blocks), encrypted(&key, plain));
        assert_eq!(unmasked(&others), encrypted(&key[..10], plain));
    }

    /// What `new` returns has masks that do not come from those of the key, and each call of `encrypt_blocks` changes them.
    #[test]
    fn round_keys_are_refreshed() {
        let key = [9; 16];
        let encrypt = |cipher: &Twine128Masked| {
            let mut blocks = MaskedBlocks::default();
            cipher.encrypt_shares(&mut blocks);
            blocks.shares
        };
        let found = encrypt(&Twine128Masked::new(&key.into(), &mut Random(3000)));
        let mut rng = Random(3000);
        let mask: [u32; 4] = array::from_fn(|_| rand_core::Rng::next_u32(&mut rng));
        let words = key_words::<4>(&key);
        let mut cipher = Twine128Masked::from_shares(&[array::from_fn(|i| mask[i] ^ words[i]), mask]);
        assert_ne!(found, encrypt(&cipher));
        cipher.refresh(&mut rng);
        assert_eq!(found, encrypt(&cipher));
        cipher.encrypt_blocks(&mut [], &mut rng);
        assert_ne!(found, encrypt(&cipher));
    }

    /// Where there is no block, there is not the block of zeros, and nothing is unmasked.
    #[test]
    fn missing_blocks_are_random() {
        let mut rng = Random(4000);
        for count in 0..=WIDTH {
            let plain = blocks(&mut rng, count);
            let shares = MaskedBlocks::new(&plain, &mut rng);
            let all = unmasked(&shares);
            assert_eq!(all[..count], plain[..]);
            assert!(all[count..].iter().all(|block| block.0 != [0; 8]));
            assert!(shares.shares.as_flattened().as_flattened().iter().all(|word| *word != 0));
            let mut first = vec![Array::default(); count];
            shares.unmask(&mut first);
            assert_eq!(first, plain);
        }
    }
}
