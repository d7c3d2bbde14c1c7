//! The processors: what each instruction does to registers, flags and memory, and how functions are called.
//!
//! What an instruction set does not know stops a proof; what it knows is compared with a processor, in the very encodings that a
//! proof met, before the proof counts.

pub mod aarch64;
pub mod compare;
mod emulator;
pub mod riscv;
pub mod samples;
pub mod thumb;
pub mod x86_64;

use crate::{
    bits::Bits,
    fault::Fault,
    graph::{Graph, Lit},
    machine::Machine,
};
use std::fmt::{Debug, Display};

/// A processor of an instruction set: what it has.
pub trait Isa: Copy + Debug + Send + Sync + 'static {
    /// Registers and flags.
    type State: State;
    /// A decoded instruction.
    type Instruction: Clone + Debug + Display;

    /// How functions are called.
    const ABI: Abi;

    /// The instruction at the start of `code`, which is at `address`, with its size in bytes.
    fn decode(self, code: &[u8], address: u64) -> Option<(Self::Instruction, usize)>;

    /// Executes an instruction.
    ///
    /// # Errors
    /// If it is not modelled, or does what a proof must not pass.
    fn step(m: &mut Machine<Self>, i: &Self::Instruction, decide: Decision<'_>) -> Result<Next, Fault>;
}

/// Registers and flags.
pub trait State: Clone + Debug {
    /// What nobody has written.
    fn unset(g: &mut Graph) -> Self;
    /// The general registers, by number.
    fn general(&self) -> &[Bits];
    /// The same, to be written.
    fn general_mut(&mut self) -> &mut [Bits];
    /// Code before an instruction that makes it what it is in this state, if its own bytes do not tell that.
    fn context(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// How functions are called, by numbers of general registers.
#[derive(Clone, Copy, Debug)]
pub struct Abi {
    /// Bytes of a register.
    pub word: usize,
    /// What functions find their first arguments in.
    pub arguments: &'static [usize],
    /// What they return a result in.
    pub result: usize,
    /// What they have to leave, the stack pointer included.
    pub saved: &'static [usize],
    /// The stack pointer.
    pub stack_pointer: usize,
    /// Bytes below the stack pointer that a function may use.
    pub red_zone: u64,
    /// Where the address of return is; on the stack if there is no such register.
    pub link: Option<usize>,
    /// What is added to addresses of code in registers.
    pub code_mark: u64,
    /// A register that holds the address of a symbol, if the program has that.
    pub global: Option<(usize, &'static str)>,
}

impl Abi {
    /// Bytes of the address of return on the stack.
    #[must_use]
    pub fn size_of_return(&self) -> u64 {
        if self.link.is_some() { 0 } else { self.word as u64 }
    }
}

/// The flags that are modelled. What an instruction leaves undefined is unset.
#[derive(Clone, Debug)]
pub struct Flags {
    pub(crate) carry: Lit,
    pub(crate) overflow: Lit,
    pub(crate) sign: Lit,
    /// The zero flag tells whether these are all zero.
    pub(crate) zero_of: Bits,
}

impl Flags {
    fn unset(g: &mut Graph) -> Self {
        Self { carry: g.unset(), overflow: g.unset(), sign: g.unset(), zero_of: vec![g.unset()] }
    }
}

/// Where an instruction leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// To the instruction after it.
    Following,
    /// Elsewhere.
    To(u64),
}

/// What a decided condition is decided by.
pub type Decision<'a> = &'a mut dyn FnMut(&mut Graph, Lit) -> Option<bool>;

/// The outcome of a comparison with a processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The processor does the same.
    Same,
    /// It tells what the processor has, which is modelled.
    Modelled,
    /// This processor does not have it, or there is none.
    NotHere,
    /// The processor does something else, or the comparison is not possible; with what.
    Different(String),
}
