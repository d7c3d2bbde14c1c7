//! A whole message of TWINE-OTR on shares: the calls of kernels that `twine-otr-aead/src/masked.rs` makes, on simulated words.
//!
//! Functions have the names of those that they follow. What the Rust code does with public words is done without instructions.

use crate::{
    ADD, DOUBLE, ENCRYPT, REFRESH, SELECT, TIMES_16,
    check::{KEYS, STACK},
    leakage::masks,
    machine::{Cell, Machine, Model},
    plain::{Plain, RUNS, Word},
    random::Random,
};
use anyhow::{Context as _, Result};

/// Blocks of both shares, 64 bytes each: as `Work` has them.
const HEADER: u32 = 0x4000_4000;
const FIRST: u32 = 0x4000_4100;
const SECOND: u32 = 0x4000_4200;
const CALLS: u32 = 0x4000_4300;
const SUM: u32 = 0x4000_4400;
const ENDS: u32 = 0x4000_4500;
/// Five blocks of each share.
const POWERS: u32 = 0x4000_4600;
/// Random masks.
const FRESH: u32 = 0x4000_4700;
/// Public blocks.
const ZERO: u32 = 0x4000_4800;
const X: u32 = 0x4000_4900;
const Y: u32 = 0x4000_4A00;
const OTHER: u32 = 0x4000_4B00;

/// The lanes of L and Q.
const L: u32 = 0;
const Q: u32 = 1;
/// Those of the inputs of the last call.
const CHECKSUM: u32 = 0;
const TA: u32 = 1;

const LANES: u32 = 4;
const TIMES_3: [bool; 3] = [true, true, false];
const TIMES_9: [bool; 3] = [true, false, true];
const TIMES_7: [bool; 3] = [true, true, true];

const BLOCK: usize = 8;
const PAIR: usize = 16;
/// The bytes of as many pairs as there are lanes.
const BATCH: usize = LANES as usize * PAIR;

type Block = [Word; 2];
const NO_BLOCK: Block = [[0; RUNS]; 2];

/// What runs the kernels.
pub struct Caller<'a, F: FnMut(Model, u32, &Word)> {
    /// With round keys at [`KEYS`].
    pub machine: &'a mut Machine<Plain<F>>,
    /// The addresses of kernels.
    pub addresses: &'a dyn Fn(&str) -> Option<u32>,
    /// Where masks come from.
    pub random: &'a mut Random,
    /// All masks are random. Else they are zero.
    pub is_masked: bool,
    /// A fault: [`Self::verify`] adds both shares of the expected tag.
    pub unmasks_tag: bool,
}

/// Public bytes of all runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes {
    blocks: Vec<Block>,
    len: usize,
}

impl Bytes {
    /// The first `len` bytes of words.
    #[must_use]
    pub fn new(len: usize, mut word: impl FnMut() -> Word) -> Self {
        let blocks = (0..len.div_ceil(BLOCK)).map(|n| kept([word(), word()], len - n * BLOCK)).collect();
        Self { blocks, len }
    }

    /// Those of the first run.
    #[must_use]
    pub fn first(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            self.blocks.iter().flatten().flat_map(|word| word[0].to_le_bytes()).collect();
        bytes.truncate(self.len);
        bytes
    }
}

/// What is public of a sealed message.
#[derive(Clone)]
pub struct Sealed {
    /// The ciphertext.
    pub ciphertext: Bytes,
    /// The tag.
    pub tag: Block,
}

/// The words whose first `len` bytes are `0xFF`, and whose others are zero.
fn first_bytes(len: usize) -> [u32; 2] {
    let bits = if len < BLOCK { (1_u64 << (8 * len)) - 1 } else { !0 };
    [bits as u32, (bits >> 32) as u32]
}

/// The first `len` bytes, with zeros after them.
fn kept(block: Block, len: usize) -> Block {
    let mut block = block;
    for (words, kept) in block.iter_mut().zip(first_bytes(len)) {
        words.iter_mut().for_each(|word| *word &= kept);
    }
    block
}

/// Adds a one bit after `len` bytes, if they do not fill the block.
fn pad(block: Block, len: usize) -> Block {
    let end = 0x80_u64.checked_shl(8 * len as u32).unwrap_or(0);
    let [low, high] = block;
    [low.map(|word| word ^ end as u32), high.map(|word| word ^ (end >> 32) as u32)]
}

/// `Batch` without its blocks, which are at [`X`] and [`Y`].
#[derive(Clone, Copy)]
struct Batch {
    pairs: u32,
    chunks: u32,
    is_long: bool,
    left: usize,
}

impl<F: FnMut(Model, u32, &Word)> Caller<'_, F> {
    fn call(&mut self, name: &str, arguments: &[u32]) -> Result<()> {
        let address = (self.addresses)(name).with_context(|| format!("there is no {name}"))?;
        self.machine.call(address, STACK, arguments)
    }

    fn put(&mut self, address: u32, words: impl IntoIterator<Item = Word>) {
        self.machine.put(address, words);
    }

    fn put_known(&mut self, address: u32, words: &[u32]) {
        self.put(address, words.iter().map(|word| [*word; RUNS]));
    }

    /// A public block.
    fn block(&self, address: u32) -> Result<Block> {
        let word = |address| match self.machine.memory.get(&address) {
            Some(Cell::Data(word)) => Ok(**word),
            _ => anyhow::bail!("there is no data at {address:#x}"),
        };
        Ok([word(address)?, word(address + 4)?])
    }

    fn fill(&mut self, address: u32, words: usize) {
        let masks = masks(self.random, words, self.is_masked);
        self.put(address, masks);
    }

    fn encrypt(&mut self, blocks: u32) -> Result<()> {
        self.call(ENCRYPT, &[KEYS, blocks])
    }

    fn add_blocks(&mut self, to: u32, x: u32, y: u32, count: u32) -> Result<()> {
        if count == 0 { Ok(()) } else { self.call(ADD, &[to, x, y, to + 8 * count]) }
    }

    fn set(&mut self, to: u32, place: u32, count: u32, x: u32, from: u32, public: u32) -> Result<()> {
        for (share, public) in [(0, public), (32, ZERO)] {
            self.add_blocks(to + share + 8 * place, x + share + 8 * from, public, count)?;
        }
        Ok(())
    }

    fn add(&mut self, to: u32, x: u32, place: u32, count: u32) -> Result<()> {
        for share in [0, 32] {
            let to = to + share + 8 * place;
            self.add_blocks(to, to, x + share + 8 * place, count)?;
        }
        Ok(())
    }

    fn add_public(&mut self, to: u32, public: u32, place: u32, count: u32) -> Result<()> {
        let to = to + 8 * place;
        self.add_blocks(to, to, public + 8 * place, count)
    }

    fn unmask(&mut self, public: u32, blocks: u32, place: u32, count: u32) -> Result<()> {
        let public = public + 8 * place;
        for share in [0, 32] {
            self.add_blocks(public, public, blocks + share + 8 * place, count)?;
        }
        Ok(())
    }

    fn truncate(&mut self, blocks: u32, place: u32, len: usize) -> Result<()> {
        self.put_known(OTHER, &first_bytes(len));
        for share in [0, 32] {
            let block = blocks + share + 8 * place;
            self.call(SELECT, &[block, block, OTHER, block + 8])?;
        }
        Ok(())
    }

    fn begin(&mut self, from: u32) -> Result<()> {
        for share in 0..2 {
            let powers = POWERS + 40 * share;
            self.add_blocks(powers, HEADER + 32 * share + 8 * from, ZERO, 1)?;
            self.call(DOUBLE, &[powers, powers + 32])?;
        }
        self.fill(FRESH, 8);
        for share in 0..2 {
            self.add_blocks(FIRST + 32 * share, POWERS + 40 * share, FRESH, 4)?;
        }
        self.fill(FRESH, 8);
        for share in 0..2 {
            let (powers, second) = (POWERS + 40 * share, SECOND + 32 * share);
            self.add_blocks(second, powers, powers + 8, 4)?;
            self.add_blocks(second, second, FRESH, 4)?;
        }
        let masks = masks(self.random, 8, self.is_masked);
        for share in [0, 32] {
            self.put(SUM + share, masks.iter().copied());
        }
        Ok(())
    }

    fn next_masks(&mut self) -> Result<()> {
        for share in [FIRST, FIRST + 32, SECOND, SECOND + 32] {
            self.call(TIMES_16, &[share, share + 32])?;
        }
        Ok(())
    }

    /// `Work::end`.
    fn set_end(&mut self, end: u32, masks: u32, lane: u32, factor: [bool; 3]) -> Result<()> {
        for share in 0..2 {
            let powers = POWERS + 40 * share;
            let [to, sum] = [ENDS + 8 * end, SUM].map(|place| place + 32 * share);
            self.add_blocks(powers, masks + 32 * share + 8 * lane, ZERO, 1)?;
            self.call(DOUBLE, &[powers, powers + 16])?;
            self.add_blocks(to, sum, sum + 8, 1)?;
            self.add_blocks(to, to, sum + 16, 1)?;
            self.add_blocks(to, to, sum + 24, 1)?;
            for (power, is_in) in (0..).zip(factor) {
                if is_in {
                    self.add_blocks(to, to, powers + 8 * power, 1)?;
                }
            }
        }
        Ok(())
    }

    fn end_message(&mut self, Batch { pairs, is_long, left, .. }: Batch) -> Result<()> {
        let factor = if left == BLOCK { TIMES_7 } else { TIMES_9 };
        self.set_end(CHECKSUM, if is_long { SECOND } else { FIRST }, pairs, factor)
    }

    /// Returns how many inputs the last call has.
    fn start(&mut self, nonce: Block, data: &Bytes) -> Result<u32> {
        self.put_known(ZERO, &[0; 8]);
        for place in [FIRST, SECOND, CALLS, SUM, ENDS, POWERS, POWERS + 64] {
            self.put_known(place, &[0; 16]);
        }
        self.fill(FRESH, 4);
        self.call(REFRESH, &[KEYS, FRESH])?;
        self.fill(HEADER, 16);
        let mask = self.block(HEADER + 32 + 8 * L)?;
        let shared: Block = std::array::from_fn(|i| std::array::from_fn(|run| mask[i][run] ^ nonce[i][run]));
        self.put(HEADER + 8 * L, shared);
        let mask = self.block(HEADER + 32 + 8 * Q)?;
        self.put(HEADER + 8 * Q, mask);
        self.encrypt(HEADER)?;
        if data.len == 0 {
            return Ok(1);
        }
        self.process_associated_data(data)?;
        Ok(2)
    }

    fn process_associated_data(&mut self, data: &Bytes) -> Result<()> {
        self.begin(Q)?;
        let Some((last, blocks)) = data.blocks.split_last() else { return Ok(()) };
        let mut lane = 0;
        for batch in blocks.chunks(LANES as usize) {
            self.put_known(X, &[0; 8]);
            self.put(X, batch.iter().copied().flatten());
            self.put_known(CALLS, &[0; 16]);
            self.set(CALLS, 0, LANES, FIRST, 0, X)?;
            self.encrypt(CALLS)?;
            lane = batch.len() as u32;
            self.add(SUM, CALLS, 0, lane)?;
            if lane == LANES {
                self.next_masks()?;
                lane = 0;
            }
        }
        let len = data.len - blocks.len() * BLOCK;
        self.put(X, pad(*last, len));
        self.add_public(SUM, X, 0, 1)?;
        self.set_end(TA, FIRST, lane, if len == BLOCK { TIMES_9 } else { TIMES_3 })
    }

    /// The last call, if it is due, and TA added to TE.
    fn end(&mut self, place: u32, ends: u32, is_due: bool) -> Result<u32> {
        if is_due {
            self.set(CALLS, place, ends, ENDS, 0, ZERO)?;
            self.encrypt(CALLS)?;
        }
        if ends > 1 {
            self.set(ENDS, 0, 1, CALLS, place + 1, ZERO)?;
            for share in [0, 32] {
                let to = CALLS + share + 8 * place;
                self.add_blocks(to, to, ENDS + share, 1)?;
            }
        }
        Ok(place)
    }

    /// Puts the next part of a text, of which `len` bytes are left, as first and second blocks of pairs.
    fn put_batch(&mut self, blocks: &[Block], len: usize, is_end: bool) -> Batch {
        let len = len.min(BATCH);
        let pairs = if is_end { len.saturating_sub(1) / PAIR } else { LANES as usize };
        let last = len.saturating_sub(PAIR * pairs);
        let is_long = last > BLOCK;
        for place in [X, Y] {
            self.put_known(place, &[0; 8]);
        }
        for (place, pair) in (0..).step_by(BLOCK).zip(blocks.chunks(2).take(LANES as usize)) {
            match *pair {
                [first, second] => {
                    self.put(X + place, first);
                    self.put(Y + place, second);
                }
                [only] => self.put(Y + place, only),
                _ => {}
            }
        }
        let left = match (is_end, is_long) {
            (false, _) => BLOCK,
            (true, true) => last - BLOCK,
            (true, false) => last,
        };
        let pairs = pairs as u32;
        Batch { pairs, chunks: pairs + u32::from(is_end), is_long, left }
    }

    /// Puts the blocks of `from` in another place, and pads that of the last chunk.
    fn put_padded(&mut self, to: u32, from: u32, Batch { pairs, left, .. }: Batch) -> Result<()> {
        for lane in 0..LANES {
            let block = self.block(from + 8 * lane)?;
            self.put(to + 8 * lane, if lane == pairs { pad(block, left) } else { block });
        }
        Ok(())
    }

    fn exchange(&mut self, place: u32) -> Result<()> {
        let [x, y] = [self.block(X + 8 * place)?, self.block(Y + 8 * place)?];
        self.put(X + 8 * place, y);
        self.put(Y + 8 * place, x);
        Ok(())
    }

    /// The blocks of a batch, of which `len` bytes are left.
    fn written(&self, first: u32, second: u32, batch: Batch, len: usize, to: &mut Vec<Block>) -> Result<()> {
        for lane in 0..batch.chunks {
            let len = len.saturating_sub(PAIR * lane as usize);
            let [near, far] = [self.block(first + 8 * lane)?, self.block(second + 8 * lane)?];
            if len > 0 {
                to.push(kept(near, len));
            }
            if len > BLOCK {
                to.push(kept(far, len - BLOCK));
            }
        }
        Ok(())
    }

    /// Seals a message. The nonce block has its bytes as two words.
    ///
    /// # Errors
    /// If a kernel is missing, or does what is not modelled.
    pub fn seal(&mut self, nonce: Block, data: &Bytes, message: &Bytes) -> Result<Sealed> {
        let ends = self.start(nonce, data)?;
        self.begin(L)?;
        let (mut len, mut blocks, mut written) = (message.len, &message.blocks[..], Vec::new());
        while len > BATCH {
            self.encrypt_batch(blocks, len, None, &mut written)?;
            self.next_masks()?;
            (blocks, len) = (&blocks[BATCH / BLOCK..], len - BATCH);
        }
        let place = self.encrypt_batch(blocks, len, Some(ends), &mut written)?;
        self.put_known(OTHER, &[0; 8]);
        self.unmask(OTHER, CALLS, place, 1)?;
        let tag = self.block(OTHER + 8 * place)?;
        Ok(Sealed { ciphertext: Bytes { blocks: written, len: message.len }, tag })
    }

    fn encrypt_batch(
        &mut self,
        blocks: &[Block],
        len: usize,
        ends: Option<u32>,
        written: &mut Vec<Block>,
    ) -> Result<u32> {
        let batch = self.put_batch(blocks, len, ends.is_some());
        let Batch { pairs, chunks, is_long, left } = batch;
        self.set(CALLS, 0, LANES, FIRST, 0, X)?;
        self.encrypt(CALLS)?;
        self.add_public(SUM, Y, 0, pairs)?;
        if is_long {
            self.add(SUM, CALLS, pairs, chunks - pairs)?;
        } else {
            self.put_padded(OTHER, Y, batch)?;
            self.add_public(SUM, OTHER, pairs, chunks - pairs)?;
        }
        if ends.is_some() {
            self.truncate(CALLS, pairs, left)?;
        }
        self.unmask(Y, CALLS, 0, chunks)?;
        self.put_padded(OTHER, Y, batch)?;
        let used = pairs + u32::from(is_long);
        self.add_public(SUM, OTHER, pairs, used - pairs)?;
        self.set(CALLS, 0, LANES, SECOND, 0, OTHER)?;
        let joins = ends.is_some_and(|ends| used + ends <= LANES);
        if let Some(ends) = ends {
            self.end_message(batch)?;
            if joins {
                self.set(CALLS, used, ends, ENDS, 0, ZERO)?;
            }
        }
        self.encrypt(CALLS)?;
        self.unmask(X, CALLS, 0, used)?;
        if is_long {
            self.exchange(pairs)?;
        }
        self.written(Y, X, batch, len, written)?;
        ends.map_or(Ok(0), |ends| self.end(if joins { used } else { 0 }, ends, !joins))
    }

    /// Without `writes` it only makes the checksum, and returns nothing.
    fn decrypt(&mut self, ciphertext: &Bytes, writes: bool) -> Result<Bytes> {
        self.begin(L)?;
        let (mut len, mut blocks, mut written) = (ciphertext.len, &ciphertext.blocks[..], Vec::new());
        while len > BATCH {
            self.decrypt_batch(blocks, len, false, writes, &mut written)?;
            self.next_masks()?;
            (blocks, len) = (&blocks[BATCH / BLOCK..], len - BATCH);
        }
        self.decrypt_batch(blocks, len, true, writes, &mut written)?;
        Ok(Bytes { blocks: written, len: ciphertext.len })
    }

    fn decrypt_batch(
        &mut self,
        blocks: &[Block],
        len: usize,
        is_end: bool,
        writes: bool,
        written: &mut Vec<Block>,
    ) -> Result<()> {
        const FIRST_TEXT: u32 = OTHER + 0x40;
        const SECOND_TEXT: u32 = OTHER + 0x80;
        let batch = self.put_batch(blocks, len, is_end);
        let Batch { pairs, chunks, is_long, left } = batch;
        let used = pairs + u32::from(is_long);
        if is_long {
            self.exchange(pairs)?;
            self.put_padded(X, X, batch)?;
        }
        self.set(CALLS, 0, LANES, SECOND, 0, X)?;
        self.set(CALLS, used, chunks - used, FIRST, used, ZERO)?;
        self.encrypt(CALLS)?;
        self.add_public(CALLS, Y, 0, chunks)?;
        if used < chunks {
            self.truncate(CALLS, pairs, left)?;
            self.add(SUM, CALLS, used, chunks - used)?;
            self.put_padded(OTHER, ZERO, batch)?;
            self.add_public(SUM, OTHER, used, chunks - used)?;
        }
        for place in [FIRST_TEXT, SECOND_TEXT] {
            self.put_known(place, &[0; 8]);
        }
        if writes {
            self.unmask(FIRST_TEXT, CALLS, 0, chunks)?;
        }
        if used > 0 {
            self.add(CALLS, FIRST, 0, used)?;
            self.set(CALLS, used, chunks - used, SECOND, used, ZERO)?;
            self.encrypt(CALLS)?;
            self.add_public(CALLS, X, 0, used)?;
            self.add(SUM, CALLS, 0, used)?;
        }
        if writes {
            if is_long {
                self.truncate(CALLS, pairs, left)?;
            }
            self.unmask(SECOND_TEXT, CALLS, 0, used)?;
            self.written(FIRST_TEXT, SECOND_TEXT, batch, len, written)?;
        }
        if is_end { self.end_message(batch) } else { Ok(()) }
    }

    /// Compares the tag of a sealed message with that of its ciphertext, and returns what is compared in its place.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn verify(&mut self, nonce: Block, data: &Bytes, sealed: &Sealed) -> Result<[Block; 2]> {
        let ends = self.start(nonce, data)?;
        self.decrypt(&sealed.ciphertext, false)?;
        let place = self.end(0, ends, true)?;
        if self.unmasks_tag {
            self.put_known(OTHER, &[0; 2]);
            self.unmask(OTHER, CALLS, place, 1)?;
        }
        self.put(OTHER, sealed.tag);
        self.add_public(CALLS, OTHER, place, 1)?;
        self.set(ENDS, 0, 1, CALLS, place, ZERO)?;
        for share in [0, 32] {
            let place = CALLS + share;
            self.fill(place, 8);
            self.add_blocks(place + 8, place, ZERO, 1)?;
        }
        self.add(CALLS, ENDS, 0, 1)?;
        self.encrypt(CALLS)?;
        self.put_known(OTHER, &[0; 4]);
        self.unmask(OTHER, CALLS, 0, 2)?;
        Ok([self.block(OTHER)?, self.block(OTHER + 8)?])
    }

    /// Decrypts a message that was verified before.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn open(&mut self, sealed: &Sealed) -> Result<Bytes> {
        self.decrypt(&sealed.ciphertext, true)
    }
}

/// Blocks of no run.
#[must_use]
pub fn known(block: [u32; 2]) -> Block {
    let mut known = NO_BLOCK;
    for (words, word) in known.iter_mut().zip(block) {
        words.fill(word);
    }
    known
}
