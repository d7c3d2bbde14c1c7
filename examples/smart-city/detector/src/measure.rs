//! Measurements of code.
//!
//! It is OTR with combined processing of associated data, of the empty message, as `otr-mode` has it for all messages; written out
//! for this one because
//! - the associated data takes part independently of the nonce, so that one pass over the code gives the tags under two nonces;
//! - the code need not lie behind its prefix in one buffer;
//! - it is much smaller, also by what is kept out of line.
//!
//! The tests compare it with `otr-mode` and with the byte-wise reference.

use smart_city_frame::AttestKey;
use twine_cipher::{
    Twine128,
    cipher::{Array, BlockCipherEncrypt, KeyInit},
};

/// The blocks that go through the cipher at once: as many as it takes in words of 32 bits.
const LANES: usize = 4;

type Pair = [[u8; 8]; 2];

const PAIR_LEN: usize = size_of::<Pair>();

/// The region and the length of its code, before the code.
const PREFIX_LEN: usize = 6;

/// The tags of a region (2 bytes), the length of its code (4) and the code, under two nonces ([`formatted`]).
///
/// The key is expanded anew each time: that takes a small part of the time of a measurement, and leaves nothing in memory between
/// them.
pub(crate) fn tags(key: &AttestKey, region: u16, code: &[u8], nonces: [u64; 2]) -> [u64; 2] {
    let measurer = Measurer(Twine128::new(key.as_bytes().into()));
    let ta = measurer.measure(region, code);
    let mut calls = [0; LANES];
    for (call, nonce) in calls.iter_mut().zip(nonces) {
        *call = nonce ^ ta;
    }
    measurer.encrypt(&mut calls);
    for call in &mut calls {
        // The checksum of the empty message is its padding, and its mask 9 L.
        *call = 1 << 63 ^ times_3(times_3(*call));
    }
    measurer.encrypt(&mut calls);
    let [first, second, ..] = calls;
    [first, second]
}

/// A nonce as OTR has it in a block: 64 modulo 64 in seven bits, a one bit, the nonce.
pub(crate) const fn formatted(nonce: [u8; 7]) -> u64 {
    let [a, b, c, d, e, f, g] = nonce;
    u64::from_be_bytes([1, a, b, c, d, e, f, g])
}

struct Measurer(Twine128);

impl Measurer {
    /// TA, which does not depend on the nonce: the TE of decrypting what is measured under the mask L = E(0).
    #[inline(never)]
    fn measure(&self, region: u16, code: &[u8]) -> u64 {
        let mut group = [Pair::default(); LANES];
        let len = u32::try_from(code.len()).unwrap_or(u32::MAX);
        group[0][0] = (u64::from(region) << 48 | u64::from(len) << 16).to_be_bytes();
        let (mut mask, mut checksum) = (self.encrypt_one(0), 0);
        let (mut filled, mut rest) = (PREFIX_LEN, code);
        loop {
            let bytes = group.as_flattened_mut().as_flattened_mut();
            while let (Some(free), Some((byte, tail))) = (bytes.get_mut(filled), rest.split_first()) {
                *free = *byte;
                (filled, rest) = (filled + 1, tail);
            }
            // The last pair, full or not, is the last chunk, for which other rules hold.
            let pairs = if rest.is_empty() { (filled - 1) / PAIR_LEN } else { LANES };
            self.absorb(&group, pairs, &mut mask, &mut checksum);
            if let Some(last) = group.get_mut(pairs) {
                return self.finish(last, filled - pairs * PAIR_LEN, mask, checksum);
            }
            filled = 0;
        }
    }

    /// Decrypts the first `count` pairs and adds their second blocks to `checksum`: M1 = E(3L ^ C1) ^ C2, M2 = E(L ^ M1) ^ C1, with L
    /// doubled from pair to pair.
    fn absorb(&self, group: &[Pair; LANES], count: usize, mask: &mut u64, checksum: &mut u64) {
        let lanes = 0..count.min(LANES);
        let mut calls = [0; LANES];
        let mut l = *mask;
        for i in lanes.clone() {
            calls[i] = u64::from_be_bytes(group[i][0]) ^ times_3(l);
            l = double(l);
        }
        self.encrypt(&mut calls);
        for i in lanes.clone() {
            calls[i] ^= u64::from_be_bytes(group[i][1]) ^ *mask;
            *mask = double(*mask);
        }
        self.encrypt(&mut calls);
        for i in lanes {
            *checksum ^= u64::from_be_bytes(group[i][0]) ^ calls[i];
        }
    }

    /// The last chunk, of 1 to 16 bytes, under the mask L, and the call of the checksum.
    fn finish(&self, chunk: &mut Pair, len: usize, l: u64, mut checksum: u64) -> u64 {
        if len <= 8 {
            // M = C ^ msb(E(L))
            chunk[0] = (u64::from_be_bytes(chunk[0]) ^ self.encrypt_one(l)).to_be_bytes();
        }
        for i in len..PAIR_LEN {
            chunk.as_flattened_mut()[i] = if i == len { 0x80 } else { 0 };
        }
        let (first, second) = (u64::from_be_bytes(chunk[0]), u64::from_be_bytes(chunk[1]));
        let mut mask = l;
        if len <= 8 {
            checksum ^= first;
        } else {
            // M1 = E(3L ^ C2) ^ C1, Z = E(L ^ M1)
            mask = times_3(l);
            let m1 = self.encrypt_one(mask ^ second) ^ first;
            checksum ^= self.encrypt_one(l ^ m1) ^ second;
        }
        // 7 times the mask, or 9 times.
        let tripled = times_3(mask);
        self.encrypt_one(checksum ^ if len % 8 == 0 { mask ^ double(tripled) } else { times_3(tripled) })
    }

    fn encrypt_one(&self, block: u64) -> u64 {
        let mut calls = [block, 0, 0, 0];
        self.encrypt(&mut calls);
        calls[0]
    }

    #[inline(never)]
    fn encrypt(&self, calls: &mut [u64; LANES]) {
        let mut blocks = [Array::default(); LANES];
        for (block, call) in blocks.iter_mut().zip(&mut *calls) {
            block.0 = call.to_be_bytes();
        }
        self.0.encrypt_blocks(&mut blocks);
        for (block, call) in blocks.iter().zip(calls) {
            *call = u64::from_be_bytes(block.0);
        }
    }
}

/// 2x modulo x^64 + x^4 + x^3 + x + 1.
#[inline(never)]
fn double(x: u64) -> u64 {
    x << 1 ^ (x >> 63).wrapping_neg() & 0x1B
}

fn times_3(x: u64) -> u64 {
    x ^ double(x)
}
