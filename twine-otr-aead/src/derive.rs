//! Key derivation.

use core::fmt;

#[cfg(feature = "zeroize")]
use otr_mode::cipher::zeroize::ZeroizeOnDrop;
use otr_mode::{Key, KeyInit, cipher::BlockCipherEncrypt, consts::U8};

use crate::{Twine128, limits::BLOCK, secret::Secret};

/// The purpose of a derived key and the name of its protocol. A label has at least one byte, and no byte is zero.
///
/// It is best to let the compiler check a label:
/// ```
/// use twine_otr_aead::Label;
///
/// const UPLINK: Label<'_> = Label::new(b"meter v1 up").unwrap();
/// ```
/// The labels of this library start with `TWINE-OTR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label<'a>(&'a [u8]);

impl<'a> Label<'a> {
    /// Makes a label of these bytes. Returns `None` if there are no bytes or if one of them is zero.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Option<Self> {
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at] == 0 {
                return None;
            }
            at += 1;
        }
        if bytes.is_empty() { None } else { Some(Self(bytes)) }
    }

    /// Returns the bytes of the label.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// Derives keys from a key. This is the counter mode of NIST SP 800-108r1 (section 4.1), with CMAC (SP 800-38B) over TWINE as its PRF.
///
/// `[x]32` stands for the 32 bits of x, big-endian, and `||` joins bytes. A key of b bits is the first b bits of K(1) || K(2) || ...:
/// ```text
/// K(n) = CMAC(key, [n]32 || label || 00 || context || [b]32)
/// ```
/// No label has a zero byte, so different pairs of label and context never make the same input. **All contexts under one label must have
/// the same format**, so that the same bytes never have two meanings. For example, a context is always 8 bytes of the device, then 4 bytes
/// of the epoch.
/// ```
/// use twine_otr_aead::{Kdf, Label, Sealer};
///
/// const UPLINK: Label<'_> = Label::new(b"meter v1 up").unwrap();
///
/// let mut kdf: Kdf = Kdf::new(&[0x42; 16].into());
/// let mut key = [0; 16]; // better is `Zeroizing::new([0; 16])` of the crate `zeroize`, which erases itself
/// kdf.derive(UPLINK, b"meter 47", &mut key);
/// let sealer: Sealer = Sealer::with_ephemeral_key((&key).into(), *b"up 7");
/// ```
///
/// # Limits
/// - **The key must be uniformly random.** A password is not.
/// - **Use the key for nothing else**, above all not in a [`Sealer`](crate::Sealer) or an [`Opener`](crate::Opener). The outputs of CMAC
///   would harm OTR under the same key.
/// - **At most 2^20 keys of 80 or 128 bits** may be derived from one key. This is 2^21 calls of CMAC, the limit of SP 800-38B (appendix B)
///   for blocks of 64 bits. The library does not count them.
/// - After s blocks of input an attacker can tell the derived keys from random ones with an advantage of about 4 s^2 / 2^64 (Iwata and
///   Kurosawa, INDOCRYPT 2003). With inputs of 6 blocks this is 2^-14.8 for 2^20 keys, and 2^-22.8 for 2^16 keys.
/// - Keys of 80 bits are weaker if many of them are attacked together: among 2^20 keys, one falls after some 2^60 attempts.
/// - Anybody who knows the key can choose a context that gives a key of their choice (SP 800-108r1, section 6.7). If parties that do not
///   trust each other have the key, use another KDF.
#[doc(alias = "key derivation")]
pub struct Kdf<B: BlockCipherEncrypt<BlockSize = U8> = Twine128>(B);

impl<B: BlockCipherEncrypt<BlockSize = U8> + KeyInit> Kdf<B> {
    /// Makes a KDF that derives keys from `key`.
    #[must_use]
    pub fn new(key: &Key<B>) -> Self {
        Self(KeyInit::new(key))
    }

    /// Sets `key` to the key of this label and context. The key also depends on its length.
    pub fn derive<const N: usize>(&mut self, label: Label<'_>, context: &[u8], key: &mut [u8; N]) {
        const { assert!(N < 1 << 29, "the length in bits has 32 bits") };
        fill(&self.0, label, context, key);
    }
}

/// Does what [`Kdf::derive`] does, with the key of `cipher`, for less than 2^29 bytes.
#[allow(clippy::cast_possible_truncation, reason = "less than 2^32 bits")]
pub(crate) fn fill<B>(cipher: &B, label: Label<'_>, context: &[u8], key: &mut [u8])
where
    B: BlockCipherEncrypt<BlockSize = U8>,
{
    let bits = (key.len() * 8) as u32;
    for (counter, part) in (1u32..).zip(key.chunks_mut(BLOCK)) {
        let mut mac = Cmac { cipher, chain: Secret::default(), len: 0 };
        for input in [&counter.to_be_bytes(), label.0, &[0], context, &bits.to_be_bytes()] {
            mac.update(input);
        }
        mac.finalize();
        for (byte, output) in part.iter_mut().zip(&mac.chain.0) {
            *byte = *output;
        }
    }
}

/// CMAC of a message that is not empty. This is not the crate `cmac`, because that checks bounds and so brings code that panics into
/// firmware.
struct Cmac<'a, B> {
    cipher: &'a B,
    /// The encryption of the previous blocks, XORed with the bytes of this block so far. The output is a part of a key, so it is only
    /// here: a copy on the stack would not be erased.
    chain: Secret<U8>,
    /// The number of bytes of this block so far.
    len: usize,
}

impl<B: BlockCipherEncrypt<BlockSize = U8>> Cmac<'_, B> {
    fn update(&mut self, input: &[u8]) {
        for byte in input {
            if self.len == BLOCK {
                self.cipher.encrypt_block(&mut self.chain.0);
                self.len = 0;
            }
            self.add(*byte);
            self.len += 1;
        }
    }

    /// Sets `chain` to the output.
    fn finalize(&mut self) {
        let mut subkey = Secret::<U8>::default();
        self.cipher.encrypt_block(&mut subkey.0);
        let mut doubled = double(u64::from_be_bytes(subkey.0.into()));
        if self.len < BLOCK {
            self.add(0x80);
            doubled = double(doubled);
        }
        for (chained, byte) in self.chain.0.iter_mut().zip(doubled.to_be_bytes()) {
            *chained ^= byte;
        }
        self.cipher.encrypt_block(&mut self.chain.0);
    }

    /// XORs a byte at the place `len`, which is less than the length of a block.
    fn add(&mut self, byte: u8) {
        if let Some(chained) = self.chain.0.get_mut(self.len) {
            *chained ^= byte;
        }
    }
}

/// Returns twice x in GF(2^64).
fn double(x: u64) -> u64 {
    x << 1 ^ (x >> 63).wrapping_neg() & 0x1b
}

impl<B: BlockCipherEncrypt<BlockSize = U8>> fmt::Debug for Kdf<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kdf { .. }")
    }
}

#[cfg(feature = "zeroize")]
impl<B: BlockCipherEncrypt<BlockSize = U8> + ZeroizeOnDrop> ZeroizeOnDrop for Kdf<B> {}
