//! The cipher as a function of which nothing is known: equal blocks go to equal blocks.
//!
//! Where a mode is proved, kernels are not executed: what they do to memory is done by this function instead. That they do this,
//! with the cipher being TWINE under the key of the context, is a claim of its own, for each way in which they were called.

use super::{Block, to_bytes};
use crate::{bits::Bits, elf::Convention, fault::Fault, graph::Graph, memory::Memory};
use std::collections::{BTreeMap, HashMap};

/// A call of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Which kernel.
    pub kernel: u64,
    /// How it is called.
    pub convention: Convention,
    /// Where the round keys are.
    pub keys: u64,
    /// Where the blocks are.
    pub from: u64,
    /// Where they are to go: there, or apart.
    pub to: u64,
    /// How many they are.
    pub count: u64,
    /// The stack pointer, at the address of return if it is there.
    pub pointer: u64,
}

/// What calls have in common that differ in addresses only: all that a kernel may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    kernel: u64,
    keys: u64,
    count: u64,
    in_place: bool,
    /// Of blocks, results and the stack, in [`ALIGNMENT`].
    places: [u64; 3],
}

impl Call {
    fn shape(&self) -> Shape {
        let places = [self.from, self.to, self.pointer].map(|address| address % ALIGNMENT);
        let Self { kernel, keys, count, from, to, .. } = *self;
        Shape { kernel, keys, count, in_place: from == to, places }
    }
}

/// Addresses count modulo the alignment of the widest vectors.
const ALIGNMENT: u64 = 64;

/// More blocks than kernels take.
const MOST_BLOCKS: u64 = 1024;

/// The cipher.
#[derive(Clone, Debug, Default)]
pub struct Cipher {
    /// Where the kernels begin that encrypt.
    pub kernels: BTreeMap<u64, Convention>,
    /// How they were called: of each shape a call for each stack pointer.
    pub calls: BTreeMap<(Shape, u64), Call>,
    results: HashMap<Block, Block>,
}

impl Cipher {
    /// One that these kernels compute.
    #[must_use]
    pub fn new(kernels: BTreeMap<u64, Convention>) -> Self {
        Self { kernels, ..Self::default() }
    }

    /// Forgets the results, which are bits of a graph, and the calls.
    pub fn forget(&mut self) {
        self.results.clear();
        self.calls.clear();
    }

    /// What becomes of a block.
    pub fn encrypt(&mut self, g: &mut Graph, block: &Block) -> Block {
        let new = || std::array::from_fn(|_| std::array::from_fn(|_| g.input()));
        *self.results.entry(*block).or_insert_with(new)
    }

    /// What a kernel does to memory.
    ///
    /// # Errors
    /// If it reads or writes what is not the function's, or what nobody has written.
    pub fn encipher(&mut self, g: &mut Graph, memory: &mut Memory, call: Call) -> Result<(), Fault> {
        if call.count > MOST_BLOCKS {
            return Err(Fault::Abi(format!("a kernel is called for {} blocks", call.count)));
        }
        let size = 8 * call.count;
        if call.from != call.to && call.from < call.to + size && call.to < call.from + size {
            return Err(Fault::Abi("the blocks overlap".to_owned()));
        }
        let read = to_bytes(&memory.read(g, call.from, size as usize)?);
        let mut written = Bits::new();
        for block in read.as_chunks::<8>().0 {
            let is_unset = block.as_flattened().iter().any(|&bit| g.is_unset(bit));
            match call.convention {
                // It takes four blocks where there are fewer. What comes of what is only partly written is anything.
                Convention::Four if is_unset => written.extend(g.inputs(64)),
                Convention::Words if is_unset => return Err(Fault::Unset("a block")),
                _ => written.extend(self.encrypt(g, block).as_flattened()),
            }
        }
        memory.write(call.to, &written)?;
        self.calls.insert((call.shape(), call.pointer), call);
        Ok(())
    }
}
