//! A whole message of TWINE-OTR on shares: the calls of kernels that `twine-otr-aead/src/masked.rs` makes, on simulated words.
//!
//! The message has two whole pairs and a last chunk of 12 bytes. The associated data has 12 bytes. So there are a block and the end of
//! associated data, the masks of several lanes, the checksum, a last block that is not full, and a last call.

use crate::{
    ADD, DOUBLE, ENCRYPT, REFRESH, SELECT,
    check::{KEYS, STACK},
    leakage::masks,
    machine::{Cell, Machine, Model},
    plain::{Plain, RUNS, Word},
    random::Random,
};
use anyhow::{Context as _, Result};

/// The words of the message, of which the last is in a block of its own.
pub const MESSAGE: usize = 11;
/// Those of the associated data.
pub const ASSOCIATED_DATA: usize = 3;

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

/// Where the last chunk is.
const LAST: u32 = 2;
/// The bits of its last block that are part of the message.
const KEPT: [u32; 2] = [!0, 0];
/// What is added to this block, to that of the associated data as well.
const END: [u32; 2] = [0, 0x80];

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
}

/// What is public of a sealed message.
pub struct Sealed {
    /// The words of the ciphertext.
    pub ciphertext: [Word; MESSAGE],
    /// Those of the tag.
    pub tag: [Word; 2],
}

fn sum(a: Word, b: u32) -> Word {
    a.map(|word| word ^ b)
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
    fn block(&self, address: u32) -> Result<[Word; 2]> {
        let word = |address| match self.machine.memory.get(&address) {
            Some(Cell::Data(word)) => Ok(*word),
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
        self.call(ADD, &[to, x, y, to + 8 * count])
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

    fn truncate(&mut self, blocks: u32) -> Result<()> {
        self.put_known(OTHER, &KEPT);
        for share in [0, 32] {
            let block = blocks + share + 8 * LAST;
            self.call(SELECT, &[block, block, OTHER, block + 8])?;
        }
        Ok(())
    }

    /// `Work::begin`.
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

    /// `Work::end`.
    fn end(&mut self, end: u32, masks: u32, lane: u32, factor: [bool; 3]) -> Result<()> {
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

    /// `start` of the AEAD: L, Q and the associated data.
    fn start(&mut self, nonce: [u32; 2], data: &[Word; ASSOCIATED_DATA]) -> Result<()> {
        self.put_known(ZERO, &[0; 8]);
        for place in [FIRST, SECOND, CALLS, SUM, ENDS, POWERS, POWERS + 64] {
            self.put_known(place, &[0; 16]);
        }
        self.fill(FRESH, 4);
        self.call(REFRESH, &[KEYS, FRESH])?;
        self.fill(HEADER, 16);
        let known = [nonce[0], nonce[1], 0, 0];
        for (place, known) in (HEADER..).step_by(4).zip(known) {
            let mask = self.machine.memory.get(&(place + 32)).and_then(Cell::data).copied();
            let mask = mask.context("masks were put there")?;
            self.put(place, [sum(mask, known)]);
        }
        self.encrypt(HEADER)?;
        self.begin(Q)?;
        self.put_known(X, &[0; 8]);
        self.put(X, data[..2].iter().copied());
        self.set(CALLS, 0, 4, FIRST, 0, X)?;
        self.encrypt(CALLS)?;
        self.add(SUM, CALLS, 0, 1)?;
        self.put_known(X, &END);
        self.put(X, [data[2]]);
        self.add_public(SUM, X, 0, 1)?;
        self.end(TA, FIRST, 1, [true, true, false])?;
        self.begin(L)
    }

    /// The last call, and TA added to TE.
    fn finish(&mut self) -> Result<()> {
        self.set(CALLS, 0, 2, ENDS, 0, ZERO)?;
        self.encrypt(CALLS)?;
        self.set(ENDS, 0, 1, CALLS, 1, ZERO)?;
        self.add(CALLS, ENDS, 0, 1)
    }

    /// Puts a message, or its ciphertext, as first and second blocks of pairs.
    fn put_text(&mut self, first: u32, second: u32, text: &[Word; MESSAGE]) {
        for place in [first, second] {
            self.put_known(place, &[0; 8]);
        }
        for (n, pair) in (0..).zip(text.chunks(4)) {
            let (near, far) = pair.split_at(2);
            self.put(first + 8 * n, near.iter().copied());
            self.put(second + 8 * n, far.iter().copied());
        }
    }

    /// Adds what pads the last block.
    fn pad(&mut self, place: u32) -> Result<()> {
        let [first, second] = self.block(place)?;
        self.put(place, [sum(first, END[0]), sum(second, END[1])]);
        Ok(())
    }

    /// Seals a message. The nonce block has its bytes as two words.
    ///
    /// # Errors
    /// If a kernel is missing, or does what is not modelled.
    pub fn seal(
        &mut self,
        nonce: [u32; 2],
        data: &[Word; ASSOCIATED_DATA],
        message: &[Word; MESSAGE],
    ) -> Result<Sealed> {
        self.start(nonce, data)?;
        self.put_text(X, Y, message);
        self.set(CALLS, 0, 4, FIRST, 0, X)?;
        self.encrypt(CALLS)?;
        self.add_public(SUM, Y, 0, LAST)?;
        self.add(SUM, CALLS, LAST, 1)?;
        self.truncate(CALLS)?;
        self.unmask(Y, CALLS, 0, 3)?;
        self.pad(Y + 8 * LAST)?;
        self.add_public(SUM, Y, LAST, 1)?;
        self.set(CALLS, 0, 4, SECOND, 0, Y)?;
        self.end(CHECKSUM, SECOND, LAST, [true, false, true])?;
        self.encrypt(CALLS)?;
        self.unmask(X, CALLS, 0, 3)?;
        self.finish()?;
        self.put_known(OTHER, &[0; 2]);
        self.unmask(OTHER, CALLS, 0, 1)?;
        let mut ciphertext = [[0; RUNS]; MESSAGE];
        for (n, pair) in (0..).zip(ciphertext.chunks_mut(4)) {
            let places = if n == LAST { [X, Y] } else { [Y, X] };
            let [near, far] = places.map(|place| self.block(place + 8 * n));
            for (to, word) in pair.iter_mut().zip(near?.into_iter().chain(far?)) {
                *to = word;
            }
        }
        Ok(Sealed { ciphertext, tag: self.block(OTHER)? })
    }

    /// Compares the tag of a sealed message with that of its ciphertext, and returns what is compared in its place.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn verify(
        &mut self,
        nonce: [u32; 2],
        data: &[Word; ASSOCIATED_DATA],
        sealed: &Sealed,
    ) -> Result<[[Word; 2]; 2]> {
        self.start(nonce, data)?;
        self.put_text(X, Y, &sealed.ciphertext);
        let [x, y] = [self.block(X + 8 * LAST)?, self.block(Y + 8 * LAST)?];
        self.put(X + 8 * LAST, y);
        self.put(Y + 8 * LAST, x);
        self.pad(X + 8 * LAST)?;
        self.set(CALLS, 0, 4, SECOND, 0, X)?;
        self.encrypt(CALLS)?;
        self.add_public(CALLS, Y, 0, 3)?;
        self.add(CALLS, FIRST, 0, 3)?;
        self.encrypt(CALLS)?;
        self.add_public(CALLS, X, 0, 3)?;
        self.add(SUM, CALLS, 0, 3)?;
        self.end(CHECKSUM, SECOND, LAST, [true, false, true])?;
        self.finish()?;
        self.put(OTHER, sealed.tag);
        self.add_public(CALLS, OTHER, 0, 1)?;
        self.set(ENDS, 0, 1, CALLS, 0, ZERO)?;
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
}
