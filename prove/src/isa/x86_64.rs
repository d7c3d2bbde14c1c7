//! x86-64: the processor's state, its operands, and the System V ABI.

mod integer;
pub mod table;
mod vector;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub mod compare;

use super::{Abi, Decision, Flags, Isa, Next, Outcome};
use crate::{
    bits::{self, Bits},
    fault::Fault,
    graph::{Graph, Lit},
};
use iced_x86::{Decoder, DecoderOptions, Instruction, OpKind, Register};

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
    pub(crate) fn cpuid(self, leaf: u64) -> [u64; 4] {
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

/// Registers and flags.
#[derive(Clone, Debug)]
pub struct State {
    /// By the number that encodings have.
    pub(crate) general: [Bits; 16],
    /// 512 bits each.
    pub(crate) vectors: Vec<Bits>,
    pub(crate) masks: Vec<Bits>,
    pub(crate) flags: Flags,
}

impl super::State for State {
    fn unset(g: &mut Graph) -> Self {
        let flags = Flags::unset(g);
        let mut unset = |count: usize| (0..count).map(|_| g.unset()).collect::<Bits>();
        Self {
            general: std::array::from_fn(|_| unset(64)),
            vectors: (0..32).map(|_| unset(512)).collect(),
            masks: (0..8).map(|_| unset(64)).collect(),
            flags,
        }
    }

    fn general(&self) -> &[Bits] {
        &self.general
    }

    fn general_mut(&mut self) -> &mut [Bits] {
        &mut self.general
    }
}

/// A processor with x86-64.
pub type Machine = crate::machine::Machine<Level>;

const RSP: usize = 4;

impl Isa for Level {
    type State = State;
    type Instruction = Instruction;

    /// That of System V.
    const ABI: Abi = Abi {
        word: 8,
        arguments: &[7, 6, 2, 1, 8, 9],
        result: 0,
        // rbx, rsp, rbp, r12 to r15.
        saved: &[3, RSP, 5, 12, 13, 14, 15],
        stack_pointer: RSP,
        red_zone: 128,
        link: None,
        code_mark: 0,
        global: None,
    };

    fn decode(self, code: &[u8], address: u64) -> Option<(Instruction, usize)> {
        let instruction = Decoder::with_ip(64, code, address, DecoderOptions::NONE).decode();
        (!instruction.is_invalid()).then(|| (instruction, instruction.len()))
    }

    fn step(m: &mut Machine, i: &Instruction, decide: Decision<'_>) -> Result<Next, Fault> {
        let entry = table::find(i).ok_or_else(|| Fault::Unknown(i.to_string()))?;
        (entry.semantics)(m, i, decide)
    }
}

impl Machine {
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
