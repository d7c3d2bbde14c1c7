//! The masked ciphers and the masked AEAD. Their kernels are assembly that only runs here.

use crate::{
    block::Random,
    reference,
    report::Report,
    vectors::{AdProcessing, BLOCK_VECTORS, TWINE_OTR, TWINE_OTR_INVALID},
};
use core::{convert::Infallible, fmt};
use qemu_trace::region;
use rand_core::{Rng as _, TryCryptoRng, TryRng};
use twine_cipher::{
    MaskedBlocks, Twine80, Twine80Masked, Twine128, Twine128Masked,
    cipher::{Array, Key, consts::U8},
};
use twine_otr_aead::{AeadInOut as _, KeyInit as _, Twine80Otr, Twine128Otr, TwineOtrMasked};

/// The longest message and associated data: more than two times what is processed at once.
const LONGEST: usize = 140;

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
    ($run:ident, $masked:ty, $plain:ty, $otr:ty, $words:literal, $name:literal) => {
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
            report.group(format_args!(concat!($name, ", masked, keys and blocks as shares")), &mut shares)?;

            let mut known = TWINE_OTR
                .iter()
                .chain(TWINE_OTR_INVALID)
                .filter(|vector| vector.key.len() == len && vector.ad_processing == AdProcessing::Parallel)
                .filter_map(|vector| {
                    let (key, nonce) = (key_of(vector.key)?, vector.nonce.try_into().ok()?);
                    let tag = vector.tag.try_into().ok()?;
                    let mut aead = TwineOtrMasked::<_, $masked>::new(&key, &mut *random);
                    let mut buffer = [0; LONGEST];
                    let buffer = &mut buffer[..vector.ct.len()];
                    buffer.copy_from_slice(vector.ct);
                    let opened = aead.decrypt_inout_detached(nonce, vector.ad, (&mut *buffer).into(), tag);
                    let is_right = if vector.valid {
                        opened.is_ok()
                            && buffer == vector.msg
                            && aead.encrypt_inout_detached(nonce, vector.ad, (&mut *buffer).into())
                                == Ok(*tag)
                            && buffer == vector.ct
                    } else {
                        opened.is_err() && buffer.iter().all(|byte| *byte == 0)
                    };
                    Some((vector.id, is_right))
                });
            report.group(format_args!(concat!($name, ", masked, OTR")), &mut known)?;

            let mut lengths = (0..=LONGEST).map(|message_len| {
                let key = random.bytes::<16>();
                let nonce = random.bytes().into();
                let (original, ad) = (random.bytes::<LONGEST>(), random.bytes::<LONGEST>());
                // All lengths of both, but not all together.
                let ad = &ad[..message_len * 73 % (LONGEST + 1)];
                let (message, mut plain, mut buffer) = (&original[..message_len], original, original);
                let (plain, buffer) = (&mut plain[..message_len], &mut buffer[..message_len]);
                let is_right = key_of(&key[..len]).is_some_and(|key| {
                    let tag = <$otr>::new(&key).encrypt_inout_detached(&nonce, ad, (&mut *plain).into());
                    let mut aead = TwineOtrMasked::<_, $masked>::new(&key, &mut *random);
                    let is_same = aead.encrypt_inout_detached(&nonce, ad, (&mut *buffer).into()) == tag
                        && buffer == plain;
                    let is_opened = tag.is_ok_and(|tag| {
                        aead.decrypt_inout_detached(&nonce, ad, (&mut *buffer).into(), &tag).is_ok()
                    });
                    is_same && is_opened && buffer == message
                });
                (message_len as u32, is_right)
            });
            report.group(format_args!(concat!($name, ", masked, OTR like that without masks")), &mut lengths)
        }
    };
}

checks!(twine_80, Twine80Masked, Twine80, Twine80Otr, 3, "TWINE-80");
checks!(twine_128, Twine128Masked, Twine128, Twine128Otr, 4, "TWINE-128");

/// A generator that takes few instructions, for what counts them.
struct Few(u32);

impl TryRng for Few {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 = self.0.wrapping_mul(0x915F_77F5).wrapping_add(1);
        Ok(self.0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.try_next_u32()?) << 32 | u64::from(self.try_next_u32()?))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        rand_core::utils::fill_bytes_via_next_word(bytes, || self.try_next_u32())
    }
}

/// Not for secrets either.
impl TryCryptoRng for Few {}

/// Seals and opens messages of these lengths, with 8 bytes of associated data, each as a region of the trace.
fn costs(report: &mut Report<'_>) -> fmt::Result {
    let mut aead: TwineOtrMasked<_> = TwineOtrMasked::new(&[0x42; 16].into(), Few(1));
    let mut checks = [64, 1024].into_iter().map(|len| {
        let mut buffer = [0x5A; 1024];
        let (nonce, ad, buffer) = ([0; 7].into(), [7; 8], &mut buffer[..len]);
        let tag = region(|| aead.encrypt_inout_detached(&nonce, &ad, (&mut *buffer).into()));
        let is_opened = tag.is_ok_and(|tag| {
            region(|| aead.decrypt_inout_detached(&nonce, &ad, (&mut *buffer).into(), &tag)).is_ok()
        });
        (len as u32, is_opened && buffer.iter().all(|byte| *byte == 0x5A))
    });
    report.group(format_args!("TWINE-128, masked, regions"), &mut checks)?;

    #[cfg(target_os = "none")]
    {
        let mut buffer = [0; 200];
        let mut tag = Default::default();
        let seal = stack::used(|| {
            tag = aead
                .encrypt_inout_detached(&[0; 7].into(), b"data", buffer.as_mut_slice().into())
                .unwrap_or_default();
        });
        let mut is_opened = false;
        let open = stack::used(|| {
            is_opened = aead
                .decrypt_inout_detached(&[0; 7].into(), b"data", buffer.as_mut_slice().into(), &tag)
                .is_ok();
        });
        let checks = [(1, is_opened), (2, seal.max(open) <= MOST_STACK)];
        let name = format_args!("TWINE-128, masked, stack of {seal} bytes to seal and {open} to open");
        report.group(name, &mut checks.into_iter())?;
    }
    Ok(())
}

/// The most bytes of stack that sealing and opening may take.
#[cfg(target_os = "none")]
const MOST_STACK: usize = 1024;

#[cfg(target_os = "none")]
#[path = "../../benches/cortex-m/src/stack.rs"]
#[allow(unreachable_pub, reason = "shared with the benchmarks")]
mod stack;

pub(crate) fn run(report: &mut Report<'_>) -> fmt::Result {
    let mut random = Random(0x6A09_E667);
    twine_80(report, &mut random)?;
    twine_128(report, &mut random)?;
    costs(report)
}
