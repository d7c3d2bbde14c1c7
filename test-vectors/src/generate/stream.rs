use crate::reference::twine;

/// A deterministic stream of bytes: TWINE-128 in counter mode.
///
/// The key is the label, followed by zeros; block i is the encryption of the seed and i, 32 bits each, big-endian.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u8; 16],
    seed: u32,
    counter: u32,
    block: Vec<u8>,
}

impl Stream {
    /// The stream of a label and a seed.
    ///
    /// # Panics
    /// If the label has more than 16 bytes.
    #[must_use]
    pub fn new(label: &str, seed: u32) -> Self {
        let mut key = [0; 16];
        key[..label.len()].copy_from_slice(label.as_bytes());
        Self { key, seed, counter: 0, block: Vec::new() }
    }

    /// The next `size` bytes.
    ///
    /// # Panics
    /// If the stream ends, which is after 2^32 - 1 blocks.
    #[must_use]
    pub fn bytes(&mut self, size: usize) -> Vec<u8> {
        (0..size).map(|_| self.byte()).collect()
    }

    /// A number below `bound`: the next four bytes, big-endian, modulo `bound`. The bias does not matter here.
    ///
    /// # Panics
    /// If `bound` is 0, or if the stream ends.
    #[must_use]
    pub fn below(&mut self, bound: usize) -> usize {
        self.bytes(4).into_iter().fold(0, |remainder, byte| (remainder * 256 + usize::from(byte)) % bound)
    }

    fn byte(&mut self) -> u8 {
        if self.block.is_empty() {
            let input = (u64::from(self.seed) << 32 | u64::from(self.counter)).to_be_bytes();
            self.counter = self.counter.checked_add(1).expect("the stream has ended");
            self.block = twine::encrypt(&self.key, input).to_vec();
        }
        self.block.remove(0)
    }
}
