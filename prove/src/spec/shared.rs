//! The cipher with two shares as a function of which nothing is known but that equal blocks go to equal blocks, and where masks come from.
//!
//! Where a masked mode is proved, the kernels that work with round keys are not executed. What they do to memory is done here instead: what encrypts
//! leaves any share b, and with it the share a that makes the sum right. That they do this, with the cipher being TWINE under the key, is
//! a claim of its own ([`crate::claims::masked`]), for all shares of round keys that key set-up and new masks can leave.

use super::{Block, to_bytes, uninterpreted::Cipher};
use crate::{
    bits::{self, Bits},
    fault::Fault,
    graph::{Graph, Lit},
    memory::Memory,
};
use std::collections::{BTreeMap, BTreeSet};

/// Blocks of a call.
const BLOCKS: usize = 4;
/// Bytes of the round keys.
pub const KEYS_SIZE: usize = 4 * 8 * 36;

/// What is done instead of being executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// The round keys of a key.
    Schedule,
    /// New masks of the round keys.
    Refresh,
    /// The encryption of four blocks.
    Encrypt,
    /// The caller's function that makes random bytes.
    Random,
}

/// What the caller's function for random bytes does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generator {
    /// It writes bytes of which nothing is known, but that no word at a multiple of eight bytes is the first of [`UNWRITTEN`].
    Writes,
    /// It writes bytes in which each such word is just that, and nothing is known of the others, but that none is the second of [`UNWRITTEN`].
    WritesMarks,
    /// It returns 0, and has left the last eight bytes as they were.
    LeavesPair,
    /// It writes bytes, and returns 1.
    Fails,
}

/// The cipher, with two shares.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Where the functions are.
    pub functions: BTreeMap<u64, Function>,
    /// Where the constants of the key schedule are.
    pub constants: u64,
    /// The key that there must be.
    pub key: Bits,
    /// What it does to blocks.
    pub cipher: Cipher,
    /// The round keys: where they are, and what is there instead.
    keys: Option<(u64, Bits)>,
    /// The blocks of the last call, and what became of them.
    pub last: Vec<[Block; 2]>,
    /// The last random bytes that were written, as words.
    pub random: Vec<Bits>,
    /// How many were asked for, and of what context.
    pub asked: Option<(u64, u64)>,
    /// Where they come from.
    pub generator: Generator,
    /// The stack pointers at calls of kernels.
    pub calls: BTreeSet<(Function, u64)>,
    /// What the sum of the first two blocks of the last call is, if their results are compared, and which words of these differ.
    pub compared: Option<(Bits, [bool; 2])>,
    /// How often it was compared.
    pub comparisons: usize,
}

/// What the library has in the place of each two random words before it calls the caller's function, to see whether that has written them.
const UNWRITTEN: [u64; 2] = [0x243F_6A88, 0x85A3_08D3];

impl Shared {
    /// With nothing done yet.
    #[must_use]
    pub fn new(functions: BTreeMap<u64, Function>, constants: u64) -> Self {
        Self {
            functions,
            constants,
            key: Bits::new(),
            cipher: Cipher::default(),
            keys: None,
            last: Vec::new(),
            random: Vec::new(),
            asked: None,
            generator: Generator::Writes,
            calls: BTreeSet::new(),
            compared: None,
            comparisons: 0,
        }
    }

    /// The value of a condition, if it is one of two.
    ///
    /// - Whether two random words are [`UNWRITTEN`]: they are not, nor is the first one if code looks at that first. The generator that writes the
    ///   first one everywhere is for the other case.
    /// - Whether the results of the first two blocks of the last call differ, or one of the words of these. As a cipher gives different results
    ///   for different blocks, the results differ if the blocks do.
    pub fn decide(&mut self, g: &mut Graph, condition: Lit) -> Option<bool> {
        let is = |g: &mut Graph, a: &[Lit], b: &[Lit]| {
            // As processors compare words: they differ if one less the other is not zero. What else it may be is looked at by cases.
            let less = g.subtract(a, b, Lit::ONE).bits;
            let differ = g.any(&less);
            if condition == differ {
                Some(true)
            } else if condition == !differ {
                Some(false)
            } else if g.is_difference(condition, a, b) {
                Some(true)
            } else if g.is_difference(!condition, a, b) {
                Some(false)
            } else {
                None
            }
        };
        let unwritten = UNWRITTEN.map(|word| bits::constant(word, 32)).concat();
        let is_in = |words: &&[Bits]| words.iter().any(|word| g.depends_on(condition, word[0]));
        let asked = self.random.chunks(UNWRITTEN.len()).filter(is_in).collect::<Vec<_>>();
        for words in asked {
            let words = words.concat();
            let is_marked = words[0].value().is_some();
            for range in if is_marked { [32..64, 0..64] } else { [0..32, 0..64] } {
                if let Some(differ) = is(g, &words[range.clone()], &unwritten[range]) {
                    return Some(differ);
                }
            }
        }
        let (expected, differ) = self.compared.as_ref()?;
        let [[first, result], [second, other], ..] = &self.last[..] else { return None };
        if g.xor_bits(first.as_flattened(), second.as_flattened()) != *expected {
            return None;
        }
        let (a, b) = (result.as_flattened(), other.as_flattened());
        let any = differ[0] || differ[1];
        for (range, differ) in [(0..32, differ[0]), (32..64, differ[1]), (0..64, any)] {
            if let Some(is_set) = is(g, &a[range.clone()], &b[range]) {
                self.comparisons += 1;
                return Some(is_set == differ);
            }
        }
        None
    }

    /// Forgets what are bits of a graph, and the calls.
    pub fn forget(&mut self) {
        self.cipher.forget();
        (self.key, self.keys) = (Bits::new(), None);
        self.last.clear();
        self.random.clear();
        self.calls.clear();
    }

    /// Does what the function does to memory.
    ///
    /// # Errors
    /// If it is called with what it must not be called with.
    pub fn call(
        &mut self,
        g: &mut Graph,
        memory: &mut Memory,
        function: Function,
        mut argument: impl FnMut(&Graph, usize) -> Result<u64, Fault>,
    ) -> Result<(), Fault> {
        let (first, second) = (argument(g, 0), argument(g, 1)?);
        if function != Function::Random {
            let size = match function {
                Function::Schedule => 2 * (self.key.len().next_multiple_of(32) / 8),
                Function::Refresh => 4 * 4,
                Function::Encrypt | Function::Random => 2 * 8 * BLOCKS,
            };
            check_regions(first.clone()?, second, size)?;
        }
        match function {
            Function::Schedule => {
                let key = self.read(g, memory, second, 2 * (self.key.len().next_multiple_of(32) / 8))?;
                let (a, b) = key.split_at(key.len() / 2);
                let sum = g.xor_bits(&a[..self.key.len()], &b[..self.key.len()]);
                if sum != self.key || argument(g, 2)? != self.constants {
                    return Err(Fault::Abi("the key schedule gets something else".to_owned()));
                }
                self.keys = Some((first?, Bits::new()));
                self.new_round_keys(g, memory)
            }
            Function::Refresh => {
                self.check_keys(memory, first?)?;
                self.read(g, memory, second, 16)?;
                self.new_round_keys(g, memory)
            }
            Function::Encrypt => {
                self.check_keys(memory, first?)?;
                let blocks = self.read(g, memory, second, 2 * 8 * BLOCKS)?;
                let (a, b) = blocks.split_at(blocks.len() / 2);
                let sums = to_bytes(&g.xor_bits(a, b));
                self.last =
                    sums.as_chunks().0.iter().map(|&sum| [sum, self.cipher.encrypt(g, &sum)]).collect();
                let results: Bits =
                    self.last.iter().flat_map(|[_, result]| result.as_flattened()).copied().collect();
                let b = g.inputs(results.len());
                let a = g.xor_bits(&results, &b);
                memory.write(second, &[a, b].concat())
            }
            Function::Random => {
                let size = argument(g, 2)? as usize;
                self.asked = Some((first?, size as u64));
                if !size.is_multiple_of(8) {
                    return Err(Fault::Abi(format!("{size} random bytes are no pairs of words")));
                }
                self.random = (0..size / 4).map(|_| g.inputs(32)).collect();
                match self.generator {
                    Generator::Writes | Generator::Fails => {}
                    Generator::WritesMarks => {
                        self.random
                            .iter_mut()
                            .step_by(2)
                            .for_each(|word| *word = bits::constant(UNWRITTEN[0], 32));
                    }
                    Generator::LeavesPair => self.random.truncate(size / 4 - 2),
                }
                memory.write(second, &self.random.concat())
            }
        }
    }

    fn read(&self, g: &mut Graph, memory: &mut Memory, address: u64, size: usize) -> Result<Bits, Fault> {
        let read = memory.read(g, address, size)?;
        if read.iter().any(|&bit| g.is_unset(bit)) {
            return Err(Fault::Unset("what a kernel reads"));
        }
        Ok(read)
    }

    /// Where the round keys are.
    pub(crate) fn keys_at(&self) -> Option<u64> {
        self.keys.as_ref().map(|&(address, _)| address)
    }

    /// Bits of which nothing is known stand for the round keys.
    fn new_round_keys(&mut self, g: &mut Graph, memory: &mut Memory) -> Result<(), Fault> {
        let (address, keys) = self.keys.as_mut().ok_or(Fault::Unset("round keys"))?;
        *keys = g.inputs(8 * KEYS_SIZE);
        memory.write(*address, keys)
    }

    /// The round keys have to be there as they were made.
    fn check_keys(&self, memory: &Memory, address: u64) -> Result<(), Fault> {
        let is_there = |(at, keys): &&(u64, Bits)| {
            *at == address && memory.get(address, KEYS_SIZE).as_ref() == Some(keys)
        };
        self.keys
            .as_ref()
            .filter(is_there)
            .map(|_| ())
            .ok_or(Fault::Abi("the round keys are not those that were made".to_owned()))
    }
}

/// Kernels are proved with aligned words, and with round keys that nothing else of theirs overlaps.
fn check_regions(keys: u64, other: u64, size: usize) -> Result<(), Fault> {
    for address in [keys, other] {
        if !address.is_multiple_of(4) {
            return Err(Fault::Alignment { address, size: 4 });
        }
    }
    if keys < other + size as u64 && other < keys + KEYS_SIZE as u64 {
        return Err(Fault::Abi("what a kernel gets overlaps the round keys".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_get_aligned_regions_that_do_not_overlap() {
        let keys = 0x1000;
        let end = keys + KEYS_SIZE as u64;
        for (other, is_right) in [
            (end, true),
            (keys - 16, true),
            (end - 4, false),
            (keys - 12, false),
            (keys, false),
            (end + 2, false),
        ] {
            assert_eq!(check_regions(keys, other, 16).is_ok(), is_right, "{other:#x}");
        }
        assert!(check_regions(keys + 1, end + 4, 16).is_err());
    }
}
