//! Keys and frames, byte by byte, from the documentation of `smart-city-frame`. For tests only.

use test_vectors::{AdProcessing, Cipher, reference};

/// 1 for frames to the gateway.
pub const UP: u8 = 1;
/// 2 for frames to the device.
pub const DOWN: u8 = 2;
/// 3 for epoch requests.
pub const REKEY: u8 = 3;

/// CMAC of SP 800-38B over TWINE-128.
///
/// # Panics
/// If the key has not 16 bytes.
#[must_use]
pub fn cmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let encrypt = |block: &[u8]| reference::encrypt_block(Cipher::Twine128, key, block);
    let double = |block: &[u8]| {
        let value = block.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        let doubled = if value >> 63 == 1 { value << 1 ^ 0x1B } else { value << 1 };
        doubled.to_be_bytes().to_vec()
    };
    let xor = |a: &[u8], b: &[u8]| -> Vec<u8> { a.iter().zip(b).map(|(a, b)| a ^ b).collect() };

    let first = double(&encrypt(&[0; 8]));
    let last_len = if message.is_empty() { 0 } else { (message.len() - 1) % 8 + 1 };
    let (blocks, last) = message.split_at(message.len() - last_len);
    let mut last = last.to_vec();
    let subkey = if last.len() == 8 {
        first
    } else {
        last.push(0x80);
        last.resize(8, 0);
        double(&first)
    };
    let chain = blocks.chunks(8).fold(vec![0; 8], |chain, block| encrypt(&xor(&chain, block)));
    encrypt(&xor(&xor(&chain, &last), &subkey))
}

/// SP 800-108r1, 4.1: 128 bits.
#[must_use]
pub fn derive(root: &[u8], label: &str, context: &[u8]) -> Vec<u8> {
    let half =
        |n: u8| cmac(root, &[&[0, 0, 0, n][..], label.as_bytes(), &[0], context, &[0, 0, 0, 128]].concat());
    [half(1), half(2)].concat()
}

/// The key of a direction in an epoch.
#[must_use]
pub fn link_key(root: &[u8], direction: u8, device: &[u8], epoch: u16) -> Vec<u8> {
    let label = match direction {
        UP => "smart-city v1 up",
        DOWN => "smart-city v1 down",
        _ => "smart-city v1 rekey",
    };
    derive(root, label, &[device, &epoch.to_be_bytes()].concat())
}

/// What a frame is made of.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// The root key.
    pub root: &'a [u8],
    /// The device's EUI-64.
    pub device: &'a [u8],
    /// The epoch.
    pub epoch: u16,
    /// 0 reading, 1 evidence, 2 instruction, 3 receipt, 4 epoch request.
    pub kind: u8,
    /// The stream.
    pub stream: u16,
    /// 0 public, 1 internal, 2 confidential.
    pub class: u8,
    /// The counter.
    pub counter: u32,
    /// The payload.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// The direction of its kind.
    #[must_use]
    pub const fn direction(&self) -> u8 {
        match self.kind {
            0 | 1 => UP,
            2 | 3 => DOWN,
            _ => REKEY,
        }
    }

    /// The whole frame.
    #[must_use]
    pub fn seal(&self) -> Vec<u8> {
        let (epoch, counter) = (self.epoch.to_be_bytes(), self.counter.to_be_bytes());
        let header =
            [1 << 5 | self.kind << 2 | self.class, epoch[0], epoch[1], counter[1], counter[2], counter[3]];
        let nonce = [self.direction(), epoch[0], epoch[1], 0, counter[1], counter[2], counter[3]];
        let data = [&header[..], self.device, &self.stream.to_be_bytes()].concat();
        let key = link_key(self.root, self.direction(), self.device, self.epoch);
        let (ciphertext, tag) =
            reference::seal(Cipher::Twine128, AdProcessing::Parallel, &key, &nonce, &data, self.payload, 8);
        [&header[..], &ciphertext, &tag].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What must hold of any CMAC: a full and a padded block differ, and each block counts.
    #[test]
    fn cmac_separates() {
        let key = [7; 16];
        let mut seen = std::collections::BTreeSet::new();
        for len in 0..40 {
            for byte in [0, 0x80] {
                seen.insert(cmac(&key, &vec![byte; len]));
            }
        }
        assert_eq!(seen.len(), 79);
    }
}
