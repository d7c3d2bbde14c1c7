//! x86-64: the processor's state, how it goes from one instruction to the next, and calls by the System V ABI.

mod integer;
pub mod table;
mod vector;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub mod compare;

use crate::{
    bits::{self, Bits},
    elf::Image,
    fault::Fault,
    graph::{Graph, Lit},
    memory::{Memory, Rights},
    spec::uninterpreted::{Call, Cipher},
};
use iced_x86::{Decoder, DecoderOptions, Instruction, OpKind, Register};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// What the CPU has, of what the library looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// x86-64 alone: the library is portable.
    Base,
    /// SSSE3.
    Ssse3,
    /// AVX2 besides.
    Avx2,
    /// AVX-512 with F, VL, BW, DQ, CD and VBMI besides.
    Avx512,
}

impl Level {
    /// All, with the names of the backends that run there.
    pub const ALL: [(&'static str, Self); 4] =
        [("soft64", Self::Base), ("ssse3", Self::Ssse3), ("avx2", Self::Avx2), ("avx512", Self::Avx512)];

    /// What `cpuid` tells of a leaf: eax, ebx, ecx, edx.
    fn cpuid(self, leaf: u64) -> [u64; 4] {
        let bits = |condition: bool, bits: &[u32]| -> u64 {
            if condition { bits.iter().map(|bit| 1 << bit).sum() } else { 0 }
        };
        match leaf {
            0 => [7, 0, 0, 0],
            // ecx: SSE3 and SSSE3; SSE4, POPCNT, XSAVE, OSXSAVE, AVX. edx: SSE, SSE2.
            1 => [
                0,
                0,
                bits(self >= Self::Ssse3, &[0, 9]) | bits(self >= Self::Avx2, &[19, 20, 23, 26, 27, 28]),
                bits(true, &[25, 26]),
            ],
            // ebx: BMI1, AVX2, BMI2; F, DQ, CD, BW, VL. ecx: VBMI, VBMI2, GFNI are not there but for the first.
            7 => [
                0,
                bits(self >= Self::Avx2, &[3, 5, 8]) | bits(self >= Self::Avx512, &[16, 17, 28, 30, 31]),
                bits(self >= Self::Avx512, &[1]),
                0,
            ],
            _ => [0; 4],
        }
    }
}

/// The flags that are modelled. What an instruction leaves undefined is unset.
#[derive(Clone, Debug)]
pub(crate) struct Flags {
    pub(crate) carry: Lit,
    pub(crate) overflow: Lit,
    pub(crate) sign: Lit,
    /// The zero flag tells whether these are all zero.
    pub(crate) zero_of: Bits,
}

/// Registers and flags.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// By the number that encodings have.
    pub(crate) general: [Bits; 16],
    /// 512 bits each.
    pub(crate) vectors: Vec<Bits>,
    pub(crate) masks: Vec<Bits>,
    pub(crate) flags: Flags,
}

impl State {
    /// What nobody has written.
    fn unset(g: &mut Graph) -> Self {
        let mut unset = |count: usize| (0..count).map(|_| g.unset()).collect::<Bits>();
        Self {
            general: std::array::from_fn(|_| unset(64)),
            vectors: (0..32).map(|_| unset(512)).collect(),
            masks: (0..8).map(|_| unset(64)).collect(),
            flags: Flags { carry: unset(1)[0], overflow: unset(1)[0], sign: unset(1)[0], zero_of: unset(1) },
        }
    }
}

const RAX: usize = 0;
const RSP: usize = 4;
const RSI: usize = 6;
const RDI: usize = 7;
/// What a called function has to leave: rbx, rsp, rbp, r12 to r15.
const CALLEE_SAVED: [usize; 7] = [3, RSP, 5, 12, 13, 14, 15];
const ARGUMENTS: [usize; 6] = [7, 6, 2, 1, 8, 9];

/// Where a function returns to.
const END: u64 = 0x7fff_ffff_0000;
/// The stack pointer before a call.
const STACK_TOP: u64 = 0x7ffe_0000_0000;
/// What a call may take below.
const STACK_SIZE: usize = 256 * 1024;

/// Where an instruction leads.
pub(crate) enum Next {
    Following,
    To(u64),
}

/// What a decided condition is decided by; see [`Machine::decide`].
pub type Decision<'a> = &'a mut dyn FnMut(&mut Graph, Lit) -> Option<bool>;

/// What a kernel takes of the stack, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    /// All, the address of return included.
    pub taken: u64,
    /// From the address of return to the lowest byte that depends on inputs.
    pub secret: u64,
}

/// A processor with the image in its memory.
#[derive(Debug)]
pub struct Machine {
    /// The bits.
    pub graph: Graph,
    /// The memory.
    pub memory: Memory,
    pub(crate) state: State,
    image: Arc<Image>,
    level: Level,
    /// Of a register that nobody has written.
    unset: State,
    functions: BTreeMap<u64, (Function, String)>,
    decoded: HashMap<u64, Instruction>,
    /// Instructions executed so far.
    pub executed: u64,
    /// The addresses of those.
    pub addresses: BTreeSet<u64>,
    /// The addresses of those that computed something from inputs.
    pub computing: BTreeSet<u64>,
    /// The stack pointer before the last call's first instruction.
    pointer: u64,
    /// Most bytes of stack that a call took.
    pub most_stack: u64,
    /// How many instructions a call may take.
    pub limit: u64,
    /// The cipher, where it is not executed.
    pub cipher: Option<Cipher>,
}

/// Functions of the C library, which are not in the image and taken as the standard says.
#[derive(Clone, Copy, Debug)]
enum Function {
    Memcpy,
    Memmove,
    Memset,
    Missing,
}

impl Machine {
    /// A processor of that level, with everything unset but the image.
    #[must_use]
    pub fn new(image: Arc<Image>, level: Level) -> Self {
        let mut graph = Graph::new();
        let mut memory = Memory::default();
        for segment in &image.segments {
            let rights = if segment.writable { Rights::Write } else { Rights::Read };
            let name = if segment.writable { "statics" } else { "code and constants" };
            memory.allow(name, segment.address, segment.bytes.len(), rights);
            memory.set(segment.address, &bits::of_bytes(&segment.bytes));
        }
        memory.allow("stack", STACK_TOP - STACK_SIZE as u64, STACK_SIZE, Rights::Write);
        let unset = State::unset(&mut graph);
        let functions = image
            .symbols
            .iter()
            .filter(|(name, (address, _))| image.code(*address, 1).is_none() || image.chosen.contains(*name))
            .map(|(name, (address, _))| {
                let function = match name.as_str() {
                    "memcpy" => Function::Memcpy,
                    "memmove" => Function::Memmove,
                    "memset" => Function::Memset,
                    _ => Function::Missing,
                };
                (*address, (function, name.clone()))
            })
            .collect();
        Self {
            state: unset.clone(),
            graph,
            memory,
            image,
            level,
            unset,
            functions,
            decoded: HashMap::new(),
            executed: 0,
            addresses: BTreeSet::new(),
            computing: BTreeSet::new(),
            pointer: STACK_TOP,
            most_stack: 0,
            limit: 10_000_000,
            cipher: None,
        }
    }

    /// Forgets all bits that are not constants, and what is computed from them.
    pub fn restart(&mut self) {
        self.graph = Graph::new();
        self.unset = State::unset(&mut self.graph);
        self.state = self.unset.clone();
        self.memory.keep_constants();
        if let Some(cipher) = &mut self.cipher {
            cipher.forget();
        }
    }

    /// Bytes of stack that the last call had taken when it called another function with the address of return there.
    #[must_use]
    pub fn stack_at(&self, pointer: u64) -> u64 {
        self.pointer - pointer
    }

    /// Replaces the image's code, by that of a mutant.
    pub fn replace_code(&mut self, image: Arc<Image>) {
        self.decoded.clear();
        self.image = image;
    }

    /// Calls the function at `address` and returns the low 32 bits of what it returns.
    ///
    /// What it finds in registers that are not its arguments, and in the stack, is unknown.
    ///
    /// # Errors
    /// If the execution meets what a proof must not pass; see [`Fault`].
    pub fn call(&mut self, address: u64, arguments: &[u64]) -> Result<u32, Fault> {
        self.call_deciding(address, arguments, &mut |_, _| None)
    }

    /// The same, where `decide` may take a decision that depends on a secret.
    ///
    /// # Errors
    /// As of [`Self::call`].
    pub fn call_deciding(
        &mut self,
        address: u64,
        arguments: &[u64],
        decide: Decision<'_>,
    ) -> Result<u32, Fault> {
        self.prepare();
        let in_registers = arguments.len().min(ARGUMENTS.len());
        for (&argument, register) in arguments.iter().zip(ARGUMENTS) {
            self.state.general[register] = bits::constant(argument, 64);
        }
        // What is above the stack pointer is the caller's: arguments and the address of return.
        let on_stack = &arguments[in_registers..];
        let pointer = STACK_TOP - 8 * (on_stack.len() as u64 + 1).next_multiple_of(2) - 8;
        for (i, &argument) in on_stack.iter().enumerate() {
            self.memory.set(pointer + 8 * (i as u64 + 1), &bits::constant(argument, 64));
        }
        self.run(address, pointer, pointer, decide)?;
        self.check_erased()?;
        Ok(self.graph.known(&self.state.general[RAX][..32], "what it returns")? as u32)
    }

    /// Calls a kernel, as [`Cipher`] takes it to be called, with the stack as aligned as in `call`. Returns what it takes of it.
    ///
    /// # Errors
    /// As of [`Self::call`].
    pub fn call_kernel(&mut self, call: &Call) -> Result<Stack, Fault> {
        self.prepare();
        let pointer = STACK_TOP - 128 + call.pointer % 64;
        let words = pointer + 8;
        for (i, word) in [call.from, call.to, call.count].into_iter().enumerate() {
            self.memory.set(words + 8 * i as u64, &bits::constant(word, 64));
        }
        self.state.general[RDI] = bits::constant(call.keys, 64);
        self.state.general[RSI] = bits::constant(words, 64);
        let taken = self.run(call.kernel, pointer, words + 24, &mut |_, _| None)?;
        let secret = self.left().next().map_or(0, |lowest| pointer.saturating_sub(lowest));
        Ok(Stack { taken, secret })
    }

    /// What a call leaves on the stack must not depend on inputs, but for registers that it saved there.
    fn check_erased(&self) -> Result<(), Fault> {
        match self.left().next() {
            Some(first) => Err(Fault::Abi(format!(
                "it leaves what depends on secrets in {} B of stack, from {} B below its stack pointer on",
                self.left().count(),
                self.pointer - first
            ))),
            None => Ok(()),
        }
    }

    /// Addresses in the stack where the last call leaves what depends on inputs, from the lowest on.
    fn left(&self) -> impl Iterator<Item = u64> {
        let saved = CALLEE_SAVED.map(|register| &self.state.general[register]);
        let is_left = move |byte: &[Lit; 8]| {
            byte.iter().any(|bit| {
                let is_saved = || saved.iter().any(|register| register.contains(bit));
                bit.value().is_none() && !self.graph.is_unset(*bit) && !is_saved()
            })
        };
        self.memory.bytes("stack").filter(move |(_, byte)| is_left(byte)).map(|(address, _)| address)
    }

    /// The last call must have erased the `size` bytes of stack below the address of return at `pointer`.
    ///
    /// # Errors
    /// If it has not.
    pub fn check_erased_below(&self, pointer: u64, size: u64) -> Result<(), Fault> {
        let range = pointer - size..pointer;
        let is_erased = |(address, byte): &(u64, [Lit; 8])| {
            range.contains(address) && byte.iter().all(|&bit| !self.graph.is_unset(bit))
        };
        let erased = self.memory.bytes("stack").filter(is_erased).count() as u64;
        if erased == size {
            return Ok(());
        }
        Err(Fault::Abi(format!(
            "a kernel's stack with secrets, {size} B from {} B below the stack pointer on, is not erased: {} B are left",
            self.pointer - pointer,
            size - erased
        )))
    }

    /// Makes all registers, flags and the stack unknown.
    fn prepare(&mut self) {
        self.memory.unset("stack");
        self.state = self.unset.clone();
        for register in CALLEE_SAVED {
            self.state.general[register] = self.graph.inputs(64);
        }
    }

    /// Executes a function with the stack pointer at the address of return, and checks that it leaves what the ABI wants left. It
    /// may write the stack below `end`. Returns what it takes of the stack, the address of return included.
    fn run(&mut self, address: u64, pointer: u64, end: u64, decide: Decision<'_>) -> Result<u64, Fault> {
        self.pointer = pointer;
        self.memory.set(pointer, &bits::constant(END, 64));
        self.state.general[RSP] = bits::constant(pointer, 64);
        let before = self.state.general.clone();
        self.graph.take_used_unset();

        self.follow(address, decide)?;

        let mut taken = 8;
        if let Some(written) = self.memory.written("stack") {
            taken = (pointer + 8).saturating_sub(written.start);
            self.most_stack = self.most_stack.max(taken);
            if written.end > end {
                return Err(Fault::Abi("it writes above its stack pointer".to_owned()));
            }
        }
        for register in CALLEE_SAVED {
            let expected =
                if register == RSP { bits::constant(pointer + 8, 64) } else { before[register].clone() };
            if self.state.general[register] != expected {
                return Err(Fault::Abi(format!("register {register} is not what it was")));
            }
        }
        Ok(taken)
    }

    /// Executes from `address` until the function returns.
    fn follow(&mut self, address: u64, decide: Decision<'_>) -> Result<(), Fault> {
        let mut pc = address;
        let start = self.executed;
        while pc != END {
            if let Some((function, name)) = self.functions.get(&pc) {
                let (function, name) = (*function, name.clone());
                pc = self.library(function, &name).map_err(|fault| fault.at(pc, name))?;
                continue;
            }
            if self.cipher.as_ref().is_some_and(|cipher| cipher.kernels.contains(&pc)) {
                pc = self.encipher(pc).map_err(|fault| fault.at(pc, "a call of the cipher".to_owned()))?;
                continue;
            }
            let instruction = self.fetch(pc)?;
            self.executed += 1;
            if self.executed - start > self.limit {
                return Err(Fault::TooLong);
            }
            self.addresses.insert(pc);
            let before = self.graph.statistics.gates;
            let done = self.step(&instruction, decide);
            if self.graph.statistics.gates != before {
                self.computing.insert(pc);
            }
            let located = |fault: Fault| fault.at(pc, instruction.to_string());
            let next = done.map_err(located)?;
            if self.graph.take_used_unset() {
                return Err(located(Fault::Unset("a result")));
            }
            pc = match next {
                Next::Following => instruction.next_ip(),
                Next::To(address) => address,
            };
        }
        Ok(())
    }

    /// The instruction at `address`.
    pub(crate) fn fetch(&mut self, address: u64) -> Result<Instruction, Fault> {
        if let Some(instruction) = self.decoded.get(&address) {
            return Ok(*instruction);
        }
        let code = self.image.code(address, 15).ok_or(Fault::NoCode(address))?;
        let instruction = Decoder::with_ip(64, code, address, DecoderOptions::NONE).decode();
        if instruction.is_invalid() {
            return Err(Fault::Undecodable.at(address, String::new()));
        }
        self.decoded.insert(address, instruction);
        Ok(instruction)
    }

    pub(crate) fn step(&mut self, i: &Instruction, decide: Decision<'_>) -> Result<Next, Fault> {
        let entry = table::find(i).ok_or_else(|| Fault::Unknown(i.to_string()))?;
        (entry.semantics)(self, i, decide)
    }

    /// The value of a condition. One that depends on inputs is a fault, unless `decide` knows it and takes the decision.
    fn decide(&mut self, condition: Lit, decide: Decision<'_>) -> Result<bool, Fault> {
        if let Some(value) = condition.value() {
            return Ok(value);
        }
        if self.graph.is_unset(condition) {
            return Err(Fault::Unset("a branch"));
        }
        decide(&mut self.graph, condition).ok_or(Fault::Secret("a branch"))
    }

    fn library(&mut self, function: Function, name: &str) -> Result<u64, Fault> {
        if matches!(function, Function::Missing) {
            return Err(Fault::Missing(name.to_owned()));
        }
        let known = |m: &Self, register: usize| m.graph.known(&m.state.general[register], "an argument");
        let (to, size) = (known(self, RDI)?, known(self, 2)? as usize);
        let data = match function {
            Function::Memset => self.state.general[RSI][..8].repeat(size),
            _ => {
                let from = known(self, RSI)?;
                let overlap = from < to + size as u64 && to < from + size as u64;
                if matches!(function, Function::Memcpy) && overlap && from != to {
                    return Err(Fault::Abi("it copies between regions that overlap".to_owned()));
                }
                self.memory.read(&mut self.graph, from, size)?
            }
        };
        self.memory.write(to, &data)?;
        for register in [1, 2, 6, 7, 8, 9, 10, 11] {
            self.state.general[register] = self.unset.general[register].clone();
        }
        self.state.vectors = self.unset.vectors.clone();
        self.state.flags = self.unset.flags.clone();
        self.state.general[RAX] = bits::constant(to, 64);
        self.pop_address()
    }

    /// Does what a kernel does, as [`Cipher`] has it.
    fn encipher(&mut self, address: u64) -> Result<u64, Fault> {
        let known = |m: &Self, bits: &[Lit]| m.graph.known(bits, "an argument of the cipher");
        let (keys, words) = (known(self, &self.state.general[RDI])?, known(self, &self.state.general[RSI])?);
        let mut word = |at: u64| {
            let bits = self.memory.read(&mut self.graph, words + 8 * at, 8)?;
            known(self, &bits)
        };
        let (from, to, count) = (word(0)?, word(1)?, word(2)?);
        let pointer = known(self, &self.state.general[RSP])?;
        let cipher = self.cipher.as_mut().expect("it is not executed");
        cipher.encipher(
            &mut self.graph,
            &mut self.memory,
            Call { kernel: address, keys, from, to, count, pointer },
        )?;
        // What else a kernel may change.
        self.memory.unset_below("stack", pointer);
        self.memory.write(words, &self.unset.vectors[0][..3 * 64])?;
        let kept = CALLEE_SAVED.map(|register| self.state.general[register].clone());
        self.state = self.unset.clone();
        for (register, value) in CALLEE_SAVED.into_iter().zip(kept) {
            self.state.general[register] = value;
        }
        self.pop_address()
    }

    /// Takes 8 bytes from the stack.
    pub(crate) fn pop(&mut self) -> Result<Bits, Fault> {
        let pointer = self.graph.known(&self.state.general[RSP], "the stack pointer")?;
        let value = self.memory.read(&mut self.graph, pointer, 8)?;
        self.state.general[RSP] = bits::constant(pointer.wrapping_add(8), 64);
        Ok(value)
    }

    pub(crate) fn pop_address(&mut self) -> Result<u64, Fault> {
        let address = self.pop()?;
        self.graph.known(&address, "a jump")
    }

    /// Puts 8 bytes on the stack.
    pub(crate) fn push(&mut self, value: &[Lit]) -> Result<(), Fault> {
        let pointer = self.graph.known(&self.state.general[RSP], "the stack pointer")?.wrapping_sub(8);
        self.memory.write(pointer, value)?;
        self.state.general[RSP] = bits::constant(pointer, 64);
        Ok(())
    }

    /// The address of the operand in memory.
    pub(crate) fn address(&self, i: &Instruction) -> Result<u64, Fault> {
        let part = |register: Register| match register {
            Register::None | Register::RIP => Ok(0),
            _ => self.graph.known(&self.register(register)?, "an address"),
        };
        let base = part(i.memory_base())?;
        let index = part(i.memory_index())?.wrapping_mul(u64::from(i.memory_index_scale()));
        // With rip as the base, the displacement is the whole address already.
        Ok(base.wrapping_add(index).wrapping_add(i.memory_displacement64()))
    }

    /// What is in a register.
    pub(crate) fn register(&self, register: Register) -> Result<Bits, Fault> {
        let number = register.number();
        let bits = if register.is_gpr() {
            let (low, width) = general_part(register);
            self.state.general[register.full_register().number()][low..low + width].to_vec()
        } else if register.is_vector_register() {
            self.state.vectors[number][..8 * register.size()].to_vec()
        } else if register.is_k() {
            self.state.masks[number].clone()
        } else {
            return Err(Fault::Unknown(format!("with register {register:?}")));
        };
        Ok(bits)
    }

    /// Puts `value` into a register of its width: the rest of a general one as the processor does it, of a vector zeros, or
    /// what was there if `keep`.
    pub(crate) fn set_register(
        &mut self,
        register: Register,
        value: &[Lit],
        keep: bool,
    ) -> Result<(), Fault> {
        let number = register.number();
        if register.is_gpr() {
            let (low, width) = general_part(register);
            assert_eq!(value.len(), width, "{register:?}");
            let whole = &mut self.state.general[register.full_register().number()];
            whole[low..low + width].copy_from_slice(value);
            if width == 32 {
                whole[32..].fill(Lit::ZERO);
            }
        } else if register.is_vector_register() {
            let whole = &mut self.state.vectors[number];
            whole[..value.len()].copy_from_slice(value);
            if !keep {
                whole[value.len()..].fill(Lit::ZERO);
            }
        } else if register.is_k() {
            self.state.masks[number] = bits::zero_extended(value, 64);
        } else {
            return Err(Fault::Unknown(format!("with register {register:?}")));
        }
        Ok(())
    }

    /// The bits of an operand.
    pub(crate) fn operand(&mut self, i: &Instruction, operand: u32) -> Result<Bits, Fault> {
        match i.op_kind(operand) {
            OpKind::Register => self.register(i.op_register(operand)),
            OpKind::Memory => {
                let address = self.address(i)?;
                self.memory.read(&mut self.graph, address, i.memory_size().size())
            }
            OpKind::Immediate8 => Ok(bits::constant(i.immediate8().into(), 8)),
            kind if is_immediate(kind) => Ok(bits::constant(i.immediate(operand), 64)),
            _ => Err(Fault::Unknown(i.to_string())),
        }
    }

    /// Writes the general or memory operand.
    pub(crate) fn set_operand(&mut self, i: &Instruction, operand: u32, value: &[Lit]) -> Result<(), Fault> {
        match i.op_kind(operand) {
            OpKind::Register => self.set_register(i.op_register(operand), value, true),
            OpKind::Memory => {
                let address = self.address(i)?;
                self.memory.write(address, value)
            }
            _ => Err(Fault::Unknown(i.to_string())),
        }
    }
}

/// Whether the operand is a number in the instruction.
pub(crate) fn is_immediate(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate8
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    )
}

/// The lowest bit and the width of a general register's part.
fn general_part(register: Register) -> (usize, usize) {
    let is_high = matches!(register, Register::AH | Register::BH | Register::CH | Register::DH);
    (if is_high { 8 } else { 0 }, 8 * register.size())
}

impl Machine {
    /// The instructions executed so far, with their bytes.
    ///
    /// # Panics
    /// If code was replaced meanwhile.
    #[must_use]
    pub fn instructions(&self) -> Vec<(Instruction, Vec<u8>)> {
        let instruction = |&address: &u64| {
            let instruction = self.decoded[&address];
            let bytes = self.image.code(address, instruction.len()).expect("it was fetched").to_vec();
            (instruction, bytes)
        };
        self.addresses.iter().map(instruction).collect()
    }
}
