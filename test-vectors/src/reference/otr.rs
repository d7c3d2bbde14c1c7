//! OTR v3, byte by byte and one block at a time.
//!
//! Minematsu: *Parallelizable Rate-1 Authenticated Encryption from Pseudorandom Functions*, EUROCRYPT 2014, with the
//! masks and the three ways to process associated data of *AES-OTR v3* (CAESAR, third round), generic in the block
//! cipher and in its block size n of 64 or 128 bits.
//!
//! A block is an element of GF(2^n), the first bit the coefficient of x^(n-1). A small number such as 2, 3 or 7 is
//! the element whose coefficients are its bits (x, x + 1, x^2 + x + 1), and a product of numbers is a product of
//! elements: 3 * 3 is x^2 + 1, not x^3 + 1.

use core::fmt;

use crate::AdProcessing;

/// OTR v3 over a block cipher under some key.
#[derive(Clone, Copy)]
pub struct Otr<'a> {
    encrypt: &'a dyn Fn(&[u8]) -> Vec<u8>,
    block_size: usize,
    ad_processing: AdProcessing,
    tag_size: usize,
}

/// How the core of OTR runs: its decryption also processes associated data.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Encrypt,
    Decrypt,
}

impl<'a> Otr<'a> {
    /// OTR with the cipher `encrypt` (one block under a fixed key), whose blocks have `block_size` bytes, and with
    /// tags of `tag_size` bytes.
    ///
    /// # Panics
    /// If the block size is neither 8 nor 16, or the tag size is 0 or more than the block size.
    #[must_use]
    pub fn new(
        encrypt: &'a dyn Fn(&[u8]) -> Vec<u8>,
        block_size: usize,
        ad_processing: AdProcessing,
        tag_size: usize,
    ) -> Self {
        assert!(block_size == 8 || block_size == 16, "OTR is defined for blocks of 8 and 16 bytes");
        assert!((1..=block_size).contains(&tag_size), "a tag has 1 byte to a block");
        Self { encrypt, block_size, ad_processing, tag_size }
    }

    /// Seals `msg` and returns the ciphertext and the tag.
    ///
    /// # Panics
    /// If the nonce is empty or as long as a block.
    #[must_use]
    pub fn seal(&self, nonce: &[u8], ad: &[u8], msg: &[u8]) -> (Vec<u8>, Vec<u8>) {
        self.run(Direction::Encrypt, nonce, ad, msg)
    }

    /// Opens `ct`: the plaintext, or `None` if the tag is wrong or has the wrong size.
    ///
    /// # Panics
    /// If the nonce is empty or as long as a block.
    #[must_use]
    pub fn open(&self, nonce: &[u8], ad: &[u8], ct: &[u8], tag: &[u8]) -> Option<Vec<u8>> {
        let (msg, expected) = self.run(Direction::Decrypt, nonce, ad, ct);
        (tag == expected).then_some(msg)
    }

    fn run(&self, direction: Direction, nonce: &[u8], ad: &[u8], text: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let formatted = self.format(nonce);
        let ta = self.process_ad(ad);
        let (text, te) = match self.ad_processing {
            AdProcessing::Parallel => self.core(direction, &self.e(&formatted), text),
            AdProcessing::Serial => self.core(direction, &double(&xor(&self.e(&formatted), &ta)), text),
            AdProcessing::Combined => self.core(direction, &self.e(&xor(&formatted, &ta)), text),
        };
        let tag = if self.ad_processing == AdProcessing::Parallel { xor(&te, &ta) } else { te };
        (text, tag[..self.tag_size].to_vec())
    }

    /// Format: seven bits of tag size (in bits, mod n), zeros, a one, and the nonce.
    fn format(&self, nonce: &[u8]) -> Vec<u8> {
        let n = self.block_size;
        assert!((1..n).contains(&nonce.len()), "a nonce has 1 byte to a block less 1 byte");
        let mut block = vec![0; n];
        block[0] = u8::try_from(self.tag_size * 8 % (n * 8)).expect("less than 128") << 1;
        block[n - nonce.len() - 1] |= 1;
        block[n - nonce.len()..].copy_from_slice(nonce);
        block
    }

    /// TA: a block that depends on all associated data; zero if there are none.
    fn process_ad(&self, ad: &[u8]) -> Vec<u8> {
        let n = self.block_size;
        let zero = vec![0; n];
        if ad.is_empty() {
            return zero;
        }
        let q = self.e(&zero);
        let last_start = (ad.len() - 1) / n * n;
        let (blocks, last) = (ad[..last_start].chunks(n), &ad[last_start..]);
        let full = last.len() == n;
        match self.ad_processing {
            AdProcessing::Parallel => {
                let (mut sum, mut mask) = (zero, q);
                for block in blocks {
                    sum = xor(&sum, &self.e(&xor(&mask, block)));
                    mask = double(&mask);
                }
                let last_mask = if full { multiply(3, &multiply(3, &mask)) } else { multiply(3, &mask) };
                self.e(&xor(&xor(&sum, &self.pad(last)), &last_mask))
            }
            AdProcessing::Serial => {
                let mut chain = zero;
                for block in blocks {
                    chain = self.e(&xor(&chain, block));
                }
                let last_mask = if full { multiply(4, &q) } else { multiply(2, &q) };
                self.e(&xor(&xor(&chain, &self.pad(last)), &last_mask))
            }
            AdProcessing::Combined => self.core(Direction::Decrypt, &q, ad).1,
        }
    }

    /// The two-round Feistel over pairs of blocks: the other text, and TE.
    fn core(&self, direction: Direction, l: &[u8], text: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let n = self.block_size;
        let mut out = Vec::with_capacity(text.len());
        let mut checksum = vec![0; n];
        let mut mask = l.to_vec();

        // The last chunk has 1 byte to a pair of blocks; it is empty only if the text is.
        let last_start = text.len().saturating_sub(1) / (2 * n) * (2 * n);
        for pair in text[..last_start].chunks(2 * n) {
            let (left, right) = pair.split_at(n);
            match direction {
                Direction::Encrypt => {
                    let c1 = xor(&self.e(&xor(&mask, left)), right);
                    let c2 = xor(&self.e(&xor(&multiply(3, &mask), &c1)), left);
                    checksum = xor(&checksum, right);
                    out.extend([c1, c2].concat());
                }
                Direction::Decrypt => {
                    let m1 = xor(&self.e(&xor(&multiply(3, &mask), left)), right);
                    let m2 = xor(&self.e(&xor(&mask, &m1)), left);
                    checksum = xor(&checksum, &m2);
                    out.extend([m1, m2].concat());
                }
            }
            mask = double(&mask);
        }

        let last = &text[last_start..];
        let last_mask;
        if last.len() <= n {
            let other = xor(&self.e(&mask)[..last.len()], last);
            let msg = if direction == Direction::Encrypt { last } else { &other };
            checksum = xor(&checksum, &self.pad(msg));
            out.extend(other);
            last_mask = mask;
        } else {
            let (left, right) = last.split_at(n);
            let mask3 = multiply(3, &mask);
            match direction {
                Direction::Encrypt => {
                    let z = self.e(&xor(&mask, left));
                    let c2 = xor(&z[..right.len()], right);
                    let c1 = xor(&self.e(&xor(&mask3, &self.pad(&c2))), left);
                    checksum = xor(&checksum, &xor(&z, &self.pad(&c2)));
                    out.extend([c1, c2].concat());
                }
                Direction::Decrypt => {
                    let m1 = xor(&self.e(&xor(&mask3, &self.pad(right))), left);
                    let z = self.e(&xor(&mask, &m1));
                    let m2 = xor(&z[..right.len()], right);
                    checksum = xor(&checksum, &xor(&z, &self.pad(right)));
                    out.extend([m1, m2].concat());
                }
            }
            last_mask = mask3;
        }
        let full = !last.is_empty() && last.len() % n == 0;
        let tag_mask = if full { multiply(7, &last_mask) } else { multiply(3, &multiply(3, &last_mask)) };
        (out, self.e(&xor(&checksum, &tag_mask)))
    }

    fn e(&self, block: &[u8]) -> Vec<u8> {
        (self.encrypt)(block)
    }

    /// A full block as it is; a shorter one followed by a one bit and zeros.
    fn pad(&self, bytes: &[u8]) -> Vec<u8> {
        let mut block = bytes.to_vec();
        if block.len() < self.block_size {
            block.push(0x80);
            block.resize(self.block_size, 0);
        }
        block
    }
}

impl fmt::Debug for Otr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otr")
            .field("block_size", &self.block_size)
            .field("ad_processing", &self.ad_processing)
            .field("tag_size", &self.tag_size)
            .finish_non_exhaustive()
    }
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

/// 2 * `element`, modulo x^64 + x^4 + x^3 + x + 1 or x^128 + x^7 + x^2 + x + 1.
fn double(element: &[u8]) -> Vec<u8> {
    let mut out = vec![0; element.len()];
    let mut carry = 0;
    for (out, byte) in out.iter_mut().zip(element).rev() {
        *out = byte << 1 | carry;
        carry = byte >> 7;
    }
    if carry == 1 {
        *out.last_mut().expect("a block is not empty") ^= if element.len() == 8 { 0x1B } else { 0x87 };
    }
    out
}

/// `multiplier` * `element`, as the sum of the element's doublings at the multiplier's bits.
fn multiply(multiplier: u8, element: &[u8]) -> Vec<u8> {
    let mut sum = vec![0; element.len()];
    let mut doubled = element.to_vec();
    for bit in 0..8 {
        if multiplier >> bit & 1 == 1 {
            sum = xor(&sum, &doubled);
        }
        doubled = double(&doubled);
    }
    sum
}
